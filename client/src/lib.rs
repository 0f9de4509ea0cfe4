//! Client of [fbs-router](https://github.com/fbs-router/fbs-router): asks in which database a solution's data lives,
//! and reads and writes its documents there.
//!
//! ```no_run
//! use fbs_router_client::{Client, v1::Document};
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
//!
//! let mut all = documents.all(());
//! while let Some(document) = all.next().await {
//!     println!("{}", document?.title);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A [`Client`] is made once and cloned: clones are cheap, work by `&self` at the same time, and share connections. The
//! messages of the contract ([`v1`]) go in and come out; nothing of the transport does. Methods take a whole request,
//! or what is enough of it ([`Ask`]): `get("…id…")`, `approve(&read)` with what a method returned, `list(())`.
//!
//! # Errors
//!
//! An [`Error`] is told apart by [`kind`](Error::kind) (a canonical code, or a failure of this side) and by
//! [`reason`](Error::reason) (what the service says happened), never by its text:
//!
//! ```no_run
//! # use fbs_router_client::{Documents, Error, ErrorReason, v1::Document};
//! # async fn approve(documents: &Documents, read: &Document) -> Result<(), Error> {
//! match documents.approve(read).await {
//!     Ok(approved) => println!("approved by {}", approved.approved_by),
//!     Err(error) if error.reason() == Some(ErrorReason::EtagMismatch) => println!("changed meanwhile: read it again"),
//!     Err(error) if error.reason() == Some(ErrorReason::StateTransitionInvalid) => {
//!         println!("not now; what the service says about it: {:?}", error.metadata());
//!     }
//!     Err(error) => return Err(error),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! | reason | kind | what a caller does |
//! | --- | --- | --- |
//! | `EtagMismatch` | `Aborted` | reads again, and decides again on what it sees |
//! | `StateTransitionInvalid`, `DocumentNotEditable` | `FailedPrecondition` | nothing, until somebody takes another step: [`metadata`](Error::metadata) has the state |
//! | `DatabaseUnavailable`, `RouteMoving`, `RouteUnknown`, `ServerUnavailable` | `Unavailable` | comes back after [`retry_after`](Error::retry_after) |
//! | `PoolExhausted`, `RateLimited`, `DatabaseConflict` | `ResourceExhausted`, `Aborted` | the same: [`retryable`](Error::retryable) says so |
//! | `DocumentNotFound`, `ContentNotFound` | `NotFound` | says so; asking again does not help |
//! | `DatabaseDetached`, `DatabaseMisconfigured`, `DatabaseIdentityMismatch`, `SchemaNotReady`, `PlacementConflict` | `FailedPrecondition` | calls an operator |
//! | `FieldInvalid` | `InvalidArgument` | mends the request: [`field_violations`](Error::field_violations) |
//! | `AccessDenied`, `CredentialsInvalid` | `PermissionDenied`, `Unauthenticated` | gets another token |
//! | none | `Connect`, `Transport` | comes back; a change with its `request_id` |
//!
//! A document that was deleted is not `NotFound` until it is purged: [`get`](Documents::get) and
//! [`batch_get`](Documents::batch_get) show it, with its `delete_time`; check that it is none.
//!
//! A `request_id` of your own is a UUID in lower case with hyphens, as `Uuid::new_v4().to_string()` makes it; anything
//! else is `FieldInvalid`.
//!
//! An error has all [wrong fields](Error::field_violations), the [database](Error::served) the call had been routed to, the
//! [number of attempts](Error::attempts), and the [`request_id`](Error::request_id) under which a change may be
//! repeated by hand. New kinds and reasons appear; [`reason_name`](Error::reason_name) has those newer than this crate.
//!
//! # Retries
//!
//! What is safe to repeat is repeated: questions always, and changes of documents too, because each has a `request_id`,
//! made once a call, under which the service does it once. An attempt that failed is made again
//!
//! - if there was no connection, if it broke, or if the service says `UNAVAILABLE`; for `ABORTED` and
//!   `RESOURCE_EXHAUSTED` only if it says when; for nothing else, and never after a deadline ([`Error::retryable`]);
//! - at another replica, if there is one;
//! - after a random part of 50 ms, doubling to 2 s, on top of what the service [asks for](Error::retry_after);
//! - up to 4 times in all ([`Builder::attempts`], [`Client::with_attempts`]), while the deadline allows: a wait that would outlast it is not begun;
//! - out of a budget that all clones share: it holds ten retries, and ten successful calls pay for one more. A service
//!   that is dead for everybody gets one attempt a call.
//!
//! `DATABASE_UNAVAILABLE` asks for 1 s between attempts: with the defaults, a call on a database that is closed fails
//! after 3 to 4 s. A service that passes [`retry_after`](Error::retry_after) on to its own caller, as HTTP's
//! `Retry-After`, does not wait itself: `client.with_attempts(1)`.
//!
//! # Deadlines
//!
//! Each call has one, over all of its attempts: 10 s, or [`Builder::deadline`], or [`Client::with_deadline`] for the
//! calls made with that clone. Each attempt tells the service what is left, and the service stops there too. After
//! [`ErrorKind::DeadlineExceeded`] a change may have happened: repeat it with its `request_id` to know.
//!
//! # Cancel safety
//!
//! Dropping a future gives its call up: the service is told, and nothing goes on in the background. Questions may be
//! dropped at any time. A change that was dropped may have happened: give it a `request_id` of your own to be able to
//! repeat it. [`Listing::next`] and [`Download::chunk`] lose nothing when dropped.
//!
//! # Transfers
//!
//! ```no_run
//! # use fbs_router_client::{Documents, Error, Upload};
//! # async fn files(documents: &Documents) -> Result<(), Box<dyn std::error::Error>> {
//! documents.upload_file("…id…", "invoice.pdf").await?;
//! let upload = Upload::from("…id…").filename("notes.txt").media_type("text/plain");
//! documents.upload_bytes(upload, "as agreed by telephone").await?;
//!
//! let mut download = documents.download("…id…").await?;
//! let mut file = tokio::fs::File::create("copy.pdf").await?;
//! tokio::io::copy(&mut download, &mut file).await?;
//! # Ok(())
//! # }
//! ```
//!
//! A reader ([`Documents::upload`]) needs its filename, size and SHA-256 beforehand: the service checks size and digest
//! before anything becomes visible, and the contract has them first, before the bytes. What comes without a digest,
//! such as the body of an HTTP request, is written to a file and given to [`Documents::upload_file`], which finds them
//! out; [`Documents::upload_bytes`] does so for what is in memory. What is missing ([`Upload::filename`],
//! [`Upload::size_bytes`], [`Upload::sha256`]) is [`ErrorKind::InvalidArgument`] before anything is sent; the media type
//! is `application/octet-stream` unless given.
//!
//! Memory is constant, whatever the size. An upload ends as soon as the service answers, also while there is still
//! something to send. Files and bytes are sent again as a whole where a change would be repeated; a reader only while
//! nothing was read from it. A [`Download`] is an `AsyncRead`, and a `Stream` of bytes, that goes on by itself at the
//! byte where it broke, and whose end means that every byte came, with the right SHA-256. Progress is what the reader
//! given or the `Download` read has seen.
//!
//! Transfers have no deadline, unless `with_deadline` asked for one; no progress for 30 s
//! ([`Builder::idle_limit`]) is [`ErrorKind::DeadlineExceeded`].
//!
//! # Operators
//!
//! ```no_run
//! # use fbs_router_client::{Client, Error, v1::{Placement, move_solution_response::Step}};
//! # async fn operate(client: &Client) -> Result<(), Error> {
//! let admin = client.admin();
//! let mut moved = admin.move_solution(("globex", Placement::Dedicated)).await?;
//! while let Some(stands) = moved.next().await.transpose()? {
//!     println!("{:?}: {} of {} rows", stands.step(), stands.rows_copied, stands.rows_total);
//!     assert_ne!(stands.step(), Step::RolledBack, "{}", stands.message);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`Admin`] registers, moves and releases solutions, accepts and removes servers, and has catalogs scanned. These
//! changes have no `request_id`: they are tried again only where nothing happened. A move has no deadline, goes on in
//! the service when it is not followed any more, and is followed again by the same call.
//!
//! # Replicas
//!
//! A host name stands for all of its addresses, and is looked up every 10 s and after a failure; several URLs
//! ([`Builder::connect_to`]) for all of theirs. A call takes the address with the fewest calls in flight; one that
//! cannot be reached is left alone for 1 s, doubling to 30 s. A proxy that balances connections rather than calls is
//! not needed.
//!
//! # TLS and tokens
//!
//! ```no_run
//! # use fbs_router_client::{Client, Error, Tls};
//! # async fn connect(token: String, authority: Vec<u8>) -> Result<(), Error> {
//! let client = Client::builder().token(token).connect("https://router.example.com").await?;
//! let inside = Client::builder().tls(Tls::private(authority)).connect("https://router.internal:50051").await?;
//! # Ok(())
//! # }
//! ```
//!
//! `https://` trusts the machine's certificate authorities unless [`Builder::tls`] says otherwise; [`Tls`] also shows
//! a certificate. A token is sent with each call, never printed, and refused for `http://` to another machine.
//!
//! # Tracing
//!
//! Each call is a span of target `fbs_router_client::call` with `method`, `solution`, `attempts`, and, if it failed,
//! `kind` and `reason`; each retry an event in it. Never titles, contents or tokens.
//!
//! # Testing
//!
//! The crate `fbs-router-testing` starts the real service in the process of a test, with a Postgres of its own:
//! `TestRouter::start()`. What it does is what production does, errors included.
//!
//! # Versions
//!
//! Rust 1.90 or newer (`rust-version` of the workspace). The contract grows: enums get values and messages get fields.

mod admin;
mod answer;
mod ask;
mod builder;
mod call;
mod client;
mod connector;
mod documents;
mod endpoints;
mod error;
mod origin;
mod pages;
mod retry;
mod tls;
mod token;
mod transfer;
pub mod v1;

pub use admin::{Admin, Move};
pub use answer::{Answer, Served};
pub use ask::Ask;
pub use builder::Builder;
pub use client::{Client, outcome};
pub use documents::Documents;
pub use error::{Error, ErrorKind, FieldViolation};
pub use fbs_router_proto::router::v1::ErrorReason;
pub use pages::Listing;
/// Content in memory.
pub use prost::bytes::Bytes;
/// Timestamps, field masks and free fields of the messages.
pub use prost_types;
pub use tls::Tls;
pub use transfer::{Download, Upload};

/// Answers are at most 3 MiB by contract; the rest is room for later versions.
const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;
