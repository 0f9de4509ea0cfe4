//! What operators decide about one solution, or one server: the way out of every state that the router does not leave
//! by itself.
//!
//! Owns the checks before a decision is written; `ledger_operator` writes it. Moves are `moving`'s.

use std::sync::Arc;

use tokio::time::Instant;
use uuid::Uuid;

use super::{
    evidence::{Found, RecordedAt, Replaced},
    ledger_operator::Registering,
    listing::KnownSolution,
    resolve::{Ask, Intent},
    router::Router,
};
use crate::domain::{App, Call, DatabaseTarget, Deadline, Epoch, Error, Placement, Result, SolutionId, Violation};

/// Whose decision about which pair.
#[derive(Debug, Clone, Copy)]
pub struct Decision<'d> {
    /// The call it came with.
    pub call: &'d Call,
    /// The app.
    pub app: &'d App,
    /// The solution.
    pub solution: &'d SolutionId,
    /// The solution's id was typed once more: what was recorded before is given up.
    pub confirmed: bool,
}

fn invalid(field: &str, problem: impl Into<String>) -> Error {
    Error::FieldInvalid(vec![Violation::new(field, problem.into())])
}

impl Router {
    /// The solution as it is now, in all apps.
    pub async fn solution(&self, call: &Call, solution: &SolutionId) -> KnownSolution {
        let _outcome = self.ledger_pulse.fresh(call.deadline.inner()).await;
        self.known(&self.table.load_full(), call, solution.clone())
    }

    /// Records what is particular to a solution. Confirmed, also that its data is in the database so described, at an
    /// epoch above all that was seen.
    pub async fn register(self: &Arc<Self>, decision: &Decision<'_>, what: &Registering) -> Result<()> {
        self.check_names(decision, what)?;
        let asked = Instant::now();
        self.refresh(decision.call).await;
        let principal = decision.call.principal.id();
        let deadline = decision.call.deadline;
        self.writer(decision.app, decision.solution, deadline).register(what, principal).await?;
        tracing::info!(solution = %decision.solution, app = %decision.app.name, ?what, "registered");
        self.read_decided(decision.call.deadline).await?;
        if decision.confirmed { self.accept(decision, asked).await } else { Ok(()) }
    }

    /// Gives up the dedicated placement of a pair whose database is gone, replaced or in conflict.
    pub async fn release(self: &Arc<Self>, decision: &Decision<'_>) -> Result<()> {
        let asked = Instant::now();
        self.refresh(decision.call).await;
        let ask = decision.ask(self);
        match self.undecided(&ask, asked).await? {
            Standing::Dedicated(_) => {
                return Err(invalid(
                    "solution",
                    "its own database is there and serves it; to take its documents out, move it to the system database",
                ));
            }
            // Released already, or never dedicated.
            Standing::System => return Ok(()),
            Standing::Undecided => {}
        }
        if decision.app.system_database.is_none() {
            return Err(Error::IsolationRequired);
        }
        let system = if ask.is_documents {
            Some(self.table.load().ledger.database_uuid.ok_or(Error::RouteUnknown("the ledger was never read"))?)
        } else {
            None
        };
        let (seen, given_up) = self.close_own(decision, &ask).await?;
        let writer = self.writer(decision.app, decision.solution, decision.call.deadline);
        let settled = writer.settle_system(given_up, system, seen, decision.call.principal.id()).await?;
        let Some(epoch) = settled else {
            let what = "rows of a move that was taken back lie in the system database, or a move is going on";
            return Err(Error::PlacementConflict(what));
        };
        self.metrics.ledger_changed(false);
        tracing::warn!(solution = %decision.solution, app = %decision.app.name, epoch, "released a dedicated placement");
        self.read_decided(decision.call.deadline).await
    }

    /// Scans the catalogs and reads the ledger, for an operator. The audit of it may fail: the ledger may be what is looked for.
    /// It is done when all is read; else it is told that it is not.
    pub async fn refresh_for_operator(&self, call: &Call) -> Result<()> {
        if let Err(error) = self.door(call.deadline).note("refresh-routes", call.principal.id()).await {
            tracing::warn!(%error, "a refresh is not in the audit");
        }
        if self.refresh(call).await {
            return Ok(());
        }
        Err(Error::RouteUnknown("a server or the ledger could not be read"))
    }

    /// Accepts that a server is another cluster now.
    pub async fn accept_server(&self, call: &Call, server: &str, system_identifier: u64) -> Result<()> {
        if self.pools.server(server).is_none() {
            return Err(invalid("server", "is not in this router's configuration"));
        }
        self.scan_one(server, call.deadline).await;
        let reported = {
            let table = self.table.load();
            table.catalogs.get(server).and_then(|view| Some(view.last.as_ref()?.system_identifier))
        };
        match reported {
            Some(reported) if reported == system_identifier => {}
            Some(reported) => {
                return Err(invalid("system_identifier", format!("the server reports {reported}")));
            }
            None => return Err(Error::DatabaseUnavailable { cause: None }),
        }
        let mut door = self.door(call.deadline);
        if *self.ledger_target.server == *server {
            door.accepted = Some(system_identifier);
        }
        if !door.accept_server(server, system_identifier, call.principal.id()).await? {
            return Err(invalid("server", "is not in the ledger"));
        }
        tracing::warn!(server, system_identifier, "a server was accepted as another cluster");
        self.read_decided(call.deadline).await
    }

