//! Everything routing owns: table, pools, background tasks.
//!
//! Made once by `service`; handlers share it. Keeps no solution's state but what table and looks hold.

use std::{collections::HashMap, path::PathBuf, sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use tokio::task::JoinSet;

use super::{
    absences::Absences,
    catalog::{ScanError, Scanner},
    flights::Flights,
    inside::Looks,
    ledger::{LedgerView, Origin},
    ledger_read::{LedgerError, LedgerReader},
    refresh::Pulse,
    resolve::{Ask, Intent},
    snapshot,
    table::TableCell,
};
use crate::{
    config::{self, Config},
    domain::{App, DatabaseTarget, Deadline, Naming, ServerName, SolutionId},
    metrics::Metrics,
    postgres::{Pools, PostgresServer},
};

/// Listed databases of other apps that are recorded at once.
const RECORDED_AT_ONCE: usize = 32;

/// Routes pairs, and opens sessions.
#[derive(Debug)]
pub struct Router {
    /// Apps, patterns, reserved names.
    pub naming: Arc<Naming>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    pub(super) settings: config::Routing,
    pub(super) pools: Pools,
    pub(super) table: TableCell,
    pub(super) looks: Looks,
    pub(super) flights: Flights,
    pub(super) absences: Absences,
    pub(super) ledger_pulse: Arc<Pulse>,
    pub(super) ledger_target: DatabaseTarget,
    scans: HashMap<ServerName, Arc<Pulse>>,
    ledger_settings: config::Ledger,
    ledger_error: ArcSwapOption<LedgerError>,
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
        Self {
            table: TableCell::new(load_snapshot(&config.ledger), names),
            pools: Pools::new(servers, config.pool.clone()),
            naming,
            metrics,
            settings: config.routing.clone(),
            looks: Looks::default(),
            flights: Flights::default(),
            absences: Absences::default(),
            ledger_pulse: Arc::new(Pulse::new()),
            ledger_target,
            scans,
            ledger_settings: config.ledger.clone(),
            ledger_error: ArcSwapOption::empty(),
        }
    }

    /// Starts the background tasks: a scanner and a maker of room a server, the ledger's reader, the reaper of idle connections. They end
    /// when the set is dropped.
    pub fn start(self: &Arc<Self>) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for (name, pulse) in &self.scans {
            let Some(server) = self.pools.server(name) else { continue };
            let scanner = Scanner::new(Arc::clone(server), self.settings.scan_timeout);
            tasks.spawn(scan(Arc::clone(self), Arc::clone(pulse), scanner));
            let (router, server) = (Arc::clone(self), Arc::clone(server));
            tasks.spawn(async move { router.pools.make_room(&server).await });
        }
        if let Some(server) = self.pools.server(&self.ledger_target.server) {
            let reader = LedgerReader::new(
                Arc::clone(server),
                Arc::clone(&self.ledger_target.name),
                self.settings.scan_timeout,
                Arc::clone(&self.ledger_pulse),
            );
            tasks.spawn(read_ledger(Arc::clone(self), reader));
        }
        tasks.spawn(reap(Arc::clone(self)));
        tasks.spawn(record_listed(Arc::clone(self)));
        tasks
    }

    /// Waits for a scan of every server that began after this call. What came of it is in the table.
    pub(super) async fn scan_all(&self, deadline: Deadline) {
        futures_util::future::join_all(self.scans.values().map(|pulse| pulse.fresh(deadline))).await;
    }

    /// As [`Self::scan_all`], of one server.
    pub(super) async fn scan_one(&self, server: &str, deadline: Deadline) {
        if let Some(pulse) = self.scans.get(server) {
            // Whether it succeeded is in the table, too.
            let _ = pulse.fresh(deadline).await;
        }
    }

    /// How long callers may keep a route.
    pub fn cache_ttl(&self) -> Duration {
        self.settings.cache_ttl
    }

    /// The pools, for metrics.
    pub fn pools(&self) -> &Pools {
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
        for pulse in self.scans.values() {
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

async fn scan(router: Arc<Router>, pulse: Arc<Pulse>, mut scanner: Scanner) {
    let mut rounds = pulse.rounds(router.settings.scan_interval);
    loop {
        rounds.begin().await;
        let good = scanner.scan(&router.table).await;
        router.looks.retain_listed(&router.table.load_full());
        rounds.end(good);
    }
}

async fn read_ledger(router: Arc<Router>, mut reader: LedgerReader) {
    let pulse = Arc::clone(&router.ledger_pulse);
    let mut rounds = pulse.rounds(router.ledger_settings.poll_interval);
    let mut saved = None;
    loop {
        rounds.begin().await;
        let outcome = reader.read(&router.table).await;
        // Before anybody who waited for the reading asks for it: `serve` refuses a powerful role by it.
        match outcome {
            Ok(()) => {
                if router.ledger_error.swap(None).is_some() {
                    tracing::info!("the ledger can be read again");
                }
            }
            Err(error) => {
                if router.ledger_error() != Some(error) {
                    tracing::error!(%error, "the ledger cannot be read; what is known of it stays");
                }
                router.ledger_error.store(Some(Arc::new(error)));
            }
        }
        // Whoever waits for the reading need not wait for what follows from it.
        rounds.end(outcome.is_ok());
        if outcome.is_ok() {
            reader.record_servers(&router.table).await;
            save_snapshot(&router, &mut saved).await;
        }
    }
}

async fn save_snapshot(router: &Arc<Router>, saved: &mut Option<i64>) {
    let Some(path): Option<PathBuf> = router.ledger_settings.snapshot.clone() else { return };
    let view = Arc::clone(&router.table.load_full().ledger);
    let number = view.last_change.map(|change| change.number);
    if *saved == number {
        return;
    }
    match tokio::task::spawn_blocking(move || snapshot::save(&path, &view)).await {
        Ok(Ok(_)) => *saved = number,
        Ok(Err(error)) => tracing::warn!(%error, "the ledger's snapshot cannot be written"),
        Err(_) => {}
    }
}

async fn reap(router: Arc<Router>) {
    let mut tick = tokio::time::interval(router.pools.reap_interval());
    loop {
        tick.tick().await;
        router.pools.reap();
    }
}

/// Records databases of apps whose tables are not ours: nobody's first call should find one already gone.
async fn record_listed(router: Arc<Router>) {
    let mut tick = tokio::time::interval(router.settings.scan_interval);
    loop {
        tick.tick().await;
        let table = router.table.load_full();
        for app in router.naming.apps() {
            if app.name == router.naming.documents_app().name || app.pattern.is_none() {
                continue;
            }
            let listed = table.catalogs.values().filter_map(|view| view.last.as_ref());
            let unrecorded: Vec<SolutionId> = listed
                .flat_map(|catalog| catalog.databases.keys())
                .filter_map(|name| router.naming.solution_of(app, name))
                .filter(|solution| table.ledger.placement(&app.name, solution.as_str()).is_none())
                .collect();
            // Some at a time: they wait for the same scan.
            for some in unrecorded.chunks(RECORDED_AT_ONCE) {
                futures_util::future::join_all(some.iter().map(|solution| record(&router, app, solution))).await;
            }
        }
    }
}

async fn record(router: &Arc<Router>, app: &App, solution: &SolutionId) {
    let ask = Ask {
        app,
        is_documents: false,
        solution,
        dedicated_only: false,
        intent: Intent::Read,
        principal: "fbs-router",
        deadline: Deadline::after(router.settings.scan_timeout),
    };
    if let Err(error) = router.resolve(&ask).await {
        tracing::debug!(%solution, app = %app.name, %error, "recording a listed database");
    }
}
