//! fbs-router measured against the simplest services that could stand in its place: `make bench`.
//!
//! Every server is a child process, so that its processor time is its own; servers that are compared live at the same
//! time and are loaded in turn. docs/benchmarks.md says what each row means.

mod attacker;
mod child;
mod cpu;
mod limits;
mod load;
mod measure;
mod peers;
mod report;
mod rows;
mod servers;
mod world;

use std::{error::Error, net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use self::{measure::Effort, servers::Kind, world::World};

/// What everything here comes to.
pub(crate) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Benchmarks of fbs-router against its peers. Needs Linux and PostgreSQL binaries.
#[derive(Debug, Parser)]
struct Arguments {
    /// A smoke test: every row, too short to mean much.
    #[arg(long)]
    quick: bool,
    /// Only rows whose name contains this. May be repeated.
    #[arg(long, value_name = "ROW")]
    only: Vec<String>,
    /// Only names the rows.
    #[arg(long)]
    list: bool,
    #[command(subcommand)]
    child: Option<ChildCommand>,
}

#[derive(Debug, Subcommand)]
enum ChildCommand {
    /// A server under load: this program runs itself so.
    #[command(hide = true)]
    Server { kind: String, folder: PathBuf },
    /// Who sends what no caller would.
    #[command(hide = true)]
    Attacker { attack: usize, address: SocketAddr, document_id: String },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match &arguments.child {
        Some(ChildCommand::Server { kind, folder }) => {
            Kind::from_name(kind).and_then(|kind| servers::run(kind, folder)).map(|()| true)
        }
        Some(ChildCommand::Attacker { attack, address, document_id }) => {
            attacker::run(*attack, *address, document_id).map(|()| true)
        }
        None => bench(&arguments),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("error: calls failed, or a limit was not kept");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Measures and prints. True if every call was answered.
fn bench(arguments: &Arguments) -> Outcome<bool> {
    let mut groups = rows::groups();
    for group in &mut groups {
        group.rows.retain(|row| arguments.only.is_empty() || arguments.only.iter().any(|part| row.name.contains(part)));
    }
    groups.retain(|group| !group.rows.is_empty());
    let limits = limits::wanted(&arguments.only);
    if arguments.list {
        groups.iter().flat_map(|group| &group.rows).for_each(|row| println!("{}", row.name));
        limits.iter().for_each(|limit| println!("{}", limit.name()));
        return Ok(true);
    }
    if groups.is_empty() && limits.is_empty() {
        return Err("no row has such a name; --list names them".into());
    }
    let effort = if arguments.quick { Effort::QUICK } else { Effort::FULL };
    // One thread: the load is to be small beside the servers.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let world = World::new().await?;
        let mut clean = true;
        if !groups.is_empty() {
            report::head(effort, &world.postgres_version());
        }
        for group in &groups {
            clean &= report::lines(group, &group.run(&world, effort).await?);
        }
        clean &= limits::measure(&limits, &world, arguments.quick).await?;
        Ok(clean)
    })
}
