//! Search.

use std::{mem, time::SystemTime};

use fbs_router_proto::document::v1 as proto;

use super::{
    fields::{self, Kind, Problem, Violations},
    filter,
};
use crate::{
    domain::{
        Error, Naming, Result,
        document::CursorKey,
        request::{Query, Search, Window},
    },
    rpc::tokens::{Scope, Tokens},
};

/// Longest text that is searched for.
const QUERY_BYTES: usize = 1_024;
/// Most words of it: each is looked for in each match.
const QUERY_WORDS: usize = 32;

/// `SearchDocuments`. The scope seals the token of the next page.
pub fn search(
    mut request: proto::SearchDocumentsRequest,
    naming: &Naming,
    tokens: &Tokens,
    now: SystemTime,
) -> Result<(Query<Search>, Scope)> {
    let page_size = mem::take(&mut request.page_size);
    let page_token = mem::take(&mut request.page_token);
    let scope = Scope::new("SearchDocuments", &request.solution, &request);

    let mut violations = Violations::default();
    let addressee = violations.addressee(naming, &request.solution, request.database);
    let text = violations.take(Kind::Field, "query", text(request.query));
    let filter = filter::filter(&mut violations, request.filter);
    let size = violations.take(Kind::Field, "page_size", filter::page_size(page_size, filter::RESULTS));
    let read = || Some(Search { text: text?, filter: filter?, window: Window { size: size?, after: None } });
    let mut query = addressee.query(violations, read())?;
    if !page_token.is_empty() {
        let cursor = tokens.open(&scope, &page_token, now)?;
        match cursor.key {
            CursorKey::Score(_) => query.what.window.after = Some(cursor),
            CursorKey::Number(_) | CursorKey::Text(_) => return Err(Error::PageTokenInvalid("for another request")),
        }
    }
    Ok((query, scope))
}

/// Anything is a query, as in a search box, as long as there is a word in it.
fn text(text: String) -> Result<String, Problem> {
    let text = fields::text(text, QUERY_BYTES)?;
    if !text.chars().any(char::is_alphanumeric) {
        return Err("must hold a word".into());
    }
    if text.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty()).count() > QUERY_WORDS
    {
        return Err(format!("must hold at most {QUERY_WORDS} words").into());
    }
    Ok(text)
}

/// Figures, as the contract sends them.
pub fn stats_message(stats: crate::documents::Stats) -> proto::GetDocumentStatsResponse {
    proto::GetDocumentStatsResponse {
        total: stats.total,
        by_state: stats.by_state,
        by_type: stats.by_type,
        by_category: stats.by_category,
        created_last_30_days: stats.recent,
        content_bytes: stats.bytes,
    }
}
