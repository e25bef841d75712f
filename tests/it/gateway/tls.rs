//! TLS at the gateway, with a certificate that has signed itself, for a hundred years (`openssl req -x509 -newkey ec …`).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::{http1, http2};
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use wavetank::live::system::{Error, Settings, System};
use wavetank::scenario;

use super::teller::Teller;
use super::world::Gateway;
use crate::cli::folder;

const CERTIFICATE: &[u8] = include_bytes!("../load/certificate.pem");
/// With the same key.
const RENEWED: &[u8] = include_bytes!("renewed.pem");
const KEY: &[u8] = include_bytes!("../load/key.pem");

/// A gateway with the certificate in a folder, which goes when the test ends.
struct Secured {
    gateway: Gateway,
    folder: tempfile::TempDir,
}

impl Secured {
    fn before(teller: &Teller, more: &str) -> Secured {
        let folder = folder(&[("gateway.pem", CERTIFICATE), ("gateway.key", KEY)]);
        let path = |name: &str| folder.path().join(name).display().to_string();
        let (certificate, key) = (path("gateway.pem"), path("gateway.key"));
        let line = format!("tls = {{ certificate = {certificate:?}, key = {key:?}{more} }}");
        Secured { gateway: Gateway::before(&[teller], &line), folder }
    }

    /// A connection that has shaken hands, in one of these protocols.
    async fn connect(&self, protocol: &str) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        for pem in [CERTIFICATE, RENEWED] {
            roots.add(CertificateDer::from_pem_slice(pem).unwrap()).unwrap();
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let stream = TcpStream::connect(self.gateway.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol.as_bytes()));
        stream
    }

    /// The answer to a GET over HTTP/1.1 for this host.
    async fn get(&self, host: &str, target: &str) -> (StatusCode, Bytes) {
        let stream = TokioIo::new(self.connect("http/1.1").await);
        let (mut send, connection) = http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let request = Request::get(target).header("host", host).body(Empty::<Bytes>::new()).unwrap();
        let response = send.send_request(request).await.unwrap();
        (response.status(), response.into_body().collect().await.unwrap().to_bytes())
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn both_protocols_reach_an_instance_which_is_told_that_they_were_encrypted() {
    let teller = Teller::start();
    let secured = Secured::before(&teller, "");
    runtime().block_on(async {
        assert_eq!(secured.get("localhost", "/one").await, (StatusCode::OK, Bytes::from("/one")));
        let stream = TokioIo::new(secured.connect("h2").await);
        let (mut send, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        let request = Request::get("https://localhost/two").body(Empty::<Bytes>::new()).unwrap();
        let response = send.send_request(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "/two");
    });
    for target in ["/one", "/two"] {
        let seen = teller.seen_at(target);
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].field("x-forwarded-proto").as_deref(), Some("https"));
        assert_eq!(seen[0].field("host").as_deref(), Some("localhost"));
    }
    secured.gateway.settles();
}

#[test]
fn a_connection_that_was_opened_for_one_host_asks_for_no_other() {
    let teller = Teller::start();
    let secured = Secured::before(&teller, "");
    runtime().block_on(async {
        assert_eq!(secured.get("other.example", "/x").await.0, StatusCode::MISDIRECTED_REQUEST);
        // Names are not told apart by case, ports, or a dot at the end.
        assert_eq!(secured.get("LocalHost.:8443", "/y").await.0, StatusCode::OK);
    });
    assert!(teller.seen_at("/x").is_empty());
}

#[test]
fn a_handshake_that_is_none_or_slow_is_nobody_elses() {
    let teller = Teller::start();
    let secured = Secured::before(&teller, ", handshake = \"1s\"");
    runtime().block_on(async {
        // One says nothing, one goes on in the clear, one stops in the middle.
        let mut silent = TcpStream::connect(secured.gateway.address).await.unwrap();
        let mut clear = TcpStream::connect(secured.gateway.address).await.unwrap();
        clear.write_all(b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut half = TcpStream::connect(secured.gateway.address).await.unwrap();
        half.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).await.unwrap();
        assert_eq!(secured.get("localhost", "/y").await.0, StatusCode::OK, "others are served meanwhile");
        for (what, stream) in [("silent", &mut silent), ("clear", &mut clear), ("half", &mut half)] {
            let mut bytes = Vec::new();
            let end = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut bytes)).await;
            // A reset is an end as well.
            assert!(end.is_ok(), "{what}: the connection stays open");
            assert!(!bytes.starts_with(b"HTTP"), "{what}: it was answered in the clear");
        }
        assert_eq!(secured.get("localhost", "/y").await.0, StatusCode::OK);
    });
    assert!(teller.seen_at("/x").is_empty());
}

#[test]
fn a_certificate_is_renewed_without_a_restart_and_one_that_cannot_be_used_changes_nothing() {
    let teller = Teller::start();
    let secured = Secured::before(&teller, "");
    let gateway = secured.gateway.system.as_ref().unwrap().gateway();
    let certificate = secured.folder.path().join("gateway.pem");
    let shown = || async {
        let stream = secured.connect("http/1.1").await;
        let shown = stream.get_ref().1.peer_certificates().unwrap()[0].clone();
        if shown == CertificateDer::from_pem_slice(RENEWED).unwrap() { "renewed" } else { "first" }
    };
    runtime().block_on(async {
        assert_eq!(shown().await, "first");
        std::fs::write(&certificate, "no certificate").unwrap();
        let error = gateway.read_certificate_again().unwrap_err().to_string();
        assert!(error.contains("live.tls.certificate") && error.contains("gateway.pem"), "{error}");
        assert_eq!(shown().await, "first");
        std::fs::write(&certificate, RENEWED).unwrap();
        assert!(gateway.read_certificate_again().unwrap());
        assert_eq!(shown().await, "renewed");
    });
}

#[test]
fn files_that_cannot_be_used_are_told_by_their_keys() {
    let folder = folder(&[("gateway.pem", CERTIFICATE), ("gateway.key", b"no key")]);
    let text = "[live]\nlisten = \"127.0.0.1:0\"\ncontrol = \"127.0.0.1:0\"\nupstreams = [\"127.0.0.1:9\"]\n";
    let parse = |line: &str| scenario::parse(&format!("{text}{line}\n"), "it.toml", folder.path(), &[]);
    let missing = parse("tls = { certificate = \"gateway.pem\", key = \"none.key\" }").unwrap_err().to_string();
    assert!(missing.contains("it.toml:5:") && missing.contains("live.tls.key"), "{missing}");
    let half = parse("tls = { certificate = \"gateway.pem\" }").unwrap_err().to_string();
    assert!(half.contains("live.tls.key: missing"), "{half}");
    let scenario = parse("tls = { certificate = \"gateway.pem\", key = \"gateway.key\" }").unwrap();
    let settings = Settings {
        live: scenario.live.clone().unwrap(),
        file: ("it.toml".into(), Vec::new()),
        seed: 1,
        program: env!("CARGO_BIN_EXE_wavetank").into(),
        record: None,
        scenario,
    };
    let error = runtime().block_on(System::start(settings, None)).unwrap_err();
    assert!(matches!(error, Error::Tls(_)), "{error}");
    assert!(error.to_string().contains("live.tls.key") && error.to_string().contains("no private key"), "{error}");
}
