//! Moves, purges, and what an operator accepts: who plans what, who waits for whom, and how it ends.
//!
//! Whoever makes one may stop for ever, or go on long after somebody else has ended it: he does what he planned until
//! something that Postgres compares refuses him. Signs of life are left out, so that everybody is always late enough.

use super::{
    replica::{Ask, Counted, Intent, Read, Replica, Task},
    steps::Step,
    world::{Left, Place, Slip, State, World},
};
use crate::routing::decide::{Act, Verdict};

/// One of the two databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Side {
    System,
    Own,
}

/// Something an operator, or a router for him, sets out to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Plan {
    Move(Side),
    /// A move has fallen silent.
    TakeBack,
    /// Of what is left there.
    Purge(Side),
    /// `register --confirm`: its data is in its own database.
    Accept,
}

/// Who does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Mover {
    /// Of the move or purge: the token.
    pub(super) id: u8,
    /// Where the move leads; of a purge, the place.
    pub(super) to: Side,
    /// At which it was planned.
    pub(super) epoch: u8,
    /// What comes next.
    pub(super) next: Next,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Next {
    Begin {
        instead: u8,
    },
    Freeze,
    Open,
    Clear,
    /// A row is read behind those that were copied, then written: `inside`, its transaction is not committed yet.
    Copy {
        copied: u8,
        row: u8,
        inside: bool,
    },
    Compare,
    Switch,
    Finish,
    /// Taken back: in the ledger, then at home, then where the copy lies.
    Back,
    Reopen {
        epoch: u8,
    },
    Tidy {
        epoch: u8,
    },
    /// Of the copy in the own database, which nobody else writes to any more.
    Empty {
        epoch: u8,
        id: u8,
    },
    Close {
        epoch: u8,
        id: u8,
    },
    SealAgain {
        epoch: u8,
    },
    OpenPurge,
    Purge,
    ClosePurge,
    Seal {
        seen: u8,
    },
    /// Recorded at an epoch above that one.
    Settle {
        seen: u8,
    },
    OpenOwn {
        epoch: u8,
    },
    Over,
}

impl Side {
    pub(super) fn other(self) -> Self {
        match self {
            Self::System => Self::Own,
            Self::Own => Self::System,
        }
    }
}

impl Place {
    pub(super) fn side(self) -> Side {
        match self {
            Self::System => Side::System,
            Self::Own(_) => Side::Own,
        }
    }
}

impl World {
    /// Who moves may do what next.
    pub(super) fn moves(&self, steps: &mut Vec<Step>) {
        for plan in [
            Plan::Move(Side::System),
            Plan::Move(Side::Own),
            Plan::TakeBack,
            Plan::Purge(Side::System),
            Plan::Purge(Side::Own),
            Plan::Accept,
        ] {
            if self.planned(plan).is_some() {
                steps.push(Step::Plan(plan));
            }
        }
        for (number, mover) in self.movers.iter().enumerate() {
            if !self.must_wait(mover) {
                steps.push(Step::Move(number, true));
            }
            if self.left.backs > 0 && mover.may_fail() {
                steps.push(Step::Move(number, false));
            }
        }
        if self.left.removals > 0 && self.is_served() && !self.is_locked_exclusively() {
            let rows = self.rows(self.place()) & self.acknowledged;
            steps.extend((0..8).map(|bit| 1 << bit).filter(|row| rows & row != 0).map(Step::Remove));
        }
    }

    /// Where the ledger says.
    pub(super) fn place(&self) -> Place {
        self.ledger.record.map_or(Place::System, |record| record.place)
    }

    /// The place of the record admits its epoch.
    pub(super) fn is_served(&self) -> bool {
        let record = self.ledger.record;
        !record.is_some_and(|record| record.moving)
            && self.admits(self.place(), record.map_or(0, |record| record.epoch))
    }

    pub(super) fn is_copying_to(&self, side: Side) -> bool {
        self.movers.iter().any(|mover| mover.to == side && matches!(mover.next, Next::Copy { inside: true, .. }))
    }

    fn is_busy(&self, side: Side) -> bool {
        match side {
            Side::System => self.is_locked(None),
            Side::Own => {
                self.is_copying_to(Side::Own)
                    || self.tasks(|task| matches!(task, Task::Writing { place: Place::Own(_), .. })) > 0
            }
        }
    }

    /// For a lock, that is.
    fn must_wait(&self, mover: &Mover) -> bool {
        match mover.next {
            Next::Begin { .. } => self.is_locked_exclusively(),
            Next::Freeze => self.slip != Some(Slip::FreezesUnderWriters) && self.is_busy(mover.to.other()),
            Next::Open | Next::OpenPurge | Next::ClosePurge => self.is_busy(mover.to),
            Next::Tidy { .. } | Next::Close { .. } if mover.to == Side::Own => {
                self.slip != Some(Slip::ClosedUnderWriters) && self.is_busy(mover.to)
            }
            Next::Close { .. } => self.is_busy(mover.to),
            Next::Switch | Next::Back | Next::Settle { .. } => self.is_busy(Side::System),
            _ => false,
        }
    }

