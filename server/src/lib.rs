//! The fbs-router service as a library: what `main` runs, and what tests run in process.

// Each call is a future, made and moved anew: what it seldom waits for is boxed.
#![warn(clippy::large_futures)]

pub mod config;
pub mod documents;
pub mod domain;
pub mod metrics;
pub mod moving;
pub mod postgres;
pub mod probe;
pub mod routing;
pub mod rpc;
pub mod service;
