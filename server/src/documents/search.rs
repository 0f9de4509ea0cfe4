//! Full-text search.

use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::{
    conditions::Conditions,
    row::{self, DOCUMENT_COLUMNS},
    statements::SEARCH,
};
use crate::{
    domain::{
        Result,
        document::{Cursor, CursorKey, Document},
        request::Search,
    },
    routing::Session,
};

/// Most matches that are ranked: reading and ranking one costs about 15 µs, and a word that more documents have tells
/// little. The newest are taken.
const RANKED: i32 = 2_000;

/// Characters of a document that its snippet is looked for in: finding one takes about 1 µs a character.
const SNIPPET_OF: i32 = 20_000;

/// A document that matches.
#[derive(Debug)]
pub struct Hit {
    /// The document.
    pub document: Document,
    /// Larger is better.
    pub score: f64,
    /// Text around the hit.
    pub snippet: String,
}

/// A page of what matches, best first, and whether there is more.
pub async fn search(session: &mut Session, request: &Search) -> Result<(Vec<Hit>, bool)> {
    let (score, id) = match request.window.after.as_ref() {
        Some(Cursor { key: CursorKey::Score(bits), id }) => (Some(f64::from_bits(*bits)), Some(*id)),
        Some(Cursor { key: CursorKey::Number(_) | CursorKey::Text(_), .. }) | None => (None, None),
    };
    let wanted = i64::try_from(request.window.size + 1).unwrap_or(i64::MAX);
    let conditions = Conditions::new(&request.filter);
    let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&request.text];
    parameters.extend(conditions.parameters());
    parameters.extend([&RANKED as &(dyn ToSql + Sync), &score, &id, &wanted, &SNIPPET_OF]);
    let rows = session.read(&SEARCH, &parameters).await?;
    let mut hits = Vec::with_capacity(rows.len());
    for row in rows.iter().filter(|row| row.get::<_, Option<Uuid>>(1).is_some()) {
        hits.push(Hit {
            document: row::document(row, 1)?,
            score: row.get(1 + DOCUMENT_COLUMNS),
            snippet: row.get(2 + DOCUMENT_COLUMNS),
        });
    }
    let more = hits.len() > request.window.size;
    hits.truncate(request.window.size);
    Ok((hits, more))
}

impl Hit {
    /// Where the page after it begins.
    pub fn cursor(&self) -> Cursor {
        Cursor { key: CursorKey::Score(self.score.to_bits()), id: self.document.document_id }
    }
}
