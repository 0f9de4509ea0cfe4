//! Turns the table, and what was seen for this call, into evidence. Asks nobody.

use tokio::time::Instant;

use super::{
    evidence::{
        AppKind, Evidence, Found, Inside, LedgerRead, LedgerSays, Policy, Presence, Record, RecordedAt, Registration,
        Replaced, Rows,
    },
    ledger::Origin,
    resolve::{Ask, Intent},
    router::Router,
    table::Table,
};
use crate::{
    config::Isolation,
    domain::{DatabaseTarget, ServerName},
};

/// What was done for one call so far.
#[derive(Debug)]
pub(super) struct Gathered {
    /// When the call came: a write relies on nothing older.
    pub(super) called: Instant,
    /// Since when the pair was known to be absent when the call came.
    pub(super) absent_since: Option<Instant>,
    /// A scan of every server was waited for.
    pub(super) scanned: bool,
    /// Whether a reading of the ledger was waited for.
    pub(super) ledger_read: LedgerRead,
    /// Databases looked at for this call.
    pub(super) looks: Vec<(Found, Inside)>,
    /// Rows counted for this call.
    pub(super) rows: Rows,
}

impl Gathered {
    pub(super) fn new(absent_since: Option<Instant>) -> Self {
        Self {
            called: Instant::now(),
            absent_since,
            scanned: false,
            ledger_read: LedgerRead::NotTried,
            looks: Vec::new(),
            rows: Rows::NotCounted,
        }
    }

    pub(super) fn looked(&self, found: &Found) -> Option<&Inside> {
        self.looks
            .iter()
            .rev()
            .find(|(seen, _)| seen.target == found.target && seen.oid == found.oid)
            .map(|(_, inside)| inside)
    }
}

impl Router {
    /// The evidence for one call, as far as it is known.
    pub(super) fn evidence<'t>(&self, table: &'t Table, ask: &Ask<'_>, gathered: &Gathered) -> Evidence<'t> {
        let (app, solution) = (ask.app, ask.solution);
        let ledger = &table.ledger;
        let registration = ledger.registration(&app.name, solution.as_str());
        let record = ledger.placement(&app.name, solution.as_str()).map(|record| &**record);
        let fresh_since = self.fresh_since(ask, gathered);
        let says = match (ledger.origin, record) {
            (Origin::Nothing | Origin::Snapshot, snapshot) => LedgerSays::Unreadable { snapshot },
            (Origin::Ledger, Some(record)) => LedgerSays::Record(record),
            // That there is no record must have been read since.
            (Origin::Ledger, None) if ledger.read_began.is_none_or(|read| read < fresh_since) => {
                LedgerSays::Unreadable { snapshot: None }
            }
            (Origin::Ledger, None) => LedgerSays::Nothing { registered: registration.is_some() },
        };
        let presence = match says.record().map(|record| &record.at) {
            Some(RecordedAt::Dedicated { target, oid, uuid }) => match recorded_presence(table, target, *oid) {
                // Looks need no scan: what is recorded there is proved. Another oid is, only where there is an identity.
                presence
                    if (gathered.scanned || ask.intent == Intent::Look)
                        && scanned_before(table, target, says.record())
                        && match &presence {
                            Presence::Absent => true,
                            Presence::Present(found) => found.replaced == Replaced::Oid && uuid.is_some(),
                            Presence::TwoServers | Presence::Unknown(_) => false,
                        } =>
                {
                    Presence::Unknown("its server was last scanned before the record was read")
                }
                presence => presence,
            },
            Some(RecordedAt::System) => self.search(table, ask, registration, None),
            None => self.search(table, ask, registration, Some(fresh_since)),
        };
        let followed = match (says.record().map(|record| &record.at), &presence, registration) {
            (Some(RecordedAt::Dedicated { target, .. }), Presence::Absent, Some(registration)) => {
                self.registered_elsewhere(table, ask, registration, target).map(|found| {
                    let inside = gathered.looked(&found).cloned().unwrap_or(Inside::NotLooked);
                    (found, inside)
                })
            }
            _ => None,
        };
        let (inside, rows) = self.inside(ask, gathered, says.record().is_some(), &presence);
        Evidence {
            app: if ask.is_documents {
                AppKind::Documents
            } else {
                AppKind::ResolveOnly { ready_table: app.ready_table.is_some() }
            },
            policy: self.policy(ask, registration),
            conflict: ledger.conflicts(&app.name, solution)
                || (gathered.ledger_read == LedgerRead::Fresh
                    && self.fence_was_ahead(table, ask).is_some_and(|seen| ledger.was_read_since(seen))),
            vouched: says.record().is_some_and(|record| ledger.vouches_for(record)),
            returned: returned(table, &says),
            ledger: says,
            presence,
            inside,
            rows,
            followed,
            scanned: gathered.scanned,
            ledger_read: gathered.ledger_read,
        }
    }

    /// What a call may rely on: nothing older than itself, but that a read may take the absence of its own pair that
    /// was proved a moment ago.
    fn fresh_since(&self, ask: &Ask<'_>, gathered: &Gathered) -> Instant {
        match (ask.intent, gathered.absent_since) {
            (Intent::Read, Some(since)) => since,
            (Intent::Read | Intent::Write | Intent::Look, _) => gathered.called,
        }
    }

    fn policy(&self, ask: &Ask<'_>, registration: Option<&Registration>) -> Policy {
        let isolation = registration.map_or(self.settings.isolation, |registration| registration.isolation);
        Policy {
            isolation: if ask.dedicated_only { Isolation::Required } else { isolation },
            unregistered: self.settings.unregistered,
            shared: ask.app.system_database.is_some(),
        }
    }

