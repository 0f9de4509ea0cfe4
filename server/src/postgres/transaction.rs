//! The one way in which statements reach Postgres.
//!
//! Every statement runs in a READ COMMITTED transaction that names its solution for the policies and carries the
//! caller's deadline as `statement_timeout`. Nothing is set beyond the transaction, so nothing is left for the next
//! user of the connection, also behind a pooler.
//!
//! Invariants: after any error a transaction can only be rolled back; COMMIT counts only when the statement
//! before it in the same flight succeeded (the driver takes a ROLLBACK for a COMMIT); a connection whose answers
//! are outstanding goes to quarantine.

use std::time::Duration;

use deadpool_postgres::ClientWrapper;
use futures_util::future::{BoxFuture, join, join_all, join3, join4};
use tokio::time::timeout_at;
use tokio_postgres::{Row, Statement as Prepared, types::Type};

use super::{
    Connection, Failure,
    statement::{Parameters, Statement},
};
use crate::domain::{Deadline, Error};

/// Longest wait for a lock: behind it somebody's transaction, whose end is not ours to hasten.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest statement among others: they all wait for it.
const SHARED_TIMEOUT: Duration = Duration::from_secs(5);
/// The server gives up on us if we fall silent inside a transaction.
const IDLE_IN_TRANSACTION: &str = "10s";
static SETTINGS: Statement = Statement {
    name: "settings",
    sql: include_str!("transaction_settings.sql"),
    types: &[Type::TEXT, Type::TEXT, Type::TEXT, Type::TEXT],
};
static PROOF_OF_COMMIT: Statement =
    Statement { name: "proof of commit", sql: "SELECT pg_catalog.pg_current_xact_id_if_assigned()::text", types: &[] };

/// A statement with its parameters.
pub type Bound<'b> = (&'static Statement, &'b Parameters<'b>);

/// A driver error with its meaning, or a deadline.
#[derive(Debug)]
pub enum StatementError {
    /// Postgres, or the way to it, failed.
    Failed(Failure, tokio_postgres::Error),
    /// The deadline passed before the answer came.
    DeadlinePassed,
    /// An earlier statement of the transaction had failed.
    Poisoned,
}

/// How a COMMIT failed.
#[derive(Debug)]
pub enum CommitError {
    /// Nothing was committed.
    RolledBack(StatementError),
    /// The answer was lost: it may have been.
    Unknown,
}

/// A transaction that writes.
#[derive(Debug)]
pub struct Transaction {
    connection: Connection,
    deadline: Deadline,
    poisoned: bool,
}

// === reading ===

impl Connection {
    /// Runs one reading statement for `company`, in a transaction of its own and in one round trip.
    pub async fn read(
        mut self,
        company: &str,
        deadline: Deadline,
        (statement, parameters): Bound<'_>,
    ) -> Result<Vec<Row>, StatementError> {
        self.set_unfinished(true);
        let outcome = {
            let Some(client) = self.client() else { return Err(StatementError::Poisoned) };
            timeout_at(deadline.instant(), read(client, company, deadline, statement, parameters)).await
        };
        match outcome {
            Ok(outcome) => {
                // Every answer has come: the connection is clean, or closed.
                self.set_unfinished(false);
                outcome
            }
            Err(_) => Err(StatementError::DeadlinePassed),
        }
    }
}

async fn read(
    client: &ClientWrapper,
    company: &str,
    deadline: Deadline,
    statement: &Statement,
    parameters: &Parameters<'_>,
) -> Result<Vec<Row>, StatementError> {
    let set = client.prepare_typed_cached(SETTINGS.sql, SETTINGS.types).await?;
    let prepared = client.prepare_typed_cached(statement.sql, statement.types).await?;
    let [timeout, lock_timeout] = timeouts(deadline);
    let settings: &Parameters<'_> = &[&company, &timeout, &lock_timeout, &IDLE_IN_TRANSACTION];
    // Polled in this order, so sent in this order, without waiting in between.
    let (begin, set, rows, commit) = join4(
        client.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY"),
        client.query(&set, settings),
        client.query(&prepared, parameters),
        client.batch_execute("COMMIT"),
    )
    .await;
    begin?;
    set?;
    let rows = rows.inspect_err(|error| forget_stale_plan(client, error))?;
    commit?;
    Ok(rows)
}

