//! Permits to use a connection of one server, given in turn.
//!
//! Whoever has a permit may have one connection, so what is in use, being made or in quarantine never exceeds the
//! limit, and among as many open ones one is idle for him, or can be closed for him. How long permits are held is
//! measured: a caller whose turn would come too late is told at once.

mod turns;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

pub(super) use self::turns::Limits;
use self::turns::{Ticket, Turns, Who};
use crate::domain::SolutionId;

/// Between two permits more, after the limit was lowered.
const GROW: Duration = Duration::from_secs(1);
/// However little the server allows: one for routing, one for documents.
const LEAST: usize = 2;
/// Weight of the newest among the times for which permits were held.
const NEWEST: f64 = 0.125;

/// On whose behalf a connection is wanted.
#[derive(Debug, Clone, Copy)]
pub enum Purpose<'s> {
    /// Routing: a look inside a database, a change of the ledger, a move. Never waits behind documents.
    Routing,
    /// The documents of a solution, in turn with others'.
    Documents(&'s SolutionId),
}

/// The permits of one server.
#[derive(Debug)]
pub(super) struct Budget {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    turns: Turns<Caller>,
    /// As configured.
    most: usize,
    /// For how long a permit is held, on average.
    held: Duration,
    /// And of each database.
    held_in: HashMap<Arc<str>, Duration>,
    /// When the limit was changed last, if it is below the configured one.
    changed: Option<Instant>,
}

#[derive(Debug)]
struct Caller {
    since: Instant,
    told: oneshot::Sender<()>,
}

/// The right to use one connection. Comes back when it is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    budget: Arc<Budget>,
    who: Who,
    since: Instant,
}

/// No permit in time, and none to be expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoPermit;

/// Permits as they are now.
#[derive(Debug, Clone, Copy, Default)]
pub struct BudgetStatus {
    /// The most there may be now: as configured, or less while the server has no room.
    pub limit: usize,
    /// In use.
    pub used: usize,
    /// Callers who wait.
    pub waiting: usize,
    /// How long the first of them has waited.
    pub longest_wait: Duration,
}

/// A place in the queue. Left when it is dropped; a permit that came too late to be noticed goes back.
struct Place<'b> {
    budget: &'b Budget,
    who: &'b Who,
    ticket: Ticket,
    /// The permit was noticed: from then on it gives itself back.
    noticed: bool,
}

// === impl Budget ===

impl Budget {
    pub(super) fn new(limits: Limits) -> Self {
        let state = State {
            turns: Turns::new(limits),
            most: limits.all,
            held: Duration::ZERO,
            held_in: HashMap::new(),
            changed: None,
        };
        Self { state: Mutex::new(state) }
    }

    /// A permit, when it is this caller's turn, by `until` at the latest.
    pub(super) async fn permit(
        self: &Arc<Self>,
        database: &Arc<str>,
        purpose: Purpose<'_>,
        until: Instant,
    ) -> Result<Permit, NoPermit> {
        let solution = match purpose {
            Purpose::Routing => None,
            Purpose::Documents(solution) => Some(solution.clone()),
        };
        let who = Who { database: Arc::clone(database), solution };
        let (told, hears) = oneshot::channel();
        let mut place = {
            let mut state = self.lock();
            if state.turns.take(&who) {
                drop(state);
                return Ok(Permit::new(self, who));
            }
            let since = Instant::now();
            if since + state.expected_wait(&who) > until {
                return Err(NoPermit);
            }
            let ticket = state.turns.wait(&who, Caller { since, told }).map_err(|_full| NoPermit)?;
            drop(state);
            Place { budget: self, who: &who, ticket, noticed: false }
        };
        let heard = timeout_at(until, hears).await;
        place.noticed = matches!(heard, Ok(Ok(())));
        let noticed = place.noticed;
        drop(place);
        if noticed { Ok(Permit::new(self, who)) } else { Err(NoPermit) }
    }

    /// The server has no room for as many connections as we may have: `open` were too many. Until it has again, fewer.
    pub(super) fn lower(&self, open: usize) {
        let mut state = self.lock();
        let all = (open - open / 4).clamp(LEAST, state.turns.all());
        state.turns.set_all(all);
        state.changed = Some(Instant::now());
    }

    /// Other limits than before. A limit that the server has lowered stays lowered.
    pub(super) fn set_limits(&self, limits: Limits) {
        let mut state = self.lock();
        let all = if state.changed.is_some() { state.turns.all().min(limits.all) } else { limits.all };
        state.most = limits.all;
        state.changed = state.changed.filter(|_| all < limits.all);
        state.turns.set_limits(Limits { all, ..limits });
        state.serve();
    }

    /// The most connections that there may be now.
    pub(super) fn limit(&self) -> usize {
        self.lock().turns.all()
    }

