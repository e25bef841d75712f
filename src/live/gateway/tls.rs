//! TLS before the gateway: whose certificate it shows, and how long a handshake may take.
//!
//! A handshake is a connection's own business: one that is garbage, or slow, is nobody else's. HTTP/2 or HTTP/1.1 is agreed on in it (ALPN).
//! The certificate can be read again while connections go on with the one that they began with.
//!
//! What is absent: certificates of clients, several certificates by name, and resumption across restarts.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_rustls::server::TlsStream;

use crate::live::clock::duration;
use crate::scenario::live;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("live.tls.{key}: cannot read {}: {source}", path.display())]
    Unreadable {
        /// `certificate` or `key`.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("live.tls.{key}: {}: {problem}, expected {expected}", path.display())]
    NotPem {
        /// `certificate` or `key`.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// What would do.
        expected: &'static str,
    },
    /// They do not go together, or are of a kind that cannot be used.
    #[error("live.tls: {} with the key in {}: {source}", certificate.display(), key.display())]
    Unfit {
        /// File of the certificate.
        certificate: PathBuf,
        /// File of the key.
        key: PathBuf,
        /// What the library says.
        source: rustls::Error,
    },
}

/// What a handshake has agreed on.
pub struct Agreed {
    /// The connection.
    pub stream: TlsStream<TcpStream>,
    /// Whom the client wanted to speak to (SNI), in small letters; `None`: it did not say.
    pub name: Option<String>,
    /// Whether it speaks HTTP/2.
    pub is_http2: bool,
}

/// TLS with the certificate that was read last.
#[derive(Debug)]
pub struct Tls {
    settings: live::Tls,
    config: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    /// Reads the certificate and its key.
    pub fn new(settings: &live::Tls) -> Result<Tls, Error> {
        Ok(Tls { settings: settings.clone(), config: RwLock::new(read(settings)?) })
    }

    /// Reads them again, for handshakes from now on; if they cannot be used, all stays as it is.
    pub fn read_again(&self) -> Result<(), Error> {
        let config = read(&self.settings)?;
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    /// Shakes hands; `None`: it was no handshake, or took too long.
    pub async fn accept(&self, stream: TcpStream) -> Option<Agreed> {
        let config = Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner));
        let handshake = TlsAcceptor::from(config).accept(stream);
        let stream = tokio::time::timeout(duration(self.settings.handshake), handshake).await.ok()?.ok()?;
        let (_, connection) = stream.get_ref();
        let name = connection.server_name().map(str::to_ascii_lowercase);
        let is_http2 = connection.alpn_protocol() == Some(b"h2");
        Some(Agreed { stream, name, is_http2 })
    }
}

fn read(settings: &live::Tls) -> Result<Arc<ServerConfig>, Error> {
    let chain = chain(&settings.certificate)?;
    let key = key(&settings.key)?;
    let unfit =
        |source| Error::Unfit { certificate: settings.certificate.clone(), key: settings.key.clone(), source };
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(unfit)?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key).map_err(unfit)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn bytes(key: &'static str, path: &PathBuf) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::Unreadable { key, path: path.clone(), source })
}

fn chain(path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, Error> {
    let not = |problem| Error::NotPem {
        key: "certificate",
        path: path.clone(),
        problem,
        expected: "certificates as PEM, that of the gateway first (-----BEGIN CERTIFICATE-----)",
    };
    let chain = CertificateDer::pem_slice_iter(&bytes("certificate", path)?).collect::<Result<Vec<_>, pem::Error>>();
    let chain = chain.map_err(|error| not(error.to_string()))?;
    if chain.is_empty() { Err(not("no certificate in it".to_string())) } else { Ok(chain) }
}

fn key(path: &PathBuf) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_slice(&bytes("key", path)?).map_err(|error| Error::NotPem {
        key: "key",
        path: path.clone(),
        problem: match error {
            pem::Error::NoItemsFound => "no private key in it".to_string(),
            other => other.to_string(),
        },
        expected: "a private key as PEM (-----BEGIN PRIVATE KEY-----)",
    })
}
