//! Somebody who plays the solution implementer: makes, prepares, renames, closes and drops databases.
//!
//! The only place where databases come and go; the router never does any of this. Speaks to one cluster as its
//! superuser, prepares databases as their owner through `fbs_router_schema`.

use std::fmt;

use fbs_router_schema::{ApplyError, Purpose};
use tokio_postgres::{Client, error::SqlState};

use crate::cluster::{self, Cluster};

/// The role that owns every database here.
pub const OWNER: &str = "fbs_owner";
/// The role `serve` logs in with.
pub const RUNTIME_ROLE: &str = fbs_router_schema::DEFAULT_RUNTIME_ROLE;

/// Of a statement that wants a database without sessions; Postgres waits five seconds in each.
const ALONE_TRIES: u32 = 3;

/// Plays the implementer on one cluster.
#[derive(Debug, Clone, Copy)]
pub struct Implementer<'c> {
    cluster: &'c Cluster,
}

/// What the implementer could not do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection.
    #[error("cannot connect as the implementer")]
    Cluster(#[from] cluster::Error),
    /// Postgres refused.
    #[error("postgres refused: {statement}")]
    Refused {
        /// The statement.
        statement: String,
        /// Why.
        source: tokio_postgres::Error,
    },
    /// The schema could not be applied.
    #[error("the schema was not applied")]
    Schema(#[from] ApplyError),
}

/// A quoted identifier.
struct Identifier<'n>(&'n str);

impl fmt::Display for Identifier<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "\"{}\"", self.0.replace('"', "\"\""))
    }
}

impl<'c> Implementer<'c> {
    /// On this cluster.
    pub fn new(cluster: &'c Cluster) -> Self {
        Self { cluster }
    }

    /// Makes the owner and the runtime role, the latter with a password.
    pub async fn create_roles(&self, password: &str) -> Result<(), Error> {
        let owner = Identifier(OWNER);
        let role = Identifier(RUNTIME_ROLE);
        self.run("postgres", &format!("CREATE ROLE {owner} LOGIN NOSUPERUSER")).await?;
        let create = format!("CREATE ROLE {role} LOGIN NOSUPERUSER NOBYPASSRLS NOINHERIT PASSWORD '{password}'");
        self.run("postgres", &create).await
    }

    /// Makes an empty database.
    pub async fn create_database(&self, name: &str) -> Result<(), Error> {
        self.run("postgres", &format!("CREATE DATABASE {} OWNER {}", Identifier(name), Identifier(OWNER))).await
    }

    /// Copies a database nobody is connected to: `createdb -T`.
    pub async fn copy_database(&self, template: &str, name: &str) -> Result<(), Error> {
        let (name, template, owner) = (Identifier(name), Identifier(template), Identifier(OWNER));
        self.run("postgres", &format!("CREATE DATABASE {name} TEMPLATE {template} OWNER {owner}")).await
    }

    /// Applies the schema, as the owner.
    pub async fn apply(&self, database: &str, purpose: Purpose) -> Result<(), Error> {
        let mut client = self.cluster.connect_as(OWNER, database).await?;
        fbs_router_schema::apply(&mut client, &purpose, RUNTIME_ROLE).await?;
        Ok(())
    }

    /// Renames a database; sessions there are ended first, as somebody has to.
    pub async fn rename(&self, from: &str, to: &str) -> Result<(), Error> {
        self.closed_while(from, &format!("ALTER DATABASE {} RENAME TO {}", Identifier(from), Identifier(to)), to).await
    }

    /// Lets two databases trade names.
    pub async fn swap_names(&self, one: &str, other: &str) -> Result<(), Error> {
        self.rename(one, "swapping").await?;
        self.rename(other, one).await?;
        self.rename("swapping", other).await
    }

