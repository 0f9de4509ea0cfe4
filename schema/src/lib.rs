//! The documents schema and the ledger: the only DDL of fbs-router.
//!
//! Owns the migrations, and [`apply`], [`status`] and [`print`], which the solution implementer runs as the owner
//! of a database. Never creates, renames or drops a database, and is never called by `serve`.
//!
//! Invariant: applying is idempotent, and happens in one transaction under an advisory lock: a database has a
//! whole version of a component, or none.

mod apply;
mod migrations;
mod print;
mod status;

pub use apply::{ApplyError, Report, apply};
pub use migrations::{DOCUMENTS_OLDEST_SERVED, DOCUMENTS_VERSION, LEDGER_OLDEST_SERVED, LEDGER_VERSION, fingerprint};
pub use print::{Printed, print};
pub use status::{Identity, Status, status};

/// The role `serve` logs in with, unless another is named.
pub const DEFAULT_RUNTIME_ROLE: &str = "fbs_router";

/// What a database is prepared for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// The documents app's system database: documents of many solutions, and the ledger.
    System,
    /// The own database of one solution.
    Solution(String),
    /// A template: copies of it are claimed by the solution they are named for.
    Template,
}
