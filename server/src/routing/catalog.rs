//! What exists: the databases that a server's primary lists.
//!
//! Read in one query a server from `pg_database`, over a connection of its own. A failed scan keeps the last good
//! one; a server that was never scanned makes every name on it unknown.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use futures_util::future::try_join;
use tokio::time::{Instant, timeout};
use tokio_postgres::types::{ToSql, Type};

use super::{evidence::RecordedAt, ledger::LedgerView, table::TableCell};
use crate::postgres::{Failure, LoneClient, PostgresServer, Told, unsafe_settings};

const SCAN: &str = include_str!("catalog.sql");

/// What is known of one server.
#[derive(Debug, Clone)]
pub(super) struct CatalogView {
    /// The last good scan.
    pub last: Option<Arc<Catalog>>,
    /// Why the scan after it failed, if it did.
    pub failed: Option<ScanError>,
}

/// A good scan.
#[derive(Debug)]
pub(super) struct Catalog {
    /// When it began: absences are no younger.
    pub began: Instant,
    /// Of the cluster that answered.
    pub system_identifier: u64,
    /// Oids by name, whether or not the databases take connections.
    pub databases: HashMap<Box<str>, u32>,
    /// Settings with which the server may lose what it has acknowledged.
    pub unsafe_settings: Vec<String>,
    /// Recorded databases that an earlier scan missed, and since when they are back.
    pub returned: HashMap<Box<str>, Instant>,
}

/// Why a scan failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// Down, or out of reach.
    #[error("the server cannot be reached")]
    Unreachable,
    /// Role, password or `pg_hba.conf`.
    #[error("the server refuses the router's role or credentials")]
    Refused,
    /// A standby's catalog may lag behind.
    #[error("the server is a standby")]
    Standby,
    /// It took too long.
    #[error("the scan took too long")]
    TimedOut,
    /// The query was refused: our bug, or a server we do not know.
    #[error("the catalog query failed")]
    Failed,
}

/// What a scan read.
struct Scanned {
    system_identifier: u64,
    databases: HashMap<Box<str>, u32>,
    unsafe_settings: Vec<String>,
}

/// Scans one server. Keeps its connection between scans.
#[derive(Debug)]
pub(super) struct Scanner {
    server: Arc<PostgresServer>,
    limit: Duration,
    client: Option<LoneClient>,
}

// === impl CatalogView ===

impl CatalogView {
    /// Never scanned.
    pub(super) fn never() -> Self {
        Self { last: None, failed: None }
    }
}

// === impl Scanner ===

impl Scanner {
    /// Connects at the first scan.
    pub(super) fn new(server: Arc<PostgresServer>, limit: Duration) -> Self {
        Self { server, limit, client: None }
    }

    /// The server that is scanned.
    pub(super) fn server(&self) -> &PostgresServer {
        &self.server
    }

    /// Scans, and hangs the result into the table. True if it was good.
    pub(super) async fn scan(&mut self, table: &TableCell) -> bool {
        let asked = self.server.ask();
        let looked = self.look(table).await;
        let before = table.load().catalogs.get(&self.server.name).cloned();
        let last = before.as_ref().and_then(|view| view.last.clone());
        match looked {
            Ok(catalog) => {
                if before.is_some_and(|view| view.failed.is_some()) {
                    tracing::info!(server = %self.server.name, "the catalog can be read again");
                }
                table.put_catalog(&self.server.name, CatalogView { last: Some(Arc::new(catalog)), failed: None });
                true
            }
            Err(error) => {
                self.client = None;
                if error == ScanError::TimedOut {
                    self.server.fell_silent(asked);
                }
                if before.is_none_or(|view| view.failed != Some(error)) {
                    tracing::warn!(server = %self.server.name, %error, "catalog scan failed, the last good one stays; `fbs-router check --config FILE` tells what to mend");
                }
                table.put_catalog(&self.server.name, CatalogView { last, failed: Some(error) });
                false
            }
        }
    }

