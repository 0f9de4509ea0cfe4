//! `fbs-router dev`: everything on one machine, for newcomers and for scripts that need a running service.
//!
//! A private Postgres that ends with this process, system databases, `acme_corp` with a database of its own, `globex`
//! without, sample documents; prints commands to paste. Plays the solution implementer; `serve` never does.

mod faults;
mod samples;
mod screen;

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Subcommand};
use fbs_router::{config::Config, service::Service};
use fbs_router_sandbox::{Platform, platform};
use tokio::sync::watch;

use super::{
    CliError, chain,
    serve::{describe, stop_signal},
};

#[derive(Debug, Args)]
pub(crate) struct Dev {
    #[command(subcommand)]
    command: Option<DevCommand>,
    /// Keep the databases in this folder; without it everything goes with the process.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Port of gRPC on 127.0.0.1; 0: any. Metrics and probes are one above it.
    #[arg(long, default_value_t = 50_051, value_parser = clap::value_parser!(u16).range(0..65_535))]
    port: u16,
    /// Write addresses and pid here as JSON, once ready.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// Close, rename, fill and kill acme's database under calls, show what callers get, and end.
    #[arg(long = "break", conflicts_with = "data")]
    break_things: bool,
}

#[derive(Debug, Subcommand)]
enum DevCommand {
    /// Give a solution of a running `dev` a database of its own: createdb -T fbs_template djo_NAME_db.
    CreateDatabase {
        /// The solution.
        name: String,
        /// Port of the running `dev`.
        #[arg(long, default_value_t = 50_051)]
        port: u16,
    },
}

impl Dev {
    pub(super) async fn run(self) -> Result<(), CliError> {
        match &self.command {
            Some(DevCommand::CreateDatabase { name, port }) => samples::create_database(name, *port).await,
            None => self.serve().await,
        }
    }

    async fn serve(self) -> Result<(), CliError> {
        let platform = match &self.data {
            Some(folder) => Platform::durable(folder).await,
            None => Platform::scratch(&platform::user_cache().map_err(failed)?, false).await,
        }
        .map_err(failed)?;
        let config = self.config(&platform)?;
        let service = Service::bind(config).await.map_err(|error| match describe(error) {
            CliError::Failed(problem) => {
                CliError::Failed(format!("{problem}; choose another with --port, or --port 0"))
            }
            other => other,
        })?;
        let grpc = service.grpc_address().ok_or_else(|| CliError::Failed("no address".into()))?;
        let ops = service.ops_address();
        // Whoever comes first: a signal, or the end of the demonstration.
        let (stop, stopped) = watch::channel(false);
        let mut signalled = stop_signal()?;
        let serving = tokio::spawn(service.run(stopped));
        let work = async {
            samples::wait_until_ready(grpc).await?;
            samples::create(grpc).await?;
            if self.break_things {
                return faults::show(grpc, &platform).await;
            }
            if let Some(path) = &self.ready_file {
                self.write_ready_file(path, grpc, ops)?;
            }
            screen::print(&platform, grpc, ops);
            std::future::pending().await
        };
        let outcome = tokio::select! {
            outcome = work => outcome,
            _ = signalled.wait_for(|stop| *stop) => Ok(()),
        };
        stop.send_replace(true);
        let _ = serving.await;
        if let Some(path) = &self.ready_file {
            let _ = std::fs::remove_file(path);
        }
        outcome
    }

    fn config(&self, platform: &Platform) -> Result<Config, CliError> {
        let folder = platform.cluster.socket_directory();
        let password = folder.join("runtime-password");
        let file = folder.join("router.toml");
        let ops_port = if self.port == 0 { 0 } else { self.port + 1 };
        let text = format!(
            "[listen]\ngrpc = \"127.0.0.1:{}\"\nops = \"127.0.0.1:{ops_port}\"\n\n\
             [[server]]\nurl = \"{}\"\npassword_file = \"{}\"\n\n\
             [drain]\nwait = \"0s\"\nlimit = \"5s\"\n",
            self.port,
            platform.url(),
            password.display()
        );
        std::fs::write(&password, platform::PASSWORD).map_err(failed)?;
        std::fs::write(&file, &text).map_err(failed)?;
        Config::parse(&text, &file, [], &[]).map_err(|errors| CliError::Configuration(errors.to_string()))
    }

    fn write_ready_file(
        &self,
        path: &std::path::Path,
        grpc: SocketAddr,
        ops: Option<SocketAddr>,
    ) -> Result<(), CliError> {
        let ready = serde_json::json!({
            "grpc": grpc.to_string(),
            "ops": ops.map(|address| address.to_string()),
            "pid": std::process::id(),
        });
        // By rename, so that whoever waits for the file never reads half of it.
        let half = path.with_extension("half");
        std::fs::write(&half, format!("{ready}\n"))
            .and_then(|()| std::fs::rename(&half, path))
            .map_err(|error| CliError::Failed(format!("--ready-file {}: {error}", path.display())))
    }
}

/// The cause of whatever went wrong, for people.
fn failed(error: impl std::error::Error) -> CliError {
    CliError::Failed(chain(&error))
}
