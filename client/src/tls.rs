//! TLS: whom to trust, and what to show.

use std::{fmt, time::Duration};

use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use crate::Error;

/// How `https://` is spoken: whom to trust, and what certificate to show. Without it, as [`Tls::system`].
///
/// ```no_run
/// # async fn connect() -> Result<(), Box<dyn std::error::Error>> {
/// use fbs_router_client::{Client, Tls};
///
/// let tls = Tls::private(std::fs::read("ca.pem")?)
///     .identity_pem(std::fs::read("client.pem")?, std::fs::read("client.key")?);
/// let client = Client::builder().tls(tls).connect("https://router:50051").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Tls {
    system: bool,
    authorities: Vec<Vec<u8>>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
    domain: Option<String>,
}

// === impl Tls ===

impl Tls {
    /// Trusts the certificate authorities of this machine.
    pub fn system() -> Self {
        Self { system: true, authorities: Vec::new(), identity: None, domain: None }
    }

    /// Trusts only the certificate authorities in this PEM: those of a private network.
    pub fn private(authorities: impl Into<Vec<u8>>) -> Self {
        Self { system: false, authorities: vec![authorities.into()], identity: None, domain: None }
    }

    /// Trusts the certificate authorities in this PEM too.
    #[must_use]
    pub fn ca_pem(mut self, authorities: impl Into<Vec<u8>>) -> Self {
        self.authorities.push(authorities.into());
        self
    }

    /// Shows this certificate (with its chain) when the service asks who is calling. Read once: a new certificate
    /// needs a new client.
    #[must_use]
    pub fn identity_pem(mut self, certificate: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.identity = Some((certificate.into(), key.into()));
        self
    }

    /// The name that the service's certificate must be for, if it is not the host of the URL.
    #[must_use]
    pub fn domain(mut self, name: impl Into<String>) -> Self {
        self.domain = Some(name.into());
        self
    }

    /// The settings of the transport, for a service of this host name.
    pub(crate) fn config(&self, host: &str, handshake_limit: Duration) -> Result<ClientTlsConfig, Error> {
        let mut config = ClientTlsConfig::new()
            .timeout(handshake_limit)
            .domain_name(self.domain.as_deref().unwrap_or(host))
            .ca_certificates(self.authorities.iter().map(Certificate::from_pem));
        // The transport takes a file without certificates for one that trusts nobody, and says so much later.
        if self.authorities.iter().any(|pem| !holds_certificate(pem)) {
            return Err(Error::configuration("a PEM of authorities holds no certificate".to_owned(), None));
        }
        if self.system {
            config = config.with_native_roots();
        }
        if let Some((certificate, key)) = &self.identity {
            config = config.identity(Identity::from_pem(certificate, key));
        }
        Ok(config)
    }
}

fn holds_certificate(pem: &[u8]) -> bool {
    let mark = b"-----BEGIN CERTIFICATE-----";
    pem.windows(mark.len()).any(|window| window == mark)
}

impl fmt::Debug for Tls {
    /// Without the key.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Tls")
            .field("system", &self.system)
            .field("authorities", &self.authorities.len())
            .field("identity", &self.identity.is_some())
            .field("domain", &self.domain)
            .finish()
    }
}
