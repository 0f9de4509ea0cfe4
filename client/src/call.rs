//! One call: its deadline on the wire and here, and what became of it.
//!
//! Owns the border to tonic: beyond it there are messages, [`Answer`]s and [`Error`]s. Does not retry.

use std::{future::Future, time::Duration};

use tonic::{Request, Response, Status};

use crate::{Answer, Error, Served};

/// What a `grpc-timeout` can say and a caller can mean.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The call about to be made.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) deadline: Duration,
    /// Of a mutation.
    pub(crate) request_id: Option<String>,
}

impl Call {
    /// A request that tells the service its deadline.
    pub(crate) fn request<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        request.set_timeout(self.deadline);
        request
    }

    /// Waits for the reply. The deadline is kept here as well: the header covers a reply up to its headers only.
    pub(crate) async fn reply<T>(
        self,
        reply: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<Answer<T>, Error> {
        let outcome = match tokio::time::timeout(self.deadline, reply).await {
            Ok(Ok(response)) => {
                let served = Served::read(response.metadata());
                return Ok(Answer::new(response.into_inner(), served));
            }
            Ok(Err(status)) => Error::from_status(status, self.deadline),
            Err(_elapsed) => Error::deadline(self.deadline, None),
        };
        Err(outcome.of_request(self.request_id))
    }
}

/// A deadline that can be sent.
pub(crate) fn bounded(deadline: Duration) -> Duration {
    deadline.clamp(SHORTEST, LONGEST)
}

/// Whether the status was made on this side, because there was no answer: only such a one has a source.
pub(crate) fn is_local(status: &Status) -> bool {
    std::error::Error::source(status).is_some()
}
