//! Rows about lists and searches: pages, orders, filters, queries.

use fbs_router_proto::document::v1::{DocumentFilter, ListDocumentsRequest, SearchDocumentsRequest};
use prost_types::Timestamp;

use super::{
    Row, documents, invalid,
    scene::{Scene, ask},
};
use crate::support::asking::page;

pub(super) fn rows(scene: &Scene) -> Vec<Row> {
    let mut rows = vec![
        invalid(45, "FIELD_INVALID", scene.every_number("page_size", -1)),
        invalid(45, "FIELD_INVALID", scene.every_number("page_size", i32::MIN)),
    ];
    rows.extend(tokens(scene));
    for order in [
        "state",
        "title; drop",
        "title desc desc",
        "title asc",
        "title,name",
        "Title",
        " title",
        "title\0",
        &"title,".repeat(100_000),
    ] {
        rows.push(invalid(48, "FILTER_INVALID", scene.every("order_by", order)));
    }
    for (field, filter) in filters() {
        rows.push(filtered(49, filter, &[field]));
    }
    for (number, fields) in documents::bad_metadata() {
        let filter = DocumentFilter { metadata: Some(fields), ..DocumentFilter::default() };
        rows.push(filtered(number, filter, &["filter.metadata"]));
    }
    for (seconds, nanos) in documents::TIMES {
        let time = Some(Timestamp { seconds, nanos });
        let filter = DocumentFilter {
            create_time_from: time,
            create_time_until: time,
            expire_time_until: time,
            ..DocumentFilter::default()
        };
        let fields = ["filter.create_time_from", "filter.create_time_until", "filter.expire_time_until"];
        rows.push(filtered(31, filter, &fields));
    }
    let (long, many) = ("x".repeat(1_025), "x ".repeat(33));
    for query in ["", "   ", "(((", "& | !", "%", "'; --", "a\0b", &long, &many] {
        rows.push(invalid(50, "FIELD_INVALID", scene.every("query", query)));
    }
    rows
}

fn tokens(scene: &Scene) -> Vec<Row> {
    let token = scene.token.as_str();
    let cut = &token[..token.len() - 1];
    let flip = |place: usize| {
        let mut bytes = token.as_bytes().to_vec();
        bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).unwrap()
    };
    let (first, middle, long) = (flip(0), flip(token.len() / 2), "A".repeat(1 << 20));
    let mut rows = Vec::new();
    // Whole, it is for another method or order.
    for bad in ["garbage", "\0", "=", cut, &first, &middle, &long, token] {
        rows.push(invalid(47, "PAGE_TOKEN_INVALID", scene.every("page_token", bad)));
    }
    // For this method and order, but another solution, or other arguments.
    let by_name = |solution: &str| ListDocumentsRequest {
        order_by: "name".into(),
        page_token: token.into(),
        ..page(solution, 1)
    };
    let filter = Some(DocumentFilter { category: "a".into(), ..DocumentFilter::default() });
    // All but one bit of it is right: at its beginning, in its scope, and where it is signed.
    let flipped = |place: usize| ListDocumentsRequest { page_token: flip(place), ..by_name("globex") };
    let asks = vec![
        ask(flipped(0), &["page_token"]),
        ask(flipped(token.len() / 2), &["page_token"]),
        ask(flipped(token.len() - 5), &["page_token"]),
        ask(by_name("acme_corp"), &["page_token"]),
        ask(by_name("initech"), &["page_token"]),
        ask(ListDocumentsRequest { filter, ..by_name("globex") }, &["page_token"]),
        ask(ListDocumentsRequest { show_deleted: true, ..by_name("globex") }, &["page_token"]),
        ask(ListDocumentsRequest { order_by: "name desc".into(), ..by_name("globex") }, &["page_token"]),
    ];
    rows.push(invalid(47, "PAGE_TOKEN_INVALID", asks));
    rows
}

/// The same filter in a list and in a search.
fn filtered(number: u32, filter: DocumentFilter, fields: &[&str]) -> Row {
    let list = ListDocumentsRequest { filter: Some(filter.clone()), ..page("globex", 0) };
    let search = SearchDocumentsRequest {
        solution: "globex".into(),
        query: "about".into(),
        filter: Some(filter),
        ..SearchDocumentsRequest::default()
    };
    invalid(number, "FILTER_INVALID", vec![ask(list, fields), ask(search, fields)])
}

fn filters() -> Vec<(&'static str, DocumentFilter)> {
    let none = DocumentFilter::default;
    let many = || (0..101).map(|number| number.to_string()).collect();
    vec![
        ("filter.states[1]", DocumentFilter { states: vec![1, 0], ..none() }),
        ("filter.states[0]", DocumentFilter { states: vec![9_999], ..none() }),
        ("filter.states", DocumentFilter { states: vec![1; 101], ..none() }),
        ("filter.document_types[0]", DocumentFilter { document_types: vec!["In voice".into()], ..none() }),
        ("filter.document_types", DocumentFilter { document_types: many(), ..none() }),
        ("filter.category", DocumentFilter { category: "/".into(), ..none() }),
        ("filter.category", DocumentFilter { category: "a\0".into(), ..none() }),
        ("filter.tags[0]", DocumentFilter { tags: vec![String::new()], ..none() }),
        ("filter.tags", DocumentFilter { tags: many(), ..none() }),
        ("filter.confidentialities[0]", DocumentFilter { confidentialities: vec![9_999], ..none() }),
        ("filter.created_by", DocumentFilter { created_by: "a\nb".into(), ..none() }),
        ("filter.created_by", DocumentFilter { created_by: "x".repeat(256), ..none() }),
    ]
}
