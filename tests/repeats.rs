//! `request_id`: a mutation may be sent again, and happens once.

use fbs_router_proto::document::v1::{
    CreateDocumentRequest, DeleteDocumentRequest, Document, UndeleteDocumentRequest, UpdateDocumentRequest,
};
use fbs_router_sandbox::{
    platform::{ACME_DATABASE, SYSTEM_DATABASE},
    soon,
};
use futures_util::future::join_all;
use tonic::Code;

use crate::support::{
    Replica, World,
    asking::{creation, deletion, page, request_id, retitle, undeletion},
    draft, failure,
};

fn named(request_id: &str, solution: &str, name: &str) -> CreateDocumentRequest {
    CreateDocumentRequest { request_id: request_id.into(), ..creation(solution, draft(name)) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_sent_twenty_times_at_once_through_two_replicas_makes_one_document() {
    let world = World::new().await;
    let replicas = [world.replica().await, world.replica().await];
    // The first write of a solution, the first of one with a database, and a later one.
    for (solution, database) in [("globex", SYSTEM_DATABASE), ("acme_corp", ACME_DATABASE), ("globex", SYSTEM_DATABASE)]
    {
        let before = replicas[0].listed(&page(solution, 0)).await.len();
        let request = named(&request_id(), solution, "once");
        let calls = (0..20).map(|number| replicas[number % 2].ask_create(request.clone()));
        let answers: Vec<Document> = join_all(calls).await.into_iter().map(Result::unwrap).collect();
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        assert_eq!(replicas[1].listed(&page(solution, 0)).await.len(), before + 1);
        let audit = format!("SELECT count(*) FROM fbs_router.audit WHERE request_id = '{}'", request.request_id);
        assert_eq!(world.count(database, &audit).await, 1, "it was done once");
        // Later too, and with an id made elsewhere.
        assert_eq!(replicas[1].ask_create(request).await.unwrap(), answers[0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn update_delete_and_undelete_happen_once_and_answer_the_document_as_it_is_now() {
    let world = World::new().await;
    let replicas = [world.replica().await, world.replica().await];
    let id = replicas[0].make("globex", "N").await.document_id;
    async fn twenty<'r, R: Clone, F: Future<Output = Result<Document, (Code, String)>>>(
        replicas: &'r [Replica; 2],
        request: R,
        call: impl Fn(&'r Replica, R) -> F,
    ) -> Document {
        let calls = (0..20).map(|number| call(&replicas[number % 2], request.clone()));
        let answers: Vec<Document> = join_all(calls).await.into_iter().map(Result::unwrap).collect();
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        answers[0].clone()
    }
    let update = UpdateDocumentRequest { request_id: request_id(), ..retitle("globex", &id, "T") };
    let delete = DeleteDocumentRequest { request_id: request_id(), ..deletion("globex", &id) };
    let undelete = UndeleteDocumentRequest { request_id: request_id(), ..undeletion("globex", &id) };
    let updated = twenty(&replicas, update.clone(), |replica, request| replica.ask_update(request)).await;
    let deleted = twenty(&replicas, delete.clone(), |replica, request| replica.ask_delete(request)).await;
    assert!(updated.title == "T" && updated.delete_time.is_none() && deleted.delete_time.is_some());
    // Not the answer of then: the document of now.
    assert_eq!(replicas[0].ask_update(update.clone()).await.unwrap(), deleted);
    let back = twenty(&replicas, undelete.clone(), |replica, request| replica.ask_undelete(request)).await;
    assert_eq!(back.delete_time, None);
    let now = replicas[0].ask_update(retitle("globex", &id, "later")).await.unwrap();
    assert_eq!(replicas[1].ask_update(update).await.unwrap(), now);
    assert_eq!(replicas[1].ask_delete(delete).await.unwrap(), now, "not deleted again");
    assert_eq!(replicas[1].ask_undelete(undelete).await.unwrap(), now);
    assert_eq!(replicas[1].read("globex", &id).await.unwrap(), now);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_request_under_the_key_is_refused_and_changes_nothing() {
    let world = World::new().await;
    let replica = world.replica().await;
    let reused = Err(failure(Code::InvalidArgument, "REQUEST_ID_REUSED"));
    let key = request_id();
    let first = replica.ask_create(named(&key, "globex", "first")).await.unwrap();
    let id = first.document_id.clone();
    // Anything else that is asked makes another request of it: a field, the id, the actor, explicit routing.
    let others = [
        named(&key, "globex", "second"),
        CreateDocumentRequest { document_id: id.clone(), ..named(&key, "globex", "first") },
        CreateDocumentRequest { actor: "mary".into(), ..named(&key, "globex", "first") },
        CreateDocumentRequest { database: SYSTEM_DATABASE.into(), ..named(&key, "globex", "first") },
    ];
    for other in others {
        assert_eq!(replica.ask_create(other.clone()).await, reused, "{other:?}");
    }
    // So does another method.
    let update = UpdateDocumentRequest { request_id: key.clone(), ..retitle("globex", &id, "T") };
    assert_eq!(replica.ask_update(update).await, reused);
    let delete = DeleteDocumentRequest { request_id: key.clone(), ..deletion("globex", &id) };
    assert_eq!(replica.ask_delete(delete).await, reused);
    let undelete = UndeleteDocumentRequest { request_id: key.clone(), ..undeletion("globex", &id) };
    assert_eq!(replica.ask_undelete(undelete).await, reused);
    assert_eq!(replica.pages(&page("globex", 0)).await.concat(), std::slice::from_ref(&first));
    // Two methods with messages of one shape.
    let key = request_id();
    let delete = DeleteDocumentRequest { request_id: key.clone(), ..deletion("globex", &id) };
    replica.ask_delete(delete).await.unwrap();
    let undelete = UndeleteDocumentRequest { request_id: key.clone(), ..undeletion("globex", &id) };
    assert_eq!(replica.ask_undelete(undelete).await, reused);

    // Another solution's key is another key, in the same database and in another one.
    for solution in ["initech", "acme_corp"] {
        let other = replica.ask_create(named(&key, solution, "first")).await.unwrap();
        assert_ne!(other.document_id, id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_not_remembered_and_leaves_the_key_free() {
    let world = World::new().await;
    let replica = world.replica().await;
    let taken = replica.make("globex", "taken").await.document_id;
    let key = request_id();
    let clash = CreateDocumentRequest { document_id: taken.clone(), ..named(&key, "globex", "new") };
    assert_eq!(replica.ask_create(clash).await, Err(failure(Code::AlreadyExists, "DOCUMENT_EXISTS")));
    let stale =
        UpdateDocumentRequest { request_id: key.clone(), etag: "stale".into(), ..retitle("globex", &taken, "T") };
    assert_eq!(replica.ask_update(stale).await, Err(failure(Code::Aborted, "ETAG_MISMATCH")));
    let mut bad = named(&key, "globex", "");
    assert_eq!(replica.ask_create(bad.clone()).await, Err(failure(Code::InvalidArgument, "FIELD_INVALID")));
    bad.document = Some(draft("new"));
    let made = replica.ask_create(bad.clone()).await.unwrap();
    assert_eq!(replica.ask_create(bad).await.unwrap(), made);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_key_may_be_used_again() {
    let world = World::new().await;
    let replica = world.replica_with("[documents]\nrequest_id_ttl = \"2s\"\n").await;
    let key = request_id();
    let first = replica.ask_create(named(&key, "globex", "first")).await.unwrap();
    let second =
        soon("the key has expired", async || match replica.ask_create(named(&key, "globex", "second")).await {
            Err((_, reason)) if reason == "REQUEST_ID_REUSED" => Err(reason),
            other => Ok(other),
        })
        .await
        .unwrap();
    assert_ne!(second.document_id, first.document_id);
    assert_eq!(replica.listed(&page("globex", 0)).await, ["second", "first"]);
    assert_eq!(replica.ask_create(named(&key, "globex", "second")).await.unwrap(), second, "and is remembered anew");
}
