//! The only way from a solution to SQL.
//!
//! A session carries solution, placement and epoch into every statement: `$1` is always the solution, a read compares
//! epoch and database in its own statement, a write does after the lock. Made by [`Router::open`] alone.
//!
//! Invariant: when the fence of a database does not agree with the route, the ledger is read once more and the
//! call tried once more, where the ledger says (`fenced`); a failure never changes the place.

mod enter;
mod look_up;
mod write;

use std::{sync::Arc, time::Duration};

use tokio_postgres::{Row, types::ToSql};

pub use self::write::Writer;
use self::{
    enter::{Failed, connect, own_database},
    write::Attempt,
};
use super::{
    fenced::Fenced,
    joined::joined,
    ledger_write::first_bool,
    resolve::{Ask, Intent},
    route::Route,
    router::Router,
};
use crate::{
    domain::{Call, Deadline, Error, Permitted, Result, SolutionId},
    postgres::{Statement, transaction::Work},
};

/// A call is tried at most so often, each time from the beginning.
const TRIES: u32 = 3;
/// Between tries after a conflict, grown and jittered.
const PAUSE: Duration = Duration::from_millis(10);

/// One call's access to one solution's data.
#[derive(Debug)]
pub struct Session {
    router: Arc<Router>,
    call: Call,
    solution: SolutionId,
    wanted_database: Option<String>,
    intent: Intent,
    route: Route,
}

/// How often a call was tried.
#[derive(Debug)]
struct Tries {
    /// When the call came.
    began: tokio::time::Instant,
    made: u32,
    fenced: Fenced,
}

impl Router {
    /// Opens a session for the solution of a call that may be about it, in the documents app. `wanted_database` fails the
    /// call unless it is served from the database of that name.
    pub async fn open(
        self: &Arc<Self>,
        permitted: Permitted,
        wanted_database: Option<String>,
        intent: Intent,
    ) -> Result<Session> {
        let (call, solution) = permitted.into_parts();
        let route = self.route_for(&call, &solution, intent).await?;
        Ok(Session { router: Arc::clone(self), call, solution, wanted_database, intent, route })
    }

    async fn route_for(self: &Arc<Self>, call: &Call, solution: &SolutionId, intent: Intent) -> Result<Route> {
        let ask = Ask { intent, ..Ask::about(call, solution, self.naming.documents_app(), true) };
        self.resolve(&ask).await
    }
}

// === impl Session ===

impl Session {
    /// Where the call is served from.
    pub fn route(&self) -> &Route {
        &self.route
    }

    /// The call.
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// Whose data it is for.
    pub fn solution(&self) -> &SolutionId {
        &self.solution
    }

    /// What is asked next is due at `deadline`: a transfer asks many times, each for its own.
    pub fn due(&mut self, deadline: Deadline) {
        self.call.deadline = deadline;
    }

    /// The name of the solution's own database, if that is where the call is served from.
    pub fn own_database(&self) -> Option<&str> {
        own_database(&self.route).map(|name| &**name)
    }

    /// Runs one reading statement. Its `$1` to `$3` are solution, epoch and database uuid, bound here; its first
    /// column says whether the fence admits the route, in a row that is always there.
    pub async fn read(
        &mut self,
        statement: &'static Statement,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>> {
        self.answer(statement, parameters, false).await
    }

    /// As [`Self::read`], for a statement that finds a row by its key: one that is answered at once. In the solution's
    /// own database it may share a connection with others.
    pub async fn look_up(
        &mut self,
        statement: &'static Statement,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>> {
        self.answer(statement, parameters, true).await
    }

