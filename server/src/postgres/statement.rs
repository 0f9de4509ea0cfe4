//! A statement, declared once with its parameter types.

use tokio_postgres::types::Type;

/// SQL that names its schemas and takes its solution as `$1`.
#[derive(Debug)]
pub struct Statement {
    /// For logs and errors.
    pub name: &'static str,
    /// From a `.sql` file.
    pub sql: &'static str,
    /// Of `$1`, `$2`, …; Postgres infers those of further ones.
    pub types: &'static [Type],
}

/// Parameters, as the driver takes them.
pub type Parameters<'p> = [&'p (dyn tokio_postgres::types::ToSql + Sync)];
