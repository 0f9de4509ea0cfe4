//! TLS to Postgres: rustls with ring, names always verified.

use std::{fs, path::Path, sync::Arc};

use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::pem::PemObject};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file is unreadable or holds no certificate.
    #[error("{path}: {problem}")]
    CaFile {
        /// As configured.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// The machine has no certificate authorities.
    #[error("this machine has no certificate authorities; set ca_file")]
    NoAuthorities,
    /// rustls refused.
    #[error("tls: {0}")]
    Rustls(#[from] rustls::Error),
}

/// A connector that trusts the machine's authorities, for tools beside the service.
pub fn machine_tls() -> Result<MakeRustlsConnect, TlsError> {
    connector(None)
}

/// A connector that trusts `ca_file`, or the machine's authorities.
pub(super) fn connector(ca_file: Option<&Path>) -> Result<MakeRustlsConnect, TlsError> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => {
            let problem = |problem: String| TlsError::CaFile { path: path.display().to_string(), problem };
            let pem = fs::read(path).map_err(|error| problem(error.to_string()))?;
            for certificate in rustls::pki_types::CertificateDer::pem_slice_iter(&pem) {
                let certificate = certificate.map_err(|error| problem(error.to_string()))?;
                roots.add(certificate).map_err(|error| problem(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(problem("holds no certificate".to_owned()));
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err(TlsError::NoAuthorities);
            }
        }
    }
    // Named explicitly: a second provider somewhere in the tree would make the default one panic.
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}
