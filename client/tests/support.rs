//! A service that does what a test tells it to, over a socket that really speaks gRPC.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use fbs_router_client::{Builder, Client};
use fbs_router_proto::{
    ERROR_DOMAIN,
    document::v1::{
        self as proto,
        document_service_server::{DocumentService, DocumentServiceServer},
    },
};
use futures_util::stream::BoxStream;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Code, Request, Response, Status, Streaming,
    metadata::MetadataMap,
    service::Routes,
    transport::{Server, ServerTlsConfig},
};
use tonic_types::{ErrorDetails, StatusExt};

/// What a download answers with.
pub type Frames = BoxStream<'static, Result<proto::DownloadContentResponse, Status>>;

macro_rules! scripted {
    ($($method:ident($request:ty) -> $response:ty;)*) => {
        /// What the service does; unless told otherwise, nothing.
        #[tonic::async_trait]
        pub trait Script: Send + Sync + 'static {
            $(
                async fn $method(&self, _: Request<$request>) -> Result<Response<$response>, Status> {
                    Err(Status::unimplemented(stringify!($method)))
                }
            )*
        }

        #[tonic::async_trait]
        impl<S: Script> DocumentService for Scripted<S> {
            type DownloadContentStream = Frames;

            $(
                async fn $method(&self, request: Request<$request>) -> Result<Response<$response>, Status> {
                    self.0.$method(request).await
                }
            )*
        }
    };
}

/// A script as a service.
#[derive(Debug)]
pub struct Scripted<S>(Arc<S>);

scripted! {
    create_document(proto::CreateDocumentRequest) -> proto::CreateDocumentResponse;
    get_document(proto::GetDocumentRequest) -> proto::GetDocumentResponse;
    list_documents(proto::ListDocumentsRequest) -> proto::ListDocumentsResponse;
    update_document(proto::UpdateDocumentRequest) -> proto::UpdateDocumentResponse;
    delete_document(proto::DeleteDocumentRequest) -> proto::DeleteDocumentResponse;
    undelete_document(proto::UndeleteDocumentRequest) -> proto::UndeleteDocumentResponse;
    submit_document(proto::SubmitDocumentRequest) -> proto::SubmitDocumentResponse;
    approve_document(proto::ApproveDocumentRequest) -> proto::ApproveDocumentResponse;
    reject_document(proto::RejectDocumentRequest) -> proto::RejectDocumentResponse;
    archive_document(proto::ArchiveDocumentRequest) -> proto::ArchiveDocumentResponse;
    list_document_transitions(proto::ListDocumentTransitionsRequest) -> proto::ListDocumentTransitionsResponse;
    search_documents(proto::SearchDocumentsRequest) -> proto::SearchDocumentsResponse;
    get_document_stats(proto::GetDocumentStatsRequest) -> proto::GetDocumentStatsResponse;
    batch_get_documents(proto::BatchGetDocumentsRequest) -> proto::BatchGetDocumentsResponse;
    batch_create_documents(proto::BatchCreateDocumentsRequest) -> proto::BatchCreateDocumentsResponse;
    put_document_type(proto::PutDocumentTypeRequest) -> proto::PutDocumentTypeResponse;
    list_document_types(proto::ListDocumentTypesRequest) -> proto::ListDocumentTypesResponse;
    upload_content(Streaming<proto::UploadContentRequest>) -> proto::UploadContentResponse;
    download_content(proto::DownloadContentRequest) -> Frames;
}

/// A running service, on a runtime of its own: dropping it cuts all of its connections at once.
#[derive(Debug)]
pub struct Service {
    pub port: u16,
    /// By what name it was called, call by call.
    pub called: Arc<Mutex<Vec<String>>>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Service {
    pub fn start(script: Arc<impl Script>) -> Self {
        Self::on(0, script, None)
    }

    pub fn with_tls(script: Arc<impl Script>, tls: ServerTlsConfig) -> Self {
        Self::on(0, script, Some(tls))
    }

    /// On a port that is free, or on one where a service was before.
    pub fn on(port: u16, script: Arc<impl Script>, tls: Option<ServerTlsConfig>) -> Self {
        Self::serving(port, Routes::new(DocumentServiceServer::new(Scripted(script))), tls)
    }

    /// Any services at all.
    pub fn serving(port: u16, routes: Routes, tls: Option<ServerTlsConfig>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let called = Arc::<Mutex<Vec<String>>>::default();
        let names = Arc::clone(&called);
        runtime.spawn(async move {
            let incoming = TcpListenerStream::new(TcpListener::from_std(listener).unwrap());
            let mut server = Server::builder().trace_fn(move |request| {
                names.lock().unwrap().push(request.uri().authority().unwrap().to_string());
                tracing::Span::none()
            });
            if let Some(tls) = tls {
                server = server.tls_config(tls).unwrap();
            }
            server.add_routes(routes).serve_with_incoming(incoming).await.unwrap();
        });
        Self { port, called, runtime: Some(runtime) }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub async fn client(&self) -> Client {
        self.client_with(Client::builder()).await
    }

    pub async fn client_with(&self, builder: Builder) -> Client {
        builder.connect(self.url()).await.unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // On a thread of its own, because a runtime may not wait for another; waited for, so that the port is free.
            let gone = std::thread::spawn(move || runtime.shutdown_timeout(Duration::from_secs(5)));
            gone.join().unwrap();
        }
    }
}

/// An error as the service makes them.
pub fn failure(code: Code, reason: &str, retry_after: Option<Duration>) -> Status {
    let mut details = ErrorDetails::with_error_info(reason, ERROR_DOMAIN, HashMap::new());
    if retry_after.is_some() {
        details.set_retry_info(retry_after);
    }
    Status::with_error_details(code, "for people", details)
}

/// Down, and willing to be asked again at once.
pub fn unavailable() -> Status {
    failure(Code::Unavailable, "DATABASE_UNAVAILABLE", Some(Duration::ZERO))
}

/// Says which database served.
pub fn place(metadata: &mut MetadataMap) {
    for (name, value) in [("fbs-database", "djo_acme_db"), ("fbs-placement", "DEDICATED"), ("fbs-epoch", "2")] {
        metadata.insert(name, value.parse().unwrap());
    }
}

/// Waits, with a bound, until something is so.
pub async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(10), wait).await.is_ok(), "never: {what}");
}

/// A port where nobody is.
pub fn dead_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