    /// Runs `work` in a transaction and commits it. `repeatable`: a lost answer to COMMIT may be followed by another
    /// try, because `work` finds its own traces.
    ///
    /// Runs in a task of its own: a caller who leaves does not stop a transaction half-way.
    pub async fn write<T: Send + 'static>(
        &mut self,
        repeatable: bool,
        work: impl for<'t> Fn(&'t mut Writer) -> Work<'t, T> + Send + Sync + 'static,
    ) -> Result<T> {
        let work = Arc::new(work);
        let mut tries = Tries::new();
        loop {
            self.check_wanted().await?;
            let attempt = Attempt {
                router: Arc::clone(&self.router),
                call: self.call.clone(),
                solution: self.solution.clone(),
                route: self.route.clone(),
            };
            let work = Arc::clone(&work);
            let outcome = joined(tokio::spawn(async move { attempt.write(&*work).await })).await;
            match outcome.unwrap_or(Err(Failed::Final(Error::internal("a write panicked")))) {
                Ok(value) => return Ok(value),
                Err(failed) => self.recover(failed, &mut tries, repeatable).await?,
            }
        }
    }

    /// Explicit routing never chooses a database: it fails the call unless it is served from the one named. Who names
    /// another one may have heard of it from a router that knows more: so that is asked anew.
    async fn check_wanted(&mut self) -> Result<()> {
        let Some(wanted) = &self.wanted_database else { return Ok(()) };
        if **wanted == *self.route.database.target.name {
            return Ok(());
        }
        let app = self.router.naming.documents_app();
        let ask = Ask::about(&self.call, &self.solution, app, true);
        self.route = Box::pin(self.router.resolve_anew(&ask)).await?;
        match &self.wanted_database {
            Some(wanted) if **wanted != *self.route.database.target.name => Err(Error::DatabaseMismatch),
            Some(_) | None => Ok(()),
        }
    }

    async fn answer(
        &mut self,
        statement: &'static Statement,
        parameters: &[&(dyn ToSql + Sync)],
        may_share: bool,
    ) -> Result<Vec<Row>> {
        let mut tries = Tries::new();
        loop {
            self.check_wanted().await?;
            let answer = if may_share {
                self.try_look_up(statement, parameters).await
            } else {
                self.try_read(statement, parameters).await
            };
            match answer {
                Ok(rows) => return Ok(rows),
                Err(failed) => self.recover(failed, &mut tries, true).await?,
            }
        }
    }

    async fn try_read(
        &self,
        statement: &'static Statement,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Failed> {
        let connection = connect(&self.router, &self.route, &self.solution, self.call.deadline).await?;
        let company = self.solution.as_str();
        let uuid = self.route.database.database_uuid;
        let mut bound: Vec<&(dyn ToSql + Sync)> = vec![&company, &self.route.epoch, &uuid];
        bound.extend_from_slice(parameters);
        let rows = connection.read(company, self.call.deadline, (statement, &bound)).await;
        let rows = rows.map_err(|error| Failed::of(error, &self.router, &self.route))?;
        if first_bool(&rows) { Ok(rows) } else { Err(Failed::Fenced) }
    }

    /// Prepares the next try, or gives the error of the call.
    async fn recover(&mut self, failed: Failed, tries: &mut Tries, repeatable: bool) -> Result<()> {
        tries.made += 1;
        let last = tries.made >= TRIES || self.call.deadline.passed();
        match failed {
            Failed::Final(error) => Err(error),
            Failed::Fenced => {
                // Two different ones may refuse in a row: the system database, from which the solution was just taken
                // over, and its own, whose fence nobody has opened yet.
                let app = self.router.naming.documents_app();
                let ask = Ask { intent: self.intent, ..Ask::about(&self.call, &self.solution, app, true) };
                // Boxed: seldom, as `Router::fetch`.
                let next = Box::pin(tries.fenced.refused(&self.router, &ask, &self.route)).await?;
                if last {
                    return Err(Error::RouteUnknown("the placement keeps changing"));
                }
                self.route = next;
                Ok(())
            }
            Failed::Outdated(error) | Failed::Lost(error) | Failed::Conflict(error) if last => Err(error),
            Failed::Outdated(_) => {
                // Ledger and catalog decide what that means, also if one of them cannot be read.
                let ledger = self.router.ledger_pulse.fresh(self.call.deadline);
                let _ = tokio::join!(ledger, self.router.scan_all(self.call.deadline));
                self.find_route().await
            }
            Failed::Lost(_) => {
                self.router.pools.distrust(&self.route.database.target, tries.began);
                Ok(())
            }
            Failed::Conflict(_) => {
                // Whoever met here should not meet again.
                let jitter = fastrand::u32(..10);
                tokio::time::sleep(PAUSE * (tries.made + jitter)).await;
                Ok(())
            }
            Failed::Unknown if !repeatable => Err(Error::OutcomeUnknown),
            Failed::Unknown if last => Err(Error::DatabaseUnavailable { cause: None }),
            Failed::Unknown => {
                self.router.pools.distrust(&self.route.database.target, tries.began);
                Ok(())
            }
        }
    }

    async fn find_route(&mut self) -> Result<()> {
        self.route = self.router.route_for(&self.call, &self.solution, self.intent).await?;
        Ok(())
    }
}

// === impl Tries ===

impl Tries {
    fn new() -> Self {
        Self { began: tokio::time::Instant::now(), made: 0, fenced: Fenced::default() }
    }
}
