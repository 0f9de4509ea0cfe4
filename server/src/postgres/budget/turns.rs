//! Whose turn it is: a server's connections are shared fairly between solutions, not between callers.
//!
//! Pure: counts permits and keeps queues; knows no connection, no clock. The next permit goes to whichever waiting
//! solution has fewest. Equals take turns, of a few permits each: with a permit a connection changes its database, so
//! that it has to be made anew. Routing's own work comes first, and one permit is kept for it, so that no load of
//! documents can hold up a route.
//!
//! Invariants: no limit is exceeded; a permit is never left over while somebody may have it; one solution's callers are
//! served in the order in which they came.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use crate::domain::SolutionId;

/// Kept for routing: looks inside databases, changes of the ledger, moves.
const KEPT: usize = 1;

/// Permits that a solution gets in a row before its equals have their turn.
const TURN: u32 = 8;

/// On whose behalf, and for which database, a connection is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Who {
    pub(super) database: Arc<str>,
    /// None: routing itself.
    pub(super) solution: Option<SolutionId>,
}

/// The most there may be.
#[derive(Debug, Clone, Copy)]
pub(in crate::postgres) struct Limits {
    /// Permits in all, routing's included.
    pub(in crate::postgres) all: usize,
    /// Permits for documents in one database.
    pub(in crate::postgres) database: usize,
    /// Permits of one solution in one database.
    pub(in crate::postgres) solution: usize,
    /// Callers of one solution who wait.
    pub(in crate::postgres) waiting: usize,
}

/// The queue of a solution is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct QueueFull;

/// A place in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket(u64);

/// How long a new caller would wait, in times for which permits are held.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ahead {
    /// Of his own database, because of its limits and his solution's.
    pub(super) here: f64,
    /// Of any, because of the server's.
    pub(super) all: f64,
}

/// Permits given, and who waits for one. `W` is how a waiting caller is told.
#[derive(Debug)]
pub(super) struct Turns<W> {
    limits: Limits,
    /// Permits out.
    out: usize,
    /// Of which for documents.
    documents: usize,
    /// Callers who wait for one for documents.
    waiting: usize,
    routing: VecDeque<(Ticket, W)>,
    databases: HashMap<Arc<str>, Database<W>>,
    /// Databases in which somebody waits who may have a permit, by the rank of the best of them.
    ready: BTreeSet<(Rank, Arc<str>)>,
    /// Counts tickets and turns.
    clock: u64,
}

/// Permits that a solution has, then when its last turn ended or it began to wait: the smallest is next.
type Rank = (usize, u64);

#[derive(Debug)]
struct Database<W> {
    out: usize,
    solutions: HashMap<SolutionId, Waiting<W>>,
    /// Solutions that wait and are below their limit.
    ready: BTreeSet<(Rank, SolutionId)>,
}

#[derive(Debug)]
struct Waiting<W> {
    out: usize,
    since: u64,
    /// Permits it got in this turn.
    got: u32,
    queue: VecDeque<(Ticket, W)>,
}

impl<W> Turns<W> {
    pub(super) fn new(limits: Limits) -> Self {
        let (routing, databases, ready) = (VecDeque::new(), HashMap::new(), BTreeSet::new());
        Self { limits, out: 0, documents: 0, waiting: 0, routing, databases, ready, clock: 0 }
    }

    /// A permit at once, if nobody else may have it and no limit is reached.
    pub(super) fn take(&mut self, who: &Who) -> bool {
        let limits = self.limits;
        let Some(solution) = &who.solution else {
            let free = self.routing_may() && self.routing.is_empty();
            self.out += usize::from(free);
            return free;
        };
        if !self.documents_may() || !self.routing.is_empty() || !self.ready.is_empty() {
            return false;
        }
        let taken = self.change(&who.database, solution, |database, waiting| {
            let free = database.out < limits.database && waiting.out < limits.solution && waiting.queue.is_empty();
            database.out += usize::from(free);
            waiting.out += usize::from(free);
            free
        });
        self.out += usize::from(taken);
        self.documents += usize::from(taken);
        taken
    }