    /// Lets two databases trade names in one transaction: nobody ever sees a name missing.
    pub async fn swap_names_at_once(&self, one: &str, other: &str) -> Result<(), Error> {
        let (one_quoted, other_quoted) = (Identifier(one), Identifier(other));
        self.allow_connections(one, false).await?;
        self.allow_connections(other, false).await?;
        let statement = format!(
            "BEGIN; ALTER DATABASE {one_quoted} RENAME TO swapping; ALTER DATABASE {other_quoted} RENAME TO {one_quoted}; \
             ALTER DATABASE swapping RENAME TO {other_quoted}; ALTER DATABASE {one_quoted} ALLOW_CONNECTIONS true; \
             ALTER DATABASE {other_quoted} ALLOW_CONNECTIONS true; COMMIT"
        );
        self.run_alone(&[one, other], &statement).await
    }

    /// Drops a database, whoever is connected.
    pub async fn drop_database(&self, name: &str) -> Result<(), Error> {
        self.run("postgres", &format!("DROP DATABASE {} WITH (FORCE)", Identifier(name))).await
    }

    /// Opens or closes a database for connections; closing ends those there are.
    pub async fn allow_connections(&self, name: &str, allow: bool) -> Result<(), Error> {
        self.run("postgres", &format!("ALTER DATABASE {} ALLOW_CONNECTIONS {allow}", Identifier(name))).await?;
        if allow { Ok(()) } else { self.end_sessions(name).await }
    }

    /// Limits the connections to a database, -1 being no limit, and ends those there are.
    pub async fn limit_connections(&self, name: &str, limit: i32) -> Result<(), Error> {
        self.run("postgres", &format!("ALTER DATABASE {} CONNECTION LIMIT {limit}", Identifier(name))).await?;
        self.end_sessions(name).await
    }

    /// Gives the runtime role another password; sessions stay.
    pub async fn set_password(&self, password: &str) -> Result<(), Error> {
        self.run("postgres", &format!("ALTER ROLE {} PASSWORD '{password}'", Identifier(RUNTIME_ROLE))).await
    }

    /// Ends every session in a database, and waits until they are gone.
    pub async fn end_sessions(&self, database: &str) -> Result<(), Error> {
        let statement = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1 \
                         AND pid <> pg_backend_pid()";
        let client = self.cluster.connect("postgres").await?;
        client.query(statement, &[&database]).await.map(drop).map_err(refused(statement))
    }

    /// Runs SQL as the superuser.
    pub async fn run(&self, database: &str, sql: &str) -> Result<(), Error> {
        let client: Client = self.cluster.connect(database).await?;
        client.batch_execute(sql).await.map_err(refused(sql))
    }

    /// One number, as the superuser: what tests count rows with.
    pub async fn count(&self, database: &str, sql: &str) -> Result<i64, Error> {
        let client = self.cluster.connect(database).await?;
        client.query_one(sql, &[]).await.map(|row| row.get(0)).map_err(refused(sql))
    }

    /// A router reconnects at once, so the door has to be closed while sessions end and the statement runs.
    async fn closed_while(&self, name: &str, statement: &str, afterwards: &str) -> Result<(), Error> {
        self.allow_connections(name, false).await?;
        self.run_alone(&[name], statement).await?;
        self.run("postgres", &format!("ALTER DATABASE {} ALLOW_CONNECTIONS true", Identifier(afterwards))).await
    }

    /// Runs what wants nobody in these databases, which are closed. Who came through the door while it was being closed was
    /// not among the sessions that were ended.
    async fn run_alone(&self, databases: &[&str], statement: &str) -> Result<(), Error> {
        for _ in 1..ALONE_TRIES {
            match self.run("postgres", statement).await {
                Err(Error::Refused { source, .. }) if source.code() == Some(&SqlState::OBJECT_IN_USE) => {
                    for database in databases {
                        self.end_sessions(database).await?;
                    }
                }
                outcome => return outcome,
            }
        }
        self.run("postgres", statement).await
    }
}

fn refused(statement: &str) -> impl FnOnce(tokio_postgres::Error) -> Error {
    let statement = statement.to_owned();
    move |source| Error::Refused { statement, source }
}