    /// Forgets a server that holds no placement and is not in this router's configuration.
    pub async fn remove_server(&self, call: &Call, server: &str) -> Result<()> {
        if self.pools.server(server).is_some() {
            let problem = "is in this router's configuration, which would record it again: take it out there first";
            return Err(invalid("server", problem));
        }
        self.read_ledger(call.deadline).await?;
        if !self.table.load().ledger.servers.contains_key(server) {
            return Err(invalid("server", "is not in the ledger"));
        }
        if !self.door(call.deadline).remove_server(server, call.principal.id()).await? {
            return Err(invalid("server", "holds placements: move or release them first"));
        }
        tracing::warn!(server, "a server was removed");
        self.read_decided(call.deadline).await
    }

    /// Reads what was just decided. If that fails, nobody is told to come back as if nothing had happened.
    async fn read_decided(&self, deadline: Deadline) -> Result<()> {
        self.read_ledger(deadline).await.map_err(|_| Error::OutcomeUnknown)
    }

    /// A name that could be somebody else's is refused.
    fn check_names(&self, decision: &Decision<'_>, what: &Registering) -> Result<()> {
        let mut violations = Vec::new();
        let mut wrong = |field: &str, problem: &str| violations.push(Violation::new(field, problem.to_owned()));
        if decision.app.pattern.is_none() {
            wrong("app", "has no pattern: its data is always in the system database");
        }
        if what.server.as_ref().is_some_and(|server| self.pools.server(server).is_none()) {
            wrong("server", "is not in this router's configuration");
        }
        if let Some(name) = &what.database {
            let others = self.naming.apps().iter().filter_map(|app| self.naming.solution_of(app, name));
            if self.naming.is_reserved_database(name) {
                wrong("database", "is a system, template, maintenance or catalog database");
            } else if others.into_iter().any(|other| other != *decision.solution) {
                wrong("database", "is what a pattern renders for another solution");
            }
        }
        if violations.is_empty() { Ok(()) } else { Err(Error::FieldInvalid(violations)) }
    }

    /// Makes the registered database, or the one that the pattern names, the pair's, whatever was recorded before.
    async fn accept(self: &Arc<Self>, decision: &Decision<'_>, asked: Instant) -> Result<()> {
        let ask = decision.ask(self);
        let deadline = decision.call.deadline;
        let standing = self.undecided(&ask, asked).await?;
        let found = self.own_database(&ask)?;
        match standing {
            Standing::System => {
                return Err(invalid(
                    "confirm",
                    "its documents are in the system database: move it, and none is left behind",
                ));
            }
            Standing::Dedicated(target) if target == found.target => return Ok(()),
            Standing::Dedicated(_) => {
                return Err(invalid("confirm", "its own database is there and serves it: there is nothing to decide"));
            }
            Standing::Undecided => {}
        }
        let (uuid, seen) = if ask.is_documents {
            let (uuid, fence) = self.enter_accepting(&ask, &found).await?;
            if fence.is_some_and(|fence| fence.copying) {
                let what = "its database holds the copy of a move that was not finished: move it again";
                return Err(Error::PlacementConflict(what));
            }
            (Some(uuid), fence.map_or(0, |fence| fence.epoch))
        } else {
            (None, 0)
        };
        if !self.table.load().ledger.servers.contains_key(&found.target.server) {
            return Err(Error::RouteUnknown("its server is not in the ledger yet"));
        }
        let seen = seen.max(self.seen_epoch(&ask));
        let record = self.recorded(&decision.app.name, decision.solution);
        if let Some(record) = &record
            && ask.is_documents
        {
            // Movers that were taken back before, and go on, copy nothing into what is accepted here.
            let below = record.epoch - Epoch::from(record.placement() == Placement::Dedicated);
            if !self.seal_own(decision.solution, &found.target, below, deadline).await? {
                return Err(Error::PlacementConflict("its database has become the target of a move"));
            }
        }
        let epochs = (record.map(|record| record.epoch), seen);
        let writer = self.writer(decision.app, decision.solution, deadline);
        let settled = writer.settle_dedicated(&found, uuid, epochs, decision.call.principal.id()).await?;
        let Some(epoch) = settled else { return Err(Error::RouteMoving) };
        self.metrics.ledger_changed(false);
        tracing::warn!(solution = %decision.solution, app = %decision.app.name, database = %found.target, epoch, "accepted a database");
        self.looks.forget(&found);
        if let Some(uuid) = uuid {
            self.open_own(decision.solution, &found.target, uuid, epoch, deadline).await?;
        }
        self.read_decided(decision.call.deadline).await
    }

