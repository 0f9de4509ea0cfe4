//! Pages as a stream, and the entries on them.
//!
//! Invariant: no token is followed twice. A service that repeats one would otherwise be asked for ever.

use std::{
    collections::HashSet,
    fmt,
    future::Future,
    hash::{BuildHasher, RandomState},
    pin::Pin,
    task::{Context, Poll},
};

use fbs_router_proto::{
    document::v1::{
        Document, DocumentTransition, DocumentType, ListDocumentTransitionsRequest, ListDocumentTransitionsResponse,
        ListDocumentTypesRequest, ListDocumentTypesResponse, ListDocumentsRequest, ListDocumentsResponse,
        SearchDocumentsRequest, SearchDocumentsResponse, search_documents_response,
    },
    router::v1::{
        ListDatabasesRequest, ListDatabasesResponse, ListSolutionsRequest, ListSolutionsResponse, Solution,
        list_databases_response,
    },
};
use futures_util::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream, Stream},
};

use crate::{Answer, Error};

/// A listing as a stream: [`next`](Self::next) needs nothing imported, and it is a [`Stream`] for those who have
/// adapters for one. Asks nothing until it is read, and then no more than what is read needs. After an error it ends.
#[must_use = "asks nothing until it is read"]
pub struct Listing<T> {
    stream: BoxStream<'static, Result<T, Error>>,
}

// === impl Listing ===

impl<T> Listing<T> {
    /// The next entry; none after the last one and after an error.
    ///
    /// Cancel safety: nothing is lost; a page that was being fetched goes on being fetched at the next call.
    pub async fn next(&mut self) -> Option<Result<T, Error>> {
        self.stream.next().await
    }
}

impl<T> Stream for Listing<T> {
    type Item = Result<T, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.stream.poll_next_unpin(context)
    }
}

impl<T> fmt::Debug for Listing<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Listing").finish_non_exhaustive()
    }
}

/// A request for one page.
pub(crate) trait PageRequest: Clone + Send + 'static {
    fn page_token(&mut self) -> &mut String;
}

/// A page.
pub(crate) trait Page {
    type Item: Send + 'static;
    fn next_page_token(&self) -> &str;
    fn items(self) -> Vec<Self::Item>;
}

/// Where a listing is.
enum State<Q> {
    Next {
        request: Q,
        seen: HashSet<u64>,
    },
    /// The page before was the last one that can be had.
    Repeated,
    End,
}

/// The pages from `request` on.
pub(crate) fn pages<Q, P, F, Fut>(request: Q, fetch: F) -> Listing<Answer<P>>
where
    Q: PageRequest,
    P: Page + Send + 'static,
    F: Fn(Q) -> Fut + Send + 'static,
    Fut: Future<Output = Result<Answer<P>, Error>> + Send + 'static,
{
    // Hashes, not tokens: a listing of a million pages remembers 16 MB instead of its tokens.
    let seen = HashSet::<u64>::new();
    let hasher = RandomState::new();
    let stream = stream::try_unfold(State::Next { request, seen }, move |state| {
        let hasher = hasher.clone();
        let fetched = match state {
            State::Next { request, seen } => Ok(Some((fetch(request.clone()), request, seen))),
            State::Repeated => {
                Err(Error::reply("a page token that was given before, so that it never ends".to_owned()))
            }
            State::End => Ok(None),
        };
        async move {
            let Some((page, mut request, mut seen)) = fetched? else {
                return Ok(None);
            };
            seen.insert(hasher.hash_one(&*request.page_token()));
            let page = page.await?;
            let token = page.next_page_token();
            let state = if token.is_empty() {
                State::End
            } else if seen.contains(&hasher.hash_one(token)) {
                State::Repeated
            } else {
                token.clone_into(request.page_token());
                State::Next { request, seen }
            };
            Ok(Some((page, state)))
        }
    });
    Listing { stream: stream.boxed() }
}

/// The entries of the pages.
pub(crate) fn entries<P: Page + Send + 'static>(pages: Listing<Answer<P>>) -> Listing<P::Item> {
    let entries = |page: Answer<P>| stream::iter(page.into_message().items().into_iter().map(Ok));
    Listing { stream: pages.stream.map_ok(entries).try_flatten().boxed() }
}

/// `request => response . entries : Entry`
macro_rules! paged {
    ($($request:ident => $response:ident . $items:ident : $item:ty),* $(,)?) => {$(
        impl PageRequest for $request {
            fn page_token(&mut self) -> &mut String {
                &mut self.page_token
            }
        }
        impl Page for $response {
            type Item = $item;
            fn next_page_token(&self) -> &str {
                &self.next_page_token
            }
            fn items(self) -> Vec<$item> {
                self.$items
            }
        }
    )*};
}

paged! {
    ListDocumentsRequest => ListDocumentsResponse.documents: Document,
    ListDocumentTransitionsRequest => ListDocumentTransitionsResponse.transitions: DocumentTransition,
    ListDocumentTypesRequest => ListDocumentTypesResponse.document_types: DocumentType,
    SearchDocumentsRequest => SearchDocumentsResponse.results: search_documents_response::Result,
    ListSolutionsRequest => ListSolutionsResponse.solutions: Solution,
    ListDatabasesRequest => ListDatabasesResponse.entries: list_databases_response::Entry,
}
