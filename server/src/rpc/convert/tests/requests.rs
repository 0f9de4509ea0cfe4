//! What a request may ask, whatever the document says.

use std::time::UNIX_EPOCH;

use prost_types::{Struct, Value as ProtoValue, value};
use uuid::Uuid;

use super::*;
use crate::domain::{
    document::{Confidentiality, Patch},
    request::EtagExpectation,
};

#[test]
fn all_violations_are_found_and_the_solution_names_the_error() {
    let bad = |solution: &str| proto::CreateDocumentRequest {
        solution: solution.to_owned(),
        document_id: "x".to_owned(),
        request_id: "x".to_owned(),
        actor: "a\nb".to_owned(),
        database: "d".repeat(64),
        document: Some(proto::Document { solution: "other".to_owned(), confidentiality: 9, ..Default::default() }),
    };
    let rest = [
        "database",
        "request_id",
        "actor",
        "document_id",
        "document.solution",
        "document.name",
        "document.title",
        "document.confidentiality",
    ];
    assert_eq!(told(create(bad("acme"), &naming())), ("FIELD_INVALID", rest.map(str::to_owned).to_vec()));
    for (solution, reason) in [("Acme", "SOLUTION_INVALID"), ("", "SOLUTION_INVALID"), ("system", "SOLUTION_RESERVED")]
    {
        let (kind, fields) = told(create(bad(solution), &naming()));
        assert_eq!((kind, fields[0].as_str()), (reason, "solution"));
        assert_eq!(fields[1..], rest);
    }
}

#[test]
fn every_request_refuses_a_bad_solution() {
    let naming = naming();
    let violations = [
        told(create(proto::CreateDocumentRequest::default(), &naming)),
        told(get(proto::GetDocumentRequest::default(), &naming)),
        told(list(proto::ListDocumentsRequest::default(), &naming, &Tokens::random(), UNIX_EPOCH)),
        told(update(proto::UpdateDocumentRequest::default(), &naming)),
        told(delete(proto::DeleteDocumentRequest::default(), &naming)),
        told(undelete(proto::UndeleteDocumentRequest::default(), &naming)),
    ];
    let listed: [&[&str]; 6] = [
        &["solution", "document"],
        &["solution", "document_id"],
        &["solution"],
        &["solution", "document_id", "update_mask", "document"],
        &["solution", "document_id"],
        &["solution", "document_id"],
    ];
    for ((kind, fields), listed) in violations.into_iter().zip(listed) {
        assert_eq!(kind, "SOLUTION_INVALID");
        assert_eq!(fields, listed);
    }
}

#[test]
fn ids_have_one_spelling() {
    let bad = [
        "x",
        "0190A5D2-7C3B-7DEF-8123-456789ABCDEF",
        "0190a5d27c3b7def8123456789abcdef",
        "{0190a5d2-7c3b-7def-8123-456789abcdef}",
        "urn:uuid:0190a5d2-7c3b-7def-8123-456789abcdef",
        "0190a5d2-7c3b-7def-8123-456789abcdef ",
        "00000000-0000-0000-0000-000000000000",
        "../etc",
    ];
    for bad in bad {
        let mut request = create_request(document());
        request.document_id = bad.to_owned();
        request.request_id = bad.to_owned();
        assert_eq!(told(create(request, &naming())).1, ["request_id", "document_id"], "{bad}");
    }
    let request = |id: &str| proto::GetDocumentRequest {
        solution: "acme".to_owned(),
        document_id: id.to_owned(),
        ..Default::default()
    };
    assert_eq!(get(request(ID), &naming()).unwrap().what, Uuid::parse_str(ID).unwrap());
    assert_eq!(told(get(request(""), &naming())).1, ["document_id"]);
}

