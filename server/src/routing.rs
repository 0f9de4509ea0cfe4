//! Where each (solution, app) lives, and the only way to its data.
//!
//! `catalog` and `ledger` are read by background tasks into the immutable `table`; `decide` turns evidence into a
//! verdict; `resolve` gathers the evidence for one call; `session` is the only way from a solution to SQL.
//!
//! Invariants: no failure leads to the system database; a [`Session`] is made here alone, and carries solution,
//! placement and epoch into every statement.

mod absences;
mod alarms;
mod catalog;
pub mod decide;
pub mod evidence;
mod fenced;
mod flights;
mod gather;
mod inside;
mod joined;
mod ledger;
mod ledger_door;
mod ledger_move;
mod ledger_operator;
mod ledger_read;
mod ledger_write;
mod listing;
#[cfg(test)]
mod model;
mod operator;
mod own;
mod reconfigure;
mod refresh;
mod resolve;
pub mod route;
mod router;
mod session;
mod snapshot;
mod table;
mod tasks;

pub use self::{
    catalog::ScanError,
    decide::{CandidateReason, Step, Trace},
    ledger_move::Going,
    ledger_operator::Registering,
    ledger_read::LedgerError,
    listing::{KnownDatabase, KnownSolution},
    operator::Decision,
    reconfigure::Prepared,
    resolve::{Ask, Intent, Resolution},
    route::{Candidate, Route, RouteState},
    router::{Readiness, Router},
    session::{Session, Writer},
};
pub(crate) use self::{
    joined::joined,
    ledger_write::{DURABLE, LOCK_EXCLUSIVE, LOCK_SHARED, checkout},
};
