//! How statements are sent on a connection: prepared once and kept, or unnamed where it leads to a pooler.
//!
//! Behind a pooler each transaction may be on another connection to Postgres: a statement prepared before is not there,
//! and what was proved before says nothing. So each transaction says in its first flight where it is, and one that is
//! elsewhere than where its connection was proved to be counts as not made.

use deadpool_postgres::ClientWrapper;
use futures_util::future::{OptionFuture, join3};
use tokio_postgres::{
    Error, Row, Statement as Prepared,
    types::{ToSql, Type},
};

use super::{
    Connection, Failure,
    statement::{Parameters, Statement},
    transaction::StatementError,
};

pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";
pub(super) const BEGIN_READING: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY";
/// The server gives up on us if we fall silent inside a transaction.
const IDLE_IN_TRANSACTION: &str = "10s";

static SETTINGS: Statement = Statement {
    name: "settings",
    sql: include_str!("transaction_settings.sql"),
    types: &[Type::TEXT, Type::TEXT, Type::TEXT, Type::TEXT],
};
static HERE: Statement =
    Statement { name: "here", sql: include_str!("transaction_here.sql"), types: &[Type::OID, Type::TEXT, Type::TEXT] };

/// A connection, as statements are sent on it.
pub(super) struct Line<'c> {
    connection: &'c Connection,
    client: &'c ClientWrapper,
}

/// A statement that can be sent without waiting.
pub(super) enum Ready {
    Prepared(Prepared),
    Unnamed(&'static Statement),
}

/// The beginning of a transaction, which can be sent without waiting.
pub(super) struct Opening<'l> {
    line: &'l Line<'l>,
    settings: Ready,
    /// Behind a pooler.
    here: Option<Ready>,
}

impl<'c> Line<'c> {
    /// None: the connection was given up.
    pub(super) fn of(connection: &'c Connection) -> Option<Self> {
        connection.client().map(|client| Self { connection, client })
    }

    pub(super) async fn ready(&self, statement: &'static Statement) -> Result<Ready, Error> {
        if self.connection.is_pooled() {
            return Ok(Ready::Unnamed(statement));
        }
        self.client.prepare_typed_cached(statement.sql, statement.types).await.map(Ready::Prepared)
    }

    pub(super) async fn opening(&self) -> Result<Opening<'_>, Error> {
        let settings = self.ready(&SETTINGS).await?;
        let here = if self.connection.is_pooled() { Some(self.ready(&HERE).await?) } else { None };
        Ok(Opening { line: self, settings, here })
    }

    pub(super) async fn query(&self, ready: &Ready, parameters: &Parameters<'_>) -> Result<Vec<Row>, Error> {
        let rows = match ready {
            Ready::Prepared(prepared) => self.client.query(prepared, parameters).await,
            Ready::Unnamed(statement) => {
                // As when it is prepared, Postgres infers the types that are not said.
                let types = statement.types.iter().cloned().chain(std::iter::repeat(Type::UNKNOWN));
                let typed = parameters.iter().copied().zip(types);
                self.client.query_typed(statement.sql, &typed.collect::<Vec<(&(dyn ToSql + Sync), Type)>>()).await
            }
        };
        rows.inspect_err(|error| self.forget_stale_plan(error))
    }

    pub(super) async fn batch(&self, sql: &str) -> Result<(), Error> {
        self.client.batch_execute(sql).await
    }

    /// A plan made before a migration: the connection forgets its statements, and a repeat prepares anew.
    fn forget_stale_plan(&self, error: &Error) {
        if Failure::of(error, false) == Failure::StalePlan {
            self.client.statement_cache.clear();
        }
    }
}

impl Opening<'_> {
    /// Begins a transaction for `company`, bounded by a statement's and a lock's timeout in milliseconds.
    pub(super) async fn send(
        &self,
        begin: &str,
        company: &str,
        [timeout, lock_timeout]: [String; 2],
    ) -> Result<(), StatementError> {
        let line = self.line;
        let facts = line.connection.facts();
        let system_identifier = facts.system_identifier.to_string();
        let settings: &Parameters<'_> = &[&company, &timeout, &lock_timeout, &IDLE_IN_TRANSACTION];
        let place: &Parameters<'_> = &[&facts.oid, &system_identifier, &facts.role];
        let here = self.here.as_ref().map(|here| line.query(here, place));
        let (begun, set, here) =
            join3(line.batch(begin), line.query(&self.settings, settings), OptionFuture::from(here)).await;
        begun?;
        set?;
        let is_here = here.transpose()?.is_none_or(|rows| rows.first().is_some_and(|row| row.get(0)));
        if !is_here {
            line.connection.doubt();
            return Err(StatementError::Elsewhere);
        }
        Ok(())
    }
}