    /// Forgets databases that nobody uses.
    pub(super) fn prune(&self) {
        let mut state = self.lock();
        let State { turns, held_in, .. } = &mut *state;
        turns.prune();
        held_in.retain(|database, _| turns.knows(database));
    }

    /// As it is now.
    pub(super) fn status(&self) -> BudgetStatus {
        let state = self.lock();
        let now = Instant::now();
        let (mut waiting, mut longest_wait) = (0, Duration::ZERO);
        for caller in state.turns.callers() {
            waiting += 1;
            longest_wait = longest_wait.max(now - caller.since);
        }
        BudgetStatus { limit: state.turns.all(), used: state.turns.out(), waiting, longest_wait }
    }

    fn give_back(&self, who: &Who, held: Option<Duration>) {
        let mut state = self.lock();
        if let Some(held) = held {
            state.learn(who, held);
        }
        state.turns.give_back(who);
        state.grow();
        state.serve();
    }

    /// The counts are whole whenever the lock is free, also after a panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A limit that was lowered rises again by and by, tried by whoever comes.
    fn grow(&mut self) {
        if self.changed.is_some_and(|changed| changed.elapsed() >= GROW) {
            let all = (self.turns.all() + 1).min(self.most);
            self.turns.set_all(all);
            self.changed = (all < self.most).then(Instant::now);
        }
    }

    /// How long a new caller would wait. What permits of his own database are held for says most of it.
    fn expected_wait(&self, who: &Who) -> Duration {
        let ahead = self.turns.turns_ahead(who);
        let here = self.held_in.get(&who.database).copied().unwrap_or_default();
        here.mul_f64(ahead.here).max(self.held.mul_f64(ahead.all))
    }

    fn learn(&mut self, who: &Who, held: Duration) {
        let mix = |before: Duration| before.mul_f64(1.0 - NEWEST) + held.mul_f64(NEWEST);
        self.held = mix(self.held);
        let here = self.held_in.entry(Arc::clone(&who.database)).or_default();
        *here = mix(*here);
    }

    fn serve(&mut self) {
        while let Some(caller) = self.turns.next() {
            // Whoever left meanwhile finds that his place was served, and gives the permit back.
            let _heard = caller.told.send(());
        }
    }
}

// === impl Permit ===

impl Permit {
    fn new(budget: &Arc<Budget>, who: Who) -> Self {
        Self { budget: Arc::clone(budget), who, since: Instant::now() }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.budget.give_back(&self.who, Some(self.since.elapsed()));
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.noticed {
            return;
        }
        let left = self.budget.lock().turns.leave(self.who, self.ticket);
        if !left {
            self.budget.give_back(self.who, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    fn budget(all: usize) -> Arc<Budget> {
        Arc::new(Budget::new(Limits { all, database: 8, solution: 8, waiting: 8 }))
    }

    async fn ask(budget: &Arc<Budget>, name: &str, within: Duration) -> Result<Permit, NoPermit> {
        let solution: SolutionId = SolutionId::parse(name).unwrap();
        budget.permit(&name.into(), Purpose::Documents(&solution), Instant::now() + within).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_who_leaves_gives_up_his_place_and_what_came_too_late() {
        let budget = budget(2);
        let held = ask(&budget, "a", SOON).await.unwrap();
        assert_eq!(ask(&budget, "b", Duration::from_millis(1)).await.unwrap_err(), NoPermit);
        assert_eq!(budget.status().waiting, 0);
        // Told, and gone before it could hear.
        let mut gone = Box::pin(ask(&budget, "b", SOON));
        assert!((&mut gone).now_or_never().is_none());
        drop(held);
        assert_eq!((budget.status().used, budget.status().waiting), (1, 0));
        drop(gone);
        assert_eq!(budget.status().used, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn whose_turn_would_come_too_late_is_told_at_once() {
        let budget = budget(2);
        let held = ask(&budget, "a", SOON).await.unwrap();
        tokio::time::advance(SOON * 8).await;
        drop(held);
        let held = ask(&budget, "a", SOON).await.unwrap();
        let begin = Instant::now();
        assert!(ask(&budget, "b", Duration::from_secs(1)).await.is_err());
        assert_eq!(begin.elapsed(), Duration::ZERO, "a permit is held for 5 s on average");
        let (got, ()) = tokio::join!(ask(&budget, "b", SOON * 2), async { drop(held) });
        assert!(got.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_lowered_limit_grows_back_while_permits_come_and_go() {
        let budget = budget(9);
        budget.lower(8);
        assert_eq!(budget.limit(), 6);
        drop(ask(&budget, "a", SOON).await.unwrap());
        assert_eq!(budget.limit(), 6);
        for expected in [7, 8, 9, 9] {
            tokio::time::advance(GROW).await;
            drop(ask(&budget, "a", SOON).await.unwrap());
            assert_eq!(budget.limit(), expected);
        }
    }
}
