//! End to end, over real gRPC on a real Postgres. One file a promise; each test has a platform of its own.
//!
//! Run one: `cargo test --test e2e dead_database`. See `support` for what a test has at hand.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod appearing;
mod routing;
mod support;
mod tls;
