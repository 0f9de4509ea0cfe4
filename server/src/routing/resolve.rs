//! Gathers evidence for one call until the decision settles, and writes what the decision asks to be written.
//!
//! The common case, a recorded placement, is answered from the table without waiting for anybody.

mod background;
mod steps;

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt, future};
use tokio::time::{Instant, timeout_at};

use super::{
    decide::{Need, Trace, Verdict, decide},
    evidence::{Found, Inside, LedgerRead, Presence, RecordedAt, Replaced},
    gather::{Gathered, scanned_before},
    ledger::Origin,
    ledger_write::{activate_fence, checkout},
    route::{Route, RouteState},
    router::Router,
    table::Table,
};
use crate::domain::{App, Call, Deadline, Error, Permitted, Result, SolutionId};

/// Evidence is gathered at most so often: each step settles something, so more is a bug or a very restless world.
const STEPS: usize = 12;
/// Pairs of one batch that are found out about at once; most are in the table anyway.
const AT_ONCE: usize = 32;

/// Nobody is kept longer by the ledger before he is told what is known without it.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// What is asked. Callers' questions are made by [`Ask::of`] alone, which wants the proof that they may ask.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The app.
    pub(super) app: &'a App,
    /// The documents app.
    pub(super) is_documents: bool,
    /// The solution.
    pub(super) solution: &'a SolutionId,
    /// Never the system database.
    pub(super) dedicated_only: bool,
    /// What for.
    pub(super) intent: Intent,
    /// Who asks: the audit of a taking over names him.
    pub(super) principal: &'a str,
    /// He may know that there is no such solution.
    pub(super) sees_all: bool,
    /// Until when.
    pub(super) deadline: Deadline,
}

/// What a route is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// To read, or to know: an absence seen a moment ago will do.
    Read,
    /// To write: nothing seen before the call proves an absence.
    Write,
    /// To look again at a database that is not used yet, in the background.
    Look,
}

/// How one pair was resolved.
#[derive(Debug)]
pub struct Resolution {
    /// The route, or why there is none.
    pub outcome: Result<Route>,
    /// The rules tried, if they were asked for.
    pub trace: Trace,
    /// Age of the catalog that was used.
    pub catalog_age: Option<Duration>,
    /// Age of the ledger that was used.
    pub ledger_age: Option<Duration>,
}

/// What the refusal of a route says of its state.
pub(super) fn state_of(error: &Error) -> RouteState {
    match error {
        Error::RouteMoving => RouteState::Moving,
        Error::DatabaseDetached => RouteState::Detached,
        Error::PlacementConflict(_) | Error::DatabaseIdentityMismatch { .. } => RouteState::Conflict,
        _ => RouteState::Unknown,
    }
}

// === impl Ask ===

impl<'a> Ask<'a> {
    /// A question that its caller may ask, to read.
    pub fn of(permitted: &'a Permitted, app: &'a App, is_documents: bool, dedicated_only: bool) -> Self {
        let (call, solution) = (permitted.call(), permitted.solution());
        Self { dedicated_only, ..Self::about(call, solution, app, is_documents) }
    }

    /// As [`Self::of`], of a solution that this floor has the proof for.
    pub(super) fn about(call: &'a Call, solution: &'a SolutionId, app: &'a App, is_documents: bool) -> Self {
        Self {
            app,
            is_documents,
            solution,
            dedicated_only: false,
            intent: Intent::Read,
            principal: call.principal.id(),
            sees_all: call.principal.sees_all(),
            deadline: call.deadline,
        }
    }

    /// An operator's question. His method needs more than any solution's grants give.
    pub(crate) fn operating(call: &'a Call, solution: &'a SolutionId, app: &'a App, intent: Intent) -> Self {
        Self { intent, ..Self::about(call, solution, app, true) }
    }

    /// A question that nobody in particular has, about the documents of a solution.
    pub(crate) fn behind(solution: &'a SolutionId, app: &'a App, deadline: Deadline) -> Self {
        Self {
            app,
            is_documents: true,
            solution,
            dedicated_only: false,
            intent: Intent::Look,
            principal: "fbs-router",
            sees_all: true,
            deadline,
        }
    }

