//! gRPC: one file a service, and what surrounds every call.
//!
//! The only room that knows tonic, besides `service`. Generated types stop at `convert` and `route`; statuses are
//! made in `status` alone; `observe` gives every call its deadline, its span and its counters, `authenticate` its caller, `in_flight` its memory;
//! `methods` says what a method needs, `permit` lets a call be about a solution.

mod admin_service;
pub mod authenticate;
pub mod callers;
pub mod convert;
mod document_service;
mod download;
#[cfg(test)]
mod fuzz;
pub mod health;
pub mod in_flight;
mod methods;
pub mod observe;
mod page;
mod permit;
mod reply;
mod route;
mod router_service;
#[expect(clippy::disallowed_methods, reason = "this is where statuses are made")]
pub mod status;
pub mod tokens;
mod upload;

pub use self::{admin_service::Admin, document_service::Documents, router_service::Routes};
