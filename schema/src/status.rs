//! What a database holds now.

use tokio_postgres::GenericClient;
use uuid::Uuid;

/// The identity row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Made with the database; travels with a copy or a rename.
    pub database_uuid: Uuid,
    /// The solution it belongs to; none for a system database.
    pub solution: Option<String>,
    /// The ledger it belongs to; none until a router has claimed it.
    pub ledger_id: Option<Uuid>,
}

/// Versions and identity of one database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Version of the documents schema; none if it is absent.
    pub documents: Option<i32>,
    /// Version of the ledger; none if it is absent.
    pub ledger: Option<i32>,
    /// None in a template, and in a copy of one that no router has met.
    pub identity: Option<Identity>,
}

/// A recorded step.
#[derive(Debug)]
pub(crate) struct Applied {
    pub(crate) version: i32,
    pub(crate) checksum: Vec<u8>,
}

/// Reads what the connected database holds. Changes nothing.
pub async fn status(client: &mut tokio_postgres::Client) -> Result<Status, tokio_postgres::Error> {
    let transaction = client.build_transaction().read_only(true).start().await?;
    read(&transaction).await
}

pub(crate) async fn read<C: GenericClient>(client: &C) -> Result<Status, tokio_postgres::Error> {
    let newest = |applied: Vec<Applied>| applied.into_iter().map(|step| step.version).max();
    let documents = newest(applied_versions(client, "documents").await?);
    let ledger = newest(applied_versions(client, "ledger").await?);
    let identity = if documents.is_some() { identity(client).await? } else { None };
    Ok(Status { documents, ledger, identity })
}

pub(crate) async fn identity<C: GenericClient>(client: &C) -> Result<Option<Identity>, tokio_postgres::Error> {
    let row = client.query_opt("SELECT database_uuid, solution, ledger_id FROM fbs_router.identity", &[]).await?;
    Ok(row.map(|row| Identity { database_uuid: row.get(0), solution: row.get(1), ledger_id: row.get(2) }))
}

pub(crate) async fn applied_versions<C: GenericClient>(
    client: &C,
    component: &str,
) -> Result<Vec<Applied>, tokio_postgres::Error> {
    let there = client.query_one("SELECT to_regclass('fbs_router.schema_version') IS NOT NULL", &[]).await?;
    if !there.get::<_, bool>(0) {
        return Ok(Vec::new());
    }
    let rows = client
        .query("SELECT version, checksum FROM fbs_router.schema_version WHERE component = $1", &[&component])
        .await?;
    Ok(rows.iter().map(|row| Applied { version: row.get(0), checksum: row.get(1) }).collect())
}
