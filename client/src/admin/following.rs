//! Moves: what is followed while the service does it.
//!
//! Invariant: a [`Move`] that ends without an error has told how the move ended, or was a dry run. A broken one is not
//! followed again from here: if the move was taken back meanwhile, the same call would begin another one, and that
//! is for an operator to decide.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use fbs_router_proto::admin::v1::{MoveSolutionRequest, MoveSolutionResponse, move_solution_response::Step};
use futures_util::{
    StreamExt,
    stream::{self, BoxStream, Stream},
};
use tonic::Streaming;
use tracing::Instrument;

use super::{Admin, stub};
use crate::{
    Ask, Error,
    call::{Attempt, Attempts},
};

/// A move under way, as a stream of where it stands: [`next`](Self::next) needs nothing imported, and it is a
/// [`Stream`] for those who have adapters for one. After an error it ends.
///
/// `STEP_DONE` and `STEP_ROLLED_BACK` come last: one of them has come when it ends without an error, unless it was a
/// dry run. `STEP_ROLLED_BACK` is no error here: the call was answered, and the solution is where it was.
///
/// Dropping it, or an error, ends the following and nothing else: the service goes on.
#[must_use = "how the move ends is told here"]
pub struct Move {
    stream: BoxStream<'static, Result<MoveSolutionResponse, Error>>,
}

// === impl Move ===

impl Move {
    /// Where it stands now, as soon as there is something new; none after the last step and after an error.
    ///
    /// Cancel safety: nothing is lost.
    pub async fn next(&mut self) -> Option<Result<MoveSolutionResponse, Error>> {
        self.stream.next().await
    }
}

impl Stream for Move {
    type Item = Result<MoveSolutionResponse, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.stream.poll_next_unpin(context)
    }
}

impl fmt::Debug for Move {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Move").finish_non_exhaustive()
    }
}

// === impl Admin: moves ===

impl Admin {
    /// Moves a solution's documents to its own database or back, or follows the move that is going on:
    /// `(solution, placement)`, or a whole request, which may be a dry run or remove the old rows of a finished move.
    /// Returns as soon as the service has said where it stands; [`Move`] tells the rest.
    ///
    /// There is no deadline over all unless [`with_deadline`](Self::with_deadline) asked for one, and no limit on
    /// silence: the connection is probed instead. A move that is refused is an error here: it is going elsewhere, has
    /// too many rows, its target is not ready.
    ///
    /// Retries: until the service has said where it stands, and only where nothing happened. After any other error,
    /// also of [`Move::next`], the move may be going on: call again to follow it. If it was taken back meanwhile, that
    /// begins another one.
    ///
    /// Cancel safety: it may happen all the same.
    pub async fn move_solution(&self, request: impl Ask<MoveSolutionRequest>) -> Result<Move, Error> {
        let request = request.ask();
        let attempts = self.client.transfer("MoveSolution", &request.solution, None).once();
        let span = attempts.span.clone();
        let following = Following { attempts, told: Told::Nothing, dry_run: request.dry_run };
        following.begin(request).instrument(span).await
    }
}

/// A move that is followed.
struct Following {
    attempts: Attempts,
    told: Told,
    dry_run: bool,
}

/// What the service has said of it.
enum Told {
    /// Nothing yet.
    Nothing,
    /// Where it stands.
    Progress,
    /// How it ended.
    End,
}

/// An attempt, and what comes of it.
type Open = (Attempt, Streaming<MoveSolutionResponse>);

// === impl Following ===

impl Following {
    /// Calls, and waits for the first word about it.
    async fn begin(mut self, request: MoveSolutionRequest) -> Result<Move, Error> {
        loop {
            let attempt = self.attempts.begin()?;
            match self.open(&attempt, request.clone()).await {
                Ok((first, messages)) => {
                    let first = stream::iter(first.map(Ok));
                    let rest = stream::try_unfold((self, (attempt, messages)), |(following, open)| {
                        let span = following.attempts.span.clone();
                        following.next(open).instrument(span)
                    });
                    return Ok(Move { stream: first.chain(rest).boxed() });
                }
                Err(error) => self.attempts.failed(attempt, error).await?,
            }
        }
    }

    async fn open(
        &mut self,
        attempt: &Attempt,
        request: MoveSolutionRequest,
    ) -> Result<(Option<MoveSolutionResponse>, Streaming<MoveSolutionResponse>), Error> {
        let mut stub = stub(attempt.channel());
        let reply = attempt.reply(stub.move_solution(attempt.request(request))).await?;
        let mut messages = reply.into_inner();
        let first = self.message(attempt, &mut messages).await?;
        Ok((first, messages))
    }

    async fn next(
        mut self,
        (attempt, mut messages): Open,
    ) -> Result<Option<(MoveSolutionResponse, (Self, Open))>, Error> {
        match self.message(&attempt, &mut messages).await {
            Ok(Some(message)) => Ok(Some((message, (self, (attempt, messages))))),
            Ok(None) => {
                self.attempts.succeeded();
                Ok(None)
            }
            Err(error) => Err(self.attempts.over(error)),
        }
    }

    /// The next word about it; none after the last one.
    async fn message(
        &mut self,
        attempt: &Attempt,
        messages: &mut Streaming<MoveSolutionResponse>,
    ) -> Result<Option<MoveSolutionResponse>, Error> {
        let message = within(&self.attempts, messages.message()).await;
        let message = match attempt.learn(message.map_err(|error| attempt.silent(error))?) {
            // How it ended is known: how the stream ends does not matter any more.
            Ok(_) | Err(_) if matches!(self.told, Told::End) => None,
            outcome => outcome?,
        };
        let Some(message) = message else {
            return match self.told {
                Told::End => Ok(None),
                Told::Progress if self.dry_run => Ok(None),
                Told::Progress | Told::Nothing => {
                    Err(Error::broken("the service stopped telling before the move had ended".to_owned()))
                }
            };
        };
        self.told = match message.step() {
            Step::Done | Step::RolledBack => Told::End,
            Step::Unspecified | Step::Prepare | Step::Freeze | Step::Copy | Step::Verify | Step::Switch => {
                Told::Progress
            }
        };
        Ok(Some(message))
    }
}

/// Waits as long as the whole may take; for ever if that is not limited, because the connection is probed.
async fn within<T>(attempts: &Attempts, step: impl Future<Output = T>) -> Result<T, Error> {
    match attempts.left() {
        Some(left) => tokio::time::timeout(left, step)
            .await
            .map_err(|_elapsed| Error::deadline(attempts.deadline().unwrap_or_default())),
        None => Ok(step.await),
    }
}
