//! `fbs-router resolve`: where a solution's data lives, as a service's caller is told.

use clap::Args;
use fbs_router_client::{
    prost_types,
    v1::{Candidate, Database, Placement, ResolveDatabaseRequest, ResolveDatabaseResponse, Route, candidate, route},
};

use super::output::{self, CliError, ServiceArgs, json, table};

/// Asks which database holds a solution's data
#[derive(Debug, Args)]
pub(crate) struct ResolveArgs {
    #[command(flatten)]
    pair: PairArgs,
    /// Fail rather than answer with a shared system database
    #[arg(long)]
    dedicated_only: bool,
    /// Fail unless the answer is the database of this name; never chooses one
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    #[command(flatten)]
    service: ServiceArgs,
}

/// What is asked about.
#[derive(Debug, Clone, Args)]
pub(crate) struct PairArgs {
    /// The solution, such as acme_corp
    solution: String,
    /// The app; the documents app unless given
    #[arg(long)]
    app: Option<String>,
}

// === impl PairArgs ===

impl PairArgs {
    pub(crate) fn request(self) -> ResolveDatabaseRequest {
        ResolveDatabaseRequest { solution: self.solution, app: self.app.unwrap_or_default(), ..Default::default() }
    }
}

// === impl ResolveArgs ===

impl ResolveArgs {
    /// Runs the command.
    pub(crate) async fn run(self) -> Result<(), CliError> {
        let request = ResolveDatabaseRequest {
            dedicated_only: self.dedicated_only,
            database: self.database.unwrap_or_default(),
            ..self.pair.request()
        };
        let resolved = self.service.connect().await?.resolve(request).await?;
        self.service.show(|| json::resolved(&resolved), || resolved_table(&resolved))
    }
}

/// A resolved route and how long it may be kept.
pub(crate) fn resolved_table(resolved: &ResolveDatabaseResponse) -> String {
    let mut facts = resolved.route.as_ref().map(route_facts).unwrap_or_default();
    facts.push(("keep for", resolved.cache_ttl.as_ref().map(ToString::to_string).unwrap_or_default()));
    table::facts(&facts)
}

/// A route in whatever state, one fact a line.
pub(crate) fn route_facts(route: &Route) -> Vec<(&'static str, String)> {
    let empty = Database::default();
    let database = route.database.as_ref().unwrap_or(&empty);
    let placement = Placement::try_from(route.placement).unwrap_or(Placement::Unspecified);
    let mut facts = vec![
        ("solution", route.solution.clone()),
        ("app", route.app.clone()),
        ("state", state(route.state)),
        ("placement", output::placement(placement).to_owned()),
        ("server", database.server.clone()),
        ("address", address(database)),
        ("database", database.name.clone()),
        ("database id", database.database_id.clone()),
        ("epoch", route.epoch.to_string()),
        ("revision", revision(route.revision)),
        ("since", route.update_time.map(seconds).unwrap_or_default()),
    ];
    if let Some(waiting) = &route.candidate {
        let name = waiting.database.as_ref().map(|database| database.name.as_str()).unwrap_or_default();
        facts.push(("candidate", format!("{name}, not used yet: {}", reason(waiting))));
        facts.push(("remedy", waiting.remedy.clone()));
    }
    facts
}

/// A time to the second, for people.
pub(crate) fn seconds(time: prost_types::Timestamp) -> String {
    prost_types::Timestamp { nanos: 0, ..time }.to_string()
}

/// A route's state in words; of an unspecified one none.
pub(crate) fn state(number: i32) -> String {
    let word = match route::State::try_from(number) {
        Ok(route::State::Active) => "active",
        Ok(route::State::Moving) => "moving",
        Ok(route::State::Detached) => "detached",
        Ok(route::State::Conflict) => "conflict",
        Ok(route::State::Unknown) => "unknown",
        Ok(route::State::Unspecified) => return String::new(),
        Err(_) => return format!("state {number}, newer than this tool"),
    };
    word.to_owned()
}

fn revision(revision: i64) -> String {
    if revision == 0 { "0 (not recorded)".to_owned() } else { revision.to_string() }
}

fn reason(candidate: &Candidate) -> &'static str {
    match candidate.reason() {
        candidate::Reason::SchemaNotReady => "the app's schema is absent or too old there",
        candidate::Reason::RowsInSystemDatabase => "the system database still holds rows of the solution",
        candidate::Reason::NotUsable => "the router cannot enter it",
        candidate::Reason::Unspecified => "for a reason newer than this tool",
    }
}

/// `host:port`; a unix socket is a directory and a port.
fn address(database: &Database) -> String {
    match database.host.as_str() {
        "" => String::new(),
        directory if directory.starts_with('/') => format!("{directory}/.s.PGSQL.{}", database.port),
        v6 if v6.contains(':') => format!("[{v6}]:{}", database.port),
        host => format!("{host}:{}", database.port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_shows_its_place_and_what_is_waiting() {
        let database = |name: &str| Database {
            server: "main".into(),
            host: "db.example".into(),
            port: 5432,
            name: name.into(),
            ..Default::default()
        };
        let route = Route {
            solution: "acme_corp".into(),
            app: "fbs_dms".into(),
            database: Some(database("fbs_system_db")),
            placement: Placement::System.into(),
            state: route::State::Active.into(),
            candidate: Some(Candidate {
                database: Some(database("djo_acme_corp_db")),
                reason: candidate::Reason::SchemaNotReady.into(),
                remedy: "fbs-router schema apply --solution acme_corp".into(),
            }),
            ..Default::default()
        };
        let text = resolved_table(&ResolveDatabaseResponse { route: Some(route), cache_ttl: None });
        for line in [
            "placement  system",
            "address    db.example:5432",
            "database   fbs_system_db",
            "revision   0 (not recorded)",
            "candidate  djo_acme_corp_db, not used yet: the app's schema is absent or too old there",
            "remedy     fbs-router schema apply --solution acme_corp",
        ] {
            assert!(text.lines().any(|found| found == line), "{line:?} is missing in\n{text}");
        }
    }

    #[test]
    fn addresses_are_written_as_they_are_dialled() {
        let at = |host: &str| address(&Database { host: host.into(), port: 5432, ..Default::default() });
        assert_eq!(at("10.0.0.1"), "10.0.0.1:5432");
        assert_eq!(at("::1"), "[::1]:5432");
        assert_eq!(at("/run/postgresql"), "/run/postgresql/.s.PGSQL.5432");
    }
}
