//! What a log may say of a driver error.
//!
//! Postgres puts values of rows into DETAIL, and for many errors into the message itself: `Failing row contains (…)`,
//! `invalid input syntax for type integer: "…"`. Those are tenants' data. What is kept is the SQLSTATE, the names of
//! table, column and constraint, and the message of those errors that speak of the server alone.

use std::fmt;

use tokio_postgres::error::DbError;

/// SQLSTATEs, and classes of them, whose messages hold names and nothing out of rows or statements.
const HARMLESS: [&str; 15] =
    ["08", "0A", "23", "25", "28", "3D", "3F", "40", "53", "55", "57", "58", "42501", "42P01", "42883"];

/// A driver error without what rows or statements may have put into it.
#[derive(Debug, Clone)]
pub struct Told(String);

impl Told {
    /// What may be said of it.
    pub fn of(error: &tokio_postgres::Error) -> Self {
        if let Some(error) = error.as_db_error() {
            return Self(of_postgres(error));
        }
        let mut text = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        Self(text)
    }
}

fn of_postgres(error: &DbError) -> String {
    let state = error.code().code();
    let mut text = format!("{} {state}", error.severity());
    if is_harmless(state) {
        text.push_str(": ");
        text.push_str(error.message());
    }
    let names = [("table", error.table()), ("column", error.column()), ("constraint", error.constraint())];
    for (kind, name) in names {
        if let Some(name) = name {
            text.push_str(&format!(", {kind} {name}"));
        }
    }
    text
}

fn is_harmless(state: &str) -> bool {
    HARMLESS.iter().any(|harmless| state.starts_with(harmless))
}

impl fmt::Display for Told {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Told {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_messages_that_speak_of_the_server_are_kept() {
        for state in ["08006", "23505", "23514", "28P01", "3D000", "40P01", "42501", "53300", "57P01", "58P01"] {
            assert!(is_harmless(state), "{state}");
        }
        // Values, statements, texts of functions, and what nobody knows.
        for state in ["22P02", "22021", "42601", "42703", "54000", "P0001", "FBS01", "XX000", "38000"] {
            assert!(!is_harmless(state), "{state}");
        }
    }
}
