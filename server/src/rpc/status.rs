//! The only maker of [`tonic::Status`].
//!
//! One table from [`Error`] to code, reason and details, exhaustive without `_`, so that a new error cannot be
//! forgotten here. What leaves is for people and machines outside: no driver text, no SQL, no host, no user; what is
//! underneath an error goes to the log, once, here. A status always fits into [`LIMIT_BYTES`] of headers.

use std::collections::HashMap;

use fbs_router_proto::{ERROR_DOMAIN, router::v1::ErrorReason};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};
use uuid::Uuid;

use crate::domain::{Error, Violation, document::State, error::names};

#[cfg(test)]
mod tests;

/// Most bytes of `grpc-message` and `grpc-status-details-bin` together. Both share a header list of 16 KiB with what
/// proxies add; a longer list makes the call hang instead of fail.
pub const LIMIT_BYTES: usize = 6_000;

/// Most bytes of a message, of a violation's path and of its problem; longer ones are cut.
const MESSAGE_BYTES: usize = 512;
const FIELD_BYTES: usize = 128;
const PROBLEM_BYTES: usize = 256;

/// The type of a document in details.
const DOCUMENT: &str = "fbs.document.v1.Document";
/// The type of a document's file in details.
const CONTENT: &str = "fbs.document.v1.Content";

/// What the envelope of a `BadRequest` costs, and each violation in it, rounded up.
const BAD_REQUEST_BYTES: usize = 96;
const VIOLATION_BYTES: usize = 12;

/// What an error is outside.
type Row<'e> = (Code, ErrorReason, Detail<'e>);

