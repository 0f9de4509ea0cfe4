//! Real Postgres for tests, benches and the quick start, and the faults to put it through.
//!
//! Owns: finding server binaries, private clusters that die with the process which started them, a PgBouncer before one,
//! a proxy that refuses, hangs, cuts and delays, and the bounded wait of the tests.
//! On top of them somebody who plays the solution implementer, and a platform prepared with the product's defaults.
//! Invariant: whatever ends this process, `kill -9` included, no server and no scratch folder stays.

pub mod binaries;
pub mod cluster;
mod eventually;
pub mod implementer;
pub mod platform;
pub mod proxy;
mod user;

pub use cluster::{Cluster, Options, PgBouncer, Storage};
pub use eventually::{LIMIT, eventually, soon};
pub use implementer::Implementer;
pub use platform::Platform;
pub use proxy::{Address, FaultProxy, Mode, Way};
