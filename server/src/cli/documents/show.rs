//! Documents for people.

use fbs_router_client::{
    Answer, Served,
    v1::{Confidentiality, Content, Document, ListDocumentsResponse, document::State},
};

use crate::cli::{
    output::{CliError, ServiceArgs, json, served_line, table},
    resolve::seconds,
};

/// One document and which database served it, in the form asked for.
pub(super) fn answer(service: &ServiceArgs, answer: &Answer<Document>) -> Result<(), CliError> {
    service.show(
        || json::served_document(answer, answer.served()),
        || format!("{}\n{}", one(answer), served_line(answer.served())),
    )
}

/// The documents of several pages, one a line.
pub(super) fn listed(documents: &[Document], served: Option<&Served>) -> String {
    format!("{}\n{}", rows(documents), served_line(served))
}

/// A page, one document a line, and how to get the next one.
pub(super) fn page(page: &ListDocumentsResponse, served: Option<&Served>) -> String {
    let mut out = listed(&page.documents, served);
    if !page.next_page_token.is_empty() {
        out.push_str(&format!("more: --page-token {}\n", table::clean(&page.next_page_token)));
    }
    out
}

fn rows(documents: &[Document]) -> String {
    if documents.is_empty() {
        return "no documents\n".to_owned();
    }
    let rows: Vec<Vec<String>> = documents
        .iter()
        .map(|document| {
            vec![
                document.document_id.clone(),
                document.name.clone(),
                document.title.clone(),
                document.document_type.clone(),
                state(document),
                document.create_time.map(seconds).unwrap_or_default(),
            ]
        })
        .collect();
    table::list(&["ID", "NAME", "TITLE", "TYPE", "STATE", "CREATED"], &rows)
}

fn one(document: &Document) -> String {
    let time = |time: Option<_>| time.map(seconds).unwrap_or_default();
    let content = document.content.as_ref().map(content);
    table::facts(&[
        ("id", document.document_id.clone()),
        ("solution", document.solution.clone()),
        ("name", document.name.clone()),
        ("title", document.title.clone()),
        ("description", document.description.clone()),
        ("type", document.document_type.clone()),
        ("category", document.category.clone()),
        ("tags", document.tags.join(", ")),
        ("confidentiality", confidentiality(document)),
        (
            "metadata",
            document.metadata.as_ref().map(|fields| json::free_fields(fields).to_string()).unwrap_or_default(),
        ),
        ("state", state(document)),
        ("etag", document.etag.clone()),
        ("content", content.unwrap_or_default()),
        ("created by", document.created_by.clone()),
        ("approved by", document.approved_by.clone()),
        ("created", time(document.create_time)),
        ("updated", time(document.update_time)),
        ("expires", time(document.expire_time)),
        ("deleted", time(document.delete_time)),
        ("purged", time(document.purge_time)),
        ("own database", document.solution_db.clone()),
    ])
}

fn state(document: &Document) -> String {
    let word = state_word(document.state);
    if document.delete_time.is_some() { format!("{word} (deleted)") } else { word.to_owned() }
}

/// A document's state in words.
pub(super) fn state_word(state: i32) -> &'static str {
    match State::try_from(state) {
        Ok(State::Draft) => "draft",
        Ok(State::Pending) => "pending",
        Ok(State::Approved) => "approved",
        Ok(State::Rejected) => "rejected",
        Ok(State::Archived) => "archived",
        Ok(State::Unspecified) => "",
        Err(_) => "newer than this tool",
    }
}

/// A file in a line.
pub(super) fn content(content: &Content) -> String {
    format!("{}, {}, {} bytes", content.filename, content.media_type, content.size_bytes)
}

fn confidentiality(document: &Document) -> String {
    let word = match Confidentiality::try_from(document.confidentiality) {
        Ok(Confidentiality::Public) => "public",
        Ok(Confidentiality::Internal) => "internal",
        Ok(Confidentiality::Confidential) => "confidential",
        Ok(Confidentiality::Unspecified) => "",
        Err(_) => "newer than this tool",
    };
    word.to_owned()
}

#[cfg(test)]
mod tests {
    use fbs_router_client::prost_types::Timestamp;

    use super::*;

    fn document(title: &str) -> Document {
        Document {
            document_id: "0190a8e4-0000-7000-8000-000000000000".into(),
            name: "INV-1".into(),
            title: title.into(),
            document_type: "invoice".into(),
            state: State::Draft.into(),
            create_time: Some(Timestamp { seconds: 1_767_225_600, nanos: 123_456_000 }),
            ..Default::default()
        }
    }

    #[test]
    fn a_page_tells_how_to_get_the_next_one() {
        let text =
            page(&ListDocumentsResponse { documents: vec![document("Rent")], next_page_token: "abc".into() }, None);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[1],
            "0190a8e4-0000-7000-8000-000000000000  INV-1  Rent   invoice  draft  2026-01-01T00:00:00Z"
        );
        assert_eq!(lines.last(), Some(&"more: --page-token abc"));
    }

    #[test]
    fn the_last_page_does_not() {
        let text = page(&ListDocumentsResponse { documents: vec![document("Rent")], ..Default::default() }, None);
        assert!(!text.contains("--page-token"));
        assert!(page(&ListDocumentsResponse::default(), None).starts_with("no documents\n"));
    }

    #[test]
    fn a_deleted_document_says_so() {
        let deleted = Document { delete_time: Some(Timestamp::default()), ..document("Rent") };
        assert!(one(&deleted).lines().any(|line| line == "state    draft (deleted)"), "{}", one(&deleted));
    }
}
