//! One logical call: its attempts, its deadline on the wire and here, and what became of it.
//!
//! Owns the border to the transport: beyond it there are messages, [`Answer`]s and [`Error`]s. An attempt that failed
//! is made again only where [`Error::retryable`] says so, elsewhere if there is an elsewhere, while deadline, number
//! and budget allow. Safe because every mutation has its `request_id` before the first attempt, or is one of
//! [`Attempts::once`].

use std::{future::Future, sync::Arc, time::Duration};

use tokio::time::Instant;
use tonic::{Request, Response, Status, transport::Channel};
use tracing::{Instrument, Span, field};

use crate::{
    Answer, Error, ErrorKind, Served,
    client::Shared,
    endpoints::{Address, Ending, Taken},
    error::is_local,
    retry,
};

/// What a `grpc-timeout` can say and a caller can mean.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The attempts of one logical call.
#[derive(Debug)]
pub(crate) struct Attempts {
    shared: Arc<Shared>,
    /// How many there may be.
    allowed: u32,
    pub(crate) span: Span,
    method: &'static str,
    /// Of a mutation.
    request_id: Option<String>,
    /// When the call has to be over, and how long that was at first; none for transfers.
    limit: Option<(Instant, Duration)>,
    /// It must not happen twice, and the service could not tell.
    once: bool,
    made: u32,
    failed: Option<(Arc<Address>, Error)>,
}

/// One attempt: an address, and the time that is left.
#[derive(Debug)]
pub(crate) struct Attempt {
    taken: Taken,
    shared: Arc<Shared>,
    before: u32,
    left: Option<Duration>,
    deadline: Option<Duration>,
}

// === impl Attempts ===

impl Attempts {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        allowed: u32,
        method: &'static str,
        solution: Option<&str>,
        request_id: Option<String>,
        deadline: Option<Duration>,
    ) -> Self {
        let span = tracing::info_span!(
            target: "fbs_router_client::call", "call", method, solution,
            attempts = field::Empty, kind = field::Empty, reason = field::Empty,
        );
        let limit = deadline.map(|deadline| (Instant::now() + deadline, deadline));
        let shared = Arc::clone(shared);
        Self { shared, allowed, span, method, request_id, limit, once: false, made: 0, failed: None }
    }

    /// The same, made again only where nothing happened: of a change without a `request_id`.
    pub(crate) fn once(self) -> Self {
        Self { once: true, ..self }
    }

    /// A question or a change: one message there, one back.
    pub(crate) async fn unary<M, R, F, Fut>(mut self, message: M, send: F) -> Result<Answer<R>, Error>
    where
        M: Clone,
        F: Fn(Channel, Request<M>) -> Fut,
        Fut: Future<Output = Result<Response<R>, Status>>,
    {
        let span = self.span.clone();
        let attempts = async {
            loop {
                let attempt = self.begin()?;
                let reply = send(attempt.channel(), attempt.request(message.clone()));
                match attempt.reply(reply).await {
                    Ok(response) => {
                        self.succeeded();
                        let served = Served::read(response.metadata());
                        return Ok(Answer::new(response.into_inner(), served));
                    }
                    Err(error) => self.failed(attempt, error).await?,
                }
            }
        };
        attempts.instrument(span).await
    }

    /// Begins an attempt.
    pub(crate) fn begin(&mut self) -> Result<Attempt, Error> {
        let taken = self.shared.endpoints.take(self.failed.as_ref().map(|(address, _)| address))?;
        let before = self.made;
        self.made += 1;
        Ok(Attempt {
            taken,
            shared: Arc::clone(&self.shared),
            before,
            left: self.left(),
            deadline: self.limit.map(|(_, deadline)| deadline),
        })
    }

    /// The time that is left, if it is limited; never none at all, so that the service is who says that it is over.
    pub(crate) fn left(&self) -> Option<Duration> {
        self.limit.map(|(until, _)| until.saturating_duration_since(Instant::now()).max(SHORTEST))
    }

    /// How long the call may take, as it was asked for.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.limit.map(|(_, deadline)| deadline)
    }

    /// The call is over.
    pub(crate) fn succeeded(&mut self) {
        self.shared.budget.earn();
        self.span.record("attempts", self.made);
    }

    /// Something arrived, so that what fails from now on is a new trouble.
    pub(crate) fn progressed(&mut self) {
        self.made = 1;
        self.failed = None;
    }

    /// Waits for the next attempt, or gives the error back if there is to be none.
    pub(crate) async fn failed(&mut self, attempt: Attempt, error: Error) -> Result<(), Error> {
        let address = Arc::clone(&attempt.taken.address);
        drop(attempt); // not in flight while it waits
        let error = if self.once { error.once() } else { error };
        if !error.retryable() || self.made >= self.allowed {
            return Err(self.over(error));
        }
        let wait = retry::wait(self.made, error.retry_after(), fastrand::f64());
        // A transfer without a deadline does not wait for longer than it would for its next byte.
        let allowed = self.left().unwrap_or(self.shared.idle_limit);
        if wait >= allowed || !self.shared.budget.spend() {
            return Err(self.over(error));
        }
        tracing::info!(
            target: "fbs_router_client::call",
            method = self.method,
            attempt = self.made,
            kind = %error.kind(),
            reason = error.reason_name(),
            wait_ms = wait.as_millis(),
            "trying again",
        );
        self.failed = Some((address, error));
        tokio::time::sleep(wait).await;
        Ok(())
    }

    /// The call has failed with this.
    pub(crate) fn over(&mut self, error: Error) -> Error {
        let error = if self.once { error.once() } else { error };
        self.span.record("attempts", self.made);
        self.span.record("kind", field::display(error.kind()));
        self.span.record("reason", error.reason_name());
        let before = self.failed.take().map(|(_, before)| before);
        error.because(before).of_call(self.made, self.request_id.as_deref())
    }
}

