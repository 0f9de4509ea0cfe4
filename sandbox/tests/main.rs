//! The private Postgres, its faults, and the proxy before it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod binaries;
mod cluster;
mod faults;
mod parent_killed;
mod proxy;
