//! The steps between two decisions: evidence is fetched, or what the decision asks for is written.

use futures_util::{FutureExt, future::BoxFuture};
use tokio::time::Instant;

use super::Ask;
use crate::{
    config::Isolation,
    domain::{Error, Result},
    routing::{
        decide::{Act, Need},
        evidence::{Inside, LedgerRead, RecordedAt, Rows},
        gather::Gathered,
        inside::{Look, Looking},
        ledger_write::{Registered, checkout, retire_fence},
        router::Router,
        table::Table,
    },
};

impl Router {
    /// Evidence that the decision needs. Boxed, as what it acts upon: that is seldom, and each call would have room for it.
    pub(super) fn fetch<'f>(
        &'f self,
        need: Need,
        ask: &'f Ask<'_>,
        table: &'f Table,
        gathered: &'f mut Gathered,
    ) -> BoxFuture<'f, Result<()>> {
        self.find(need, ask, table, gathered).boxed()
    }

    /// What the decision demands is written.
    pub(super) fn act<'f>(
        &'f self,
        act: Act,
        ask: &'f Ask<'_>,
        table: &'f Table,
        gathered: &'f mut Gathered,
    ) -> BoxFuture<'f, Result<()>> {
        self.write(act, ask, table, gathered).boxed()
    }

    async fn find(&self, need: Need, ask: &Ask<'_>, table: &Table, gathered: &mut Gathered) -> Result<()> {
        match need {
            Need::Scan => {
                match table.ledger.placement(&ask.app.name, ask.solution.as_str()).map(|record| &record.at) {
                    Some(RecordedAt::Dedicated { target, .. }) => self.scan_one(&target.server, ask.deadline).await,
                    // How that went is in the table, server by server.
                    Some(RecordedAt::System) | None => drop(self.scan_all(ask.deadline).await),
                }
                gathered.scanned = true;
            }
            Need::Ledger => {
                let recorded = table.ledger.placement(&ask.app.name, ask.solution.as_str()).is_some();
                let read = if recorded {
                    self.ledger_pulse.fresh(ask.deadline).await
                } else {
                    // A pair without a record needs both; neither waits for the other.
                    gathered.scanned = true;
                    tokio::join!(self.ledger_pulse.fresh(ask.deadline), self.scan_all(ask.deadline)).0
                };
                gathered.ledger_read = if read.is_ok() { LedgerRead::Fresh } else { LedgerRead::Failed };
            }
            Need::Inside(found) => {
                let at = Instant::now();
                let inside = self.looking(ask, table).look(&found).await;
                self.looks.put(&found, Look { inside: inside.clone(), rows: Rows::NotCounted, at });
                if let Inside::Ready { fence: Some(fence), .. } = &inside
                    && fence.active
                {
                    self.looks.saw_active(&ask.app.name, ask.solution, fence.epoch);
                }
                gathered.looks.push((found, inside));
            }
            Need::Rows => {
                let at = Instant::now();
                gathered.rows = match self.writer(ask.app, ask.solution, ask.deadline).rows().await {
                    Ok(true) => Rows::Some,
                    Ok(false) => Rows::None,
                    Err(_) => Rows::CouldNotLook,
                };
                if let Some((found, inside)) = gathered.looks.last() {
                    self.looks.put(found, Look { inside: inside.clone(), rows: gathered.rows, at });
                }
            }
        }
        if ask.deadline.passed() {
            return Err(Error::DeadlineExceeded("finding the route"));
        }
        Ok(())
    }

    async fn write(&self, act: Act, ask: &Ask<'_>, table: &Table, gathered: &mut Gathered) -> Result<()> {
        let writer = self.writer(ask.app, ask.solution, ask.deadline);
        let record = table.ledger.placement(&ask.app.name, ask.solution.as_str());
        let recorded_uuid = record.and_then(|record| match &record.at {
            RecordedAt::Dedicated { uuid, .. } => *uuid,
            RecordedAt::System => None,
        });
        let epoch = record.map(|record| record.epoch);
        let changed = match &act {
            // A placement refers to its server: one that was just scanned for the first time is recorded before.
            Act::TakeOver { found, .. } | Act::RecordDedicated(found) | Act::Follow(found)
                if !table.ledger.servers.contains_key(&found.target.server) =>
            {
                match table.catalogs.get(&found.target.server).and_then(|view| view.last.as_ref()) {
                    Some(catalog) => writer.record_server(&found.target.server, catalog.system_identifier).await,
                    None => Ok(false),
                }
            }
            Act::TakeOver { found, uuid } => {
                // Whatever comes of it, the rows that were counted before are old news.
                self.looks.forget(found);
                // Since the look a mover may have begun to copy that was taken back and does not know it. From here on
                // it is refused; at epoch 0 nothing was taken back yet.
                if let Some(epoch) = epoch.filter(|epoch| *epoch > 0)
                    && !self.seal_own(ask.solution, &found.target, epoch, ask.deadline).await?
                {
                    gathered.looks.retain(|(seen, _)| seen.target != found.target);
                    return Ok(());
                }
                let registered = self.registered(ask, table);
                writer.take_over(found, *uuid, epoch, &registered, ask.principal).await
            }
            Act::RecordDedicated(found) => writer.record_dedicated(found).await,
            Act::RecordSystem => match table.ledger.database_uuid {
                Some(uuid) => writer.record_system(uuid).await,
                None => Ok(false),
            },
            Act::AdoptOid(found) => match (epoch, recorded_uuid) {
                (Some(epoch), Some(uuid)) => writer.adopt_oid(found.oid, epoch, uuid).await,
                _ => Ok(false),
            },
            Act::Follow(found) => match (epoch, recorded_uuid) {
                (Some(epoch), Some(uuid)) => writer.follow(found, epoch, uuid).await,
                _ => Ok(false),
            },
            Act::Retire { found, .. } => {
                let connection =
                    checkout(&self.pools, &found.target, &ask.app.login(ask.solution), ask.deadline).await?;
                retire_fence(connection, ask.solution, epoch.unwrap_or(0), ask.deadline).await?;
                // What was seen there is seen no more.
                gathered.looks.retain(|(seen, _)| seen.target != found.target);
                self.looks.forget(found);
                return Ok(());
            }
        };
        // The ledger could not be written: it is not known where the solution lives.
        let changed = changed.map_err(|error| match error {
            Error::DatabaseUnavailable { .. } => Error::RouteUnknown("the ledger cannot be written"),
            other => other,
        })?;
        if changed {
            self.metrics.ledger_changed(matches!(act, Act::TakeOver { .. }));
            tracing::info!(solution = %ask.solution, app = %ask.app.name, change = ?act, "changed the ledger");
        }
        gathered.rows = Rows::NotCounted;
        if self.ledger_pulse.fresh(ask.deadline).await.is_err() {
            return Err(Error::RouteUnknown("the ledger was written and cannot be read"));
        }
        gathered.ledger_read = LedgerRead::Fresh;
        Ok(())
    }

    /// What the taking over expects to find registered.
    fn registered(&self, ask: &Ask<'_>, table: &Table) -> Registered {
        table.ledger.registration(&ask.app.name, ask.solution.as_str()).map_or_else(Registered::default, |found| {
            Registered {
                server: found.server.as_deref().map(str::to_owned),
                database: found.database.clone(),
                required: found.isolation == Isolation::Required,
            }
        })
    }

    pub(in crate::routing) fn looking<'l>(&'l self, ask: &Ask<'l>, table: &'l Table) -> Looking<'l> {
        Looking {
            pools: &self.pools,
            table,
            app: ask.app,
            is_documents: ask.is_documents,
            solution: ask.solution,
            deadline: ask.deadline,
            accepting: false,
        }
    }
}
