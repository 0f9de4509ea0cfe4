//! What can go wrong with a call, named for what happened.
//!
//! One enum for the whole service; `rpc/status.rs` is the only place that turns it into a status, and
//! `postgres/sqlstate.rs` the only one that reads SQLSTATEs. Errors are `Clone`, because one look at a database
//! answers many waiting calls. `Display` never prints its source: sources stay inside.

use std::{fmt, sync::Arc, time::Duration};

use super::document::State;

/// The service's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One wrong field of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Its path, such as `document.tags[2]`.
    pub field: String,
    /// What is wrong with it, for people.
    pub problem: String,
}

/// The error underneath, kept for the log and never sent.
#[derive(Clone)]
pub struct Cause(Arc<dyn std::error::Error + Send + Sync>);

/// Why a call failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// No credential, or none that is valid: one text for all causes.
    #[error("no valid credential")]
    CredentialsInvalid,
    /// The caller may not do this, whether or not what it is about exists: one text for all causes.
    #[error("access denied")]
    AccessDenied,
    /// The caller failed too often.
    #[error("too many invalid credentials from this address")]
    RateLimited {
        /// Until it may fail again.
        after: Duration,
    },
    /// Most of what calls in flight may take of the memory is the caller's.
    #[error("too much of yours is in flight")]
    TooMuchInFlight,
    /// Others have left too little of it.
    #[error("too much is in flight")]
    Overloaded,
    /// Fields of the request are missing, malformed or too long.
    #[error("invalid request")]
    FieldInvalid(Vec<Violation>),
    /// Not a solution id; other wrong fields are listed too.
    #[error("invalid solution id")]
    SolutionInvalid(Vec<Violation>),
    /// The id would name a system database.
    #[error("reserved solution id")]
    SolutionReserved(Vec<Violation>),
    /// No such app is configured.
    #[error("no such app is configured")]
    AppUnknown,
    /// Unregistered solutions are refused.
    #[error("solution is not registered")]
    SolutionNotFound,
    /// A page token that does not belong to this request.
    #[error("page token is {0}")]
    PageTokenInvalid(&'static str),
    /// A filter or order that cannot be understood.
    #[error("invalid filter or order")]
    FilterInvalid(Vec<Violation>),
    /// A mask that names what cannot be updated.
    #[error("invalid update mask")]
    UpdateMaskInvalid(Vec<Violation>),
    /// A batch that is empty or too large.
    #[error("invalid batch")]
    BatchInvalid(Vec<Violation>),
    /// The request id was used for another request.
    #[error("request_id was used for another request")]
    RequestIdReused,
    /// A dedicated database is required and there is none.
    #[error("a dedicated database is required and there is none")]
    IsolationRequired,
    /// The dedicated database is gone from the catalog.
    #[error("the dedicated database has disappeared")]
    DatabaseDetached,
    /// The database cannot be used as it is set up.
    #[error("the database is misconfigured: {what}")]
    DatabaseMisconfigured {
        /// Without hosts, users or driver text.
        what: &'static str,
        /// For the log.
        cause: Option<Cause>,
    },
    /// The database reached is not the one that was meant.
    #[error("the database is not the one that was meant: {what}")]
    DatabaseIdentityMismatch {
        /// What differs.
        what: &'static str,
    },
    /// The documents schema is absent or of another version.
    #[error("the documents schema is {0}")]
    SchemaNotReady(&'static str),
    /// Ledger and databases disagree.
    #[error("ledger and databases disagree about where the solution lives: {0}")]
    PlacementConflict(&'static str),
    /// The solution is being moved.
    #[error("the solution is being moved")]
    RouteMoving,
    /// It is not yet known where the solution lives.
    #[error("it is not yet known where the solution lives: {0}")]
    RouteUnknown(&'static str),
    /// The database is down or cannot be reached.
    #[error("the database cannot be reached")]
    DatabaseUnavailable {
        /// For the log.
        cause: Option<Cause>,
    },
    /// No connection became free in time.
    #[error("no connection became free in time")]
    PoolExhausted,
    /// The database has no room left.
    #[error("the database has no room left")]
    StorageFull {
        /// For the log.
        cause: Option<Cause>,
    },
    /// The deadline passed.
    #[error("the deadline passed while {0}")]
    DeadlineExceeded(&'static str),
    /// COMMIT was sent and its answer was lost.
    #[error("the connection broke during COMMIT: the change may have happened")]
    OutcomeUnknown,
    /// The database gave up on a conflict.
    #[error("the database gave up on a conflict")]
    DatabaseConflict,
    /// No such document in this solution.
    #[error("no such document")]
    DocumentNotFound,
    /// The document id is taken in this solution.
    #[error("the document id is taken")]
    DocumentExists {
        /// Which request of a batch; none outside one.
        index: Option<usize>,
    },
    /// The document has changed since it was read.
    #[error("the document has changed since it was read")]
    EtagMismatch {
        /// The etag it has now.
        current: String,
    },
    /// The document may not be edited in its state.
    #[error("a document in {state} may not be edited")]
    DocumentNotEditable {
        /// Its state.
        state: &'static str,
    },
    /// The workflow does not allow the step from this state.
    #[error("a document in {} does not allow this step, which is made from {}", state.as_str(), names(allowed))]
    StateTransitionInvalid {
        /// Its state.
        state: State,
        /// The states from which the step is allowed.
        allowed: &'static [State],
    },
    /// The document's type asks for four eyes.
    #[error("the document's type asks for four eyes: its creator may not approve it")]
    SelfApproval,
    /// Size, chunks or header of an upload break the limits.
    #[error("the upload breaks the limits: {what}")]
    ContentInvalid {
        /// The frame or its field.
        field: &'static str,
        /// What is wrong.
        what: &'static str,
    },
    /// The content breaks a rule of the document's type.
    #[error("{0}")]
    ContentNotAllowed(&'static str),
    /// Size or SHA-256 is not what was declared.
    #[error("the content is not what was declared: {0}")]
    ChecksumMismatch(&'static str),
    /// The document has no content.
    #[error("the document has no content")]
    ContentNotFound,
    /// Undelete of a document that is not deleted.
    #[error("the document is not deleted")]
    DocumentNotDeleted,
    /// Explicit routing named another database.
    #[error("the solution is not served from the database that was named")]
    DatabaseMismatch,
    /// Draining.
    #[error("the server is shutting down")]
    ServerUnavailable,
    /// A bug.
    #[error("internal error: {what}")]
    Internal {
        /// For the log.
        what: &'static str,
        /// For the log.
        cause: Option<Cause>,
    },
}

/// Names of states, as errors list them.
pub fn names(states: &[State]) -> String {
    states.iter().map(|state| state.as_str()).collect::<Vec<_>>().join(", ")
}

// === impl Violation ===

impl Violation {
    /// `field` as a path in the request.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }
}

// === impl Cause ===

impl Cause {
    /// Keeps an error for the log.
    pub fn new(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self(Arc::new(error))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(formatter, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

// === impl Error ===

impl Error {
    /// A bug, with nothing underneath.
    pub fn internal(what: &'static str) -> Self {
        Self::Internal { what, cause: None }
    }

    /// The same about a request that stands in the field `field` of another one.
    #[must_use]
    pub fn inside(self, field: &str) -> Self {
        let within = |violations: Vec<Violation>| {
            violations
                .into_iter()
                .map(|violation| Violation { field: format!("{field}.{}", violation.field), ..violation })
                .collect()
        };
        match self {
            Self::FieldInvalid(violations) => Self::FieldInvalid(within(violations)),
            Self::SolutionInvalid(violations) => Self::SolutionInvalid(within(violations)),
            Self::SolutionReserved(violations) => Self::SolutionReserved(within(violations)),
            other => other,
        }
    }

    /// The error underneath, for the log.
    pub fn cause(&self) -> Option<&Cause> {
        match self {
            Self::DatabaseMisconfigured { cause, .. }
            | Self::DatabaseUnavailable { cause }
            | Self::StorageFull { cause }
            | Self::Internal { cause, .. } => cause.as_ref(),
            _ => None,
        }
    }

    /// When a repeat may help, and after how long.
    pub fn retry_after(&self) -> Option<Duration> {
        let milliseconds = match self {
            Self::RouteMoving | Self::RouteUnknown(_) | Self::PoolExhausted | Self::TooMuchInFlight => 200,
            Self::DatabaseUnavailable { .. } | Self::ServerUnavailable | Self::Overloaded => 1_000,
            Self::DatabaseConflict => 50,
            Self::RateLimited { after } => return Some(*after),
            _ => return None,
        };
        Some(Duration::from_millis(milliseconds))
    }
}
