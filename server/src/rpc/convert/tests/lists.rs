//! Pages: size, order, filter, token.

use std::time::{Duration, UNIX_EPOCH};

use prost_types::{Struct, Timestamp, Value as ProtoValue};
use uuid::Uuid;

use super::*;
use crate::domain::document::{Confidentiality, Cursor, Filter, Order, State};

#[test]
fn a_page_has_a_size_and_an_order() {
    let page = |size, order: &str| {
        let request = proto::ListDocumentsRequest { page_size: size, order_by: order.to_owned(), ..list_request() };
        list(request, &naming(), &Tokens::random(), UNIX_EPOCH).map(|(list, _)| list.what)
    };
    for (size, most) in [(0, 50), (1, 1), (500, 500), (501, 500), (i32::MAX, 500)] {
        assert_eq!(page(size, "").unwrap().size, most);
    }
    assert_eq!(told(page(-1, "")), ("FIELD_INVALID", vec!["page_size".to_owned()]));
    for (text, key, descending) in [
        ("", OrderKey::CreateTime, true),
        ("create_time", OrderKey::CreateTime, false),
        ("update_time desc", OrderKey::UpdateTime, true),
        ("name", OrderKey::Name, false),
        ("title desc", OrderKey::Title, true),
    ] {
        assert_eq!(page(0, text).unwrap().order, Order { key, descending });
    }
    for bad in ["id", "name asc", "name  desc", "name DESC", " name", "name,title", "title desc desc", "title; drop"] {
        assert_eq!(told(page(0, bad)), ("FILTER_INVALID", vec!["order_by".to_owned()]));
    }
    assert_eq!(told(page(-1, "x")), ("FIELD_INVALID", vec!["page_size".to_owned(), "order_by".to_owned()]));
}

#[test]
fn a_filter_is_read_whole() {
    let read = |filter| {
        let request = proto::ListDocumentsRequest { filter: Some(filter), ..list_request() };
        list(request, &naming(), &Tokens::random(), UNIX_EPOCH).map(|(list, _)| list.what.filter)
    };
    let empty = proto::DocumentFilter { metadata: Some(Struct::default()), ..Default::default() };
    assert_eq!(read(empty).unwrap(), Filter::default());
    let time = Some(Timestamp { seconds: 1, nanos: 1 });
    let good = proto::DocumentFilter {
        states: vec![1, 5],
        document_types: vec!["invoice".to_owned()],
        category: "finance".to_owned(),
        tags: vec!["b".to_owned(), "a".to_owned()],
        confidentialities: vec![0, 1],
        created_by: "ann".to_owned(),
        create_time_from: time,
        create_time_until: time,
        expire_time_until: time,
        metadata: None,
    };
    let bound = Some(UNIX_EPOCH + Duration::from_micros(1_000_001));
    let filter = read(good).unwrap();
    assert_eq!(filter.states, [State::Draft, State::Archived]);
    assert_eq!(filter.confidentialities, [Confidentiality::Internal, Confidentiality::Public]);
    assert_eq!((filter.category.as_deref(), filter.created_by.as_deref()), (Some("finance"), Some("ann")));
    assert_eq!([filter.create_time_from, filter.create_time_until, filter.expire_time_until], [bound; 3]);

    let wrong_time = Some(Timestamp { seconds: 0, nanos: -1 });
    let bad_value = ProtoValue { kind: None };
    let bad = proto::DocumentFilter {
        states: vec![1, 0, 6],
        document_types: vec![String::new()],
        category: "/".to_owned(),
        tags: vec!["a".to_owned(); 101],
        confidentialities: vec![4],
        created_by: "a\0".to_owned(),
        create_time_from: wrong_time,
        create_time_until: wrong_time,
        expire_time_until: wrong_time,
        metadata: Some(Struct { fields: [("k".to_owned(), bad_value)].into() }),
    };
    let (kind, fields) = told(read(bad));
    assert_eq!(kind, "FILTER_INVALID");
    let listed = [
        "states[1]",
        "states[2]",
        "document_types[0]",
        "category",
        "tags",
        "confidentialities[0]",
        "created_by",
        "create_time_from",
        "create_time_until",
        "expire_time_until",
        "metadata",
    ];
    assert_eq!(fields, listed.map(|field| format!("filter.{field}")));
}

#[test]
fn a_token_goes_on_where_the_same_list_ended() {
    let (tokens, naming) = (Tokens::random(), naming());
    let by_name = proto::ListDocumentsRequest { order_by: "name".to_owned(), page_size: 10, ..list_request() };
    let (_, scope) = list(by_name.clone(), &naming, &tokens, UNIX_EPOCH).unwrap();
    let cursor = Cursor { key: CursorKey::Text("n".to_owned()), id: Uuid::from_u128(1) };
    let page_token = tokens.seal(&scope, &cursor, UNIX_EPOCH);
    let next = proto::ListDocumentsRequest { page_token: page_token.clone(), page_size: 20, ..by_name.clone() };
    let (page, same) = list(next.clone(), &naming, &tokens, UNIX_EPOCH).unwrap();
    assert_eq!((page.what.after, same), (Some(cursor), scope.clone()));

    let forged = Cursor { key: CursorKey::Number(1), id: Uuid::from_u128(1) };
    let unfit = tokens.seal(&scope, &forged, UNIX_EPOCH);
    for (other, problem) in [
        (proto::ListDocumentsRequest { show_deleted: true, ..next.clone() }, "for another request"),
        (proto::ListDocumentsRequest { solution: "globex".to_owned(), ..next.clone() }, "for another request"),
        (proto::ListDocumentsRequest { order_by: "name desc".to_owned(), ..next.clone() }, "for another request"),
        (proto::ListDocumentsRequest { page_token: unfit, ..next.clone() }, "for another request"),
        (proto::ListDocumentsRequest { page_token: "x".to_owned(), ..next.clone() }, "forged"),
    ] {
        let refused = list(other, &naming, &tokens, UNIX_EPOCH);
        assert!(matches!(refused, Err(Error::PageTokenInvalid(told)) if told == problem), "{refused:?}");
    }
    let wrong = proto::ListDocumentsRequest { order_by: "x".to_owned(), page_token: "x".to_owned(), ..next };
    assert_eq!(told(list(wrong, &naming, &tokens, UNIX_EPOCH)).0, "FILTER_INVALID", "the token comes last");
}
