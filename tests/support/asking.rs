//! Every document RPC in one line, and refusals that are looked at closely.

use fbs_router_proto::{
    ERROR_DOMAIN,
    document::v1::{
        ApproveDocumentRequest, ArchiveDocumentRequest, CreateDocumentRequest, DeleteDocumentRequest, Document,
        DocumentType, GetDocumentRequest, ListDocumentsRequest, ListDocumentsResponse, PutDocumentTypeRequest,
        RejectDocumentRequest, SubmitDocumentRequest, UndeleteDocumentRequest, UpdateDocumentRequest,
    },
};
use prost::Message;
use tonic::{Code, Status};
use tonic_types::pb;

use super::{Replica, World, draft, within};

/// Code and reason of an error.
pub(crate) type Refusal = (Code, String);

/// Code and reason of an error the service made: exactly one `ErrorInfo`, of our domain.
pub(crate) fn refusal(status: &Status) -> Refusal {
    let details = pb::Status::decode(status.details()).expect("details").details;
    let infos: Vec<pb::ErrorInfo> = details
        .iter()
        .filter(|detail| detail.type_url.ends_with("/google.rpc.ErrorInfo"))
        .map(|detail| pb::ErrorInfo::decode(&*detail.value).unwrap())
        .collect();
    assert_eq!(infos.len(), 1, "exactly one ErrorInfo: {status:?}");
    assert_eq!(infos[0].domain, ERROR_DOMAIN);
    (status.code(), infos[0].reason.clone())
}

/// The fields that `BadRequest` names, in order.
pub(crate) fn violated(status: &Status) -> Vec<String> {
    use tonic_types::StatusExt;
    let details = status.get_details_bad_request().expect("a BadRequest");
    details.field_violations.into_iter().map(|violation| violation.field).collect()
}

/// A request to create that document.
pub(crate) fn creation(solution: &str, document: Document) -> CreateDocumentRequest {
    CreateDocumentRequest { solution: solution.into(), document: Some(document), ..CreateDocumentRequest::default() }
}

/// A request to change the named fields.
pub(crate) fn change(solution: &str, document_id: &str, document: Document, mask: &[&str]) -> UpdateDocumentRequest {
    UpdateDocumentRequest {
        solution: solution.into(),
        document_id: document_id.into(),
        document: Some(document),
        update_mask: Some(prost_types::FieldMask { paths: mask.iter().map(|path| (*path).to_owned()).collect() }),
        ..UpdateDocumentRequest::default()
    }
}

/// A request to change the title.
pub(crate) fn retitle(solution: &str, document_id: &str, title: &str) -> UpdateDocumentRequest {
    change(solution, document_id, Document { title: title.into(), ..Document::default() }, &["title"])
}

/// A request to delete.
pub(crate) fn deletion(solution: &str, document_id: &str) -> DeleteDocumentRequest {
    DeleteDocumentRequest {
        solution: solution.into(),
        document_id: document_id.into(),
        ..DeleteDocumentRequest::default()
    }
}

/// A request to take a delete back.
pub(crate) fn undeletion(solution: &str, document_id: &str) -> UndeleteDocumentRequest {
    UndeleteDocumentRequest {
        solution: solution.into(),
        document_id: document_id.into(),
        ..UndeleteDocumentRequest::default()
    }
}

/// A request to hand in for approval.
pub(crate) fn submission(solution: &str, document_id: &str) -> SubmitDocumentRequest {
    SubmitDocumentRequest { solution: solution.into(), document_id: document_id.into(), ..Default::default() }
}

/// A request to approve what was read.
pub(crate) fn approval(document: &Document, actor: &str) -> ApproveDocumentRequest {
    ApproveDocumentRequest {
        solution: document.solution.clone(),
        document_id: document.document_id.clone(),
        etag: document.etag.clone(),
        actor: actor.into(),
        ..Default::default()
    }
}

/// A request to reject what was read.
pub(crate) fn rejection(document: &Document, comment: &str) -> RejectDocumentRequest {
    RejectDocumentRequest {
        solution: document.solution.clone(),
        document_id: document.document_id.clone(),
        etag: document.etag.clone(),
        comment: comment.into(),
        ..Default::default()
    }
}

