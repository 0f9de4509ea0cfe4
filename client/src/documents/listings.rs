//! Lists, searches and counts of a solution's documents: a page at a time, or as a stream.

use fbs_router_proto::document::v1::{
    Document, DocumentTransition, DocumentType, GetDocumentStatsRequest, GetDocumentStatsResponse,
    ListDocumentTransitionsRequest, ListDocumentTransitionsResponse, ListDocumentTypesRequest,
    ListDocumentTypesResponse, ListDocumentsRequest, ListDocumentsResponse, SearchDocumentsRequest,
    SearchDocumentsResponse, search_documents_response,
};

use super::{Documents, Stub};
use crate::{
    Answer, Ask, Error, Listing,
    pages::{entries, pages},
};

// === impl Documents: a page at a time ===

/// Pages: the next one is the same request with `page_token` set to this page's `next_page_token`, until that is
/// empty.
impl Documents {
    /// One page of documents, newest first unless ordered otherwise: of all (`()`), of a filter, of a whole request.
    ///
    /// Cancel safety: only reads.
    pub async fn list(&self, request: impl Ask<ListDocumentsRequest>) -> Result<Answer<ListDocumentsResponse>, Error> {
        let send = |mut stub: Stub, request| async move { stub.list_documents(request).await };
        self.call("ListDocuments", request.ask(), send).await
    }

    /// One page of what happened to a document, oldest first.
    ///
    /// Cancel safety: only reads.
    pub async fn transitions(
        &self,
        request: impl Ask<ListDocumentTransitionsRequest>,
    ) -> Result<Answer<ListDocumentTransitionsResponse>, Error> {
        let send = |mut stub: Stub, request| async move { stub.list_document_transitions(request).await };
        self.call("ListDocumentTransitions", request.ask(), send).await
    }

    /// One page of what a search finds, best first.
    ///
    /// Cancel safety: only reads.
    pub async fn search(
        &self,
        request: impl Ask<SearchDocumentsRequest>,
    ) -> Result<Answer<SearchDocumentsResponse>, Error> {
        let send = |mut stub: Stub, request| async move { stub.search_documents(request).await };
        self.call("SearchDocuments", request.ask(), send).await
    }

    /// One page of the document types that were defined.
    ///
    /// Cancel safety: only reads.
    pub async fn types(
        &self,
        request: impl Ask<ListDocumentTypesRequest>,
    ) -> Result<Answer<ListDocumentTypesResponse>, Error> {
        let send = |mut stub: Stub, request| async move { stub.list_document_types(request).await };
        self.call("ListDocumentTypes", request.ask(), send).await
    }

    /// Counts by state, type and category: `stats(())`.
    ///
    /// Cancel safety: only reads.
    pub async fn stats(
        &self,
        request: impl Ask<GetDocumentStatsRequest>,
    ) -> Result<Answer<GetDocumentStatsResponse>, Error> {
        let send = |mut stub: Stub, request| async move { stub.get_document_stats(request).await };
        self.call("GetDocumentStats", request.ask(), send).await
    }
}

// === impl Documents: as streams ===

/// Streams: each page is a call of its own, with the deadline and the retries of one.
impl Documents {
    /// All documents that [`list`](Self::list) would show, page after page.
    pub fn all(&self, request: impl Ask<ListDocumentsRequest>) -> Listing<Document> {
        entries(self.pages(request))
    }

    /// The pages themselves: with the database that served each, and a token to go on from later.
    pub fn pages(&self, request: impl Ask<ListDocumentsRequest>) -> Listing<Answer<ListDocumentsResponse>> {
        let documents = self.clone();
        pages(request.ask(), move |request| {
            let documents = documents.clone();
            async move { documents.list(request).await }
        })
    }

    /// All that happened to a document, oldest first.
    pub fn all_transitions(&self, request: impl Ask<ListDocumentTransitionsRequest>) -> Listing<DocumentTransition> {
        let documents = self.clone();
        entries(pages(request.ask(), move |request| {
            let documents = documents.clone();
            async move { documents.transitions(request).await }
        }))
    }

    /// All that a search finds, best first.
    pub fn search_all(&self, request: impl Ask<SearchDocumentsRequest>) -> Listing<search_documents_response::Result> {
        let documents = self.clone();
        entries(pages(request.ask(), move |request| {
            let documents = documents.clone();
            async move { documents.search(request).await }
        }))
    }

    /// All document types that were defined.
    pub fn all_types(&self, request: impl Ask<ListDocumentTypesRequest>) -> Listing<DocumentType> {
        let documents = self.clone();
        entries(pages(request.ask(), move |request| {
            let documents = documents.clone();
            async move { documents.types(request).await }
        }))
    }
}
