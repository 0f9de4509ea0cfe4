//! One try of a write: a transaction whose first flight takes the lock and asks the fence.
//!
//! Runs in a task of its own, so that a caller who leaves does not stop it half-way. The first write of a pair to a
//! system database records the pair, in the same transaction.

use std::sync::Arc;

use tokio_postgres::{Row, types::ToSql};

use super::enter::{Failed, connect, own_database};
use crate::{
    domain::{Call, Error, Placement, Result, SolutionId},
    postgres::{
        Connection, Failure, Statement,
        transaction::{Bound, CommitError, Transaction, Work},
    },
    routing::{
        ledger_write::{
            ADMITS, DURABLE, FENCE_FIRST_WRITE, LOCK_SHARED, RECORD_SYSTEM, REGISTRATION, first_bool, registration,
        },
        route::Route,
        router::Router,
    },
};

/// A transaction in which one solution's rows may be written.
#[derive(Debug)]
pub struct Writer {
    transaction: Transaction,
    solution: SolutionId,
    epoch: i64,
    own_database: Option<Arc<str>>,
    /// What the last statement failed with.
    failure: Option<Failure>,
}

/// One try of a write, in a task of its own.
pub(super) struct Attempt {
    pub(super) router: Arc<Router>,
    pub(super) call: Call,
    pub(super) solution: SolutionId,
    pub(super) route: Route,
}

impl Attempt {
    pub(super) async fn write<T>(
        self,
        work: &(impl for<'t> Fn(&'t mut Writer) -> Work<'t, T> + Sync),
    ) -> Result<T, Failed> {
        let connection = connect(&self.router, &self.route, &self.solution, self.call.deadline).await?;
        let transaction = self.begin(connection).await?;
        let mut writer = Writer {
            transaction,
            solution: self.solution.clone(),
            epoch: self.route.epoch,
            own_database: own_database(&self.route).cloned(),
            failure: None,
        };
        let value = match work(&mut writer).await {
            Ok(value) => value,
            Err(error) => {
                let standby = writer.failure == Some(Failure::Standby);
                writer.transaction.roll_back();
                return Err(match error {
                    Error::DatabaseUnavailable { .. } => {
                        if standby {
                            // The primary has become a standby: every connection to the server leads there.
                            self.router.pools.retire(&self.route.database.target.server);
                        }
                        Failed::Lost(error)
                    }
                    Error::DatabaseConflict => Failed::Conflict(error),
                    Error::PlacementConflict(_) => Failed::Fenced,
                    other => Failed::Final(other),
                });
            }
        };
        let recorded = self.record_first_write(&mut writer).await?;
        match writer.transaction.commit().await {
            Ok(()) => {}
            Err(CommitError::RolledBack(error)) => return Err(Failed::of(error, &self.router, &self.route)),
            Err(CommitError::Unknown) => return Err(Failed::Unknown),
        }
        if recorded {
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

    /// Records the pair, last of all: the ledger's one row is held from here to the end, by one writer at a time of all
    /// solutions. True if this is the write that recorded it.
    async fn record_first_write(&self, writer: &mut Writer) -> Result<bool, Failed> {
        if !self.is_first_write() {
            return Ok(false);
        }
        let app: &str = &self.route.app;
        let recorded = writer.transaction.query(&RECORD_SYSTEM, &[&self.solution.as_str(), &app]).await;
        recorded.map(|rows| !rows.is_empty()).map_err(|error| Failed::of(error, &self.router, &self.route))
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
        let first: [Bound<'_>; 5] = [
            lock,
            (&DURABLE, &[]),
            (&REGISTRATION, &[&company, &app]),
            (&FENCE_FIRST_WRITE, &[&company, &uuid]),
            (&ADMITS, admits),
        ];
        let (transaction, answers) = Transaction::begin(connection, company, self.call.deadline, &first)
            .await
            .map_err(|error| Failed::of(error, &self.router, &self.route))?;
        let registered = registration(&answers[2]);
        if registered.required {
            return Err(Failed::Outdated(Error::IsolationRequired));
        }
        // A server or name was registered that this process has not read yet: it decides anew.
        let known = self.router.table.load();
        let read = known.ledger.registration(app, company);
        if read.and_then(|read| read.database.as_deref()) != registered.database.as_deref()
            || read.and_then(|read| read.server.as_deref()) != registered.server.as_deref()
        {
            return Err(Failed::Outdated(Error::RouteUnknown("its registration keeps changing")));
        }
        if first_bool(&answers[4]) { Ok(transaction) } else { Err(Failed::Fenced) }
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
        let rows = self.transaction.query(statement, &bound).await;
        rows.map_err(|error| {
            self.failure = error.failure();
            error.into_error()
        })
    }

    /// Runs statements in one round trip, each seeing what the ones before it did. `$1` of each is the solution, bound here.
    pub async fn query_all(&mut self, statements: &[Bound<'_>]) -> Result<Vec<Vec<Row>>> {
        let company = self.solution.as_str();
        let bound: Vec<Vec<&(dyn ToSql + Sync)>> = statements
            .iter()
            .map(|(_, parameters)| {
                std::iter::once(&company as &(dyn ToSql + Sync)).chain(parameters.iter().copied()).collect()
            })
            .collect();
        let flight: Vec<Bound<'_>> =
            statements.iter().zip(&bound).map(|((statement, _), parameters)| (*statement, &**parameters)).collect();
        let rows = self.transaction.query_all(&flight).await;
        rows.map_err(|error| {
            self.failure = error.failure();
            error.into_error()
        })
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
