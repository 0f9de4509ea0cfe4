//! The ledger as this process last saw it.
//!
//! Owns the merging of what is read into what was known, and the suspicion that goes with it: a ledger that lacks
//! the last change which this process or its snapshot has seen is an old one, and never routes by itself the pairs
//! that it would send back.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use tokio::time::Instant;
use uuid::Uuid;

use super::evidence::{Record, RecordedAt, Registration};
use crate::domain::{Epoch, ServerName, SolutionId};

/// Placements or registrations: app, then solution.
pub(super) type ByPair<T> = HashMap<Arc<str>, HashMap<SolutionId, Arc<T>>>;

/// What is known of the ledger.
#[derive(Debug, Clone, Default)]
pub(super) struct LedgerView {
    /// Where it comes from.
    pub origin: Origin,
    /// The last change seen.
    pub last_change: Option<Change>,
    /// The uuid of the system database that holds it.
    pub database_uuid: Option<Uuid>,
    /// When the reading began that brought this view; none for a snapshot.
    pub read_began: Option<Instant>,
    /// `system_identifier` by server.
    pub servers: HashMap<ServerName, u64>,
    /// All placements. Views that differ in nothing here share them.
    placements: Arc<ByPair<Record>>,
    /// All registrations.
    pub registrations: Arc<ByPair<Registration>>,
    /// Changes up to this number were read by a process to which nothing vouched for the ledger.
    pub unvouched_through: i64,
    /// Pairs which have been seen at a later epoch than the ledger holds, and that epoch.
    pub conflicts: HashMap<(Arc<str>, SolutionId), Epoch>,
    /// Servers that hold, or have held, placements.
    holding: HashSet<ServerName>,
}

/// Where a view comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Origin {
    /// Never read, and no snapshot.
    #[default]
    Nothing,
    /// The snapshot of an earlier process.
    Snapshot,
    /// The ledger itself.
    Ledger,
}

/// A numbered change of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    /// Of which ledger.
    pub ledger_id: Uuid,
    /// Its number.
    pub number: i64,
    /// Its uuid: tells two futures of one ledger apart.
    pub uuid: Uuid,
}

/// What one reading brought.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// When it began.
    pub began: Option<Instant>,
    /// The last change of the ledger.
    pub last_change: Option<Change>,
    /// The uuid of the database.
    pub database_uuid: Option<Uuid>,
    /// True if the ledger contains the last change that was known, so that only later rows were read.
    pub continues: bool,
    /// Servers, with their `system_identifier`; none: removed.
    pub servers: Vec<(ServerName, Option<u64>)>,
    /// Placements.
    pub placements: Vec<(Arc<str>, SolutionId, Record)>,
    /// Registrations.
    pub registrations: Vec<(Arc<str>, SolutionId, Registration)>,
}

// === impl LedgerView ===

impl LedgerView {
    /// An empty view with this past: what a snapshot is read into.
    pub(super) fn remembered(
        last_change: Change,
        database_uuid: Option<Uuid>,
        servers: HashMap<ServerName, u64>,
    ) -> Self {
        Self { origin: Origin::Snapshot, last_change: Some(last_change), database_uuid, servers, ..Self::default() }
    }

    /// The placement of a pair.
    pub(super) fn placement(&self, app: &str, solution: &str) -> Option<&Arc<Record>> {
        self.placements.get(app)?.get(solution)
    }

    /// What is particular to a pair.
    pub(super) fn registration(&self, app: &str, solution: &str) -> Option<&Registration> {
        self.registrations.get(app)?.get(solution).map(|registration| &**registration)
    }

    /// What is particular to pairs of an app.
    pub(super) fn registrations(&self, app: &str) -> impl Iterator<Item = (&SolutionId, &Arc<Registration>)> {
        self.registrations.get(app).into_iter().flatten()
    }

    /// Every placement.
    pub(super) fn records(&self) -> impl Iterator<Item = (&Arc<str>, &SolutionId, &Arc<Record>)> {
        self.placements
            .iter()
            .flat_map(|(app, solutions)| solutions.iter().map(move |(solution, record)| (app, solution, record)))
    }

    /// The solution for which a database uuid is recorded: one uuid, one pair. Looks at every record; who asks is about
    /// to enter a database for the first time.
    pub(super) fn owner_of(&self, uuid: Uuid) -> Option<&SolutionId> {
        let carries = |at: &RecordedAt| matches!(at, RecordedAt::Dedicated { uuid: Some(own), .. } if *own == uuid);
        self.records().find(|(_, _, record)| carries(&record.at)).map(|(_, solution, _)| solution)
    }

