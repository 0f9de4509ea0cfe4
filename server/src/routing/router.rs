//! Everything routing owns: table, pools, background tasks.
//!
//! Made once by `service`; handlers share it. Keeps no solution's state but what table and looks hold.

use std::{collections::HashMap, sync::Arc, time::Duration};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::task::JoinSet;

use super::{
    absences::Absences,
    alarms::Alarms,
    catalog::{ScanError, Scanner},
    flights::Flights,
    inside::Looks,
    ledger::{LedgerView, Origin},
    ledger_door::LedgerDoor,
    ledger_read::{LedgerError, LedgerReader},
    ledger_write::LedgerWriter,
    refresh::Pulse,
    snapshot,
    table::TableCell,
    tasks,
};
use crate::{
    config::{self, Config},
    domain::{App, DatabaseTarget, Deadline, Naming, ServerName, SolutionId},
    metrics::Metrics,
    postgres::{Pools, PostgresServer},
};

/// Routes pairs, and opens sessions.
#[derive(Debug)]
pub struct Router {
    /// Apps, patterns, reserved names.
    pub naming: Arc<Naming>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    pub(super) settings: config::Routing,
    pub(super) pools: Arc<Pools>,
    pub(super) table: TableCell,
    pub(super) looks: Looks,
    pub(super) flights: Flights,
    pub(super) absences: Absences,
    pub(super) alarms: Alarms,
    pub(super) ledger_pulse: Arc<Pulse>,
    pub(super) ledger_target: DatabaseTarget,
    pub(super) scans: ArcSwap<HashMap<ServerName, Arc<Pulse>>>,
    pub(super) ledger_settings: config::Ledger,
    pub(super) ledger_error: ArcSwapOption<LedgerError>,
}

/// Whether this process can answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// It can.
    Ready,
    /// Not yet, or not any more, and why.
    NotReady(String),
}

impl Router {
    /// Reads the snapshot; connects to nothing.
    pub fn new(config: &Config, servers: Vec<Arc<PostgresServer>>, metrics: Arc<Metrics>) -> Self {
        let naming = Arc::clone(&config.naming);
        let documents = naming.documents_app();
        let ledger_target =
            DatabaseTarget::new(&documents.server, documents.system_database.as_deref().unwrap_or_default());
        let names: Vec<ServerName> = servers.iter().map(|server| server.name.clone()).collect();
        let scans = names.iter().map(|name| (name.clone(), Arc::new(Pulse::new()))).collect();
        let scans = ArcSwap::from_pointee(scans);
        Self {
            table: TableCell::new(load_snapshot(&config.ledger), names),
            pools: Arc::new(Pools::new(servers, config.pool.clone())),
            naming,
            metrics,
            settings: config.routing.clone(),
            looks: Looks::default(),
            flights: Flights::default(),
            absences: Absences::default(),
            alarms: Alarms::default(),
            ledger_pulse: Arc::new(Pulse::new()),
            ledger_target,
            scans,
            ledger_settings: config.ledger.clone(),
            ledger_error: ArcSwapOption::empty(),
        }
    }

    /// Starts the background tasks: those of each server, the reaper of idle connections, whoever settles what is listed.
    /// They end when the set is dropped.
    pub fn start(self: &Arc<Self>) -> JoinSet<()> {
        let mut set = JoinSet::new();
        set.spawn(tasks::attend(Arc::clone(self)));
        set.spawn(tasks::reap(Arc::clone(self)));
        set.spawn(tasks::settle_listed(Arc::clone(self)));
        set
    }

    /// Starts what goes on for one server: its scanner, its maker of room, and the ledger's reader if it is there.
    pub(super) fn start_for(self: &Arc<Self>, server: &Arc<PostgresServer>) -> JoinSet<()> {
        let mut set = JoinSet::new();
        if let Some(pulse) = self.scans.load().get(&server.name) {
            let scanner = Scanner::new(Arc::clone(server), self.settings.scan_timeout);
            set.spawn(tasks::scan(Arc::clone(self), Arc::clone(pulse), scanner));
        }
        let (router, starved) = (Arc::clone(self), Arc::clone(server));
        set.spawn(async move { router.pools.make_room(&starved).await });
        if server.name == self.ledger_target.server {
            let reader = LedgerReader::new(
                Arc::clone(server),
                Arc::clone(&self.ledger_target.name),
                self.settings.scan_timeout,
                Arc::clone(&self.ledger_pulse),
            );
            set.spawn(tasks::read_ledger(Arc::clone(self), reader));
        }
        set
    }

    /// Waits for a scan of every server that began after this call. What came of it is in the table.
    ///
    /// True if all of them could be scanned.
    pub(super) async fn scan_all(&self, deadline: Deadline) -> bool {
        let scans = self.scans.load_full();
        let outcomes = futures_util::future::join_all(scans.values().map(|pulse| pulse.fresh(deadline))).await;
        outcomes.iter().all(Result::is_ok)
    }

