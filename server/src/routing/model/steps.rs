//! Who may do what next: solution implementers, operators, the processes' background tasks; and the locks that calls
//! wait for.

use super::{
    Scenario,
    moving::{Plan, Side},
    replica::{Ask, Catalog, Intent, Replica, Task, View},
    world::{Fence, Ledger, Own, Place, State, World},
};

/// One thing that happens. A number is a replica's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Step {
    /// Somebody makes the solution's database.
    Create {
        ready: bool,
    },
    Prepare,
    RenameAway,
    RenameBack,
    /// It is dropped, and another one made under its name.
    MakeAgain,
    Restore,
    /// An operator gives the own database up.
    Release,
    Scan(usize),
    ReadLedger(usize),
    Begin(usize, Intent),
    /// The next step of a call; `false`: whoever is asked does not answer.
    Next(usize, bool),
    /// A process dies and starts, with its snapshot or without.
    Restart(usize, bool),
    /// A move, or what an operator settled, is planned.
    Plan(Plan),
    /// The next step of a mover; `false`: it fails.
    Move(usize, bool),
    /// Whoever wrote a row removes it.
    Remove(u8),
}

impl Scenario {
    /// What may happen.
    pub(super) fn steps(&self, world: &World, steps: &mut Vec<Step>) {
        self.outside(world, steps);
        world.moves(steps);
        let calls = world.tasks(|task| *task != Task::Idle);
        let writing = world.tasks(|task| task.intent() == Some(Intent::Write));
        for (number, replica) in world.replicas.iter().enumerate() {
            steps.extend([Step::Scan(number), Step::ReadLedger(number)]);
            if world.left.crashes > 0 && replica.view.is_some() {
                steps.push(Step::Restart(number, false));
                steps.extend(replica.snapshot.map(|_| Step::Restart(number, true)));
            }
            match replica.task {
                Task::Idle if calls < self.calls => {
                    steps.push(Step::Begin(number, Intent::Read));
                    if usize::from(world.writes) + writing < usize::from(self.writes) {
                        steps.push(Step::Begin(number, Intent::Write));
                    }
                    let record = replica.view.and_then(|view| view.record);
                    if record.is_some_and(|record| record.place == Place::System)
                        && matches!(replica.catalog, Catalog::Listed(_))
                        && self.looks
                    {
                        steps.push(Step::Begin(number, Intent::Look));
                    }
                }
                Task::Idle => {}
                task => {
                    if world.may_go_on(task) {
                        steps.push(Step::Next(number, true));
                    }
                    if world.left.failures > 0 {
                        steps.push(Step::Next(number, false));
                    }
                }
            }
        }
    }

    fn outside(&self, world: &World, steps: &mut Vec<Step>) {
        let left = &world.left;
        let in_use = world.tasks(|task| matches!(task, Task::Writing { place: Place::Own(_), .. })) > 0;
        match &world.own {
            None if left.creations > 0 => steps.extend([Step::Create { ready: true }, Step::Create { ready: false }]),
            None => {}
            Some(own) => {
                if !own.ready {
                    steps.push(Step::Prepare);
                }
                if own.listed && left.absences > 0 && !in_use {
                    steps.push(Step::RenameAway);
                }
                if !own.listed && (!self.reconnected || world.is_reconnected(own)) {
                    steps.push(Step::RenameBack);
                }
                if !own.listed && left.creations > 0 {
                    steps.push(Step::MakeAgain);
                }
            }
        }
        if left.restores > 0 && world.backup.is_some() && (!self.caught_up || world.is_caught_up()) {
            steps.push(Step::Restore);
        }
        let gone = world.ledger.record.is_some_and(|record| match record.place {
            Place::System => false,
            Place::Own(made) => world.listed().is_none_or(|own| own.made != made),
        });
        let ahead = world.listed().is_some_and(|own| {
            own.fence.is_some_and(|fence| {
                fence.is_active() && fence.epoch > world.ledger.record.map_or(0, |record| record.epoch)
            })
        });
        // Nothing is released to where a copy lies that nobody finished, or while a move goes on.
        let leftover = world
            .ledger
            .fence
            .is_some_and(|fence| fence.state == State::Copying || fence.state == State::Moved && fence.holder != 0);
        let may_release = world.ledger.going.is_none() && !leftover && !world.is_locked(None);
        if left.releases > 0 && (gone || ahead && !in_use) && may_release {
            steps.push(Step::Release);
        }
    }
}

impl World {
    /// Goes one step.
    pub(super) fn take(&mut self, step: Step) {
        match step {
            Step::Create { ready } => {
                self.left.creations -= 1;
                self.own = Some(Own { made: 1, listed: true, ready, fence: None, rows: 0, torn: false });
            }
            Step::Prepare => self.own.iter_mut().for_each(|own| own.ready = true),
            Step::RenameAway => {
                self.left.absences -= 1;
                self.own.iter_mut().for_each(|own| own.listed = false);
                self.replicas.iter_mut().for_each(Replica::expects_no_ready_database);
            }
            Step::RenameBack => self.own.iter_mut().for_each(|own| own.listed = true),
            Step::MakeAgain => {
                self.left.creations -= 1;
                let made = self.own.map_or(1, |own| own.made + 1);
                self.own = Some(Own { made, listed: true, ready: true, fence: None, rows: 0, torn: false });
            }
            Step::Restore => self.restore(),
            Step::Release => self.release(),
            Step::Plan(plan) => self.plan(plan),
            Step::Move(number, succeeds) => self.step(number, succeeds),
            Step::Remove(row) => self.remove(row),
            Step::Scan(number) => self.replica(number, Replica::scan),
            Step::ReadLedger(number) => self.read_ledger(number),
            Step::Begin(number, intent) => {
                let ready_before =
                    self.ledger.record.is_none() && self.ledger.rows == 0 && self.listed().is_some_and(|own| own.ready);
                self.replicas[number].task = Task::Asking(Ask { intent, ready_before, ..Ask::default() });
            }
            Step::Next(number, answers) => {
                if !answers {
                    self.left.failures -= 1;
                }
                let task = self.replicas[number].task;
                let next = self.go_on(number, task, answers);
                self.replicas[number].task = next;
            }
            Step::Restart(number, with_snapshot) => {
                self.left.crashes -= 1;
                let snapshot = self.replicas[number].snapshot;
                let view = if with_snapshot { snapshot } else { None };
                self.replicas[number] = Replica { view, snapshot, ..Replica::default() };
            }
        }
    }

