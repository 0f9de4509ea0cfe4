//! The words of the product as types: parse, don't validate.
//!
//! Knows nobody: no tonic, no Postgres, no configuration. What is here cannot hold a malformed value.

pub mod call;
pub mod document;
pub mod error;
mod host;
pub mod login;
pub mod naming;
pub mod placement;
pub mod principal;
pub mod request;
pub mod solution;
pub mod workflow;

pub use call::{Call, Deadline, Permitted};
pub use error::{Error, Result, Violation};
pub use host::host;
pub use login::{Login, OwnRole};
pub use naming::{App, DATABASE_NAME_BYTES, Naming, Pattern};
pub use placement::{DatabaseTarget, Epoch, Placement, ServerName};
pub use principal::{Need, Principal};
pub use solution::SolutionId;
