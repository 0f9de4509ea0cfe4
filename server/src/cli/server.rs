//! `fbs-router server accept`, `server remove`: which Postgres servers the ledger lists, and as which clusters.

use clap::{Args, Subcommand};
use fbs_router_client::{
    Error,
    v1::{AcceptServerRequest, RemoveServerRequest},
};
use serde_json::json;

use super::output::{CliError, ServiceArgs, table};

/// Accepts and forgets Postgres servers
#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    #[command(subcommand)]
    command: ServerCommand,
}

/// What is done with a server.
#[derive(Debug, Subcommand)]
pub(crate) enum ServerCommand {
    /// Accepts a server that legitimately became another cluster: a major upgrade, a restore
    Accept(AcceptArgs),
    /// Forgets a server that holds no placement
    Remove(RemoveArgs),
}

/// Arguments of `server accept`.
#[derive(Debug, Args)]
#[command(after_help = "\
The identifier is typed, so that no other cluster than the one meant is accepted. On the server:
psql -c 'SELECT system_identifier FROM pg_control_system()'. Needs admin of every solution.")]
pub(crate) struct AcceptArgs {
    /// Its name in the configuration
    #[arg(value_name = "NAME")]
    server: String,
    /// The system_identifier that it reports now
    #[arg(long, value_name = "N")]
    system_identifier: u64,
    #[command(flatten)]
    service: ServiceArgs,
}

/// Arguments of `server remove`.
#[derive(Debug, Args)]
#[command(after_help = "Refused while it holds a placement. Needs admin of every solution.")]
pub(crate) struct RemoveArgs {
    /// Its name in the ledger
    #[arg(value_name = "NAME")]
    server: String,
    #[command(flatten)]
    service: ServiceArgs,
}

// === impl ServerArgs ===

impl ServerArgs {
    /// Runs the command.
    pub(crate) async fn run(self) -> Result<(), CliError> {
        match self.command {
            ServerCommand::Accept(args) => args.run().await,
            ServerCommand::Remove(args) => args.run().await,
        }
    }
}

impl AcceptArgs {
    async fn run(self) -> Result<(), CliError> {
        let Self { server, system_identifier, service } = self;
        let request = AcceptServerRequest { server: server.clone(), system_identifier };
        service.connect().await?.admin().accept_server(request).await.map_err(open)?;
        service.show(|| json!({}), || format!("{} is accepted as cluster {system_identifier}\n", table::clean(&server)))
    }
}

impl RemoveArgs {
    async fn run(self) -> Result<(), CliError> {
        let Self { server, service } = self;
        let request = RemoveServerRequest { server: server.clone() };
        service.connect().await?.admin().remove_server(request).await.map_err(open)?;
        service.show(|| json!({}), || format!("{} is forgotten\n", table::clean(&server)))
    }
}

fn open(error: Error) -> CliError {
    CliError::Open(error, "it may have happened: the same command does no harm then".to_owned())
}
