//! The only way from a solution to SQL.
//!
//! A session carries solution, placement and epoch into every statement: `$1` is always the solution, a read compares
//! epoch and database in its own statement, a write does after the lock. Made by [`Router::open`] alone.
//!
//! Invariant: when the fence of a database does not agree with the route, the ledger is read once more and the
//! call tried once more, where the ledger says; a failure never changes the place.

use std::{sync::Arc, time::Duration};

use tokio_postgres::{Row, types::ToSql};

use super::{
    evidence::{Inside, Rows},
    inside::{Look, contradiction},
    ledger_write::{
        ADMITS, DURABLE, FENCE_FIRST_WRITE, LOCK_SHARED, RECORD_SYSTEM, REGISTRATION, first_bool, registration,
    },
    resolve::{Ask, Intent},
    route::Route,
    router::Router,
};
use crate::{
    domain::{Call, Error, Placement, Result, SolutionId},
    postgres::{
        Connection, Failure, SchemaState, Statement,
        transaction::{Bound, CommitError, StatementError, Transaction, Work},
    },
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

/// A transaction in which one solution's rows may be written.
#[derive(Debug)]
pub struct Writer {
    transaction: Transaction,
    solution: SolutionId,
    epoch: i64,
    own_database: Option<Arc<str>>,
}

/// How often a call was tried.
#[derive(Debug)]
struct Tries {
    /// When the call came.
    began: tokio::time::Instant,
    made: u32,
    /// The ledger was read again, because a fence did not agree.
    rerouted: bool,
}

/// What a try came to.
enum Failed {
    /// The answer to the call.
    Final(Error),
    /// The fence did not agree with the route.
    Fenced,
    /// The name is not there, though the catalog listed it.
    Absent(Error),
    /// The connection broke before anything could have been committed.
    Lost(Error),
    /// Postgres gave up on a conflict.
    Conflict(Error),
    /// The answer to COMMIT was lost.
    Unknown,
}

impl Router {
    /// Opens a session for `solution` of the documents app. `wanted_database` fails the call unless it is served from
    /// the database of that name.
    pub async fn open(
        self: &Arc<Self>,
        call: Call,
        solution: SolutionId,
        wanted_database: Option<String>,
        intent: Intent,
    ) -> Result<Session> {
        let route = self.route_for(&call, &solution, intent).await?;
        Ok(Session { router: Arc::clone(self), call, solution, wanted_database, intent, route })
    }

    async fn route_for(self: &Arc<Self>, call: &Call, solution: &SolutionId, intent: Intent) -> Result<Route> {
        let ask = Ask {
            app: self.naming.documents_app(),
            is_documents: true,
            solution,
            dedicated_only: false,
            intent,
            principal: call.principal.id(),
            deadline: call.deadline,
        };
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
        let mut tries = Tries::new();
        loop {
            self.check_wanted()?;
            match self.try_read(statement, parameters).await {
                Ok(rows) => return Ok(rows),
                Err(failed) => self.recover(failed, &mut tries, true).await?,
            }
        }
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
            self.check_wanted()?;
            let attempt = Attempt {
                router: Arc::clone(&self.router),
                call: self.call.clone(),
                solution: self.solution.clone(),
                route: self.route.clone(),
            };
            let work = Arc::clone(&work);
            let outcome = tokio::spawn(async move { attempt.write(&*work).await }).await;
            match outcome.unwrap_or_else(|_| Err(Failed::Final(Error::internal("a write panicked")))) {
                Ok(value) => return Ok(value),
                Err(failed) => self.recover(failed, &mut tries, repeatable).await?,
            }
        }
    }

    /// Explicit routing never chooses a database: it fails the call unless it is served from the one named.
    fn check_wanted(&self) -> Result<()> {
        match &self.wanted_database {
            Some(wanted) if **wanted != *self.route.database.target.name => Err(Error::DatabaseMismatch),
            Some(_) | None => Ok(()),
        }
    }

    async fn try_read(
        &self,
        statement: &'static Statement,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Failed> {
        let connection = connect(&self.router, &self.route, &self.solution, &self.call).await?;
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
            Failed::Fenced if tries.rerouted => {
                Err(Error::PlacementConflict("the fence of the database does not admit the route of the ledger"))
            }
            Failed::Fenced => {
                tries.rerouted = true;
                self.reroute().await
            }
            Failed::Absent(error) if last => Err(error),
            Failed::Absent(_) => {
                // The catalog decides what a missing name means.
                self.router.scan_all(self.call.deadline).await;
                self.find_route().await
            }
            Failed::Lost(error) | Failed::Conflict(error) if last => Err(error),
            Failed::Lost(_) => {
                self.router.pools.distrust(&self.route.database.target, tries.began);
                Ok(())
            }
            Failed::Conflict(_) => {
                // Enough jitter for a handful of tries: no two processes count the same nanoseconds.
                let jitter = std::time::SystemTime::now().elapsed().unwrap_or_default().subsec_nanos() % 10;
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

    /// The fence disagreed: read the ledger, look at the fence itself, and go where the ledger says.
    async fn reroute(&mut self) -> Result<()> {
        if self.router.ledger_pulse.fresh(self.call.deadline).await.is_err() {
            return Err(Error::RouteUnknown("the fence refused and the ledger cannot be read"));
        }
        if self.route.placement == Placement::Dedicated {
            self.router.reopen(&self.call, &self.solution).await;
        }
        self.find_route().await
    }

    async fn find_route(&mut self) -> Result<()> {
        self.route = self.router.route_for(&self.call, &self.solution, self.intent).await?;
        Ok(())
    }
}

// === writing ===

/// One try of a write, in a task of its own.
struct Attempt {
    router: Arc<Router>,
    call: Call,
    solution: SolutionId,
    route: Route,
}

impl Attempt {
    async fn write<T>(self, work: &(impl for<'t> Fn(&'t mut Writer) -> Work<'t, T> + Sync)) -> Result<T, Failed> {
        let connection = connect(&self.router, &self.route, &self.solution, &self.call).await?;
        let transaction = self.begin(connection).await?;
        let mut writer = Writer {
            transaction,
            solution: self.solution.clone(),
            epoch: self.route.epoch,
            own_database: own_database(&self.route).cloned(),
        };
        let value = match work(&mut writer).await {
            Ok(value) => value,
            Err(error) => {
                writer.transaction.roll_back();
                return Err(match error {
                    Error::DatabaseUnavailable { .. } => Failed::Lost(error),
                    Error::DatabaseConflict => Failed::Conflict(error),
                    Error::PlacementConflict(_) => Failed::Fenced,
                    other => Failed::Final(other),
                });
            }
        };
        match writer.transaction.commit().await {
            Ok(()) => {}
            Err(CommitError::RolledBack(error)) => return Err(Failed::of(error, &self.router, &self.route)),
            Err(CommitError::Unknown) => return Err(Failed::Unknown),
        }
        if self.is_first_write() {
            self.router.metrics.first_system_write();
            tracing::info!(solution = %self.solution, database = %self.route.database.target, "first write to a system database");
            self.router.ledger_pulse.poke();
        }
        Ok(value)
    }

    /// The first write of a pair to a system database records it, in the same transaction.
    fn is_first_write(&self) -> bool {
        self.route.placement == Placement::System && !self.route.is_recorded()
    }

    async fn begin(&self, connection: Connection) -> Result<Transaction, Failed> {
        let company = self.solution.as_str();
        let app: &str = &self.route.app;
        let uuid = self.route.database.database_uuid;
        let lock: Bound<'_> = (&LOCK_SHARED, &[&company]);
        let admits: &[&(dyn ToSql + Sync)] = &[&company, &self.route.epoch, &uuid];
        if !self.is_first_write() {
            let first = [lock, (&ADMITS, admits)];
            let (transaction, answers) = Transaction::begin(connection, company, self.call.deadline, &first)
                .await
                .map_err(|error| Failed::of(error, &self.router, &self.route))?;
            return if first_bool(&answers[1]) { Ok(transaction) } else { Err(Failed::Fenced) };
        }
        let first: [Bound<'_>; 6] = [
            lock,
            (&DURABLE, &[]),
            (&REGISTRATION, &[&company, &app]),
            (&RECORD_SYSTEM, &[&company, &app]),
            (&FENCE_FIRST_WRITE, &[&company, &uuid]),
            (&ADMITS, admits),
        ];
        let (transaction, answers) = Transaction::begin(connection, company, self.call.deadline, &first)
            .await
            .map_err(|error| Failed::of(error, &self.router, &self.route))?;
        let registered = registration(&answers[2]);
        if registered.required {
            return Err(Failed::Final(Error::IsolationRequired));
        }
        // A server or name was registered that this process has not read yet: it decides anew.
        let known = self.router.table.load();
        let read = known.ledger.registration(app, company);
        if read.and_then(|read| read.database.as_deref()) != registered.database.as_deref()
            || read.and_then(|read| read.server.as_deref()) != registered.server.as_deref()
            || !first_bool(&answers[5])
        {
            return Err(Failed::Fenced);
        }
        Ok(transaction)
    }
}

// === impl Writer ===

impl Writer {
    /// Runs one statement. Its `$1` is the solution, bound here.
    pub async fn query(
        &mut self,
        statement: &'static Statement,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>> {
        let company = self.solution.as_str();
        let mut bound: Vec<&(dyn ToSql + Sync)> = vec![&company];
        bound.extend_from_slice(parameters);
        self.transaction.query(statement, &bound).await.map_err(StatementError::into_error)
    }

    /// Runs statements in one round trip, and drops their rows. `$1` of each is the solution, bound here.
    pub async fn query_all(&mut self, statements: &[Bound<'_>]) -> Result<()> {
        let company = self.solution.as_str();
        let bound: Vec<Vec<&(dyn ToSql + Sync)>> = statements
            .iter()
            .map(|(_, parameters)| {
                std::iter::once(&company as &(dyn ToSql + Sync)).chain(parameters.iter().copied()).collect()
            })
            .collect();
        let flight: Vec<Bound<'_>> =
            statements.iter().zip(&bound).map(|((statement, _), parameters)| (*statement, &**parameters)).collect();
        self.transaction.query_all(&flight).await.map(drop).map_err(StatementError::into_error)
    }

    /// Epoch of the placement written to.
    pub fn epoch(&self) -> i64 {
        self.epoch
    }

    /// The name of the solution's own database, if it is the one written to.
    pub fn own_database(&self) -> Option<&str> {
        self.own_database.as_deref()
    }
}

// === impl Tries ===

impl Tries {
    fn new() -> Self {
        Self { began: tokio::time::Instant::now(), made: 0, rerouted: false }
    }
}

// === impl Failed ===

impl Failed {
    fn of(error: StatementError, router: &Router, route: &Route) -> Self {
        match error.failure() {
            Some(Failure::Fenced) => Self::Fenced,
            Some(Failure::Standby) => {
                // The primary has become a standby: every connection of the pool leads there.
                router.pools.close(&route.database.target);
                Self::Lost(error.into_error())
            }
            Some(Failure::Conflict) => Self::Conflict(error.into_error()),
            Some(failure) if failure.is_connection_lost() || failure == Failure::StalePlan => {
                Self::Lost(error.into_error())
            }
            Some(_) | None => Self::Final(error.into_error()),
        }
    }
}

/// A connection to the route's database, proved to be the one that was meant.
async fn connect(router: &Router, route: &Route, solution: &SolutionId, call: &Call) -> Result<Connection, Failed> {
    let connection = match router.pools.checkout(&route.database.target, call.deadline).await {
        Ok(connection) => connection,
        Err(error) if contradiction(&error) => return Err(Failed::Absent(error.into_error())),
        Err(error) => return Err(Failed::Final(error.into_error())),
    };
    match verify(router, route, solution, &connection) {
        Ok(()) => Ok(connection),
        Err(error) => {
            router.metrics.identity_mismatch();
            tracing::error!(%solution, database = %route.database.target, %error, "the database reached is not the one that was meant");
            router.pools.close(&route.database.target);
            if let Error::DatabaseIdentityMismatch { what } = error {
                router.mark_foreign(route, what);
            }
            Err(Failed::Final(error))
        }
    }
}

fn verify(router: &Router, route: &Route, solution: &SolutionId, connection: &Connection) -> Result<()> {
    let mismatch = |what| Err(Error::DatabaseIdentityMismatch { what });
    let facts = connection.facts();
    let table = router.table.load();
    let target = &route.database.target;
    if *facts.database != *target.name {
        return mismatch("another name");
    }
    if table.ledger.servers.get(&target.server).is_some_and(|known| *known != facts.system_identifier) {
        return mismatch("its server answers with another system_identifier");
    }
    match facts.schema {
        SchemaState::Ready(_) => {}
        SchemaState::Absent => return Err(Error::SchemaNotReady("absent")),
        SchemaState::TooOld => return Err(Error::SchemaNotReady("too old")),
        SchemaState::TooNew => return Err(Error::SchemaNotReady("too new")),
    }
    let Some(identity) = &facts.identity else { return mismatch("it has no identity") };
    let expected_solution = (route.placement == Placement::Dedicated).then_some(solution.as_str());
    if identity.solution.as_deref() != expected_solution {
        return mismatch("its identity is another's");
    }
    if Some(identity.database_uuid) != route.database.database_uuid {
        return mismatch("its uuid is not the recorded one");
    }
    if identity.ledger_id != table.ledger.last_change.map(|change| change.ledger_id) {
        return mismatch("it belongs to another ledger");
    }
    // The same database under a new oid was restored: the next scan records that. Nothing runs there before.
    if route.placement == Placement::Dedicated && facts.oid != route.database.oid {
        return mismatch("its oid is not the recorded one");
    }
    Ok(())
}

fn own_database(route: &Route) -> Option<&Arc<str>> {
    (route.placement == Placement::Dedicated).then_some(&route.database.target.name)
}

impl Router {
    /// Whether a call that was routed so could run now: the database is entered and proved, and its fence asked.
    pub(super) async fn try_enter(&self, ask: &Ask<'_>, route: &Route) -> Result<()> {
        let principal = crate::domain::Principal::anonymous();
        let call = Call { principal, deadline: ask.deadline.inner() };
        let failed = |failed| match failed {
            Failed::Final(error) | Failed::Absent(error) | Failed::Lost(error) | Failed::Conflict(error) => error,
            Failed::Fenced | Failed::Unknown => Error::PlacementConflict("the fence does not admit the route"),
        };
        let connection = connect(self, route, ask.solution, &call).await.map_err(failed)?;
        let (company, uuid) = (ask.solution.as_str(), route.database.database_uuid);
        let parameters: &[&(dyn ToSql + Sync)] = &[&company, &route.epoch, &uuid];
        let rows = connection.read(company, call.deadline, (&ADMITS, parameters)).await;
        let rows = rows.map_err(StatementError::into_error)?;
        if first_bool(&rows) { Ok(()) } else { Err(failed(Failed::Fenced)) }
    }

    /// Looks at the fence of a dedicated database that refused, so that the decision sees it and opens it if it is
    /// merely not open yet.
    async fn reopen(self: &Arc<Self>, call: &Call, solution: &SolutionId) {
        let ask = Ask {
            app: self.naming.documents_app(),
            is_documents: true,
            solution,
            dedicated_only: false,
            intent: Intent::Look,
            principal: call.principal.id(),
            deadline: call.deadline,
        };
        self.look_for(&ask).await;
    }

    /// Remembers for Resolve what a connection found out.
    fn mark_foreign(&self, route: &Route, what: &'static str) {
        let database = &route.database;
        let found = super::evidence::Found {
            target: database.target.clone(),
            oid: database.oid,
            replaced: super::evidence::Replaced::No,
        };
        let look = Look { inside: Inside::Foreign(what), rows: Rows::NotCounted, at: tokio::time::Instant::now() };
        self.looks.put(&found, look);
    }
}
