//! The start-up probes: what `check` runs, what `serve` refuses, and what the log says when a router is not ready.
//!
//! Reads only. Each problem carries the line that mends it.

mod refusals;

use std::{sync::Arc, time::Duration};

use futures_util::future::try_join;
use tokio::time::timeout;

pub use self::refusals::{Allowed, refusals};
use crate::{
    config::{self, Config},
    domain::App,
    postgres::{Facts, Failure, PostgresServer, SchemaState, prove, unsafe_settings},
    rpc::tokens::Tokens,
    service::loss,
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

/// All that is wrong among some findings, one line each.
pub fn problems(findings: &[Finding]) -> Vec<String> {
    let told = |finding: &Finding| {
        let problem = finding.problem.as_ref()?;
        Some(format!("{}: {}; {}", finding.subject, problem.what, problem.remedy))
    };
    findings.iter().filter_map(told).collect()
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
pub async fn run(config: &Config, allowed: Allowed) -> Vec<Finding> {
    let mut findings = refusals(config, allowed);
    if let Some(path) = &config.tokens.key_file {
        let problem = Tokens::from_key_file(path).err().map(|error| Problem {
            what: error.to_string(),
            remedy: format!("openssl rand -hex 32 > {}", path.display()),
        });
        findings.push(Finding { subject: "tokens.key_file".into(), problem });
    }
    for settings in &config.servers {
        findings.extend(server(config, settings, allowed).await);
    }
    findings
}

async fn server(config: &Config, settings: &config::Server, allowed: Allowed) -> Vec<Finding> {
    let subject = format!("Postgres server `{}`", settings.name);
    let server = match PostgresServer::new(settings) {
        Ok(server) => Arc::new(server),
        Err(error) => {
            let remedy = "set server.ca_file to the PEM file of the authority".to_owned();
            return vec![Finding { subject, problem: Some(Problem { what: error.to_string(), remedy }) }];
        }
    };
    let mut findings = Vec::new();
    let (facts, lossy) = match probe(&server, &settings.catalog_database).await {
        Ok(found) => found,
        Err(problem) => return vec![Finding { subject, problem: Some(problem) }],
    };
    let problem = if facts.in_recovery {
        Some(Problem {
            what: "it is a standby".into(),
            remedy: "point server.url at the primary, or name its hosts all".into(),
        })
    } else if facts.role_too_powerful {
        Some(Problem {
            what: "the runtime role is superuser, bypasses row-level security, or is a member of another role".into(),
            remedy: "ALTER ROLE fbs_router NOSUPERUSER NOBYPASSRLS; and REVOKE every role from it".into(),
        })
    } else {
        None
    };
    findings.push(Finding { subject, problem });
    if !allowed.unsafe_durability {
        let problem = loss(&lossy).map(|(what, remedy)| Problem { what, remedy });
        findings.push(Finding { subject: format!("durability of Postgres server `{}`", settings.name), problem });
    }
    let mut seen = Vec::new();
    for app in config.naming.apps().iter().filter(|app| app.server == settings.name) {
        let Some(database) = &app.system_database else { continue };
        if !seen.contains(&database) {
            seen.push(database);
            let documents = app.name == config.naming.documents_app().name;
            findings.push(system_database(&server, app, documents.then_some(config)).await);
        }
    }
    findings
}

/// `ledger`: it holds the ledger, which must know no server that this configuration lacks.
async fn system_database(server: &PostgresServer, app: &App, ledger: Option<&Config>) -> Finding {
    let name = app.system_database.as_deref().unwrap_or_default();
    let subject = format!("system database `{name}` on `{}`", server.name);
    let problem = match (probe(server, name).await, ledger) {
        (Err(problem), _) => Some(problem),
        (Ok(_), None) => None,
        (Ok(_), Some(config)) => match timeout(LIMIT, inside_ledger(server, name, config)).await {
            Ok(Ok(problem)) => problem,
            Ok(Err(error)) => Some(unreachable_database(&error)),
            Err(_) => Some(silent()),
        },
    };
    Finding { subject, problem }
}

/// What a router would find wrong with the database of its ledger.
async fn inside_ledger(
    server: &PostgresServer,
    name: &str,
    config: &Config,
) -> Result<Option<Problem>, tokio_postgres::Error> {
    let problem = |what: &str, remedy: String| Ok(Some(Problem { what: what.to_owned(), remedy }));
    let apply = || format!("fbs-router schema apply --system --url postgres://OWNER@HOST/{name}");
    let client = server.connect(name, LIMIT).await?;
    let facts = prove::prove(&client).await?;
    for (schema, which) in [(facts.schema, "documents"), (prove::ledger_schema(&client).await?, "ledger's")] {
        match schema {
            SchemaState::Absent | SchemaState::TooOld => {
                return problem(&format!("the {which} schema is absent or too old"), apply());
            }
            SchemaState::TooNew => {
                let remedy = "use a newer fbs-router".to_owned();
                return problem(&format!("the {which} schema is newer than this build"), remedy);
            }
            SchemaState::Ready(_) => {}
        }
    }
    if facts.identity.is_none_or(|identity| identity.solution.is_some()) {
        return problem("it is not a system database", apply());
    }
    let holding = "SELECT DISTINCT server FROM fbs_router.placement WHERE server IS NOT NULL ORDER BY server";
    let lacking: Vec<String> = client
        .query_typed(holding, &[])
        .await?
        .iter()
        .map(|row| row.get::<_, String>(0))
        .filter(|holding| !config.servers.iter().any(|server| *server.name == **holding))
        .collect();
    match lacking.first() {
        None => Ok(None),
        Some(first) => problem(
            &format!("the configuration lacks Postgres server `{}`, which holds placements", lacking.join("`, `")),
            format!("add [[server]] with name = \"{first}\" and its url to the configuration"),
        ),
    }
}

async fn probe(server: &PostgresServer, database: &str) -> Result<(Facts, Vec<String>), Problem> {
    let connected = async {
        let client = server.connect(database, LIMIT).await?;
        try_join(prove::prove(&client), unsafe_settings(&client)).await
    };
    match timeout(LIMIT, connected).await {
        Err(_) => Err(silent()),
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => Err(unreachable_database(&error)),
    }
}

fn silent() -> Problem {
    let remedy = "check host, port and firewall of server.url".to_owned();
    Problem { what: "no answer within 5 s".to_owned(), remedy }
}

fn unreachable_database(error: &tokio_postgres::Error) -> Problem {
    let problem = |what: String, remedy: &str| Problem { what, remedy: remedy.to_owned() };
    let cause = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    match Failure::of(error, true) {
        Failure::DatabaseAbsent => problem(
            format!("there is no such database: {cause}"),
            "createdb -O fbs_owner it, or correct its name in [[app]] or catalog_database",
        ),
        Failure::Refused => problem(
            format!("it refuses the router: {cause}"),
            "ALTER ROLE fbs_router PASSWORD '…', the same in password_file; pg_hba.conf must let it in",
        ),
        _ => problem(format!("it cannot be reached: {cause}"), "start it, or correct server.url"),
    }
}
