//! `fbs-router routes`: where all solutions live, as far as the caller may see them.
//!
//! Invariant: every row holds all conditions given. The service answers whole solutions, any route of which does.

use clap::{Args, ValueEnum};
use fbs_router_client::{
    ErrorReason,
    v1::{ListSolutionsRequest, Placement, Route, Solution, candidate, route},
};

use super::{
    output::{self, CliError, ServiceArgs, json, note_cut, table},
    resolve::state,
};

/// Lists the routes of all solutions, one a row
#[derive(Debug, Args)]
pub(crate) struct RoutesArgs {
    #[command(flatten)]
    conditions: Conditions,
    /// Have the catalogs of all servers scanned first; needs admin of every solution
    #[arg(long)]
    refresh: bool,
    /// Most routes in all
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = super::limit)]
    limit: usize,
    #[command(flatten)]
    service: ServiceArgs,
}

/// Which routes; all conditions hold.
#[derive(Debug, Clone, Default, Args)]
struct Conditions {
    /// Only those so placed
    #[arg(long)]
    placement: Option<PlacementWord>,
    /// Only those in this state; may be repeated
    #[arg(long = "state", value_name = "STATE")]
    states: Vec<StateWord>,
    /// Only those whose own database is there and not used yet
    #[arg(long)]
    with_candidate: bool,
    /// Only solutions whose id begins so
    #[arg(long)]
    prefix: Option<String>,
    /// Only those of this app
    #[arg(long)]
    app: Option<String>,
}

/// A placement, as typed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum PlacementWord {
    /// In the solution's own database
    Dedicated,
    /// In the app's system database
    System,
}

/// A route's state, as typed.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum StateWord {
    /// May be used
    Active,
    /// Its rows are being moved
    Moving,
    /// Its own database has disappeared
    Detached,
    /// Ledger and databases disagree
    Conflict,
    /// Not known yet
    Unknown,
}

// === impl RoutesArgs ===

impl RoutesArgs {
    /// Runs the command.
    pub(crate) async fn run(self) -> Result<(), CliError> {
        let client = self.service.connect().await?;
        if self.refresh {
            match client.admin().refresh_routes(()).await {
                // What is known is listed all the same: that is how one looks at an outage.
                Err(error) if error.reason() == Some(ErrorReason::RouteUnknown) => {
                    eprintln!("not all could be read anew: {}", error.message());
                }
                outcome => drop(outcome?),
            }
        }
        let mut all = client.all_solutions(self.conditions.request(self.limit));
        let (mut solutions, mut left, mut truncated) = (Vec::new(), self.limit, false);
        while let Some(solution) = all.next().await {
            let mut solution = solution?;
            solution.routes.retain(|route| self.conditions.hold(route));
            if solution.routes.len() > left {
                solution.routes.truncate(left);
                truncated = true;
            }
            left -= solution.routes.len();
            if !solution.routes.is_empty() {
                solutions.push(solution);
            }
            if truncated {
                break;
            }
        }
        self.service.show(|| json::solutions(&solutions, truncated), || rows(&solutions))?;
        note_cut(truncated, self.limit);
        Ok(())
    }
}

// === impl Conditions ===

impl Conditions {
    fn request(&self, limit: usize) -> ListSolutionsRequest {
        ListSolutionsRequest {
            page_size: i32::try_from(limit.min(1_000)).unwrap_or(1_000),
            placement: self.placement().into(),
            states: self.states.iter().map(|state| state.value().into()).collect(),
            with_candidate: self.with_candidate,
            prefix: self.prefix.clone().unwrap_or_default(),
            ..Default::default()
        }
    }

    fn placement(&self) -> Placement {
        self.placement.map_or(Placement::Unspecified, PlacementWord::value)
    }

    fn hold(&self, route: &Route) -> bool {
        (self.placement.is_none() || route.placement() == self.placement())
            && (self.states.is_empty() || self.states.iter().any(|state| i32::from(state.value()) == route.state))
            && (!self.with_candidate || route.candidate.is_some())
            && self.app.as_ref().is_none_or(|app| *app == route.app)
    }
}

