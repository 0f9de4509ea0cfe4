//! Figures of a solution's documents.

use std::collections::HashMap;

use super::statements::STATS;
use crate::{
    domain::{Error, Result, document::State},
    routing::Session,
};

/// Most types, and most categories, that are counted one by one: an answer has a bound.
const MOST_KEYS: i64 = 1_000;

/// Figures of live documents.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// All of them.
    pub total: i64,
    /// By name of the state.
    pub by_state: HashMap<String, i64>,
    /// By code of the type; `/` counts all others.
    pub by_type: HashMap<String, i64>,
    /// By first part of the category; `/` counts all others.
    pub by_category: HashMap<String, i64>,
    /// Created in the last 30 days.
    pub recent: i64,
    /// Of content.
    pub bytes: i64,
}

/// Counts.
pub async fn stats(session: &mut Session) -> Result<Stats> {
    let mut stats = Stats::default();
    for row in &session.read(&STATS, &[&MOST_KEYS]).await? {
        let (kind, key): (&str, &str) = (row.get(1), row.get(2));
        let count = row.get::<_, Option<i64>>(3).unwrap_or_default();
        match kind {
            "gate" => {}
            "state" => {
                let number = key.parse().map_err(|_| Error::internal("a stored state that is none"))?;
                let state = State::from_number(number).ok_or(Error::internal("a stored state that is none"))?;
                stats.by_state.insert(state.as_str().to_owned(), count);
            }
            "type" => drop(stats.by_type.insert(key.to_owned(), count)),
            "category" => drop(stats.by_category.insert(key.to_owned(), count)),
            "documents" => stats.total = count,
            "recent" => stats.recent = count,
            "bytes" => stats.bytes = count,
            _ => return Err(Error::internal("a figure of no kind")),
        }
    }
    Ok(stats)
}
