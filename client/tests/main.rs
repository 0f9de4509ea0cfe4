//! The client against services that do what a test tells them to, over a real socket.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod admin;
mod calls;
mod contract;
mod downloads;
mod failover;
mod pages;
mod retries;
mod secrets;
mod support;
mod traces;
mod uploads;
