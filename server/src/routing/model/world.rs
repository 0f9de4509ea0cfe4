//! What Postgres holds, and what is counted about it.

use super::replica::{Replica, Task};

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct World {
    /// The system database, with the ledger in it.
    pub(super) ledger: Ledger,
    /// A backup of it.
    pub(super) backup: Option<Ledger>,
    /// It was restored from there.
    pub(super) restored: bool,
    /// The solution's own database.
    pub(super) own: Option<Own>,
    /// The processes.
    pub(super) replicas: Vec<Replica>,
    /// Writes that were acknowledged and that nobody gave up, a bit each.
    pub(super) acknowledged: u8,
    /// Writes begun.
    pub(super) writes: u8,
    /// What else may happen, and how often.
    pub(super) left: Left,
    /// What never should.
    pub(super) broken: Broken,
}

/// The system database, as far as it is about the solution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(super) struct Ledger {
    pub(super) record: Option<Record>,
    pub(super) fence: Option<Fence>,
    /// A bit a write.
    pub(super) rows: u8,
    /// Number of the last change.
    pub(super) change: u8,
    /// The change after which another future began.
    pub(super) forked: Option<u8>,
}

/// A placement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Record {
    pub(super) place: Place,
    pub(super) epoch: u8,
    /// The database given up by a release; 0: none.
    pub(super) released: u8,
    pub(super) change: u8,
}

/// Where data lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Place {
    System,
    /// The own database of that oid and uuid.
    Own(u8),
}

/// A fence row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Fence {
    pub(super) epoch: u8,
    pub(super) active: bool,
}

/// The solution's own database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Own {
    /// Its oid and uuid: 1, then 2.
    pub(super) made: u8,
    /// Its name is the solution's.
    pub(super) listed: bool,
    /// Its schema is there.
    pub(super) ready: bool,
    pub(super) fence: Option<Fence>,
    pub(super) rows: u8,
}

/// What may still happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Left {
    pub(super) creations: u8,
    pub(super) crashes: u8,
    pub(super) absences: u8,
    pub(super) releases: u8,
    pub(super) restores: u8,
    /// Servers and ledger may fail to answer.
    pub(super) failures: u8,
}

/// What never should happen, and did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Broken {
    pub(super) answer_lacks_write: bool,
    pub(super) written_elsewhere: bool,
    pub(super) went_back: bool,
    pub(super) epoch_fell: bool,
    pub(super) ready_database_missed: bool,
    pub(super) in_vain: bool,
}

impl World {
    /// How many replicas do this.
    pub(super) fn tasks(&self, wanted: impl Fn(&Task) -> bool) -> usize {
        self.replicas.iter().filter(|replica| wanted(&replica.task)).count()
    }

    /// The own database, if it can be reached under its name.
    pub(super) fn listed(&self) -> Option<&Own> {
        self.own.as_ref().filter(|own| own.listed)
    }

    pub(super) fn listed_mut(&mut self) -> Option<&mut Own> {
        self.own.as_mut().filter(|own| own.listed)
    }

    /// `admits.sql`, in the database of that place.
    pub(super) fn admits(&self, place: Place, epoch: u8) -> bool {
        match place {
            Place::System => self.ledger.fence.map_or(epoch == 0, |fence| fence.active && fence.epoch == epoch),
            Place::Own(made) => self.listed().is_some_and(|own| {
                own.made == made && own.fence.is_some_and(|fence| fence.active && fence.epoch == epoch)
            }),
        }
    }

    /// What lies in the database of that place.
    pub(super) fn rows(&self, place: Place) -> u8 {
        match place {
            Place::System => self.ledger.rows,
            Place::Own(_) => self.own.as_ref().map_or(0, |own| own.rows),
        }
    }
}

impl Ledger {
    /// Writes the record, as a numbered change.
    pub(super) fn write(&mut self, place: Place, epoch: u8, released: u8) {
        self.change += 1;
        self.record = Some(Record { place, epoch, released, change: self.change });
    }

    /// True if it contains the change of that number, made in that future.
    pub(super) fn contains(&self, change: u8, forked: Option<u8>) -> bool {
        // Two ledgers share what came before both forks.
        let shared = if self.forked == forked { u8::MAX } else { self.forked.or(forked).unwrap_or(u8::MAX) };
        change <= self.change && change <= shared
    }
}
