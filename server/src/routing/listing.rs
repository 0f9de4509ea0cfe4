//! What there is: solutions that are recorded or listed, and the databases of an app.
//!
//! Read from the table alone; nothing is looked into, taken over or recorded for a list. What is not decided yet is
//! shown as UNKNOWN.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use super::{
    decide::{Trace, Verdict, decide},
    evidence::{Found, LedgerSays, Presence, Record, RecordedAt, Replaced},
    gather::Gathered,
    resolve::Ask,
    route::{Address, Route, RouteState},
    router::Router,
    table::Table,
};
use crate::{
    config::Isolation,
    domain::{App, Call, DatabaseTarget, Error, Result, SolutionId},
};

/// A solution, as far as it is known.
#[derive(Debug)]
pub struct KnownSolution {
    /// Its id.
    pub solution: SolutionId,
    /// Its routes, in whatever state they are; one an app with a pattern in which it is recorded or listed.
    pub routes: Vec<Route>,
    /// True if its documents may never be in a system database.
    pub dedicated_only: bool,
}

/// A database of an app.
#[derive(Debug)]
pub struct KnownDatabase {
    /// Where.
    pub database: Address,
    /// Whose; none: the system database.
    pub solution: Option<SolutionId>,
    /// Version of the documents schema when it was entered last; 0 if it was not, or the schema is not ours.
    pub schema_version: i32,
}

impl Router {
    /// Waits for a scan of every server and a reading of the ledger that began after this call; what cannot be reached
    /// is listed as it was known. True if everything could be reached.
    pub async fn refresh(&self, call: &Call) -> bool {
        // One bound for both: a list is worth no more waiting than a call.
        let scans = self.scan_all(call.deadline.inner());
        let (scanned, read) = tokio::join!(scans, self.ledger_pulse.fresh(call.deadline.inner()));
        scanned && read.is_ok()
    }

    /// Solutions after `after` whose id begins with `prefix`, in order of their id, as far as the caller's grants cover
    /// them and they pass `keep`: one more than `size` if there are more.
    pub fn solutions(
        &self,
        call: &Call,
        prefix: &str,
        after: Option<&str>,
        size: usize,
        keep: impl Fn(&KnownSolution) -> bool,
    ) -> Vec<KnownSolution> {
        let table = self.table.load_full();
        let mut known = BTreeSet::new();
        for app in self.naming.apps().iter().filter(|app| app.pattern.is_some()) {
            known.extend(self.pairs(&table, app).into_keys());
        }
        let from = known.into_iter().filter(|solution| solution.as_str().starts_with(prefix));
        from.filter(|solution| after.is_none_or(|after| solution.as_str() > after))
            .filter(|solution| call.covers(solution))
            .map(|solution| self.known(&table, call, solution))
            .filter(keep)
            .take(size + 1)
            .collect()
    }

    /// Databases of an app, as far as the caller's grants cover them: the system database first, if he may see all solutions, and
    /// the others by solution, after that of `after`; one more than `size` if there are more.
    pub fn databases(&self, call: &Call, app: &App, after: Option<&str>, size: usize) -> Result<Vec<KnownDatabase>> {
        let table = self.table.load_full();
        let mut databases = Vec::new();
        if let (Some(name), None, true) = (&app.system_database, after, call.principal.sees_all()) {
            let target = DatabaseTarget::new(&app.server, name);
            databases.push(self.database(&table, app, &target, None)?);
        }
        let pairs = self.pairs(&table, app).into_iter().filter_map(|(solution, found)| Some((solution, found?)));
        let pairs = pairs.filter(|(solution, _)| after.is_none_or(|after| solution.as_str() > after));
        let pairs = pairs.filter(|(solution, _)| call.covers(solution));
        for (solution, target) in pairs.take(size + 1 - databases.len()) {
            databases.push(self.database(&table, app, &target, Some(solution))?);
        }
        Ok(databases)
    }

    /// Every solution that is recorded for the app or has a listed database, and that database: the recorded one, else
    /// the listed one.
    fn pairs(&self, table: &Table, app: &App) -> BTreeMap<SolutionId, Option<DatabaseTarget>> {
        let mut pairs = BTreeMap::new();
        for (server, view) in &table.catalogs {
            let Some(catalog) = &view.last else { continue };
            for name in catalog.databases.keys() {
                if let Some(solution) = self.naming.solution_of(app, name) {
                    // A registered name is the only one considered.
                    let registration = table.ledger.registration(&app.name, solution.as_str());
                    if registration.is_none_or(|registration| registration.database.is_none()) {
                        pairs.insert(solution, Some(DatabaseTarget::new(server, name)));
                    }
                }
            }
            for (solution, registration) in table.ledger.registrations(&app.name) {
                let named = registration.database.as_deref().filter(|name| catalog.databases.contains_key(*name));
                if let Some(name) = named {
                    pairs.insert(solution.clone(), Some(DatabaseTarget::new(server, name)));
                }
            }
        }
        for (of_app, solution, record) in table.ledger.records() {
            if *of_app != app.name {
                continue;
            }
            match &record.at {
                RecordedAt::Dedicated { target, .. } => drop(pairs.insert(solution.clone(), Some(target.clone()))),
                RecordedAt::System => drop(pairs.entry(solution.clone()).or_insert(None)),
            }
        }
        pairs
    }

