//! What a connection is really connected to.
//!
//! Asked on each new connection, in one round trip, before anything else runs on it. Only facts are gathered here; whether
//! they are the ones that were meant is decided by whoever knows the solution.
//!
//! That policies hold is proved twice: a row of an impossible company must not show itself, neither while no solution is
//! named nor while another is; and the catalog must say that nothing of ours, or beside it, lets our role past them. The
//! catalog, and the row while another is named, need not be asked by each connection (`guards.rs`).

use std::sync::LazyLock;

use futures_util::future::{join, join4, join5};
use tokio_postgres::{Client, Row, error::SqlState};
use uuid::Uuid;

/// What a connection said about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// `current_database()`.
    pub database: String,
    /// `pg_database.oid`.
    pub oid: u32,
    /// The cluster's `system_identifier`.
    pub system_identifier: u64,
    /// When Postgres was started, in microseconds since 1970.
    pub started: i64,
    /// As whom.
    pub role: String,
    /// A standby.
    pub in_recovery: bool,
    /// Superuser, BYPASSRLS, or member of another role: policies would not hold.
    pub role_too_powerful: bool,
    /// Why solutions would not be kept apart in this database; empty if they are, or if our schema is not there.
    pub unguarded: Vec<Unguarded>,
    /// The documents schema.
    pub schema: SchemaState,
    /// The identity row, if there is one.
    pub identity: Option<Identity>,
}

/// One reason why solutions would not be kept apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unguarded {
    /// What, and where. For operators: it names things inside the database.
    pub what: String,
    /// What mends it.
    pub mend: String,
}

/// The documents schema of a database, as far as this build can serve it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaState {
    /// Not there.
    Absent,
    /// There, and older than this build serves.
    TooOld,
    /// There, and made for newer builds only.
    TooNew,
    /// There.
    Ready(i32),
}

/// The identity row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Of the database.
    pub database_uuid: Uuid,
    /// Whose it is; none for a system database.
    pub solution: Option<String>,
    /// Its ledger; none until claimed.
    pub ledger_id: Option<Uuid>,
}

const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY; SAVEPOINT asked";
const FACTS: &str = include_str!("prove_facts.sql");
const VERSION: &str = include_str!("prove_version.sql");
const LEDGER_VERSION: &str = include_str!("prove_ledger_version.sql");
const IDENTITY: &str = include_str!("prove_identity.sql");
const CANARY: &str = include_str!("prove_canary.sql");
const SETTINGS: &str = include_str!("prove_settings.sql");
const TABLES: &str = include_str!("prove_tables.sql");
const VIEWS: &str = include_str!("prove_views.sql");
const FUNCTIONS: &str = include_str!("prove_functions.sql");

static ABSENT: LazyLock<[SqlState; 2]> = LazyLock::new(|| [SqlState::UNDEFINED_TABLE, SqlState::INVALID_SCHEMA_NAME]);

/// Asks the connection what it is connected to, and whether solutions are kept apart there. One round trip; the caller
/// bounds the time.
pub async fn prove(client: &Client) -> Result<Facts, tokio_postgres::Error> {
    // Boxed: it is seldom, and 20 KiB that each call would have room for.
    let asked = Box::pin(in_one_transaction(client, look_at_connection(client), look_at_guards(client)));
    let (mut facts, found) = asked.await?;
    facts.add(found);
    Ok(facts)
}

/// As [`prove`], without what is true of the whole database for all of a role's connections: it costs more than all the rest.
pub async fn prove_connection(client: &Client) -> Result<Facts, tokio_postgres::Error> {
    let (facts, ()) = Box::pin(in_one_transaction(client, look_at_connection(client), async { Ok(()) })).await?;
    Ok(facts)
}

/// Behind a pooler, two transactions may be in two databases: what is said together has to be asked in one.
async fn in_one_transaction<F, S>(
    client: &Client,
    first: impl Future<Output = Result<F, tokio_postgres::Error>>,
    second: impl Future<Output = Result<S, tokio_postgres::Error>>,
) -> Result<(F, S), tokio_postgres::Error> {
    // Polled in this order, so sent in this order, without waiting in between.
    let (begun, first, second, ended) =
        join4(client.batch_execute(BEGIN), first, second, client.batch_execute("COMMIT")).await;
    begun?;
    let both = (first?, second?);
    ended?;
    Ok(both)
}