    /// What a process says that has just read and seen everything.
    fn said(&self) -> Option<Verdict> {
        let mut fresh = Replica::default();
        fresh.read(&self.ledger, false);
        fresh.scan(self);
        let rows = if self.ledger.rows == 0 { Counted::None } else { Counted::Some };
        let seen = Ask { intent: Intent::Read, scanned: true, read: Read::Fresh, looked: true, rows, ..Ask::default() };
        fresh.task = Task::Asking(seen);
        let mut with = self.clone();
        with.replicas = vec![fresh];
        if with.listed().is_some() {
            with.look(0, true);
        }
        with.replicas[0].verdict()
    }

    fn planned(&self, plan: Plan) -> Option<Mover> {
        let record = self.ledger.record?;
        let mover = |to, next| Some(Mover { id: self.ids + 1, to, epoch: record.epoch, next });
        match plan {
            Plan::TakeBack => {
                let going = self.ledger.going.filter(|_| self.left.backs > 0)?;
                Some(Mover { id: going.id, to: going.to, epoch: record.epoch, next: Next::Back })
            }
            _ if self.listed().is_none_or(|own| !own.ready) => None,
            Plan::Move(to) if self.left.moves > 0 => match (self.ledger.going, to) {
                (Some(going), _) => {
                    let replaced = self.slip == Some(Slip::ReplacedInPlace) && going.to == to;
                    if replaced { mover(to, Next::Begin { instead: going.id }) } else { None }
                }
                (None, Side::System) => match self.said()? {
                    Verdict::Dedicated => mover(to, Next::Begin { instead: 0 }),
                    _ => None,
                },
                (None, Side::Own) => match self.said()? {
                    // A process that did not look would not know that it could be taken over.
                    Verdict::System { .. } | Verdict::Act(Act::TakeOver { .. }) => {
                        mover(to, Next::Begin { instead: 0 })
                    }
                    _ => None,
                },
            },
            Plan::Purge(of) if self.left.purges > 0 && self.place().side() != of && self.is_served() => {
                let rows = match of {
                    Side::System => self.ledger.rows,
                    Side::Own => self.own.map_or(0, |own| own.rows),
                };
                if rows == 0 { None } else { mover(of, Next::OpenPurge) }
            }
            Plan::Accept if self.left.accepts > 0 && record.place.side() == Side::Own && !record.moving => {
                let fence = self.listed()?.fence;
                if fence.is_some_and(|fence| fence.state == State::Copying) {
                    return None;
                }
                // The router has just read the ledger, too.
                let seen = fence.map_or(0, |fence| fence.epoch).max(record.epoch);
                mover(Side::Own, Next::Seal { seen })
            }
            _ => None,
        }
    }

    pub(super) fn plan(&mut self, plan: Plan) {
        let Some(mover) = self.planned(plan) else { return };
        match plan {
            Plan::Move(_) => self.left.moves -= 1,
            Plan::TakeBack => self.left.backs -= 1,
            Plan::Purge(_) => self.left.purges -= 1,
            Plan::Accept => self.left.accepts -= 1,
        }
        self.ids = self.ids.max(mover.id);
        self.movers.push(mover);
    }

    pub(super) fn remove(&mut self, row: u8) {
        self.left.removals -= 1;
        match self.place() {
            Place::System => self.ledger.rows &= !row,
            Place::Own(_) => self.own.iter_mut().for_each(|own| own.rows &= !row),
        }
        self.acknowledged &= !row;
        self.removed |= row;
    }

    /// The same, but that everybody has stopped: whoever comes then is alone, and makes no mistake.
    pub(super) fn abandoned(&self) -> Self {
        let left = Left { backs: 1, moves: 1, ..Left::default() };
        let Self { ledger, own, .. } = self.clone();
        Self { ledger, own, left, ids: self.ids, ..Self::default() }
    }

    /// Whoever comes takes back what was going on; then the solution is served, and can be moved.
    pub(super) fn ends_served(mut self) -> bool {
        if !self.carry(Plan::TakeBack) || !self.answers() {
            return false;
        }
        let from = self.place().side();
        self.carry(Plan::Move(from.other())) && self.place().side() != from && self.answers()
    }

    /// Does all of it.
    fn carry(&mut self, plan: Plan) -> bool {
        self.plan(plan);
        for _ in 0..40 {
            if self.movers.is_empty() {
                return true;
            }
            self.step(0, true);
        }
        false
    }

    /// A process that has just started answers a reading call.
    fn answers(&mut self) -> bool {
        self.replicas = vec![Replica::default()];
        self.replica(0, Replica::scan);
        self.read_ledger(0);
        self.replicas[0].task = Task::Asking(Ask::default());
        for _ in 0..20 {
            let task = self.replicas[0].task;
            if let Task::Routed { place, epoch, .. } = task
                && self.admits(place, epoch)
            {
                return true;
            }
            let next = self.go_on(0, task, true);
            self.replicas[0].task = next;
        }
        false
    }
}

impl Mover {
    /// Before the commit point a mover may give up, and takes back.
    fn may_fail(&self) -> bool {
        matches!(
            self.next,
            Next::Freeze | Next::Open | Next::Clear | Next::Copy { inside: false, .. } | Next::Compare | Next::Switch
        )
    }
}
