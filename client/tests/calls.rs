//! What leaves and what comes back, against a service that only remembers and obeys.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use fbs_router_client::{
    Client, ErrorKind, ErrorReason,
    document::{CreateDocumentRequest, Document, GetDocumentRequest, UpdateDocumentRequest},
};
use fbs_router_proto::{
    ERROR_DOMAIN,
    document::v1::{
        self as proto,
        document_service_server::{DocumentService, DocumentServiceServer},
    },
};
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Code, Request, Response, Status, metadata::MetadataMap, transport::Server};
use tonic_types::{ErrorDetails, StatusExt};

/// Creates whatever it is told to, never finds anything, and takes for ever to update.
#[derive(Debug, Default, Clone)]
struct Fake {
    created: Arc<Mutex<Vec<(MetadataMap, CreateDocumentRequest)>>>,
}

fn place(metadata: &mut MetadataMap) {
    for (name, value) in [("fbs-database", "djo_acme_db"), ("fbs-placement", "DEDICATED"), ("fbs-epoch", "2")] {
        metadata.insert(name, value.parse().unwrap());
    }
}

#[tonic::async_trait]
impl DocumentService for Fake {
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
        let details = ErrorDetails::with_error_info("DOCUMENT_NOT_FOUND", ERROR_DOMAIN, HashMap::new());
        let mut status = Status::with_error_details(Code::NotFound, "no such document", details);
        place(status.metadata_mut());
        Err(status)
    }

    async fn list_documents(
        &self,
        _: Request<proto::ListDocumentsRequest>,
    ) -> Result<Response<proto::ListDocumentsResponse>, Status> {
        Err(Status::unimplemented(""))
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

    async fn undelete_document(
        &self,
        _: Request<proto::UndeleteDocumentRequest>,
    ) -> Result<Response<proto::UndeleteDocumentResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn submit_document(
        &self,
        _: Request<proto::SubmitDocumentRequest>,
    ) -> Result<Response<proto::SubmitDocumentResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn approve_document(
        &self,
        _: Request<proto::ApproveDocumentRequest>,
    ) -> Result<Response<proto::ApproveDocumentResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn reject_document(
        &self,
        _: Request<proto::RejectDocumentRequest>,
    ) -> Result<Response<proto::RejectDocumentResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn archive_document(
        &self,
        _: Request<proto::ArchiveDocumentRequest>,
    ) -> Result<Response<proto::ArchiveDocumentResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_document_transitions(
        &self,
        _: Request<proto::ListDocumentTransitionsRequest>,
    ) -> Result<Response<proto::ListDocumentTransitionsResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn search_documents(
        &self,
        _: Request<proto::SearchDocumentsRequest>,
    ) -> Result<Response<proto::SearchDocumentsResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_document_stats(
        &self,
        _: Request<proto::GetDocumentStatsRequest>,
    ) -> Result<Response<proto::GetDocumentStatsResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn batch_get_documents(
        &self,
        _: Request<proto::BatchGetDocumentsRequest>,
    ) -> Result<Response<proto::BatchGetDocumentsResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn batch_create_documents(
        &self,
        _: Request<proto::BatchCreateDocumentsRequest>,
    ) -> Result<Response<proto::BatchCreateDocumentsResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn put_document_type(
        &self,
        _: Request<proto::PutDocumentTypeRequest>,
    ) -> Result<Response<proto::PutDocumentTypeResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_document_types(
        &self,
        _: Request<proto::ListDocumentTypesRequest>,
    ) -> Result<Response<proto::ListDocumentTypesResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn upload_content(
        &self,
        _: Request<tonic::Streaming<proto::UploadContentRequest>>,
    ) -> Result<Response<proto::UploadContentResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    type DownloadContentStream = tokio_stream::Empty<Result<proto::DownloadContentResponse, Status>>;

    async fn download_content(
        &self,
        _: Request<proto::DownloadContentRequest>,
    ) -> Result<Response<Self::DownloadContentStream>, Status> {
        Err(Status::unimplemented(""))
    }
}

/// A client over a unix socket; the service ends with the runtime of the test.
async fn connected(fake: Fake) -> (Client, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("router.sock");
    let incoming = UnixListenerStream::new(UnixListener::bind(&socket).unwrap());
    tokio::spawn(Server::builder().add_service(DocumentServiceServer::new(fake)).serve_with_incoming(incoming));
    let client = Client::connect(format!("unix:{}", socket.display())).await.unwrap();
    (client, folder)
}

#[tokio::test]
async fn a_mutation_carries_its_solution_a_deadline_and_a_request_id_of_its_own() {
    let fake = Fake::default();
    let (client, _folder) = connected(fake.clone()).await;
    let documents = client.solution("acme_corp");
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
        assert!(metadata.get("user-agent").unwrap().to_str().unwrap().starts_with("fbs-router-client/"));
    }
}

#[tokio::test]
async fn a_request_for_another_solution_never_leaves() {
    let fake = Fake::default();
    let (client, _folder) = connected(fake.clone()).await;
    let request = CreateDocumentRequest { solution: "globex".into(), ..Default::default() };
    let error = client.solution("acme_corp").create(request).await.unwrap_err();
    assert_eq!((error.kind(), error.field_violations()[0].field.as_str()), (ErrorKind::InvalidArgument, "solution"));
    assert!(fake.created.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_error_tells_its_reason_and_the_database_it_came_from() {
    let (client, _folder) = connected(Fake::default()).await;
    let error = client.solution("acme_corp").get("some-id").await.unwrap_err();
    assert_eq!(error.reason(), Some(ErrorReason::DocumentNotFound));
    assert_eq!(error.served().unwrap().database, "djo_acme_db");
    assert!(!error.retryable());
}

#[tokio::test]
async fn a_call_ends_with_its_deadline_and_tells_how_to_repeat_it() {
    let (client, _folder) = connected(Fake::default()).await;
    let impatient = client.with_deadline(Duration::from_millis(100));
    let error = impatient.solution("acme_corp").update(UpdateDocumentRequest::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
    assert_eq!(error.request_id().map(str::len), Some(36));
}

#[tokio::test]
async fn a_reply_without_its_document_is_not_taken_for_one() {
    let (client, _folder) = connected(Fake::default()).await;
    let error = client.solution("acme_corp").delete("some-id").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Reply);
}
