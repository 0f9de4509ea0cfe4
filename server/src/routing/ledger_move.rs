//! The transactions with which a move begins, ends, and is taken back.
//!
//! The id of a move in the ledger is its fencing token: whoever holds it may end the move; whoever replaces or clears it
//! has ended everybody else's. The move's end and its taking back are at the next epoch each, so that nothing which was
//! decided before holds afterwards.

use std::time::Duration;

use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use super::{
    evidence::Found,
    ledger_door::commit,
    ledger_write::{DURABLE, FENCE_FIRST_WRITE, LOCK_EXCLUSIVE, LOCK_SHARED, LedgerWriter, statement},
};
use crate::{
    domain::{Epoch, Placement, Result},
    postgres::{
        Statement,
        transaction::{Bound, StatementError},
    },
};

statement!(MOVE_BEGIN, "move_begin.sql", TEXT, TEXT, INT8, UUID, TEXT);
statement!(MOVE_READ, "move_read.sql", TEXT, TEXT);
statement!(MOVE_ALIVE, "move_alive.sql", TEXT, UUID);
statement!(MOVE_TO_DEDICATED, "move_to_dedicated.sql", TEXT, TEXT, INT8, UUID, TEXT, TEXT, OID, UUID);
statement!(MOVE_TO_SYSTEM, "move_to_system.sql", TEXT, TEXT, INT8, UUID);
statement!(MOVE_FENCE, "move_fence.sql", TEXT, INT8, UUID, TEXT, TEXT);
statement!(MOVE_BACK, "move_back.sql", TEXT, TEXT, INT8, UUID);
statement!(MOVE_BACK_FENCE, "move_back_fence.sql", TEXT, INT8, BOOL);

/// A move that is going on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Going {
    /// The epoch it began at.
    pub epoch: Epoch,
    /// Its id.
    pub move_id: Uuid,
    /// Where to.
    pub to: Placement,
    /// Since it last gave a sign of life.
    pub silent: Duration,
}

