//! End to end, over real gRPC on a real Postgres. One file a promise; each test has a platform of its own.
//!
//! Run one: `cargo test --test e2e dead_database`. See `support` for what a test has at hand.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![expect(clippy::too_many_lines, reason = "a test tells one story, from its beginning to its end")]

mod admin;
mod admin_cli;
mod appearing;
mod attacker;
mod backup;
mod bad_input;
mod batch;
mod bombs;
mod callers;
mod callers_tls;
mod cancel;
mod certificates;
mod cli;
mod client;
mod content;
mod dashboard;
mod documents;
mod every_call;
mod faults;
mod guards;
mod herd;
mod identity;
mod in_flight;
mod isolation;
mod listing;
mod lists;
mod matrix;
mod moving;
mod no_ddl;
mod operating;
mod plans;
mod poolers;
mod pools;
mod proof;
mod random_input;
mod readme;
mod refusals;
mod reload;
mod renaming;
mod repeats;
mod rls;
mod roles;
mod rolling;
mod routing;
mod search;
mod secrecy;
mod service;
mod sharing;
mod staleness;
mod standby;
mod states;
mod support;
mod tls;
mod transport;
mod workflow;
