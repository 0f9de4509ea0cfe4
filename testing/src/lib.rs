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
//! # Setting it up
//!
//! ```toml
//! [dev-dependencies]
//! fbs-router-testing = { git = "https://github.com/fbs-router/fbs-router" }
//! tokio = { version = "1", features = ["macros", "rt-multi-thread"] }
//!
//! # Hashing (SCRAM, SHA-256 of contents) dominates the tests where it is not optimised.
//! [profile.dev.package]
//! sha2.opt-level = 3
//! hmac.opt-level = 3
//! postgres-protocol.opt-level = 3
//! ```
//!
//! The first build takes minutes, because it is the whole service; later ones do not. Needs a multi-thread runtime:
//! `#[tokio::test(flavor = "multi_thread")]`.
//!
//! [`client`](TestRouter::client) has the default settings; for others, or for the service under test, connect to
//! [`url`](TestRouter::url):
//!
//! ```no_run
//! # use fbs_router_testing::{Client, TestRouter};
//! # async fn connect(router: &TestRouter) -> Result<(), Box<dyn std::error::Error>> {
//! let impatient = Client::builder().attempts(1).connect(router.url()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Solutions
//!
//! A solution without a database of its own lives in the shared one; [`give_database`](TestRouter::give_database)
//! makes one, as somebody would on a real server, at any time before its first document.
//!
//! # Faults
//!
//! What may happen to a solution's database is [`close_database`](TestRouter::close_database),
//! [`hide_database`](TestRouter::hide_database) and [`end_sessions`](TestRouter::end_sessions); to Postgres,
//! [`kill_postgres`](TestRouter::kill_postgres); to the service, [`restart`](TestRouter::restart), which cuts open
//! calls. [`network`](TestRouter::network) sets what happens between service and Postgres:
//!
//! - [`Network::Forward`]: bytes pass, as at the beginning.
//! - [`Network::Refuse`]: open connections are reset, and new ones at once: Postgres is down.
//! - [`Network::Hang`]: nothing passes, and nothing breaks: a cable is pulled.
//! - [`Network::Cut`]: open connections are reset once, new ones work: a failover.
//! - [`Network::CutAfter`]: each connection is reset after so many bytes to Postgres: it breaks within a statement.
//! - [`Network::Delay`]: each piece of data is late by so much, in each direction: a slow line.

mod databases;
mod error;
mod faults;
mod router;

pub use fbs_router_client::{Answer, Builder, Client, Documents, Error, ErrorKind, ErrorReason, Upload, v1};
/// What happens to the connections between service and Postgres.
pub use fbs_router_sandbox::Mode as Network;

pub use self::{error::TestError, router::TestRouter};
