//! Why a call failed, in words that do not depend on the transport.
//!
//! Read from the status code and the details of the contract (`ErrorInfo`, `BadRequest`, `RetryInfo`), never from
//! the text. `Display` is one line and never prints its source.

use std::time::Duration;

use fbs_router_proto::{ERROR_DOMAIN, router::v1::ErrorReason};
use tonic::{Code, ConnectError, Status, TimeoutExpired};
use tonic_types::{ErrorDetails, RpcStatusExt, StatusExt, pb};

use crate::{Served, call};

mod kind;
#[cfg(test)]
mod tests;

pub use kind::ErrorKind;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a call failed.
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

#[derive(Debug)]
struct Facts {
    kind: ErrorKind,
    reason: Option<String>,
    message: String,
    retry_after: Option<Duration>,
    violations: Vec<FieldViolation>,
    served: Option<Served>,
    request_id: Option<String>,
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
    /// [`request_id`](Self::request_id); a passed deadline is not retryable, because the time is up.
    pub fn retryable(&self) -> bool {
        match self.facts.kind {
            ErrorKind::Connect | ErrorKind::Transport | ErrorKind::Unavailable => true,
            // The service says when it helps: not for a stale etag, and not for a full disk.
            ErrorKind::Aborted | ErrorKind::ResourceExhausted => self.facts.retry_after.is_some(),
            _ => false,
        }
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

    pub(crate) fn configuration(message: String, source: Option<Source>) -> Self {
        Self::here(ErrorKind::Configuration, message, source)
    }

    pub(crate) fn unreachable(url: &str, source: Source) -> Self {
        Self::here(ErrorKind::Connect, format!("cannot connect to {url}"), Some(source))
    }

    pub(crate) fn unreachable_within(url: &str, limit: Duration) -> Self {
        Self::here(ErrorKind::Connect, format!("no answer from {url} within {limit:?}"), None)
    }

    pub(crate) fn deadline(deadline: Duration, source: Option<Source>) -> Self {
        Self::here(ErrorKind::DeadlineExceeded, format!("no answer within {deadline:?}"), source)
    }

    pub(crate) fn reply(message: String) -> Self {
        Self::here(ErrorKind::Reply, message, None)
    }

    pub(crate) fn other_solution(own: &str, other: &str) -> Self {
        let description = format!("is {other:?}, but these are the documents of {own:?}");
        let mut error = Self::here(ErrorKind::InvalidArgument, format!("solution {description}"), None);
        error.facts.violations.push(FieldViolation { field: "solution".to_owned(), description });
        error
    }

    pub(crate) fn of_request(mut self, request_id: Option<String>) -> Self {
        self.facts.request_id = request_id;
        self
    }

    /// A status received, or one that the transport made for want of an answer.
    pub(crate) fn from_status(status: Status, deadline: Duration) -> Self {
        if call::is_local(&status) {
            return Self::from_transport(status, deadline);
        }
        let mut error = Self::told(status.code(), status.message(), &status.get_error_details());
        error.facts.served = Served::read(status.metadata());
        error
    }

    /// A status inside a message.
    pub(crate) fn from_message(status: &pb::Status) -> Self {
        Self::told(Code::from(status.code), &status.message, &status.get_error_details())
    }

    fn from_transport(status: Status, deadline: Duration) -> Self {
        if caused_by::<TimeoutExpired>(&status) {
            return Self::deadline(deadline, Some(Box::new(status)));
        }
        if caused_by::<ConnectError>(&status) {
            let message = "the connection was lost and cannot be made again".to_owned();
            return Self::here(ErrorKind::Connect, message, Some(Box::new(status)));
        }
        let message = "the connection broke during the call".to_owned();
        Self::here(ErrorKind::Transport, message, Some(Box::new(status)))
    }

    fn told(code: Code, message: &str, details: &ErrorDetails) -> Self {
        let mut error = Self::here(ErrorKind::from_code(code), message.to_owned(), None);
        let facts = &mut error.facts;
        // A proxy may answer with reasons of its own domain.
        facts.reason = details
            .error_info()
            .filter(|info| info.domain == ERROR_DOMAIN && !info.reason.is_empty())
            .map(|info| info.reason.clone());
        facts.retry_after = details.retry_info().and_then(|info| info.retry_delay);
        if let Some(request) = details.bad_request() {
            facts.violations.extend(request.field_violations.iter().map(|violation| FieldViolation {
                field: violation.field.clone(),
                description: violation.description.clone(),
            }));
        }
        error
    }

    fn here(kind: ErrorKind, message: String, source: Option<Source>) -> Self {
        let facts = Facts {
            kind,
            reason: None,
            message,
            retry_after: None,
            violations: Vec::new(),
            served: None,
            request_id: None,
        };
        Self { facts: Box::new(facts), source }
    }
}

/// Whether an error of that type is somewhere underneath.
fn caused_by<E: std::error::Error + 'static>(status: &Status) -> bool {
    std::iter::successors(std::error::Error::source(status), |error| error.source()).any(|error| error.is::<E>())
}
