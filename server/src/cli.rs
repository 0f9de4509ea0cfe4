//! The command line: one file a subcommand. Part of the binary; services are called through the client crate.

mod allow;
mod check;
mod completions;
mod databases;
#[cfg(feature = "dev")]
mod dev;
mod documents;
mod explain;
pub(crate) mod logging;
mod move_solution;
mod operator;
mod output;
mod register;
mod release;
mod resolve;
mod routes;
mod schema;
mod serve;
mod server;
mod tls;
mod token;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Routes each solution to the Postgres database that holds its data, and serves its documents there.
#[derive(Debug, Parser)]
#[command(
    name = "fbs-router",
    version,
    disable_help_subcommand = true,
    after_help = "Exit codes: 0 done, 1 failed, 2 usage, 78 configuration"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) logging: logging::Logging,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service.
    Serve(serve::Serve),
    /// Run every start-up probe and list all problems at once.
    Check(check::Check),
    /// Print, apply or show the documents schema.
    Schema(schema::Schema),
    /// Show where a solution's data lives.
    Resolve(resolve::ResolveArgs),
    /// Show how that is decided: every rule tried, and what would change it.
    Explain(explain::ExplainArgs),
    /// List where all solutions live.
    Routes(routes::RoutesArgs),
    /// List the databases that hold an app's data.
    Databases(databases::DatabasesArgs),
    /// A solution's documents: read, change, approve, search, upload, download.
    Documents(Box<documents::DocumentsArgs>),
    /// Make tokens for callers.
    Token(token::Token),
    /// Record what is particular to a solution: where its own database is, whether it may share.
    Register(register::RegisterArgs),
    /// Move a solution's documents to its own database, or back.
    Move(move_solution::MoveArgs),
    /// Give up a solution's own database that is gone, replaced or in conflict.
    Release(release::ReleaseArgs),
    /// Accept a Postgres server that became another cluster, or forget one.
    Server(server::ServerArgs),
    /// Print what a shell needs to complete this command line.
    Completions(completions::Completions),
    /// Run everything on this machine, with a private Postgres and sample solutions.
    #[cfg(feature = "dev")]
    Dev(dev::Dev),
}

/// Why a command failed, and with which exit code.
#[derive(Debug)]
pub(crate) enum CliError {
    /// It did not work: 1.
    Failed(String),
    /// The command was typed wrongly: 2.
    Usage(String),
    /// The configuration is wrong: 78.
    Configuration(String),
    /// A call of a running service failed.
    Client(output::CliError),
}

impl Arguments {
    /// What is logged unless something else is asked for: commands that call a service say themselves what went wrong.
    pub(crate) fn log_level(&self) -> &'static str {
        match &self.command {
            Command::Serve(_) | Command::Check(_) | Command::Schema(_) => "info",
            Command::Resolve(_)
            | Command::Explain(_)
            | Command::Routes(_)
            | Command::Databases(_)
            | Command::Documents(_)
            | Command::Token(_)
            | Command::Register(_)
            | Command::Move(_)
            | Command::Release(_)
            | Command::Server(_)
            | Command::Completions(_) => "error",
            #[cfg(feature = "dev")]
            Command::Dev(_) => "info",
        }
    }

    pub(crate) async fn run(self) -> Result<(), CliError> {
        match self.command {
            Command::Serve(command) => command.run().await,
            Command::Check(command) => command.run().await,
            Command::Schema(command) => command.run().await,
            Command::Resolve(command) => command.run().await.map_err(CliError::Client),
            Command::Explain(command) => command.run().await.map_err(CliError::Client),
            Command::Routes(command) => command.run().await.map_err(CliError::Client),
            Command::Databases(command) => command.run().await.map_err(CliError::Client),
            Command::Documents(command) => command.run().await.map_err(CliError::Client),
            Command::Token(command) => command.run(),
            Command::Register(command) => command.run().await.map_err(CliError::Client),
            Command::Move(command) => command.run().await.map_err(CliError::Client),
            Command::Release(command) => command.run().await.map_err(CliError::Client),
            Command::Server(command) => command.run().await.map_err(CliError::Client),
            Command::Completions(command) => command.run().map_err(CliError::Client),
            #[cfg(feature = "dev")]
            Command::Dev(command) => command.run().await,
        }
    }
}

impl CliError {
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Failed(_) => ExitCode::FAILURE,
            Self::Usage(_) => ExitCode::from(2),
            Self::Configuration(_) => ExitCode::from(78),
            Self::Client(error) => ExitCode::from(error.exit_code()),
        }
    }
}

impl std::fmt::Display for CliError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Failed(problem) | Self::Usage(problem) | Self::Configuration(problem) => {
                for (index, line) in problem.lines().enumerate() {
                    let begin = if index == 0 { "error: " } else { "\nerror: " };
                    write!(formatter, "{begin}{line}")?;
                }
                Ok(())
            }
            Self::Client(error) => formatter.write_str(error.report().trim_end()),
        }
    }
}

/// How many entries of a listing, as typed: not none.
pub(crate) fn limit(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|limit| *limit > 0).ok_or_else(|| "is not a number from 1 on".to_owned())
}

/// An error and everything underneath it, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Arguments::command().debug_assert();
    }
}
