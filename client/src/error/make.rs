//! Where errors come from: statuses of the service, failures of the transport, and refusals of this side.

use std::{io, time::Duration};

use fbs_router_proto::ERROR_DOMAIN;
use tonic::{Code, ConnectError, Status, TimeoutExpired};
use tonic_types::{ErrorDetails, RpcStatusExt, StatusExt, pb};

use super::{BTreeMap, Error, ErrorKind, Facts, FieldViolation, Source};
use crate::Served;

// === impl Error: of this side ===

impl Error {
    pub(crate) fn configuration(message: String, source: Option<Source>) -> Self {
        Self::here(ErrorKind::Configuration, message, source)
    }

    pub(crate) fn unreachable(url: &str, source: Source) -> Self {
        Self::here(ErrorKind::Connect, format!("cannot connect to {url}"), Some(source))
    }

    pub(crate) fn unreachable_within(url: &str, limit: Duration) -> Self {
        Self::here(ErrorKind::Connect, format!("no answer from {url} within {limit:?}"), None)
    }

    pub(crate) fn no_address(urls: &str, source: Option<io::Error>) -> Self {
        Self::here(ErrorKind::Connect, format!("no address for {urls}"), source.map(|source| Box::new(source) as _))
    }

    pub(crate) fn deadline(deadline: Duration) -> Self {
        Self::here(ErrorKind::DeadlineExceeded, format!("no answer within {deadline:?}"), None)
    }

    pub(crate) fn idle(limit: Duration) -> Self {
        Self::here(ErrorKind::DeadlineExceeded, format!("no progress for {limit:?}"), None)
    }

    pub(crate) fn reply(message: String) -> Self {
        Self::here(ErrorKind::Reply, message, None)
    }

    pub(crate) fn broken(message: String) -> Self {
        Self::here(ErrorKind::Transport, message, None)
    }

    pub(crate) fn damaged(message: String) -> Self {
        Self::here(ErrorKind::DataLoss, message, None)
    }

    pub(crate) fn io(message: String, source: Option<io::Error>) -> Self {
        Self::here(ErrorKind::Io, message, source.map(|source| Box::new(source) as _))
    }

    pub(crate) fn field(field: &str, description: String) -> Self {
        let mut error = Self::here(ErrorKind::InvalidArgument, format!("{field} {description}"), None);
        error.facts.violations.push(FieldViolation { field: field.to_owned(), description });
        error
    }

    pub(crate) fn other_solution(field: &str, own: &str, other: &str) -> Self {
        Self::field(field, format!("is {other:?}, but these are the documents of {own:?}"))
    }

    /// Of a call that was tried so many times.
    pub(crate) fn of_call(mut self, attempts: u32, request_id: Option<&str>) -> Self {
        self.facts.attempts = attempts;
        self.facts.request_id = request_id.map(str::to_owned);
        self
    }

    /// Of a change that must not happen twice.
    pub(crate) fn once(mut self) -> Self {
        self.facts.once = true;
        self
    }

    /// What the attempt before failed with, if this is a deadline that passed meanwhile: it tells why.
    pub(crate) fn because(mut self, before: Option<Self>) -> Self {
        if self.kind() == ErrorKind::DeadlineExceeded && self.source.is_none() {
            self.source = before.map(|before| Box::new(before) as _);
        }
        self
    }

    /// The same once more, for who asks again; without its source.
    pub(crate) fn again(&self) -> Self {
        Self { facts: self.facts.clone(), source: None }
    }

    fn here(kind: ErrorKind, message: String, source: Option<Source>) -> Self {
        let facts = Facts {
            kind,
            reason: None,
            message,
            retry_after: None,
            violations: Vec::new(),
            metadata: BTreeMap::new(),
            served: None,
            request_id: None,
            once: false,
            attempts: 0,
        };
        Self { facts: Box::new(facts), source }
    }
}

// === impl Error: of the service and of the transport ===

impl Error {
    /// A status received, or one that the transport made for want of an answer from `peer`.
    pub(crate) fn from_status(status: Status, peer: &str) -> Self {
        if is_local(&status) {
            return Self::from_transport(status, peer);
        }
        let mut error = Self::told(status.code(), status.message(), &status.get_error_details());
        error.facts.served = Served::read(status.metadata());
        error
    }

    /// A status inside a message.
    pub(crate) fn from_message(status: &pb::Status) -> Self {
        Self::told(Code::from(status.code), &status.message, &status.get_error_details())
    }

    fn from_transport(status: Status, peer: &str) -> Self {
        if caused_by::<TimeoutExpired>(&status) {
            return Self::here(ErrorKind::DeadlineExceeded, format!("no answer from {peer} in time"), None);
        }
        if caused_by::<ConnectError>(&status) {
            return Self::unreachable(peer, Box::new(status));
        }
        let message = format!("the connection to {peer} broke during the call");
        Self::here(ErrorKind::Transport, message, Some(Box::new(status)))
    }

    fn told(code: Code, message: &str, details: &ErrorDetails) -> Self {
        let mut error = Self::here(ErrorKind::from_code(code), message.to_owned(), None);
        let facts = &mut error.facts;
        // A proxy may answer with reasons of its own domain.
        if let Some(info) = details.error_info().filter(|info| info.domain == ERROR_DOMAIN && !info.reason.is_empty()) {
            facts.reason = Some(info.reason.clone());
            facts.metadata = info.metadata.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        }
        facts.retry_after = details.retry_info().and_then(|info| info.retry_delay);
        if let Some(request) = details.bad_request() {
            facts.violations.extend(request.field_violations.iter().map(|violation| FieldViolation {
                field: violation.field.clone(),
                description: violation.description.clone(),
            }));
        }
        error
    }
}

/// Whether the status was made on this side, because there was no answer: only such a one has a source.
pub(crate) fn is_local(status: &Status) -> bool {
    std::error::Error::source(status).is_some()
}

/// Whether an error of that type is somewhere underneath.
fn caused_by<E: std::error::Error + 'static>(status: &Status) -> bool {
    std::iter::successors(std::error::Error::source(status), |error| error.source()).any(|error| error.is::<E>())
}
