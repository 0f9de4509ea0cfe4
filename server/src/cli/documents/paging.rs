//! Pages of a listing, one after another, until there is no more or enough.

use std::future::Future;

use fbs_router_client::{Error, Served};

/// Entries of several pages.
#[derive(Debug)]
pub(super) struct Collected<T> {
    pub(super) entries: Vec<T>,
    /// There are more than were asked for.
    pub(super) truncated: bool,
    /// The database that served the last page.
    pub(super) served: Option<Served>,
}

/// A page: its entries, the token of the next one, and the database that served it.
pub(super) type Page<T> = (Vec<T>, String, Option<Served>);

/// Up to `limit` entries of the pages that `fetch` answers by token.
pub(super) async fn collect<T, F, Fut>(limit: usize, mut fetch: F) -> Result<Collected<T>, Error>
where
    F: FnMut(String) -> Fut,
    Fut: Future<Output = Result<Page<T>, Error>>,
{
    let mut collected = Collected { entries: Vec::new(), truncated: false, served: None };
    let mut token = String::new();
    loop {
        let (entries, next, served) = fetch(token.clone()).await?;
        collected.entries.extend(entries);
        collected.served = served;
        let more = !next.is_empty();
        collected.truncated = collected.entries.len() > limit || (more && collected.entries.len() == limit);
        // A token that is its own next one never ends: there may be more, and it cannot be had.
        if more && next == token {
            collected.truncated = true;
        }
        if collected.truncated || !more {
            collected.entries.truncate(limit);
            return Ok(collected);
        }
        token = next;
    }
}

/// The page size for a limit.
pub(super) fn page_size(limit: usize, largest: i32) -> i32 {
    i32::try_from(limit).unwrap_or(largest).min(largest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Collects from pages of three numbers, seven in all.
    async fn collected(limit: usize) -> (Vec<usize>, bool, usize) {
        let mut calls = 0;
        let found = collect(limit, |token: String| {
            calls += 1;
            let from: usize = token.parse().unwrap_or_default();
            let next = if from + 3 < 7 { (from + 3).to_string() } else { String::new() };
            async move { Ok(((from..(from + 3).min(7)).collect(), next, None)) }
        });
        let found = found.await.unwrap();
        (found.entries, found.truncated, calls)
    }

    #[tokio::test]
    async fn pages_are_fetched_until_there_is_no_more() {
        assert_eq!(collected(100).await, ((0..7).collect(), false, 3));
        assert_eq!(collected(7).await, ((0..7).collect(), false, 3));
    }

    #[tokio::test]
    async fn what_was_not_asked_for_is_not_fetched_and_said_to_be_there() {
        assert_eq!(collected(2).await, (vec![0, 1], true, 1));
        assert_eq!(collected(3).await, (vec![0, 1, 2], true, 1));
        assert_eq!(collected(4).await, (vec![0, 1, 2, 3], true, 2));
    }

    #[tokio::test]
    async fn a_token_that_does_not_move_on_ends_the_listing() {
        let found = collect(100, |_| async { Ok((vec![1], "same".to_owned(), None)) }).await.unwrap();
        assert_eq!((found.entries, found.truncated), (vec![1, 1], true));
    }

    #[test]
    fn a_page_is_no_larger_than_what_is_wanted() {
        assert_eq!((page_size(3, 500), page_size(501, 500), page_size(usize::MAX, 500)), (3, 500, 500));
    }
}