    /// The latest epoch at which this process has seen the pair anywhere.
    fn seen_epoch(&self, ask: &Ask<'_>) -> Epoch {
        let table = self.table.load();
        let recorded = table.ledger.placement(&ask.app.name, ask.solution.as_str()).map_or(0, |record| record.epoch);
        let conflict = table.ledger.conflict(&ask.app.name, ask.solution).unwrap_or(0);
        recorded.max(conflict).max(self.looks.latest_active(&ask.app.name, ask.solution).map_or(0, |(epoch, _)| epoch))
    }

    /// Closes the fence of the database that is given up, if it can be entered and is the solution's: no router that has
    /// not heard of the release writes there any more. The latest epoch seen, and the uuid.
    /// One that is listed and cannot be entered now is not given up unclosed: that is the error.
    async fn close_own(&self, decision: &Decision<'_>, ask: &Ask<'_>) -> Result<(Epoch, Option<Uuid>)> {
        let seen = self.seen_epoch(ask);
        if !ask.is_documents {
            return Ok((seen, None));
        }
        let table = self.table.load_full();
        let recorded = table.ledger.placement(&ask.app.name, ask.solution.as_str()).map(|record| &record.at);
        let listed = match recorded {
            Some(RecordedAt::Dedicated { target, .. }) => {
                let catalog = table.catalogs.get(&target.server).and_then(|view| view.last.as_ref());
                catalog.and_then(|catalog| catalog.databases.get(&*target.name)).map(|oid| Found {
                    target: target.clone(),
                    oid: *oid,
                    replaced: Replaced::No,
                })
            }
            Some(RecordedAt::System) | None => self.own_database(ask).ok(),
        };
        let Some(found) = listed else { return Ok((seen, None)) };
        let (uuid, fence) = match self.enter_own(ask, &found).await {
            Ok(entered) => entered,
            // Somebody else's, or empty: nothing of the solution is written there.
            Err(Error::DatabaseIdentityMismatch { .. } | Error::SchemaNotReady(_)) => return Ok((seen, None)),
            Err(error) => return Err(error),
        };
        let above = seen.max(fence.map_or(0, |fence| fence.epoch)) + 1;
        self.close_own_at(decision.solution, &found.target, above, decision.call.deadline).await?;
        self.looks.forget(&found);
        Ok((above, Some(uuid)))
    }

    /// Whether there is anything to decide about a pair. A database that is listed and cannot be entered, or a ledger or
    /// catalog that cannot be read, leaves nothing to decide: that is the error, and no reason to give anything up.
    /// `asked`: what was scanned before says of no database that it is gone, or another one.
    async fn undecided(self: &Arc<Self>, ask: &Ask<'_>, asked: Instant) -> Result<Standing> {
        // Another router may have decided already; and without the ledger nothing can be decided.
        self.read_ledger(ask.deadline).await?;
        // A fence ahead of the ledger is seen, a database that is ready taken over.
        if ask.is_documents {
            // What could not be looked at is told by what is asked below.
            let _seen = self.look_for(&Ask { intent: Intent::Look, ..*ask }).await;
        }
        let served = match self.resolve(ask).await {
            Ok(route) if route.placement == Placement::Dedicated && ask.is_documents => {
                self.try_enter(ask, route).await
            }
            resolved => resolved,
        };
        match served {
            Ok(route) if route.placement == Placement::System => Ok(Standing::System),
            Ok(route) => Ok(Standing::Dedicated(route.database.target)),
            Err(Error::DatabaseDetached | Error::DatabaseIdentityMismatch { .. })
                if !self.was_scanned_since(ask, asked) =>
            {
                Err(Error::RouteUnknown("its server cannot be scanned: whether its database is there is not known"))
            }
            Err(Error::DatabaseDetached | Error::DatabaseIdentityMismatch { .. } | Error::PlacementConflict(_)) => {
                Ok(Standing::Undecided)
            }
            Err(error) => Err(error),
        }
    }

    /// True if the server on which a pair is recorded, or else listed, was scanned since.
    fn was_scanned_since(&self, ask: &Ask<'_>, since: Instant) -> bool {
        let table = self.table.load();
        let record = table.ledger.placement(&ask.app.name, ask.solution.as_str());
        let recorded = record.and_then(|record| match &record.at {
            RecordedAt::Dedicated { target, .. } => Some(target.clone()),
            RecordedAt::System => None,
        });
        let judged = recorded.or_else(|| self.own_database(ask).ok().map(|found| found.target));
        judged.is_none_or(|target| {
            let catalog = table.catalogs.get(&target.server).and_then(|view| view.last.as_ref());
            catalog.is_some_and(|catalog| catalog.began >= since)
        })
    }
}

/// How a pair stands, before an operator decides about it.
enum Standing {
    /// In the system database.
    System,
    /// In its own database, which serves it.
    Dedicated(DatabaseTarget),
    /// Its database is gone or replaced, or ledger and databases disagree.
    Undecided,
}

impl<'d> Decision<'d> {
    fn ask(&self, router: &Router) -> Ask<'d> {
        let is_documents = self.app.name == router.naming.documents_app().name;
        Ask { intent: Intent::Write, ..Ask::about(self.call, self.solution, self.app, is_documents) }
    }
}
