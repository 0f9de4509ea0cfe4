//! The answer to a caller.

use std::{sync::Arc, time::SystemTime};

use uuid::Uuid;

use super::{
    decide::CandidateReason,
    evidence::{Found, RecordedAt},
    table::Table,
};
use crate::{
    domain::{App, DatabaseTarget, Epoch, Error, Placement, Result, SolutionId},
    postgres::Pools,
};

/// Where a pair lives now: placement, address, epoch; never a credential.
#[derive(Debug, Clone)]
pub struct Route {
    /// The solution.
    pub solution: SolutionId,
    /// The app.
    pub app: Arc<str>,
    /// Own database or system database.
    pub placement: Placement,
    /// The database.
    pub database: Address,
    /// How often the placement changed.
    pub epoch: Epoch,
    /// Number of the ledger change that made it; 0: not recorded.
    pub revision: i64,
    /// A database of its own that is listed and not used.
    pub candidate: Option<Candidate>,
    /// When it was recorded.
    pub update_time: Option<SystemTime>,
    /// Whether it may be used.
    pub state: RouteState,
}

/// A database, by address and identity.
#[derive(Debug, Clone)]
pub struct Address {
    /// Its server and name.
    pub target: DatabaseTarget,
    /// As callers reach the server.
    pub host: String,
    /// As callers reach the server.
    pub port: u16,
    /// Of the cluster; 0 before the first scan.
    pub system_identifier: u64,
    /// Of the database; 0 where it is not known.
    pub oid: u32,
    /// Of the identity row; none where the schema is not ours.
    pub database_uuid: Option<Uuid>,
}

/// A database of its own that is listed and not used.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The database.
    pub database: Address,
    /// Why not.
    pub reason: CandidateReason,
}

/// Whether a route may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteState {
    /// Reads and writes.
    Active,
    /// Its rows move.
    Moving,
    /// The dedicated database has disappeared.
    Detached,
    /// Ledger and databases disagree.
    Conflict,
    /// Not known yet.
    Unknown,
}

impl Route {
    /// The pair lives in the database that its record names.
    pub(super) fn dedicated(app: &App, solution: &SolutionId, table: &Table, pools: &Pools) -> Result<Self> {
        let record = table
            .ledger
            .placement(&app.name, solution.as_str())
            .ok_or_else(|| Error::internal("a dedicated route without a record"))?;
        let RecordedAt::Dedicated { target, oid, uuid } = &record.at else {
            return Err(Error::internal("a dedicated route with a record of SYSTEM"));
        };
        Ok(Self {
            solution: solution.clone(),
            app: Arc::clone(&app.name),
            placement: Placement::Dedicated,
            database: Address::of(target, *oid, *uuid, table, pools)?,
            epoch: record.epoch,
            revision: record.change_number,
            candidate: None,
            update_time: Some(record.update_time),
            state: RouteState::Active,
        })
    }

    /// The pair lives in its app's system database.
    pub(super) fn system(
        app: &App,
        is_documents: bool,
        solution: &SolutionId,
        epoch: Epoch,
        candidate: Option<(Found, CandidateReason)>,
        table: &Table,
        pools: &Pools,
    ) -> Result<Self> {
        let Some(name) = &app.system_database else { return Err(Error::IsolationRequired) };
        let target = DatabaseTarget { server: Arc::clone(&app.server), name: Arc::clone(name) };
        let catalog = table.catalogs.get(&app.server).and_then(|view| view.last.as_ref());
        let oid = catalog.and_then(|catalog| catalog.databases.get(&**name).copied());
        if catalog.is_some() && oid.is_none() {
            return Err(Error::DatabaseMisconfigured { what: "the system database is not listed", cause: None });
        }
        if let (Some(catalog), Some(known)) = (catalog, table.ledger.servers.get(&app.server))
            && catalog.system_identifier != *known
        {
            return Err(Error::DatabaseIdentityMismatch { what: "its server answers with another system_identifier" });
        }
        let uuid = if is_documents { table.ledger.database_uuid } else { None };
        let record = table.ledger.placement(&app.name, solution.as_str());
        let candidate = match candidate {
            Some((found, reason)) => {
                let database = Address::of(&found.target, found.oid, None, table, pools)?;
                Some(Candidate { database, reason })
            }
            None => None,
        };
        Ok(Self {
            solution: solution.clone(),
            app: Arc::clone(&app.name),
            placement: Placement::System,
            database: Address::of(&target, oid.unwrap_or(0), uuid, table, pools)?,
            epoch,
            revision: record.map_or(0, |record| record.change_number),
            candidate,
            update_time: record.map(|record| record.update_time),
            state: RouteState::Active,
        })
    }

    /// True if the ledger holds a record of it.
    pub fn is_recorded(&self) -> bool {
        self.revision > 0
    }
}

impl Address {
    pub(super) fn of(
        target: &DatabaseTarget,
        oid: u32,
        uuid: Option<Uuid>,
        table: &Table,
        pools: &Pools,
    ) -> Result<Self> {
        let server = pools.server(&target.server).ok_or(Error::DatabaseMisconfigured {
            what: "its server is not in this router's configuration",
            cause: None,
        })?;
        let system_identifier = table
            .ledger
            .servers
            .get(&target.server)
            .copied()
            .or_else(|| table.catalogs.get(&target.server)?.last.as_ref().map(|catalog| catalog.system_identifier));
        let (host, port) = server.advertised();
        Ok(Self {
            target: target.clone(),
            host: host.to_owned(),
            port,
            system_identifier: system_identifier.unwrap_or(0),
            oid,
            database_uuid: uuid,
        })
    }
}
