//! One call of one process: as `resolve`, `session` and `ledger_write` do, a lock, a statement or a COMMIT a step.
//!
//! A call that fails simply ends; its caller may come again.

use super::{
    replica::{Ask, Catalog, Counted, Inside, Intent, Look, Read, Replica, Task},
    world::{Fence, Place, Slip, State, World},
};
use crate::routing::decide::{Act, Need, Verdict};

impl World {
    /// The next step of a call. `answers`: whoever is asked does.
    pub(super) fn go_on(&mut self, number: usize, task: Task, answers: bool) -> Task {
        match task {
            Task::Idle => Task::Idle,
            Task::Asking(ask) => self.ask(number, ask, answers),
            Task::Activating { intent, made, epoch, refused } => {
                let Some(own) = self.listed_mut().filter(|own| own.made == made && answers) else { return Task::Idle };
                if own.fence.is_none_or(|fence| fence.epoch < epoch) {
                    own.fence = Some(Fence::active(epoch));
                }
                if intent == Intent::Look {
                    return Task::Idle;
                }
                let place = Place::Own(made);
                Task::Routed { intent, place, epoch, recorded: true, by_snapshot: false, refused, ready_before: false }
            }
            Task::Routed { intent, place, epoch, recorded, refused, ready_before, .. } => {
                if !answers {
                    return Task::Idle;
                }
                if !self.admits(place, epoch) {
                    return Task::Fenced { intent, now: (place, epoch), before: refused, ready_before };
                }
                if intent == Intent::Write {
                    return Task::Writing { place, epoch, recorded, ready_before };
                }
                self.broken.answer_lacks_write |= self.acknowledged & !self.rows(place) != 0;
                Task::Idle
            }
            Task::Fenced { .. } if !answers => Task::Idle,
            Task::Fenced { .. } => self.fenced(number, task),
            Task::Writing { place, epoch, recorded, ready_before } => {
                self.commit(place, epoch, recorded, ready_before);
                Task::Idle
            }
            Task::TakeOver { ask, made, epoch, locked: false, .. } => {
                if !answers {
                    return Task::Idle;
                }
                // A second statement: what those we waited for have written is seen.
                if self.ledger.rows != 0 {
                    return self.nothing_changed(number, ask);
                }
                Task::TakeOver { ask, made, epoch, locked: true }
            }
            Task::TakeOver { ask, made, epoch, .. } => self.take_over(number, ask, made, epoch, answers),
        }
    }

    /// The fence refused: the ledger is read, the database looked at, and the call tried once more. The same route refused
    /// twice is a conflict, if the ledger says the same after that.
    fn fenced(&mut self, number: usize, task: Task) -> Task {
        let Task::Fenced { intent, now, before, ready_before } = task else { return Task::Idle };
        let (place, again) = (now.0, before == Some(now));
        // Further tries are like these.
        if before.is_some() && !again || place != Place::System && self.listed().is_none() {
            return Task::Idle;
        }
        if !again || self.slip != Some(Slip::ConflictFromMemory) {
            self.read_ledger(number);
        }
        if again {
            let view = self.replicas[number].view.filter(|view| view.conflict.is_none());
            let record = view.and_then(|view| view.record);
            let same = record
                .map_or(now == (Place::System, 0), |record| !record.moving && (record.place, record.epoch) == now);
            // Only an old ledger contradicts a fence, or one that somebody gave up.
            self.broken.conflict_without_cause |= same && !self.restored && !self.given_up;
            return Task::Idle;
        }
        let ask = Ask { intent, ready_before, refused: Some(now), ..Ask::default() };
        match place {
            Place::System => Task::Asking(ask),
            Place::Own(_) => {
                self.look(number, true);
                Task::Asking(Ask { looked: true, ..ask })
            }
        }
    }