// === impl Attempt ===

impl Attempt {
    pub(crate) fn channel(&self) -> Channel {
        self.taken.channel()
    }

    /// A request that tells the service how long it has, who is asking, and how often it was asked before.
    pub(crate) fn request<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        if let Some(left) = self.left {
            request.set_timeout(left);
        }
        if self.before > 0 {
            request.metadata_mut().insert("grpc-previous-rpc-attempts", self.before.into());
        }
        if let Some(token) = &self.shared.token {
            token.put(request.metadata_mut());
        }
        request
    }

    /// Waits for the reply. The deadline is kept here as well: the header covers a reply up to its headers only.
    pub(crate) async fn reply<T>(
        &self,
        reply: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<Response<T>, Error> {
        let outcome = match self.left {
            Some(left) => tokio::time::timeout(left, reply).await,
            None => Ok(reply.await),
        };
        match outcome {
            Ok(outcome) => self.learn(outcome),
            Err(_elapsed) => Err(self.silent(Error::deadline(self.deadline.unwrap_or_default()))),
        }
    }

    /// What the outcome says about the address, and to the caller.
    pub(crate) fn learn<T>(&self, outcome: Result<T, Status>) -> Result<T, Error> {
        let from_service = outcome.as_ref().map_or_else(|status| !is_local(status), |_| true);
        let outcome = outcome.map_err(|status| Error::from_status(status, &self.taken.address.label));
        let ending = match outcome.as_ref().map_err(Error::kind) {
            _ if from_service => Ending::Answered,
            Err(ErrorKind::Connect) => Ending::NotReached,
            Err(ErrorKind::DeadlineExceeded) => Ending::Silent, // of the transport, which keeps the deadline too
            _ => Ending::Broken,
        };
        self.taken.ended(ending);
        outcome
    }

    /// There was no answer in time.
    pub(crate) fn silent(&self, error: Error) -> Error {
        self.taken.ended(Ending::Silent);
        error
    }
}

/// A deadline that can be sent.
pub(crate) fn bounded(deadline: Duration) -> Duration {
    deadline.clamp(SHORTEST, LONGEST)
}