    /// The error as its caller may know it: to whoever does not see all solutions, one that does not exist looks like one
    /// that is forbidden.
    fn said(&self, error: Error) -> Error {
        match error {
            Error::SolutionNotFound if !self.sees_all => Error::AccessDenied,
            error => error,
        }
    }
}

impl Router {
    /// Where a pair lives.
    pub async fn resolve(self: &Arc<Self>, ask: &Ask<'_>) -> Result<Route> {
        let outcome = self.resolve_traced(ask, &mut Trace::default()).await;
        let span = tracing::Span::current();
        span.record("solution", ask.solution.as_str());
        match &outcome {
            Ok(route) => {
                span.record("placement", route.placement.as_str());
                span.record("database", &*route.database.target.name);
            }
            Err(error) => self.alarms.refused(&ask.app.name, ask.solution, error),
        }
        outcome
    }

    /// As [`Self::resolve`], from nothing that was known before the call, as far as ledger and catalogs can be read.
    pub async fn resolve_anew(self: &Arc<Self>, ask: &Ask<'_>) -> Result<Route> {
        self.read_again(ask).await;
        self.resolve(&Ask { intent: Intent::Write, ..*ask }).await
    }

    /// As [`Self::resolve_all`]; as [`Self::resolve_anew`] those for which it is true.
    pub async fn resolve_some_anew(self: &Arc<Self>, asks: &[(Ask<'_>, bool)]) -> Vec<Result<Route>> {
        let again = asks.iter().filter(|(_, again)| *again);
        future::join_all(again.map(|(ask, _)| self.read_again(ask))).await;
        let intent = |ask: &Ask<'_>, again: bool| if again { Intent::Write } else { ask.intent };
        let asks: Vec<Ask<'_>> = asks.iter().map(|(ask, again)| Ask { intent: intent(ask, *again), ..*ask }).collect();
        self.resolve_all(&asks).await
    }

    /// Reads the ledger, where a record is known that may be old: a write has it read for any other pair. Not for long: if
    /// it is silent, what is known stands.
    pub async fn read_again(&self, ask: &Ask<'_>) {
        let is_recorded = self.table.load().ledger.placement(&ask.app.name, ask.solution.as_str()).is_some();
        if is_recorded && ask.app.pattern.is_some() {
            let _read = self.ledger_pulse.fresh(ask.deadline.inner().min(Deadline::after(READ_AGAIN))).await;
        }
    }

    /// Several pairs, from one table: whatever had to be found out or written first is, and then all are decided at
    /// once. An error, or a pair that changes between the two, keeps the answer it had alone.
    pub async fn resolve_all(self: &Arc<Self>, asks: &[Ask<'_>]) -> Vec<Result<Route>> {
        let called = Instant::now();
        let mut alone = Vec::with_capacity(asks.len());
        for some in asks.chunks(AT_ONCE) {
            let found = some.iter().map(|ask| async { self.resolve_traced(ask, &mut Trace::default()).await }.boxed());
            alone.extend(future::join_all(found).await);
        }
        let table = self.table.load_full();
        let settle = |(ask, alone): (&Ask<'_>, Result<Route>)| {
            if ask.app.pattern.is_none() || alone.is_err() || self.fence_was_ahead(&table, ask).is_some() {
                return alone;
            }
            let absent = self.absences.get(&ask.app.name, ask.solution, called.elapsed());
            match decide(&self.evidence(&table, ask, &Gathered::new(absent)), &mut Trace::default()) {
                Verdict::Dedicated => Route::dedicated(ask.app, ask.solution, &table, &self.pools),
                Verdict::System { epoch, candidate } => {
                    Route::system(ask.app, ask.is_documents, ask.solution, epoch, candidate, &table, &self.pools)
                }
                Verdict::Refused(_) | Verdict::Need(_) | Verdict::Act(_) => alone,
            }
        };
        asks.iter().zip(alone).map(settle).collect()
    }

    /// As [`Self::resolve`], telling how.
    pub async fn explain(self: &Arc<Self>, ask: &Ask<'_>) -> Resolution {
        let mut trace = Trace::kept();
        let mut outcome = self.resolve_traced(ask, &mut trace).await;
        if let Ok(route) = &mut outcome
            && ask.is_documents
        {
            // A route says where; whether a call could be served there now is a question of its own.
            match self.try_enter(ask, route.clone()).await {
                Ok(entered) => {
                    *route = entered;
                    trace.pass("enter", "the database was entered and proved, and its fence admits the route");
                }
                Err(error) => trace.pass("enter", &format!("calls fail now: {error}")),
            }
        }
        let table = self.table.load_full();
        let began = table.catalogs.values().filter_map(|view| Some(view.last.as_ref()?.began)).min();
        Resolution {
            outcome,
            trace,
            catalog_age: began.map(|began| began.elapsed()),
            ledger_age: table.ledger.read_began.map(|began| began.elapsed()),
        }
    }

    /// The route in whatever state it is, for people; none if nothing is known of a place.
    pub fn route_in_any_state(&self, ask: &Ask<'_>, error: &Error) -> Option<Route> {
        let table = self.table.load_full();
        let state = state_of(error);
        let record = table.ledger.placement(&ask.app.name, ask.solution.as_str())?;
        let route = match &record.at {
            RecordedAt::Dedicated { .. } => Route::dedicated(ask.app, ask.solution, &table, &self.pools),
            RecordedAt::System => {
                Route::system(ask.app, ask.is_documents, ask.solution, record.epoch, None, &table, &self.pools)
            }
        };
        route.ok().map(|route| Route { state, ..route })
    }

    async fn resolve_traced(self: &Arc<Self>, ask: &Ask<'_>, trace: &mut Trace) -> Result<Route> {
        if ask.app.pattern.is_none() {
            return self.configured(ask, trace);
        }
        let ttl = self.settings.absence_ttl;
        let mut gathered = Gathered::new(self.absences.get(&ask.app.name, ask.solution, ttl));
        let mut flight = None;
        for _ in 0..STEPS {
            let table = self.table.load_full();
            if self.ledger_may_be_behind(&table, ask, &gathered) {
                self.fetch(Need::Ledger, ask, &table, &mut gathered).await?;
                if gathered.ledger_read == LedgerRead::Failed && table.ledger.origin == Origin::Ledger {
                    return Err(Error::RouteUnknown("a fence was ahead of memory, and the ledger cannot be read"));
                }
                continue;
            }
            let evidence = self.evidence(&table, ask, &gathered);
            // What another router took over, or accepted after it was restored, this one's last scan could not list yet.
            let is_listed_otherwise = matches!(
                evidence.presence,
                Presence::Absent | Presence::Present(Found { replaced: Replaced::Oid, .. })
            );
            let verdict = decide(&evidence, trace);
            // Whatever is not just waiting is done by one call a pair; the others find its result.
            if flight.is_none() && matches!(verdict, Verdict::Act(_) | Verdict::Need(Need::Inside(_) | Need::Rows)) {
                let lock = self.flights.enter(&ask.app.name, ask.solution);
                match timeout_at(ask.deadline.instant(), lock).await {
                    Ok(guard) => flight = Some(guard),
                    Err(_) => return Err(Error::DeadlineExceeded("waiting for the route")),
                }
                continue;
            }
            match verdict {
                Verdict::Dedicated => return self.dedicated(ask, &table, &gathered).await,
                Verdict::System { epoch, candidate } => {
                    if table.ledger.placement(&ask.app.name, ask.solution.as_str()).is_none()
                        && (gathered.absent_since.is_none() || ask.intent != Intent::Read)
                    {
                        self.absences.put(&ask.app.name, ask.solution, gathered.called, ttl);
                    }
                    self.look_again(ask, candidate.as_ref().map(|(found, _)| found), &table);
                    return Route::system(
                        ask.app,
                        ask.is_documents,
                        ask.solution,
                        epoch,
                        candidate,
                        &table,
                        &self.pools,
                    );
                }
                Verdict::Refused(Error::DatabaseDetached | Error::DatabaseIdentityMismatch { .. })
                    if !gathered.scanned && is_listed_otherwise && self.is_newer_than_scan(ask, &table) =>
                {
                    self.fetch(Need::Scan, ask, &table, &mut gathered).await?;
                }
                Verdict::Refused(error) => match self.doubtful(&table, ask, &gathered, &error) {
                    Some(found) => self.fetch(Need::Inside(found), ask, &table, &mut gathered).await?,
                    None => {
                        // A recorded solution that may not be shared waits for its own database all the more.
                        if matches!(error, Error::IsolationRequired) {
                            self.look_again(ask, None, &table);
                        }
                        return Err(ask.said(error));
                    }
                },
                Verdict::Need(need) => self.fetch(need, ask, &table, &mut gathered).await?,
                Verdict::Act(act) => self.act(act, ask, &table, &mut gathered).await?,
            }
        }
        Err(Error::RouteUnknown("ledger, catalog and databases keep changing"))
    }

    /// By configuration alone: no record, no scan.
    fn configured(&self, ask: &Ask<'_>, trace: &mut Trace) -> Result<Route> {
        trace.pass("no-pattern", "the app has no pattern: always the system database");
        if ask.dedicated_only {
            return Err(Error::IsolationRequired);
        }
        Route::system(ask.app, ask.is_documents, ask.solution, 0, None, &self.table.load_full(), &self.pools)
    }

    /// A dedicated route; if its database was looked into on the way, its fence is opened where it is not yet.
    async fn dedicated(&self, ask: &Ask<'_>, table: &Table, gathered: &Gathered) -> Result<Route> {
        let route = Route::dedicated(ask.app, ask.solution, table, &self.pools);
        if let (Ok(route), Some((found, Inside::Ready { uuid, fence }))) = (&route, gathered.looks.last())
            && ask.is_documents
            && found.target == route.database.target
            && Some(*uuid) == route.database.database_uuid
            && table.ledger.origin == Origin::Ledger
            && fence.is_none_or(|fence| fence.epoch < route.epoch)
        {
            // Boxed, as `fetch` and `act`.
            let open = async {
                let login = ask.app.login(ask.solution);
                let connection = checkout(&self.pools, &found.target, &login, ask.deadline).await?;
                activate_fence(connection, ask.solution, route.epoch, *uuid, ask.deadline).await
            };
            Box::pin(open).await?;
        }
        route
    }

    /// True if a fence is ahead of the table: either this table is old, or the ledger is, and only a reading that began
    /// after the sight can tell.
    fn ledger_may_be_behind(&self, table: &Table, ask: &Ask<'_>, gathered: &Gathered) -> bool {
        self.fence_was_ahead(table, ask).is_some_and(|seen| match gathered.ledger_read {
            LedgerRead::NotTried => true,
            LedgerRead::Fresh => !table.ledger.was_read_since(seen),
            LedgerRead::Failed => false,
        })
    }

    /// When a fence of the pair was first seen ACTIVE at its latest epoch, if that is later than what the table holds.
    pub(super) fn fence_was_ahead(&self, table: &Table, ask: &Ask<'_>) -> Option<Instant> {
        let known = table.ledger.placement(&ask.app.name, ask.solution.as_str()).map_or(0, |record| record.epoch);
        let (epoch, seen) = self.looks.latest_active(&ask.app.name, ask.solution)?;
        (epoch > known).then_some(seen)
    }

    /// The database whose remembered state refuses the call, if it is time to look there again.
    fn doubtful(&self, table: &Table, ask: &Ask<'_>, gathered: &Gathered, error: &Error) -> Option<Found> {
        if !matches!(
            error,
            Error::DatabaseIdentityMismatch { .. } | Error::PlacementConflict(_) | Error::RouteUnknown(_)
        ) {
            return None;
        }
        let Presence::Present(found) = self.evidence(table, ask, gathered).presence else { return None };
        let remembered = self.looks.get(&found)?;
        (gathered.looks.is_empty() && remembered.at.elapsed() >= self.settings.absence_ttl).then_some(found)
    }

    /// True if the record of a database is newer than the last scan of its server.
    fn is_newer_than_scan(&self, ask: &Ask<'_>, table: &Table) -> bool {
        table.ledger.placement(&ask.app.name, ask.solution.as_str()).is_some_and(|record| match &record.at {
            RecordedAt::Dedicated { target, .. } => scanned_before(table, target, Some(record)),
            RecordedAt::System => false,
        })
    }
}
