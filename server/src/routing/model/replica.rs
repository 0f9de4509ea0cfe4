//! What one process remembers, and the evidence it makes of that: as `gather` does.

use std::{sync::Arc, time::SystemTime};

use uuid::Uuid;

use super::world::{Fence, Ledger, Place, Record, State, World};
use crate::{
    config::{Isolation, Unregistered},
    domain::{DatabaseTarget, Error, SolutionId},
    routing::{
        decide::{Trace, Verdict, decide},
        evidence::{
            self, AppKind, Evidence, Found, LedgerRead, LedgerSays, Policy, Presence, RecordedAt, Replaced, Rows,
        },
        ledger::{Change, LedgerView, Origin, Reading},
    },
};

/// A process: lost with a crash, but for the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(super) struct Replica {
    pub(super) view: Option<View>,
    pub(super) snapshot: Option<View>,
    pub(super) catalog: Catalog,
    /// The recorded database was missing and is back, and the ledger was not read since.
    pub(super) returned: bool,
    pub(super) look: Option<Look>,
    pub(super) task: Task,
}

/// The ledger as it was last seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct View {
    pub(super) from_snapshot: bool,
    pub(super) change: u8,
    pub(super) forked: Option<u8>,
    pub(super) record: Option<Record>,
    pub(super) unvouched_through: u8,
    pub(super) conflict: Option<u8>,
}

/// The catalog as it was last seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(super) enum Catalog {
    #[default]
    Never,
    Absent,
    Listed(u8),
}

/// The own database as it was last seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Look {
    pub(super) made: u8,
    pub(super) inside: Inside,
    pub(super) rows: Counted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Inside {
    NotReady,
    NotEntered,
    Ready(Option<Fence>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(super) enum Counted {
    #[default]
    Unknown,
    None,
    Some,
    CouldNotLook,
}

/// What it does at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(super) enum Task {
    #[default]
    Idle,
    /// Gathers evidence.
    Asking(Ask),
    /// Knows where.
    Routed {
        intent: Intent,
        place: Place,
        epoch: u8,
        recorded: bool,
        by_snapshot: bool,
        refused: Option<Refused>,
        ready_before: bool,
    },
    /// The fence refused it: here now, and there before.
    Fenced { intent: Intent, now: Refused, before: Option<Refused>, ready_before: bool },
    /// In a transaction, after lock and fence.
    Writing { place: Place, epoch: u8, recorded: bool, ready_before: bool },
    /// Is about to set the fence of the own database.
    Activating { intent: Intent, made: u8, epoch: u8, refused: Option<Refused> },
    /// In the transaction of a taking over.
    TakeOver { ask: Ask, made: u8, epoch: Option<u8>, locked: bool },
}

/// The place and epoch of a route that a fence refused.
pub(super) type Refused = (Place, u8);

/// What a call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(super) enum Intent {
    #[default]
    Read,
    Write,
    Look,
}

/// What was done for one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(super) struct Ask {
    pub(super) intent: Intent,
    pub(super) scanned: bool,
    pub(super) read: Read,
    pub(super) looked: bool,
    pub(super) rows: Counted,
    /// A fence refused it.
    pub(super) refused: Option<Refused>,
    /// A ready database was listed when it came.
    pub(super) ready_before: bool,
    /// A taking over changed nothing.
    pub(super) overtaken: bool,
    /// It closed a released database.
    pub(super) retired: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(super) enum Read {
    #[default]
    NotTried,
    Fresh,
    Failed,
}

