//! What surrounds every call: its deadline, its span, its counters, and an end for panics.
//!
//! One tower layer on the whole server. Honours `grpc-timeout` within bounds and answers `DEADLINE_EXCEEDED` itself,
//! because tonic would say CANCELLED and cover headers only. Gives statuses that tonic makes their `ErrorInfo`.

use std::{
    convert::Infallible,
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use fbs_router_proto::router::v1::ErrorReason;
use futures_util::FutureExt;
use http::{Request, Response};
use tonic::{Code, Status, body::Body};
use tower::{Layer, Service};
use tracing::{Instrument, field::Empty};

use super::{
    authenticate::NotProved,
    methods::{is_transfer, known},
    reply::reason_of,
    status::{complete, status},
};
use crate::{
    config::DeadlineLimits,
    domain::{Deadline, Error},
    metrics::{Alarm, Metrics},
};

/// Room for the answer to travel before the caller gives up.
const MARGIN: Duration = Duration::from_millis(2);
/// A call with less than this left is not begun.
const TOO_SHORT: Duration = Duration::from_millis(3);

/// Makes [`Observed`] services.
#[derive(Debug, Clone)]
pub struct Observe {
    /// Bounds.
    pub limits: Arc<DeadlineLimits>,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

/// A service under observation.
#[derive(Debug, Clone)]
pub struct Observed<S> {
    inner: S,
    observe: Observe,
}

impl<S> Layer<S> for Observe {
    type Service = Observed<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Observed { inner, observe: self.clone() }
    }
}

impl<S> Service<Request<Body>> for Observed<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        // The service that was polled ready is the one to call.
        let ready = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, ready);
        let observe = self.observe.clone();
        let endless = is_watch(request.uri().path());
        let wish = request.headers().get("grpc-timeout").and_then(|value| grpc_timeout(value.to_str().ok()?));
        let limits = &observe.limits;
        let (default, max) = if is_transfer(request.uri().path()) {
            (limits.transfer, limits.transfer)
        } else {
            (limits.default, limits.max)
        };
        let time = wish.map_or(default, |wish| wish.saturating_sub(MARGIN)).min(max);
        let deadline = Deadline::after(time);
        // Filled in as they become known; see `Router::open` and the end of this function.
        let span = tracing::info_span!(
            "call",
            method = %known(request.uri().path()),
            principal = Empty,
            solution = Empty,
            placement = Empty,
            database = Empty,
            code = Empty,
            reason = Empty
        );
        // The handlers' answer, which knows the route, comes before ours.
        request.extensions_mut().insert(deadline.inner());
        let record = span.clone();
        let work = async move {
            let handled = async {
                if time < TOO_SHORT {
                    return Err(Error::DeadlineExceeded("the call was on its way"));
                }
                let called = AssertUnwindSafe(inner.call(request)).catch_unwind();
                if endless {
                    return Ok(called.await);
                }
                tokio::time::timeout_at(deadline.instant(), called)
                    .await
                    .map_err(|_| Error::DeadlineExceeded("the call was handled"))
            };
            let response = match handled.await {
                Ok(Ok(Ok(response))) => finish(response),
                Ok(Err(_panic)) => status(&Error::internal("a handler panicked")).into_http(),
                Err(error) => status(&error).into_http(),
            };
            let outcome = Status::from_header_map(response.headers());
            let code = outcome.as_ref().map_or(Code::Ok, Status::code);
            record.record("code", tracing::field::debug(code));
            let reason = outcome.as_ref().and_then(reason_of);
            if let Some(reason) = reason {
                record.record("reason", reason.reason());
            }
            // The reason, not the code: gRPC prescribes INTERNAL also for bytes that are the caller's fault.
            observe.metrics.call(code != Code::Ok, reason == Some(ErrorReason::Internal));
            if response.extensions().get::<NotProved>().is_some() {
                observe.metrics.unauthenticated();
            }
            if reason == Some(ErrorReason::AccessDenied) {
                observe.metrics.access_denied();
            }
            if let Some(alarm) = reason.and_then(alarm) {
                observe.metrics.alarm(alarm);
            }
            tracing::debug!("answered");
            Ok(response)
        };
        Box::pin(work.instrument(span))
    }
}

/// The answers at which somebody has to look.
fn alarm(reason: ErrorReason) -> Option<Alarm> {
    match reason {
        ErrorReason::DatabaseIdentityMismatch => Some(Alarm::IdentityMismatch),
        ErrorReason::PlacementConflict => Some(Alarm::PlacementConflict),
        ErrorReason::DatabaseMisconfigured => Some(Alarm::Misconfigured),
        _ => None,
    }
}

/// Statuses that tonic made itself get their `ErrorInfo`.
fn finish(response: Response<Body>) -> Response<Body> {
    match Status::from_header_map(response.headers()) {
        Some(found) if found.code() != Code::Ok && found.details().is_empty() => complete(found).into_http(),
        Some(_) | None => response,
    }
}

/// Streams that last as long as somebody watches.
fn is_watch(path: &str) -> bool {
    path.starts_with("/grpc.health.v1.Health/Watch") || path.starts_with("/grpc.reflection.")
}

/// Reads `grpc-timeout`: up to eight digits and a unit. Anything else counts as absent.
pub(super) fn grpc_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3_600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_timeout_is_read_as_the_protocol_has_it() {
        for (text, expected) in [
            ("1S", Some(Duration::from_secs(1))),
            ("250m", Some(Duration::from_millis(250))),
            ("1n", Some(Duration::from_nanos(1))),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3_600))),
            ("", None),
            ("S", None),
            ("1", None),
            ("-1S", None),
            ("1.5S", None),
            ("999999999S", None),
            ("1s", None),
            ("1é", None),
        ] {
            assert_eq!(grpc_timeout(text), expected, "{text:?}");
        }
    }
}
