//! How client commands speak `https://`: the flags, and the files they name.

use std::path::{Path, PathBuf};

use clap::Args;
use fbs_router_client::Tls;

use super::output::CliError;

/// Whom to trust, and what to show. Without any, `https://` trusts the authorities of this machine.
#[derive(Debug, Clone, Args)]
pub(crate) struct TlsArgs {
    /// PEM of the authorities to trust with https://, instead of this machine's
    #[arg(long, value_name = "FILE", env = "FBS_ROUTER_CA_FILE")]
    ca_file: Option<PathBuf>,
    /// PEM of the certificate to show when the service asks who is calling
    #[arg(long, value_name = "FILE", env = "FBS_ROUTER_CERTIFICATE", requires = "key")]
    certificate: Option<PathBuf>,
    /// PEM of its private key
    #[arg(long, value_name = "FILE", env = "FBS_ROUTER_KEY", requires = "certificate")]
    key: Option<PathBuf>,
}

impl TlsArgs {
    /// None if nothing was asked for.
    pub(crate) fn read(&self) -> Result<Option<Tls>, CliError> {
        let tls = match &self.ca_file {
            Some(path) => Some(Tls::private(read(path)?)),
            None => None,
        };
        match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => {
                Ok(Some(tls.unwrap_or_else(Tls::system).identity_pem(read(certificate)?, read(key)?)))
            }
            _ => Ok(tls),
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    std::fs::read(path).map_err(|error| CliError::File(format!("cannot read {}", path.display()), error))
}
