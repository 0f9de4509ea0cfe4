//! One of the two databases of a move: proved in every connection, and written to under the fence's eyes.

use std::sync::Arc;

use tokio_postgres::{
    Row,
    types::{ToSql, Type},
};
use uuid::Uuid;

use super::{
    raw::Raw,
    tables::{TABLES, Table},
};
use crate::{
    domain::{DatabaseTarget, Deadline, Epoch, Error, Login, Result, SolutionId},
    postgres::{
        Connection, Pools, SchemaState, Statement,
        transaction::{Bound, CommitError, StatementError, Transaction},
    },
    routing::{DURABLE, LOCK_EXCLUSIVE, LOCK_SHARED, checkout},
};

macro_rules! statement {
    ($name:ident, $file:literal, $($type:ident),*) => {
        static $name: Statement =
            Statement { name: $file, sql: include_str!($file), types: &[$(Type::$type),*] };
    };
}

statement!(FREEZE, "freeze.sql", TEXT, INT8, UUID, UUID);
statement!(OPEN_COPY, "open_copy.sql", TEXT, INT8, UUID, UUID);
statement!(OPEN_PURGE, "open_purge.sql", TEXT, INT8, UUID, UUID);
statement!(CLOSE_PURGE, "close_purge.sql", TEXT, UUID);
statement!(SET_MOVE, "set_move.sql", TEXT);
statement!(PLAIN_TEXTS, "plain_texts.sql",);

/// Rows removed in one transaction; pieces of content are large, and few.
const CLEARED: i64 = 500;
/// Bytes of rows in one flight, about.
const FLIGHT_BYTES: usize = 1024 * 1024;

/// A database, as it was proved when the move was planned.
#[derive(Debug, Clone)]
pub(super) struct Side {
    /// Where.
    pub(super) target: DatabaseTarget,
    /// Of its identity row.
    pub(super) uuid: Uuid,
    /// As whom it is entered.
    pub(super) login: Login,
}

/// A side on behalf of one solution, until some time.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<'a> {
    /// Which.
    pub(super) side: &'a Side,
    /// The process's pools.
    pub(super) pools: &'a Arc<Pools>,
    /// Whose rows.
    pub(super) solution: &'a SolutionId,
    /// Until when.
    pub(super) deadline: Deadline,
}

/// Rows of a table, in order of its key.
#[derive(Debug)]
pub(super) struct Page(Vec<Vec<Raw>>);

/// How many rows each table holds, and a sum over what is in them.
pub(super) type Sums = Vec<(i64, String)>;

impl Page {
    /// How many.
    pub(super) fn rows(&self) -> usize {
        self.0.len()
    }

    /// The key of the last row; none if there is no row.
    pub(super) fn key(&self, table: &Table) -> Option<Vec<Raw>> {
        let last = self.0.last()?;
        table.key.iter().map(|place| last.get(*place).cloned()).collect()
    }
}

impl<'a> At<'a> {
    /// Closes the side as the source of a move. Waits for writers in flight. False if its fence is not at that epoch.
    pub(super) async fn freeze(&self, epoch: Epoch, move_id: Uuid) -> Result<bool> {
        self.fence((&FREEZE, &[&self.company(), &epoch, &move_id, &self.side.uuid])).await
    }

    /// Opens the side as the target of a move. False if its fence is open, or further.
    pub(super) async fn open_copy(&self, epoch: Epoch, move_id: Uuid) -> Result<bool> {
        self.fence((&OPEN_COPY, &[&self.company(), &epoch, &move_id, &self.side.uuid])).await
    }

    /// Lets `purge` remove what a finished move has left here. False if nothing was moved away.
    pub(super) async fn open_purge(&self, epoch: Epoch, purge: Uuid) -> Result<bool> {
        self.fence((&OPEN_PURGE, &[&self.company(), &epoch, &purge, &self.side.uuid])).await
    }

    /// Nothing is left here.
    pub(super) async fn close_purge(&self, purge: Uuid) -> Result<bool> {
        self.fence((&CLOSE_PURGE, &[&self.company(), &purge])).await
    }

    async fn fence(&self, change: Bound<'_>) -> Result<bool> {
        let company = self.company();
        let (transaction, answers) = self.begin(&[(&LOCK_EXCLUSIVE, &[&company]), (&DURABLE, &[]), change]).await?;
        if answers[2].is_empty() {
            return Ok(false);
        }
        commit(transaction).await.map(|()| true)
    }

    /// Rows of the solution in all tables.
    pub(super) async fn count(&self) -> Result<i64> {
        let company = self.company();
        let mut count = 0;
        for table in &TABLES {
            let rows = self.read((&table.count, &[&company])).await?;
            count += rows.first().map_or(0, |row| row.get::<_, i64>(0));
        }
        Ok(count)
    }

