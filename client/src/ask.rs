//! What may be handed to a method: its request message, or the one thing that matters in it.
//!
//! `documents.get("…id…")` and `documents.get(GetDocumentRequest { … })` are the same method. Closed to other
//! crates, so that new ways to ask can be added without breaking anybody.

use fbs_router_proto::{
    document::v1::{
        CreateDocumentRequest, DeleteDocumentRequest, Document, GetDocumentRequest, ListDocumentsRequest,
        UndeleteDocumentRequest, UpdateDocumentRequest,
    },
    router::v1::ResolveDatabaseRequest,
};

/// Turns into the request `R`. Each request message does; so does a solution for [`ResolveDatabaseRequest`], a
/// document for [`CreateDocumentRequest`], and a document id where nothing else is needed.
pub trait Ask<R>: sealed::Sealed<R> {
    /// The request.
    fn ask(self) -> R;
}

mod sealed {
    /// Keeps `Ask` closed.
    pub trait Sealed<R> {}
}

/// `text or texts => Request.field`
macro_rules! asks {
    ($($from:ty => $request:ident . $field:ident),* $(,)?) => {$(
        impl sealed::Sealed<$request> for $from {}
        impl Ask<$request> for $from {
            fn ask(self) -> $request {
                $request { $field: self.into(), ..Default::default() }
            }
        }
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

asks! {
    &str => ResolveDatabaseRequest.solution,
    String => ResolveDatabaseRequest.solution,
    &str => GetDocumentRequest.document_id,
    String => GetDocumentRequest.document_id,
    &str => DeleteDocumentRequest.document_id,
    String => DeleteDocumentRequest.document_id,
    &str => UndeleteDocumentRequest.document_id,
    String => UndeleteDocumentRequest.document_id,
    Document => CreateDocumentRequest.document,
}

itself! {
    ResolveDatabaseRequest, CreateDocumentRequest, GetDocumentRequest, ListDocumentsRequest, UpdateDocumentRequest,
    DeleteDocumentRequest, UndeleteDocumentRequest,
}