    pub(super) fn replica(&mut self, number: usize, does: impl FnOnce(&mut Replica, &Self)) {
        let mut replica = self.replicas[number];
        does(&mut replica, self);
        self.replicas[number] = replica;
    }

    pub(super) fn read_ledger(&mut self, number: usize) {
        let before = self.replicas[number].view.and_then(|view| view.record);
        let keeps = self.left.crashes > 0;
        self.replica(number, |replica, world| replica.read(&world.ledger, keeps));
        let Some(view) = self.replicas[number].view.filter(|view| view.conflict.is_none()) else { return };
        let Some(before) = before else { return };
        self.broken.epoch_fell |= view.record.is_none_or(|record| record.epoch < before.epoch);
        let released = view.record.is_some_and(|record| record.released != 0);
        let is_system = view.record.is_none_or(|record| record.place == Place::System);
        self.broken.went_back |= before.place != Place::System && is_system && !released;
    }

    /// The whole system database goes back. That takes longer than any call.
    fn restore(&mut self) {
        let Some(backup) = self.backup.take() else { return };
        self.left.restores -= 1;
        self.restored = true;
        self.ledger = Ledger { forked: Some(backup.change), ..backup };
        self.acknowledged &= backup.rows | self.own.as_ref().map_or(0, |own| own.rows);
        self.replicas.iter_mut().for_each(|replica| replica.task = Task::Idle);
    }

    /// An operator decides for the system database, at an epoch above all. Where the database can be reached, its
    /// fence is closed first.
    fn release(&mut self) {
        self.left.releases -= 1;
        let seen = self.replicas.iter().flat_map(|replica| [replica.view, replica.snapshot]).flatten();
        let seen = seen.flat_map(|view| [view.conflict, view.record.map(|record| record.epoch)]).flatten().max();
        let fence = self.own.and_then(|own| own.fence).map(|fence| fence.epoch);
        let record = self.ledger.record.map(|record| record.epoch);
        let epoch = seen.max(fence).max(record).unwrap_or(0) + 1;
        let given_up = match self.ledger.record.map(|record| record.place) {
            Some(Place::Own(made)) => made,
            Some(Place::System) | None => self.own.map_or(0, |own| own.made),
        };
        if let Some(own) = self.listed_mut().filter(|own| own.made == given_up) {
            own.fence = Some(Fence::moved(epoch));
        }
        self.ledger.write(Place::System, epoch, given_up);
        self.ledger.fence = Some(Fence::active(epoch));
        self.acknowledged &= self.ledger.rows;
        self.given_up = true;
    }

    /// Locks that would have to be waited for. `but`: one's own.
    pub(super) fn is_locked(&self, but: Option<Task>) -> bool {
        let others = self.tasks(|task| match task {
            Task::Writing { place: Place::System, .. } | Task::TakeOver { locked: true, .. } => Some(*task) != but,
            _ => false,
        });
        others > 0 || self.is_copying_to(Side::System)
    }

    pub(super) fn is_locked_exclusively(&self) -> bool {
        self.tasks(|task| matches!(task, Task::TakeOver { locked: true, .. })) > 0
    }

    fn may_go_on(&self, task: Task) -> bool {
        match task {
            Task::Routed { intent: Intent::Write, place: Place::System, .. } => !self.is_locked_exclusively(),
            Task::TakeOver { locked: false, .. } => !self.is_locked(None),
            _ => true,
        }
    }

    fn is_reconnected(&self, own: &Own) -> bool {
        if self.ledger.record.is_none_or(|record| record.released != own.made) {
            return true;
        }
        let there = |view: Option<View>| {
            view.and_then(|view| view.record).is_some_and(|record| record.place == Place::Own(own.made))
        };
        self.replicas.iter().all(|replica| {
            let saw_it_missing = replica.catalog == Catalog::Absent && replica.task == Task::Idle;
            // Nor does a call last that long.
            let on_its_way = match replica.task {
                Task::Routed { place, .. } | Task::Writing { place, .. } => place == Place::Own(own.made),
                Task::Activating { made, .. } => made == own.made,
                _ => false,
            };
            (!there(replica.view) || saw_it_missing) && !there(replica.snapshot) && !on_its_way
        })
    }

    fn is_caught_up(&self) -> bool {
        let views = self.replicas.iter().flat_map(|replica| [replica.view, replica.snapshot]).flatten();
        views.into_iter().all(|view| view.change == self.ledger.change)
    }
}

impl Task {
    fn intent(&self) -> Option<Intent> {
        match self {
            Self::Idle => None,
            Self::Asking(ask) | Self::TakeOver { ask, .. } => Some(ask.intent),
            Self::Routed { intent, .. } | Self::Fenced { intent, .. } | Self::Activating { intent, .. } => {
                Some(*intent)
            }
            Self::Writing { .. } => Some(Intent::Write),
        }
    }
}
