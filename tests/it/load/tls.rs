//! Load over TLS and HTTP/2: a server on this machine, whose certificate has signed itself, for a hundred years (`openssl req -x509 -newkey ec …`).

use std::net::SocketAddr;
use std::process::Output;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{SHOP, failed, load, report};
use crate::cli::{folder, stderr};

const CERTIFICATE: &[u8] = include_bytes!("certificate.pem");
/// Of somebody else.
const OTHER: &[u8] = include_bytes!("other.pem");
const KEY: &[u8] = include_bytes!("key.pem");

/// A server that answers at once, over TLS in one of these protocols, or over HTTP/2 in the clear if there are none.
fn server(protocols: &'static [&'static str]) -> SocketAddr {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            let acceptor = (!protocols.is_empty()).then(|| acceptor(protocols));
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Some(acceptor) = acceptor else { return converse(stream, true).await };
                    // Whoever does not believe the certificate leaves.
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let is_two = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                    converse(stream, is_two).await;
                });
            }
        });
    });
    told.recv().unwrap()
}

fn acceptor(protocols: &[&str]) -> TlsAcceptor {
    let chain = CertificateDer::pem_slice_iter(CERTIFICATE).collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let mut config = builder.with_single_cert(chain, key).unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

async fn converse<T: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: T, is_two: bool) {
    let stream = TokioIo::new(stream);
    let answer = service_fn(|request: Request<Incoming>| async move {
        // Over HTTP/2 the host is part of the URL.
        let said = request.uri().host().is_some() || request.headers().contains_key("host");
        let body = request.into_body().collect().await?.to_bytes();
        let status = if said { 200 } else { 400 };
        let length = Bytes::from(body.len().to_string());
        Ok::<_, hyper::Error>(Response::builder().status(status).body(Full::new(length)).unwrap())
    });
    // A client that goes away ends its conversation.
    match is_two {
        true => drop(http2::Builder::new(TokioExecutor::new()).serve_connection(stream, answer).await),
        false => drop(http1::Builder::new().serve_connection(stream, answer).await),
    }
}

/// Load at `https://localhost`, by its name or by its address.
fn sent(host: &str, server: SocketAddr, args: &[&str]) -> Output {
    let text = SHOP.replace("\"3s\"", "\"2s\"");
    let folder = folder(&[("it.toml", text.as_bytes()), ("ca.pem", CERTIFICATE), ("other.pem", OTHER)]);
    load(folder.path(), &format!("{host}:{}", server.port()), &[&["--json"], args].concat())
}

fn version(report: &Value, version: &str) -> u64 {
    report["generator"]["versions"][version].as_u64().unwrap()
}

#[test]
fn a_target_is_spoken_to_over_tls_in_the_version_that_the_scenario_asks_for() {
    let server = server(&["h2", "http/1.1"]);
    for (host, args, asked) in [
        ("https://127.0.0.1", &["--ca", "ca.pem"][..], "HTTP/1.1"),
        ("https://localhost", &["--insecure"], "HTTP/1.1"),
        ("https://localhost", &["--ca", "ca.pem", "--set", "load.http=\"2\""], "HTTP/2"),
    ] {
        let report = report(&sent(host, server, args), 0);
        let offered = report["requests"]["offered"].as_u64().unwrap();
        assert_eq!((report["requests"]["succeeded"].as_u64(), version(&report, asked)), (Some(offered), offered));
        let connections = report["generator"]["warmed_connections"].as_u64().unwrap();
        assert_eq!(connections, if asked == "HTTP/2" { 1 } else { 32 });
        if asked == "HTTP/2" {
            // All are on one connection, unless the machine stalls until a hundred are under way.
            assert!(report["generator"]["connects"].as_u64().unwrap() <= 1, "{}", report["generator"]);
        }
    }
}

#[test]
fn http_2_is_spoken_in_the_clear_by_prior_knowledge() {
    let report = report(&sent("http://127.0.0.1", server(&[]), &["--set", "load.http=\"2\""]), 0);
    let offered = report["requests"]["offered"].as_u64().unwrap();
    assert_eq!((report["requests"]["succeeded"].as_u64(), version(&report, "HTTP/2")), (Some(offered), offered));
}

#[test]
fn who_is_not_believed_is_sent_nothing_and_the_report_says_why() {
    let server = server(&["http/1.1"]);
    for (args, told) in [
        // An authority that has signed nothing of this server's.
        (&["--ca", "other.pem"][..], &["UnknownIssuer"][..]),
        (&["--ca", "ca.pem", "--set", "load.http=\"2\""], &["does not speak HTTP/2", "NoApplicationProtocol"]),
    ] {
        let output = sent("https://127.0.0.1", server, args);
        let report = report(&output, 0);
        let offered = report["requests"]["offered"].as_u64().unwrap();
        assert_eq!(
            (failed(&report["requests"]), report["requests"]["failed"]["connection"].as_u64()),
            (offered, Some(offered))
        );
        let why = report["notes"].to_string();
        assert!(told.iter().any(|told| why.contains(told)), "{why}");
        assert!(stderr(&output).contains("a connection could not be made"), "{}", stderr(&output));
    }
}