    pub(super) fn known(&self, table: &Table, call: &Call, solution: SolutionId) -> KnownSolution {
        let documents = self.naming.documents_app();
        let with_pattern = self.naming.apps().iter().filter(|app| app.pattern.is_some());
        let routes = with_pattern.filter_map(|app| {
            let ask = Ask::about(call, &solution, app, app.name == documents.name);
            self.standing(table, &ask)
        });
        let routes = routes.collect();
        let registration = table.ledger.registration(&documents.name, solution.as_str());
        let isolation = registration.map_or(self.settings.isolation, |registration| registration.isolation);
        KnownSolution { routes, dedicated_only: isolation == Isolation::Required, solution }
    }

    /// Where a pair stands by the table alone; none if it is neither recorded nor listed.
    fn standing(&self, table: &Table, ask: &Ask<'_>) -> Option<Route> {
        let record = table.ledger.placement(&ask.app.name, ask.solution.as_str());
        // The table is taken as it is: whatever it was made from is fresh enough for a list.
        let gathered = Gathered::new(oldest(table));
        let evidence = self.evidence(table, ask, &gathered);
        let listed = match &evidence.presence {
            Presence::Present(found) => Some(found.clone()),
            Presence::TwoServers | Presence::Absent | Presence::Unknown(_) => None,
        };
        if record.is_none() && listed.is_none() && !matches!(evidence.presence, Presence::TwoServers) {
            return None;
        }
        let verdict = decide(&evidence, &mut Trace::default());
        let undecided = |state| listed.as_ref().and_then(|found| Route::listed(ask, found, state, table, &self.pools));
        match verdict {
            Verdict::Dedicated => Route::dedicated(ask.app, ask.solution, table, &self.pools).ok(),
            Verdict::System { epoch, candidate } => {
                let route =
                    Route::system(ask.app, ask.is_documents, ask.solution, epoch, candidate, table, &self.pools);
                route.ok()
            }
            Verdict::Refused(error) => {
                self.route_in_any_state(ask, &error).or_else(|| undecided(super::resolve::state_of(&error)))
            }
            // A SYSTEM pair that the ledger records, and memory vouches for, is served; only what its listed database is good
            // for is not known. Known from a snapshot alone, or not confirmed yet, calls would have to find out first.
            Verdict::Need(_) | Verdict::Act(_) => {
                let unknown = self.route_in_any_state(ask, &Error::RouteUnknown("not decided yet"));
                let served = matches!(evidence.ledger, LedgerSays::Record(Record { at: RecordedAt::System, .. }));
                match unknown {
                    Some(route) if served && evidence.vouched => Some(Route { state: RouteState::Active, ..route }),
                    Some(route) => Some(route),
                    None => undecided(RouteState::Unknown),
                }
            }
        }
    }

    fn database(
        &self,
        table: &Table,
        app: &App,
        target: &DatabaseTarget,
        solution: Option<SolutionId>,
    ) -> Result<KnownDatabase> {
        let listed = table.catalogs.get(&target.server).and_then(|view| view.last.as_ref());
        let oid = listed.and_then(|catalog| catalog.databases.get(&*target.name).copied()).unwrap_or(0);
        let is_documents = app.name == self.naming.documents_app().name;
        let uuid = match &solution {
            Some(solution) => match table.ledger.placement(&app.name, solution.as_str()).map(|record| &record.at) {
                Some(RecordedAt::Dedicated { uuid, .. }) => *uuid,
                Some(RecordedAt::System) | None => None,
            },
            None if is_documents => table.ledger.database_uuid,
            None => None,
        };
        Ok(KnownDatabase {
            database: Address::of(target, oid, uuid, table, &self.pools)?,
            schema_version: if is_documents { self.pools.schema_version(target) } else { 0 },
            solution,
        })
    }
}

/// The age of the table: of whatever in it is oldest.
fn oldest(table: &Table) -> Option<Instant> {
    let scans = table.catalogs.values().filter_map(|view| Some(view.last.as_ref()?.began));
    scans.chain(table.ledger.read_began).min()
}

impl Route {
    /// A database that is listed for a pair of which nothing is recorded, and that is not decided about.
    fn listed(
        ask: &Ask<'_>,
        found: &Found,
        state: RouteState,
        table: &Table,
        pools: &crate::postgres::Pools,
    ) -> Option<Self> {
        let state = if found.replaced == Replaced::No { state } else { RouteState::Conflict };
        Some(Self {
            solution: ask.solution.clone(),
            app: std::sync::Arc::clone(&ask.app.name),
            placement: crate::domain::Placement::Dedicated,
            database: Address::of(&found.target, found.oid, None, table, pools).ok()?,
            epoch: 0,
            revision: 0,
            candidate: None,
            update_time: None,
            state,
        })
    }
}
