//! Listings as streams.

use std::sync::{Arc, Mutex};

use fbs_router_client::{
    ErrorKind,
    v1::{Document, DocumentFilter, ListDocumentsRequest},
};
use fbs_router_proto::document::v1 as proto;
use futures_util::TryStreamExt;
use tonic::{Code, Request, Response, Status};

use crate::support::{Script, Service, failure, place};

/// Pages of two; each token is the number of its page.
#[derive(Debug, Default)]
struct Shelf {
    pages: usize,
    /// Page number → the number it says comes next, where that is not the next.
    jump: Option<(usize, usize)>,
    broken: Option<usize>,
    seen: Mutex<Vec<ListDocumentsRequest>>,
}

#[tonic::async_trait]
impl Script for Shelf {
    async fn list_documents(
        &self,
        request: Request<ListDocumentsRequest>,
    ) -> Result<Response<proto::ListDocumentsResponse>, Status> {
        let request = request.into_inner();
        let page: usize = request.page_token.parse().unwrap_or(0);
        self.seen.lock().unwrap().push(request);
        if self.broken == Some(page) {
            return Err(failure(Code::InvalidArgument, "PAGE_TOKEN_INVALID", None));
        }
        let document = |place: usize| Document { name: format!("{page}-{place}"), ..Default::default() };
        let next = self.jump.filter(|jump| jump.0 == page).map_or(page + 1, |jump| jump.1);
        let next_page_token = if next < self.pages { next.to_string() } else { String::new() };
        let documents = (0..2).map(document).collect();
        let mut response = Response::new(proto::ListDocumentsResponse { documents, next_page_token });
        place(response.metadata_mut());
        Ok(response)
    }
}

impl Shelf {
    fn asked(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

#[tokio::test]
async fn all_documents_come_in_order_and_each_page_is_asked_for_once() {
    let shelf = Arc::new(Shelf { pages: 3, ..Shelf::default() });
    let service = Service::start(Arc::clone(&shelf));
    let documents = service.client().await.solution("acme_corp");
    let filter = DocumentFilter { category: "finance".into(), ..Default::default() };
    let all: Vec<_> = documents.all(filter.clone()).try_collect().await.unwrap();
    let names: Vec<_> = all.iter().map(|document| document.name.as_str()).collect();
    assert_eq!(names, ["0-0", "0-1", "1-0", "1-1", "2-0", "2-1"]);
    let seen = shelf.seen.lock().unwrap();
    let tokens: Vec<_> = seen.iter().map(|request| request.page_token.as_str()).collect();
    assert_eq!(tokens, ["", "1", "2"]);
    assert!(seen.iter().all(|request| request.filter.as_ref() == Some(&filter) && request.solution == "acme_corp"));
}

#[tokio::test]
async fn no_page_is_asked_for_before_it_is_needed() {
    let shelf = Arc::new(Shelf { pages: 3, ..Shelf::default() });
    let service = Service::start(Arc::clone(&shelf));
    let documents = service.client().await.solution("acme_corp");
    let mut all = documents.all(());
    assert_eq!(shelf.asked(), 0);
    all.next().await.unwrap().unwrap();
    all.next().await.unwrap().unwrap();
    assert_eq!(shelf.asked(), 1);
    all.next().await.unwrap().unwrap();
    assert_eq!(shelf.asked(), 2);
}

#[tokio::test]
async fn pages_tell_where_they_were_served_and_how_to_go_on_later() {
    let service = Service::start(Arc::new(Shelf { pages: 2, ..Shelf::default() }));
    let documents = service.client().await.solution("acme_corp");
    let page = documents.pages(()).next().await.unwrap().unwrap();
    assert_eq!((page.next_page_token.as_str(), page.documents.len()), ("1", 2));
    assert_eq!(page.served().unwrap().database, "djo_acme_db");
    let later = ListDocumentsRequest { page_token: page.next_page_token.clone(), ..Default::default() };
    let rest: Vec<_> = documents.all(later).try_collect().await.unwrap();
    assert_eq!(rest[0].name, "1-0");
}

#[tokio::test]
async fn a_token_that_comes_again_ends_the_listing_with_an_error() {
    for back_to in [1, 2] {
        let shelf = Arc::new(Shelf { pages: 9, jump: Some((2, back_to)), ..Shelf::default() });
        let service = Service::start(Arc::clone(&shelf));
        let mut all = service.client().await.solution("acme_corp").all(());
        for _ in 0..6 {
            all.next().await.unwrap().unwrap();
        }
        assert_eq!(all.next().await.unwrap().unwrap_err().kind(), ErrorKind::Reply);
        assert!(all.next().await.is_none());
        assert_eq!(shelf.asked(), 3);
    }
}

#[tokio::test]
async fn an_error_ends_the_listing() {
    let service = Service::start(Arc::new(Shelf { pages: 3, broken: Some(1), ..Shelf::default() }));
    let mut all = service.client().await.solution("acme_corp").all(());
    all.next().await.unwrap().unwrap();
    all.next().await.unwrap().unwrap();
    assert_eq!(all.next().await.unwrap().unwrap_err().reason_name(), Some("PAGE_TOKEN_INVALID"));
    assert!(all.next().await.is_none());
}

#[tokio::test]
async fn a_listing_of_another_solution_never_begins() {
    let shelf = Arc::new(Shelf { pages: 1, ..Shelf::default() });
    let service = Service::start(Arc::clone(&shelf));
    let request = ListDocumentsRequest { solution: "globex".into(), ..Default::default() };
    let mut all = service.client().await.solution("acme_corp").all(request);
    assert_eq!(all.next().await.unwrap().unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert!(all.next().await.is_none());
    assert_eq!(shelf.asked(), 0);
}
