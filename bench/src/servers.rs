//! The servers under load: each runs in a child process, in this module's `run`.

mod ours;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
};

use tokio::{net::TcpListener, runtime::Runtime};
use tonic::transport::server::TcpIncoming;

use crate::{Outcome, child, peers, world};

/// What runs in a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Bare tonic: bytes in, bytes of the same size as a route out.
    Echo,
    /// Bare tonic: the messages of ResolveDatabase, always the same answer.
    Constant,
    /// fbs-router as it is served, 10,000 placements in its ledger.
    Ours,
    /// fbs-router as it is served, 10 placements in its ledger.
    OursOfTen,
    /// fbs-router once a core: a current-thread runtime, a table, pools and scanners each.
    OursEachCore,
    /// One fbs-router, served by a current-thread runtime a core.
    OursSharedByCores,
    /// Bare tonic and deadpool: one statement in autocommit.
    Bare,
    /// As [`Self::Bare`], in a pipelined transaction that names the solution for the policies.
    Policies,
    /// As [`Self::Policies`], with the service's own statement, which asks the fence.
    Fence,
}

impl Kind {
    const ALL: [Self; 9] = [
        Self::Echo,
        Self::Constant,
        Self::Ours,
        Self::OursOfTen,
        Self::OursEachCore,
        Self::OursSharedByCores,
        Self::Bare,
        Self::Policies,
        Self::Fence,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Constant => "constant",
            Self::Ours => "ours",
            Self::OursOfTen => "ours-of-ten",
            Self::OursEachCore => "ours-each-core",
            Self::OursSharedByCores => "ours-shared-by-cores",
            Self::Bare => "bare",
            Self::Policies => "policies",
            Self::Fence => "fence",
        }
    }

    pub(crate) fn from_name(name: &str) -> Outcome<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| format!("no server `{name}`").into())
    }
}

/// Serves until the parent is gone.
pub(crate) fn run(kind: Kind, folder: &Path) -> Outcome<()> {
    child::end_with_parent();
    match kind {
        Kind::Ours => ours::as_served(&folder.join(world::ROUTER)),
        Kind::OursOfTen => ours::as_served(&folder.join(world::SMALL_ROUTER)),
        Kind::OursEachCore => ours::each_core(&folder.join(world::ROUTER)),
        Kind::OursSharedByCores => ours::shared_by_cores(&folder.join(world::ROUTER)),
        Kind::Echo | Kind::Constant | Kind::Bare | Kind::Policies | Kind::Fence => {
            default_runtime()?.block_on(peers::serve(kind, folder))
        }
    }
}

/// What `#[tokio::main]` makes, and `fbs-router` too.
fn default_runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

/// A listener on a free port, already announced, with what tonic sets by default.
pub(crate) async fn listen() -> std::io::Result<TcpIncoming> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
    child::announce(listener.local_addr()?)?;
    Ok(TcpIncoming::from(listener).with_nodelay(Some(true)))
}
