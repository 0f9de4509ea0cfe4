//! Why a call failed, in words that do not depend on the transport.
//!
//! Read from the status code and the details of the contract (`ErrorInfo`, `BadRequest`, `RetryInfo`), never from
//! the text; `error/make.rs` does so. `Display` is one line and never prints its source.

use std::{collections::BTreeMap, io, time::Duration};

use fbs_router_proto::router::v1::ErrorReason;

use crate::Served;

mod kind;
mod make;
#[cfg(test)]
mod tests;

pub use kind::ErrorKind;
pub(crate) use make::is_local;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a call failed. Told apart by [`kind`](Self::kind) and [`reason`](Self::reason), never by its text, which is one
/// line for people.
#[derive(Debug, thiserror::Error)]
#[error("{}{}: {}", facts.kind, facts.reason.as_deref().map(|reason| format!(" {reason}")).unwrap_or_default(), facts.message)]
pub struct Error {
    facts: Box<Facts>,
    #[source]
    source: Option<Source>,
}

/// One wrong field of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FieldViolation {
    /// Its path, such as `document.tags[2]`.
    pub field: String,
    /// What is wrong with it, for people.
    pub description: String,
}

#[derive(Debug, Clone)]
struct Facts {
    kind: ErrorKind,
    reason: Option<String>,
    message: String,
    retry_after: Option<Duration>,
    violations: Vec<FieldViolation>,
    metadata: BTreeMap<String, String>,
    served: Option<Served>,
    request_id: Option<String>,
    /// Of a change that the service could not tell from a repeat.
    once: bool,
    attempts: u32,
}

// === impl Error ===

impl Error {
    /// What sort of failure it is.
    pub fn kind(&self) -> ErrorKind {
        self.facts.kind
    }

    /// What the service says happened; none if it did not say, or says something newer than this client.
    pub fn reason(&self) -> Option<ErrorReason> {
        self.reason_name().and_then(ErrorReason::from_reason)
    }

    /// The name of [`reason`](Self::reason), such as `DOCUMENT_NOT_FOUND`; known also if the reason is newer.
    pub fn reason_name(&self) -> Option<&str> {
        self.facts.reason.as_deref()
    }

    /// What happened, for people.
    pub fn message(&self) -> &str {
        &self.facts.message
    }

    /// Whether the same request may be sent again and may then succeed. For a mutation "the same" includes its
    /// [`request_id`](Self::request_id); a passed deadline is not retryable, because the time is up. What operators
    /// change ([`Admin`](crate::Admin)) has no `request_id`: such an error is retryable only if nothing happened.
    pub fn retryable(&self) -> bool {
        if self.facts.once && !self.nothing_happened() {
            return false;
        }
        match self.facts.kind {
            ErrorKind::Connect | ErrorKind::Transport | ErrorKind::Unavailable => true,
            // The service says when it helps: not for a stale etag, and not for a full disk.
            ErrorKind::Aborted | ErrorKind::ResourceExhausted => self.facts.retry_after.is_some(),
            _ => false,
        }
    }

    /// Whether it is certain that the call did nothing: it never arrived, or was refused before anything was begun.
    /// `ROUTE_UNKNOWN` is not one of these refusals: older services also mean by it that the ledger could not be read after
    /// a change.
    fn nothing_happened(&self) -> bool {
        use ErrorReason::{DatabaseConflict, PoolExhausted, RateLimited, RouteMoving, ServerUnavailable};
        let refused = [ServerUnavailable, RouteMoving, PoolExhausted, RateLimited, DatabaseConflict];
        self.facts.kind == ErrorKind::Connect || self.reason().is_some_and(|reason| refused.contains(&reason))
    }

    /// How long to wait before trying again, if the service says.
    pub fn retry_after(&self) -> Option<Duration> {
        self.facts.retry_after
    }

    /// The wrong fields of the request; empty for other errors.
    pub fn field_violations(&self) -> &[FieldViolation] {
        &self.facts.violations
    }

    /// The database that the call had been routed to, if it came so far.
    pub fn served(&self) -> Option<&Served> {
        self.facts.served.as_ref()
    }

    /// The `request_id` of the mutation that failed, given or made: repeat it with this one.
    pub fn request_id(&self) -> Option<&str> {
        self.facts.request_id.as_deref()
    }

    /// What the reason is about, by name: the current `state` and the states that would allow a step (`allowed_from`),
    /// the `current_etag`, a `limit`. Which names a reason has is the service's to say; new ones appear.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.facts.metadata
    }

    /// How many times the request was tried; 0 if it never left this side. Of a download, since the last bytes came.
    pub fn attempts(&self) -> u32 {
        self.facts.attempts
    }

    /// The error inside an [`io::Error`] that a [`Download`](crate::Download) gave; none if it came from elsewhere.
    pub fn from_io(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

/// So that a [`Download`](crate::Download) can be read by whatever reads files; [`Error::from_io`] gets it back.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::DeadlineExceeded => io::ErrorKind::TimedOut,
            ErrorKind::Connect => io::ErrorKind::NotConnected,
            ErrorKind::Transport => io::ErrorKind::ConnectionReset,
            ErrorKind::NotFound => io::ErrorKind::NotFound,
            ErrorKind::PermissionDenied | ErrorKind::Unauthenticated => io::ErrorKind::PermissionDenied,
            ErrorKind::DataLoss | ErrorKind::Reply => io::ErrorKind::InvalidData,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
