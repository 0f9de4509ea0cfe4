//! What the requests for documents have in common.

use fbs_router_proto::document::v1::{
    ApproveDocumentRequest, ArchiveDocumentRequest, BatchCreateDocumentsRequest, BatchGetDocumentsRequest,
    CreateDocumentRequest, DeleteDocumentRequest, DownloadContentRequest, GetDocumentRequest, GetDocumentStatsRequest,
    ListDocumentTransitionsRequest, ListDocumentTypesRequest, ListDocumentsRequest, PutDocumentTypeRequest,
    RejectDocumentRequest, SearchDocumentsRequest, SubmitDocumentRequest, UndeleteDocumentRequest,
    UpdateDocumentRequest, upload_content_request::Header,
};

/// A request for a solution's documents.
pub(crate) trait Addressed {
    fn solution(&mut self) -> &mut String;

    /// What makes it safe to repeat; none for a question, which is safe anyway.
    fn request_id(&mut self) -> Option<&mut String>;

    /// On whose behalf something is changed; none for a question.
    fn actor(&mut self) -> Option<&mut String>;
}

macro_rules! questions {
    ($($request:ident),* $(,)?) => {$(
        impl Addressed for $request {
            fn solution(&mut self) -> &mut String {
                &mut self.solution
            }
            fn request_id(&mut self) -> Option<&mut String> {
                None
            }
            fn actor(&mut self) -> Option<&mut String> {
                None
            }
        }
    )*};
}

macro_rules! changes {
    ($($request:ident),* $(,)?) => {$(
        impl Addressed for $request {
            fn solution(&mut self) -> &mut String {
                &mut self.solution
            }
            fn request_id(&mut self) -> Option<&mut String> {
                Some(&mut self.request_id)
            }
            fn actor(&mut self) -> Option<&mut String> {
                Some(&mut self.actor)
            }
        }
    )*};
}

questions! {
    GetDocumentRequest, ListDocumentsRequest, ListDocumentTransitionsRequest, SearchDocumentsRequest,
    GetDocumentStatsRequest, BatchGetDocumentsRequest, ListDocumentTypesRequest, DownloadContentRequest,
}

changes! {
    CreateDocumentRequest, UpdateDocumentRequest, DeleteDocumentRequest, UndeleteDocumentRequest, SubmitDocumentRequest,
    ApproveDocumentRequest, RejectDocumentRequest, ArchiveDocumentRequest, BatchCreateDocumentsRequest,
    PutDocumentTypeRequest, Header,
}