    /// Scans, and compares with what the table holds.
    pub(super) async fn look(&mut self, table: &TableCell) -> Result<Catalog, ScanError> {
        let began = Instant::now();
        let scanned = timeout(self.limit, self.read()).await.unwrap_or(Err(ScanError::TimedOut));
        let Scanned { system_identifier, databases, unsafe_settings } = scanned?;
        let table = table.load();
        let last = table.catalogs.get(&self.server.name).and_then(|view| view.last.as_deref());
        let returned = returned(last, &databases, began, &table.ledger, &self.server.name);
        Ok(Catalog { began, system_identifier, databases, unsafe_settings, returned })
    }

    async fn read(&mut self) -> Result<Scanned, ScanError> {
        let fresh = self.client.is_none();
        match self.query().await {
            // A connection that went stale between two scans says nothing about the server now.
            Err(ScanError::Unreachable) if !fresh => {
                self.client = None;
                self.query().await
            }
            outcome => outcome,
        }
    }

    async fn query(&mut self) -> Result<Scanned, ScanError> {
        let client = match self.client.take().filter(|client| !client.is_closed()) {
            Some(client) => client,
            None => self
                .server
                .connect(&self.server.catalog_database, self.limit)
                .await
                .map_err(|error| scan_error(&error, true))?,
        };
        let several = self.server.has_several_hosts();
        let parameters: [(&(dyn ToSql + Sync), Type); 1] = [(&several, Type::BOOL)];
        let scan = client.query_typed(SCAN, &parameters);
        let (rows, unsafe_settings) =
            try_join(scan, unsafe_settings(&client)).await.map_err(|error| scan_error(&error, false))?;
        let first = rows.first().ok_or(ScanError::Failed)?;
        if first.get::<_, bool>(1) {
            return Err(ScanError::Standby);
        }
        self.client = Some(client);
        self.server.has_room_for(first.get(4));
        let system_identifier = first.get::<_, String>(0).parse().map_err(|_| ScanError::Failed)?;
        let databases = rows.iter().map(|row| (row.get::<_, String>(2).into_boxed_str(), row.get(3))).collect();
        Ok(Scanned { system_identifier, databases, unsafe_settings })
    }
}

fn scan_error(error: &tokio_postgres::Error, connecting: bool) -> ScanError {
    tracing::debug!(error = %Told::of(error), "catalog scan");
    match Failure::of(error, connecting) {
        Failure::Unavailable | Failure::StalePlan => ScanError::Unreachable,
        // The maintenance database itself is gone: a matter of configuration.
        Failure::DatabaseAbsent | Failure::Refused => ScanError::Refused,
        Failure::Standby => ScanError::Standby,
        Failure::TimedOut => ScanError::TimedOut,
        Failure::Conflict
        | Failure::StorageFull
        | Failure::Fenced
        | Failure::UniqueViolation
        | Failure::SchemaAbsent
        | Failure::RuleBroken => ScanError::Failed,
    }
}

/// Recorded databases that are listed now and were not before, and earlier such ones that the ledger has not been
/// read for since: they may have been released while they were away.
fn returned(
    before: Option<&Catalog>,
    databases: &HashMap<Box<str>, u32>,
    began: Instant,
    ledger: &LedgerView,
    server: &str,
) -> HashMap<Box<str>, Instant> {
    let Some(before) = before else { return HashMap::new() };
    let recorded: HashSet<&str> = ledger
        .records()
        .filter_map(|(_, _, record)| match &record.at {
            RecordedAt::Dedicated { target, .. } if *target.server == *server => Some(&*target.name),
            RecordedAt::Dedicated { .. } | RecordedAt::System => None,
        })
        .collect();
    let mut returned = before.returned.clone();
    returned.retain(|name, since| recorded.contains(&**name) && ledger.read_began.is_none_or(|read| read < *since));
    for name in recorded {
        if databases.contains_key(name) && !before.databases.contains_key(name) {
            returned.insert(name.into(), began);
        }
    }
    returned
}
