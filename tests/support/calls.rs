//! Calls as tests make them: a deadline on each, and answers that say where they came from.

use std::time::Duration;

use fbs_router_proto::{
    document::v1::{CreateDocumentRequest, Document, GetDocumentRequest, ListDocumentsRequest},
    router::v1::{ExplainRouteRequest, ExplainRouteResponse, ResolveDatabaseRequest, Route},
};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use super::Replica;

/// Longer than any fault should need.
const DEADLINE: Duration = Duration::from_secs(5);

/// A message and the headers that say where it was served from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answered<T> {
    pub(crate) message: T,
    pub(crate) database: String,
    pub(crate) placement: String,
    pub(crate) epoch: i64,
}

/// A document worth creating.
pub(crate) fn draft(name: &str) -> Document {
    Document { name: name.into(), title: format!("About {name}"), ..Document::default() }
}

/// A request with the tests' deadline.
pub(crate) fn within<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(DEADLINE);
    request
}

/// Code and reason of an error.
pub(crate) fn reason(status: &Status) -> (Code, String) {
    let info = status.get_details_error_info();
    if let Some(info) = &info {
        assert_eq!(info.domain, "fbs.router");
    }
    (status.code(), info.map(|info| info.reason).unwrap_or_default())
}

/// Whether no answer came: the transport made the status, with whatever code it finds for how the connection ended.
pub(crate) fn unanswered(status: &Status) -> bool {
    std::error::Error::source(status).is_some()
}

/// Code and reason as tests write them.
pub(crate) fn failure(code: Code, reason: &str) -> (Code, String) {
    (code, reason.to_owned())
}

impl Replica {
    /// The route of the documents app.
    pub(crate) async fn resolve(&self, solution: &str) -> Result<Route, (Code, String)> {
        self.resolve_app(solution, "").await
    }

    /// The route of an app.
    pub(crate) async fn resolve_app(&self, solution: &str, app: &str) -> Result<Route, (Code, String)> {
        let request =
            ResolveDatabaseRequest { solution: solution.into(), app: app.into(), ..ResolveDatabaseRequest::default() };
        let answer = self.routes().resolve_database(within(request)).await;
        answer.map(|answer| answer.into_inner().route.unwrap()).map_err(|status| reason(&status))
    }

    /// Placement and database of the documents app, such as `DEDICATED djo_acme_corp_db`.
    pub(crate) async fn place(&self, solution: &str) -> Result<String, (Code, String)> {
        self.resolve(solution).await.map(|route| {
            let placement = route.placement().as_str_name().trim_start_matches("PLACEMENT_");
            format!("{placement} {}", route.database.clone().unwrap().name)
        })
    }

    /// How a route is decided.
    pub(crate) async fn explain(&self, solution: &str) -> ExplainRouteResponse {
        let request = ResolveDatabaseRequest { solution: solution.into(), ..ResolveDatabaseRequest::default() };
        self.routes().explain_route(within(ExplainRouteRequest { request: Some(request) })).await.unwrap().into_inner()
    }

    /// Creates a document.
    pub(crate) async fn create(&self, solution: &str, name: &str) -> Result<Answered<Document>, (Code, String)> {
        let request = CreateDocumentRequest {
            solution: solution.into(),
            document: Some(draft(name)),
            ..CreateDocumentRequest::default()
        };
        self.create_with(request).await
    }

    /// Creates a document as the request says.
    pub(crate) async fn create_with(
        &self,
        request: CreateDocumentRequest,
    ) -> Result<Answered<Document>, (Code, String)> {
        let answer = self.documents().create_document(within(request)).await;
        answer.map(|answer| answered(answer, |message| message.document.unwrap())).map_err(|status| reason(&status))
    }

    /// Reads a document.
    pub(crate) async fn get(&self, solution: &str, document_id: &str) -> Result<Answered<Document>, (Code, String)> {
        let request = GetDocumentRequest {
            solution: solution.into(),
            document_id: document_id.into(),
            ..GetDocumentRequest::default()
        };
        let answer = self.documents().get_document(within(request)).await;
        answer.map(|answer| answered(answer, |message| message.document.unwrap())).map_err(|status| reason(&status))
    }

    /// The names of a solution's documents, newest first.
    pub(crate) async fn names(&self, solution: &str) -> Result<Vec<String>, (Code, String)> {
        let request = ListDocumentsRequest { solution: solution.into(), ..ListDocumentsRequest::default() };
        let answer = self.documents().list_documents(within(request)).await;
        answer
            .map(|answer| answer.into_inner().documents.into_iter().map(|document| document.name).collect())
            .map_err(|status| reason(&status))
    }
}

impl Replica {
    /// Create, Get and List of a solution: the database that served each, or why none did.
    pub(crate) async fn calls(&self, solution: &str, document_id: &str) -> [Result<String, (Code, String)>; 3] {
        let create = async { self.create(solution, "another").await.map(|answer| answer.database) };
        let get = async { self.get(solution, document_id).await.map(|answer| answer.database) };
        let list = async {
            let request = ListDocumentsRequest { solution: solution.into(), ..ListDocumentsRequest::default() };
            let answer = self.documents().list_documents(within(request)).await;
            answer.map(|answer| answered(answer, |_| ()).database).map_err(|status| reason(&status))
        };
        let (create, get, list) = tokio::join!(create, get, list);
        [create, get, list]
    }

    /// As [`Self::create`], safe to repeat.
    pub(crate) async fn create_once(
        &self,
        solution: &str,
        name: &str,
        request_id: uuid::Uuid,
    ) -> Result<Answered<Document>, (Code, String)> {
        self.create_with(one(solution, name, request_id)).await
    }
}

/// A document to be created once, however often it is asked for.
pub(crate) fn one(solution: &str, name: &str, request_id: uuid::Uuid) -> CreateDocumentRequest {
    CreateDocumentRequest {
        solution: solution.into(),
        document: Some(draft(name)),
        request_id: request_id.to_string(),
        ..CreateDocumentRequest::default()
    }
}

/// An answer with its headers.
pub(crate) fn answered<M, T>(answer: tonic::Response<M>, take: impl FnOnce(M) -> T) -> Answered<T> {
    let header = |name: &str| {
        answer.metadata().get(name).unwrap_or_else(|| panic!("{name} is missing")).to_str().unwrap().to_owned()
    };
    let (database, placement) = (header("fbs-database"), header("fbs-placement"));
    let epoch = header("fbs-epoch").parse().unwrap();
    Answered { message: take(answer.into_inner()), database, placement, epoch }
}