impl Replica {
    /// What `decide` says to the call under way; none if nothing is being decided.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        let Task::Asking(ask) = self.task else { return None };
        let record = self.view.and_then(|view| view.record).map(real);
        Some(decide(&self.evidence(&ask, record.as_ref()), &mut Trace::default()))
    }

    fn evidence<'r>(&self, ask: &Ask, record: Option<&'r evidence::Record>) -> Evidence<'r> {
        let ledger = match (self.view, record) {
            (None, _) => LedgerSays::Unreadable { snapshot: None },
            (Some(view), snapshot) if view.from_snapshot => LedgerSays::Unreadable { snapshot },
            (Some(_), Some(record)) => LedgerSays::Record(record),
            (Some(_), None) if ask.read != Read::Fresh => LedgerSays::Unreadable { snapshot: None },
            (Some(_), None) => LedgerSays::Nothing { registered: false },
        };
        let presence = match (ledger.record().map(|record| &record.at), self.catalog) {
            (None, _) if !ask.scanned => Presence::Unknown("not scanned since the call"),
            (_, Catalog::Never) => Presence::Unknown("never scanned"),
            (_, Catalog::Absent) => Presence::Absent,
            (Some(RecordedAt::Dedicated { oid, .. }), Catalog::Listed(made)) if *oid != u32::from(made) => {
                Presence::Present(found(made, Replaced::Oid))
            }
            (_, Catalog::Listed(made)) => Presence::Present(found(made, Replaced::No)),
        };
        let (inside, rows) = self.inside(ask, record.is_some(), &presence);
        Evidence {
            app: AppKind::Documents,
            policy: Policy { isolation: Isolation::Preferred, unregistered: Unregistered::System, shared: true },
            ledger,
            presence,
            inside,
            rows,
            followed: None,
            conflict: self.view.is_some_and(|view| view.conflict.is_some()),
            vouched: self
                .view
                .is_some_and(|view| view.record.is_some_and(|record| record.change > view.unvouched_through)),
            returned: self.returned && matches!(ledger, LedgerSays::Record(record) if record.at != RecordedAt::System),
            scanned: ask.scanned,
            ledger_read: match ask.read {
                Read::NotTried => LedgerRead::NotTried,
                Read::Fresh => LedgerRead::Fresh,
                Read::Failed => LedgerRead::Failed,
            },
        }
    }

    fn inside(&self, ask: &Ask, recorded: bool, presence: &Presence) -> (evidence::Inside, Rows) {
        let look = self.look.filter(|look| match presence {
            Presence::Present(found) => found.oid == u32::from(look.made),
            _ => ask.looked,
        });
        match look {
            Some(look) if ask.looked => (look.inside.real(look.made), ask.rows.real()),
            Some(look) if recorded && ask.intent != Intent::Look => (look.inside.real(look.made), look.rows.real()),
            _ => (evidence::Inside::NotLooked, ask.rows.real()),
        }
    }

    /// The database went while a call was under way.
    pub(super) fn expects_no_ready_database(&mut self) {
        match &mut self.task {
            Task::Asking(ask) | Task::TakeOver { ask, .. } => ask.ready_before = false,
            Task::Routed { ready_before, .. }
            | Task::Fenced { ready_before, .. }
            | Task::Writing { ready_before, .. } => *ready_before = false,
            Task::Idle | Task::Activating { .. } => {}
        }
    }

    /// Scans the server.
    pub(super) fn scan(&mut self, world: &World) {
        let before = self.catalog;
        self.catalog = world.listed().map_or(Catalog::Absent, |own| Catalog::Listed(own.made));
        let recorded = self.view.and_then(|view| view.record).is_some_and(|record| record.place != Place::System);
        self.returned &= recorded;
        self.returned |= recorded && before == Catalog::Absent && self.catalog != Catalog::Absent;
        // Looks of databases that are not listed any more are forgotten.
        self.look = self.look.filter(|look| self.catalog == Catalog::Listed(look.made));
    }

    /// Reads the ledger, and keeps a snapshot of it if `keeps`.
    pub(super) fn read(&mut self, ledger: &Ledger, keeps: bool) {
        let before = self.view.map_or_else(LedgerView::default, View::real);
        let continues = self.view.is_some_and(|view| ledger.contains(view.change, view.forked));
        let after = if continues { self.view.map(|view| view.change) } else { None };
        let record = ledger.record.filter(|record| after.is_none_or(|after| record.change > after));
        let merged = before.merge(Reading {
            last_change: Some(change(ledger.change, ledger.forked)),
            continues,
            placements: record.into_iter().map(|record| (app(), solution(), real(record))).collect(),
            ..Reading::default()
        });
        let view = View {
            from_snapshot: merged.origin != Origin::Ledger,
            change: ledger.change,
            forked: ledger.forked,
            record: merged.placement(&app(), solution().as_str()).map(|record| small(record)),
            unvouched_through: u8::try_from(merged.unvouched_through).unwrap(),
            conflict: merged.conflicts.get(&(app(), solution())).map(|epoch| u8::try_from(*epoch).unwrap()),
        };
        self.returned = false;
        self.view = Some(view);
        let later = self.snapshot.is_none_or(|before| before.change <= view.change);
        if keeps && view.conflict.is_none() && later {
            // What nothing vouched for, a snapshot of it does not vouch for either.
            self.snapshot = Some(View { from_snapshot: true, ..view });
        }
    }
}

