//! What a task of its own came to, for whoever waits for it.

use tokio::task::JoinHandle;

/// What it came to; none if it panicked. Never, if it was ended with the process: nobody knows what it did, and its caller
/// learns that from his connection, which ends in the same moment.
pub(crate) async fn joined<T>(task: JoinHandle<T>) -> Option<T> {
    match task.await {
        Ok(outcome) => Some(outcome),
        Err(ended) if ended.is_panic() => None,
        Err(_) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::joined;

    #[tokio::test]
    async fn a_task_that_was_ended_has_no_outcome_and_one_that_panicked_has_none_at_once() {
        assert_eq!(joined(tokio::spawn(async { 1 })).await, Some(1));
        assert_eq!(joined(tokio::spawn(async { panic!("as planned") })).await, None::<()>);
        let task = tokio::spawn(std::future::pending::<()>());
        task.abort();
        while !task.is_finished() {
            tokio::task::yield_now().await;
        }
        assert_eq!(joined(task).now_or_never(), None);
    }
}