/// A request to close for good.
pub(crate) fn archival(solution: &str, document_id: &str) -> ArchiveDocumentRequest {
    ArchiveDocumentRequest { solution: solution.into(), document_id: document_id.into(), ..Default::default() }
}

/// A request to define a type.
pub(crate) fn definition(solution: &str, document_type: DocumentType) -> PutDocumentTypeRequest {
    PutDocumentTypeRequest { solution: solution.into(), document_type: Some(document_type), ..Default::default() }
}

/// A request for a page.
pub(crate) fn page(solution: &str, page_size: i32) -> ListDocumentsRequest {
    ListDocumentsRequest { solution: solution.into(), page_size, ..ListDocumentsRequest::default() }
}

/// A fresh request id.
pub(crate) fn request_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

macro_rules! ask {
    ($name:ident, $method:ident, $request:ty) => {
        #[doc = concat!("`", stringify!($method), "`, as the request says.")]
        pub(crate) async fn $name(&self, request: $request) -> Result<Document, Refusal> {
            let answer = self.documents().$method(within(request)).await;
            answer.map(|answer| answer.into_inner().document.unwrap()).map_err(|status| refusal(&status))
        }
    };
}

impl Replica {
    ask!(ask_create, create_document, CreateDocumentRequest);
    ask!(ask_get, get_document, GetDocumentRequest);
    ask!(ask_update, update_document, UpdateDocumentRequest);
    ask!(ask_delete, delete_document, DeleteDocumentRequest);
    ask!(ask_undelete, undelete_document, UndeleteDocumentRequest);
    ask!(ask_submit, submit_document, SubmitDocumentRequest);
    ask!(ask_approve, approve_document, ApproveDocumentRequest);
    ask!(ask_reject, reject_document, RejectDocumentRequest);
    ask!(ask_archive, archive_document, ArchiveDocumentRequest);

    /// Defines a type.
    pub(crate) async fn ask_put_type(&self, request: PutDocumentTypeRequest) -> Result<DocumentType, Refusal> {
        let answer = self.documents().put_document_type(within(request)).await;
        answer.map(|answer| answer.into_inner().document_type.unwrap()).map_err(|status| refusal(&status))
    }

    /// A document of that name.
    pub(crate) async fn make(&self, solution: &str, name: &str) -> Document {
        self.ask_create(creation(solution, draft(name))).await.unwrap()
    }

    /// The document as it is now.
    pub(crate) async fn read(&self, solution: &str, document_id: &str) -> Result<Document, Refusal> {
        self.ask_get(GetDocumentRequest {
            solution: solution.into(),
            document_id: document_id.into(),
            ..GetDocumentRequest::default()
        })
        .await
    }

    /// One page.
    pub(crate) async fn ask_page(&self, request: ListDocumentsRequest) -> Result<ListDocumentsResponse, Refusal> {
        let answer = self.documents().list_documents(within(request)).await;
        answer.map(tonic::Response::into_inner).map_err(|status| refusal(&status))
    }

    /// All pages. A token comes with every page but the last.
    pub(crate) async fn pages(&self, request: &ListDocumentsRequest) -> Vec<Vec<Document>> {
        let (mut request, mut pages) = (request.clone(), Vec::new());
        loop {
            let page = self.ask_page(request.clone()).await.unwrap();
            pages.push(page.documents);
            if page.next_page_token.is_empty() {
                return pages;
            }
            request.page_token = page.next_page_token;
        }
    }

    /// The names of all documents, in order.
    pub(crate) async fn listed(&self, request: &ListDocumentsRequest) -> Vec<String> {
        self.pages(request).await.into_iter().flatten().map(|document| document.name).collect()
    }
}

impl World {
    /// SQL as the superuser, in any database.
    pub(crate) async fn run(&self, database: &str, sql: &str) {
        self.platform.implementer().run(database, sql).await.unwrap();
    }

    /// One number, as the superuser.
    pub(crate) async fn count(&self, database: &str, sql: &str) -> i64 {
        self.platform.implementer().count(database, sql).await.unwrap()
    }

    /// A connection as the runtime role, by the side of the service.
    pub(crate) async fn as_runtime_role(&self, database: &str) -> tokio_postgres::Client {
        let mut config = self.platform.cluster.superuser_config(database);
        config.user("fbs_router").password(fbs_router_sandbox::platform::PASSWORD);
        let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }
}
