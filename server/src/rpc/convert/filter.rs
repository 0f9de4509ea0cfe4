//! Lists: filter, order and size of a page.

use fbs_router_proto::document::v1 as proto;
use prost_types::{Struct, Timestamp};
use serde_json::Value;

use super::{
    document::{Rounding, category, confidentiality, document_type, tag, time},
    fields::{Kind, LINE_CHARACTERS, Line, Problem, Violations, line, optional},
    json,
};
use crate::domain::document::{Filter, Order, OrderKey, State};

/// Sizes of pages: the one of a request that asks for none, and the largest.
pub(in crate::rpc) type Sizes = (usize, usize);

/// Of documents, types and transitions.
pub(in crate::rpc) const DOCUMENTS: Sizes = (50, 500);
/// Of search results.
pub(super) const RESULTS: Sizes = (20, 100);
/// Most values of one condition.
const MOST_VALUES: usize = 100;

/// How much a page may hold.
pub(in crate::rpc) fn page_size(number: i32, (default, most): Sizes) -> Result<usize, Problem> {
    match usize::try_from(number) {
        Ok(0) => Ok(default),
        Ok(size) => Ok(size.min(most)),
        Err(_) => Err("must not be negative".into()),
    }
}

/// The order. One spelling each: no blanks around, no `asc`.
pub(super) fn order(text: &str) -> Result<Order, Problem> {
    if text.is_empty() {
        return Ok(Order { key: OrderKey::CreateTime, descending: true });
    }
    let (key, descending) = text.strip_suffix(" desc").map_or((text, false), |key| (key, true));
    let key = match key {
        "create_time" => OrderKey::CreateTime,
        "update_time" => OrderKey::UpdateTime,
        "name" => OrderKey::Name,
        "title" => OrderKey::Title,
        _ => return Err("must be create_time, update_time, name or title, each with or without ` desc`".into()),
    };
    Ok(Order { key, descending })
}

/// The conditions; no filter means none.
pub(super) fn filter(violations: &mut Violations, filter: Option<proto::DocumentFilter>) -> Option<Filter> {
    let Some(filter) = filter else { return Some(Filter::default()) };
    let list = |field| (Kind::Filter, field, MOST_VALUES);
    let states = violations.each(list("filter.states"), filter.states, state);
    let document_types = violations.each(list("filter.document_types"), filter.document_types, document_type);
    let category = violations.take(Kind::Filter, "filter.category", optional(filter.category, category));
    let tags = violations.each(list("filter.tags"), filter.tags, tag);
    let confidentialities =
        violations.each(list("filter.confidentialities"), filter.confidentialities, confidentiality);
    let created_by = violations.take(Kind::Filter, "filter.created_by", optional(filter.created_by, creator));
    let mut bound = |field, given: Option<Timestamp>| {
        let given = given.map(|timestamp| time(timestamp, Rounding::Up)).transpose();
        violations.take(Kind::Filter, field, given)
    };
    let create_time_from = bound("filter.create_time_from", filter.create_time_from);
    let create_time_until = bound("filter.create_time_until", filter.create_time_until);
    let expire_time_until = bound("filter.expire_time_until", filter.expire_time_until);
    let metadata = violations.take(Kind::Filter, "filter.metadata", metadata(filter.metadata));
    Some(Filter {
        states: states?,
        document_types: document_types?,
        category: category?,
        tags: tags?,
        confidentialities: confidentialities?,
        created_by: created_by?,
        create_time_from: create_time_from?,
        create_time_until: create_time_until?,
        expire_time_until: expire_time_until?,
        metadata: metadata?,
    })
}

fn state(number: i32) -> Result<State, Problem> {
    match proto::document::State::try_from(number) {
        Ok(proto::document::State::Draft) => Ok(State::Draft),
        Ok(proto::document::State::Pending) => Ok(State::Pending),
        Ok(proto::document::State::Approved) => Ok(State::Approved),
        Ok(proto::document::State::Rejected) => Ok(State::Rejected),
        Ok(proto::document::State::Archived) => Ok(State::Archived),
        Ok(proto::document::State::Unspecified) | Err(_) => Err("must be a State that this server knows".into()),
    }
}

fn creator(text: String) -> Result<String, Problem> {
    line(text, Line { most: LINE_CHARACTERS, visible: false })
}

/// Every metadata contains an empty object, and so does none: no condition.
fn metadata(fields: Option<Struct>) -> Result<Option<Value>, Problem> {
    fields.filter(|fields| !fields.fields.is_empty()).map(json::from_struct).transpose()
}
