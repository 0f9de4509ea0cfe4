//! The bounded wait of the tests: poll a state until it is the wanted one.
//!
//! Owns the poll interval, the default limit and the failure text. Does not own any condition.
//! Level-triggered on purpose: a condition that looks at the state now cannot miss an event that
//! happened before the wait began.
//! Invariant: a wait ends within its limit, even when the condition itself hangs.

use std::{fmt::Display, time::Duration};

use tokio::time::{Instant, sleep, timeout_at};

/// Limit of [`soon`]: far above what a busy machine needs, far below what a person waits.
pub const LIMIT: Duration = Duration::from_secs(10);

const INTERVAL: Duration = Duration::from_millis(20);

/// Polls `condition` every 20 ms until it returns `Ok`, and returns that value.
///
/// The `Err` is the state seen instead; the last one is shown on failure.
///
/// # Panics
///
/// After `limit`, with `what` and the last state: an unmet expectation is a failed test.
#[expect(clippy::panic, reason = "an unmet expectation of a test is a panic")]
pub async fn eventually<T, E, F, Fut>(what: &str, limit: Duration, mut condition: F) -> T
where
    E: Display,
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let deadline = Instant::now() + limit;
    let mut last: Option<E> = None;
    loop {
        match timeout_at(deadline, condition()).await {
            Ok(Ok(value)) => return value,
            Ok(Err(state)) if Instant::now() >= deadline => {
                panic!("not within {limit:?}: {what}; last state: {state}")
            }
            Ok(Err(state)) => last = Some(state),
            Err(_elapsed) => {
                let last = last.map_or_else(|| "none".to_owned(), |state| state.to_string());
                panic!("not within {limit:?}: {what}; the check hung; state before it: {last}")
            }
        }
        sleep(INTERVAL).await;
    }
}

/// [`eventually`] with the default [`LIMIT`].
///
/// # Panics
///
/// As [`eventually`].
pub async fn soon<T, E, F, Fut>(what: &str, condition: F) -> T
where
    E: Display,
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    eventually(what, LIMIT, condition).await
}
