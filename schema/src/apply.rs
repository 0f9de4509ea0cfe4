//! Brings a database to the newest version, as its owner, and says whose it is.

use tokio_postgres::{Client, Transaction};

use crate::{
    Identity, Purpose, Status,
    migrations::{Component, DOCUMENTS, LEDGER},
    status::{self, applied_versions},
};

/// Serialises runners in one database. Any constant does; this one reads "fbs schm".
const LOCK: i64 = 0x6662_7320_7363_686d;

/// What [`apply`] did.
#[derive(Debug)]
pub struct Report {
    /// The steps that were missing, such as `documents 1`; empty if nothing had to be done.
    pub applied: Vec<String>,
    /// The database afterwards.
    pub status: Status,
}

/// Why a database was left as it was.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The runtime role would own what it must not own.
    #[error("connected as the runtime role `{0}`, which must own nothing; connect as the owner of the database")]
    RuntimeRole(String),
    /// The runtime role does not exist on this server.
    #[error("role `{0}` does not exist; make it: CREATE ROLE \"{0}\" LOGIN NOINHERIT PASSWORD '…'")]
    RoleMissing(String),
    /// A recorded migration is not the one this build carries.
    #[error("{component} {version} was applied with other contents than this build's; use the build that applied it")]
    Edited {
        /// `documents` or `ledger`.
        component: &'static str,
        /// Its version.
        version: i32,
    },
    /// The database is somebody's already.
    #[error("this database belongs to {found}, not to {wanted}; connect to the database that was meant")]
    OtherIdentity {
        /// As the identity row says.
        found: String,
        /// As asked.
        wanted: String,
    },
    /// A template would hand on what must be unique.
    #[error("a template holds no identity, fence or documents, and this database does; use an empty database")]
    TemplateNotEmpty,
    /// Postgres refused.
    #[error("postgres refused to {doing}")]
    Postgres {
        /// What was being done.
        doing: &'static str,
        /// The driver's error.
        #[source]
        source: tokio_postgres::Error,
    },
}

/// Prepares the connected database for `purpose` and grants `runtime_role` what it needs. Idempotent; all or nothing.
pub async fn apply(client: &mut Client, purpose: &Purpose, runtime_role: &str) -> Result<Report, ApplyError> {
    let transaction = client.transaction().await.map_err(during("begin"))?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await.map_err(during("take the schema lock"))?;
    check_role(&transaction, runtime_role).await?;

    let mut applied = migrate(&transaction, &DOCUMENTS).await?;
    if *purpose == Purpose::System {
        applied.extend(migrate(&transaction, &LEDGER).await?);
    }
    identify(&transaction, purpose).await?;
    transaction.batch_execute(DOCUMENTS.grants).await.map_err(during("grant documents"))?;
    if *purpose == Purpose::System {
        transaction.batch_execute(LEDGER.grants).await.map_err(during("grant the ledger"))?;
    }
    let status = status::read(&transaction).await.map_err(during("read the status"))?;
    transaction.commit().await.map_err(during("commit"))?;
    Ok(Report { applied, status })
}

async fn check_role(transaction: &Transaction<'_>, runtime_role: &str) -> Result<(), ApplyError> {
    let row = transaction
        .query_one(
            "SELECT current_user::text = $1, EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $1), \
             set_config('fbs_router.runtime_role', $1, true)",
            &[&runtime_role],
        )
        .await
        .map_err(during("look up the runtime role"))?;
    if row.get::<_, bool>(0) {
        return Err(ApplyError::RuntimeRole(runtime_role.to_owned()));
    }
    if !row.get::<_, bool>(1) {
        return Err(ApplyError::RoleMissing(runtime_role.to_owned()));
    }
    Ok(())
}

async fn migrate(transaction: &Transaction<'_>, component: &Component) -> Result<Vec<String>, ApplyError> {
    let known = applied_versions(transaction, component.name).await.map_err(during("read the version"))?;
    let mut applied = Vec::new();
    for migration in component.migrations {
        if let Some(found) = known.iter().find(|found| found.version == migration.version) {
            if found.checksum != migration.checksum() {
                return Err(ApplyError::Edited { component: component.name, version: migration.version });
            }
            continue;
        }
        transaction.batch_execute(migration.sql).await.map_err(during("migrate"))?;
        transaction
            .execute(
                "INSERT INTO fbs_router.schema_version (component, version, compatible_from, checksum) \
                 VALUES ($1, $2, $3, $4)",
                &[&component.name, &migration.version, &migration.compatible_from, &migration.checksum()],
            )
            .await
            .map_err(during("record the version"))?;
        applied.push(format!("{} {}", component.name, migration.version));
    }
    Ok(applied)
}

/// Writes the identity row, or checks that the one there is the one asked for.
async fn identify(transaction: &Transaction<'_>, purpose: &Purpose) -> Result<(), ApplyError> {
    let found = status::identity(transaction).await.map_err(during("read the identity"))?;
    match (purpose, &found) {
        (Purpose::Template, _) => {
            let row = transaction
                .query_one(
                    "SELECT EXISTS (SELECT FROM fbs_router.identity) OR EXISTS (SELECT FROM fbs_router.fence) \
                     OR EXISTS (SELECT FROM fbs_document.document) OR EXISTS (SELECT FROM fbs_document.document_type) \
                     OR EXISTS (SELECT FROM fbs_document.content) OR EXISTS (SELECT FROM fbs_router.request_record)",
                    &[],
                )
                .await
                .map_err(during("look into the template"))?;
            if row.get(0) { Err(ApplyError::TemplateNotEmpty) } else { Ok(()) }
        }
        (Purpose::System, None) => {
            insert_identity(
                transaction,
                "INSERT INTO fbs_router.identity (kind, ledger_id) SELECT 'system', ledger_id FROM fbs_router.ledger",
                &[],
            )
            .await
        }
        // The ledger id stays empty: the first router that proves the database claims it for its ledger.
        (Purpose::Solution(name), None) => {
            insert_identity(
                transaction,
                "INSERT INTO fbs_router.identity (kind, solution) VALUES ('dedicated', $1)",
                &[name],
            )
            .await
        }
        (Purpose::System, Some(Identity { solution: None, .. })) => Ok(()),
        (Purpose::Solution(name), Some(Identity { solution: Some(found), .. })) if found == name => Ok(()),
        (Purpose::System | Purpose::Solution(_), Some(found)) => {
            Err(ApplyError::OtherIdentity { found: found.owner(), wanted: owner(purpose) })
        }
    }
}

async fn insert_identity(
    transaction: &Transaction<'_>,
    sql: &str,
    parameters: &[&(dyn tokio_postgres::types::ToSql + Sync)],
) -> Result<(), ApplyError> {
    transaction.execute(sql, parameters).await.map(drop).map_err(during("write the identity"))
}

fn owner(purpose: &Purpose) -> String {
    match purpose {
        Purpose::System => "the system".to_owned(),
        Purpose::Solution(name) => format!("solution `{name}`"),
        Purpose::Template => "nobody".to_owned(),
    }
}

impl Identity {
    fn owner(&self) -> String {
        self.solution.as_ref().map_or_else(|| "the system".to_owned(), |name| format!("solution `{name}`"))
    }
}

fn during(doing: &'static str) -> impl Fn(tokio_postgres::Error) -> ApplyError {
    move |source| ApplyError::Postgres { doing, source }
}
