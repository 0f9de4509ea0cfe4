//! What is known about a pair when it is decided.
//!
//! Existence has three values, and none of them is an `Option` or a `bool` whose meaning has to be remembered.

use std::time::SystemTime;

use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    config::{Isolation, Unregistered},
    domain::{DatabaseTarget, Epoch, Error, ServerName},
};

/// All of it.
#[derive(Debug)]
pub struct Evidence<'e> {
    /// What kind of app is asked for.
    pub app: AppKind,
    /// What is allowed.
    pub policy: Policy,
    /// What the ledger says.
    pub ledger: LedgerSays<'e>,
    /// Whether the database considered is listed: the recorded one on its own server, else the registered one, else
    /// the one the pattern names, on any server.
    pub presence: Presence,
    /// What is inside it.
    pub inside: Inside,
    /// Whether the system database holds rows of the solution.
    pub rows: Rows,
    /// A recorded database that is gone, and the one registered instead.
    pub followed: Option<(Found, Inside)>,
    /// This process, or its snapshot, has seen a later placement of the pair than the ledger holds.
    pub conflict: bool,
    /// Memory or snapshot vouches that the ledger is not an old one, as far as this pair goes.
    pub vouched: bool,
    /// This process saw the recorded database missing, and has not read the ledger since it came back.
    pub returned: bool,
    /// The catalogs were scanned for this call.
    pub scanned: bool,
    /// Whether the ledger was read for this call.
    pub ledger_read: LedgerRead,
}

/// Whether the ledger was read for this call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LedgerRead {
    /// No need so far.
    NotTried,
    /// It was.
    Fresh,
    /// It could not be.
    Failed,
}

/// What kind of app is asked for. One without a pattern needs no decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppKind {
    /// The documents app: its schema is ours, with identity and fence.
    Documents,
    /// Tables that are not ours.
    ResolveOnly {
        /// A table must exist before the database is used.
        ready_table: bool,
    },
}

/// What is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Whether the system database may be used, by default, by registration and by the call.
    pub isolation: Isolation,
    /// Whether strangers may use it.
    pub unregistered: Unregistered,
    /// Whether the app has a system database at all.
    pub shared: bool,
}

/// What the ledger says of a pair.
#[derive(Debug, Clone, Copy)]
pub enum LedgerSays<'e> {
    /// This process has never read it; the snapshot may know something.
    Unreadable {
        /// As the snapshot has it.
        snapshot: Option<&'e Record>,
    },
    /// No placement.
    Nothing {
        /// The solution is registered.
        registered: bool,
    },
    /// A placement.
    Record(&'e Record),
}

/// A row of the ledger: the placement of one pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where.
    pub at: RecordedAt,
    /// How often it changed.
    pub epoch: Epoch,
    /// A move is going on.
    pub moving: bool,
    /// The database given up by a release.
    pub released_uuid: Option<Uuid>,
    /// Number of the ledger change that made it.
    pub change_number: i64,
    /// When.
    pub update_time: SystemTime,
    /// Since when this process knows it; none from a snapshot. A scan that began before cannot prove its absence.
    pub known_since: Option<Instant>,
}

/// Where a record says the data is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordedAt {
    /// The app's system database.
    System,
    /// The solution's own.
    Dedicated {
        /// Its server and name.
        target: DatabaseTarget,
        /// Its oid.
        oid: u32,
        /// Of its identity row; none for apps whose tables are not ours.
        uuid: Option<Uuid>,
    },
}

/// Whether a database exists. From a catalog, never from a failed connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// Listed.
    Present(Found),
    /// Listed on two servers, and nothing says which.
    TwoServers,
    /// Listed on none, all of them scanned recently enough for the call.
    Absent,
    /// Not known, and why.
    Unknown(&'static str),
}

/// A listed database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its server and name.
    pub target: DatabaseTarget,
    /// Its oid.
    pub oid: u32,
    /// Whether it is another one than was recorded.
    pub replaced: Replaced,
}

/// Whether a listed database is the recorded one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaced {
    /// It is, or none was recorded.
    No,
    /// The name has another oid.
    Oid,
    /// The server has another `system_identifier`.
    Cluster,
}

/// What is inside a database.
#[derive(Debug, Clone)]
pub enum Inside {
    /// Nobody looked.
    NotLooked,
    /// The schema is absent or of the wrong version.
    NotReady(&'static str),
    /// The identity of another solution, ledger, or pair.
    Foreign(&'static str),
    /// Schema and identity are right.
    Ready {
        /// Of the identity row.
        uuid: Uuid,
        /// The fence, if there is a row.
        fence: Option<Fence>,
    },
    /// It could not be entered.
    NotEntered(Error),
}

/// A fence row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// Its epoch.
    pub epoch: Epoch,
    /// ACTIVE.
    pub active: bool,
    /// COPYING: what lies there is the copy of a move, finished or not, and nobody's truth.
    pub copying: bool,
}

/// Whether the system database holds rows of a solution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// Nobody looked.
    NotCounted,
    /// None.
    None,
    /// At least one.
    Some,
    /// The system database did not answer.
    CouldNotLook,
}

/// What is particular to one pair, written by `register`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Where its own database is; none: on any server.
    pub server: Option<ServerName>,
    /// What it is called; none: as the pattern says.
    pub database: Option<String>,
    /// Whether it may use the system database.
    pub isolation: Isolation,
}

impl<'e> LedgerSays<'e> {
    /// The record, from the ledger or the snapshot.
    pub fn record(&self) -> Option<&'e Record> {
        match self {
            Self::Record(record) => Some(record),
            Self::Unreadable { snapshot } => *snapshot,
            Self::Nothing { .. } => None,
        }
    }
}