    /// A place in the queue, for a caller who got no permit at once.
    pub(super) fn wait(&mut self, who: &Who, caller: W) -> Result<Ticket, QueueFull> {
        self.clock += 1;
        let (ticket, most) = (Ticket(self.clock), self.limits.waiting);
        let Some(solution) = &who.solution else {
            self.routing.push_back((ticket, caller));
            return Ok(ticket);
        };
        self.change(&who.database, solution, |_, waiting| {
            if waiting.queue.len() >= most {
                return Err(QueueFull);
            }
            if waiting.queue.is_empty() {
                (waiting.since, waiting.got) = (ticket.0, 0);
            }
            waiting.queue.push_back((ticket, caller));
            Ok(())
        })?;
        self.waiting += 1;
        Ok(ticket)
    }

    /// Leaves the queue. False if the place was served already.
    pub(super) fn leave(&mut self, who: &Who, ticket: Ticket) -> bool {
        let leave = |queue: &mut VecDeque<(Ticket, W)>| match queue.iter().position(|(held, _)| *held == ticket) {
            Some(index) => queue.remove(index).is_some(),
            None => false,
        };
        let Some(solution) = &who.solution else { return leave(&mut self.routing) };
        let left = self.change(&who.database, solution, |_, waiting| leave(&mut waiting.queue));
        self.waiting -= usize::from(left);
        left
    }

    /// A permit comes back. Whoever is [`next`](Self::next) may have it.
    pub(super) fn give_back(&mut self, who: &Who) {
        self.out -= 1;
        if let Some(solution) = &who.solution {
            self.documents -= 1;
            self.change(&who.database, solution, |database, waiting| {
                database.out -= 1;
                waiting.out -= 1;
            });
        }
    }

    /// The caller who gets a permit now, counted as given; none: nobody waits who may have one. Asked until it is none
    /// whenever a permit came back or a limit was raised.
    pub(super) fn next(&mut self) -> Option<W> {
        if self.routing_may()
            && let Some((_, caller)) = self.routing.pop_front()
        {
            self.out += 1;
            return Some(caller);
        }
        if !self.documents_may() {
            return None;
        }
        let database = Arc::clone(&self.ready.first()?.1);
        let solution = self.databases.get(&database)?.ready.first()?.1.clone();
        self.clock += 1;
        let turn = self.clock;
        let (_, caller) = self.change(&database, &solution, |database, waiting| {
            let served = waiting.queue.pop_front();
            database.out += usize::from(served.is_some());
            waiting.out += usize::from(served.is_some());
            waiting.got += 1;
            if waiting.got >= TURN {
                (waiting.since, waiting.got) = (turn, 0);
            }
            served
        })?;
        self.out += 1;
        self.documents += 1;
        self.waiting -= 1;
        Some(caller)
    }

    /// How long a new caller of `who` would wait, in times for which a permit is held on average: each solution that
    /// waits as well has a turn before each of his. As things are now.
    pub(super) fn turns_ahead(&self, who: &Who) -> Ahead {
        let Some(solution) = &who.solution else { return Ahead { here: 0.0, all: 0.0 } };
        let database = self.databases.get(&who.database);
        let queued = database.and_then(|database| database.solutions.get(solution));
        let own = queued.map_or(0, |waiting| waiting.queue.len()) + 1;
        let rivals_here = database.map_or(0, |database| database.ready.len()).max(1);
        let rivals: usize = self.databases.values().map(|database| database.ready.len()).sum::<usize>().max(1);
        let before = |rivals: usize| (own * rivals).min(self.waiting + 1);
        let per = |turns: usize, permits: usize| turns as f64 / permits.max(1) as f64;
        Ahead {
            here: per(own, self.limits.solution).max(per(before(rivals_here), self.limits.database)),
            all: per(before(rivals), self.limits.all.saturating_sub(KEPT)),
        }
    }

