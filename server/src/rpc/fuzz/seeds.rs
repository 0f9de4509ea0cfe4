//! Requests that are right: what fuzzing begins with.

use fbs_router_proto::{document::v1 as proto, router::v1::ListSolutionsRequest};
use prost::Message;
use prost_types::{FieldMask, ListValue, Struct, Timestamp, Value, value::Kind};

pub(super) const ID: &str = "0190a5d2-7c3b-7def-8123-456789abcdef";

/// One of each kind.
pub(super) fn good_requests() -> Vec<Vec<u8>> {
    let value = |kind| Value { kind: Some(kind) };
    let list = Kind::ListValue(ListValue { values: vec![value(Kind::BoolValue(true)), value(Kind::NullValue(0))] });
    let number = value(Kind::NumberValue(1.5));
    let metadata = Some(Struct { fields: [("k".to_owned(), number), ("l".to_owned(), value(list))].into() });
    let time = Some(Timestamp { seconds: 1, nanos: 1 });
    let document = Some(proto::Document {
        name: "N".into(),
        title: "T".into(),
        category: "a/b".into(),
        tags: vec!["a".into(), "b".into()],
        metadata: metadata.clone(),
        expire_time: time,
        ..Default::default()
    });
    let filter = proto::DocumentFilter {
        states: vec![1, 2],
        tags: vec!["a".into()],
        metadata,
        create_time_from: time,
        ..Default::default()
    };
    let solution = || "acme".to_owned();
    let create = |solution| proto::CreateDocumentRequest { solution, document: document.clone(), ..Default::default() };
    let batch = proto::BatchCreateDocumentsRequest {
        solution: solution(),
        requests: vec![create(String::new())],
        ..Default::default()
    };
    let update = proto::UpdateDocumentRequest {
        solution: solution(),
        document_id: ID.into(),
        document: document.clone(),
        update_mask: Some(FieldMask { paths: vec!["title".into(), "metadata".into()] }),
        request_id: ID.into(),
        ..Default::default()
    };
    let list = proto::ListDocumentsRequest {
        solution: solution(),
        filter: Some(filter.clone()),
        order_by: "title desc".into(),
        ..Default::default()
    };
    let search = proto::SearchDocumentsRequest {
        solution: solution(),
        query: "invoice \"of may\" -draft or x".into(),
        filter: Some(filter),
        ..Default::default()
    };
    let mut good = smaller_requests();
    good.extend([create(solution()).encode_to_vec(), batch.encode_to_vec(), update.encode_to_vec()]);
    good.extend([list.encode_to_vec(), search.encode_to_vec()]);
    good
}

fn smaller_requests() -> Vec<Vec<u8>> {
    let solution = || "acme".to_owned();
    let content = proto::Content {
        filename: "a.pdf".into(),
        media_type: "text/plain".into(),
        size_bytes: 7,
        sha256: vec![0; 32],
        ..Default::default()
    };
    let reject = proto::RejectDocumentRequest {
        solution: solution(),
        document_id: ID.into(),
        etag: "e".into(),
        comment: "no".into(),
        ..Default::default()
    };
    let put = proto::PutDocumentTypeRequest {
        solution: solution(),
        document_type: Some(proto::DocumentType { code: "c".into(), name: "N".into(), ..Default::default() }),
        ..Default::default()
    };
    let upload = proto::upload_content_request::Header {
        solution: solution(),
        document_id: ID.into(),
        content: Some(content),
        ..Default::default()
    };
    let get =
        proto::BatchGetDocumentsRequest { solution: solution(), document_ids: vec![ID.into()], ..Default::default() };
    let solutions = ListSolutionsRequest { states: vec![1, 2], prefix: "a".into(), ..Default::default() };
    vec![
        reject.encode_to_vec(),
        put.encode_to_vec(),
        upload.encode_to_vec(),
        get.encode_to_vec(),
        solutions.encode_to_vec(),
    ]
}
