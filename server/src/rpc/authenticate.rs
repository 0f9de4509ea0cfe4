//! The layer that knows callers: on the whole server, deny by default.
//!
//! Stands inside `observe`, which counts its refusals like any other answer and gives the call its time. Whatever passes
//! is a method that is listed, of a caller who has a grant for it somewhere; a handler that needs more finds the
//! [`Call`] in the request, and one that finds none refuses.

use std::{
    convert::Infallible,
    net::IpAddr,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::{Either, Ready, ready};
use http::{Request, Response};
use rustls::pki_types::CertificateDer;
use tonic::{
    body::Body,
    transport::server::{TcpConnectInfo, TlsConnectInfo},
};
use tower::{Layer, Service};

use super::{
    callers::{Callers, Credentials},
    methods::{Access, access},
    status::{status, unimplemented},
};
use crate::domain::{Call, Deadline, Error, Need, Principal, Result};

/// Makes [`Authenticated`] services.
#[derive(Debug, Clone)]
pub struct Authenticate {
    callers: Arc<Callers>,
}

/// Marks the answer to a caller who did not prove who he is.
#[derive(Debug, Clone, Copy)]
pub(super) struct NotProved;

/// A service that only admitted calls reach.
#[derive(Debug, Clone)]
pub struct Authenticated<S> {
    inner: S,
    callers: Arc<Callers>,
}

// === impl Authenticate ===

impl Authenticate {
    /// Admits `callers`.
    pub fn new(callers: Arc<Callers>) -> Self {
        Self { callers }
    }
}

impl<S> Layer<S> for Authenticate {
    type Service = Authenticated<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Authenticated { inner, callers: Arc::clone(&self.callers) }
    }
}

// === impl Authenticated ===

impl<S> Service<Request<Body>> for Authenticated<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<S::Future, Ready<Result<Self::Response, Infallible>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        match admit(&self.callers, &mut request) {
            Ok(()) => Either::Left(self.inner.call(request)),
            Err(refusal) => Either::Right(ready(Ok(*refusal))),
        }
    }
}

fn admit(callers: &Callers, request: &mut Request<Body>) -> Result<(), Box<Response<Body>>> {
    let refuse = |error: &Error| Err(Box::new(status(error).into_http()));
    let access = access(request.uri().path());
    if access == Access::Public {
        return Ok(());
    }
    let (certificates, peer) = connection(request);
    // The first is the caller's own; the others lead to the authority.
    let certificate = certificates.as_deref().and_then(|chain| chain.first());
    let principal = match callers.authenticate(&Credentials { headers: request.headers(), certificate, peer }) {
        Ok(principal) => principal,
        Err(error) => {
            let mut refusal = status(&error).into_http();
            refusal.extensions_mut().insert(NotProved);
            return Err(Box::new(refusal));
        }
    };
    tracing::Span::current().record("principal", principal.id());
    match access {
        Access::Public => Ok(()),
        Access::Authenticated => {
            request.extensions_mut().insert(principal);
            Ok(())
        }
        Access::Unlisted => Err(Box::new(unimplemented().into_http())),
        Access::Needs(need) if principal.may_somewhere(need) => match call(principal, need, request) {
            Ok(call) => {
                request.extensions_mut().insert(call);
                Ok(())
            }
            Err(error) => refuse(&error),
        },
        Access::Needs(need) => {
            let method = request.uri().path();
            tracing::warn!(principal = principal.id(), kind = ?principal.kind(), ?peer, method, ?need, "denied: no grant allows the method");
            refuse(&Error::AccessDenied)
        }
    }
}

fn call(principal: Principal, need: Need, request: &Request<Body>) -> Result<Call> {
    let deadline = request.extensions().get::<Deadline>().copied();
    let deadline = deadline.ok_or(Error::internal("a call without a deadline"))?;
    Ok(Call { principal, need, deadline, holds: None })
}

/// The verified certificates of the caller's end, and where that is; neither is known of a unix socket.
fn connection(request: &Request<Body>) -> (Option<Arc<Vec<CertificateDer<'static>>>>, Option<IpAddr>) {
    let extensions = request.extensions();
    if let Some(tls) = extensions.get::<TlsConnectInfo<TcpConnectInfo>>() {
        return (tls.peer_certs(), tls.get_ref().remote_addr().map(|address| address.ip()));
    }
    let peer = extensions.get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
    (None, peer.map(|address| address.ip()))
}
