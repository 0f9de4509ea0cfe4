//! A pair's own database, for who changes its placement: where it is listed, what is inside, its fence.

use std::sync::Arc;

use uuid::Uuid;

use super::{
    evidence::{Fence, Found, Inside, Presence, Record, RecordedAt, Replaced},
    gather::Gathered,
    ledger_write::{activate_fence, checkout, retire_fence, seal_fence},
    resolve::Ask,
    router::Router,
};
use crate::{
    config::Isolation,
    domain::{DatabaseTarget, Deadline, Epoch, Error, Placement, Result, SolutionId},
};

impl Router {
    /// The listed database that registration or pattern name.
    pub(crate) fn own_database(&self, ask: &Ask<'_>) -> Result<Found> {
        let table = self.table.load_full();
        let registration = table.ledger.registration(&ask.app.name, ask.solution.as_str());
        found(self.search(&table, ask, registration, None))
    }

    /// The recorded database, if it is listed and is the recorded one.
    pub(crate) fn recorded_database(&self, ask: &Ask<'_>) -> Result<Found> {
        let table = self.table.load_full();
        let listed = found(self.evidence(&table, ask, &Gathered::new(None)).presence)?;
        match listed.replaced {
            Replaced::No => Ok(listed),
            Replaced::Oid | Replaced::Cluster => {
                Err(Error::DatabaseIdentityMismatch { what: "listed with another oid or cluster" })
            }
        }
    }

    /// Uuid and fence of a listed database, which proved to be the solution's.
    pub(crate) async fn enter_own(&self, ask: &Ask<'_>, found: &Found) -> Result<(Uuid, Option<Fence>)> {
        let table = self.table.load_full();
        entered(self.looking(ask, &table).look(found).await)
    }

    /// As [`Self::enter_own`], whatever was recorded before and whichever ledger it belonged to.
    pub(super) async fn enter_accepting(&self, ask: &Ask<'_>, found: &Found) -> Result<(Uuid, Option<Fence>)> {
        let table = self.table.load_full();
        let mut looking = self.looking(ask, &table);
        looking.accepting = true;
        self.looks.forget(found);
        entered(looking.look(found).await)
    }

    /// Opens the fence of a solution's own database at the epoch of its record.
    pub(crate) async fn open_own(
        &self,
        solution: &SolutionId,
        target: &DatabaseTarget,
        uuid: Uuid,
        epoch: Epoch,
        deadline: Deadline,
    ) -> Result<()> {
        let login = self.naming.documents_app().login(solution);
        let connection = checkout(&self.pools, target, &login, deadline).await?;
        activate_fence(connection, solution, epoch, uuid, deadline).await
    }

    /// Closes the fence of a solution's own database at the epoch of its record. Nothing if it is as far or further.
    pub(crate) async fn close_own_at(
        &self,
        solution: &SolutionId,
        target: &DatabaseTarget,
        epoch: Epoch,
        deadline: Deadline,
    ) -> Result<()> {
        let login = self.naming.documents_app().login(solution);
        let connection = checkout(&self.pools, target, &login, deadline).await?;
        retire_fence(connection, solution, epoch, deadline).await
    }

    /// Keeps movers that began below `epoch` out of a solution's own database. False if the copy of one lies there.
    pub(crate) async fn seal_own(
        &self,
        solution: &SolutionId,
        target: &DatabaseTarget,
        epoch: Epoch,
        deadline: Deadline,
    ) -> Result<bool> {
        let login = self.naming.documents_app().login(solution);
        let connection = checkout(&self.pools, target, &login, deadline).await?;
        seal_fence(connection, solution, epoch, deadline).await
    }

    /// The record of a pair, as read last.
    pub(crate) fn recorded(&self, app: &str, solution: &SolutionId) -> Option<Arc<Record>> {
        self.table.load().ledger.placement(app, solution.as_str()).cloned()
    }

    /// True if memory or snapshot vouches that the record of a pair is not an old one.
    pub(crate) fn vouches(&self, app: &str, solution: &SolutionId) -> bool {
        let table = self.table.load();
        let record = table.ledger.placement(app, solution.as_str());
        record.is_some_and(|record| table.ledger.vouches_for(record)) && !table.ledger.conflicts(app, solution)
    }

    /// The system database of the documents app, and its uuid; none before the ledger was read.
    pub(crate) fn system_side(&self) -> Option<(DatabaseTarget, Uuid)> {
        Some((self.ledger_target.clone(), self.table.load().ledger.database_uuid?))
    }

    /// True if the solution's documents may not be in the system database.
    pub(crate) fn requires_dedicated(&self, solution: &SolutionId) -> bool {
        let table = self.table.load();
        let registration = table.ledger.registration(&self.naming.documents_app().name, solution.as_str());
        let isolation = registration.map_or(self.settings.isolation, |registration| registration.isolation);
        isolation == Isolation::Required
    }

    /// Solutions that are being moved, as read last.
    pub(crate) fn moving(&self) -> Vec<SolutionId> {
        let table = self.table.load();
        let moving = table.ledger.records().filter(|(_, _, record)| record.moving);
        moving.map(|(_, solution, _)| solution.clone()).collect()
    }

    /// Waits for a reading of the ledger that began after this call.
    pub(crate) async fn read_ledger(&self, deadline: Deadline) -> Result<()> {
        self.ledger_pulse.fresh(deadline).await.map_err(|_| Error::RouteUnknown("the ledger cannot be read"))
    }
}

impl Record {
    /// Where it says the data is.
    pub(crate) fn placement(&self) -> Placement {
        match self.at {
            RecordedAt::System => Placement::System,
            RecordedAt::Dedicated { .. } => Placement::Dedicated,
        }
    }
}

fn found(presence: Presence) -> Result<Found> {
    match presence {
        Presence::Present(Found { replaced: Replaced::Cluster, .. }) => Err(Error::DatabaseIdentityMismatch {
            what: "its server answers with another system_identifier: accept the server first",
        }),
        Presence::Present(found) => Ok(found),
        Presence::TwoServers => {
            Err(Error::DatabaseMisconfigured { what: "its name is listed on two servers: register which", cause: None })
        }
        Presence::Absent => Err(Error::IsolationRequired),
        Presence::Unknown(why) => Err(Error::RouteUnknown(why)),
    }
}

fn entered(inside: Inside) -> Result<(Uuid, Option<Fence>)> {
    match inside {
        Inside::Ready { uuid, fence } => Ok((uuid, fence)),
        Inside::NotReady(what) => Err(Error::SchemaNotReady(what)),
        Inside::Foreign(what) => Err(Error::DatabaseIdentityMismatch { what }),
        Inside::NotEntered(error) => Err(error),
        Inside::NotLooked => Err(Error::internal("nobody looked")),
    }
}
