//! Moving a solution's documents to its own database, or back to the system database.
//!
//! The ledger says that a move goes on (from there `ROUTE_MOVING`), the source's fence is FROZEN, the target's COPYING;
//! rows are copied and compared; one transaction in the system database is the commit point, and the dedicated database's
//! fence follows it. Until the commit point a move can be taken back, behind it only finished, by whoever comes by.
//!
//! Invariant: the move id is the token. Every statement of a move is refused once the ledger or a fence has another one, so a
//! mover that was given up, and goes on, changes nothing.

mod follow;
mod mover;
mod plan;
mod purge;
mod raw;
mod recover;
mod side;
mod tables;

pub use self::{
    follow::{Following, Moves, Progress, Step, WorkList},
    plan::Wish,
};