// === reading together ===

impl Connection {
    /// Begins a transaction in which several read for `company`. It ends by quarantine, when the connection is dropped.
    pub(super) async fn begin_shared(&mut self, company: &str, deadline: Deadline) -> Result<(), StatementError> {
        self.set_unfinished(true);
        let Some(client) = self.client() else { return Err(StatementError::Poisoned) };
        guard(deadline, async {
            let set = client.prepare_typed_cached(SETTINGS.sql, SETTINGS.types).await?;
            // Not the first reader's deadline: each of them has his own, and stops waiting by himself.
            let (timeout, lock_timeout) = (milliseconds(SHARED_TIMEOUT), milliseconds(LOCK_TIMEOUT));
            let settings: &Parameters<'_> = &[&company, &timeout, &lock_timeout, &IDLE_IN_TRANSACTION];
            let (begin, set) = join(
                client.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY"),
                client.query(&set, settings),
            )
            .await;
            begin?;
            set?;
            Ok(())
        })
        .await
    }

    /// Runs one reading statement behind those of others, and before theirs.
    pub(super) async fn read_shared(
        &self,
        deadline: Deadline,
        (statement, parameters): Bound<'_>,
    ) -> Result<Vec<Row>, StatementError> {
        let Some(client) = self.client() else { return Err(StatementError::Poisoned) };
        guard(deadline, async {
            let prepared = client.prepare_typed_cached(statement.sql, statement.types).await?;
            let rows = client.query(&prepared, parameters).await;
            Ok(rows.inspect_err(|error| forget_stale_plan(client, error))?)
        })
        .await
    }
}

// === impl Transaction ===

