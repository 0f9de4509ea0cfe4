//! Client of [fbs-router](https://github.com/fbs-router/fbs-router): asks in which database a solution's data lives,
//! and reads and writes its documents there.
//!
//! ```no_run
//! use fbs_router_client::{Client, document::Document};
//!
//! # async fn quick_start() -> Result<(), fbs_router_client::Error> {
//! let client = Client::connect("http://127.0.0.1:50051").await?;
//!
//! let resolved = client.resolve("acme_corp").await?;
//! println!("{:?}", resolved.route);
//!
//! let documents = client.solution("acme_corp");
//! let draft = Document { name: "INV-2026-0042".into(), title: "Invoice 42".into(), ..Default::default() };
//! let created = documents.create(draft).await?;
//! println!("{} was stored by {:?}", created.document_id, created.served());
//! # Ok(())
//! # }
//! ```
//!
//! - [`Client`] is cheap to clone, works by `&self`, and reconnects by itself. Messages of the contract
//!   ([`router`], [`document`]) go in and come out; nothing of the transport does.
//! - Each call has a deadline, 10 s unless said otherwise, which the service is told and keeps too. Dropping a call's
//!   future gives the call up; a mutation may then have happened.
//! - **Nothing is retried by itself yet.** [`Error::retryable`] says when trying again is safe, and
//!   [`Error::retry_after`] when. A mutation is to be repeated with the same `request_id`: one is made for each
//!   mutation that brings none, and [`Error::request_id`] tells which.
//! - Errors are told apart by [`Error::kind`] and [`Error::reason`], never by their text.
//! - No TLS yet: `http://host:port` and `unix:/path/to.sock`.

mod answer;
mod ask;
mod builder;
mod call;
mod client;
mod documents;
mod error;

pub use answer::{Answer, Served};
pub use ask::Ask;
pub use builder::Builder;
pub use client::{Client, outcome};
pub use documents::Documents;
pub use error::{Error, ErrorKind, FieldViolation};
pub use fbs_router_proto::router::v1::ErrorReason;
/// Timestamps, field masks and free fields of the messages.
pub use prost_types;

/// Messages of `fbs.router.v1`: where a solution's data lives.
pub mod router {
    pub use fbs_router_proto::router::v1::{
        BatchResolveDatabasesRequest, BatchResolveDatabasesResponse, Candidate, Database, ErrorReason,
        ExplainRouteRequest, ExplainRouteResponse, Placement, ResolveDatabaseRequest, ResolveDatabaseResponse,
        ResolveResult, Route, candidate, explain_route_response, resolve_result, route,
    };
}

/// Messages of `fbs.document.v1`: a solution's documents.
pub mod document {
    pub use fbs_router_proto::document::v1::{
        Confidentiality, Content, CreateDocumentRequest, DeleteDocumentRequest, Document, DocumentFilter,
        GetDocumentRequest, ListDocumentsRequest, ListDocumentsResponse, UndeleteDocumentRequest,
        UpdateDocumentRequest, document,
    };
}
