//! Steps, types, batches, searches, lists of what there is.

use std::time::UNIX_EPOCH;

use fbs_router_proto::router::v1 as router;

use super::*;
use crate::domain::request::EtagExpectation;

fn violations<T: std::fmt::Debug>(asked: Result<T>) -> Vec<String> {
    match asked {
        Err(Error::BatchInvalid(violations)) => violations.into_iter().map(|violation| violation.field).collect(),
        other => told(other).1,
    }
}

#[test]
fn approving_and_rejecting_name_what_was_read_and_rejecting_says_why() {
    let approve_it = |etag: &str| {
        let request = proto::ApproveDocumentRequest {
            solution: "acme".to_owned(),
            document_id: ID.to_owned(),
            etag: etag.to_owned(),
            ..Default::default()
        };
        approve(request, &naming()).map(|command| command.what.etag)
    };
    assert_eq!(violations(approve_it("")), ["etag"]);
    assert_eq!(approve_it("anything").unwrap(), Some(EtagExpectation::Never));
    let reject_it = |etag: &str, comment: &str| {
        let request = proto::RejectDocumentRequest {
            solution: "acme".to_owned(),
            document_id: ID.to_owned(),
            etag: etag.to_owned(),
            comment: comment.to_owned(),
            ..Default::default()
        };
        reject(request, &naming()).map(|command| command.what.comment)
    };
    assert_eq!(violations(reject_it("", " \n")), ["etag", "comment"]);
    assert_eq!(violations(reject_it("x", &"x".repeat(4_097))), ["comment"]);
    assert_eq!(reject_it("x", "two\nlines").unwrap(), "two\nlines");
    let submitted =
        proto::SubmitDocumentRequest { solution: "acme".to_owned(), document_id: ID.to_owned(), ..Default::default() };
    assert_eq!(submit(submitted, &naming()).unwrap().what.etag, None);
    assert_eq!(violations(archive(proto::ArchiveDocumentRequest::default(), &naming())), ["solution", "document_id"]);
}

#[test]
fn a_type_is_within_its_limits() {
    let put = |change: &dyn Fn(&mut proto::DocumentType)| {
        let mut document_type =
            proto::DocumentType { code: "invoice".to_owned(), name: "Invoice".to_owned(), ..Default::default() };
        change(&mut document_type);
        let request = proto::PutDocumentTypeRequest {
            solution: "acme".to_owned(),
            document_type: Some(document_type),
            ..Default::default()
        };
        put_type(request, &naming()).map(|command| command.what)
    };
    let plain = put(&|_| {}).unwrap();
    assert!(!plain.rules.requires_approval && plain.rules.max_content_size.is_none());
    let full = put(&|one| {
        one.allowed_extensions = vec!["pdf".to_owned(), "7z".to_owned()];
        one.max_content_size_bytes = 5;
        one.description = "ж".repeat(2_000);
    });
    assert_eq!(full.unwrap().rules.max_content_size, Some(5));
    let wrong = put(&|one| {
        one.code = "Invoice".to_owned();
        one.name = "x".repeat(101);
        one.description = "x".repeat(2_001);
        one.allowed_extensions = vec!["pdf".to_owned(), ".pdf".to_owned(), "PDF".to_owned()];
        one.max_content_size_bytes = -1;
    });
    let fields =
        ["code", "name", "description", "allowed_extensions[1]", "allowed_extensions[2]", "max_content_size_bytes"];
    assert_eq!(violations(wrong), fields.map(|field| format!("document_type.{field}")));
    let twice = put(&|one| one.allowed_extensions = vec!["pdf".to_owned(); 2]);
    assert_eq!(violations(twice), ["document_type.allowed_extensions"]);
    assert_eq!(
        violations(put_type(proto::PutDocumentTypeRequest::default(), &naming())),
        ["solution", "document_type"]
    );
}

