//! What may be handed to a method: its request message, or the few things that matter in it.
//!
//! `documents.get("…id…")` and `documents.get(GetDocumentRequest { … })` are the same method. Closed to other
//! crates, so that new ways to ask can be added without breaking anybody.

use fbs_router_proto::{
    admin::v1::{
        AcceptServerRequest, MoveSolutionRequest, RefreshRoutesRequest, RegisterSolutionRequest,
        ReleaseSolutionRequest, RemoveServerRequest,
    },
    document::v1::{
        ApproveDocumentRequest, ArchiveDocumentRequest, BatchCreateDocumentsRequest, BatchGetDocumentsRequest,
        CreateDocumentRequest, DeleteDocumentRequest, Document, DocumentFilter, DocumentType, DownloadContentRequest,
        GetDocumentRequest, GetDocumentStatsRequest, ListDocumentTransitionsRequest, ListDocumentTypesRequest,
        ListDocumentsRequest, PutDocumentTypeRequest, RejectDocumentRequest, SearchDocumentsRequest,
        SubmitDocumentRequest, UndeleteDocumentRequest, UpdateDocumentRequest,
    },
    router::v1::{ListDatabasesRequest, ListSolutionsRequest, Placement, ResolveDatabaseRequest},
};

use crate::Answer;

#[cfg(test)]
mod tests;

/// Turns into the request `R`. Each request message does, and what is enough for some of them. A *text* is a `&str`,
/// `&String` or `String`, in a tuple anything that is `Into<String>`; a *read* document is a [`&Document`](Document)
/// or the `&Answer<Document>` that a method returned, and stands for its id and etag.
///
/// | given | to |
/// | --- | --- |
/// | text: a solution | [`resolve`](crate::Client::resolve), `batch_resolve`, `explain` |
/// | text: an app | [`databases`](crate::Client::databases), `all_databases` |
/// | text: a document id | `get`, `delete`, `undelete`, `submit`, `archive`, `transitions`, `download` of [`Documents`](crate::Documents) |
/// | `(id, etag)` | `approve`, `submit`, `archive`, `delete` |
/// | `(id, etag, comment)` | `reject` |
/// | read document, by its id and etag | `approve`, `submit`, `archive`, `delete`: refused if it was changed meanwhile |
/// | read document, by its id alone | `get`, `undelete`, `transitions`, `download` |
/// | `(read document, comment)` | `reject` |
/// | `Document`, `&Document` | `create` |
/// | `Vec<Document>`, `Vec<CreateDocumentRequest>` | `batch_create` |
/// | `Vec<String>`, `&Vec<String>`, `&[String]`, `[String; N]`, `&[&str]`, `[&str; N]` | `batch_get` |
/// | [`DocumentFilter`], `&DocumentFilter` | `list`, `all`, `pages` |
/// | text: a query; `(query, DocumentFilter)`, `(query, &DocumentFilter)` | `search`, `search_all` |
/// | [`DocumentType`] | `put_type` |
/// | text: a solution | [`register`](crate::Admin::register) |
/// | `(solution, Placement)` | [`move_solution`](crate::Admin::move_solution) |
/// | `(solution, confirm)`: the solution id twice | [`release`](crate::Admin::release) |
/// | `(server, system_identifier)` | [`accept_server`](crate::Admin::accept_server) |
/// | text: a server | [`remove_server`](crate::Admin::remove_server) |
/// | `()` | what needs nothing: `list`, `all`, `pages`, `types`, `all_types`, `stats`, `solutions`, `all_solutions`, `databases`, `all_databases`, `refresh_routes` |
///
/// `update` takes its whole request, which says what is changed.
pub trait Ask<R>: sealed::Sealed<R> {
    /// The request.
    fn ask(self) -> R;
}

mod sealed {
    /// Keeps `Ask` closed.
    pub trait Sealed<R> {}
}

/// `[generics] given => Request { how }`
macro_rules! ask {
    ([$($generics:tt)*] $from:ty => $request:ident, $given:ident => { $($field:ident: $value:expr),* $(,)? }) => {
        impl<$($generics)*> sealed::Sealed<$request> for $from {}
        impl<$($generics)*> Ask<$request> for $from {
            #[allow(clippy::needless_update, reason = "some requests have no other fields yet")]
            fn ask(self) -> $request {
                let $given = self;
                $request { $($field: $value,)* ..Default::default() }
            }
        }
    };
    ($from:ty => $($rest:tt)*) => {
        ask!([] $from => $($rest)*);
    };
}

