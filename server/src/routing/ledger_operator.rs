//! The transactions with which an operator's decision is written.
//!
//! Each is audited in the transaction that does it.

use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{
    evidence::Found,
    ledger_door::{LedgerDoor, commit},
    ledger_write::{AUDIT, DURABLE, FENCE_ACTIVE, FENCE_MOVED, LOCK_EXCLUSIVE, LedgerWriter, statement},
};
use crate::{
    config::Isolation,
    domain::{Epoch, Error, Result, Violation},
    postgres::{
        Failure, Statement,
        transaction::{Bound, CommitError, StatementError, Transaction},
    },
};

statement!(REGISTER, "register.sql", TEXT, TEXT, TEXT, TEXT, TEXT);
statement!(SETTLE_DEDICATED, "settle_dedicated.sql", TEXT, TEXT, TEXT, TEXT, OID, UUID, INT8, INT8);
statement!(SETTLE_SYSTEM, "settle_system.sql", TEXT, TEXT, INT8, UUID);
statement!(SYSTEM_FENCE, "system_fence.sql", TEXT);
statement!(ACCEPT_SERVER, "accept_server.sql", TEXT, TEXT);
statement!(LOCK_LEDGER, "lock_ledger.sql",);
statement!(REMOVE_SERVER, "remove_server.sql", TEXT);

/// Whose the audit's rows about servers are: no solution can be called so, and none sees them.
const NO_SOLUTION: &str = "*";

/// What is to be registered for a pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registering {
    /// Where its own database is; none: on any server.
    pub server: Option<String>,
    /// What it is called; none: as the pattern says.
    pub database: Option<String>,
    /// Whether the system database is allowed.
    pub isolation: Isolation,
}

/// What stands behind the fence in the system database.
#[derive(Debug, Clone, Copy, Default)]
struct Standing {
    epoch: Epoch,
    /// Rows of a move that was taken back may lie there.
    leftover: bool,
}

impl LedgerWriter<'_> {
    /// Registers what is particular to the pair. Whoever writes to it for the first time, or takes it over, waits.
    pub(super) async fn register(&self, what: &Registering, principal: &str) -> Result<()> {
        let (company, app): (&str, &str) = (self.solution.as_str(), self.app);
        let isolation = match what.isolation {
            Isolation::Required => "required",
            Isolation::Preferred => "preferred",
        };
        let (mut transaction, _) = self.begin(&[(&LOCK_EXCLUSIVE, &[&company]), (&DURABLE, &[])]).await?;
        let registered =
            transaction.query(&REGISTER, &[&company, &app, &what.server, &what.database, &isolation]).await;
        registered.map_err(|error| match error.failure() {
            Some(Failure::UniqueViolation) => {
                Error::FieldInvalid(vec![Violation::new("database", "is registered for another solution")])
            }
            Some(_) | None => error.into_error(),
        })?;
        self.audit(&mut transaction, "register", 0, principal).await?;
        decide(transaction).await
    }

    /// Records the pair as DEDICATED there, at an epoch above `seen` and all others; none while it is being moved, or
    /// if it is not `recorded` at that epoch any more.
    pub(super) async fn settle_dedicated(
        &self,
        found: &Found,
        uuid: Option<Uuid>,
        (recorded, seen): (Option<Epoch>, Epoch),
        principal: &str,
    ) -> Result<Option<Epoch>> {
        let (company, app): (&str, &str) = (self.solution.as_str(), self.app);
        let (server, name): (&str, &str) = (&found.target.server, &found.target.name);
        let (mut transaction, standing) = self.begin_settling().await?;
        let above = seen.max(standing.epoch) + 1;
        let settled = transaction
            .query(&SETTLE_DEDICATED, &[&company, &app, &server, &name, &found.oid, &uuid, &above, &recorded])
            .await
            .map_err(|error| match error.failure() {
                Some(Failure::UniqueViolation) => {
                    Error::DatabaseIdentityMismatch { what: "its uuid is recorded for another pair" }
                }
                Some(_) | None => error.into_error(),
            })?;
        let Some(epoch) = settled.first().map(|row| row.get::<_, Epoch>(0)) else { return Ok(None) };
        if uuid.is_some() {
            transaction.query(&FENCE_MOVED, &[&company, &epoch]).await.map_err(StatementError::into_error)?;
        }
        self.audit(&mut transaction, "register", epoch, principal).await?;
        decide(transaction).await.map(|()| Some(epoch))
    }

    /// Records the pair as SYSTEM, at an epoch above `seen` and all others; none while it is being moved, or while rows
    /// of a move that was taken back lie in the system database.
    pub(super) async fn settle_system(
        &self,
        given_up: Option<Uuid>,
        system: Option<Uuid>,
        seen: Epoch,
        principal: &str,
    ) -> Result<Option<Epoch>> {
        let (company, app): (&str, &str) = (self.solution.as_str(), self.app);
        let (mut transaction, standing) = self.begin_settling().await?;
        if standing.leftover && system.is_some() {
            return Ok(None);
        }
        let above = seen.max(standing.epoch) + 1;
        let settled = transaction
            .query(&SETTLE_SYSTEM, &[&company, &app, &above, &given_up])
            .await
            .map_err(StatementError::into_error)?;
        let Some(epoch) = settled.first().map(|row| row.get::<_, Epoch>(0)) else { return Ok(None) };
        if let Some(system) = system {
            let opened = transaction.query(&FENCE_ACTIVE, &[&company, &epoch, &system]).await;
            if opened.map_err(StatementError::into_error)?.is_empty() {
                return Ok(None);
            }
        }
        self.audit(&mut transaction, "release", epoch, principal).await?;
        decide(transaction).await.map(|()| Some(epoch))
    }

    /// What is done beside the ledger, on record before it is done.
    pub(crate) async fn note(&self, action: &str, epoch: Epoch, principal: &str) -> Result<()> {
        let (mut transaction, _) = self.begin(&[(&DURABLE, &[])]).await?;
        self.audit(&mut transaction, action, epoch, principal).await?;
        commit(transaction).await.map(drop)
    }

    async fn begin_settling(&self) -> Result<(Transaction, Standing)> {
        let company = self.solution.as_str();
        // The fence as a statement of its own: it sees what those we waited for have written.
        let (transaction, answers) =
            self.begin(&[(&LOCK_EXCLUSIVE, &[&company]), (&DURABLE, &[]), (&SYSTEM_FENCE, &[&company])]).await?;
        let standing = answers[2].first().map(|row| Standing { epoch: row.get(0), leftover: row.get(1) });
        Ok((transaction, standing.unwrap_or_default()))
    }

    pub(super) async fn audit(
        &self,
        transaction: &mut Transaction,
        action: &str,
        epoch: Epoch,
        principal: &str,
    ) -> Result<()> {
        let company = self.solution.as_str();
        let audited = transaction.query(&AUDIT, &[&company, &principal, &action, &epoch]).await;
        audited.map(drop).map_err(StatementError::into_error)
    }
}

