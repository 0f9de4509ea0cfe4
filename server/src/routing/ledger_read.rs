//! Reads the ledger: at start, when a notification says that it changed, and every so often in any case.
//!
//! The notification is only a hint; polling is the truth. One connection of its own, to the documents app's system
//! database, proved like any other. Only changes after the last one seen are read, in one consistent snapshot.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::{TryStreamExt, future::ready};
use tokio::time::{Instant, timeout};
use tokio_postgres::{
    Row,
    types::{ToSql, Type},
};
use uuid::Uuid;

use super::{
    evidence::{Record, RecordedAt, Registration},
    ledger::{Change, Origin, Reading},
    refresh::Pulse,
    table::TableCell,
};
use crate::{
    config::Isolation,
    domain::{DatabaseTarget, Placement, SolutionId},
    postgres::{
        Failure, LoneClient, PostgresServer, SchemaState, Told,
        prove::{ledger_schema, prove},
    },
};

const HEAD: &str = include_str!("ledger_head.sql");
const PLACEMENTS: &str = include_str!("ledger_placements.sql");
const REGISTRATIONS: &str = include_str!("ledger_registrations.sql");
const SERVERS: &str = include_str!("ledger_servers.sql");
const RECORD_SERVER: &str = include_str!("record_server.sql");

/// How the ledger is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// Down, or out of reach.
    #[error("the ledger cannot be reached")]
    Unreachable,
    /// Role, password, `pg_hba.conf`, or the database does not exist.
    #[error("the ledger's database refuses the router, or does not exist")]
    Refused,
    /// `schema apply --system` was not run there.
    #[error("the ledger's schema is absent; run: fbs-router schema apply --system --url URL")]
    SchemaAbsent,
    /// Made for newer builds only.
    #[error("the ledger's schema is newer than this build; use a newer fbs-router")]
    SchemaTooNew,
    /// Superuser, BYPASSRLS or a member of other roles.
    #[error("the runtime role is superuser, bypasses row-level security, or is a member of another role")]
    RoleTooPowerful,
    /// Not a system database.
    #[error("the ledger's database is the own database of a solution")]
    NotSystem,
    /// A standby.
    #[error("the ledger's server is a standby")]
    Standby,
    /// It took too long.
    #[error("reading the ledger took too long")]
    TimedOut,
    /// A row that this build does not understand, or a refused query.
    #[error("the ledger cannot be understood")]
    Failed,
}

/// Reads the ledger. Keeps its connection.
#[derive(Debug)]
pub(super) struct LedgerReader {
    server: Arc<PostgresServer>,
    database: Arc<str>,
    limit: Duration,
    connected: Option<(LoneClient, Uuid)>,
    pulse: Arc<Pulse>,
}

impl LedgerReader {
    /// `pulse` is asked for a run when the ledger says that it changed.
    pub(super) fn new(server: Arc<PostgresServer>, database: Arc<str>, limit: Duration, pulse: Arc<Pulse>) -> Self {
        Self { server, database, limit, connected: None, pulse }
    }

    /// Reads what changed, and hangs it into the table.
    pub(super) async fn read(&mut self, table: &TableCell) -> Result<(), LedgerError> {
        let outcome =
            timeout(self.limit, self.read_with_a_fresh_try(table)).await.unwrap_or(Err(LedgerError::TimedOut));
        match outcome {
            Ok(reading) => {
                let before = table.load_full();
                table.put_ledger(before.ledger.merge(reading));
                Ok(())
            }
            Err(error) => {
                self.connected = None;
                Err(error)
            }
        }
    }

