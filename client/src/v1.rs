//! The messages of the contract: `fbs.router.v1`, `fbs.document.v1` and `fbs.admin.v1`, in one module.
//!
//! What a field means is said at the field. Every message is listed here, so that nothing of the transport (the
//! generated stubs and servers) is published by accident, and a message that is new in the contract is a decision.

pub use fbs_router_proto::admin::v1::{
    AcceptServerRequest, AcceptServerResponse, MoveSolutionRequest, MoveSolutionResponse, RefreshRoutesRequest,
    RefreshRoutesResponse, RegisterSolutionRequest, RegisterSolutionResponse, ReleaseSolutionRequest,
    ReleaseSolutionResponse, RemoveServerRequest, RemoveServerResponse, move_solution_response,
};
pub use fbs_router_proto::document::v1::{
    ApproveDocumentRequest, ApproveDocumentResponse, ArchiveDocumentRequest, ArchiveDocumentResponse,
    BatchCreateDocumentsRequest, BatchCreateDocumentsResponse, BatchGetDocumentsRequest, BatchGetDocumentsResponse,
    Confidentiality, Content, CreateDocumentRequest, CreateDocumentResponse, DeleteDocumentRequest,
    DeleteDocumentResponse, Document, DocumentFilter, DocumentTransition, DocumentType, DownloadContentRequest,
    DownloadContentResponse, GetDocumentRequest, GetDocumentResponse, GetDocumentStatsRequest,
    GetDocumentStatsResponse, ListDocumentTransitionsRequest, ListDocumentTransitionsResponse,
    ListDocumentTypesRequest, ListDocumentTypesResponse, ListDocumentsRequest, ListDocumentsResponse,
    PutDocumentTypeRequest, PutDocumentTypeResponse, RejectDocumentRequest, RejectDocumentResponse,
    SearchDocumentsRequest, SearchDocumentsResponse, SubmitDocumentRequest, SubmitDocumentResponse,
    UndeleteDocumentRequest, UndeleteDocumentResponse, UpdateDocumentRequest, UpdateDocumentResponse,
    UploadContentRequest, UploadContentResponse, document, download_content_response, search_documents_response,
    upload_content_request,
};
pub use fbs_router_proto::router::v1::{
    BatchResolveDatabasesRequest, BatchResolveDatabasesResponse, Candidate, Database, ErrorReason, ExplainRouteRequest,
    ExplainRouteResponse, ListDatabasesRequest, ListDatabasesResponse, ListSolutionsRequest, ListSolutionsResponse,
    Placement, ResolveDatabaseRequest, ResolveDatabaseResponse, ResolveResult, Route, Solution, candidate,
    explain_route_response, list_databases_response, resolve_result, route,
};
