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

use futures_util::future::{BoxFuture, join, join_all, join3};
use tokio::time::timeout_at;
use tokio_postgres::Row;

use super::{
    Connection, Failure,
    line::{BEGIN, BEGIN_READING, Line},
    statement::{Parameters, Statement},
};
use crate::domain::{Deadline, Error, error::Cause};

/// Longest wait for a lock: behind it somebody's transaction, whose end is not ours to hasten.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest statement among others: they all wait for it.
const SHARED_TIMEOUT: Duration = Duration::from_secs(5);
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
    /// A pooler led the transaction elsewhere than where the connection was proved to be. Nothing of it counts.
    Elsewhere,
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
            let Some(line) = Line::of(&self) else { return Err(StatementError::Poisoned) };
            timeout_at(deadline.instant(), read(&line, company, deadline, statement, parameters)).await
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
    line: &Line<'_>,
    company: &str,
    deadline: Deadline,
    statement: &'static Statement,
    parameters: &Parameters<'_>,
) -> Result<Vec<Row>, StatementError> {
    let opening = line.opening().await?;
    let ready = line.ready(statement).await?;
    // Polled in this order, so sent in this order, without waiting in between.
    let (begun, rows, commit) = join3(
        opening.send(BEGIN_READING, company, timeouts(deadline)),
        line.query(&ready, parameters),
        line.batch("COMMIT"),
    )
    .await;
    begun?;
    let rows = rows?;
    commit?;
    Ok(rows)
}

// === reading together ===

impl Connection {
    /// Begins a transaction in which several read for `company`. It ends by quarantine, when the connection is dropped.
    pub(super) async fn begin_shared(&mut self, company: &str, deadline: Deadline) -> Result<(), StatementError> {
        self.set_unfinished(true);
        let Some(line) = Line::of(self) else { return Err(StatementError::Poisoned) };
        guard(deadline, async {
            // Not the first reader's deadline: each of them has his own, and stops waiting by himself.
            let timeouts = [SHARED_TIMEOUT, LOCK_TIMEOUT].map(|time| time.as_millis().to_string());
            line.opening().await?.send(BEGIN_READING, company, timeouts).await
        })
        .await
    }

    /// Runs one reading statement behind those of others, and before theirs.
    pub(super) async fn read_shared(
        &self,
        deadline: Deadline,
        (statement, parameters): Bound<'_>,
    ) -> Result<Vec<Row>, StatementError> {
        let Some(line) = Line::of(self) else { return Err(StatementError::Poisoned) };
        guard(deadline, async { Ok(line.query(&line.ready(statement).await?, parameters).await?) }).await
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
        let Some(line) = Line::of(&this.connection) else { return Err(StatementError::Poisoned) };
        let begin = async {
            let opening = line.opening().await?;
            let (begun, rows) =
                join(opening.send(BEGIN, company, timeouts(deadline)), flight(&line, first).await?).await;
            begun?;
            Ok(rows.into_iter().collect::<Result<_, _>>()?)
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
        let Some(line) = Line::of(&self.connection) else { return Err(StatementError::Poisoned) };
        let rows = guard(self.deadline, async {
            Ok(flight(&line, statements).await?.await.into_iter().collect::<Result<_, _>>()?)
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
        let Some(line) = Line::of(&self.connection) else {
            return Err(CommitError::RolledBack(StatementError::Poisoned));
        };
        let ready = guard(self.deadline, async { Ok(line.ready(&PROOF_OF_COMMIT).await?) })
            .await
            .map_err(CommitError::RolledBack)?;
        let flight = join(line.query(&ready, &[]), line.batch("COMMIT"));
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

/// All of them, made ready: awaited, they are sent in order, before any is waited for.
async fn flight<'f>(
    line: &'f Line<'_>,
    statements: &'f [Bound<'f>],
) -> Result<impl Future<Output = Vec<Result<Vec<Row>, tokio_postgres::Error>>> + 'f, tokio_postgres::Error> {
    let mut ready = Vec::with_capacity(statements.len());
    for (statement, parameters) in statements {
        ready.push((line.ready(statement).await?, *parameters));
    }
    Ok(async move { join_all(ready.iter().map(|(ready, parameters)| line.query(ready, parameters))).await })
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
            Self::DeadlinePassed | Self::Poisoned | Self::Elsewhere => None,
        }
    }

    /// The error of the call.
    pub fn into_error(self) -> Error {
        match self {
            Self::Failed(failure, error) => failure.into_error(error),
            Self::DeadlinePassed => Error::DeadlineExceeded("waiting for the database"),
            Self::Poisoned => Error::internal("a transaction went on after an error"),
            Self::Elsewhere => Error::DatabaseUnavailable { cause: Some(Cause::new(Elsewhere)) },
        }
    }
}

/// What is told of [`StatementError::Elsewhere`].
#[derive(Debug, thiserror::Error)]
#[error("the pooler led to another database, cluster or role than before")]
struct Elsewhere;

/// The future of a piece of work inside a transaction.
pub type Work<'t, T> = BoxFuture<'t, Result<T, Error>>;
