//! Further servers, and others in the place of those known, while calls go on.
//!
//! A server is looked at before it is used, so that nobody waits for one that does not answer. What was seen then stays
//! out of the table: it is older than calls that wait for scans right now, and the scans they wait for lack the server.

use std::{collections::HashMap, sync::Arc};

use futures_util::future::join_all;
use tokio::time::timeout;

use super::{
    catalog::{Catalog, Scanner},
    refresh::Pulse,
    router::Router,
};
use crate::{
    config::{self, Change},
    domain::ServerName,
    postgres::{PostgresServer, Told, prove},
};

/// Changes, and the servers that they need, looked at.
#[derive(Debug)]
pub struct Prepared {
    changes: Vec<Change>,
    servers: Vec<(Arc<PostgresServer>, Catalog)>,
}

impl Prepared {
    /// Of each server among them, the settings with which it may lose what it has acknowledged.
    pub fn unsafe_settings(&self) -> impl Iterator<Item = (&ServerName, &[String])> {
        self.servers.iter().map(|(server, catalog)| (&server.name, catalog.unsafe_settings.as_slice()))
    }
}

impl Router {
    /// Makes what `changes` need, and looks at it. Changes nothing; or says all that stands against it.
    pub async fn prepare(&self, changes: Vec<Change>) -> Result<Prepared, Vec<String>> {
        let wanted = changes.iter().filter_map(|change| match change {
            Change::Added(server) | Change::Elsewhere(server) => Some(server),
            Change::Password(_) | Change::Connections(_) | Change::Pool(_) => None,
        });
        let (mut servers, mut problems) = (Vec::new(), Vec::new());
        let looked = join_all(wanted.map(async |settings| (&settings.name, self.look_at(settings).await))).await;
        for (name, outcome) in looked {
            match outcome {
                Ok(found) => servers.push(found),
                Err(problem) => problems.push(format!("server `{name}`: {problem}")),
            }
        }
        problems.extend(self.clashes(&servers));
        if problems.is_empty() { Ok(Prepared { changes, servers }) } else { Err(problems) }
    }

    async fn look_at(&self, settings: &config::Server) -> Result<(Arc<PostgresServer>, Catalog), String> {
        let limit = self.settings.scan_timeout;
        let server = Arc::new(PostgresServer::new(settings).map_err(|error| error.to_string())?);
        let catalog = Scanner::new(Arc::clone(&server), limit).look(&self.table).await;
        let catalog = catalog.map_err(|error| error.to_string())?;
        let role = timeout(limit, async {
            let client = server.connect(&settings.catalog_database, limit).await?;
            prove::prove(&client).await
        });
        match role.await {
            Err(_) => Err("it did not answer in time".to_owned()),
            Ok(Err(error)) => Err(format!("its role cannot be looked at: {}", Told::of(&error))),
            Ok(Ok(facts)) if facts.role_too_powerful => {
                Err("the runtime role is superuser, bypasses row-level security, or is a member of another role"
                    .to_owned())
            }
            Ok(Ok(_)) => Ok((server, catalog)),
        }
    }

    /// Two names for one cluster would show every database twice; another cluster under a known name is nothing that a
    /// file decides.
    fn clashes(&self, servers: &[(Arc<PostgresServer>, Catalog)]) -> Vec<String> {
        let table = self.table.load();
        let mut names: HashMap<u64, ServerName> = HashMap::new();
        for (name, view) in &table.catalogs {
            names.extend(view.last.as_ref().map(|catalog| (catalog.system_identifier, name.clone())));
        }
        let mut problems = Vec::new();
        for (server, catalog) in servers {
            let identifier = catalog.system_identifier;
            let other = names.insert(identifier, server.name.clone()).filter(|other| *other != server.name);
            if let Some(other) = other {
                problems
                    .push(format!("server `{}`: it is the same cluster as `{other}`, or a copy of it", server.name));
            }
            if let Some(known) = table.ledger.servers.get(&server.name).filter(|known| **known != identifier) {
                problems.push(format!(
                    "server `{}`: its system_identifier is {identifier}, the ledger knows {known}: another cluster; \
                     correct its url, or restart and `fbs-router server accept`",
                    server.name
                ));
            }
        }
        problems
    }

    /// Uses what was prepared, all of it. Returns when further servers count: from then on nobody decides without them.
    pub async fn adopt(&self, prepared: Prepared) {
        let Prepared { changes, servers } = prepared;
        let mut scans = (**self.scans.load()).clone();
        for (server, _) in &servers {
            scans.entry(server.name.clone()).or_insert_with(|| Arc::new(Pulse::new()));
        }
        // A server counts from the moment at which its first scan, which begins after this line, is in the table: a call that
        // waits for scans without it finds none that is too old. Until then what is on it has not appeared yet.
        self.scans.store(Arc::new(scans));
        self.pools.adopt(servers.iter().map(|(server, _)| Arc::clone(server)).collect());
        self.pools.announce();
        let mut pool = None;
        for change in changes {
            match change {
                Change::Added(_) | Change::Elsewhere(_) => {}
                Change::Password(settings) => {
                    if let Some(server) = self.pools.server(&settings.name) {
                        server.set_password(&settings);
                    }
                }
                Change::Connections(settings) => {
                    if let Some(server) = self.pools.server(&settings.name) {
                        server.set_max_connections(settings.max_connections);
                    }
                }
                Change::Pool(settings) => pool = Some(settings),
            }
        }
        self.pools.set_limits(pool);
        let pulses: Vec<_> =
            servers.iter().filter_map(|(server, _)| self.scans.load().get(&server.name).cloned()).collect();
        // One scan each, well or ill. Bounded, in case that nobody scans any more.
        let _told = timeout(2 * self.settings.scan_timeout, join_all(pulses.iter().map(|pulse| pulse.tried()))).await;
    }
}
