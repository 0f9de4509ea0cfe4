//! The flags that say that an unsafe situation is wanted: the same for `serve` and `check`.

use clap::Args;
use fbs_router::probe::Allowed;

#[derive(Debug, Clone, Copy, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct Allow {
    /// Serve gRPC in plain text on a non-loopback address: whoever is on the way reads and changes it.
    #[arg(long)]
    insecure_plaintext: bool,
    /// Serve a non-loopback address although nobody is authenticated: whoever reaches it is admin of every solution.
    #[arg(long)]
    insecure_no_auth: bool,
    /// Use a Postgres on another machine without TLS: whoever is on the way reads and changes everything.
    #[arg(long)]
    insecure_db_tls: bool,
    /// Use a Postgres with fsync, full_page_writes or synchronous_commit off: a crash loses acknowledged writes.
    #[arg(long)]
    allow_unsafe_durability: bool,
}

impl Allow {
    pub(super) fn allowed(self) -> Allowed {
        Allowed {
            plaintext: self.insecure_plaintext,
            no_auth: self.insecure_no_auth,
            db_tls: self.insecure_db_tls,
            unsafe_durability: self.allow_unsafe_durability,
        }
    }
}
