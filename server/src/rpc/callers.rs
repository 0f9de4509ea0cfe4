//! Who a call is from, by what it brings: a token, a certificate, or both.
//!
//! One look-up in a directory that is swapped whole when its file changes; calls never wait for that, and a file that
//! cannot be used changes nothing. Invariant: a credential that came and is not valid refuses the call, whatever else
//! came with it; of two valid ones, neither widens the other.

mod certificate;
mod throttle;
mod watch;

use std::{net::IpAddr, sync::Arc, time::SystemTime};

use arc_swap::ArcSwap;
use http::{HeaderMap, header::AUTHORIZATION};
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};

use self::throttle::Throttle;
use crate::{
    config::{self, ConfigErrors, Directory},
    domain::{Error, Naming, Principal, Result},
    metrics::Metrics,
};

/// Longest token that is looked at, in bytes; ours have 48.
const TOKEN_BYTES: usize = 1_024;

/// Who may call.
#[derive(Debug)]
pub struct Callers {
    /// Made once: every call of a router without authentication is his.
    anonymous: Principal,
    listed: Option<Listed>,
}

#[derive(Debug)]
struct Listed {
    settings: config::Callers,
    naming: Arc<Naming>,
    directory: ArcSwap<Directory>,
    throttle: Throttle,
}

/// What a call brings to prove whose it is.
#[derive(Debug)]
pub struct Credentials<'c> {
    /// Its headers; of interest is `authorization` alone.
    pub headers: &'c HeaderMap,
    /// The certificate that the transport has verified, if there was one.
    pub certificate: Option<&'c CertificateDer<'static>>,
    /// Where it comes from; none: a unix socket.
    pub peer: Option<IpAddr>,
}

/// The `authorization` of a call.
enum Bearer<'h> {
    /// None came.
    Absent,
    /// A token, whoever's.
    Token(&'h [u8]),
    /// Something else, or two.
    Unusable(&'static str),
}

// === impl Callers ===

impl Callers {
    /// Reads the file, if there is one.
    pub fn new(settings: Option<&config::Callers>, naming: &Arc<Naming>) -> Result<Self, ConfigErrors> {
        let listed = settings.map(|settings| {
            let directory = Directory::load(&settings.file, naming)?;
            tracing::info!(file = %settings.file.display(), callers = directory.callers(), "callers are authenticated");
            Ok(Listed {
                settings: settings.clone(),
                naming: Arc::clone(naming),
                directory: ArcSwap::from_pointee(directory),
                throttle: Throttle::new(settings.failures_per_minute),
            })
        });
        Ok(Self { anonymous: Principal::anonymous(), listed: listed.transpose()? })
    }

    /// Reads the file again whenever it changes; never ends.
    pub async fn follow(self: Arc<Self>, metrics: Arc<Metrics>) {
        match &self.listed {
            Some(listed) => watch::follow(listed, &metrics).await,
            None => std::future::pending().await,
        }
    }

    /// Whose call that is.
    pub fn authenticate(&self, credentials: &Credentials<'_>) -> Result<Principal> {
        let Some(listed) = &self.listed else { return Ok(self.anonymous.clone()) };
        let bearer = bearer(credentials.headers);
        let presented = credentials.certificate.is_some() || !matches!(bearer, Bearer::Absent);
        match identify(&listed.directory.load(), &bearer, credentials.certificate, SystemTime::now()) {
            Ok(principal) => Ok(principal),
            Err(why) => Err(listed.refused(why, presented, credentials.peer)),
        }
    }
}

impl Listed {
    /// Whoever brought nothing has not guessed, and is not counted. A valid credential never comes here.
    fn refused(&self, why: &'static str, presented: bool, peer: Option<IpAddr>) -> Error {
        let after = if presented { self.throttle.failed(peer) } else { None };
        let peer = peer.map_or_else(|| "unix socket".to_owned(), |peer| peer.to_string());
        match after {
            None => {
                tracing::warn!(peer, why, "not authenticated");
                Error::CredentialsInvalid
            }
            Some(after) => {
                tracing::debug!(peer, why, "not authenticated, and too often");
                Error::RateLimited { after }
            }
        }
    }
}

/// Whose call it is, or, for the log, why nobody's. A JWT would be told from our tokens here, by its two dots.
fn identify(
    directory: &Directory,
    bearer: &Bearer<'_>,
    certificate: Option<&CertificateDer<'static>>,
    now: SystemTime,
) -> Result<Principal, &'static str> {
    let by_token = match bearer {
        Bearer::Absent => None,
        Bearer::Unusable(why) => return Err(why),
        Bearer::Token(token) => {
            let digest = Sha256::digest(token).into();
            Some(directory.by_token(&digest, now).ok_or("the token is unknown or has expired")?)
        }
    };
    // A certificate without exactly one URI names nobody: it has let its bearer connect, and is no credential.
    let uri = certificate.and_then(|certificate| certificate::only_uri(certificate));
    let by_certificate = match &uri {
        None => None,
        Some(uri) => Some(directory.by_certificate(uri).ok_or("the certificate's URI is no caller's")?),
    };
    match (by_token, by_certificate) {
        (Some(token), Some(certificate)) => Ok(token.within(certificate)),
        (Some(one), None) | (None, Some(one)) => Ok(one.clone()),
        (None, None) if certificate.is_some() => Err("the certificate has not exactly one URI"),
        (None, None) => Err("no credential came"),
    }
}

fn bearer(headers: &HeaderMap) -> Bearer<'_> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Bearer::Absent };
    if values.next().is_some() {
        return Bearer::Unusable("more than one authorization came");
    }
    let value = value.as_bytes();
    let Some((scheme, token)) = value.split_at_checked("Bearer ".len()) else {
        return Bearer::Unusable("the authorization is no bearer token");
    };
    if !scheme.eq_ignore_ascii_case(b"Bearer ") {
        return Bearer::Unusable("the authorization is no bearer token");
    }
    if token.is_empty() || token.len() > TOKEN_BYTES {
        return Bearer::Unusable("the token is empty or too long");
    }
    Bearer::Token(token)
}

#[cfg(test)]
mod tests;