    /// As [`Self::scan_all`], of one server.
    pub(super) async fn scan_one(&self, server: &str, deadline: Deadline) {
        let pulse = self.scans.load().get(server).cloned();
        if let Some(pulse) = pulse {
            // Whether it succeeded is in the table, too.
            let _ = pulse.fresh(deadline).await;
        }
    }

    /// The way to change the ledger on behalf of one pair.
    pub(crate) fn writer<'w>(&'w self, app: &'w App, solution: &'w SolutionId, deadline: Deadline) -> LedgerWriter<'w> {
        LedgerWriter { door: self.door(deadline), solution, app: &app.name }
    }

    /// The way to the ledger, as it was read last.
    pub(super) fn door(&self, deadline: Deadline) -> LedgerDoor<'_> {
        let known = Arc::clone(&self.table.load().ledger);
        LedgerDoor { pools: &self.pools, ledger: &self.ledger_target, known, accepted: None, deadline }
    }

    /// How long callers may keep a route.
    pub fn cache_ttl(&self) -> Duration {
        self.settings.cache_ttl
    }

    /// The pools, for metrics.
    pub fn pools(&self) -> &Arc<Pools> {
        &self.pools
    }

    /// Why the ledger cannot be read, if it cannot.
    pub fn ledger_error(&self) -> Option<LedgerError> {
        self.ledger_error.load().as_deref().copied()
    }

    /// Why a server's catalog cannot be read, if it cannot; none for servers never tried.
    pub fn scan_errors(&self) -> Vec<(ServerName, ScanError)> {
        let table = self.table.load();
        table.catalogs.iter().filter_map(|(name, view)| Some((name.clone(), view.failed?))).collect()
    }

    /// Age of each server's last good scan.
    pub fn catalog_ages(&self) -> Vec<(ServerName, Option<Duration>)> {
        let table = self.table.load();
        table
            .catalogs
            .iter()
            .map(|(name, view)| (name.clone(), view.last.as_ref().map(|catalog| catalog.began.elapsed())))
            .collect()
    }

    /// Of each server, the settings with which it may lose what it has acknowledged, as last scanned.
    pub fn unsafe_settings(&self) -> Vec<(ServerName, Vec<String>)> {
        let table = self.table.load();
        let last = table.catalogs.iter().filter_map(|(name, view)| Some((name, view.last.as_ref()?)));
        last.map(|(name, catalog)| (name.clone(), catalog.unsafe_settings.clone())).collect()
    }

    /// Placements recorded: dedicated, system.
    pub fn placements(&self) -> (usize, usize) {
        let table = self.table.load();
        table.ledger.records().fold((0, 0), |(dedicated, system), (_, _, record)| match record.at {
            super::evidence::RecordedAt::Dedicated { .. } => (dedicated + 1, system),
            super::evidence::RecordedAt::System => (dedicated, system + 1),
        })
    }

    /// Waits until every server and the ledger have been tried once.
    pub async fn tried(&self) {
        for pulse in self.scans.load_full().values() {
            pulse.tried().await;
        }
        self.ledger_pulse.tried().await;
    }

    /// Whether this process can answer. Never about one solution.
    pub fn readiness(&self) -> Readiness {
        let not = |why: &str| Readiness::NotReady(why.to_owned());
        let table = self.table.load();
        match self.ledger_error() {
            Some(error @ (LedgerError::SchemaAbsent | LedgerError::SchemaTooNew | LedgerError::NotSystem)) => {
                return not(&error.to_string());
            }
            Some(LedgerError::RoleTooPowerful) => return not(&LedgerError::RoleTooPowerful.to_string()),
            Some(_) | None => {}
        }
        if table.ledger.origin == Origin::Nothing {
            return not("neither the ledger nor a snapshot of it has been read");
        }
        if !self.ledger_pulse.was_tried() {
            // A snapshot serves while the ledger cannot be read, not before anybody has tried.
            return not("the ledger has not been tried yet");
        }
        if table.catalogs.values().any(|view| view.last.is_none() && view.failed.is_none()) {
            return not("a server has not been tried yet");
        }
        if table.catalogs.values().all(|view| view.last.is_none()) {
            return not("no server's catalog has been read");
        }
        let lacking = table.ledger.holding().find(|server| !table.catalogs.contains_key(*server));
        match lacking {
            Some(server) => not(&format!("the configuration lacks Postgres server `{server}`, which holds placements")),
            None => Readiness::Ready,
        }
    }
}

fn load_snapshot(settings: &config::Ledger) -> LedgerView {
    let Some(path) = &settings.snapshot else { return LedgerView::default() };
    match snapshot::load(path, settings.snapshot_max_age) {
        Ok(Some(view)) => {
            tracing::info!(path = %path.display(), "read the ledger's snapshot");
            view
        }
        Ok(None) => LedgerView::default(),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "the ledger's snapshot is not used");
            LedgerView::default()
        }
    }
}