    /// Servers that hold, or have held, placements.
    pub fn holding(&self) -> impl Iterator<Item = &ServerName> {
        self.holding.iter()
    }

    /// True if memory or snapshot vouches for this record.
    pub(super) fn vouches_for(&self, record: &Record) -> bool {
        record.change_number > self.unvouched_through
    }

    /// True if the reading that brought this view began after `seen`: what was written before, it has read.
    pub(super) fn was_read_since(&self, seen: Instant) -> bool {
        self.read_began.is_some_and(|began| began > seen)
    }

    /// True if the pair was seen at a later epoch than the ledger holds.
    pub(super) fn conflicts(&self, app: &str, solution: &SolutionId) -> bool {
        !self.conflicts.is_empty() && self.conflicts.contains_key(&(Arc::from(app), solution.clone()))
    }

    /// The later epoch at which the pair was seen, if it was.
    pub(super) fn conflict(&self, app: &str, solution: &SolutionId) -> Option<Epoch> {
        self.conflicts.get(&(Arc::from(app), solution.clone())).copied()
    }

    /// This view and what was read since.
    pub(super) fn merge(&self, reading: Reading) -> Self {
        if reading.continues { self.continued(reading) } else { self.restarted(reading) }
    }

    /// Later changes of the ledger that was known.
    fn continued(&self, reading: Reading) -> Self {
        let mut view = self.clone();
        view.fill(reading);
        view
    }

    /// All of a ledger that was not known, or that is not the one which was.
    fn restarted(&self, reading: Reading) -> Self {
        let first = self.last_change.is_none();
        let mut view = Self {
            conflicts: self.conflicts.clone(),
            unvouched_through: reading.last_change.map_or(0, |change| change.number),
            ..Self::default()
        };
        view.fill(reading);
        if first {
            return view;
        }
        tracing::error!("the ledger lacks the last change that was seen: it is an older one, or another");
        for (app, solution, before) in self.records() {
            let now = view.placement(app, solution.as_str());
            let behind = now.is_none_or(|now| {
                now.epoch < before.epoch || (now.epoch == before.epoch && !same_place(&now.at, &before.at))
            });
            if behind {
                let epoch = view.conflicts.entry((Arc::clone(app), solution.clone())).or_default();
                *epoch = before.epoch.max(*epoch);
            }
        }
        view
    }

    fn fill(&mut self, reading: Reading) {
        self.origin = Origin::Ledger;
        self.last_change = reading.last_change;
        self.database_uuid = reading.database_uuid;
        self.read_began = reading.began;
        for (server, system_identifier) in reading.servers {
            match system_identifier {
                Some(system_identifier) => drop(self.servers.insert(server, system_identifier)),
                // Removed: it holds nothing any more.
                None => {
                    self.servers.remove(&server);
                    self.holding.remove(&server);
                }
            }
        }
        for (app, solution, record) in reading.placements {
            self.insert(app, solution, record);
        }
        for (app, solution, registration) in reading.registrations {
            self.register(app, solution, registration);
        }
    }

    /// Adds a registration.
    pub(super) fn register(&mut self, app: Arc<str>, solution: SolutionId, registration: Registration) {
        let registrations = Arc::make_mut(&mut self.registrations);
        registrations.entry(app).or_default().insert(solution, Arc::new(registration));
    }

    /// Adds a placement; one beyond the epoch of a conflict ends it.
    pub(super) fn insert(&mut self, app: Arc<str>, solution: SolutionId, record: Record) {
        let key = (app, solution);
        if self.conflicts.get(&key).is_some_and(|epoch| record.epoch > *epoch) {
            self.conflicts.remove(&key);
        }
        if let RecordedAt::Dedicated { target, .. } = &record.at {
            self.holding.insert(Arc::clone(&target.server));
        }
        Arc::make_mut(&mut self.placements).entry(key.0).or_default().insert(key.1, Arc::new(record));
    }
}

fn same_place(one: &RecordedAt, other: &RecordedAt) -> bool {
    match (one, other) {
        (RecordedAt::System, RecordedAt::System) => true,
        (RecordedAt::Dedicated { uuid: one, .. }, RecordedAt::Dedicated { uuid: other, .. }) => one == other,
        (RecordedAt::System, RecordedAt::Dedicated { .. }) | (RecordedAt::Dedicated { .. }, RecordedAt::System) => {
            false
        }
    }
}

#[cfg(test)]
mod tests;
