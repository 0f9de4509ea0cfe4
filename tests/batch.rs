//! Many documents in one call: read in the order asked, created all or none.

use std::time::Duration;

use fbs_router_proto::document::v1::{
    BatchCreateDocumentsRequest, BatchGetDocumentsRequest, CreateDocumentRequest, Document,
};
use fbs_router_sandbox::platform::{ACME_DATABASE, SYSTEM_DATABASE};
use futures_util::future::join_all;
use prost::Message;
use prost_types::{Struct, Value, value::Kind};
use tonic::{Code, Request};

use crate::support::{
    Replica, World,
    asking::{Refusal, deletion, page, refusal, request_id, retitle, violated},
    draft, failure, within,
};

const UNKNOWN: &str = "0190b0a0-0000-7000-8000-00000000dead";

fn many(solution: &str, documents: Vec<Document>) -> BatchCreateDocumentsRequest {
    let one = |document| CreateDocumentRequest { document: Some(document), ..Default::default() };
    BatchCreateDocumentsRequest {
        solution: solution.into(),
        requests: documents.into_iter().map(one).collect(),
        ..Default::default()
    }
}

/// Some 75 KiB.
fn large(name: &str) -> Document {
    let filling = Value { kind: Some(Kind::StringValue("v".repeat(58_000))) };
    Document {
        description: "d".repeat(16_000),
        metadata: Some(Struct { fields: [("k".to_owned(), filling)].into() }),
        ..draft(name)
    }
}

/// Three mebibytes take a while on a busy machine.
fn patiently<T>(message: T) -> Request<T> {
    let mut request = within(message);
    request.set_timeout(Duration::from_secs(25));
    request
}

impl Replica {
    async fn create_many(&self, request: BatchCreateDocumentsRequest) -> Result<Vec<Document>, Refusal> {
        let answer = self.documents().batch_create_documents(patiently(request)).await;
        answer.map(|answer| answer.into_inner().documents).map_err(|status| refusal(&status))
    }

