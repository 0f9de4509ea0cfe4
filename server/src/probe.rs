//! The start-up probes: what `check` runs, and what the log says when a router is not ready.
//!
//! Reads only. Each problem carries the line that mends it.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use crate::{
    config::{self, Config},
    domain::App,
    postgres::{Facts, Failure, PostgresServer, SchemaState, prove},
    rpc::tokens::Tokens,
};

/// Longest one probe may take.
const LIMIT: Duration = Duration::from_secs(5);

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub subject: String,
    /// What is wrong with it, if anything.
    pub problem: Option<Problem>,
}

/// What is wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// For people.
    pub what: String,
    /// The line that mends it.
    pub remedy: String,
}

/// Looks at everything that a configuration names.
pub async fn run(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(path) = &config.tokens.key_file {
        let problem = Tokens::from_key_file(path).err().map(|error| Problem {
            what: error.to_string(),
            remedy: format!("openssl rand -hex 32 > {}", path.display()),
        });
        findings.push(Finding { subject: "tokens.key_file".into(), problem });
    }
    for settings in &config.servers {
        findings.extend(server(config, settings).await);
    }
    findings
}

async fn server(config: &Config, settings: &config::Server) -> Vec<Finding> {
    let subject = format!("Postgres server `{}`", settings.name);
    let server = match PostgresServer::new(settings) {
        Ok(server) => Arc::new(server),
        Err(error) => {
            let remedy = "set server.ca_file to the PEM file of the authority".to_owned();
            return vec![Finding { subject, problem: Some(Problem { what: error.to_string(), remedy }) }];
        }
    };
    let mut findings = Vec::new();
    let facts = match probe(&server, &settings.catalog_database).await {
        Ok(facts) => facts,
        Err(problem) => return vec![Finding { subject, problem: Some(problem) }],
    };
    let problem = if facts.in_recovery {
        Some(Problem { what: "it is a standby".into(), remedy: "point server.url at the primary".into() })
    } else if facts.role_too_powerful {
        Some(Problem {
            what: "the runtime role is superuser, bypasses row-level security, or is a member of another role".into(),
            remedy: "ALTER ROLE fbs_router NOSUPERUSER NOBYPASSRLS; and REVOKE every role from it".into(),
        })
    } else {
        None
    };
    findings.push(Finding { subject, problem });
    let mut seen = Vec::new();
    for app in config.naming.apps().iter().filter(|app| app.server == settings.name) {
        let Some(database) = &app.system_database else { continue };
        if !seen.contains(&database) {
            seen.push(database);
            findings.push(system_database(&server, app, app.name == config.naming.documents_app().name).await);
        }
    }
    findings
}

async fn system_database(server: &PostgresServer, app: &App, holds_ledger: bool) -> Finding {
    let name = app.system_database.as_deref().unwrap_or_default();
    let subject = format!("system database `{name}` on `{}`", server.name);
    let problem = match probe(server, name).await {
        Err(problem) => Some(problem),
        Ok(_) if !holds_ledger => None,
        Ok(facts) => match facts.schema {
            SchemaState::Absent | SchemaState::TooOld => Some(Problem {
                what: "the documents schema is absent or too old".into(),
                remedy: format!("fbs-router schema apply --system --url postgres://OWNER@HOST/{name}"),
            }),
            SchemaState::TooNew => Some(Problem {
                what: "the documents schema is newer than this build".into(),
                remedy: "use a newer fbs-router".into(),
            }),
            SchemaState::Ready(_) if facts.identity.is_none_or(|identity| identity.solution.is_some()) => {
                Some(Problem {
                    what: "it is not a system database".into(),
                    remedy: format!("fbs-router schema apply --system --url postgres://OWNER@HOST/{name}"),
                })
            }
            SchemaState::Ready(_) => None,
        },
    };
    Finding { subject, problem }
}

async fn probe(server: &PostgresServer, database: &str) -> Result<Facts, Problem> {
    let problem = |what: String, remedy: &str| Problem { what, remedy: remedy.to_owned() };
    let connected = async {
        let client = server.connect(database).await?;
        prove::prove(&client).await
    };
    match timeout(LIMIT, connected).await {
        Err(_) => Err(problem("no answer within 5 s".into(), "check host, port and firewall of server.url")),
        Ok(Ok(facts)) => Ok(facts),
        Ok(Err(error)) => {
            let cause = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            Err(match Failure::of(&error, true) {
                Failure::DatabaseAbsent => problem(
                    format!("there is no such database: {cause}"),
                    "createdb it, or correct its name in [[app]] or catalog_database",
                ),
                Failure::Refused => problem(
                    format!("it refuses the router: {cause}"),
                    "fbs-router schema print --roles makes the role; set its password in password_file and pg_hba.conf",
                ),
                _ => problem(format!("it cannot be reached: {cause}"), "start it, or correct server.url"),
            })
        }
    }
}
