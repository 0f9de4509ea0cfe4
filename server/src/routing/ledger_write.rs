//! The transactions that change ledger and fences.
//!
//! Each is one transaction under the solution's advisory lock, compares what it expects, and changes nothing if the
//! world has moved on: then `false` comes back, and the caller reads the ledger and decides anew.

use std::sync::Arc;

use tokio_postgres::{Row, types::Type};
use uuid::Uuid;

use super::{
    evidence::{Fence, Found},
    ledger_door::{LedgerDoor, commit},
};
use crate::{
    domain::{DatabaseTarget, Deadline, Epoch, Error, Login, Result, SolutionId},
    postgres::{
        Connection, Failure, Pools, Purpose, Statement,
        pool::CheckoutError,
        transaction::{Bound, StatementError, Transaction},
    },
};

/// `NAME, file, types`: a statement in a file of this folder.
macro_rules! statement {
    ($name:ident, $file:literal, $($type:ident),*) => {
        #[doc = concat!("See `", $file, "`.")]
        pub(crate) static $name: Statement =
            Statement { name: $file, sql: include_str!($file), types: &[$(Type::$type),*] };
    };
}

pub(super) use statement;

statement!(LOCK_SHARED, "lock_shared.sql", TEXT);
statement!(LOCK_EXCLUSIVE, "lock_exclusive.sql", TEXT);
statement!(ADMITS, "admits.sql", TEXT, INT8, UUID);
statement!(ROWS, "rows.sql", TEXT);
statement!(REGISTRATION, "registration.sql", TEXT, TEXT);
statement!(FENCE, "fence.sql", TEXT);
statement!(READY_TABLE, "ready_table.sql", TEXT);
statement!(RECORD_SYSTEM, "record_system.sql", TEXT, TEXT);
statement!(FENCE_FIRST_WRITE, "fence_first_write.sql", TEXT, UUID);
statement!(DURABLE, "durable.sql",);
statement!(RECORD_DEDICATED, "record_dedicated.sql", TEXT, TEXT, TEXT, TEXT, OID, UUID);
statement!(TURN_DEDICATED, "turn_dedicated.sql", TEXT, TEXT, TEXT, TEXT, OID, UUID, INT8);
statement!(FENCE_MOVED, "fence_moved.sql", TEXT, INT8);
statement!(SEAL, "seal.sql", TEXT, INT8);
statement!(FENCE_ACTIVE, "fence_active.sql", TEXT, INT8, UUID);
statement!(AUDIT, "audit.sql", TEXT, TEXT, TEXT, INT8);
statement!(ADOPT_OID, "adopt_oid.sql", TEXT, TEXT, INT8, UUID, OID);
statement!(FOLLOW, "follow.sql", TEXT, TEXT, INT8, UUID, TEXT, TEXT, OID);
statement!(CLAIM, "claim.sql", TEXT, UUID);
statement!(ADOPT_LEDGER, "adopt_ledger.sql", TEXT, UUID);
statement!(RECORD_SERVER, "record_server.sql", TEXT, TEXT);

/// Writes on behalf of one pair.
#[derive(Debug)]
pub(crate) struct LedgerWriter<'w> {
    /// The way there.
    pub(in crate::routing) door: LedgerDoor<'w>,
    /// The pair.
    pub(in crate::routing) solution: &'w SolutionId,
    /// The pair.
    pub(in crate::routing) app: &'w Arc<str>,
}

/// What a registration says, as a first write or a taking over reads it in its own transaction.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Registered {
    /// A server or name is given, or isolation is required.
    pub server: Option<String>,
    /// A name is given.
    pub database: Option<String>,
    /// Never the system database.
    pub required: bool,
}

