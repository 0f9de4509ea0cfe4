//! Lists and searches of many documents.

use std::time::{Duration, Instant};

use fbs_router_client::{
    Documents,
    v1::{ListDocumentsRequest, SearchDocumentsRequest},
};

use super::{DOCUMENTS, at, milliseconds};
use crate::Outcome;

/// Calls whose 99th percentile counts.
const CALLS: usize = 300;
/// A page as people turn them.
const PAGE: i32 = 50;

/// Medians of the first and the last page, each asked for in turn.
pub(super) async fn pages(documents: &Documents) -> Outcome<(Duration, Duration)> {
    let first = ListDocumentsRequest { page_size: PAGE, ..ListDocumentsRequest::default() };
    let mut walk = ListDocumentsRequest { page_size: 500, ..first.clone() };
    let mut left = DOCUMENTS;
    let mut last = first.clone();
    while left > 0 {
        let page = documents.list(walk.clone()).await?;
        left -= page.documents.len() as u64;
        walk.page_token.clone_from(&page.next_page_token);
        // Sizes may differ from page to page.
        if left == 500 {
            walk.page_size = PAGE;
        }
        if left == u64::try_from(PAGE)? {
            last.page_token.clone_from(&page.next_page_token);
        }
    }
    let (mut firsts, mut lasts) = (Vec::new(), Vec::new());
    for _ in 0..CALLS {
        for (request, times) in [(&first, &mut firsts), (&last, &mut lasts)] {
            let begin = Instant::now();
            let page = documents.list(request.clone()).await?;
            times.push(begin.elapsed());
            if page.documents.len() != usize::try_from(PAGE)? {
                return Err(format!("a page of {} documents", page.documents.len()).into());
            }
        }
    }
    Ok((at(firsts, 0.5), at(lasts, 0.5)))
}

/// The 99th percentile in milliseconds.
pub(super) async fn search(documents: &Documents, query: &str) -> Outcome<f64> {
    let request = SearchDocumentsRequest { query: query.into(), ..SearchDocumentsRequest::default() };
    let mut times = Vec::new();
    for _ in 0..CALLS {
        let begin = Instant::now();
        let found = documents.search(request.clone()).await?;
        times.push(begin.elapsed());
        if found.results.len() != 20 {
            return Err(format!("{} results", found.results.len()).into());
        }
    }
    Ok(milliseconds(at(times, 0.99)))
}
