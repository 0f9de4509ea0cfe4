//! Looks inside a database that the catalog lists: schema, identity, fence.
//!
//! Owns what was seen there, keyed by server, name and oid, so that a database made again under its name is looked at
//! again. Entries of databases that are no longer listed go with the next scan: there are never more than databases.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;
use uuid::Uuid;

use super::{
    evidence::{Found, Inside, RecordedAt, Rows},
    ledger::LedgerView,
    ledger_write::{READY_TABLE, adopt, claim, first_bool, read_fence},
    table::Table,
};
use crate::{
    domain::{App, DatabaseTarget, Deadline, Epoch, Error, SolutionId},
    postgres::{Connection, Facts, Failure, Pools, Purpose, SchemaState, pool::CheckoutError},
};

/// What was seen, and when.
#[derive(Debug, Clone)]
pub(super) struct Look {
    /// Inside.
    pub inside: Inside,
    /// Rows of the solution in the system database, if they were counted then.
    pub rows: Rows,
    /// When the look began.
    pub at: Instant,
}

/// What was seen inside databases.
#[derive(Debug, Default)]
pub(super) struct Looks {
    seen: Mutex<HashMap<(DatabaseTarget, u32), Look>>,
    /// The latest epoch at which a pair's own database was seen open: what was seen once is not unseen when the
    /// database goes away.
    active: Mutex<HashMap<(Arc<str>, SolutionId), Sight>>,
}

/// At which epoch a fence was seen ACTIVE, and when it was first.
type Sight = (Epoch, Instant);

/// What a look needs to know.
#[derive(Debug)]
pub(super) struct Looking<'l> {
    /// The process's pools.
    pub pools: &'l Arc<Pools>,
    /// The table the database was found in.
    pub table: &'l Table,
    /// The pair.
    pub app: &'l App,
    /// The documents app: identity and fence are ours.
    pub is_documents: bool,
    /// The pair.
    pub solution: &'l SolutionId,
    /// Until when.
    pub deadline: Deadline,
    /// An operator accepts the database, whatever was recorded before and whichever ledger it belonged to; never that
    /// of another solution.
    pub accepting: bool,
}

impl Looks {
    /// What was seen last.
    pub(super) fn get(&self, found: &Found) -> Option<Look> {
        self.lock().get(&(found.target.clone(), found.oid)).cloned()
    }

    /// Remembers.
    pub(super) fn put(&self, found: &Found, look: Look) {
        self.lock().insert((found.target.clone(), found.oid), look);
    }

    /// Forgets one database: it was changed.
    pub(super) fn forget(&self, found: &Found) {
        self.lock().remove(&(found.target.clone(), found.oid));
    }

    /// A fence was seen ACTIVE. Only epochs above 0 tell anything.
    pub(super) fn saw_active(&self, app: &Arc<str>, solution: &SolutionId, epoch: Epoch) {
        if epoch > 0 {
            let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
            let latest = active.entry((Arc::clone(app), solution.clone())).or_insert((epoch, Instant::now()));
            if latest.0 < epoch {
                *latest = (epoch, Instant::now());
            }
        }
    }

    /// The latest epoch at which a fence of the pair was seen ACTIVE, and when it was first.
    pub(super) fn latest_active(&self, app: &Arc<str>, solution: &SolutionId) -> Option<Sight> {
        let active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        if active.is_empty() { None } else { active.get(&(Arc::clone(app), solution.clone())).copied() }
    }

