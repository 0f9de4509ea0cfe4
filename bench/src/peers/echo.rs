//! A tonic service that does nothing: takes bytes, answers bytes. Written as tonic's generated code is.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use prost::bytes::Bytes;
use tonic::{
    Request, Response, Status,
    body::Body,
    codegen::{BoxFuture, Service},
    server::{Grpc, NamedService, UnaryService},
};
use tonic_prost::ProstCodec;

/// Its only method.
pub(crate) const PATH: &str = "/bench.Echo/Call";

/// A message of bytes; reads the first field of any other.
#[derive(Clone, PartialEq, prost::Message)]
struct Payload {
    #[prost(bytes = "bytes", tag = "1")]
    payload: Bytes,
}

/// The service.
#[derive(Debug, Clone)]
pub(super) struct Echo {
    answer: Payload,
}

impl Echo {
    /// Answers messages which are so long when encoded.
    pub(super) fn of_size(size: usize) -> Self {
        let of = |payload: usize| Payload { payload: vec![b'x'; payload].into() };
        // What tag and length take away is found by trying.
        let fits = |payload: &usize| prost::Message::encoded_len(&of(*payload)) <= size;
        Self { answer: of((0..size).rev().find(fits).unwrap_or(0)) }
    }
}

impl UnaryService<Payload> for Echo {
    type Response = Payload;
    type Future = Ready<Result<Response<Payload>, Status>>;

    fn call(&mut self, _request: Request<Payload>) -> Self::Future {
        ready(Ok(Response::new(self.answer.clone())))
    }
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let method = self.clone();
        Box::pin(async move {
            if request.uri().path() != PATH {
                return Ok(Status::unimplemented("").into_http());
            }
            Ok(Grpc::new(ProstCodec::<Payload, Payload>::default()).unary(method, request).await)
        })
    }
}

impl NamedService for Echo {
    const NAME: &'static str = "bench.Echo";
}
