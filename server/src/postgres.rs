//! Connections to Postgres: made, proved, pooled, and given back clean.
//!
//! Knows databases by [`DatabaseTarget`](crate::domain::DatabaseTarget), and of solutions that they wait in turn.
//! Statements reach Postgres through [`transaction`] alone, where each has a deadline and an unfinished connection goes to quarantine.

mod breaker;
mod budget;
pub mod connect;
mod durability;
mod guards;
mod hosts;
mod line;
mod password;
mod places;
pub mod pool;
pub mod prove;
pub mod sqlstate;
pub mod statement;
mod tls;
mod told;
pub mod transaction;

pub use budget::{BudgetStatus, Purpose};
pub use connect::{LoneClient, PostgresServer};
pub use durability::unsafe_settings;
pub use pool::{Connection, Pools};
pub use prove::{Facts, Identity, SchemaState};
pub use sqlstate::Failure;
pub use statement::Statement;
pub use tls::{TlsError, machine_tls};
pub use told::Told;
