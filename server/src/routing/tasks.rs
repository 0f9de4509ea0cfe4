//! What goes on behind the calls: scans, readings of the ledger, the reaper. Each is one task, owned by the service.

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use futures_util::future::select_all;
use tokio::{task::JoinSet, time::Instant};

use super::{
    catalog::{ScanError, Scanner},
    ledger_read::LedgerReader,
    refresh::Pulse,
    resolve::{Ask, Intent},
    router::Router,
    snapshot,
    table::Table,
};
use crate::{
    domain::{App, Deadline, Naming, ServerName, SolutionId},
    postgres::PostgresServer,
};

/// Listed databases that are settled at once.
const SETTLED_AT_ONCE: usize = 32;

/// Keeps the tasks of each server going; those of a server that leads elsewhere now end, and begin anew. Ends when one
/// of them ends by itself.
pub(super) async fn attend(router: Arc<Router>) {
    let mut attended: HashMap<ServerName, (Arc<PostgresServer>, JoinSet<()>)> = HashMap::new();
    loop {
        for server in router.pools.servers() {
            match attended.get_mut(&server.name) {
                Some((known, _)) if Arc::ptr_eq(known, &server) => continue,
                // One at a time: the runs of a pulse are counted by whoever does them.
                Some((_, tasks)) => tasks.shutdown().await,
                None => {}
            }
            let tasks = router.start_for(&server);
            attended.insert(server.name.clone(), (server, tasks));
        }
        let ends = attended.values_mut().map(|(_, tasks)| Box::pin(tasks.join_next()));
        tokio::select! {
            () = router.pools.changed() => {}
            (ended, ..) = select_all(ends) => {
                tracing::error!(?ended, "a server's background task ended");
                return;
            }
        }
    }
}

pub(super) async fn scan(router: Arc<Router>, pulse: Arc<Pulse>, mut scanner: Scanner) {
    let mut rounds = pulse.rounds(router.settings.scan_interval);
    loop {
        rounds.begin().await;
        let good = scanner.scan(&router.table).await;
        let table = router.table.load_full();
        let view = table.catalogs.get(&scanner.server().name);
        if scanner.server().has_several_hosts() && view.is_some_and(|view| view.failed == Some(ScanError::Standby)) {
            // Reads alone would never find out.
            router.pools.retire(&scanner.server().name);
        }
        router.looks.retain_listed(&table);
        router.pools.retain_versions(|target| {
            let catalog = table.catalogs.get(&target.server).and_then(|view| view.last.as_ref());
            catalog.is_none_or(|catalog| catalog.databases.contains_key(&*target.name))
        });
        rounds.end(good);
    }
}

pub(super) async fn read_ledger(router: Arc<Router>, mut reader: LedgerReader) {
    let pulse = Arc::clone(&router.ledger_pulse);
    let mut rounds = pulse.rounds(router.ledger_settings.poll_interval);
    let mut saved: Option<(i64, Instant)> = None;
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
                    tracing::error!(%error, "the ledger cannot be read, what is known of it stays; `fbs-router check --config FILE` tells what to mend");
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

async fn save_snapshot(router: &Arc<Router>, saved: &mut Option<(i64, Instant)>) {
    let Some(path): Option<PathBuf> = router.ledger_settings.snapshot.clone() else { return };
    let view = Arc::clone(&router.table.load_full().ledger);
    let number = view.last_change.map(|change| change.number);
    // Also while nothing changes: its age is counted from when it was last known to be true.
    let renew = router.ledger_settings.snapshot_max_age / 4;
    if saved.is_some_and(|(saved, at)| Some(saved) == number && at.elapsed() < renew) {
        return;
    }
    match tokio::task::spawn_blocking(move || snapshot::save(&path, &view)).await {
        Ok(Ok(_)) => *saved = number.map(|number| (number, Instant::now())),
        Ok(Err(error)) => tracing::warn!(%error, "the ledger's snapshot cannot be written"),
        Err(_) => {}
    }
}

pub(super) async fn reap(router: Arc<Router>) {
    loop {
        tokio::time::sleep(router.pools.reap_interval()).await;
        router.pools.reap();
    }
}

/// Settles what nobody has to call for: databases of apps whose tables are not ours are recorded, so that a first call
/// does not find one already gone; released databases that are listed again are closed at first sight.
pub(super) async fn settle_listed(router: Arc<Router>) {
    let mut tick = tokio::time::interval(router.settings.scan_interval);
    loop {
        tick.tick().await;
        let table = router.table.load_full();
        for app in router.naming.apps().iter().filter(|app| app.pattern.is_some()) {
            let is_documents = app.name == router.naming.documents_app().name;
            let unsettled =
                if is_documents { released(&table, &app.name) } else { unrecorded(&router.naming, &table, app) };
            // Some at a time: they wait for the same scan.
            for some in unsettled.chunks(SETTLED_AT_ONCE) {
                let settled = some.iter().map(|solution| settle(&router, app, is_documents, solution));
                futures_util::future::join_all(settled).await;
            }
        }
    }
}

fn unrecorded(naming: &Naming, table: &Table, app: &App) -> Vec<SolutionId> {
    let listed = table.catalogs.values().filter_map(|view| view.last.as_ref());
    listed
        .flat_map(|catalog| catalog.databases.keys())
        .filter_map(|name| naming.solution_of(app, name))
        .filter(|solution| table.ledger.placement(&app.name, solution.as_str()).is_none())
        .collect()
}

fn released(table: &Table, documents: &str) -> Vec<SolutionId> {
    table
        .ledger
        .records()
        .filter(|(app, _, record)| ***app == *documents && record.released_uuid.is_some())
        .map(|(_, solution, _)| solution.clone())
        .collect()
}

async fn settle(router: &Arc<Router>, app: &App, is_documents: bool, solution: &SolutionId) {
    let ask = Ask {
        app,
        is_documents,
        solution,
        dedicated_only: false,
        intent: Intent::Read,
        principal: "fbs-router",
        sees_all: true,
        deadline: Deadline::after(router.settings.scan_timeout),
    };
    if let Err(error) = router.resolve(&ask).await {
        tracing::debug!(%solution, app = %app.name, %error, "settling a listed database");
    }
}