impl LedgerDoor<'_> {
    /// Records that a server is another cluster now. False if the ledger does not know it.
    pub(super) async fn accept_server(&self, server: &str, system_identifier: u64, principal: &str) -> Result<bool> {
        let system_identifier = system_identifier.to_string();
        self.about_a_server((&ACCEPT_SERVER, &[&server, &system_identifier]), "accept-server", principal).await
    }

    /// Forgets a server. False if a placement is on it, or the ledger does not know it.
    pub(super) async fn remove_server(&self, server: &str, principal: &str) -> Result<bool> {
        self.about_a_server((&REMOVE_SERVER, &[&server]), "remove-server", principal).await
    }

    /// As [`LedgerWriter::note`], about no solution.
    pub(super) async fn note(&self, action: &str, principal: &str) -> Result<()> {
        let about: [Bound<'_>; 2] = [(&DURABLE, &[]), (&AUDIT, &[&NO_SOLUTION, &principal, &action, &0_i64])];
        let (transaction, _) = self.begin(NO_SOLUTION, &about).await?;
        commit(transaction).await.map(drop)
    }

    async fn about_a_server(&self, change: Bound<'_>, action: &str, principal: &str) -> Result<bool> {
        let (mut transaction, answers) =
            self.begin(NO_SOLUTION, &[(&LOCK_LEDGER, &[]), (&DURABLE, &[]), change]).await?;
        if answers[2].is_empty() {
            return Ok(false);
        }
        let audited = transaction.query(&AUDIT, &[&NO_SOLUTION, &principal, &action, &0_i64]).await;
        audited.map_err(StatementError::into_error)?;
        decide(transaction).await.map(|()| true)
    }
}

/// Commits a decision. It has no `request_id`: whoever gave it is told that its outcome is not known.
async fn decide(transaction: Transaction) -> Result<()> {
    match transaction.commit().await {
        Ok(()) => Ok(()),
        Err(CommitError::RolledBack(error)) => Err(error.into_error()),
        Err(CommitError::Unknown) => Err(Error::OutcomeUnknown),
    }
}
