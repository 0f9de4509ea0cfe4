//! `fbs-router documents search`: documents by their words.

use clap::Args;
use fbs_router_client::{
    Served,
    v1::{SearchDocumentsRequest, search_documents_response::Result as Hit},
};

use super::{
    ScopeArgs,
    filter::FilterArgs,
    paging::{collect, page_size},
};
use crate::cli::output::{CliError, json, note_cut, served_line, table};

/// Most hits of a page.
const PAGE_MAX: i32 = 100;

/// Arguments of `documents search`.
#[derive(Debug, Args)]
pub(crate) struct SearchArgs {
    /// As typed into a search box: words, "phrases", -not, or
    query: String,
    #[command(flatten)]
    filter: FilterArgs,
    /// Most hits in all
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = crate::cli::limit)]
    limit: usize,
    #[command(flatten)]
    scope: ScopeArgs,
}

impl SearchArgs {
    pub(super) async fn run(self) -> Result<(), CliError> {
        let request = SearchDocumentsRequest {
            query: self.query,
            filter: Some(self.filter.filter()),
            page_size: page_size(self.limit, PAGE_MAX),
            database: self.scope.database(),
            ..Default::default()
        };
        let documents = &self.scope.documents().await?;
        let found = collect(self.limit, |page_token| {
            let request = SearchDocumentsRequest { page_token, ..request.clone() };
            async move {
                let (page, served) = documents.search(request).await?.into_parts();
                Ok((page.results, page.next_page_token, served))
            }
        });
        let found = found.await?;
        let served = found.served.as_ref();
        self.scope
            .service
            .show(|| json::found(&found.entries, found.truncated, served), || rows(&found.entries, served))?;
        note_cut(found.truncated, self.limit);
        Ok(())
    }
}

fn rows(hits: &[Hit], served: Option<&Served>) -> String {
    let rows: Vec<Vec<String>> = hits.iter().map(row).collect();
    let list = match rows.as_slice() {
        [] => "nothing found\n".to_owned(),
        rows => table::list_with_text(&["ID", "NAME", "TITLE", "SCORE", "SNIPPET"], rows),
    };
    format!("{list}\n{}", served_line(served))
}

fn row(hit: &Hit) -> Vec<String> {
    let document = hit.document.clone().unwrap_or_default();
    vec![document.document_id, document.name, document.title, format!("{:.3}", hit.score), hit.snippet.clone()]
}

#[cfg(test)]
mod tests {
    use fbs_router_client::v1::Document;

    use super::*;

    #[test]
    fn a_hit_shows_what_surrounds_it() {
        let document = Document { document_id: "1".into(), name: "N".into(), title: "T".into(), ..Default::default() };
        let hit = Hit { document: Some(document), score: 0.607_9, snippet: "the «rent»\nof May".into() };
        let text = rows(&[hit], None);
        assert_eq!(text.lines().nth(1), Some("1   N     T      0.608  the «rent»\\nof May"));
        assert!(rows(&[], None).starts_with("nothing found\n"));
    }
}
