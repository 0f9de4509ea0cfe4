//! Entering the database of a route: a connection that was proved to lead where it was meant to.

use std::sync::Arc;

use tokio_postgres::types::ToSql;

use super::TRIES;
use crate::{
    domain::{Deadline, Error, Login, Placement, Result, SolutionId},
    postgres::{Connection, Facts, Failure, Purpose, SchemaState, transaction::StatementError},
    routing::{
        evidence::{Found, Inside, Replaced, Rows},
        fenced::Fenced,
        inside::{Look, contradiction},
        ledger_write::{ADMITS, first_bool},
        resolve::Ask,
        route::Route,
        router::Router,
    },
};

/// What a try came to.
pub(super) enum Failed {
    /// The answer to the call.
    Final(Error),
    /// The fence did not agree with the route.
    Fenced,
    /// What the route was made of is not so any more.
    Outdated(Error),
    /// The connection broke before anything could have been committed.
    Lost(Error),
    /// Postgres gave up on a conflict.
    Conflict(Error),
    /// The answer to COMMIT was lost.
    Unknown,
}

// === impl Failed ===

impl Failed {
    pub(super) fn of(error: StatementError, router: &Router, route: &Route) -> Self {
        if matches!(error, StatementError::Elsewhere) {
            // The next connection is proved anew, and says whether it is another database.
            return Self::Lost(error.into_error());
        }
        match error.failure() {
            Some(Failure::Fenced) => Self::Fenced,
            Some(Failure::Standby) => {
                // The primary has become a standby: every connection to the server leads there.
                router.pools.retire(&route.database.target.server);
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
pub(super) async fn connect(
    router: &Router,
    route: &Route,
    solution: &SolutionId,
    deadline: Deadline,
) -> Result<Connection, Failed> {
    if let Ok(connection) = enter_once(router, route, solution, deadline).await? {
        return Ok(connection);
    }
    // What a pooled connection proved may be older than the record, as of a database that another router has claimed since.
    // The pool is closed now: another one proves it anew. Boxed: seldom.
    let error = match Box::pin(enter_once(router, route, solution, deadline)).await? {
        Ok(connection) => return Ok(connection),
        Err(error) => error,
    };
    if let Error::DatabaseIdentityMismatch { what } = error {
        router.metrics.identity_mismatch();
        tracing::error!(%solution, database = %route.database.target, %error, "the database reached is not the one that was meant");
        router.mark_foreign(route, what);
    }
    Err(Failed::Final(error))
}

/// The inner error: what it proved is not what the route means, and its pool is closed.
async fn enter_once(
    router: &Router,
    route: &Route,
    solution: &SolutionId,
    deadline: Deadline,
) -> Result<Result<Connection>, Failed> {
    let login = login(router, route, solution);
    let connection =
        match router.pools.checkout(&route.database.target, &login, Purpose::Documents(solution), deadline).await {
            Ok(connection) => connection,
            Err(error) if contradiction(&error) => return Err(Failed::Outdated(error.into_error())),
            Err(error) => return Err(Failed::Final(error.into_error())),
        };
    let verified = verify(router, route, solution, connection.facts());
    if verified.is_err() {
        router.pools.close(&route.database.target);
    }
    Ok(verified.map(|()| connection))
}

/// As whom the route's database is entered.
pub(super) fn login(router: &Router, route: &Route, solution: &SolutionId) -> Login {
    match route.placement {
        Placement::Dedicated => router.naming.documents_app().login(solution),
        Placement::System => Login::Runtime,
    }
}

/// Whether what a connection proved is what the route means.
pub(super) fn verify(router: &Router, route: &Route, solution: &SolutionId, facts: &Facts) -> Result<()> {
    let mismatch = |what| Err(Error::DatabaseIdentityMismatch { what });
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

pub(super) fn own_database(route: &Route) -> Option<&Arc<str>> {
    (route.placement == Placement::Dedicated).then_some(&route.database.target.name)
}

impl Router {
    /// Whether a call that was routed so could run now: the database is entered and proved, and its fence asked. The route
    /// that could, which is another one if the ledger has changed; a fence that is merely behind is opened.
    pub(crate) async fn try_enter(self: &Arc<Self>, ask: &Ask<'_>, mut route: Route) -> Result<Route> {
        let mut fenced = Fenced::default();
        for _ in 0..TRIES {
            match self.enter(ask, &route).await {
                Ok(()) => return Ok(route),
                Err(Failed::Fenced) => route = Box::pin(fenced.refused(self, ask, &route)).await?,
                Err(Failed::Final(error) | Failed::Outdated(error) | Failed::Lost(error) | Failed::Conflict(error)) => {
                    return Err(error);
                }
                Err(Failed::Unknown) => return Err(Error::DatabaseUnavailable { cause: None }),
            }
        }
        Err(Error::RouteUnknown("the placement keeps changing"))
    }

    async fn enter(&self, ask: &Ask<'_>, route: &Route) -> Result<(), Failed> {
        let deadline = ask.deadline.inner();
        let connection = connect(self, route, ask.solution, deadline).await?;
        let (company, uuid) = (ask.solution.as_str(), route.database.database_uuid);
        let parameters: &[&(dyn ToSql + Sync)] = &[&company, &route.epoch, &uuid];
        let rows = connection.read(company, deadline, (&ADMITS, parameters)).await;
        let rows = rows.map_err(|error| Failed::of(error, self, route))?;
        if first_bool(&rows) { Ok(()) } else { Err(Failed::Fenced) }
    }

    /// Remembers for Resolve what a connection found out.
    fn mark_foreign(&self, route: &Route, what: &'static str) {
        let database = &route.database;
        let found = Found { target: database.target.clone(), oid: database.oid, replaced: Replaced::No };
        let look = Look { inside: Inside::Foreign(what), rows: Rows::NotCounted, at: tokio::time::Instant::now() };
        self.looks.put(&found, look);
    }
}
