//! Whom an encrypted target may be: whose certificates are believed.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{self, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::scenario::load::Http;

/// Whose certificates are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Those of the authorities that this system knows.
    #[default]
    System,
    /// Those of the authorities in this file of PEM, and of nobody else; a certificate that signed itself is its own.
    Authorities(PathBuf),
    /// Anybody's.
    Anybody,
}

/// Why nobody is believed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system knows no authority.
    #[error(
        "this system knows no certificate authority: install them (package ca-certificates), or name those of the target with --ca FILE"
    )]
    NoAuthorities,
    /// The file of authorities cannot be read.
    #[error("--ca: cannot read {}: {cause}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the operating system says.
        cause: io::Error,
    },
    /// It is not what it should be.
    #[error("--ca: {}: {problem}, expected certificates as PEM (-----BEGIN CERTIFICATE-----)", path.display())]
    NotCertificates {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The library refuses.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// What connections are encrypted with.
pub fn connector(trust: &Trust, http: Http) -> Result<TlsConnector, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let mut config = match trust {
        Trust::Anybody => builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider))),
        Trust::System => builder.with_root_certificates(system()?),
        Trust::Authorities(path) => builder.with_root_certificates(authorities(path)?),
    }
    .with_no_client_auth();
    config.alpn_protocols = match http {
        Http::One => vec![b"http/1.1".to_vec()],
        Http::Two => vec![b"h2".to_vec()],
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

fn system() -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    // Of what a system has, some may be older than what can be read; the others count.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() { Err(Error::NoAuthorities) } else { Ok(roots) }
}

fn authorities(path: &PathBuf) -> Result<RootCertStore, Error> {
    let not = |problem: String| Error::NotCertificates { path: path.clone(), problem };
    let text = std::fs::read(path).map_err(|cause| Error::Unreadable { path: path.clone(), cause })?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| not(error.to_string()))?;
        roots.add(certificate).map_err(|error| not(error.to_string()))?;
    }
    if roots.is_empty() { Err(not("no certificate in it".to_string())) } else { Ok(roots) }
}

/// Believes whatever certificate is shown; that whoever shows it has its key is looked at all the same.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