    fn commit(&mut self, place: Place, epoch: u8, recorded: bool, ready_before: bool) {
        let row = 1 << self.writes;
        self.writes += 1;
        let given_up = self.ledger.record.is_some_and(|record| place == Place::Own(record.released));
        self.broken.written_elsewhere |= given_up || self.acknowledged & !self.rows(place) != 0;
        self.acknowledged |= row;
        match place {
            Place::Own(_) => self.own.iter_mut().for_each(|own| own.rows |= row),
            Place::System => {
                self.ledger.rows |= row;
                if !recorded {
                    self.broken.ready_database_missed |= ready_before;
                    self.record_system(epoch);
                }
            }
        }
    }

    /// `record_system.sql` and `fence_first_write.sql`.
    fn record_system(&mut self, epoch: u8) {
        if self.ledger.record.is_none() {
            self.ledger.write(Place::System, epoch, 0);
        }
        self.ledger.fence.get_or_insert(Fence::active(0));
    }

    /// Compare and set, the fence, COMMIT. Without an answer to it, nobody knows.
    fn take_over(&mut self, number: usize, ask: Ask, made: u8, expected: Option<u8>, answers: bool) -> Task {
        let as_expected = match (expected, self.ledger.record) {
            (None, None) => true,
            (Some(epoch), Some(record)) => {
                record.place == Place::System && record.epoch == epoch && record.released != made && !record.moving
            }
            _ => false,
        };
        let epoch = expected.unwrap_or(0) + 1;
        if !as_expected || self.ledger.fence.is_some_and(|fence| fence.epoch >= epoch) {
            return self.nothing_changed(number, ask);
        }
        let released = self.ledger.record.map_or(0, |record| record.released);
        self.ledger.write(Place::Own(made), epoch, released);
        self.ledger.fence = Some(Fence::moved(epoch));
        if !answers {
            return Task::Idle;
        }
        self.read_ledger(number);
        Task::Asking(Ask { read: Read::Fresh, rows: Counted::Unknown, ..ask })
    }

    /// The world has moved on: what was counted is forgotten, the ledger is read.
    fn nothing_changed(&mut self, number: usize, ask: Ask) -> Task {
        self.read_ledger(number);
        self.replicas[number].look.iter_mut().for_each(|look| look.rows = Counted::Unknown);
        Task::Asking(Ask { read: Read::Fresh, rows: Counted::Unknown, overtaken: true, ..ask })
    }

    /// One step of finding the route.
    fn ask(&mut self, number: usize, ask: Ask, answers: bool) -> Task {
        let replica = self.replicas[number];
        if ask.intent == Intent::Look && !ask.looked && !ask.retired {
            // The point of this call is to look.
            self.look(number, answers);
            return Task::Asking(Ask { looked: true, ..ask });
        }
        let Some(verdict) = replica.verdict() else { return Task::Idle };
        let Ask { intent, refused, ready_before, .. } = ask;
        match verdict {
            Verdict::Need(need) => Task::Asking(self.fetch(number, ask, &need, answers)),
            Verdict::Refused(_) => Task::Idle,
            Verdict::System { .. } | Verdict::Dedicated if !answers => Task::Idle,
            Verdict::System { .. } if intent == Intent::Look => Task::Idle,
            Verdict::System { epoch, .. } => {
                let epoch = u8::try_from(epoch).unwrap();
                let recorded = replica.view.is_some_and(|view| view.record.is_some());
                let place = Place::System;
                Task::Routed { intent, place, epoch, recorded, by_snapshot: false, refused, ready_before }
            }
            Verdict::Dedicated => {
                let Some(view) = replica.view else { return Task::Idle };
                let Some(record) = view.record else { return Task::Idle };
                let Place::Own(made) = record.place else { panic!("a dedicated route without a dedicated record") };
                let (epoch, place) = (record.epoch, record.place);
                if let Some(Look { inside: Inside::Ready(fence), .. }) = replica.look
                    && ask.looked
                    && !view.from_snapshot
                    && fence.is_none_or(|fence| fence.epoch < epoch)
                {
                    return Task::Activating { intent, made, epoch, refused };
                }
                let by_snapshot = view.from_snapshot;
                Task::Routed { intent, place, epoch, recorded: true, by_snapshot, refused, ready_before: false }
            }
            Verdict::Act(_) if !answers => Task::Idle,
            Verdict::Act(act) => self.act(number, ask, &act),
        }
    }

