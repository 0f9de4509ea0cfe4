//! The real fbs-router in the process of a test, on a Postgres of its own: for tests of services that call it.
//!
//! ```no_run
//! use fbs_router_testing::{ErrorReason, TestRouter, v1::Document};
//!
//! # async fn a_test() -> Result<(), Box<dyn std::error::Error>> {
//! let router = TestRouter::start().await?;
//! router.give_database("acme_corp").await?;
//! let documents = router.client().solution("acme_corp");
//!
//! let draft = Document { name: "INV-2026-0042".into(), title: "Invoice 42".into(), ..Default::default() };
//! let created = documents.create(draft).await?;
//! assert_eq!(created.solution_db, "djo_acme_corp_db");
//!
//! // What would your service do if that database were down?
//! router.close_database("acme_corp").await?;
//! let error = documents.get(created.document_id.as_str()).await.unwrap_err();
//! assert_eq!(error.reason(), Some(ErrorReason::DatabaseUnavailable));
//! router.open_database("acme_corp").await?;
//! # Ok(())
//! # }
//! ```
//!
//! Nothing is imitated: it is the service that production runs, with its default names, over gRPC on a free port of
//! 127.0.0.1, and a PostgreSQL whose binaries are found in `PG_BINDIR`, on `PATH`, or where they usually are. Each
//! [`TestRouter`] has a cluster of its own, copied from a prepared one that is kept in this user's cache, so starting
//! takes about a second and tests do not see each other. When it is dropped nothing stays, also after `kill -9`.
//!
//! A solution without a database of its own lives in the shared one; [`give_database`](TestRouter::give_database)
//! makes one, as somebody would on a real server, at any time. [`Network`] is what happens between service and
//! Postgres. Needs a multi-thread runtime: `#[tokio::test(flavor = "multi_thread")]`.

mod faults;
mod router;

pub use fbs_router_client::{Client, Documents, Error, ErrorReason, v1};
/// What happens to the connections between service and Postgres.
pub use fbs_router_sandbox::Mode as Network;

pub use self::router::{TestError, TestRouter};