    /// Records the servers that were scanned and that the ledger does not know yet.
    pub(super) async fn record_servers(&mut self, table: &TableCell) {
        let table = table.load_full();
        let missing = table.catalogs.iter().filter_map(|(name, view)| {
            let catalog = view.last.as_ref()?;
            (!table.ledger.servers.contains_key(name)).then_some((name, catalog.system_identifier.to_string()))
        });
        for (name, system_identifier) in missing {
            let Some((client, _)) = &self.connected else { return };
            let name: &str = name;
            let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&name, Type::TEXT), (&system_identifier, Type::TEXT)];
            match timeout(self.limit, client.query_typed(RECORD_SERVER, &parameters)).await {
                Ok(Ok(_)) => tracing::info!(server = name, system_identifier, "recorded a server in the ledger"),
                // The next reading tries again.
                Ok(Err(error)) => tracing::debug!(server = name, %error, "recording a server"),
                Err(_) => return,
            }
        }
    }

    async fn read_with_a_fresh_try(&mut self, table: &TableCell) -> Result<Reading, LedgerError> {
        let fresh = self.connected.is_none();
        match self.try_read(table).await {
            Err(LedgerError::Unreachable) if !fresh => {
                self.connected = None;
                self.try_read(table).await
            }
            outcome => outcome,
        }
    }

    async fn try_read(&mut self, table: &TableCell) -> Result<Reading, LedgerError> {
        let began = Instant::now();
        if self.connected.as_ref().is_none_or(|(client, _)| client.is_closed()) {
            self.connected = Some(self.connect().await?);
        }
        let Some((client, database_uuid)) = &mut self.connected else { return Err(LedgerError::Failed) };
        let before = table.load_full();
        let known = (before.ledger.origin != Origin::Nothing).then_some(before.ledger.last_change).flatten();
        let transaction = client
            .build_transaction()
            .isolation_level(tokio_postgres::IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .await
            .map_err(meaning)?;
        let (number, uuid) = known.map_or((-1, Uuid::nil()), |change| (change.number, change.uuid));
        let head =
            transaction.query_typed(HEAD, &[(&number, Type::INT8), (&uuid, Type::UUID)]).await.map_err(meaning)?;
        let head = head.first().ok_or(LedgerError::SchemaAbsent)?;
        let last_change = Change { ledger_id: head.get(0), number: head.get(1), uuid: head.get(2) };
        let continues = head.get::<_, bool>(3) && known.is_some_and(|known| known.ledger_id == last_change.ledger_id);
        let after = if continues { number } else { -1 };
        // Row by row: at a start there may be very many, and only what is made of them is kept.
        let mut names = Names::default();
        let rows = transaction.query_typed_raw(PLACEMENTS, [(after, Type::INT8)]).await.map_err(meaning)?;
        let placements = rows
            .map_err(meaning)
            .and_then(|row| ready(placement(&row, &mut names).ok_or(LedgerError::Failed)))
            .try_collect()
            .await?;
        let registrations = transaction.query_typed(REGISTRATIONS, &[(&after, Type::INT8)]).await.map_err(meaning)?;
        let servers = transaction.query_typed(SERVERS, &[(&after, Type::INT8)]).await.map_err(meaning)?;
        transaction.commit().await.map_err(meaning)?;
        Ok(Reading {
            began: Some(began),
            last_change: Some(last_change),
            database_uuid: Some(*database_uuid),
            continues,
            servers: servers.iter().map(server).collect::<Option<_>>().ok_or(LedgerError::Failed)?,
            placements,
            registrations: registrations.iter().map(registration).collect::<Option<_>>().ok_or(LedgerError::Failed)?,
        })
    }

    async fn connect(&self) -> Result<(LoneClient, Uuid), LedgerError> {
        let (client, mut notices) =
            self.server.connect_listening(&self.database, self.limit).await.map_err(meaning_connecting)?;
        let facts = prove(&client).await.map_err(meaning_connecting)?;
        if facts.role_too_powerful {
            return Err(LedgerError::RoleTooPowerful);
        }
        if facts.in_recovery {
            return Err(LedgerError::Standby);
        }
        for schema in [facts.schema, ledger_schema(&client).await.map_err(meaning_connecting)?] {
            match schema {
                SchemaState::Absent | SchemaState::TooOld => return Err(LedgerError::SchemaAbsent),
                SchemaState::TooNew => return Err(LedgerError::SchemaTooNew),
                SchemaState::Ready(_) => {}
            }
        }
        let identity = facts.identity.ok_or(LedgerError::SchemaAbsent)?;
        if identity.solution.is_some() {
            return Err(LedgerError::NotSystem);
        }
        client.batch_execute("LISTEN fbs_router_ledger").await.map_err(meaning)?;
        let pulse = Arc::clone(&self.pulse);
        tokio::spawn(async move {
            while notices.recv().await.is_some() {
                pulse.poke();
            }
            // The connection ended: find out why, soon.
            pulse.poke();
        });
        Ok((client, identity.database_uuid))
    }
}

/// Apps and servers: a handful of names in very many rows.
#[derive(Debug, Default)]
struct Names(Vec<Arc<str>>);

impl Names {
    fn share(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.0.iter().find(|known| ***known == *name) {
            return Arc::clone(known);
        }
        self.0.push(name.into());
        self.share(name)
    }
}

fn placement(row: &Row, names: &mut Names) -> Option<(Arc<str>, SolutionId, Record)> {
    let solution = SolutionId::parse(row.get(0)).ok()?;
    let app = names.share(row.get(1));
    let at = match row.get::<_, &str>(2) {
        word if word == Placement::System.as_str() => RecordedAt::System,
        word if word == Placement::Dedicated.as_str() => RecordedAt::Dedicated {
            target: DatabaseTarget::new(&names.share(row.get(4)), row.get(5)),
            oid: row.get(6),
            uuid: row.get(7),
        },
        _ => return None,
    };
    let record = Record {
        at,
        epoch: row.get(3),
        released_uuid: row.get(8),
        moving: row.get(9),
        change_number: row.get(10),
        update_time: row.get::<_, SystemTime>(11),
        known_since: Some(Instant::now()),
    };
    Some((app, solution, record))
}

fn registration(row: &Row) -> Option<(Arc<str>, SolutionId, Registration)> {
    let solution = SolutionId::parse(row.get(0)).ok()?;
    let isolation = match row.get::<_, &str>(4) {
        "required" => Isolation::Required,
        "preferred" => Isolation::Preferred,
        _ => return None,
    };
    let server = row.get::<_, Option<&str>>(2).map(Into::into);
    Some((row.get::<_, &str>(1).into(), solution, Registration { server, database: row.get(3), isolation }))
}

fn server(row: &Row) -> Option<(Arc<str>, Option<u64>)> {
    let system_identifier = row.get::<_, &str>(1).parse().ok()?;
    Some((row.get::<_, &str>(0).into(), (!row.get::<_, bool>(2)).then_some(system_identifier)))
}

fn meaning(error: tokio_postgres::Error) -> LedgerError {
    of_failure(Failure::of(&error, false), &error)
}

fn meaning_connecting(error: tokio_postgres::Error) -> LedgerError {
    of_failure(Failure::of(&error, true), &error)
}

fn of_failure(failure: Failure, error: &tokio_postgres::Error) -> LedgerError {
    tracing::debug!(error = %Told::of(error), "reading the ledger");
    match failure {
        Failure::Unavailable | Failure::StalePlan | Failure::Conflict => LedgerError::Unreachable,
        Failure::DatabaseAbsent | Failure::Refused => LedgerError::Refused,
        Failure::Standby => LedgerError::Standby,
        Failure::TimedOut => LedgerError::TimedOut,
        Failure::SchemaAbsent => LedgerError::SchemaAbsent,
        Failure::StorageFull | Failure::Fenced | Failure::UniqueViolation | Failure::RuleBroken => LedgerError::Failed,
    }
}
