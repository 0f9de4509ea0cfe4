//! What leaves and what comes back.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use fbs_router_client::{
    Client, ErrorKind, ErrorReason,
    v1::{
        ApproveDocumentRequest, BatchCreateDocumentsRequest, CreateDocumentRequest, Document, GetDocumentRequest,
        RejectDocumentRequest, UpdateDocumentRequest,
    },
};
use fbs_router_proto::document::v1 as proto;
use tonic::{Code, Request, Response, Status, metadata::MetadataMap};

use crate::support::{Script, Service, failure, place};

/// Creates whatever it is told to, never finds anything, and takes for ever to update.
#[derive(Debug, Default)]
struct Fake {
    created: Mutex<Vec<(MetadataMap, CreateDocumentRequest)>>,
    batches: Mutex<Vec<BatchCreateDocumentsRequest>>,
    decided: Mutex<Vec<(String, String, String)>>,
}

#[tonic::async_trait]
impl Script for Fake {
    async fn create_document(
        &self,
        request: Request<CreateDocumentRequest>,
    ) -> Result<Response<proto::CreateDocumentResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        let mut reply = Response::new(proto::CreateDocumentResponse { document: message.document.clone() });
        place(reply.metadata_mut());
        self.created.lock().unwrap().push((metadata, message));
        Ok(reply)
    }

    async fn get_document(
        &self,
        _: Request<GetDocumentRequest>,
    ) -> Result<Response<proto::GetDocumentResponse>, Status> {
        let mut status = failure(Code::NotFound, "DOCUMENT_NOT_FOUND", None);
        place(status.metadata_mut());
        Err(status)
    }

    async fn update_document(
        &self,
        _: Request<UpdateDocumentRequest>,
    ) -> Result<Response<proto::UpdateDocumentResponse>, Status> {
        std::future::pending().await
    }

    async fn delete_document(
        &self,
        _: Request<proto::DeleteDocumentRequest>,
    ) -> Result<Response<proto::DeleteDocumentResponse>, Status> {
        Ok(Response::new(proto::DeleteDocumentResponse { document: None }))
    }

    async fn batch_create_documents(
        &self,
        request: Request<BatchCreateDocumentsRequest>,
    ) -> Result<Response<proto::BatchCreateDocumentsResponse>, Status> {
        let request = request.into_inner();
        let documents = request.requests.iter().filter_map(|request| request.document.clone()).collect();
        self.batches.lock().unwrap().push(request);
        Ok(Response::new(proto::BatchCreateDocumentsResponse { documents }))
    }

    async fn approve_document(
        &self,
        request: Request<ApproveDocumentRequest>,
    ) -> Result<Response<proto::ApproveDocumentResponse>, Status> {
        let request = request.into_inner();
        self.decided.lock().unwrap().push((request.document_id, request.etag, request.comment));
        Ok(Response::new(proto::ApproveDocumentResponse { document: Some(Document::default()) }))
    }

    async fn reject_document(
        &self,
        request: Request<RejectDocumentRequest>,
    ) -> Result<Response<proto::RejectDocumentResponse>, Status> {
        let request = request.into_inner();
        self.decided.lock().unwrap().push((request.document_id, request.etag, request.comment));
        Ok(Response::new(proto::RejectDocumentResponse { document: Some(Document::default()) }))
    }
}

#[tokio::test]
async fn a_mutation_carries_its_solution_a_deadline_and_a_request_id_of_its_own() {
    let fake = Arc::new(Fake::default());
    let service = Service::start(Arc::clone(&fake));
    let documents = service.client().await.solution("acme_corp");
    let created = documents.create(Document { name: "INV-1".into(), ..Default::default() }).await.unwrap();
    documents.create(Document::default()).await.unwrap();
    let given = CreateDocumentRequest { request_id: "mine".into(), ..Default::default() };
    documents.create(given).await.unwrap_err(); // the fake answers it without a document

    assert_eq!(created.name, "INV-1");
    let served = created.served().unwrap();
    assert_eq!((served.database.as_str(), served.epoch), ("djo_acme_db", 2));

    let seen = fake.created.lock().unwrap();
    let ids: Vec<_> = seen.iter().map(|(_, request)| request.request_id.as_str()).collect();
    assert_eq!((ids[0].len(), ids[1].len(), ids[2]), (36, 36, "mine"));
    assert_ne!(ids[0], ids[1]);
    for (metadata, request) in seen.iter() {
        assert_eq!(request.solution, "acme_corp");
        assert!(metadata.contains_key("grpc-timeout"));
        assert!(!metadata.contains_key("authorization"));
        assert!(metadata.get("user-agent").unwrap().to_str().unwrap().starts_with("fbs-router-client/"));
    }
}

#[tokio::test]
async fn who_acts_for_somebody_says_so_in_each_change_unless_it_names_another() {
    let fake = Arc::new(Fake::default());
    let service = Service::start(Arc::clone(&fake));
    let documents = service.client().await.solution("acme_corp");
    let for_ann = documents.on_behalf_of("ann");
    for_ann.create(Document::default()).await.unwrap();
    for_ann
        .create(CreateDocumentRequest {
            document: Some(Document::default()),
            actor: "bob".into(),
            ..Default::default()
        })
        .await
        .unwrap();
    documents.create(Document::default()).await.unwrap();
    for_ann.batch_create(vec![Document::default()]).await.unwrap();

    let seen = fake.created.lock().unwrap();
    let actors: Vec<_> = seen.iter().map(|(_, request)| request.actor.as_str()).collect();
    assert_eq!(actors, ["ann", "bob", ""]);
    let batches = fake.batches.lock().unwrap();
    assert_eq!((batches[0].actor.as_str(), batches[0].requests[0].actor.as_str()), ("ann", ""));
}

