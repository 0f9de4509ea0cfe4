//! The sorts of failure: those of this side, and the canonical codes of gRPC.

use std::fmt;

use tonic::Code;

/// What sort of failure it is. New ones appear.
///
/// `Display` and [`code_name`](Self::code_name) print a gRPC code for every kind, so that logs, metrics and callers of
/// other languages see one set of words. Those of this side share the code that comes nearest: `Configuration` prints
/// `INVALID_ARGUMENT`, `Connect` and `Transport` print `UNAVAILABLE`, `Reply` prints `INTERNAL`, `Io` prints
/// `CANCELLED`. `{:?}` prints the name of the kind, and tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The URL or a setting is wrong; nothing was sent.
    Configuration,
    /// There is no connection; nothing was sent.
    Connect,
    /// The connection broke during the call: it may have happened.
    Transport,
    /// The reply breaks the contract.
    Reply,
    /// A file or reader of this side failed, or ended too early.
    Io,
    /// The deadline passed, here or there: the call may have happened.
    DeadlineExceeded,
    /// The request is wrong, whatever the state of things.
    InvalidArgument,
    /// There is no such thing.
    NotFound,
    /// There is such a thing already.
    AlreadyExists,
    /// No valid credential.
    Unauthenticated,
    /// The caller may not do this.
    PermissionDenied,
    /// The state of things does not allow it; trying again does not help until somebody changes it.
    FailedPrecondition,
    /// A conflict with somebody else's change.
    Aborted,
    /// Something is full or used up.
    ResourceExhausted,
    /// Not now.
    Unavailable,
    /// A size or range beyond the limits.
    OutOfRange,
    /// The service does not have this method.
    Unimplemented,
    /// A bug of the service.
    Internal,
    /// Stored data are damaged, or what arrived is not what was stored.
    DataLoss,
    /// Cancelled on the way.
    Cancelled,
    /// It is not known what happened.
    Unknown,
}

impl ErrorKind {
    /// The canonical name of its gRPC code, such as `NOT_FOUND`.
    pub fn code_name(self) -> &'static str {
        match self {
            Self::Connect | Self::Transport | Self::Unavailable => "UNAVAILABLE",
            Self::Configuration | Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::Reply | Self::Internal => "INTERNAL",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::NotFound => "NOT_FOUND",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::Aborted => "ABORTED",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::OutOfRange => "OUT_OF_RANGE",
            Self::Unimplemented => "UNIMPLEMENTED",
            Self::DataLoss => "DATA_LOSS",
            Self::Cancelled | Self::Io => "CANCELLED",
            Self::Unknown => "UNKNOWN",
        }
    }

    pub(super) fn from_code(code: Code) -> Self {
        match code {
            Code::InvalidArgument => Self::InvalidArgument,
            Code::DeadlineExceeded => Self::DeadlineExceeded,
            Code::NotFound => Self::NotFound,
            Code::AlreadyExists => Self::AlreadyExists,
            Code::Unauthenticated => Self::Unauthenticated,
            Code::PermissionDenied => Self::PermissionDenied,
            Code::FailedPrecondition => Self::FailedPrecondition,
            Code::Aborted => Self::Aborted,
            Code::ResourceExhausted => Self::ResourceExhausted,
            Code::Unavailable => Self::Unavailable,
            Code::OutOfRange => Self::OutOfRange,
            Code::Unimplemented => Self::Unimplemented,
            Code::Internal => Self::Internal,
            Code::DataLoss => Self::DataLoss,
            Code::Cancelled => Self::Cancelled,
            Code::Unknown => Self::Unknown,
            Code::Ok => Self::Reply, // an error that says there is none
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code_name())
    }
}
