//! `[[server]]`: a Postgres server, how to reach it, and how others do.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    str::FromStr,
};

use secrecy::SecretString;
use tokio_postgres::config::Host;

use super::read::Section;
use crate::domain::ServerName;

/// A Postgres server that the router may use.
#[derive(Debug, Clone)]
pub struct Server {
    /// What logs, routes and the ledger call it.
    pub name: ServerName,
    /// Hosts, ports and user; never a password. Of several hosts, one is the primary.
    pub connection: tokio_postgres::Config,
    /// How Postgres itself is reached, for catalog and ledger; the same as `connection` unless that leads to a pooler.
    pub catalog_connection: tokio_postgres::Config,
    /// True if `connection` leads to a pooler: each transaction may be on another connection to Postgres.
    pub pooler: bool,
    /// Host and port that callers are told: one, or one of each host of `connection`.
    pub advertised: Vec<(String, u16)>,
    /// The runtime role's password. Redacted in every Debug.
    pub password: Option<SecretString>,
    /// Where it was read.
    pub password_file: Option<PathBuf>,
    /// Hard limit of this process's connections to the server, over all its databases. Two of them are for catalog and
    /// ledger, one is kept for routing.
    pub max_connections: usize,
    /// The database from which the catalog is read; every server has `postgres`.
    pub catalog_database: String,
    /// How the connection is protected.
    pub tls: Tls,
}

/// Protection of connections to a Postgres server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// Encrypted, certificate and name checked; against the machine's authorities, or those in a file.
    VerifyFull {
        /// PEM; none: the machine's authorities.
        ca_file: Option<PathBuf>,
    },
    /// In clear: unix sockets and loopback by default.
    Disable,
}

impl Server {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let name = section.text("name").unwrap_or_else(|| "main".to_owned());
        let url = section.required("url");
        let connection = read_url(&section, "url", &url);
        let pooler = section.flag("pooler", false);
        let catalog_url = section.text("catalog_url");
        if pooler && catalog_url.is_none() {
            section
                .problem("catalog_url", "is missing: behind a pooler, catalog and ledger are read at Postgres itself");
        }
        let catalog_connection =
            catalog_url.map_or_else(|| connection.clone(), |url| read_url(&section, "catalog_url", &url));
        let advertised = advertise(&mut section, &connection);
        let password_file = section.text("password_file").map(PathBuf::from);
        let password = password_file.as_ref().and_then(|path| read_password(&section, path));
        let max_connections = section.integer("max_connections", 80, 4..=100_000);
        let catalog_database = section
            .text("catalog_database")
            .unwrap_or_else(|| catalog_connection.get_dbname().unwrap_or("postgres").to_owned());
        let ca_file = section.text("ca_file").map(PathBuf::from);
        let encrypted = section.word("tls", &[("verify-full", true), ("disable", false)]);
        let local = is_local(&connection) && is_local(&catalog_connection);
        let tls = if encrypted.unwrap_or(!local) {
            Tls::VerifyFull { ca_file }
        } else {
            if ca_file.is_some() {
                section.problem("ca_file", "is useless where tls is disabled");
            }
            Tls::Disable
        };
        section.finish();
        Self {
            name: name.into(),
            connection,
            catalog_connection,
            pooler,
            advertised,
            password,
            password_file,
            max_connections,
            catalog_database,
            tls,
        }
    }

    /// True if packets leave this machine.
    pub fn leaves_machine(&self) -> bool {
        !(is_local(&self.connection) && is_local(&self.catalog_connection))
    }
}

fn read_url(section: &Section<'_>, key: &str, url: &str) -> tokio_postgres::Config {
    if url.is_empty() {
        return tokio_postgres::Config::new();
    }
    match tokio_postgres::Config::from_str(url) {
        Ok(connection) => {
            if connection.get_password().is_some() {
                section.problem(key, "must not hold a password; use password_file");
            }
            let hosts = connection.get_hosts().len();
            if hosts == 0 {
                section.problem(key, "must name a host");
            }
            if ![0, hosts].contains(&connection.get_hostaddrs().len())
                || ![0, 1, hosts].contains(&connection.get_ports().len())
            {
                section.problem(key, "must name as many ports and hostaddrs as hosts, or one port for all");
            }
            if connection.get_user().is_none() {
                section.problem(key, "must name the runtime role: postgres://fbs_router@host");
            }
            if connection.get_options().is_some() {
                section.problem(key, "must not hold options");
            }
            connection
        }
        // The driver's text may repeat the url, and with it a password.
        Err(_) => {
            section.problem(key, "is no Postgres url such as postgres://fbs_router@host:5432");
            tokio_postgres::Config::new()
        }
    }
}

fn advertise(section: &mut Section<'_>, connection: &tokio_postgres::Config) -> Vec<(String, u16)> {
    let ports = connection.get_ports();
    let own = connection.get_hosts().iter().enumerate().map(|(at, host)| {
        let host = match host {
            Host::Tcp(host) => host.clone(),
            Host::Unix(path) => path.display().to_string(),
        };
        (host, ports.get(at).or(ports.first()).copied().unwrap_or(5432))
    });
    let Some(text) = section.text("advertise") else { return own.collect() };
    match text.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>())) {
        Some((host, Ok(port))) if !host.is_empty() && port > 0 => vec![(host.to_owned(), port)],
        _ => {
            section.problem("advertise", format!("{text:?} is not host:port"));
            own.collect()
        }
    }
}

fn read_password(section: &Section<'_>, path: &Path) -> Option<SecretString> {
    match std::fs::read_to_string(path) {
        Ok(text) if text.trim_end_matches(['\n', '\r']).is_empty() => {
            section.problem("password_file", format!("{}: is empty", path.display()));
            None
        }
        Ok(text) => Some(SecretString::from(text.trim_end_matches(['\n', '\r']))),
        Err(error) => {
            section.problem("password_file", format!("{}: {error}", path.display()));
            None
        }
    }
}

fn is_local(connection: &tokio_postgres::Config) -> bool {
    // Where there is an address as well, the connection goes there, and the host is only the certificate's name.
    connection.get_hostaddrs().iter().all(std::net::IpAddr::is_loopback)
        && connection.get_hosts().iter().all(|host| match host {
            Host::Unix(_) => true,
            Host::Tcp(name) => name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()),
        })
}
