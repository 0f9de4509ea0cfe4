//! Messages as protobuf JSON: lowerCamelCase names, 64-bit integers as strings, enums by name, RFC 3339 times.
//!
//! Written by hand, because the generated types carry no descriptors; each message is taken apart completely, so
//! that a field added to the contract fails to compile here instead of being left out. Fields without a value are
//! there as well (`""`, `0`, `[]`), messages without one are not.

use fbs_router_client::{
    Error, Served, outcome,
    prost_types::{self, Struct, value::Kind},
    v1::{
        Candidate, Database, ExplainRouteResponse, Placement, ResolveDatabaseResponse, ResolveResult, Route, candidate,
        explain_route_response::Step, route,
    },
    v1::{Confidentiality, Content, Document, ListDocumentsResponse, document},
};
use serde_json::{Map, Value, json};

mod lists;
mod operator;

pub(crate) use lists::{database_entries, found, history, solutions, stats, stored_type, types};
pub(crate) use operator::{decided, moved};

/// `ResolveDatabaseResponse`.
pub(crate) fn resolved(message: &ResolveDatabaseResponse) -> Value {
    let ResolveDatabaseResponse { route: found, cache_ttl } = message;
    object(json!({}), [("route", found.as_ref().map(route)), ("cacheTtl", cache_ttl.as_ref().map(text))])
}

/// `ExplainRouteResponse`.
pub(crate) fn explained(message: &ExplainRouteResponse) -> Value {
    let ExplainRouteResponse { steps, outcome, route: found } = message;
    object(
        json!({ "steps": steps.iter().map(step).collect::<Vec<_>>() }),
        [("outcome", outcome.clone().map(result)), ("route", found.as_ref().map(route))],
    )
}

/// A document, beside the database that served it.
pub(crate) fn served_document(message: &Document, place: Option<&Served>) -> Value {
    object(json!({ "document": document(message) }), [("served", place.map(served))])
}

/// `ListDocumentsResponse`, beside the database that served it.
pub(crate) fn served_page(message: &ListDocumentsResponse, place: Option<&Served>) -> Value {
    let ListDocumentsResponse { documents, next_page_token } = message;
    let documents: Vec<_> = documents.iter().map(document).collect();
    object(json!({ "documents": documents, "nextPageToken": next_page_token }), [("served", place.map(served))])
}

/// The documents of several pages, beside the database that served them.
pub(crate) fn listed(documents: &[Document], truncated: bool, place: Option<&Served>) -> Value {
    let documents: Vec<_> = documents.iter().map(document).collect();
    object(json!({ "documents": documents, "truncated": truncated }), [("served", place.map(served))])
}

/// Content that was downloaded, where it was put, and the database that served it.
pub(crate) fn downloaded(message: &Content, path: &str, place: Option<&Served>) -> Value {
    object(json!({ "content": content(message), "path": path }), [("served", place.map(served))])
}

fn served(place: &Served) -> Value {
    json!({
        "database": place.database,
        "placement": place.placement.as_str_name(),
        "epoch": place.epoch.to_string(),
    })
}

fn step(message: &Step) -> Value {
    let Step { rule, finding, decided, evidence_age } = message;
    object(
        json!({ "rule": rule, "finding": finding, "decided": decided }),
        [("evidenceAge", evidence_age.as_ref().map(text))],
    )
}

/// The error in the form of this tool: the details of a `google.rpc.Status` need descriptors to be written as JSON.
fn result(message: ResolveResult) -> Value {
    match outcome(message) {
        Ok(message) => json!({ "resolved": resolved(&message) }),
        Err(failed) => json!({ "error": error(&failed) }),
    }
}

fn error(error: &Error) -> Value {
    let violations: Vec<_> = error
        .field_violations()
        .iter()
        .map(|violation| json!({ "field": violation.field, "description": violation.description }))
        .collect();
    let delay = error.retry_after().and_then(|delay| prost_types::Duration::try_from(delay).ok());
    object(
        json!({
            "code": error.kind().code_name(),
            "reason": error.reason_name().unwrap_or_default(),
            "message": error.message(),
            "fieldViolations": violations,
        }),
        [("retryAfter", delay.as_ref().map(text))],
    )
}

fn route(message: &Route) -> Value {
    let Route { solution, app, database: place, placement, state, epoch, revision, candidate: waiting, update_time } =
        message;
    object(
        json!({
            "solution": solution,
            "app": app,
            "placement": name(*placement, |value: Placement| value.as_str_name()),
            "state": name(*state, |value: route::State| value.as_str_name()),
            "epoch": epoch.to_string(),
            "revision": revision.to_string(),
        }),
        [
            ("database", place.as_ref().map(database)),
            ("candidate", waiting.as_ref().map(candidate)),
            ("updateTime", update_time.as_ref().map(text)),
        ],
    )
}