async fn look_at_connection(client: &Client) -> Result<Facts, tokio_postgres::Error> {
    let (facts, version, identity, canary) = join4(
        client.query_typed(FACTS, &[]),
        and_back(client, VERSION),
        and_back(client, IDENTITY),
        and_back(client, CANARY),
    )
    .await;
    let (facts, version) = (facts?, absent_is_none(version)?);
    let (identity, canary) = (absent_is_none(identity)?, absent_is_none(canary)?);
    let facts = facts.first();
    let schema = version.and_then(|rows| rows.first().map(documents_state)).unwrap_or(SchemaState::Absent);
    let identity = identity.and_then(|rows| {
        rows.first().map(|row| Identity { database_uuid: row.get(0), solution: row.get(1), ledger_id: row.get(2) })
    });
    let mut found = Facts {
        database: facts.map(|row| row.get(0)).unwrap_or_default(),
        oid: facts.map(|row| row.get(1)).unwrap_or_default(),
        system_identifier: facts.and_then(|row| row.get::<_, String>(2).parse().ok()).unwrap_or_default(),
        started: facts.map(|row| row.get(8)).unwrap_or_default(),
        role: facts.map(|row| row.get(7)).unwrap_or_default(),
        in_recovery: facts.is_some_and(|row| row.get(3)),
        role_too_powerful: facts.is_none_or(|row| row.get(4)),
        unguarded: Vec::new(),
        schema,
        identity,
    };
    found.add(canary.unwrap_or_default());
    if schema != SchemaState::Absent {
        let said = [(5, OWNS), (6, SETTING)].into_iter().filter(|(column, _)| facts.is_none_or(|row| row.get(*column)));
        let said = said.map(|(_, (what, mend))| Unguarded { what: what.to_owned(), mend: mend.to_owned() });
        found.unguarded.extend(said);
    }
    Ok(found)
}

/// A query that may find no table, after which the transaction goes on as if it had not been asked.
async fn and_back(client: &Client, query: &str) -> Result<Vec<Row>, tokio_postgres::Error> {
    let (rows, back) = join(client.query_typed(query, &[]), client.batch_execute("ROLLBACK TO asked")).await;
    match (rows, back) {
        (Ok(_), Err(error)) => Err(error),
        (rows, _) => rows,
    }
}

impl Facts {
    /// Rows of what, what mends it, and whether it matters only in a database that solutions share.
    fn add(&mut self, found: Vec<Row>) {
        let shared = self.identity.as_ref().is_some_and(|identity| identity.solution.is_none());
        let found = found.iter().filter(|row| shared || !row.get::<_, bool>(2));
        self.unguarded.extend(found.map(|row| Unguarded { what: row.get(0), mend: row.get(1) }));
    }
}

const OWNS: (&str, &str) = (
    "the runtime role owns something there",
    "REASSIGN OWNED BY the runtime role TO the database's owner, then fbs-router schema apply",
);
const SETTING: (&str, &str) = (
    "role or database sets session_replication_role, row_security, fbs_router.company_id or fbs_router.move",
    "ALTER ROLE … RESET, ALTER DATABASE … RESET, and ALTER ROLE … IN DATABASE … RESET of it",
);

/// What the catalog says against it that solutions are kept apart, and the canary while another company is named.
async fn look_at_guards(client: &Client) -> Result<Vec<Row>, tokio_postgres::Error> {
    let looks = join5(
        client.query_typed(SETTINGS, &[]),
        client.query_typed(TABLES, &[]),
        client.query_typed(VIEWS, &[]),
        client.query_typed(FUNCTIONS, &[]),
        // Last: where there is none, the transaction has failed.
        client.query_typed(CANARY, &[]),
    );
    let (set, tables, views, functions, canary) = looks.await;
    set?;
    let mut found = tables?;
    found.extend(views?);
    found.extend(functions?);
    found.extend(absent_is_none(canary)?.into_iter().flatten());
    Ok(found)
}

/// The ledger's schema in the database that the connection is to. The caller bounds the time.
pub async fn ledger_schema(client: &Client) -> Result<SchemaState, tokio_postgres::Error> {
    let rows = absent_is_none(client.query_typed(LEDGER_VERSION, &[]).await)?.unwrap_or_default();
    let served = (fbs_router_schema::LEDGER_OLDEST_SERVED, fbs_router_schema::LEDGER_VERSION);
    Ok(rows.first().map_or(SchemaState::Absent, |row| schema_state(row, served)))
}

fn documents_state(row: &Row) -> SchemaState {
    schema_state(row, (fbs_router_schema::DOCUMENTS_OLDEST_SERVED, fbs_router_schema::DOCUMENTS_VERSION))
}

fn schema_state(row: &Row, served: (i32, i32)) -> SchemaState {
    match (row.get(0), row.get(1)) {
        (Some(version), Some(compatible_from)) => state_of(version, compatible_from, served),
        _ => SchemaState::Absent,
    }
}

fn state_of(version: i32, compatible_from: i32, (oldest_served, newest_known): (i32, i32)) -> SchemaState {
    if version < oldest_served {
        SchemaState::TooOld
    } else if compatible_from > newest_known {
        SchemaState::TooNew
    } else {
        SchemaState::Ready(version)
    }
}

/// A table that is not there is an answer. One that we may not read is none: it could be in use.
fn absent_is_none(rows: Result<Vec<Row>, tokio_postgres::Error>) -> Result<Option<Vec<Row>>, tokio_postgres::Error> {
    match rows {
        Ok(rows) => Ok(Some(rows)),
        Err(error) if error.code().is_some_and(|code| ABSENT.contains(code)) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_served_from_the_oldest_known_to_the_last_that_is_compatible() {
        for (version, compatible_from, state) in [
            (2, 1, SchemaState::TooOld),
            (3, 1, SchemaState::Ready(3)),
            (5, 5, SchemaState::Ready(5)),
            (7, 4, SchemaState::Ready(7)),
            (7, 5, SchemaState::Ready(7)),
            (7, 6, SchemaState::TooNew),
        ] {
            assert_eq!(state_of(version, compatible_from, (3, 5)), state, "{version} from {compatible_from}");
        }
    }
}