impl Transaction {
    /// Begins a transaction for `company` and runs `first` in the same round trip.
    pub async fn begin(
        mut connection: Connection,
        company: &str,
        deadline: Deadline,
        first: &[Bound<'_>],
    ) -> Result<(Self, Vec<Vec<Row>>), StatementError> {
        connection.set_unfinished(true);
        let this = Self { connection, deadline, poisoned: false };
        let Some(client) = this.connection.client() else { return Err(StatementError::Poisoned) };
        let begin = async {
            let set = client.prepare_typed_cached(SETTINGS.sql, SETTINGS.types).await?;
            let prepared = prepare(client, first).await?;
            let [timeout, lock_timeout] = timeouts(deadline);
            let settings: &Parameters<'_> = &[&company, &timeout, &lock_timeout, &IDLE_IN_TRANSACTION];
            let (begin, set, rows) = join3(
                client.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED"),
                client.query(&set, settings),
                flight(client, &prepared, first),
            )
            .await;
            begin?;
            set?;
            answers(client, rows)
        };
        // Dropped on any error: quarantine rolls back.
        let answers = guard(deadline, begin).await?;
        Ok((this, answers))
    }

    /// Runs one statement.
    pub async fn query(
        &mut self,
        statement: &'static Statement,
        parameters: &Parameters<'_>,
    ) -> Result<Vec<Row>, StatementError> {
        Ok(self.query_all(&[(statement, parameters)]).await?.pop().unwrap_or_default())
    }

    /// Runs statements in one round trip, each seeing what the ones before it did.
    pub async fn query_all(&mut self, statements: &[Bound<'_>]) -> Result<Vec<Vec<Row>>, StatementError> {
        if self.poisoned {
            return Err(StatementError::Poisoned);
        }
        // Until the answers are there; a caller who leaves meanwhile leaves it set.
        self.poisoned = true;
        let Some(client) = self.connection.client() else { return Err(StatementError::Poisoned) };
        let rows = guard(self.deadline, async {
            let prepared = prepare(client, statements).await?;
            answers(client, flight(client, &prepared, statements).await)
        })
        .await?;
        self.poisoned = false;
        Ok(rows)
    }

    /// Commits, and knows it.
    pub async fn commit(mut self) -> Result<(), CommitError> {
        if self.poisoned {
            return Err(CommitError::RolledBack(StatementError::Poisoned));
        }
        let Some(client) = self.connection.client() else {
            return Err(CommitError::RolledBack(StatementError::Poisoned));
        };
        let prepared = guard(self.deadline, async {
            Ok(client.prepare_typed_cached(PROOF_OF_COMMIT.sql, PROOF_OF_COMMIT.types).await?)
        })
        .await
        .map_err(CommitError::RolledBack)?;
        let flight = join(client.query(&prepared, &[]), client.batch_execute("COMMIT"));
        let (proof, commit) = timeout_at(self.deadline.instant(), flight).await.map_err(|_| CommitError::Unknown)?;
        let outcome = match (proof, commit) {
            (Ok(_), Ok(())) => Ok(()),
            // A statement that fails with an SQLSTATE of its own turns the COMMIT behind it into a ROLLBACK.
            (Err(error), Ok(())) => Err(CommitError::RolledBack(error.into())),
            (_, Err(error)) => match Failure::of(&error, false) {
                Failure::Unavailable => Err(CommitError::Unknown),
                _ => Err(CommitError::RolledBack(error.into())),
            },
        };
        self.connection.set_unfinished(matches!(outcome, Err(CommitError::Unknown)));
        outcome
    }

    /// Gives up. The connection goes through quarantine, which rolls back.
    pub fn roll_back(self) {
        drop(self);
    }
}

async fn prepare(client: &ClientWrapper, statements: &[Bound<'_>]) -> Result<Vec<Prepared>, StatementError> {
    let mut prepared = Vec::with_capacity(statements.len());
    for (statement, _) in statements {
        prepared.push(client.prepare_typed_cached(statement.sql, statement.types).await?);
    }
    Ok(prepared)
}

/// Sends all of them, in order, before waiting for any.
async fn flight(
    client: &ClientWrapper,
    prepared: &[Prepared],
    statements: &[Bound<'_>],
) -> Vec<Result<Vec<Row>, tokio_postgres::Error>> {
    let queries = prepared.iter().zip(statements).map(|(prepared, (_, parameters))| client.query(prepared, parameters));
    join_all(queries).await
}

fn answers(
    client: &ClientWrapper,
    rows: Vec<Result<Vec<Row>, tokio_postgres::Error>>,
) -> Result<Vec<Vec<Row>>, StatementError> {
    let mut answers = Vec::with_capacity(rows.len());
    for rows in rows {
        answers.push(rows.inspect_err(|error| forget_stale_plan(client, error))?);
    }
    Ok(answers)
}

async fn guard<T>(
    deadline: Deadline,
    work: impl Future<Output = Result<T, StatementError>>,
) -> Result<T, StatementError> {
    timeout_at(deadline.instant(), work).await.unwrap_or(Err(StatementError::DeadlinePassed))
}

/// `statement_timeout` and `lock_timeout` in milliseconds: a little before the deadline, so that the server's answer
/// still comes and the connection stays clean. 0 would mean none, so never 0.
fn timeouts(deadline: Deadline) -> [String; 2] {
    let remaining = deadline.inner().remaining().as_millis().max(1);
    [remaining.to_string(), remaining.min(LOCK_TIMEOUT.as_millis()).to_string()]
}

fn milliseconds(time: Duration) -> String {
    time.as_millis().to_string()
}

/// A plan made before a migration: the connection forgets its statements, and a repeat prepares anew.
fn forget_stale_plan(client: &ClientWrapper, error: &tokio_postgres::Error) {
    if Failure::of(error, false) == Failure::StalePlan {
        client.statement_cache.clear();
    }
}

impl From<tokio_postgres::Error> for StatementError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Failed(Failure::of(&error, false), error)
    }
}

impl StatementError {
    /// What it means, if Postgres was the one to say so.
    pub fn failure(&self) -> Option<Failure> {
        match self {
            Self::Failed(failure, _) => Some(*failure),
            Self::DeadlinePassed | Self::Poisoned => None,
        }
    }

    /// The error of the call.
    pub fn into_error(self) -> Error {
        match self {
            Self::Failed(failure, error) => failure.into_error(error),
            Self::DeadlinePassed => Error::DeadlineExceeded("waiting for the database"),
            Self::Poisoned => Error::internal("a transaction went on after an error"),
        }
    }
}

/// The future of a piece of work inside a transaction.
pub type Work<'t, T> = BoxFuture<'t, Result<T, Error>>;
