//! Where data lives.

use std::{fmt, sync::Arc};

/// Name of a Postgres server in the configuration.
pub type ServerName = Arc<str>;

/// How often the placement of a pair has changed.
pub type Epoch = i64;

/// In the solution's own database, or in the app's system database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Placement {
    /// The solution's own database.
    Dedicated,
    /// The app's system database, shared.
    System,
}

impl Placement {
    /// The word of the ledger, of headers and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dedicated => "DEDICATED",
            Self::System => "SYSTEM",
        }
    }
}

/// A database, by server and name: what pools are keyed by.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DatabaseTarget {
    /// The server, as the configuration calls it.
    pub server: ServerName,
    /// The database. From configuration, catalog or ledger; never from a request.
    pub name: Arc<str>,
}

impl DatabaseTarget {
    /// Names a database on a server.
    pub fn new(server: &ServerName, name: &str) -> Self {
        Self { server: Arc::clone(server), name: name.into() }
    }
}

impl fmt::Display for DatabaseTarget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} on server {}", self.name, self.server)
    }
}

impl fmt::Debug for DatabaseTarget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.server, self.name)
    }
}