#[test]
fn a_batch_is_not_empty_not_too_large_and_repeats_nothing() {
    let many = |ids: &[&str]| {
        let document_ids = ids.iter().map(|id| (*id).to_owned()).collect();
        get_many(
            proto::BatchGetDocumentsRequest { solution: "acme".to_owned(), document_ids, ..Default::default() },
            &naming(),
        )
    };
    assert!(matches!(many(&[]), Err(Error::BatchInvalid(_))));
    assert!(matches!(many(&[ID, ID]), Err(Error::BatchInvalid(found)) if found[0].field == "document_ids[1]"));
    assert!(matches!(many(&[ID; 101]), Err(Error::BatchInvalid(_))));
    assert_eq!(told(many(&[ID, "x"])).1, ["document_ids[1]"]);
    assert_eq!(many(&[ID]).unwrap().what.len(), 1);

    let create_all = |requests: Vec<proto::CreateDocumentRequest>| {
        create_many(
            proto::BatchCreateDocumentsRequest { solution: "acme".to_owned(), requests, ..Default::default() },
            &naming(),
        )
    };
    let one = || proto::CreateDocumentRequest { document: Some(document()), ..Default::default() };
    assert!(matches!(create_all(vec![]), Err(Error::BatchInvalid(_))));
    assert!(matches!(create_all(vec![one(); 101]), Err(Error::BatchInvalid(_))));
    assert_eq!(create_all(vec![one(); 100]).unwrap().what.len(), 100);
    let named = || proto::CreateDocumentRequest { document_id: ID.to_owned(), ..one() };
    let twice = create_all(vec![named(), one(), named()]);
    assert!(matches!(twice, Err(Error::BatchInvalid(found)) if found[0].field == "requests[2].document_id"));
    let said_again = proto::CreateDocumentRequest {
        solution: "acme".to_owned(),
        request_id: ID.to_owned(),
        actor: "ann".to_owned(),
        database: "d".to_owned(),
        ..Default::default()
    };
    let fields = ["solution", "request_id", "actor", "database", "document"];
    assert_eq!(told(create_all(vec![one(), said_again])).1, fields.map(|field| format!("requests[1].{field}")));
    let large = proto::Document { description: "x".repeat(16 * 1_024), tags: vec![], ..document() };
    let metadata = prost_types::Struct {
        fields: [(
            "k".to_owned(),
            prost_types::Value { kind: Some(prost_types::value::Kind::StringValue("x".repeat(60_000))) },
        )]
        .into(),
    };
    let large = proto::CreateDocumentRequest {
        document: Some(proto::Document { metadata: Some(metadata), ..large }),
        ..Default::default()
    };
    assert!(create_all(vec![large.clone(); 40]).is_ok());
    assert!(matches!(create_all(vec![large; 41]), Err(Error::BatchInvalid(_))));
}

#[test]
fn anything_with_a_word_in_it_can_be_searched_for() {
    let ask = |query: &str| {
        let request = proto::SearchDocumentsRequest {
            solution: "acme".to_owned(),
            query: query.to_owned(),
            ..Default::default()
        };
        search(request, &naming(), &Tokens::random(), UNIX_EPOCH).map(|(query, _)| query.what)
    };
    for good in ["rent", "\"a phrase", "-not", "or", "' ; DROP", "請求書", "a & | ! ( ) :*", &"x".repeat(1_024)] {
        let asked = ask(good).unwrap();
        assert_eq!((asked.text.as_str(), asked.window.size), (good, 20));
    }
    for bad in ["", " ", "\"\" -", "a\0b", &"x".repeat(1_025), &"x ".repeat(33)] {
        assert_eq!(violations(ask(bad)), ["query"], "{bad:?}");
    }
}

#[test]
fn lists_of_what_there_is_have_bounds() {
    let ask = |request: router::ListSolutionsRequest| {
        solutions(request, &Tokens::random(), UNIX_EPOCH).map(|(asked, _)| asked)
    };
    assert_eq!(ask(router::ListSolutionsRequest::default()).unwrap().window.size, 100);
    let many = router::ListSolutionsRequest { page_size: 5_000, ..Default::default() };
    assert_eq!(ask(many).unwrap().window.size, 1_000);
    let wrong = router::ListSolutionsRequest {
        page_size: -1,
        placement: 9,
        states: vec![1, 0, 9],
        prefix: "x".repeat(64),
        ..Default::default()
    };
    assert_eq!(violations(ask(wrong)), ["page_size", "placement", "states[1]", "states[2]", "prefix"]);
    let unknown = router::ListDatabasesRequest { app: "nothing".to_owned(), ..Default::default() };
    assert!(matches!(databases(unknown, &naming(), &Tokens::random(), UNIX_EPOCH), Err(Error::AppUnknown)));
}
