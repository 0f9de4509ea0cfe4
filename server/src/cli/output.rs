//! What the small client commands share: how they connect, what they print, and how they fail.
//!
//! Tables are for people and may change; `--json` is for scripts: protobuf JSON, names and forms kept. Results go to
//! stdout, problems to stderr, each with the line that mends it where there is one.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use fbs_router_client::{Client, Error, ErrorKind, Served, v1::Placement};
use serde_json::Value;

use super::tls::TlsArgs;

pub(crate) mod json;
pub(crate) mod problem;
pub(crate) mod table;

/// How a running service is reached, and how its answer is shown.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServiceArgs {
    /// Where the service listens: https://host:port, http://host:port or unix:/path/to.sock
    #[arg(long, value_name = "URL", env = "FBS_ROUTER_URL", default_value = "http://127.0.0.1:50051")]
    pub(crate) server_url: String,
    /// The file that holds the caller's token, where the service authenticates
    #[arg(long, value_name = "FILE", env = "FBS_ROUTER_TOKEN_FILE")]
    pub(crate) token_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) tls: TlsArgs,
    /// Longest time for each call; 10s unless given, and as long as it gets on for content
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Option<Duration>,
    /// Protobuf JSON for scripts instead of tables for people
    #[arg(long)]
    pub(crate) json: bool,
}

/// Why a command failed; what [`report`](Self::report) says of it goes to stderr.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The service cannot be reached.
    #[error("cannot reach the service")]
    Connect(#[source] Error),
    /// The service answered with an error.
    #[error(transparent)]
    Call(#[from] Error),
    /// The terminal or pipe cannot be written to.
    #[error("cannot write the result")]
    Output(#[source] io::Error),
    /// A file cannot be read or written.
    #[error("{0}")]
    File(String, #[source] io::Error),
    /// Not done, to be on the safe side: what stands in the way, and the line that mends it.
    #[error("{0}")]
    Refused(String, &'static str),
    /// A change failed that cannot be recognised if it is repeated; and what to do in case it happened.
    #[error("{0}")]
    Open(#[source] Error, String),
    /// Not done, because it destroys something and was not confirmed: what it does, and what to type.
    #[error("{0}")]
    Unconfirmed(String, String),
    /// A move ended where it began: why, and what to do about it.
    #[error("{0}")]
    TakenBack(String, String),
    /// Flags that do not go together, where only their values tell.
    #[error("{0}")]
    Usage(&'static str),
}

// === impl ServiceArgs ===

impl ServiceArgs {
    /// Connects, or says how to start what is missing.
    pub(crate) async fn connect(&self) -> Result<Client, CliError> {
        let mut builder = Client::builder().user_agent("fbs-router-cli");
        if let Some(path) = &self.token_file {
            builder = builder.token(token(path)?);
        }
        if let Some(tls) = self.tls.read()? {
            builder = builder.tls(tls);
        }
        let client = builder.connect(&self.server_url).await.map_err(CliError::Connect)?;
        // Asked for in so many words it holds for content too, which otherwise has no deadline.
        Ok(match self.timeout {
            Some(timeout) => client.with_deadline(timeout),
            None => client,
        })
    }

    /// Prints the one form that was asked for.
    pub(crate) fn show(
        &self,
        for_scripts: impl FnOnce() -> Value,
        for_people: impl FnOnce() -> String,
    ) -> Result<(), CliError> {
        if self.json { print(&format!("{:#}\n", for_scripts())) } else { print(&for_people()) }
    }
}

/// The first line: what else is in the file, such as the lines of `token new`, is not for the wire.
fn token(path: &Path) -> Result<String, CliError> {
    let text = std::fs::read_to_string(path).map_err(|error| CliError::File(path.display().to_string(), error))?;
    match text.lines().next().map(str::trim) {
        Some(token) if !token.is_empty() => Ok(token.to_owned()),
        Some(_) | None => Err(CliError::Usage("the token file begins with an empty line")),
    }
}

// === impl CliError ===

impl CliError {
    /// 2 for a URL or setting that cannot be used and for a confirmation that is missing, which are mistakes of usage;
    /// else 1.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Connect(error) if error.kind() == ErrorKind::Configuration => 2,
            Self::Usage(_) | Self::Unconfirmed(..) => 2,
            Self::Connect(_)
            | Self::Call(_)
            | Self::Open(..)
            | Self::Output(_)
            | Self::File(..)
            | Self::Refused(..)
            | Self::TakenBack(..) => 1,
        }
    }

    /// The lines for stderr, ending with a newline.
    pub(crate) fn report(&self) -> String {
        match self {
            Self::Connect(error) => problem::unreachable(error),
            Self::Call(error) => problem::call(error),
            Self::Open(error, in_case) => problem::change(error, in_case),
            Self::Output(error) => format!("error: cannot write the result: {error}\n"),
            Self::File(problem, error) => format!("error: {}: {error}\n", table::clean(problem)),
            Self::Refused(problem, remedy) => format!("error: {}\n  {remedy}\n", table::clean(problem)),
            Self::Unconfirmed(problem, command) | Self::TakenBack(problem, command) => {
                format!("error: {}\n  {}\n", table::clean(problem), table::clean(command))
            }
            Self::Usage(problem) => format!("error: {problem}\n"),
        }
    }
}

/// Which database served a call, as a line for people.
pub(crate) fn served_line(served: Option<&Served>) -> String {
    served.map(|served| format!("served by {}\n", place(served))).unwrap_or_default()
}

/// `djo_acme_corp_db (dedicated, epoch 1)`
pub(crate) fn place(served: &Served) -> String {
    let database = if served.database.is_empty() { "a database" } else { served.database.as_str() };
    format!("{} ({}, epoch {})", table::clean(database), placement(served.placement), served.epoch)
}

/// A placement in words.
pub(crate) fn placement(placement: Placement) -> &'static str {
    match placement {
        Placement::Dedicated => "dedicated",
        Placement::System => "system",
        Placement::Unspecified => "unknown",
    }
}

/// Says on stderr that a listing was cut: stdout has the listing and nothing else.
pub(crate) fn note_cut(truncated: bool, limit: usize) {
    if truncated {
        eprintln!("cut at {limit}: there are more; --limit N shows them");
    }
}

/// Writes to stdout. A reader who has gone, such as `head`, is no failure.
pub(crate) fn print(text: &str) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome.map_err(CliError::Output),
    }
}
