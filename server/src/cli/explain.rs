//! `fbs-router explain`: why a route is what it is, and what would change it.
//!
//! Succeeds also where the route may not be used: the explanation is the result. The outcome in it is an error then.

use std::fmt::Write;

use clap::Args;
use fbs_router_client::{
    outcome,
    v1::{ExplainRouteResponse, explain_route_response::Step},
};

use super::{
    output::{CliError, ServiceArgs, json, problem, table},
    resolve::{PairArgs, route_facts},
};

/// Tells how a route is decided: every rule tried, the evidence, and what would change it
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    #[command(flatten)]
    pair: PairArgs,
    #[command(flatten)]
    service: ServiceArgs,
}

impl ExplainArgs {
    /// Runs the command.
    pub(crate) async fn run(self) -> Result<(), CliError> {
        let explained = self.service.connect().await?.explain(self.pair.request()).await?;
        self.service.show(|| json::explained(&explained), || explanation(&explained))
    }
}

fn explanation(explained: &ExplainRouteResponse) -> String {
    let rows: Vec<Vec<String>> = explained.steps.iter().enumerate().map(|(index, step)| row(index, step)).collect();
    let mut out = table::whole(&["", "STEP", "RULE", "AGE", "FINDING"], &rows);
    out.push('\n');
    match explained.outcome.clone().map(outcome) {
        Some(Ok(_)) if calls_fail(explained) => {
            out.push_str("outcome: this is where it lives; calls fail there now, as the last step says\n");
        }
        Some(Ok(_)) => out.push_str("outcome: it may be used\n"),
        Some(Err(error)) => {
            let _ = writeln!(out, "outcome: {}", table::clean(&error.to_string()));
            out.push_str(&table::indented(&problem::details(&error)));
        }
        None => out.push_str("outcome: not told\n"),
    }
    if let Some(route) = &explained.route {
        out.push('\n');
        out.push_str(&table::facts(&route_facts(route)));
    }
    out
}

/// The route is right, and its database could not be entered.
fn calls_fail(explained: &ExplainRouteResponse) -> bool {
    explained.steps.iter().any(|step| step.rule == "enter" && step.finding.starts_with("calls fail"))
}

/// Milliseconds are fine enough for the age of evidence.
pub(super) fn age(age: &prost_types::Duration) -> String {
    format!("{}.{:03}s", age.seconds, age.nanos / 1_000_000)
}

/// The deciding step carries the mark.
fn row(index: usize, step: &Step) -> Vec<String> {
    vec![
        if step.decided { ">" } else { "" }.to_owned(),
        (index + 1).to_string(),
        step.rule.clone(),
        step.evidence_age.as_ref().map_or_else(|| "-".to_owned(), age),
        step.finding.clone(),
    ]
}

#[cfg(test)]
mod tests {
    use fbs_router_client::{
        prost_types,
        v1::{ResolveDatabaseResponse, ResolveResult, Route, resolve_result::Outcome, route},
    };

    use super::*;

    fn step(rule: &str, decided: bool) -> Step {
        Step {
            rule: rule.into(),
            finding: "f".repeat(60),
            decided,
            evidence_age: Some(prost_types::Duration { seconds: 1, nanos: 500_000_000 }),
        }
    }

    #[test]
    fn the_deciding_step_is_marked_and_findings_are_whole() {
        let resolved = Outcome::Resolved(ResolveDatabaseResponse::default());
        let text = explanation(&ExplainRouteResponse {
            steps: vec![step("ledger", false), step("catalog", true)],
            outcome: Some(ResolveResult { outcome: Some(resolved) }),
            route: None,
        });
        let marked: Vec<_> = text.lines().filter(|line| line.starts_with('>')).collect();
        assert_eq!(marked, [format!(">  2     catalog  1.500s  {}", "f".repeat(60))]);
    }

    #[test]
    fn a_route_that_may_not_be_used_is_shown_all_the_same() {
        let route = Route { solution: "acme".into(), state: route::State::Detached.into(), ..Default::default() };
        let text = explanation(&ExplainRouteResponse {
            steps: vec![],
            outcome: Some(ResolveResult { outcome: None }),
            route: Some(route),
        });
        assert!(text.contains("outcome: INTERNAL") && text.contains("state      detached"), "{text}");
    }
}