/// The detail beside `ErrorInfo` and `RetryInfo`.
enum Detail<'e> {
    /// Nothing more to say.
    Plain,
    /// `BadRequest`.
    Fields(&'e [Violation]),
    /// `BadRequest` about one field; the message says what is wrong with it.
    Field(&'static str),
    /// `PreconditionFailure` of that subject; the message says what would have to be otherwise.
    Precondition(&'static str),
    /// `PreconditionFailure` of a document, which is in that state.
    State(&'e str),
    /// The same, and the states that would do.
    Step(State, &'static [State]),
    /// `ResourceInfo` of that type. No name: the caller knows which one it asked for.
    Resource(&'static str),
    /// `ResourceInfo` of a document, that of so many-th request of a batch.
    Indexed(usize),
    /// `ResourceInfo` of a document, which has that etag now.
    Etag(&'e str),
}

/// The status of an error. Logs what is underneath: an internal error as an error, another cause as a warning.
pub fn status(error: &Error) -> Status {
    if let Error::Internal { what, cause } = error {
        return internal(what, cause.as_ref().map(ToString::to_string));
    }
    let (code, reason, detail) = row(error);
    if let Some(cause) = error.cause() {
        tracing::warn!(reason = reason.reason(), %error, %cause, "call failed");
    }
    let message = message(error, &detail);
    let mut facts = HashMap::new();
    let mut details = ErrorDetails::new();
    match detail {
        Detail::Plain => {}
        Detail::Fields(violations) => {
            details.set_error_info(reason.reason(), ERROR_DOMAIN, facts);
            return with_violations(code, &message, details, violations);
        }
        Detail::Field(field) => {
            details.add_bad_request_violation(field, &message);
        }
        Detail::Precondition(subject) => {
            details.add_precondition_failure_violation(reason.reason(), subject, &message);
        }
        Detail::State(state) => {
            facts.insert("state".to_owned(), state.to_owned());
            details.add_precondition_failure_violation(reason.reason(), DOCUMENT, &message);
        }
        Detail::Step(state, allowed) => {
            facts.insert("state".to_owned(), state.as_str().to_owned());
            facts.insert("allowed_from".to_owned(), names(allowed));
            details.add_precondition_failure_violation(reason.reason(), DOCUMENT, &message);
        }
        Detail::Resource(kind) => {
            details.set_resource_info(kind, "", "", &message);
        }
        Detail::Indexed(index) => {
            facts.insert("index".to_owned(), index.to_string());
            details.set_resource_info(DOCUMENT, "", "", &message);
        }
        Detail::Etag(current) => {
            facts.insert("current_etag".to_owned(), cut(current, FIELD_BYTES).to_owned());
            details.set_resource_info(DOCUMENT, "", "", &message);
        }
    }
    details.set_error_info(reason.reason(), ERROR_DOMAIN, facts);
    if let Some(delay) = error.retry_after() {
        details.set_retry_info(Some(delay));
    }
    Status::with_error_details(code, message, details)
}

/// The table. Codes are those of `error_reason.proto`; a test compares them.
fn row(error: &Error) -> Row<'_> {
    use Code::{
        Aborted, AlreadyExists, DeadlineExceeded, FailedPrecondition, InvalidArgument, NotFound, PermissionDenied,
        ResourceExhausted, Unauthenticated, Unavailable, Unknown,
    };
    use Detail::{Etag, Field, Fields, Indexed, Plain, Precondition, Resource, State, Step};
    use ErrorReason as Reason;

    match error {
        Error::CredentialsInvalid => (Unauthenticated, Reason::CredentialsInvalid, Plain),
        Error::AccessDenied => (PermissionDenied, Reason::AccessDenied, Plain),
        Error::RateLimited { .. } | Error::TooMuchInFlight => (ResourceExhausted, Reason::RateLimited, Plain),
        Error::FieldInvalid(violations) => (InvalidArgument, Reason::FieldInvalid, Fields(violations)),
        Error::SolutionInvalid(violations) => (InvalidArgument, Reason::SolutionInvalid, Fields(violations)),
        Error::SolutionReserved(violations) => (InvalidArgument, Reason::SolutionReserved, Fields(violations)),
        Error::FilterInvalid(violations) => (InvalidArgument, Reason::FilterInvalid, Fields(violations)),
        Error::UpdateMaskInvalid(violations) => (InvalidArgument, Reason::UpdateMaskInvalid, Fields(violations)),
        Error::BatchInvalid(violations) => (InvalidArgument, Reason::BatchInvalid, Fields(violations)),
        Error::PageTokenInvalid(_) => (InvalidArgument, Reason::PageTokenInvalid, Field("page_token")),
        Error::RequestIdReused => (InvalidArgument, Reason::RequestIdReused, Field("request_id")),
        Error::AppUnknown => (NotFound, Reason::AppUnknown, Resource("app")),
        Error::SolutionNotFound => (NotFound, Reason::SolutionNotFound, Resource("solution")),
        Error::IsolationRequired => (FailedPrecondition, Reason::IsolationRequired, Precondition("solution")),
        Error::DatabaseDetached => (FailedPrecondition, Reason::DatabaseDetached, Precondition("database")),
        Error::DatabaseMisconfigured { .. } => {
            (FailedPrecondition, Reason::DatabaseMisconfigured, Precondition("database"))
        }
        Error::DatabaseIdentityMismatch { .. } => {
            (FailedPrecondition, Reason::DatabaseIdentityMismatch, Precondition("database"))
        }
        Error::DatabaseMismatch => (FailedPrecondition, Reason::DatabaseMismatch, Precondition("database")),
        Error::SchemaNotReady(_) => (FailedPrecondition, Reason::SchemaNotReady, Precondition("database")),
        Error::PlacementConflict(_) => (FailedPrecondition, Reason::PlacementConflict, Precondition("solution")),
        Error::RouteMoving => (Unavailable, Reason::RouteMoving, Plain),
        Error::RouteUnknown(_) => (Unavailable, Reason::RouteUnknown, Plain),
        Error::DatabaseUnavailable { .. } => (Unavailable, Reason::DatabaseUnavailable, Plain),
        Error::ServerUnavailable | Error::Overloaded => (Unavailable, Reason::ServerUnavailable, Plain),
        Error::PoolExhausted => (ResourceExhausted, Reason::PoolExhausted, Plain),
        Error::StorageFull { .. } => (ResourceExhausted, Reason::StorageFull, Plain),
        Error::DeadlineExceeded(_) => (DeadlineExceeded, Reason::DeadlineExceeded, Plain),
        Error::OutcomeUnknown => (Unknown, Reason::OutcomeUnknown, Plain),
        Error::DatabaseConflict => (Aborted, Reason::DatabaseConflict, Plain),
        Error::DocumentNotFound => (NotFound, Reason::DocumentNotFound, Resource(DOCUMENT)),
        Error::DocumentExists { index: None } => (AlreadyExists, Reason::DocumentExists, Resource(DOCUMENT)),
        Error::DocumentExists { index: Some(index) } => (AlreadyExists, Reason::DocumentExists, Indexed(*index)),
        Error::DocumentNotDeleted => (AlreadyExists, Reason::DocumentNotDeleted, Resource(DOCUMENT)),
        Error::EtagMismatch { current } => (Aborted, Reason::EtagMismatch, Etag(current)),
        Error::DocumentNotEditable { state } => (FailedPrecondition, Reason::DocumentNotEditable, State(state)),
        Error::StateTransitionInvalid { state, allowed } => {
            (FailedPrecondition, Reason::StateTransitionInvalid, Step(*state, allowed))
        }
        Error::SelfApproval => (PermissionDenied, Reason::SelfApproval, Plain),
        Error::ContentInvalid { field, .. } => (InvalidArgument, Reason::ContentInvalid, Field(field)),
        Error::ContentNotAllowed(_) => (InvalidArgument, Reason::ContentNotAllowed, Field("header.content")),
        Error::ChecksumMismatch(_) => (InvalidArgument, Reason::ChecksumMismatch, Field("header.content")),
        Error::ContentNotFound => (NotFound, Reason::ContentNotFound, Resource(CONTENT)),
        Error::Internal { .. } => (Code::Internal, Reason::Internal, Plain),
    }
}

/// Adds what is missing to a status that tonic made before a handler saw the call.
///
/// Such a status has no `ErrorInfo`. Its code stays: it is the library's, and other gRPC servers answer the same. Its
/// reason says whose turn it is: bytes, sizes, encodings and methods that were refused are the caller's
/// (`FIELD_INVALID`), even where gRPC prescribes the *code* `INTERNAL` for them, so that no alarm that counts the
/// *reason* `INTERNAL` can be raised by sending rubbish. `UNKNOWN` is what tonic makes of a service that failed
/// without a status, which is our bug: it is answered and logged as one. Codes that tonic never makes come from other
/// services on the same port (health, reflection) and pass unchanged.
///
/// To be used on answers that carry their status in the headers. A status in trailers is a handler's, or a fault
/// while encoding an answer.
pub fn complete(status: Status) -> Status {
    if status.get_details_error_info().is_some() {
        return status;
    }
    let reason = match status.code() {
        Code::InvalidArgument | Code::OutOfRange | Code::Internal | Code::Unimplemented => ErrorReason::FieldInvalid,
        // A message that grows beyond the limit when decompressed, or too many headers; our own limits bring an Error.
        Code::ResourceExhausted => ErrorReason::FieldInvalid,
        // tonic says "cancelled" of its own timeout; a caller who cancelled does not read this.
        Code::Cancelled | Code::DeadlineExceeded => ErrorReason::DeadlineExceeded,
        Code::Unavailable => ErrorReason::ServerUnavailable,
        Code::Unauthenticated => ErrorReason::CredentialsInvalid,
        Code::PermissionDenied => ErrorReason::AccessDenied,
        Code::Unknown => return internal("a service failed without a status", Some(status.message().to_owned())),
        Code::Ok | Code::NotFound | Code::AlreadyExists | Code::FailedPrecondition | Code::Aborted | Code::DataLoss => {
            return status;
        }
    };
    let mut details = ErrorDetails::with_error_info(reason.reason(), ERROR_DOMAIN, HashMap::new());
    if let (Code::Unavailable, Some(delay)) = (status.code(), Error::ServerUnavailable.retry_after()) {
        details.set_retry_info(Some(delay));
    }
    let message = cut(status.message(), MESSAGE_BYTES).to_owned();
    Status::with_error_details_and_metadata(status.code(), message, details, status.metadata().clone())
}

/// A method that nobody serves, as tonic would say it.
pub(super) fn unimplemented() -> Status {
    complete(Status::unimplemented(""))
}

/// A bug: the caller gets an id and nothing else, the log gets the rest under that id.
fn internal(what: &str, cause: Option<String>) -> Status {
    let id = Uuid::new_v4();
    tracing::error!(%id, what, cause, "internal error");
    let details = ErrorDetails::with_error_info(ErrorReason::Internal.reason(), ERROR_DOMAIN, HashMap::new());
    Status::with_error_details(Code::Internal, format!("internal error {id}"), details)
}

/// The error in words; with its first violation, because many callers print nothing but the message.
fn message(error: &Error, detail: &Detail<'_>) -> String {
    let mut text = error.to_string();
    if let Detail::Fields([first, rest @ ..]) = detail {
        let (field, problem) = (cut(&first.field, FIELD_BYTES), cut(&first.problem, PROBLEM_BYTES));
        text = format!("{text}: {field} {problem}");
        if !rest.is_empty() {
            text = format!("{text}; and {} more", rest.len());
        }
    }
    cut(&text, MESSAGE_BYTES).to_owned()
}

/// As many violations as fit, from the first; `truncated` tells of the others.
fn with_violations(code: Code, message: &str, details: ErrorDetails, violations: &[Violation]) -> Status {
    let without = Status::with_error_details(code, message, details.clone());
    // Base64 turns 3 bytes into 4.
    let mut spare = LIMIT_BYTES.saturating_sub(header_bytes(&without)) * 3 / 4;
    spare = spare.saturating_sub(BAD_REQUEST_BYTES);
    let mut details = details;
    for (index, violation) in violations.iter().enumerate() {
        let (field, problem) = (cut(&violation.field, FIELD_BYTES), cut(&violation.problem, PROBLEM_BYTES));
        let bytes = field.len() + problem.len() + VIOLATION_BYTES;
        if bytes > spare {
            let mut metadata = HashMap::new();
            metadata.insert("truncated".to_owned(), "true".to_owned());
            let reason = details.error_info().map(|info| info.reason.clone()).unwrap_or_default();
            details.set_error_info(reason, ERROR_DOMAIN, metadata);
            tracing::debug!(listed = index, found = violations.len(), "violations left out of a status");
            break;
        }
        spare -= bytes;
        details.add_bad_request_violation(field, problem);
    }
    Status::with_error_details(code, message, details)
}

/// Bytes of the two headers of a status: the message percent-encoded at worst, the details as Base64.
fn header_bytes(status: &Status) -> usize {
    status.message().len() * 3 + status.details().len().div_ceil(3) * 4
}

/// The text up to so many bytes, whole characters only.
fn cut(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|index| text.is_char_boundary(*index)).unwrap_or(0);
    &text[..end]
}
