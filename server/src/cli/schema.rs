//! `fbs-router schema`: what the solution implementer runs on a database, as its owner.

mod passfile;

use std::{path::PathBuf, str::FromStr};

use clap::{Args, Subcommand};
use fbs_router_schema::{DEFAULT_RUNTIME_ROLE, Printed, Purpose, Status};
use tokio_postgres::{Client, NoTls, config::SslMode};

use super::{CliError, chain};

#[derive(Debug, Args)]
pub(crate) struct Schema {
    #[command(subcommand)]
    command: SchemaCommand,
}

#[derive(Debug, Subcommand)]
enum SchemaCommand {
    /// Print the schema as SQL, for review or for psql.
    Print {
        #[command(flatten)]
        purpose: PurposeArguments,
        /// Make the runtime role, too. Needs CREATEROLE.
        #[arg(long)]
        roles: bool,
        /// The role that `serve` logs in with.
        #[arg(long, default_value = DEFAULT_RUNTIME_ROLE)]
        runtime_role: String,
    },
    /// Bring a database to the newest version. Idempotent; never creates a database.
    Apply {
        #[command(flatten)]
        database: DatabaseArguments,
        #[command(flatten)]
        purpose: PurposeArguments,
        /// The role that `serve` logs in with.
        #[arg(long, default_value = DEFAULT_RUNTIME_ROLE)]
        runtime_role: String,
    },
    /// Show which version a database has, and whose it is.
    Status {
        #[command(flatten)]
        database: DatabaseArguments,
    },
}

#[derive(Debug, Args)]
struct DatabaseArguments {
    /// The database, as its owner: postgres://owner@host/database. No password in it.
    #[arg(long)]
    url: String,
    /// The owner's password; else PGPASSWORD, else the file that PGPASSFILE names.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct PurposeArguments {
    /// The own database of this solution.
    #[arg(long, value_name = "NAME")]
    solution: Option<String>,
    /// The documents app's system database, with the ledger.
    #[arg(long)]
    system: bool,
    /// A template: `createdb -T` makes databases that are ready.
    #[arg(long)]
    template: bool,
}

impl PurposeArguments {
    fn purpose(self) -> Result<Purpose, CliError> {
        match self.solution {
            Some(name) => match fbs_router::domain::SolutionId::parse(&name) {
                Ok(_) => Ok(Purpose::Solution(name)),
                Err(problem) => Err(CliError::Usage(format!("--solution {name:?}: {problem}"))),
            },
            None if self.system => Ok(Purpose::System),
            None => Ok(Purpose::Template),
        }
    }
}

impl Schema {
    pub(super) async fn run(self) -> Result<(), CliError> {
        match self.command {
            SchemaCommand::Print { purpose, roles, runtime_role } => {
                print!("{}", fbs_router_schema::print(&purpose.purpose()?, &runtime_role, Printed { roles }));
            }
            SchemaCommand::Apply { database, purpose, runtime_role } => {
                let purpose = purpose.purpose()?;
                let mut client = database.connect().await?;
                let report = fbs_router_schema::apply(&mut client, &purpose, &runtime_role)
                    .await
                    .map_err(|error| CliError::Failed(chain(&error)))?;
                if report.applied.is_empty() {
                    println!("nothing to do");
                }
                for step in &report.applied {
                    println!("applied {step}");
                }
                show(&report.status);
            }
            SchemaCommand::Status { database } => {
                let mut client = database.connect().await?;
                let status =
                    fbs_router_schema::status(&mut client).await.map_err(|error| CliError::Failed(chain(&error)))?;
                show(&status);
            }
        }
        Ok(())
    }
}

impl DatabaseArguments {
    #[expect(
        clippy::disallowed_methods,
        reason = "a tool for one database; the service connects in postgres/connect.rs"
    )]
    async fn connect(&self) -> Result<Client, CliError> {
        // The driver's text may repeat the url.
        let mut config = tokio_postgres::Config::from_str(&self.url)
            .map_err(|_| CliError::Usage("--url is no Postgres url such as postgres://owner@host/database".into()))?;
        if config.get_password().is_some() {
            let problem = "--url must not hold a password; use --password-file or PGPASSWORD";
            return Err(CliError::Usage(problem.into()));
        }
        if config.get_dbname().is_none() {
            let problem = "--url names no database; say postgres://OWNER@HOST/DATABASE";
            return Err(CliError::Usage(problem.into()));
        }
        if let Some(path) = &self.password_file {
            let text = std::fs::read_to_string(path)
                .map_err(|error| CliError::Failed(format!("--password-file {}: {error}", path.display())))?;
            config.password(text.trim_end_matches(['\n', '\r']));
        } else if let Some(password) = std::env::var("PGPASSWORD").ok().or_else(|| from_passfile(&config)) {
            config.password(password);
        }
        config.application_name("fbs-router schema");
        let failed = |error: tokio_postgres::Error| CliError::Failed(format!("cannot connect: {}", chain(&error)));
        let local = config.get_hosts().iter().all(|host| match host {
            tokio_postgres::config::Host::Unix(_) => true,
            tokio_postgres::config::Host::Tcp(name) => name == "localhost" || name.starts_with("127."),
        });
        if local {
            config.ssl_mode(SslMode::Disable);
            let (client, connection) = config.connect(NoTls).await.map_err(failed)?;
            tokio::spawn(connection);
            return Ok(client);
        }
        config.ssl_mode(SslMode::Require);
        let tls = fbs_router::postgres::machine_tls().map_err(|error| CliError::Failed(chain(&error)))?;
        let (client, connection) = config.connect(tls).await.map_err(failed)?;
        tokio::spawn(connection);
        Ok(client)
    }
}

#[expect(clippy::disallowed_methods, reason = "a tool for one database reads libpq's variables")]
fn from_passfile(config: &tokio_postgres::Config) -> Option<String> {
    let text = std::fs::read_to_string(std::env::var_os("PGPASSFILE")?).ok()?;
    let host = match config.get_hosts().first() {
        Some(tokio_postgres::config::Host::Tcp(host)) => host.as_str(),
        Some(tokio_postgres::config::Host::Unix(_)) | None => "localhost",
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let user = config.get_user().unwrap_or_default();
    let wanted = passfile::Wanted { host, port, database: config.get_dbname().unwrap_or(user), user };
    passfile::find(&text, wanted)
}

fn show(status: &Status) {
    let version = |found: Option<i32>| found.map_or_else(|| "absent".to_owned(), |version| version.to_string());
    println!("documents schema: {}", version(status.documents));
    println!("ledger:           {}", version(status.ledger));
    match &status.identity {
        None => println!("identity:         none (a template, or not met by a router yet)"),
        Some(identity) => {
            let owner =
                identity.solution.as_ref().map_or_else(|| "system".to_owned(), |name| format!("solution {name}"));
            println!("identity:         {owner}, database {}", identity.database_uuid);
        }
    }
}