impl View {
    fn real(self) -> LedgerView {
        let mut view = LedgerView::default();
        view.origin = if self.from_snapshot { Origin::Snapshot } else { Origin::Ledger };
        view.last_change = Some(change(self.change, self.forked));
        view.unvouched_through = i64::from(self.unvouched_through);
        if let Some(record) = self.record {
            view.insert(app(), solution(), real(record));
        }
        if let Some(epoch) = self.conflict {
            view.conflicts.insert((app(), solution()), i64::from(epoch));
        }
        view
    }
}

impl Inside {
    fn real(self, made: u8) -> evidence::Inside {
        match self {
            Self::NotReady => evidence::Inside::NotReady("not ready"),
            Self::NotEntered => evidence::Inside::NotEntered(Error::PoolExhausted),
            Self::Ready(fence) => evidence::Inside::Ready {
                uuid: uuid(made),
                fence: fence.map(|fence| evidence::Fence {
                    epoch: i64::from(fence.epoch),
                    active: fence.is_active(),
                    copying: fence.state == State::Copying,
                }),
            },
        }
    }
}

impl Counted {
    fn real(self) -> Rows {
        match self {
            Self::Unknown => Rows::NotCounted,
            Self::None => Rows::None,
            Self::Some => Rows::Some,
            Self::CouldNotLook => Rows::CouldNotLook,
        }
    }
}

fn real(record: Record) -> evidence::Record {
    let at = match record.place {
        Place::System => RecordedAt::System,
        Place::Own(made) => RecordedAt::Dedicated {
            target: found(made, Replaced::No).target,
            oid: u32::from(made),
            uuid: Some(uuid(made)),
        },
    };
    evidence::Record {
        at,
        epoch: i64::from(record.epoch),
        moving: record.moving,
        released_uuid: (record.released > 0).then(|| uuid(record.released)),
        change_number: i64::from(record.change),
        known_since: None,
        update_time: SystemTime::UNIX_EPOCH,
    }
}

fn small(record: &evidence::Record) -> Record {
    let place = match &record.at {
        RecordedAt::System => Place::System,
        RecordedAt::Dedicated { oid, .. } => Place::Own(u8::try_from(*oid).unwrap()),
    };
    Record {
        place,
        epoch: u8::try_from(record.epoch).unwrap(),
        released: record.released_uuid.map_or(0, |uuid| u8::try_from(uuid.as_u128()).unwrap()),
        change: u8::try_from(record.change_number).unwrap(),
        moving: record.moving,
    }
}

fn found(made: u8, replaced: Replaced) -> Found {
    Found { target: DatabaseTarget::new(&"main".into(), "djo_acme_db"), oid: u32::from(made), replaced }
}

fn uuid(made: u8) -> Uuid {
    Uuid::from_u128(u128::from(made))
}

fn change(number: u8, forked: Option<u8>) -> Change {
    let uuid = Uuid::from_u128(u128::from(number) << 8 | u128::from(forked.map_or(0, |forked| forked + 1)));
    Change { ledger_id: Uuid::nil(), number: i64::from(number), uuid }
}

fn app() -> Arc<str> {
    "fbs_dms".into()
}

fn solution() -> SolutionId {
    SolutionId::parse("acme").unwrap()
}