impl LedgerWriter<'_> {
    /// The move that is going on, if any. Asked from the ledger itself.
    pub(crate) async fn going(&self) -> Result<Option<Going>> {
        let (company, app): (&str, &str) = (self.solution.as_str(), self.app);
        let connection = self.door.connection().await?;
        let rows = connection.read(company, self.door.deadline, (&MOVE_READ, &[&company, &app])).await;
        Ok(rows.map_err(StatementError::into_error)?.first().map(|row| Going {
            epoch: row.get(0),
            move_id: row.get(1),
            to: if row.get::<_, &str>(2) == Placement::System.as_str() {
                Placement::System
            } else {
                Placement::Dedicated
            },
            silent: Duration::try_from_secs_f64(row.get(3)).unwrap_or_default(),
        }))
    }

    /// Begins a move. False if the placement is not so any more, or a move is going on: one that has fallen silent is taken
    /// back first, so that two movers never share an epoch. A solution in the system database has a fence there afterwards.
    pub(crate) async fn begin_move(
        &self,
        epoch: Epoch,
        move_id: Uuid,
        to: Placement,
        system: Uuid,
        principal: &str,
    ) -> Result<bool> {
        let (company, app): (&str, &str) = (self.solution.as_str(), self.app);
        let lock: &[&(dyn ToSql + Sync)] = &[&company];
        let fence: &[&(dyn ToSql + Sync)] = &[&company, &system];
        let mut first: Vec<Bound<'_>> = vec![(&LOCK_SHARED, lock), (&DURABLE, &[])];
        if to == Placement::Dedicated {
            first.push((&FENCE_FIRST_WRITE, fence));
        }
        let word = to.as_str();
        let begin: &[&(dyn ToSql + Sync)] = &[&company, &app, &epoch, &move_id, &word];
        first.push((&MOVE_BEGIN, begin));
        let (mut transaction, answers) = self.begin(&first).await?;
        if answers.last().is_none_or(Vec::is_empty) {
            return Ok(false);
        }
        self.audit(&mut transaction, "move", epoch, principal).await?;
        commit(transaction).await
    }

    /// A sign of life. False if it is not this move any more.
    pub(crate) async fn move_alive(&self, move_id: Uuid) -> Result<bool> {
        let company = self.solution.as_str();
        let (transaction, answers) = self.begin(&[(&MOVE_ALIVE, &[&company, &move_id])]).await?;
        if answers[0].is_empty() {
            return Ok(false);
        }
        commit(transaction).await
    }

    /// The commit point: the solution lives in `found` from here on. None if it is not this move any more.
    pub(crate) async fn switch_to_dedicated(
        &self,
        (epoch, move_id): (Epoch, Uuid),
        found: &Found,
        uuid: Uuid,
        principal: &str,
    ) -> Result<Option<Epoch>> {
        let (company, app): (&str, &str) = (self.solution.as_str(), self.app);
        let (server, name): (&str, &str) = (&found.target.server, &found.target.name);
        let switch: Bound<'_> =
            (&MOVE_TO_DEDICATED, &[&company, &app, &epoch, &move_id, &server, &name, &found.oid, &uuid]);
        self.switch(switch, move_id, ["FROZEN", "MOVED"], principal).await
    }

    /// The commit point: the solution lives in the system database from here on. None if it is not this move any more.
    pub(crate) async fn switch_to_system(
        &self,
        (epoch, move_id): (Epoch, Uuid),
        principal: &str,
    ) -> Result<Option<Epoch>> {
        let (company, app): (&str, &str) = (self.solution.as_str(), self.app);
        let switch: Bound<'_> = (&MOVE_TO_SYSTEM, &[&company, &app, &epoch, &move_id]);
        self.switch(switch, move_id, ["COPYING", "ACTIVE"], principal).await
    }

    async fn switch(
        &self,
        switch: Bound<'_>,
        move_id: Uuid,
        [from, to]: [&str; 2],
        principal: &str,
    ) -> Result<Option<Epoch>> {
        let company = self.solution.as_str();
        let (mut transaction, answers) = self.begin(&[(&LOCK_EXCLUSIVE, &[&company]), (&DURABLE, &[]), switch]).await?;
        let Some(epoch) = answers[2].first().map(|row| row.get::<_, Epoch>(0)) else { return Ok(None) };
        let fenced = transaction.query(&MOVE_FENCE, &[&company, &epoch, &move_id, &from, &to]).await;
        if fenced.map_err(StatementError::into_error)?.is_empty() {
            return Ok(None);
        }
        self.audit(&mut transaction, "switch", epoch, principal).await?;
        commit(transaction).await.map(|_| Some(epoch))
    }

    /// Takes a move back: the solution stays where it was, at the next epoch. None if it is not going on any more.
    pub(crate) async fn move_back(
        &self,
        (epoch, move_id): (Epoch, Uuid),
        principal: &str,
    ) -> Result<Option<(Epoch, Placement)>> {
        let (company, app): (&str, &str) = (self.solution.as_str(), self.app);
        let back: Bound<'_> = (&MOVE_BACK, &[&company, &app, &epoch, &move_id]);
        let (mut transaction, answers) = self.begin(&[(&LOCK_EXCLUSIVE, &[&company]), (&DURABLE, &[]), back]).await?;
        let Some(row) = answers[2].first() else { return Ok(None) };
        let (epoch, at_home): (Epoch, bool) = (row.get(0), row.get::<_, &str>(1) == Placement::System.as_str());
        transaction.query(&MOVE_BACK_FENCE, &[&company, &epoch, &at_home]).await.map_err(StatementError::into_error)?;
        self.audit(&mut transaction, "move-back", epoch, principal).await?;
        let placement = if at_home { Placement::System } else { Placement::Dedicated };
        commit(transaction).await.map(|_| Some((epoch, placement)))
    }
}