    /// Forgets databases that are no longer listed under their oid.
    pub(super) fn retain_listed(&self, table: &Table) {
        self.lock().retain(|(target, oid), _| {
            table
                .catalogs
                .get(&target.server)
                .and_then(|view| view.last.as_ref())
                .is_none_or(|catalog| catalog.databases.get(&*target.name) == Some(oid))
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(DatabaseTarget, u32), Look>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Looking<'_> {
    /// Looks. Claims the database for the solution if it is nobody's yet.
    pub(super) async fn look(&self, found: &Found) -> Inside {
        match self.look_once(found).await {
            // What pooled connections proved may be older than the question. The refusal closed the pool: prove anew.
            Inside::NotReady(_) | Inside::Foreign(_) if self.is_documents => self.look_once(found).await,
            inside => inside,
        }
    }

    async fn look_once(&self, found: &Found) -> Inside {
        let connection = match self.enter(found).await {
            Ok(connection) => connection,
            // The catalog said that it is there: its word stands until the next scan.
            Err(error) if error.failure() == Some(Failure::DatabaseAbsent) => {
                return Inside::NotEntered(Error::RouteUnknown("catalog and database disagree"));
            }
            Err(error) => return Inside::NotEntered(error.into_error()),
        };
        if !self.is_documents {
            return self.look_for_table(connection).await;
        }
        match self.judge(connection.facts(), found) {
            Judgement::Settled(inside) => {
                // Schema and identity may be mended meanwhile: the next look proves anew.
                self.pools.close(&found.target);
                inside
            }
            Judgement::Mine(uuid) => self.fence(connection, uuid).await,
            Judgement::Unclaimed => self.claim(connection, found).await,
        }
    }

    async fn enter(&self, found: &Found) -> Result<Connection, CheckoutError> {
        let login = self.app.login(self.solution);
        self.pools.checkout(&found.target, &login, Purpose::Routing, self.deadline).await
    }

    async fn claim(&self, connection: Connection, found: &Found) -> Inside {
        let Some(ledger_id) = self.table.ledger.last_change.map(|change| change.ledger_id) else {
            return Inside::NotEntered(Error::RouteUnknown("the ledger was never read"));
        };
        let claimed = if self.accepting {
            adopt(connection, self.solution, ledger_id, self.deadline).await
        } else {
            claim(connection, self.solution, ledger_id, self.deadline).await
        };
        if let Err(error) = claimed {
            return Inside::NotEntered(error);
        }
        tracing::info!(solution = %self.solution, database = %found.target, "claimed a database without an identity");
        // What pooled connections proved is out of date: prove again.
        self.pools.close(&found.target);
        let connection = match self.enter(found).await {
            Ok(connection) => connection,
            Err(error) => return Inside::NotEntered(error.into_error()),
        };
        match self.judge(connection.facts(), found) {
            Judgement::Settled(inside) => inside,
            Judgement::Mine(uuid) => self.fence(connection, uuid).await,
            Judgement::Unclaimed => Inside::Foreign("it could not be claimed"),
        }
    }

    async fn fence(&self, connection: Connection, uuid: Uuid) -> Inside {
        match read_fence(connection, self.solution, self.deadline).await {
            Ok(fence) => Inside::Ready { uuid, fence },
            Err(error) => Inside::NotEntered(error),
        }
    }

    /// An app whose tables are not ours: one of them must be there.
    async fn look_for_table(&self, connection: Connection) -> Inside {
        let table = self.app.ready_table.clone().unwrap_or_default();
        match connection.read(self.solution.as_str(), self.deadline, (&READY_TABLE, &[&table])).await {
            Ok(rows) if first_bool(&rows) => Inside::Ready { uuid: Uuid::nil(), fence: None },
            Ok(_) => Inside::NotReady("ready_table is not there"),
            Err(error) => Inside::NotEntered(error.into_error()),
        }
    }

    /// The uuid of the database that the pair is recorded to have.
    fn recorded_uuid(&self) -> Option<Uuid> {
        if self.accepting {
            return None;
        }
        match self.table.ledger.placement(&self.app.name, self.solution.as_str())?.at {
            RecordedAt::Dedicated { uuid, .. } => uuid,
            RecordedAt::System => None,
        }
    }

    fn judge(&self, facts: &Facts, found: &Found) -> Judgement {
        let settled = Judgement::Settled;
        if facts.oid != found.oid {
            return settled(Inside::NotEntered(Error::RouteUnknown("catalog and database disagree")));
        }
        if let Some(what) = foreign_cluster(facts, found, &self.table.ledger) {
            return settled(Inside::Foreign(what));
        }
        match facts.schema {
            SchemaState::Absent => return settled(Inside::NotReady("the documents schema is absent")),
            SchemaState::TooOld => return settled(Inside::NotReady("the documents schema is too old")),
            // Not "not ready": it may be in use by newer routers.
            SchemaState::TooNew => return settled(Inside::NotEntered(Error::SchemaNotReady("too new"))),
            SchemaState::Ready(_) => {}
        }
        let recorded = self.recorded_uuid();
        let Some(identity) = &facts.identity else {
            // A pair that has its database claims no other one.
            return recorded.map_or(Judgement::Unclaimed, |_| settled(Inside::Foreign("it has no identity")));
        };
        if identity.solution.as_deref() != Some(self.solution.as_str()) {
            return settled(Inside::Foreign("its identity is another's"));
        }
        let ledger_id = self.table.ledger.last_change.map(|change| change.ledger_id);
        match identity.ledger_id {
            None if recorded.is_none_or(|uuid| uuid == identity.database_uuid) => return Judgement::Unclaimed,
            None => return settled(Inside::Foreign("another uuid than the recorded one")),
            Some(found) if Some(found) != ledger_id && self.accepting => return Judgement::Unclaimed,
            Some(found) if Some(found) != ledger_id => return settled(Inside::Foreign("it belongs to another ledger")),
            Some(_) => {}
        }
        match self.table.ledger.owner_of(identity.database_uuid) {
            Some(owner) if owner != self.solution => {
                settled(Inside::Foreign("its uuid is recorded for another solution"))
            }
            _ => Judgement::Mine(identity.database_uuid),
        }
    }
}

enum Judgement {
    Settled(Inside),
    Mine(Uuid),
    Unclaimed,
}

fn foreign_cluster(facts: &Facts, found: &Found, ledger: &LedgerView) -> Option<&'static str> {
    let known = ledger.servers.get(&found.target.server)?;
    (facts.system_identifier != *known).then_some("its server answers with another system_identifier")
}

/// The error of a call that could not get a connection, where a missing name is no answer but a contradiction.
pub(super) fn contradiction(error: &CheckoutError) -> bool {
    error.failure() == Some(Failure::DatabaseAbsent)
}
