//! What Postgres holds, and what is counted about it.

use super::{
    moving::{Mover, Side},
    replica::{Replica, Task},
};

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
    /// Who moves, takes back, purges, or settles what an operator decided.
    pub(super) movers: Vec<Mover>,
    /// Ids of moves and purges given out.
    pub(super) ids: u8,
    /// An operator gave up a place.
    pub(super) given_up: bool,
    /// A mistake in the protocol, to see that it is found.
    pub(super) slip: Option<Slip>,
    /// Writes that were acknowledged and that nobody gave up, a bit each.
    pub(super) acknowledged: u8,
    /// Writes that were acknowledged and removed again by those who made them.
    pub(super) removed: u8,
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
    /// The move that is going on.
    pub(super) going: Option<Going>,
    /// The rows are a copy, or what a purge has left, that nobody finished.
    pub(super) torn: bool,
}

/// A move that is going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Going {
    pub(super) id: u8,
    pub(super) to: Side,
}

/// A placement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Record {
    pub(super) place: Place,
    pub(super) epoch: u8,
    /// The database given up by a release; 0: none.
    pub(super) released: u8,
    pub(super) change: u8,
    /// It carries the id of a move.
    pub(super) moving: bool,
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
    pub(super) state: State,
    /// Of the move or purge that may write; 0: none.
    pub(super) holder: u8,
}

/// Of a fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum State {
    Active,
    Frozen,
    Copying,
    Moved,
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
    /// As in the ledger's database.
    pub(super) torn: bool,
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
    pub(super) moves: u8,
    /// Moves taken back, by their makers or by others.
    pub(super) backs: u8,
    pub(super) purges: u8,
    /// `register --confirm`.
    pub(super) accepts: u8,
    /// Rows removed by those who wrote them.
    pub(super) removals: u8,
}

/// Mistakes that the model has to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Slip {
    /// A silent move is replaced by another one at the same epoch.
    ReplacedInPlace,
    /// A move is taken back to the epoch it began at.
    BackAtTheSameEpoch,
    /// The copy of a move does not keep a database from being taken over.
    CopyIgnored,
    /// Neither epoch nor move id are compared at the commit point.
    AnyMoveSwitches,
    /// The source is frozen whatever its epoch.
    FreezesAnyEpoch,
    /// The dedicated fence is set before the commit point.
    FinishedFirst,
    /// The target is opened for the copy whatever its epoch and state.
    OpensAnything,
    /// What was copied is removed and closed while its mover may be writing.
    ClosedUnderWriters,
    /// A mover who comes late may still open the own database.
    NotSealed,
    /// A copy is emptied at the epoch at which the next move makes its own.
    EmptiedAtTheNextEpoch,
    /// An operator's decision is recorded although the record has changed since he looked.
    SettledWhateverHappened,
    /// Purges whatever the fence's state.
    PurgesAnything,
    /// Whoever closes a fence forgets that rows nobody finished copying lie behind it.
    LeftoverForgotten,
    /// The commit point leaves the system database's fence as it is.
    SwitchWithoutFence,
    /// Writers in flight are not waited for.
    FreezesUnderWriters,
    /// A route refused twice is a conflict whatever the ledger says by now.
    ConflictFromMemory,
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
    pub(super) conflict_without_cause: bool,
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
            Place::System => self.ledger.fence.map_or(epoch == 0, |fence| fence.is_active() && fence.epoch == epoch),
            Place::Own(made) => self.listed().is_some_and(|own| {
                own.made == made && own.fence.is_some_and(|fence| fence.is_active() && fence.epoch == epoch)
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
        self.record = Some(Record { place, epoch, released, change: self.change, moving: false });
        self.going = None;
    }

    /// True if it contains the change of that number, made in that future.
    pub(super) fn contains(&self, change: u8, forked: Option<u8>) -> bool {
        // Two ledgers share what came before both forks.
        let shared = if self.forked == forked { u8::MAX } else { self.forked.or(forked).unwrap_or(u8::MAX) };
        change <= self.change && change <= shared
    }
}

impl Fence {
    pub(super) fn active(epoch: u8) -> Self {
        Self { epoch, state: State::Active, holder: 0 }
    }

    pub(super) fn moved(epoch: u8) -> Self {
        Self { epoch, state: State::Moved, holder: 0 }
    }

    pub(super) fn is_active(self) -> bool {
        self.state == State::Active
    }
}