impl LedgerWriter<'_> {
    /// Makes an empty solution dedicated. Its COMMIT is the commit point.
    pub(super) async fn take_over(
        &self,
        found: &Found,
        uuid: Uuid,
        recorded: Option<Epoch>,
        registered: &Registered,
        principal: &str,
    ) -> Result<bool> {
        let company = self.solution.as_str();
        let app: &str = self.app;
        let (mut transaction, answers) = self
            .begin(&[
                (&LOCK_EXCLUSIVE, &[&company]),
                // A statement of its own: it sees what those we waited for have written.
                (&ROWS, &[&company]),
                (&REGISTRATION, &[&company, &app]),
                (&DURABLE, &[]),
            ])
            .await?;
        let rows = first_bool(&answers[1]);
        if rows || registration(&answers[2]) != *registered {
            return Ok(false);
        }
        let (server, name): (&str, &str) = (&found.target.server, &found.target.name);
        let changed = match recorded {
            None => {
                let parameters: &[&(dyn tokio_postgres::types::ToSql + Sync)] =
                    &[&company, &app, &server, &name, &found.oid, &Some(uuid)];
                transaction.query(&RECORD_DEDICATED, parameters).await
            }
            Some(epoch) => {
                transaction.query(&TURN_DEDICATED, &[&company, &app, &server, &name, &found.oid, &uuid, &epoch]).await
            }
        }
        .map_err(StatementError::into_error)?;
        let Some(epoch) = changed.first().map(|row| row.get::<_, Epoch>(0)) else { return Ok(false) };
        let fenced = transaction.query(&FENCE_MOVED, &[&company, &epoch]).await.map_err(StatementError::into_error)?;
        if fenced.is_empty() {
            return Ok(false);
        }
        transaction
            .query(&AUDIT, &[&company, &principal, &"take-over", &epoch])
            .await
            .map_err(StatementError::into_error)?;
        commit(transaction).await
    }

    /// Records a server, of which placements are about to be recorded.
    pub(super) async fn record_server(&self, server: &str, system_identifier: u64) -> Result<bool> {
        self.change((&RECORD_SERVER, &[&server, &system_identifier.to_string()])).await
    }

    /// Records a pair whose tables are not ours.
    pub(super) async fn record_dedicated(&self, found: &Found) -> Result<bool> {
        let (server, name): (&str, &str) = (&found.target.server, &found.target.name);
        let app: &str = self.app;
        self.change((&RECORD_DEDICATED, &[&self.solution.as_str(), &app, &server, &name, &found.oid, &None::<Uuid>]))
            .await
    }

    /// Records a solution with rows in the system database, as its first write would have.
    pub(super) async fn record_system(&self, system_uuid: Uuid) -> Result<bool> {
        let company = self.solution.as_str();
        let app: &str = self.app;
        let (transaction, _) = self
            .begin(&[
                (&LOCK_SHARED, &[&company]),
                (&DURABLE, &[]),
                // The fence before the ledger, as a first write does: else the two could wait for each other.
                (&FENCE_FIRST_WRITE, &[&company, &system_uuid]),
                (&RECORD_SYSTEM, &[&company, &app]),
            ])
            .await?;
        commit(transaction).await
    }

    /// Records the new oid of a database that proved the recorded uuid.
    pub(super) async fn adopt_oid(&self, oid: u32, epoch: Epoch, uuid: Uuid) -> Result<bool> {
        let app: &str = self.app;
        self.change((&ADOPT_OID, &[&self.solution.as_str(), &app, &epoch, &uuid, &oid])).await
    }

    /// Records that the database answers under another name or on another server.
    pub(super) async fn follow(&self, found: &Found, epoch: Epoch, uuid: Uuid) -> Result<bool> {
        let (server, name): (&str, &str) = (&found.target.server, &found.target.name);
        let app: &str = self.app;
        self.change((&FOLLOW, &[&self.solution.as_str(), &app, &epoch, &uuid, &server, &name, &found.oid])).await
    }

    /// True if the system database holds a row of the solution.
    pub(super) async fn rows(&self) -> Result<bool> {
        let connection = self.door.connection().await?;
        let company = self.solution.as_str();
        let rows = connection
            .read(company, self.door.deadline, (&ROWS, &[&company]))
            .await
            .map_err(StatementError::into_error)?;
        Ok(first_bool(&rows))
    }

    async fn change(&self, statement: Bound<'_>) -> Result<bool> {
        let company = self.solution.as_str();
        let (transaction, answers) = self.begin(&[(&LOCK_SHARED, &[&company]), (&DURABLE, &[]), statement]).await?;
        if answers[2].is_empty() {
            return Ok(false);
        }
        commit(transaction).await
    }

    pub(super) async fn begin(&self, first: &[Bound<'_>]) -> Result<(Transaction, Vec<Vec<Row>>)> {
        self.door.begin(self.solution.as_str(), first).await
    }
}

// === in the solution's own database ===

/// Claims a database without an identity, or without a ledger, for solution and ledger. Whoever comes second changes
/// nothing and reads what is there.
pub(super) async fn claim(
    connection: Connection,
    solution: &SolutionId,
    ledger_id: Uuid,
    deadline: Deadline,
) -> Result<()> {
    let company = solution.as_str();
    write_alone(connection, company, deadline, (&CLAIM, &[&company, &ledger_id])).await.map(drop)
}

