//! What calls in flight hold of the memory: bounded, in all and for each caller.
//!
//! A call holds something from its beginning; a long message when its length is known, before its bytes are here; what that
//! message will be once it is read, before it is; and its answer, instead of these, until the last byte of it has been sent or
//! the stream is gone. What goes on when a caller leaves holds what he held. What finds no room is refused at once, and
//! nothing has changed. A change holds room for its answer from the beginning, and if that is not enough, the answer is kept
//! all the same: what was done must be told.

mod bodies;
mod shares;

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use fbs_router_proto::codec::weighed;
use http::{Request, Response};
use tonic::body::Body;
use tower::{Layer, Service};

use self::bodies::{Answer, Asked};
pub use self::shares::Shares;
use super::{
    methods::{Access, access, is_streamed, is_transfer},
    status::status,
};
use crate::domain::{Call, Need, Principal};

/// What a call takes besides its messages, and short ones included.
const CALL_BYTES: usize = 16 << 10;
/// What the answer to a change takes, beyond what its request took: a document, whose metadata alone may be longer once they
/// are protobuf.
const CHANGED_BYTES: usize = 96 << 10;
/// A message up to this is short.
const SHORT_BYTES: usize = 4 << 10;
/// What a transfer holds of the content that is on its way.
const TRANSFER_BYTES: usize = 1_280 << 10;

/// Makes [`Bounded`] services.
#[derive(Debug, Clone)]
pub struct InFlight {
    shares: Arc<Shares>,
    /// Longest message: longer ones are refused for that.
    longest: usize,
}

/// A service whose calls hold no more than they may.
#[derive(Debug, Clone)]
pub struct Bounded<S> {
    inner: S,
    of: InFlight,
}

impl InFlight {
    /// Of these shares; messages have `longest` bytes at most.
    pub fn new(shares: Arc<Shares>, longest: usize) -> Self {
        Self { shares, longest }
    }
}

impl<S> Layer<S> for InFlight {
    type Service = Bounded<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Bounded { inner, of: self.clone() }
    }
}

impl<S> Service<Request<Body>> for Bounded<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let extensions = request.extensions();
        let principal = extensions.get::<Call>().map(|call| &call.principal);
        let Some(principal) = principal.or_else(|| extensions.get::<Principal>()) else {
            // For anybody: requests are short, by the limit of that service.
            return Box::pin(self.inner.call(request));
        };
        let path = request.uri().path();
        let access = access(path);
        let is_unary = matches!(access, Access::Needs(_)) && !is_streamed(path);
        let changes_nothing = access == Access::Needs(Need::Read);
        let begun = CALL_BYTES
            + match access {
                _ if is_transfer(path) => TRANSFER_BYTES,
                Access::Needs(_) if !changes_nothing => CHANGED_BYTES,
                _ => 0,
            };
        let held = match self.of.shares.begin(principal.shared_id(), begun) {
            Ok(held) => Arc::new(held),
            Err(error) => return Box::pin(std::future::ready(Ok(status(&error).into_http()))),
        };
        if let Some(call) = request.extensions_mut().get_mut::<Call>() {
            call.holds = Some(Arc::clone(&held) as _);
        }
        let longest = self.of.longest;
        let request = request.map(|body| Body::new(Asked::new(body, Arc::clone(&held), longest)));
        let call = weighed(Arc::clone(&held) as _, self.inner.call(request));
        Box::pin(async move {
            let response = call.await?;
            if !is_unary {
                return Ok(response.map(|rest| Body::new(Answer::new(None, rest, held))));
            }
            let (head, mut rest) = response.into_parts();
            let first = bodies::first(&mut rest).await;
            // Encoded, it is all that is left of the call.
            let bytes = CALL_BYTES + bodies::length(first.as_ref());
            if !changes_nothing {
                held.now_in_any_case(bytes);
            } else if let Err(error) = held.now(bytes) {
                return Ok(status(&error).into_http());
            }
            Ok(Response::from_parts(head, Body::new(Answer::new(first, rest, held))))
        })
    }
}