    fn act(&mut self, number: usize, ask: Ask, act: &Act) -> Task {
        let record = self.replicas[number].view.and_then(|view| view.record);
        match act {
            Act::TakeOver { found, .. } => {
                self.broken.in_vain |= ask.overtaken && ask.rows == Counted::Unknown;
                let epoch = record.map(|record| record.epoch);
                let made = u8::try_from(found.oid).unwrap();
                if epoch.is_some_and(|epoch| epoch > 0 && !self.seal(epoch)) {
                    return self.nothing_changed(number, ask);
                }
                Task::TakeOver { ask, made, epoch, locked: false }
            }
            Act::RecordSystem => {
                if self.is_locked_exclusively() {
                    return Task::Idle;
                }
                self.record_system(0);
                self.read_ledger(number);
                Task::Asking(Ask { read: Read::Fresh, rows: Counted::Unknown, ..ask })
            }
            Act::Retire { found, .. } => {
                let epoch = record.map_or(0, |record| record.epoch);
                let Some(own) = self.own.as_mut().filter(|own| own.listed && u32::from(own.made) == found.oid) else {
                    return Task::Idle;
                };
                if own.fence.is_none_or(|fence| fence.epoch < epoch) {
                    own.fence = Some(Fence::moved(epoch));
                }
                self.broken.in_vain |= ask.retired;
                self.replicas[number].look = None;
                Task::Asking(Ask { looked: false, retired: true, ..ask })
            }
            Act::RecordDedicated(_) | Act::AdoptOid(_) | Act::Follow(_) => panic!("not in this world: {act:?}"),
        }
    }

    fn fetch(&mut self, number: usize, mut ask: Ask, need: &Need, answers: bool) -> Ask {
        match need {
            Need::Scan => {
                if answers {
                    self.replica(number, Replica::scan);
                }
                Ask { scanned: true, ..ask }
            }
            Need::Ledger => {
                // A pair without a record needs both; neither waits for the other.
                if self.replicas[number].view.is_none_or(|view| view.record.is_none()) {
                    self.replica(number, Replica::scan);
                    ask.scanned = true;
                }
                if answers {
                    self.read_ledger(number);
                }
                Ask { read: if answers { Read::Fresh } else { Read::Failed }, ..ask }
            }
            Need::Inside(found) => {
                let as_listed = self.listed().is_some_and(|own| u32::from(own.made) == found.oid);
                self.look(number, answers && as_listed);
                Ask { looked: true, ..ask }
            }
            Need::Rows => {
                let rows = match (answers, self.ledger.rows) {
                    (false, _) => Counted::CouldNotLook,
                    (true, 0) => Counted::None,
                    (true, _) => Counted::Some,
                };
                self.replicas[number].look.iter_mut().for_each(|look| look.rows = rows);
                Ask { rows, ..ask }
            }
        }
    }

    pub(super) fn look(&mut self, number: usize, answers: bool) {
        let listed = match self.replicas[number].catalog {
            Catalog::Listed(made) => made,
            // A snapshot is confirmed before the first scan.
            Catalog::Never | Catalog::Absent => self.own.map_or(0, |own| own.made),
        };
        let inside = match self.listed() {
            Some(own) if answers && own.made == listed && own.ready => Inside::Ready(own.fence.map(|fence| {
                let is_ignored = self.slip == Some(Slip::CopyIgnored) && fence.state == State::Copying;
                Fence { state: if is_ignored { State::Moved } else { fence.state }, holder: 0, ..fence }
            })),
            Some(own) if answers && own.made == listed => Inside::NotReady,
            _ => Inside::NotEntered,
        };
        self.replicas[number].look = Some(Look { made: listed, inside, rows: Counted::Unknown });
    }
}
