//! The way to the ledger's database for whoever changes it.
//!
//! Invariant: nothing is written to another ledger, database or cluster than the one that was read.

use std::sync::Arc;

use tokio_postgres::Row;

use super::{ledger::LedgerView, ledger_write::checkout};
use crate::{
    domain::{DatabaseTarget, Deadline, Error, Login, Result},
    postgres::{
        Connection, Pools,
        transaction::{Bound, CommitError, StatementError, Transaction},
    },
};

/// The ledger's database, as it was read.
#[derive(Debug, Clone)]
pub(crate) struct LedgerDoor<'w> {
    /// The process's pools.
    pub(in crate::routing) pools: &'w Arc<Pools>,
    /// The database that holds the ledger.
    pub(in crate::routing) ledger: &'w DatabaseTarget,
    /// The ledger that was read: another one is not written to.
    pub(in crate::routing) known: Arc<LedgerView>,
    /// The cluster that an operator has just accepted for the ledger's own server.
    pub(in crate::routing) accepted: Option<u64>,
    /// Until when.
    pub(in crate::routing) deadline: Deadline,
}

impl LedgerDoor<'_> {
    /// A connection to the ledger's database, if it is still the one that was read.
    pub(in crate::routing) async fn connection(&self) -> Result<Connection> {
        let connection = checkout(self.pools, self.ledger, &Login::Runtime, self.deadline).await?;
        let facts = connection.facts();
        let identified = facts.identity.as_ref().is_some_and(|identity| {
            identity.solution.is_none()
                && Some(identity.database_uuid) == self.known.database_uuid
                && identity.ledger_id == self.known.last_change.map(|change| change.ledger_id)
        });
        let cluster = self.accepted.or_else(|| self.known.servers.get(&self.ledger.server).copied());
        if identified && cluster.is_none_or(|known| known == facts.system_identifier) {
            return Ok(connection);
        }
        self.pools.close(self.ledger);
        Err(Error::RouteUnknown("the ledger's database is not the one that was read"))
    }

    /// Begins a transaction about `company`, and runs `first` in the same round trip.
    pub(in crate::routing) async fn begin(
        &self,
        company: &str,
        first: &[Bound<'_>],
    ) -> Result<(Transaction, Vec<Vec<Row>>)> {
        let connection = self.connection().await?;
        Transaction::begin(connection, company, self.deadline, first).await.map_err(StatementError::into_error)
    }
}

/// Commits; `true`, because whoever got so far has changed something.
pub(in crate::routing) async fn commit(transaction: Transaction) -> Result<bool> {
    match transaction.commit().await {
        Ok(()) => Ok(true),
        Err(CommitError::RolledBack(error)) => Err(error.into_error()),
        // Whether it happened is read from the ledger next time: these changes are all repeatable.
        Err(CommitError::Unknown) => Err(Error::DatabaseUnavailable { cause: None }),
    }
}