/// Claims a database for solution and ledger whichever ledger it belonged to; never that of another solution.
pub(super) async fn adopt(
    connection: Connection,
    solution: &SolutionId,
    ledger_id: Uuid,
    deadline: Deadline,
) -> Result<()> {
    let company = solution.as_str();
    let (transaction, _) = Transaction::begin(
        connection,
        company,
        deadline,
        &[
            (&LOCK_SHARED, &[&company]),
            (&DURABLE, &[]),
            (&CLAIM, &[&company, &ledger_id]),
            (&ADOPT_LEDGER, &[&company, &ledger_id]),
        ],
    )
    .await
    .map_err(StatementError::into_error)?;
    commit(transaction).await.map(drop)
}

/// Sets the fence ACTIVE at the epoch of the record that the caller holds. Idempotent, and only upwards.
pub(super) async fn activate_fence(
    connection: Connection,
    solution: &SolutionId,
    epoch: Epoch,
    uuid: Uuid,
    deadline: Deadline,
) -> Result<()> {
    let company = solution.as_str();
    write_alone(connection, company, deadline, (&FENCE_ACTIVE, &[&company, &epoch, &uuid])).await.map(drop)
}

/// Closes the fence of a released database at the epoch of its release. Only upwards.
pub(super) async fn retire_fence(
    connection: Connection,
    solution: &SolutionId,
    epoch: Epoch,
    deadline: Deadline,
) -> Result<()> {
    let company = solution.as_str();
    write_alone(connection, company, deadline, (&FENCE_MOVED, &[&company, &epoch])).await.map(drop)
}

/// Keeps out movers that were taken back below `epoch`, and may go on all the same. False if the copy of one lies there.
pub(super) async fn seal_fence(
    connection: Connection,
    solution: &SolutionId,
    epoch: Epoch,
    deadline: Deadline,
) -> Result<bool> {
    let company = solution.as_str();
    let sealed = write_alone(connection, company, deadline, (&SEAL, &[&company, &epoch])).await?;
    Ok(!sealed.is_empty())
}

/// The fence of the solution, if there is a row.
pub(super) async fn read_fence(
    connection: Connection,
    solution: &SolutionId,
    deadline: Deadline,
) -> Result<Option<Fence>> {
    let company = solution.as_str();
    let rows = connection.read(company, deadline, (&FENCE, &[&company])).await.map_err(StatementError::into_error)?;
    Ok(rows.first().map(|row| Fence { epoch: row.get(0), active: row.get(1), copying: row.get(2) }))
}

async fn write_alone(
    connection: Connection,
    company: &str,
    deadline: Deadline,
    statement: Bound<'_>,
) -> Result<Vec<Row>> {
    let (transaction, mut answers) =
        Transaction::begin(connection, company, deadline, &[(&LOCK_SHARED, &[&company]), (&DURABLE, &[]), statement])
            .await
            .map_err(StatementError::into_error)?;
    commit(transaction).await?;
    Ok(answers.pop().unwrap_or_default())
}

/// A connection to the target for routing, or the error of a call that needed one.
pub(crate) async fn checkout(
    pools: &Arc<Pools>,
    target: &DatabaseTarget,
    login: &Login,
    deadline: Deadline,
) -> Result<Connection> {
    pools.checkout(target, login, Purpose::Routing, deadline).await.map_err(CheckoutError::into_error)
}

impl CheckoutError {
    /// The error of the call.
    pub fn into_error(self) -> Error {
        match self {
            Self::Exhausted => Error::PoolExhausted,
            Self::DeadlinePassed => Error::DeadlineExceeded("waiting for a connection"),
            Self::Failed(_, error) => error,
            Self::Unguarded => Error::DatabaseMisconfigured {
                what: "solutions would not be kept apart there; the router's log tells why",
                cause: None,
            },
            Self::RoleTooPowerful => {
                Error::DatabaseMisconfigured { what: "the runtime role bypasses row-level security there", cause: None }
            }
        }
    }

    /// What it means, if Postgres was the one to say so.
    pub fn failure(&self) -> Option<Failure> {
        match self {
            Self::Failed(failure, _) => Some(*failure),
            Self::Exhausted | Self::DeadlinePassed | Self::RoleTooPowerful | Self::Unguarded => None,
        }
    }
}

/// The first column of the first row.
pub(super) fn first_bool(rows: &[Row]) -> bool {
    rows.first().is_some_and(|row| row.get(0))
}

/// A registration as a transaction read it.
pub(super) fn registration(rows: &[Row]) -> Registered {
    rows.first().map_or_else(Registered::default, |row| Registered {
        server: row.get(0),
        database: row.get(1),
        required: row.get::<_, &str>(2) == "required",
    })
}