    /// What both sides must agree on.
    pub(super) async fn sums(&self) -> Result<Sums> {
        let company = self.company();
        let alone: &[&(dyn ToSql + Sync)] = &[&company];
        let mut flight: Vec<Bound<'_>> = vec![(&PLAIN_TEXTS, &[])];
        flight.extend(TABLES.iter().map(|table| (&table.sum, alone)));
        let (transaction, answers) = self.begin(&flight).await?;
        commit(transaction).await?;
        let sums = answers.iter().skip(1).filter_map(|rows| rows.first());
        Ok(sums.map(|row| (row.get(0), row.get(1))).collect())
    }

    /// The rows behind `after`, in order of the key.
    pub(super) async fn page(&self, table: &'static Table, after: Option<&[Raw]>) -> Result<Page> {
        let company = self.company();
        let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&company, &table.rows];
        let statement = match after {
            None => &table.first,
            Some(key) => {
                parameters.extend(key.iter().map(|value| value as &(dyn ToSql + Sync)));
                &table.next
            }
        };
        let rows = self.read((statement, &parameters)).await?;
        Ok(Page(rows.iter().map(|row| (0..row.len()).map(|column| row.get(column)).collect()).collect()))
    }

    /// Writes rows as the move: its fence is open for nobody else.
    pub(super) async fn insert(&self, table: &'static Table, page: &Page, move_id: Uuid) -> Result<()> {
        let mut transaction = self.begin_as(move_id).await?;
        let rows: Vec<Vec<&(dyn ToSql + Sync)>> =
            page.0.iter().map(|row| row.iter().map(|value| value as &(dyn ToSql + Sync)).collect()).collect();
        let bytes = |row: &Vec<Raw>| row.iter().map(Raw::len).sum::<usize>();
        let mut from = 0;
        while from < rows.len() {
            let mut to = from + 1;
            let mut size = bytes(&page.0[from]);
            while to < rows.len() && size < FLIGHT_BYTES {
                size += bytes(&page.0[to]);
                to += 1;
            }
            let flight: Vec<Bound<'_>> = rows[from..to].iter().map(|row| (&table.insert, &**row)).collect();
            transaction.query_all(&flight).await.map_err(StatementError::into_error)?;
            from = to;
        }
        commit(transaction).await
    }

    /// Removes all rows of the solution, as the move or purge for which the fence stands open.
    pub(super) async fn clear(&self, step: impl Fn() -> Deadline, move_id: Uuid) -> Result<()> {
        for table in TABLES.iter().rev() {
            let Some(clear) = &table.clear else { continue };
            loop {
                let at = Self { deadline: step(), ..*self };
                let company = at.company();
                let mut transaction = at.begin_as(move_id).await?;
                let gone = transaction.query(clear, &[&company, &CLEARED]).await.map_err(StatementError::into_error)?;
                commit(transaction).await?;
                if gone.is_empty() {
                    break;
                }
            }
        }
        Ok(())
    }

    fn company(&self) -> &'a str {
        self.solution.as_str()
    }

    /// A connection that was proved to lead to the side, and to a schema of which this build knows every table.
    async fn connection(&self) -> Result<Connection> {
        let connection = checkout(self.pools, &self.side.target, &self.side.login, self.deadline).await?;
        let facts = connection.facts();
        if facts.identity.as_ref().map(|identity| identity.database_uuid) != Some(self.side.uuid) {
            self.pools.close(&self.side.target);
            return Err(Error::DatabaseIdentityMismatch { what: "its uuid is not that of the database to move" });
        }
        match facts.schema {
            SchemaState::Ready(version) if version == fbs_router_schema::DOCUMENTS_VERSION => Ok(connection),
            SchemaState::Ready(_) => Err(Error::SchemaNotReady("of another version than the one this router moves")),
            SchemaState::Absent => Err(Error::SchemaNotReady("absent")),
            SchemaState::TooOld => Err(Error::SchemaNotReady("too old")),
            SchemaState::TooNew => Err(Error::SchemaNotReady("too new")),
        }
    }

    async fn read(&self, statement: Bound<'_>) -> Result<Vec<Row>> {
        let rows = self.connection().await?.read(self.company(), self.deadline, statement).await;
        rows.map_err(StatementError::into_error)
    }

    async fn begin(&self, first: &[Bound<'_>]) -> Result<(Transaction, Vec<Vec<Row>>)> {
        let connection = self.connection().await?;
        let begun = Transaction::begin(connection, self.company(), self.deadline, first).await;
        begun.map_err(StatementError::into_error)
    }

    async fn begin_as(&self, move_id: Uuid) -> Result<Transaction> {
        let company = self.company();
        let move_id = move_id.to_string();
        let first: [Bound<'_>; 2] = [(&LOCK_SHARED, &[&company]), (&SET_MOVE, &[&move_id])];
        self.begin(&first).await.map(|(transaction, _)| transaction)
    }
}

async fn commit(transaction: Transaction) -> Result<()> {
    match transaction.commit().await {
        Ok(()) => Ok(()),
        Err(CommitError::RolledBack(error)) => Err(error.into_error()),
        // Every step of a move can be made again, from its beginning.
        Err(CommitError::Unknown) => Err(Error::DatabaseUnavailable { cause: None }),
    }
}
