//! The gRPC contract of fbs-router, as Rust: messages, clients and servers generated from `proto/`.
//!
//! Server, client and tests share this crate, so that there is one copy of each type. It holds no
//! logic; what a field means is said in the `.proto` files, and repeated in the generated docs.

/// `fbs.router.v1`: where a solution's data lives.
pub mod router {
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
        tonic::include_proto!("fbs.router.v1");
    }
}

/// `fbs.document.v1`: a solution's documents.
pub mod document {
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
        tonic::include_proto!("fbs.document.v1");
    }
}

/// `fbs.admin.v1`: what operators decide about solutions and servers.
pub mod admin {
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
        tonic::include_proto!("fbs.admin.v1");
    }
}

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