#[tokio::test]
async fn a_request_for_another_solution_never_leaves() {
    let fake = Arc::new(Fake::default());
    let service = Service::start(Arc::clone(&fake));
    let documents = service.client().await.solution("acme_corp");
    let other = CreateDocumentRequest { solution: "globex".into(), ..Default::default() };
    let error = documents.create(other.clone()).await.unwrap_err();
    assert_eq!((error.kind(), error.field_violations()[0].field.as_str()), (ErrorKind::InvalidArgument, "solution"));
    assert_eq!(error.attempts(), 0);

    let error = documents.batch_create(vec![CreateDocumentRequest::default(), other]).await.unwrap_err();
    assert_eq!(error.field_violations()[0].field, "requests[1].solution");
    assert!(fake.created.lock().unwrap().is_empty() && fake.batches.lock().unwrap().is_empty());
}

#[tokio::test]
async fn only_a_batch_itself_names_its_solution_and_has_a_request_id() {
    let fake = Arc::new(Fake::default());
    let service = Service::start(Arc::clone(&fake));
    let documents = service.client().await.solution("acme_corp");
    let named = |name: &str| Document { name: name.into(), ..Default::default() };
    let own =
        CreateDocumentRequest { solution: "acme_corp".into(), document: Some(named("INV-2")), ..Default::default() };
    let created = documents.batch_create(vec![own]).await.unwrap();
    assert_eq!(created[0].name, "INV-2");
    documents.batch_create(vec![named("INV-3"), named("INV-4")]).await.unwrap();

    for batch in fake.batches.lock().unwrap().iter() {
        assert_eq!((batch.solution.as_str(), batch.request_id.len()), ("acme_corp", 36));
        for inner in &batch.requests {
            assert_eq!([&inner.solution, &inner.request_id, &inner.actor, &inner.database], [""; 4]);
        }
    }
}

#[tokio::test]
async fn who_decides_says_what_was_read() {
    let fake = Arc::new(Fake::default());
    let service = Service::start(Arc::clone(&fake));
    let documents = service.client().await.solution("acme_corp");
    let read = Document { document_id: "id".into(), etag: "e".into(), ..Default::default() };
    documents.approve(("id", "e")).await.unwrap();
    documents.approve(&read).await.unwrap();
    documents.reject(("id", "e", "blurred")).await.unwrap();
    documents.reject((&read, "blurred")).await.unwrap();
    let decided = fake.decided.lock().unwrap();
    let told = |comment: &str| ("id".to_owned(), "e".to_owned(), comment.to_owned());
    assert_eq!(*decided, [told(""), told(""), told("blurred"), told("blurred")]);
}

#[tokio::test]
async fn an_error_tells_its_reason_and_the_database_it_came_from() {
    let service = Service::start(Arc::new(Fake::default()));
    let error = service.client().await.solution("acme_corp").get("some-id").await.unwrap_err();
    assert_eq!(error.reason(), Some(ErrorReason::DocumentNotFound));
    assert_eq!(error.served().unwrap().database, "djo_acme_db");
    assert!(!error.retryable());
    assert_eq!(error.attempts(), 1);
}

#[tokio::test]
async fn a_call_ends_with_its_deadline_and_tells_how_to_repeat_it() {
    let service = Service::start(Arc::new(Fake::default()));
    let impatient = service.client().await.with_deadline(Duration::from_millis(100));
    let error = impatient.solution("acme_corp").update(UpdateDocumentRequest::default()).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::DeadlineExceeded, 1));
    assert_eq!(error.request_id().map(str::len), Some(36));
}

#[tokio::test]
async fn a_reply_without_its_document_is_not_taken_for_one() {
    let service = Service::start(Arc::new(Fake::default()));
    let error = service.client().await.solution("acme_corp").delete("some-id").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Reply);
}

#[tokio::test]
async fn a_unix_socket_is_as_good_as_a_port() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("router.sock");
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    let incoming = tokio_stream::wrappers::UnixListenerStream::new(listener);
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_service_status("", tonic_health::ServingStatus::NotServing).await;
    tokio::spawn(tonic::transport::Server::builder().add_service(health).serve_with_incoming(incoming));
    // Not ready, but there: a token is safe on it, too.
    Client::builder().token("secret").connect(format!("unix:{}", socket.display())).await.unwrap();
}

/// A client goes where its caller goes, and what it gives may be kept anywhere.
#[test]
fn everything_may_be_sent_to_another_thread() {
    fn sendable<T: Send + 'static>(_: impl FnOnce() -> T) {}
    fn shareable<T: Send + Sync + Clone + 'static>() {}
    shareable::<Client>();
    shareable::<fbs_router_client::Documents>();
    fn calls(client: Client) -> impl Future + Send + 'static {
        async move {
            let documents = client.solution("acme_corp");
            let _ = client.resolve("acme_corp").await;
            let _ = client.batch_resolve(["acme_corp"]).await;
            let _ = documents.upload("id", tokio::io::empty()).await;
            let _ = documents.upload_file("id", "a.pdf").await;
            let _ = documents.upload_bytes("id", "abc").await;
            let _ = documents.download("id").await;
            let _ = documents.all(()).next().await;
            let _ = Client::builder().connect_to(["http://a", "http://b"]).await;
        }
    }
    sendable(|| calls as fn(Client) -> _);
}