fn database(message: &Database) -> Value {
    let Database { server, host, port, name, system_identifier, oid, database_id } = message;
    json!({
        "server": server,
        "host": host,
        "port": port,
        "name": name,
        "systemIdentifier": system_identifier.to_string(),
        "oid": oid,
        "databaseId": database_id,
    })
}

fn candidate(message: &Candidate) -> Value {
    let Candidate { database: place, reason, remedy } = message;
    object(
        json!({ "reason": name(*reason, |value: candidate::Reason| value.as_str_name()), "remedy": remedy }),
        [("database", place.as_ref().map(database))],
    )
}

fn document(message: &Document) -> Value {
    let Document {
        document_id,
        solution,
        name: reference,
        title,
        description,
        document_type,
        category,
        tags,
        confidentiality,
        metadata,
        expire_time,
        state,
        etag,
        created_by,
        approved_by,
        create_time,
        update_time,
        delete_time,
        purge_time,
        content: file,
        solution_db,
    } = message;
    object(
        json!({
            "documentId": document_id,
            "solution": solution,
            "name": reference,
            "title": title,
            "description": description,
            "documentType": document_type,
            "category": category,
            "tags": tags,
            "confidentiality": name(*confidentiality, |value: Confidentiality| value.as_str_name()),
            "state": name(*state, |value: document::State| value.as_str_name()),
            "etag": etag,
            "createdBy": created_by,
            "approvedBy": approved_by,
            "solutionDb": solution_db,
        }),
        [
            ("metadata", metadata.as_ref().map(free_fields)),
            ("expireTime", expire_time.as_ref().map(text)),
            ("createTime", create_time.as_ref().map(text)),
            ("updateTime", update_time.as_ref().map(text)),
            ("deleteTime", delete_time.as_ref().map(text)),
            ("purgeTime", purge_time.as_ref().map(text)),
            ("content", file.as_ref().map(content)),
        ],
    )
}

fn content(message: &Content) -> Value {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let Content { filename, media_type, size_bytes, sha256, generation } = message;
    json!({
        "filename": filename,
        "mediaType": media_type,
        "sizeBytes": size_bytes.to_string(),
        "sha256": STANDARD.encode(sha256),
        "generation": generation.to_string(),
    })
}

/// `google.protobuf.Struct` as the JSON it stands for.
pub(crate) fn free_fields(fields: &Struct) -> Value {
    Value::Object(fields.fields.iter().map(|(name, value)| (name.clone(), free_value(value))).collect())
}

fn free_value(value: &prost_types::Value) -> Value {
    match &value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(value)) => Value::Bool(*value),
        Some(Kind::NumberValue(value)) => number(*value),
        Some(Kind::StringValue(value)) => Value::String(value.clone()),
        Some(Kind::ListValue(list)) => Value::Array(list.values.iter().map(free_value).collect()),
        Some(Kind::StructValue(fields)) => free_fields(fields),
    }
}

/// All numbers are doubles on the wire; a whole one that a double holds exactly is written as it was typed.
fn number(value: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
    if value.fract() == 0.0 && value.abs() < EXACT {
        return format!("{value:.0}").parse::<i64>().map_or(Value::Null, Value::from);
    }
    Value::from(value)
}

/// JSON as a `google.protobuf.Struct`; none if it is not an object.
pub(crate) fn to_free_fields(value: &Value) -> Option<Struct> {
    let fields = value.as_object()?;
    Some(Struct { fields: fields.iter().map(|(name, value)| (name.clone(), to_free_value(value))).collect() })
}

fn to_free_value(value: &Value) -> prost_types::Value {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(value) => Kind::BoolValue(*value),
        Value::Number(value) => Kind::NumberValue(value.as_f64().unwrap_or(f64::NAN)),
        Value::String(value) => Kind::StringValue(value.clone()),
        Value::Array(values) => {
            Kind::ListValue(prost_types::ListValue { values: values.iter().map(to_free_value).collect() })
        }
        Value::Object(_) => Kind::StructValue(to_free_fields(value).unwrap_or_default()),
    };
    prost_types::Value { kind: Some(kind) }
}

/// The name of an enum's value; its number if this version does not know it, as protobuf JSON has it.
fn name<E: TryFrom<i32>>(number: i32, name: impl FnOnce(E) -> &'static str) -> Value {
    E::try_from(number).map_or_else(|_| Value::from(number), |value| Value::from(name(value)))
}

fn text(value: &impl ToString) -> Value {
    Value::String(value.to_string())
}

fn object<const N: usize>(always: Value, if_set: [(&str, Option<Value>); N]) -> Value {
    let mut fields = match always {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    fields.extend(if_set.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    Value::Object(fields)
}

#[cfg(test)]
mod tests;
