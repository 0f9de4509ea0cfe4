//! TLS of callers: what is shown to them, whom they must be known by, and new files without an end.
//!
//! Each handshake takes the configuration of the moment; a connection keeps the one it began with. Files that do not
//! fit together change nothing: the last good ones stay.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{VerifierBuilderError, WebPkiClientVerifier},
};
use x509_cert::{Certificate, der::Decode};

use super::stamp::{Stamp, stamp};
use crate::{config::ListenTls, metrics::Metrics};

/// How often the files are looked at: a look is three calls of `stat`, and works on every file system.
const LOOK: Duration = Duration::from_secs(1);

/// The TLS side of a listener.
#[derive(Debug)]
pub struct ServerTls {
    settings: ListenTls,
    /// Of the files that were read at the start: what changes from here on is noticed.
    stamp: Stamp,
    current: ArcSwap<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    config: Arc<ServerConfig>,
    /// Seconds since 1970.
    expires: u64,
}

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsFileError {
    /// Not readable, or not what it should be.
    #[error("{path}: {problem}")]
    File {
        /// As configured.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Nobody would accept it.
    #[error("{path}: the certificate has expired")]
    Expired {
        /// As configured.
        path: String,
    },
    /// The key is another certificate's, or of a kind that cannot be used.
    #[error("certificate and key: {0}")]
    Pair(rustls::Error),
    /// The authorities of callers' certificates.
    #[error("client authorities: {0}")]
    Authorities(#[from] VerifierBuilderError),
}

// === impl ServerTls ===

impl ServerTls {
    /// Reads the files.
    pub fn load(settings: &ListenTls) -> Result<Self, TlsFileError> {
        let stamp = stamp(files(settings));
        let loaded = Loaded::read(settings)?;
        Ok(Self { settings: settings.clone(), stamp, current: ArcSwap::from_pointee(loaded) })
    }

    /// For the next handshake.
    pub(super) fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.load().config)
    }

    /// When the certificate expires, in seconds since 1970.
    pub(super) fn expires(&self) -> u64 {
        self.current.load().expires
    }

    /// Looks at the files for ever, and takes new ones.
    pub(super) async fn follow(self: Arc<Self>, metrics: Arc<Metrics>) {
        let mut taken = self.stamp.clone();
        let mut seen = taken.clone();
        let mut looks = tokio::time::interval(LOOK);
        loop {
            looks.tick().await;
            let settings = self.settings.clone();
            let Ok(now) = tokio::task::spawn_blocking(move || stamp(files(&settings))).await else { continue };
            // Not while they change: certificate and key are two files, and both have to be written first.
            if now == seen && now != taken {
                self.take(&metrics).await;
                taken.clone_from(&now);
            }
            seen = now;
        }
    }

    async fn take(self: &Arc<Self>, metrics: &Metrics) {
        let this = Arc::clone(self);
        match tokio::task::spawn_blocking(move || Loaded::read(&this.settings)).await {
            Ok(Ok(loaded)) => {
                self.current.store(Arc::new(loaded));
                metrics.tls_reloaded(true);
                tracing::info!("new TLS files are used for new connections");
            }
            Ok(Err(error)) => {
                metrics.tls_reloaded(false);
                tracing::error!(%error, "new TLS files cannot be used, the ones before stay");
            }
            Err(_) => {}
        }
    }
}

// === impl Loaded ===

impl Loaded {
    fn read(settings: &ListenTls) -> Result<Self, TlsFileError> {
        let certificates = certificates(&settings.certificate)?;
        let expires = certificates.first().and_then(expiry).unwrap_or(u64::MAX);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        if expires < now.as_secs() {
            return Err(TlsFileError::Expired { path: settings.certificate.display().to_string() });
        }
        let key = PrivateKeyDer::from_pem_slice(&read(&settings.key)?)
            .map_err(|_| problem(&settings.key, "holds no private key in PEM"))?;
        // Named explicitly: a second provider somewhere in the tree would make the default one panic.
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsFileError::Pair)?;
        let builder = match &settings.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for authority in self::certificates(path)? {
                    roots.add(authority).map_err(|error| problem(path, &error.to_string()))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                let verifier =
                    if settings.client_required { verifier } else { verifier.allow_unauthenticated() }.build()?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_single_cert(certificates, key).map_err(TlsFileError::Pair)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self { config: Arc::new(config), expires })
    }
}

fn files(settings: &ListenTls) -> impl Iterator<Item = &Path> {
    [Some(&settings.certificate), Some(&settings.key), settings.client_ca.as_ref()]
        .into_iter()
        .flatten()
        .map(PathBuf::as_path)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFileError> {
    let pem = read(path)?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| problem(path, &error.to_string()))?;
    if found.is_empty() { Err(problem(path, "holds no certificate in PEM")) } else { Ok(found) }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsFileError> {
    fs::read(path).map_err(|error| problem(path, &error.to_string()))
}

fn problem(path: &Path, problem: &str) -> TlsFileError {
    TlsFileError::File { path: path.display().to_string(), problem: problem.to_owned() }
}

/// None of one that we cannot read; rustls says then what is wrong with it.
fn expiry(certificate: &CertificateDer<'_>) -> Option<u64> {
    let certificate = Certificate::from_der(certificate).ok()?;
    Some(certificate.tbs_certificate.validity.not_after.to_unix_duration().as_secs())
}
