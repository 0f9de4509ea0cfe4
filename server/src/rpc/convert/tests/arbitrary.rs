//! Nothing a caller can send makes a panic, or an error that is called ours.

use std::time::UNIX_EPOCH;

use proptest::{collection::vec, option, prelude::*};
use prost::Message;
use prost_types::{FieldMask, ListValue, Struct, Timestamp, Value as ProtoValue, value};

use super::*;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => any::<String>(),
        1 => Just(String::new()),
        1 => Just(ID.to_owned()),
        1 => "[a-z_/.]{0,12}",
        1 => (0..300_usize).prop_map(|length| "ж".repeat(length)),
    ]
}

fn time() -> impl Strategy<Value = Option<Timestamp>> {
    let anything = (any::<i64>(), any::<i32>());
    let likely = (-70_000_000_000..260_000_000_000_i64, 0..1_000_000_001);
    option::of(prop_oneof![anything, likely].prop_map(|(seconds, nanos)| Timestamp { seconds, nanos }))
}

fn fields() -> impl Strategy<Value = Option<Struct>> {
    let leaf = prop_oneof![
        Just(None),
        any::<f64>().prop_map(|number| Some(value::Kind::NumberValue(number))),
        text().prop_map(|text| Some(value::Kind::StringValue(text))),
        any::<i32>().prop_map(|null| Some(value::Kind::NullValue(null))),
        any::<bool>().prop_map(|flag| Some(value::Kind::BoolValue(flag))),
    ]
    .prop_map(|kind| ProtoValue { kind });
    let value = leaf.prop_recursive(40, 80, 2, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(|values| value::Kind::ListValue(ListValue { values })),
            prop::collection::btree_map(text(), inner, 0..3)
                .prop_map(|fields| value::Kind::StructValue(Struct { fields })),
        ]
        .prop_map(|kind| ProtoValue { kind: Some(kind) })
    });
    option::of(prop::collection::btree_map(text(), value, 0..4).prop_map(|fields| Struct { fields }))
}

prop_compose! {
    fn any_document()(
        texts in prop::array::uniform6(text()), tags in vec(text(), 0..70), confidentiality in any::<i32>(),
        metadata in fields(), expire_time in time(), state in any::<i32>(),
    ) -> proto::Document {
        let [solution, name, title, description, document_type, category] = texts;
        proto::Document {
            solution, name, title, description, document_type, category, tags, confidentiality, metadata, expire_time,
            state, ..Default::default()
        }
    }
}

prop_compose! {
    fn any_filter()(
        states in vec(-1..8, 0..4), document_types in vec(text(), 0..3), category in text(), tags in vec(text(), 0..3),
        confidentialities in vec(any::<i32>(), 0..3), created_by in text(),
        create_time_from in time(), create_time_until in time(), expire_time_until in time(), metadata in fields(),
    ) -> proto::DocumentFilter {
        proto::DocumentFilter {
            states, document_types, category, tags, confidentialities, created_by, create_time_from, create_time_until,
            expire_time_until, metadata,
        }
    }
}

/// Every error is the caller's, and its status is small.
fn is_fair<T: std::fmt::Debug>(result: &Result<T>) -> bool {
    match result {
        Ok(_) => true,
        Err(error) => crate::rpc::status::status(error).code() == tonic::Code::InvalidArgument,
    }
}

proptest! {
    #[test]
    fn any_message_is_read_or_refused_as_the_callers(
        document in option::of(any_document()), filter in option::of(any_filter()),
        texts in prop::array::uniform8(text()), paths in vec(prop_oneof![text(), Just("title".to_owned())], 0..5),
        page_size in any::<i32>(), show_deleted in any::<bool>(), admitted in any::<bool>(),
    ) {
        let (naming, tokens) = (naming(), Tokens::random());
        let [solution, document_id, request_id, actor, database, etag, page_token, order_by] = texts;
        let solution = if admitted { "acme".to_owned() } else { solution };
        let created = create(proto::CreateDocumentRequest {
            solution: solution.clone(), document: document.clone(), document_id: document_id.clone(),
            request_id: request_id.clone(), actor: actor.clone(), database: database.clone(),
        }, &naming);
        prop_assert!(is_fair(&created), "{created:?}");
        let updated = update(proto::UpdateDocumentRequest {
            solution: solution.clone(), document_id, document, update_mask: Some(FieldMask { paths }),
            request_id, actor, etag, database: database.clone(),
        }, &naming);
        prop_assert!(is_fair(&updated), "{updated:?}");
        let listed = list(proto::ListDocumentsRequest {
            solution, page_size, page_token, filter, order_by, show_deleted, database,
        }, &naming, &tokens, UNIX_EPOCH);
        prop_assert!(is_fair(&listed), "{listed:?}");
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        let naming = naming();
        if let Ok(request) = proto::CreateDocumentRequest::decode(&*bytes) {
            prop_assert!(is_fair(&create(request, &naming)));
        }
        if let Ok(request) = proto::GetDocumentRequest::decode(&*bytes) {
            prop_assert!(is_fair(&get(request, &naming)));
        }
        if let Ok(request) = proto::ListDocumentsRequest::decode(&*bytes) {
            prop_assert!(is_fair(&list(request, &naming, &Tokens::random(), UNIX_EPOCH)));
        }
        if let Ok(request) = proto::UpdateDocumentRequest::decode(&*bytes) {
            prop_assert!(is_fair(&update(request, &naming)));
        }
        if let Ok(request) = proto::DeleteDocumentRequest::decode(&*bytes) {
            prop_assert!(is_fair(&delete(request, &naming)));
        }
        if let Ok(request) = proto::UndeleteDocumentRequest::decode(&*bytes) {
            prop_assert!(is_fair(&undelete(request, &naming)));
        }
    }
}
