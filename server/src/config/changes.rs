//! What may change while the service runs, when the configuration is read again; everything else is refused, by its key.

use std::{collections::BTreeMap, fmt};

use secrecy::{ExposeSecret, SecretString};
use toml::{Table, Value};

use super::{Config, ConfigErrors, Pool, Server};

/// One thing that a new configuration changes.
#[derive(Debug, Clone)]
pub enum Change {
    /// A further server.
    Added(Server),
    /// A server is reached in another way: at another address, as another role, with other protection.
    Elsewhere(Server),
    /// Another password of a server's runtime role, or another file for it.
    Password(Server),
    /// More or fewer connections to a server.
    Connections(Server),
    /// `[pool]`
    Pool(Pool),
}

impl Config {
    /// What `next` changes; or all of it that needs a restart.
    pub fn changes(&self, next: &Self) -> Result<Vec<Change>, ConfigErrors> {
        let mut problems = restarts(&self.keys, &next.keys);
        let mut changes = Vec::new();
        for server in &self.servers {
            if !next.servers.iter().any(|other| other.name == server.name) {
                problems.push(format!(
                    "server: `{0}` is not there any more: needs a restart, and `fbs-router server remove {0}` then",
                    server.name
                ));
            }
        }
        for server in &next.servers {
            match self.servers.iter().find(|other| other.name == server.name) {
                None => changes.push(Change::Added(server.clone())),
                Some(before) => changes.extend(server_changes(before, server)),
            }
        }
        // By the keys the apps are the same: what follows from the servers may differ all the same.
        if problems.is_empty() && self.naming != next.naming {
            problems.push(
                "server: the first one's name is the default of every app's server, and a catalog_database that no \
                 other server has is a further name that no solution may have: needs a restart"
                    .to_owned(),
            );
        }
        if self.pool != next.pool {
            changes.push(Change::Pool(next.pool.clone()));
        }
        if problems.is_empty() { Ok(changes) } else { Err(ConfigErrors(problems)) }
    }
}

fn server_changes(before: &Server, next: &Server) -> Vec<Change> {
    let mut changes = Vec::new();
    if before.max_connections != next.max_connections {
        changes.push(Change::Connections(next.clone()));
    }
    let same_way = before.connection == next.connection
        && before.catalog_connection == next.catalog_connection
        && before.pooler == next.pooler
        && before.tls == next.tls
        && before.catalog_database == next.catalog_database
        && before.advertised == next.advertised;
    let secret = |server: &Server| server.password.as_ref().map(|one: &SecretString| one.expose_secret().to_owned());
    if !same_way {
        return vec![Change::Elsewhere(next.clone())];
    }
    if before.password_file != next.password_file || secret(before) != secret(next) {
        changes.push(Change::Password(next.clone()));
    }
    changes
}

/// All keys that differ, but for those that may.
fn restarts(before: &Table, next: &Table) -> Vec<String> {
    let (mut one, mut other) = (BTreeMap::new(), BTreeMap::new());
    for (table, leaves) in [(before, &mut one), (next, &mut other)] {
        for (key, value) in table.iter().filter(|(key, _)| !["server", "pool"].contains(&key.as_str())) {
            flatten(key, value, leaves);
        }
    }
    let mut keys: Vec<&String> = one.keys().chain(other.keys()).collect();
    keys.sort();
    keys.dedup();
    keys.retain(|key| one.get(*key) != other.get(*key));
    keys.into_iter().map(|key| format!("{key}: needs a restart")).collect()
}

fn flatten<'v>(place: &str, value: &'v Value, leaves: &mut BTreeMap<String, &'v Value>) {
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                flatten(&format!("{place}.{key}"), value, leaves);
            }
        }
        Value::Array(list) if list.iter().any(Value::is_table) => {
            for (index, value) in list.iter().enumerate() {
                flatten(&format!("{place}[{index}]"), value, leaves);
            }
        }
        value => drop(leaves.insert(place.to_owned(), value)),
    }
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added(server) => write!(formatter, "server `{}` is new", server.name),
            Self::Elsewhere(server) => write!(formatter, "server `{}` is reached in another way", server.name),
            Self::Password(server) => write!(formatter, "server `{}` has another password", server.name),
            Self::Connections(server) => {
                write!(formatter, "server `{}` may have {} connections", server.name, server.max_connections)
            }
            Self::Pool(_) => write!(formatter, "[pool] has other limits"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const MAIN: &str = "[[server]]\nname = \"main\"\nurl = \"postgres://fbs_router@localhost\"\n";

    fn config(text: &str) -> Config {
        Config::parse(text, Path::new("router.toml"), [], &[]).unwrap()
    }

    fn told(before: &str, next: &str) -> Result<Vec<String>, Vec<String>> {
        let changes = config(before).changes(&config(next)).map_err(|ConfigErrors(problems)| problems)?;
        Ok(changes.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn servers_passwords_and_limits_may_change() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        let with = |more: &str| format!("{MAIN}password_file = \"{}\"\n{more}", file.display());
        std::fs::write(&file, "one\n").unwrap();
        let before = config(&with(""));
        std::fs::write(&file, "one").unwrap();
        assert!(before.changes(&config(&with(""))).unwrap().is_empty(), "the end of a line is no part of it");
        std::fs::write(&file, "two").unwrap();
        let second = "[[server]]\nname = \"second\"\nurl = \"postgres://fbs_router@127.0.0.1\"\n";
        let next = config(&with(&format!("max_connections = 9\n{second}[pool]\nmax_size = 3\n")));
        let found: Vec<_> = before.changes(&next).unwrap().iter().map(ToString::to_string).collect();
        let expected = [
            "server `main` may have 9 connections",
            "server `main` has another password",
            "server `second` is new",
            "[pool] has other limits",
        ];
        assert_eq!(found, expected);
        assert_eq!(
            told(MAIN, &MAIN.replace("localhost", "127.0.0.1")).unwrap(),
            ["server `main` is reached in another way"]
        );
    }

    #[test]
    fn everything_else_is_refused_with_every_key_named() {
        let next = format!(
            "{MAIN}[listen]\ngrpc = \"127.0.0.1:1\"\n[routing]\nisolation = \"required\"\n[pool]\nmax_size = 1\n"
        );
        let expected = ["listen.grpc: needs a restart", "routing.isolation: needs a restart"];
        assert_eq!(told(MAIN, &next).unwrap_err(), expected);
        let apps = |name: &str| {
            format!("{MAIN}[[app]]\nname = \"fbs_dms\"\npattern = \"{name}_{{solution}}\"\nsystem_database = \"s\"\n")
        };
        assert_eq!(told(&apps("a"), &apps("b")).unwrap_err(), ["app[0].pattern: needs a restart"]);
        let gone = told(&format!("{MAIN}{}", MAIN.replace("main", "second")), MAIN).unwrap_err();
        assert!(gone[0].starts_with("server: `second` is not there any more: needs a restart"), "{gone:?}");
        // The apps of no [[app]] follow from the first server.
        let other = told(MAIN, &format!("{}{MAIN}", MAIN.replace("main", "second"))).unwrap_err();
        assert!(other[0].contains("default of every app's server"), "{other:?}");
        let reserved = told(MAIN, &format!("{MAIN}catalog_database = \"djo_x_db\"\n")).unwrap_err();
        assert!(reserved[0].contains("catalog_database"), "{reserved:?}");
    }
}