    fn inside(&self, ask: &Ask<'_>, gathered: &Gathered, recorded: bool, presence: &Presence) -> (Inside, Rows) {
        let Presence::Present(found) = presence else {
            // A snapshot may have been confirmed on a server that was never scanned.
            let inside = gathered.looks.last().map_or(Inside::NotLooked, |(_, inside)| inside.clone());
            return (inside, gathered.rows);
        };
        if let Some(inside) = gathered.looked(found) {
            return (inside.clone(), gathered.rows);
        }
        let since = self.fresh_since(ask, gathered);
        match self.looks.get(found) {
            Some(look) if look.at >= since || (recorded && ask.intent != Intent::Look) => {
                // Somebody else looked, and may not have counted yet: what this call counted itself stands.
                let rows = if gathered.rows == Rows::NotCounted { look.rows } else { gathered.rows };
                (look.inside, rows)
            }
            _ => (Inside::NotLooked, gathered.rows),
        }
    }

    /// Looks for the name that the pair's own database would have. `since`: scans that began before do not count.
    pub(super) fn search(
        &self,
        table: &Table,
        ask: &Ask<'_>,
        registration: Option<&Registration>,
        since: Option<Instant>,
    ) -> Presence {
        let Some(name) = own_name(ask, registration) else { return Presence::Absent };
        let only = registration.and_then(|registration| registration.server.as_ref());
        let mut hits = Vec::new();
        if only.is_some_and(|only| servers(table).all(|server| server != only)) {
            return Presence::Unknown("it is registered on a server that neither configuration nor ledger know");
        }
        for server in servers(table) {
            if only.is_some_and(|only| only != server) {
                continue;
            }
            let Some(view) = table.catalogs.get(server) else {
                return Presence::Unknown("the ledger knows a server that this configuration lacks");
            };
            let Some(catalog) = &view.last else { return Presence::Unknown("a server was never scanned") };
            if table.ledger.servers.get(server).is_some_and(|known| *known != catalog.system_identifier)
                && !catalog.databases.contains_key(name.as_str())
            {
                // Another cluster answers: what it lacks says nothing.
                return Presence::Unknown("a server answers with another system_identifier");
            }
            if since.is_some_and(|since| catalog.began < since) {
                return Presence::Unknown("no scan of every server has succeeded since the call");
            }
            if let Some(oid) = catalog.databases.get(name.as_str()) {
                let known = table.ledger.servers.get(server);
                let replaced = match known {
                    Some(known) if *known != catalog.system_identifier => Replaced::Cluster,
                    _ => Replaced::No,
                };
                hits.push(Found { target: DatabaseTarget::new(server, &name), oid: *oid, replaced });
            }
        }
        match (hits.pop(), hits.is_empty()) {
            (None, _) => Presence::Absent,
            (Some(found), true) => Presence::Present(found),
            (Some(_), false) => Presence::TwoServers,
        }
    }

    /// The database that a registration names instead of the recorded one, if it is listed.
    fn registered_elsewhere(
        &self,
        table: &Table,
        ask: &Ask<'_>,
        registration: &Registration,
        recorded: &DatabaseTarget,
    ) -> Option<Found> {
        match self.search(table, ask, Some(registration), None) {
            Presence::Present(found) if found.target != *recorded => Some(found),
            _ => None,
        }
    }
}

/// Where a recorded database is looked for: on its own server, under its own name.
fn recorded_presence(table: &Table, target: &DatabaseTarget, oid: u32) -> Presence {
    let Some(catalog) = table.catalogs.get(&target.server).and_then(|view| view.last.as_ref()) else {
        return Presence::Unknown("its server was not scanned");
    };
    let other_cluster =
        table.ledger.servers.get(&target.server).is_some_and(|known| *known != catalog.system_identifier);
    match catalog.databases.get(&*target.name) {
        Some(_) | None if other_cluster => {
            Presence::Present(Found { target: target.clone(), oid, replaced: Replaced::Cluster })
        }
        Some(listed) => {
            let replaced = if *listed == oid { Replaced::No } else { Replaced::Oid };
            Presence::Present(Found { target: target.clone(), oid: *listed, replaced })
        }
        None => Presence::Absent,
    }
}

/// True if the last scan of that server began before the record was known.
pub(super) fn scanned_before(table: &Table, target: &DatabaseTarget, record: Option<&Record>) -> bool {
    let known_since = record.and_then(|record| record.known_since);
    let catalog = table.catalogs.get(&target.server).and_then(|view| view.last.as_ref());
    catalog.zip(known_since).is_some_and(|(catalog, known_since)| catalog.began < known_since)
}

/// True if the recorded database was missing and the ledger was not read since it came back.
fn returned(table: &Table, says: &LedgerSays<'_>) -> bool {
    let LedgerSays::Record(record) = says else { return false };
    let RecordedAt::Dedicated { target, .. } = &record.at else { return false };
    let Some(catalog) = table.catalogs.get(&target.server).and_then(|view| view.last.as_ref()) else { return false };
    catalog.returned.get(&*target.name).is_some_and(|since| table.ledger.read_began.is_none_or(|read| read < *since))
}

fn own_name(ask: &Ask<'_>, registration: Option<&Registration>) -> Option<String> {
    registration
        .and_then(|registration| registration.database.clone())
        .or_else(|| Some(ask.app.pattern.as_ref()?.render(ask.solution.as_str())))
}

/// Every server that the configuration or the ledger knows.
fn servers(table: &Table) -> impl Iterator<Item = &ServerName> {
    let unconfigured = table.ledger.servers.keys().filter(|name| !table.catalogs.contains_key(*name));
    table.catalogs.keys().chain(unconfigured)
}
