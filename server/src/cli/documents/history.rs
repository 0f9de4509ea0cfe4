//! `fbs-router documents history`: the steps a document went, and who went them.

use clap::Args;
use fbs_router_client::{
    Served,
    v1::{DocumentTransition, ListDocumentTransitionsRequest},
};

use super::{
    ScopeArgs,
    paging::{collect, page_size},
    show,
};
use crate::cli::{
    output::{CliError, json, note_cut, served_line, table},
    resolve::seconds,
};

/// Most steps of a page.
const PAGE_MAX: i32 = 500;

/// Arguments of `documents history`.
#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// Id of the document
    document_id: String,
    /// Most steps in all
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = crate::cli::limit)]
    limit: usize,
    #[command(flatten)]
    scope: ScopeArgs,
}

impl HistoryArgs {
    pub(super) async fn run(self) -> Result<(), CliError> {
        let request = ListDocumentTransitionsRequest {
            document_id: self.document_id,
            page_size: page_size(self.limit, PAGE_MAX),
            database: self.scope.database(),
            ..Default::default()
        };
        let documents = &self.scope.documents().await?;
        let found = collect(self.limit, |page_token| {
            let request = ListDocumentTransitionsRequest { page_token, ..request.clone() };
            async move {
                let (page, served) = documents.transitions(request).await?.into_parts();
                Ok((page.transitions, page.next_page_token, served))
            }
        });
        let found = found.await?;
        let served = found.served.as_ref();
        self.scope
            .service
            .show(|| json::history(&found.entries, found.truncated, served), || rows(&found.entries, served))?;
        note_cut(found.truncated, self.limit);
        Ok(())
    }
}

fn rows(transitions: &[DocumentTransition], served: Option<&Served>) -> String {
    let rows: Vec<Vec<String>> = transitions.iter().map(row).collect();
    let list = match rows.as_slice() {
        [] => "no steps yet\n".to_owned(),
        rows => table::list_with_text(&["WHEN", "FROM", "TO", "WHO", "COMMENT"], rows),
    };
    format!("{list}\n{}", served_line(served))
}

fn row(transition: &DocumentTransition) -> Vec<String> {
    vec![
        transition.create_time.map(seconds).unwrap_or_default(),
        show::state_word(transition.from_state).to_owned(),
        show::state_word(transition.to_state).to_owned(),
        transition.actor.clone(),
        transition.comment.clone(),
    ]
}

#[cfg(test)]
mod tests {
    use fbs_router_client::{prost_types::Timestamp, v1::document::State};

    use super::*;

    #[test]
    fn a_step_is_a_line_with_its_comment_whole_and_harmless() {
        let step = DocumentTransition {
            from_state: State::Pending.into(),
            to_state: State::Rejected.into(),
            actor: "ada".into(),
            comment: format!("{}\u{1b}[2J", "x".repeat(100)),
            create_time: Some(Timestamp { seconds: 1_767_225_600, nanos: 5 }),
        };
        let text = rows(&[step], None);
        let line = format!("2026-01-01T00:00:00Z  pending  rejected  ada  {}\\u{{1b}}[2J", "x".repeat(100));
        assert_eq!(text.lines().nth(1), Some(line.as_str()));
        assert!(rows(&[], None).starts_with("no steps yet\n"));
    }
}
