//! The gRPC contract of fbs-router, as Rust: messages, clients and servers generated from `proto/`.
//!
//! Server, client and tests share this crate, so that there is one copy of each type. It knows how messages are read
//! from bytes ([`codec`]) and nothing of what they mean; what a field means is said in the `.proto` files, and repeated in
//! the generated docs.

pub mod codec;
mod weight;

/// `name, "package", what it is about`: version 1 of a package.
macro_rules! version_1 {
    ($name:ident, $package:literal, $about:literal) => {
        #[doc = concat!("`", $package, "`: ", $about)]
        pub mod $name {
            /// Version 1.
            #[allow(
                missing_docs,
                clippy::all,
                clippy::too_many_lines,
                clippy::allow_attributes_without_reason,
                unreachable_pub,
                reason = "generated"
            )]
            pub mod v1 {
                tonic::include_proto!($package);
            }
        }
    };
}

version_1!(router, "fbs.router.v1", "where a solution's data lives.");
version_1!(document, "fbs.document.v1", "a solution's documents.");
version_1!(admin, "fbs.admin.v1", "what operators decide about solutions and servers.");

/// `ErrorInfo.domain` of every error the service makes.
pub const ERROR_DOMAIN: &str = "fbs.router";

/// The encoded descriptor set of the whole contract, comments included: what reflection serves.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));

impl router::v1::ErrorReason {
    /// The `ErrorInfo.reason` of this value: its name without the prefix.
    pub fn reason(self) -> &'static str {
        let name = self.as_str_name();
        name.strip_prefix("ERROR_REASON_").unwrap_or(name)
    }

    /// The value of an `ErrorInfo.reason`, if this contract knows it.
    pub fn from_reason(reason: &str) -> Option<Self> {
        Self::from_str_name(&format!("ERROR_REASON_{reason}"))
    }
}