/// `(id, etag) => Request`
macro_rules! etags {
    ($($request:ident),* $(,)?) => {$(
        ask!([I: Into<String>, E: Into<String>] (I, E) => $request, given => {
            document_id: given.0.into(),
            etag: given.1.into(),
        });
    )*};
}

/// A document that was read `=> Request { what it is asked by }`
macro_rules! read {
    ($($request:ident { $($field:ident),* }),* $(,)?) => {$(
        ask!(&Document => $request, read => { $($field: read.$field.clone()),* });
        ask!(&Answer<Document> => $request, read => { $($field: read.$field.clone()),* });
    )*};
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
    PutDocumentTypeRequest, ListDocumentTypesRequest, DownloadContentRequest, RegisterSolutionRequest,
    MoveSolutionRequest, ReleaseSolutionRequest, AcceptServerRequest, RemoveServerRequest, RefreshRoutesRequest,
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
    RegisterSolutionRequest.solution,
    RemoveServerRequest.server,
}

nothing! {
    ListSolutionsRequest, ListDatabasesRequest, ListDocumentsRequest, ListDocumentTypesRequest, GetDocumentStatsRequest,
    RefreshRoutesRequest,
}

ask!(Document => CreateDocumentRequest, document => { document: Some(document) });
ask!(&Document => CreateDocumentRequest, document => { document: Some(document.clone()) });
ask!(DocumentFilter => ListDocumentsRequest, filter => { filter: Some(filter) });
ask!(&DocumentFilter => ListDocumentsRequest, filter => { filter: Some(filter.clone()) });
ask!(DocumentType => PutDocumentTypeRequest, kind => { document_type: Some(kind) });

etags! { ApproveDocumentRequest, SubmitDocumentRequest, ArchiveDocumentRequest, DeleteDocumentRequest }

read! {
    ApproveDocumentRequest { document_id, etag },
    SubmitDocumentRequest { document_id, etag },
    ArchiveDocumentRequest { document_id, etag },
    DeleteDocumentRequest { document_id, etag },
    GetDocumentRequest { document_id },
    UndeleteDocumentRequest { document_id },
    ListDocumentTransitionsRequest { document_id },
    DownloadContentRequest { document_id },
}

ask!([I: Into<String>, E: Into<String>, C: Into<String>] (I, E, C) => RejectDocumentRequest, given => {
    document_id: given.0.into(),
    etag: given.1.into(),
    comment: given.2.into(),
});
ask!([C: Into<String>] (&Document, C) => RejectDocumentRequest, given => {
    document_id: given.0.document_id.clone(),
    etag: given.0.etag.clone(),
    comment: given.1.into(),
});
ask!([C: Into<String>] (&Answer<Document>, C) => RejectDocumentRequest, given => {
    document_id: given.0.document_id.clone(),
    etag: given.0.etag.clone(),
    comment: given.1.into(),
});

ask!([Q: Into<String>] (Q, DocumentFilter) => SearchDocumentsRequest, given => {
    query: given.0.into(),
    filter: Some(given.1),
});
ask!([Q: Into<String>] (Q, &DocumentFilter) => SearchDocumentsRequest, given => {
    query: given.0.into(),
    filter: Some(given.1.clone()),
});

ask!(Vec<String> => BatchGetDocumentsRequest, ids => { document_ids: ids });
ask!(&Vec<String> => BatchGetDocumentsRequest, ids => { document_ids: ids.clone() });
ask!(&[String] => BatchGetDocumentsRequest, ids => { document_ids: ids.to_vec() });
ask!([const N: usize] [String; N] => BatchGetDocumentsRequest, ids => { document_ids: ids.into() });
ask!(&[&str] => BatchGetDocumentsRequest, ids => { document_ids: ids.iter().copied().map(str::to_owned).collect() });
ask!([const N: usize] [&str; N] => BatchGetDocumentsRequest, ids => { document_ids: ids.map(str::to_owned).into() });
ask!(Vec<Document> => BatchCreateDocumentsRequest, documents => {
    requests: documents.into_iter().map(Ask::ask).collect(),
});
ask!(Vec<CreateDocumentRequest> => BatchCreateDocumentsRequest, requests => { requests: requests });

ask!([S: Into<String>] (S, Placement) => MoveSolutionRequest, given => {
    solution: given.0.into(),
    to: given.1.into(),
});
ask!([S: Into<String>, C: Into<String>] (S, C) => ReleaseSolutionRequest, given => {
    solution: given.0.into(),
    confirm: given.1.into(),
});
ask!([S: Into<String>] (S, u64) => AcceptServerRequest, given => {
    server: given.0.into(),
    system_identifier: given.1,
});
