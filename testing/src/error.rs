//! Why something could not be done for a test.

use fbs_router_sandbox::{cluster, implementer, platform};

/// Why there is no service, or why something could not be done to it. `Display` tells all of it, what Postgres said
/// included: a test shows little more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TestError {
    /// No Postgres.
    #[error("no private Postgres: {}", whole(.0))]
    Postgres(#[from] platform::Error),
    /// Postgres could not be stopped or started.
    #[error("Postgres could not be stopped or started: {}", whole(.0))]
    Cluster(#[from] cluster::Error),
    /// Postgres refused what an implementer does.
    #[error("{}", whole(.0))]
    Implementer(#[from] implementer::Error),
    /// A file or a socket.
    #[error("a file or socket of the test: {0}")]
    Io(#[from] std::io::Error),
    /// The solution, or the database it has or has not, is none that this can be done to.
    #[error("solution {solution:?} {problem}")]
    Solution {
        /// Its id.
        solution: String,
        /// What is wrong with it, and what mends it.
        problem: String,
    },
    /// The lines of configuration given are wrong.
    #[error("the configuration is wrong: {0}")]
    Configuration(String),
    /// The service did not start, or is not ready after 20 s.
    #[error("the service is not ready: {0}")]
    NotReady(String),
}

/// An error and its causes in one line. Postgres's own words are a source of a source, and `unwrap` is seen, too.
fn whole(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