    /// From now on so many permits in all. Those that are out stay.
    pub(super) fn set_all(&mut self, all: usize) {
        self.limits.all = all;
    }

    /// Other limits than before, in all and of each. What is out above them comes back by and by.
    pub(super) fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
        self.ready.clear();
        for (name, database) in &mut self.databases {
            let ready = database.solutions.iter().filter_map(|(id, waiting)| Some((waiting.rank(limits)?, id.clone())));
            database.ready = ready.collect();
            self.ready.extend(database.best(limits).map(|rank| (rank, Arc::clone(name))));
        }
    }

    /// Forgets databases that nobody uses.
    pub(super) fn prune(&mut self) {
        self.databases.retain(|_, database| database.out > 0 || !database.solutions.is_empty());
    }

    /// True if somebody uses that database, or waits for it.
    pub(super) fn knows(&self, database: &str) -> bool {
        self.databases.contains_key(database)
    }

    /// Permits out.
    pub(super) fn out(&self) -> usize {
        self.out
    }

    /// Permits in all.
    pub(super) fn all(&self) -> usize {
        self.limits.all
    }

    /// Everybody who waits.
    pub(super) fn callers(&self) -> impl Iterator<Item = &W> {
        let solutions = self.databases.values().flat_map(|database| database.solutions.values());
        self.routing.iter().chain(solutions.flat_map(|waiting| waiting.queue.iter())).map(|(_, caller)| caller)
    }

    /// Its own permit is there also when the limit was lowered below what documents have.
    fn routing_may(&self) -> bool {
        self.out < self.limits.all || self.out - self.documents < KEPT
    }

    fn documents_may(&self) -> bool {
        self.out < self.limits.all && self.documents < self.limits.all.saturating_sub(KEPT).max(1)
    }

    /// Changes a solution's counts, and keeps both orders in step with them.
    fn change<R>(
        &mut self,
        name: &Arc<str>,
        solution: &SolutionId,
        change: impl FnOnce(&mut Database<W>, &mut Waiting<W>) -> R,
    ) -> R {
        let limits = self.limits;
        let database = self.databases.entry(Arc::clone(name)).or_insert_with(Database::new);
        let best = database.best(limits);
        let mut waiting = database.solutions.remove(solution).unwrap_or_else(Waiting::new);
        if let Some(rank) = waiting.rank(limits) {
            database.ready.remove(&(rank, solution.clone()));
        }
        let result = change(database, &mut waiting);
        if let Some(rank) = waiting.rank(limits) {
            database.ready.insert((rank, solution.clone()));
        }
        if waiting.out > 0 || !waiting.queue.is_empty() {
            database.solutions.insert(solution.clone(), waiting);
        }
        let now = database.best(limits);
        if best != now {
            if let Some(rank) = best {
                self.ready.remove(&(rank, Arc::clone(name)));
            }
            if let Some(rank) = now {
                self.ready.insert((rank, Arc::clone(name)));
            }
        }
        result
    }
}

impl<W> Database<W> {
    fn new() -> Self {
        Self { out: 0, solutions: HashMap::new(), ready: BTreeSet::new() }
    }

    fn best(&self, limits: Limits) -> Option<Rank> {
        let may = self.out < limits.database;
        self.ready.first().filter(|_| may).map(|(rank, _)| *rank)
    }
}

impl<W> Waiting<W> {
    fn new() -> Self {
        Self { out: 0, since: 0, got: 0, queue: VecDeque::new() }
    }

    fn rank(&self, limits: Limits) -> Option<Rank> {
        (!self.queue.is_empty() && self.out < limits.solution).then_some((self.out, self.since))
    }
}

#[cfg(test)]
mod tests;
