//! Listings and counts as protobuf JSON. One that was put together from several pages says `truncated` instead of
//! having a page token: whether there is more than was asked for.

use fbs_router_client::{
    Served,
    v1::{
        DocumentTransition, DocumentType, GetDocumentStatsResponse, Solution, list_databases_response::Entry,
        search_documents_response::Result as Hit,
    },
};
use serde_json::{Map, Value, json};

use super::{database, document, name, object, route, served, text};

/// The solutions of `ListSolutionsResponse`.
pub(crate) fn solutions(solutions: &[Solution], truncated: bool) -> Value {
    json!({ "solutions": solutions.iter().map(solution).collect::<Vec<_>>(), "truncated": truncated })
}

pub(super) fn solution(message: &Solution) -> Value {
    let Solution { solution, routes, dedicated_only } = message;
    let routes: Vec<_> = routes.iter().map(route).collect();
    json!({ "solution": solution, "routes": routes, "dedicatedOnly": dedicated_only })
}

/// The entries of `ListDatabasesResponse`.
pub(crate) fn database_entries(entries: &[Entry], truncated: bool) -> Value {
    json!({ "entries": entries.iter().map(database_entry).collect::<Vec<_>>(), "truncated": truncated })
}

fn database_entry(message: &Entry) -> Value {
    let Entry { database: place, solution, schema_version, wanted_schema_version } = message;
    object(
        json!({
            "solution": solution,
            "schemaVersion": schema_version,
            "wantedSchemaVersion": wanted_schema_version,
        }),
        [("database", place.as_ref().map(database))],
    )
}

/// The transitions of `ListDocumentTransitionsResponse`, beside the database that served them.
pub(crate) fn history(transitions: &[DocumentTransition], truncated: bool, place: Option<&Served>) -> Value {
    let transitions: Vec<_> = transitions.iter().map(transition).collect();
    object(json!({ "transitions": transitions, "truncated": truncated }), [("served", place.map(served))])
}

fn transition(message: &DocumentTransition) -> Value {
    let DocumentTransition { from_state, to_state, actor, comment, create_time } = message;
    object(
        json!({
            "fromState": name(*from_state, |value: document::State| value.as_str_name()),
            "toState": name(*to_state, |value: document::State| value.as_str_name()),
            "actor": actor,
            "comment": comment,
        }),
        [("createTime", create_time.as_ref().map(text))],
    )
}

/// The results of `SearchDocumentsResponse`, beside the database that served them.
pub(crate) fn found(hits: &[Hit], truncated: bool, place: Option<&Served>) -> Value {
    let results: Vec<_> = hits.iter().map(hit).collect();
    object(json!({ "results": results, "truncated": truncated }), [("served", place.map(served))])
}

fn hit(message: &Hit) -> Value {
    let Hit { document: found, score, snippet } = message;
    object(json!({ "score": score, "snippet": snippet }), [("document", found.as_ref().map(document))])
}

/// `GetDocumentStatsResponse`, beside the database that served it.
pub(crate) fn stats(message: &GetDocumentStatsResponse, place: Option<&Served>) -> Value {
    let GetDocumentStatsResponse { total, by_state, by_type, by_category, created_last_30_days, content_bytes } =
        message;
    object(
        json!({
            "total": total.to_string(),
            "byState": counts(by_state),
            "byType": counts(by_type),
            "byCategory": counts(by_category),
            "createdLast30Days": created_last_30_days.to_string(),
            "contentBytes": content_bytes.to_string(),
        }),
        [("served", place.map(served))],
    )
}

fn counts<'m>(counts: impl IntoIterator<Item = (&'m String, &'m i64)>) -> Value {
    Value::Object(counts.into_iter().map(|(name, count)| (name.clone(), text(count))).collect::<Map<_, _>>())
}

/// The types of `ListDocumentTypesResponse`, beside the database that served them.
pub(crate) fn types(types: &[DocumentType], truncated: bool, place: Option<&Served>) -> Value {
    let types: Vec<_> = types.iter().map(document_type).collect();
    object(json!({ "documentTypes": types, "truncated": truncated }), [("served", place.map(served))])
}

/// A document type, beside the database that served it.
pub(crate) fn stored_type(message: &DocumentType, place: Option<&Served>) -> Value {
    object(json!({ "documentType": document_type(message) }), [("served", place.map(served))])
}

fn document_type(message: &DocumentType) -> Value {
    let DocumentType {
        code,
        name,
        description,
        requires_approval,
        allowed_extensions,
        max_content_size_bytes,
        four_eyes,
    } = message;
    json!({
        "code": code,
        "name": name,
        "description": description,
        "requiresApproval": requires_approval,
        "allowedExtensions": allowed_extensions,
        "maxContentSizeBytes": max_content_size_bytes.to_string(),
        "fourEyes": four_eyes,
    })
}
