//! The one table from SQLSTATE to what happened.

use tokio_postgres::error::SqlState;

use super::Told;
use crate::domain::{Error, error::Cause};

/// The fence refused (raised by the schema's trigger).
const FENCED: &str = "FBS01";

/// What a driver error means. Which error of the service that is depends on who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Down, shutting down, out of connections, closed, or the link broke.
    Unavailable,
    /// 3D000: the name is not there. The catalog decides what that means.
    DatabaseAbsent,
    /// The server refuses our credentials, role or certificate at the door.
    Refused,
    /// We talk to a standby.
    Standby,
    /// Serialization failure, deadlock or lock timeout: the whole transaction may be tried again.
    Conflict,
    /// `statement_timeout`, which is the caller's deadline.
    TimedOut,
    /// The server's disk is full.
    StorageFull,
    /// The fence of the schema does not let this write through.
    Fenced,
    /// A unique key is taken.
    UniqueViolation,
    /// A table or schema is not there.
    SchemaAbsent,
    /// The plan of a prepared statement is out of date.
    StalePlan,
    /// Postgres refused what the router should not have asked: our bug.
    RuleBroken,
}

/// Of what a connection that could not be made tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The server is out of reach: all its databases are.
    Server,
    /// The server has no connection left for us, in whichever database.
    ServerFull,
    /// This database, for this login. The server answered.
    Database,
    /// The name is not there, or is closed, as while it is renamed. The catalog decides what that means, at once.
    Catalog,
}

impl Scope {
    /// Reads the error of an attempt to connect.
    pub fn of(error: &tokio_postgres::Error) -> Self {
        let routine = error.as_db_error().and_then(|error| error.routine());
        match error.code() {
            Some(state) => Self::of_state(state, routine),
            None if mentions_authentication(error) => Self::Database,
            None => Self::Server,
        }
    }

    /// Reads an SQLSTATE, and which routine of the server raised it: the limit of a database has the same SQLSTATE as
    /// the role's and the server's own.
    fn of_state(state: &SqlState, routine: Option<&str>) -> Self {
        match state.code() {
            "3D000" | "55000" => Self::Catalog,
            "57P01" | "57P02" | "57P03" => Self::Server,
            "53300" if routine != Some("CheckMyDatabase") => Self::ServerFull,
            _ => Self::Database,
        }
    }
}

impl Failure {
    /// Reads a driver error. `connecting`: made while a connection was opened.
    pub fn of(error: &tokio_postgres::Error, connecting: bool) -> Self {
        match error.code() {
            Some(state) => Self::of_state(state, connecting),
            // No SQLSTATE: the socket, TLS, DNS or the protocol failed; SCRAM failures have none either.
            None if connecting && mentions_authentication(error) => Self::Refused,
            None => Self::Unavailable,
        }
    }

    /// Reads an SQLSTATE.
    pub fn of_state(state: &SqlState, connecting: bool) -> Self {
        match state.code() {
            "3D000" => Self::DatabaseAbsent,
            "28000" | "28P01" => Self::Refused,
            "42501" if connecting => Self::Refused,
            "25006" => Self::Standby,
            "40001" | "40P01" | "55P03" => Self::Conflict,
            "57014" => Self::TimedOut,
            "53100" => Self::StorageFull,
            FENCED => Self::Fenced,
            "23505" => Self::UniqueViolation,
            "42P01" | "3F000" | "42883" => Self::SchemaAbsent,
            "0A000" | "26000" => Self::StalePlan,
            "53200" | "53300" | "53400" | "55000" | "57P01" | "57P02" | "57P03" | "57P04" | "57P05" | "25P03"
            | "25P04" => Self::Unavailable,
            code if code.starts_with("08") || code.starts_with("58") => Self::Unavailable,
            _ => Self::RuleBroken,
        }
    }