// === impl PlacementWord ===

impl PlacementWord {
    pub(super) fn value(self) -> Placement {
        match self {
            Self::Dedicated => Placement::Dedicated,
            Self::System => Placement::System,
        }
    }

    /// As it is typed.
    pub(super) fn word(self) -> &'static str {
        output::placement(self.value())
    }
}

// === impl StateWord ===

impl StateWord {
    fn value(self) -> route::State {
        match self {
            Self::Active => route::State::Active,
            Self::Moving => route::State::Moving,
            Self::Detached => route::State::Detached,
            Self::Conflict => route::State::Conflict,
            Self::Unknown => route::State::Unknown,
        }
    }
}

/// The routes of solutions, one a row.
pub(super) fn rows(solutions: &[Solution]) -> String {
    let rows: Vec<Vec<String>> = solutions.iter().flat_map(|solution| &solution.routes).map(row).collect();
    if rows.is_empty() {
        return "no routes\n".to_owned();
    }
    // Whole: names are what one copies from here, and a cut one would name something else.
    table::whole(&["SOLUTION", "APP", "STATE", "PLACEMENT", "SERVER", "DATABASE", "EPOCH", "CANDIDATE"], &rows)
}

fn row(route: &Route) -> Vec<String> {
    let database = route.database.clone().unwrap_or_default();
    vec![
        route.solution.clone(),
        route.app.clone(),
        state(route.state),
        output::placement(route.placement()).to_owned(),
        database.server,
        database.name,
        route.epoch.to_string(),
        route.candidate.as_ref().map(|candidate| reason(candidate.reason()).to_owned()).unwrap_or_default(),
    ]
}

/// Why a candidate waits, in a cell; `explain` has the rest.
fn reason(reason: candidate::Reason) -> &'static str {
    match reason {
        candidate::Reason::SchemaNotReady => "schema not ready",
        candidate::Reason::RowsInSystemDatabase => "rows in system database",
        candidate::Reason::NotUsable => "not usable",
        candidate::Reason::Unspecified => "newer than this tool",
    }
}

#[cfg(test)]
mod tests {
    use fbs_router_client::v1::{Candidate, Database};

    use super::*;

    fn route(solution: &str, app: &str, placement: Placement, state: route::State) -> Route {
        Route {
            solution: solution.into(),
            app: app.into(),
            placement: placement.into(),
            state: state.into(),
            database: Some(Database { server: "main".into(), name: format!("{app}_db"), ..Default::default() }),
            ..Default::default()
        }
    }

    #[test]
    fn a_row_holds_every_condition_although_its_solution_has_other_routes() {
        let detached = route("acme", "fbs_dms", Placement::Dedicated, route::State::Detached);
        let active = route("acme", "fbs_crm", Placement::Dedicated, route::State::Active);
        let conditions = Conditions { states: vec![StateWord::Detached, StateWord::Moving], ..Default::default() };
        assert!(conditions.hold(&detached) && !conditions.hold(&active));
        let conditions = Conditions { app: Some("fbs_crm".into()), ..Default::default() };
        assert!(!conditions.hold(&detached) && conditions.hold(&active));
        let conditions = Conditions { placement: Some(PlacementWord::System), ..Default::default() };
        assert!(!conditions.hold(&detached) && !conditions.hold(&active));
        assert!(Conditions::default().hold(&Route { state: 99, ..Default::default() }), "newer than this tool");
    }

    #[test]
    fn a_candidate_tells_in_its_cell_what_it_waits_for() {
        let waiting = Candidate { reason: candidate::Reason::RowsInSystemDatabase.into(), ..Default::default() };
        let waits =
            Route { candidate: Some(waiting), ..route("acme", "fbs_dms", Placement::System, route::State::Active) };
        let solution = Solution { solution: "acme".into(), routes: vec![waits], ..Default::default() };
        let text = rows(&[solution]);
        let line = "acme      fbs_dms  active  system     main    fbs_dms_db  0      rows in system database";
        assert_eq!(text.lines().last(), Some(line));
        assert_eq!(rows(&[]), "no routes\n");
    }
}
