//! What may be handed to a method: its request message, or the few things that matter in it.
//!
//! `documents.get("…id…")` and `documents.get(GetDocumentRequest { … })` are the same method. Closed to other
//! crates, so that new ways to ask can be added without breaking anybody.

use fbs_router_proto::{
    document::v1::{
        ApproveDocumentRequest, ArchiveDocumentRequest, BatchCreateDocumentsRequest, BatchGetDocumentsRequest,
        CreateDocumentRequest, DeleteDocumentRequest, Document, DocumentFilter, DocumentType, DownloadContentRequest,
        GetDocumentRequest, GetDocumentStatsRequest, ListDocumentTransitionsRequest, ListDocumentTypesRequest,
        ListDocumentsRequest, PutDocumentTypeRequest, RejectDocumentRequest, SearchDocumentsRequest,
        SubmitDocumentRequest, UndeleteDocumentRequest, UpdateDocumentRequest,
    },
    router::v1::{ListDatabasesRequest, ListSolutionsRequest, ResolveDatabaseRequest},
};

/// Turns into the request `R`. Each request message does, and what is enough for some of them:
///
/// | given | asks |
/// | --- | --- |
/// | a solution | where it lives |
/// | a document id | get, delete, undelete, submit, archive, transitions, download |
/// | `(id, etag)`, or the [`Document`] that was read | approve |
/// | `(id, etag, comment)`, or `(document, comment)` | reject |
/// | a [`Document`], several of them | create, create a batch |
/// | ids | get a batch |
/// | a [`DocumentFilter`] | list |
/// | text | search |
/// | a [`DocumentType`] | define it |
/// | `()` | what needs nothing: lists, statistics |
pub trait Ask<R>: sealed::Sealed<R> {
    /// The request.
    fn ask(self) -> R;
}

mod sealed {
    /// Keeps `Ask` closed.
    pub trait Sealed<R> {}
}

/// `given => Request { how }`
macro_rules! ask {
    ($from:ty => $request:ident, $given:ident => { $($field:ident: $value:expr),* $(,)? }) => {
        impl sealed::Sealed<$request> for $from {}
        impl Ask<$request> for $from {
            fn ask(self) -> $request {
                let $given = self;
                $request { $($field: $value,)* ..Default::default() }
            }
        }
    };
}

/// Texts of all sorts `=> Request.field`
macro_rules! texts {
    ($($request:ident . $field:ident),* $(,)?) => {$(
        ask!(&str => $request, text => { $field: text.to_owned() });
        ask!(&String => $request, text => { $field: text.clone() });
        ask!(String => $request, text => { $field: text });
    )*};
}

macro_rules! itself {
    ($($request:ident),* $(,)?) => {$(
        impl sealed::Sealed<$request> for $request {}
        impl Ask<$request> for $request {
            fn ask(self) -> $request {
                self
            }
        }
    )*};
}

macro_rules! nothing {
    ($($request:ident),* $(,)?) => {$(
        impl sealed::Sealed<$request> for () {}
        impl Ask<$request> for () {
            fn ask(self) -> $request {
                $request::default()
            }
        }
    )*};
}

itself! {
    ResolveDatabaseRequest, ListSolutionsRequest, ListDatabasesRequest, CreateDocumentRequest, GetDocumentRequest,
    ListDocumentsRequest, UpdateDocumentRequest, DeleteDocumentRequest, UndeleteDocumentRequest, SubmitDocumentRequest,
    ApproveDocumentRequest, RejectDocumentRequest, ArchiveDocumentRequest, ListDocumentTransitionsRequest,
    SearchDocumentsRequest, GetDocumentStatsRequest, BatchGetDocumentsRequest, BatchCreateDocumentsRequest,
    PutDocumentTypeRequest, ListDocumentTypesRequest, DownloadContentRequest,
}

texts! {
    ResolveDatabaseRequest.solution,
    ListDatabasesRequest.app,
    GetDocumentRequest.document_id,
    DeleteDocumentRequest.document_id,
    UndeleteDocumentRequest.document_id,
    SubmitDocumentRequest.document_id,
    ArchiveDocumentRequest.document_id,
    ListDocumentTransitionsRequest.document_id,
    DownloadContentRequest.document_id,
    SearchDocumentsRequest.query,
}

nothing! {
    ListSolutionsRequest, ListDatabasesRequest, ListDocumentsRequest, ListDocumentTypesRequest, GetDocumentStatsRequest,
}

ask!(Document => CreateDocumentRequest, document => { document: Some(document) });
ask!(DocumentFilter => ListDocumentsRequest, filter => { filter: Some(filter) });
ask!(DocumentType => PutDocumentTypeRequest, kind => { document_type: Some(kind) });

ask!((&str, &str) => ApproveDocumentRequest, given => { document_id: given.0.to_owned(), etag: given.1.to_owned() });
ask!(&Document => ApproveDocumentRequest, read => { document_id: read.document_id.clone(), etag: read.etag.clone() });
ask!((&str, &str, &str) => RejectDocumentRequest, given => {
    document_id: given.0.to_owned(),
    etag: given.1.to_owned(),
    comment: given.2.to_owned(),
});
ask!((&Document, &str) => RejectDocumentRequest, given => {
    document_id: given.0.document_id.clone(),
    etag: given.0.etag.clone(),
    comment: given.1.to_owned(),
});

ask!(Vec<String> => BatchGetDocumentsRequest, ids => { document_ids: ids });
ask!(&[String] => BatchGetDocumentsRequest, ids => { document_ids: ids.to_vec() });
ask!(&[&str] => BatchGetDocumentsRequest, ids => { document_ids: ids.iter().copied().map(str::to_owned).collect() });
ask!(Vec<Document> => BatchCreateDocumentsRequest, documents => {
    requests: documents.into_iter().map(Ask::ask).collect(),
});
ask!(Vec<CreateDocumentRequest> => BatchCreateDocumentsRequest, requests => { requests: requests });

impl<const N: usize> sealed::Sealed<BatchGetDocumentsRequest> for [&str; N] {}
impl<const N: usize> Ask<BatchGetDocumentsRequest> for [&str; N] {
    fn ask(self) -> BatchGetDocumentsRequest {
        self.as_slice().ask()
    }
}