    /// The error of a call whose database failed so.
    pub fn into_error(self, error: tokio_postgres::Error) -> Error {
        let cause = Some(Cause::new(Told::of(&error)));
        match self {
            Self::Unavailable | Self::DatabaseAbsent | Self::Standby | Self::StalePlan => {
                Error::DatabaseUnavailable { cause }
            }
            Self::Refused => {
                Error::DatabaseMisconfigured { what: "it refuses the router's role or credentials", cause }
            }
            Self::Conflict => Error::DatabaseConflict,
            Self::TimedOut => Error::DeadlineExceeded("the database worked"),
            Self::StorageFull => Error::StorageFull { cause },
            Self::Fenced => Error::PlacementConflict("the fence refused"),
            Self::SchemaAbsent => Error::SchemaNotReady("absent"),
            Self::UniqueViolation => Error::Internal { what: "an unexpected unique violation", cause },
            Self::RuleBroken => Error::Internal { what: "postgres refused a statement of the router", cause },
        }
    }

    /// True if nothing was committed and a fresh connection may do better.
    pub fn is_connection_lost(self) -> bool {
        matches!(self, Self::Unavailable | Self::Standby)
    }
}

/// The driver reports failed SCRAM and missing passwords without a SQLSTATE.
fn mentions_authentication(error: &tokio_postgres::Error) -> bool {
    // A missing password is told by the source alone.
    let texts = [Some(error.to_string()), std::error::Error::source(error).map(ToString::to_string)];
    texts.iter().flatten().any(|text| text.contains("authentication") || text.contains("password"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_could_not_be_made_tells_of_one_thing() {
        let table = [
            ("3D000", None, Scope::Catalog),
            ("57P03", None, Scope::Server),
            ("53300", Some("InitializeSessionUserId"), Scope::ServerFull),
            ("53300", Some("InitPostgres"), Scope::ServerFull),
            ("53300", None, Scope::ServerFull),
            ("53300", Some("CheckMyDatabase"), Scope::Database),
            ("28P01", None, Scope::Database),
            ("42501", None, Scope::Database),
            ("55000", None, Scope::Catalog),
        ];
        for (state, routine, expected) in table {
            assert_eq!(Scope::of_state(&SqlState::from_code(state), routine), expected, "{state} {routine:?}");
        }
    }

    #[test]
    fn every_signal_of_the_product_page_has_its_meaning() {
        let table: &[(&str, bool, Failure)] = &[
            ("3D000", true, Failure::DatabaseAbsent),
            ("28P01", true, Failure::Refused),
            ("28000", true, Failure::Refused),
            ("42501", true, Failure::Refused),
            ("42501", false, Failure::RuleBroken),
            ("55000", true, Failure::Unavailable),
            ("57P01", false, Failure::Unavailable),
            ("57P02", false, Failure::Unavailable),
            ("57P03", true, Failure::Unavailable),
            ("57P04", false, Failure::Unavailable),
            ("08006", false, Failure::Unavailable),
            ("08P01", false, Failure::Unavailable),
            ("53300", true, Failure::Unavailable),
            ("25006", false, Failure::Standby),
            ("40001", false, Failure::Conflict),
            ("40P01", false, Failure::Conflict),
            ("55P03", false, Failure::Conflict),
            ("57014", false, Failure::TimedOut),
            ("53100", false, Failure::StorageFull),
            ("53200", false, Failure::Unavailable),
            ("FBS01", false, Failure::Fenced),
            ("FBS02", false, Failure::RuleBroken),
            ("FBS03", false, Failure::RuleBroken),
            ("23505", false, Failure::UniqueViolation),
            ("42P01", false, Failure::SchemaAbsent),
            ("0A000", false, Failure::StalePlan),
            ("22021", false, Failure::RuleBroken),
            ("XX000", false, Failure::RuleBroken),
        ];
        for (state, connecting, expected) in table {
            assert_eq!(Failure::of_state(&SqlState::from_code(state), *connecting), *expected, "{state} {connecting}");
        }
    }
}