    async fn get_many(&self, solution: &str, ids: &[&str]) -> Result<(Vec<Document>, Vec<String>), Refusal> {
        let document_ids = ids.iter().map(|id| (*id).to_owned()).collect();
        let request = BatchGetDocumentsRequest { solution: solution.into(), document_ids, ..Default::default() };
        let answer = self.documents().batch_get_documents(patiently(request)).await;
        let answer = answer.map(tonic::Response::into_inner).map_err(|status| refusal(&status))?;
        Ok((answer.documents, answer.missing_ids))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_read_in_the_order_asked_and_what_is_missing_is_told_apart() {
    let world = World::new().await;
    let replica = world.replica().await;
    for solution in ["acme_corp", "globex"] {
        let a = replica.make(solution, "A").await;
        let b = replica.make(solution, "B").await;
        let deleted = replica.ask_delete(deletion(solution, &b.document_id)).await.unwrap();
        let foreign = replica.make("initech", "another's").await;
        let ids = [b.document_id.as_str(), UNKNOWN, a.document_id.as_str(), foreign.document_id.as_str()];
        let (documents, missing) = replica.get_many(solution, &ids).await.unwrap();
        assert_eq!(documents, [deleted, a.clone()]);
        assert_eq!(missing, [UNKNOWN, &foreign.document_id]);
        let (documents, missing) = replica.get_many(solution, &[UNKNOWN]).await.unwrap();
        assert_eq!((documents.len(), missing.len()), (0, 1));
        let twice = replica.get_many(solution, &[&a.document_id, &a.document_id]).await.unwrap_err();
        assert_eq!(twice, failure(Code::InvalidArgument, "BATCH_INVALID"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_creates_all_or_none_and_says_which_id_is_taken() {
    use tonic_types::StatusExt;
    let world = World::new().await;
    let replica = world.replica().await;
    for (solution, database, own) in [("acme_corp", ACME_DATABASE, ACME_DATABASE), ("globex", SYSTEM_DATABASE, "")] {
        let names: Vec<String> = (0..100).map(|number| format!("N-{number:03}")).collect();
        let mut request = many(solution, names.iter().map(|name| draft(name)).collect());
        request.actor = "ann".into();
        let made = replica.create_many(request).await.unwrap();
        assert_eq!(made.iter().map(|document| document.name.clone()).collect::<Vec<_>>(), names, "in the order asked");
        assert!(made.iter().all(|document| document.created_by == "ann" && document.solution == solution));
        assert!(made.iter().all(|document| document.solution_db == own));
        assert_eq!(replica.read(solution, &made[7].document_id).await.unwrap(), made[7]);
        let audit = "SELECT count(*) FROM fbs_router.audit WHERE action = 'BatchCreateDocuments'";
        assert_eq!(world.count(database, audit).await, 100, "each is on record");

        let mut request = many(solution, vec![draft("new"), draft("taken"), draft("new too")]);
        request.requests[1].document_id = made[3].document_id.clone();
        let status = replica.documents().batch_create_documents(patiently(request)).await.unwrap_err();
        assert_eq!(refusal(&status), failure(Code::AlreadyExists, "DOCUMENT_EXISTS"));
        assert_eq!(status.get_details_error_info().unwrap().metadata["index"], "1");
        assert_eq!(replica.listed(&page(solution, 500)).await.len(), 100, "none of them");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_made_once_however_often_it_is_sent() {
    let world = World::new().await;
    let replicas = [world.replica().await, world.replica().await];
    let mut request = many("globex", vec![draft("A"), draft("B"), draft("C")]);
    request.request_id = request_id();
    let calls = (0..20).map(|number| replicas[number % 2].create_many(request.clone()));
    let answers: Vec<_> = join_all(calls).await.into_iter().map(Result::unwrap).collect();
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(replicas[0].listed(&page("globex", 0)).await.len(), 3);
    // Later it answers them as they are now, in the same order.
    let changed = replicas[0].ask_update(retitle("globex", &answers[0][1].document_id, "new")).await.unwrap();
    let again = replicas[1].create_many(request.clone()).await.unwrap();
    assert_eq!(again, [answers[0][0].clone(), changed, answers[0][2].clone()]);
    request.requests.pop();
    let other = replicas[0].create_many(request).await.unwrap_err();
    assert_eq!(other, failure(Code::InvalidArgument, "REQUEST_ID_REUSED"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_has_bounds_and_all_its_violations_are_told() {
    let world = World::new().await;
    let replica = world.replica().await;
    let invalid = failure(Code::InvalidArgument, "BATCH_INVALID");
    for count in [0, 101] {
        assert_eq!(replica.create_many(many("globex", vec![draft("N"); count])).await.unwrap_err(), invalid);
    }
    let mut request = many("globex", vec![draft("N"), Document::default()]);
    request.requests[0].solution = "globex".into();
    request.requests[1].request_id = request_id();
    let status = replica.documents().batch_create_documents(patiently(request)).await.unwrap_err();
    assert_eq!(refusal(&status), failure(Code::InvalidArgument, "FIELD_INVALID"));
    let fields =
        ["requests[0].solution", "requests[1].request_id", "requests[1].document.name", "requests[1].document.title"];
    assert_eq!(violated(&status), fields);

    // Forty fit into an answer of 3 MiB; a few more do not, neither created nor read.
    let made = replica.create_many(many("globex", vec![large("N"); 40])).await.unwrap();
    let bytes: usize = made.iter().map(Message::encoded_len).sum();
    assert!((2_900_000..3 * 1024 * 1024).contains(&bytes), "{bytes}");
    assert_eq!(replica.create_many(many("globex", vec![large("N"); 43])).await.unwrap_err(), invalid);
    let mut ids: Vec<&str> = made.iter().map(|document| document.document_id.as_str()).collect();
    assert_eq!(replica.get_many("globex", &ids).await.unwrap().0, made);
    let more = replica.create_many(many("globex", vec![large("N"); 3])).await.unwrap();
    ids.extend(more.iter().map(|document| document.document_id.as_str()));
    assert_eq!(replica.get_many("globex", &ids).await.unwrap_err(), invalid);
}