#[test]
fn a_repeat_has_the_same_digest_and_another_request_has_not() {
    let digest =
        |request: proto::CreateDocumentRequest| create(request, &naming()).unwrap().repeat.map(|key| key.digest);
    let mut request = create_request(document());
    assert_eq!(digest(request.clone()), None);
    request.request_id = ID.to_owned();
    let first = digest(request.clone());
    request.request_id = Uuid::new_v4().to_string();
    assert_eq!(digest(request.clone()), first, "the id itself is no part of it");
    let mut other = request.clone();
    other.actor = "someone".to_owned();
    assert_ne!(digest(other), first);
    let fields = |keys: [&str; 2]| {
        let value = ProtoValue { kind: Some(value::Kind::NumberValue(1.0)) };
        let mut sent = document();
        sent.metadata = Some(Struct { fields: keys.map(|key| (key.to_owned(), value.clone())).into() });
        digest(proto::CreateDocumentRequest { document: Some(sent), ..request.clone() })
    };
    assert_eq!(fields(["a", "b"]), fields(["b", "a"]), "maps have no order");

    let undelete_digest = |request| undelete(request, &naming()).unwrap().repeat.unwrap().digest;
    let delete_digest = |request| delete(request, &naming()).unwrap().repeat.unwrap().digest;
    // Different methods, whose messages may well be encoded alike.
    let (solution, document_id, request_id) = ("acme".to_owned(), ID.to_owned(), ID.to_owned());
    let one = proto::UndeleteDocumentRequest {
        solution: solution.clone(),
        document_id: document_id.clone(),
        request_id: request_id.clone(),
        ..Default::default()
    };
    let two = proto::DeleteDocumentRequest { solution, document_id, request_id, ..Default::default() };
    assert_ne!(undelete_digest(one), delete_digest(two));
}

#[test]
fn an_etag_is_opaque() {
    let etag = |text: String| {
        let request = proto::DeleteDocumentRequest {
            solution: "acme".to_owned(),
            document_id: ID.to_owned(),
            etag: text,
            ..Default::default()
        };
        delete(request, &naming()).map(|request| request.what.etag)
    };
    let uuid = Uuid::parse_str(ID).unwrap();
    assert_eq!(etag(String::new()).unwrap(), None);
    assert_eq!(etag(uuid.as_simple().to_string()).unwrap(), Some(EtagExpectation::Exactly(uuid)));
    for stale in [ID.to_owned(), "W/\"x\"".to_owned(), uuid.as_simple().to_string().to_uppercase(), "x".repeat(255)] {
        let expectation = etag(stale).unwrap().unwrap();
        assert!(!expectation.meets(uuid));
    }
    assert_eq!(told(etag("x".repeat(256))).1, ["etag"]);
}

#[test]
fn an_update_reads_the_named_fields_only() {
    let mut sent = document();
    sent.title = "New".to_owned();
    sent.tags = vec![String::new(); 100];
    sent.confidentiality = 99;
    let request = update(update_request(&["title"], sent.clone()), &naming()).unwrap();
    assert_eq!(request.what.patch, Patch { title: Some("New".to_owned()), ..Default::default() });
    assert_eq!(
        told(update(update_request(&["title", "tags"], sent.clone()), &naming())),
        ("FIELD_INVALID", vec!["document.tags".to_owned()])
    );
    sent.solution = "other".to_owned();
    let (kind, fields) = told(update(update_request(&["state", "confidentiality"], sent), &naming()));
    assert_eq!(kind, "FIELD_INVALID", "a wrong field goes before a wrong mask");
    assert_eq!(fields, ["update_mask.paths[0]", "document.solution", "document.confidentiality"]);
}

#[test]
fn a_named_but_unset_field_is_cleared() {
    let paths = ["description", "category", "tags", "confidentiality", "metadata", "expire_time"];
    let request = update(update_request(&paths, proto::Document::default()), &naming()).unwrap();
    let cleared = Patch {
        name: None,
        title: None,
        description: Some(String::new()),
        category: Some(String::new()),
        tags: Some(Vec::new()),
        confidentiality: Some(Confidentiality::Internal),
        metadata: Some(None),
        expire_time: Some(None),
    };
    assert_eq!(request.what.patch, cleared);
    let refused = update(update_request(&["name", "title"], proto::Document::default()), &naming());
    assert_eq!(told(refused).1, ["document.name", "document.title"]);
}
