//! What the operators' commands share: asking for confirmation, and showing what became of a solution.
//!
//! Invariant: nothing is given up unless its name was typed twice; the refusal says what to type.

use clap::Args;
use fbs_router_client::{Error, v1::Solution};

use super::{
    output::{CliError, ServiceArgs, json, table},
    routes,
};

/// The solution's id once more.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ConfirmArgs {
    /// The solution once more
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
}

// === impl ConfirmArgs ===

impl ConfirmArgs {
    /// What was typed, if it is the solution; `command` is what leads there.
    pub(crate) fn given(&self, solution: &str, command: &str) -> Result<Option<String>, CliError> {
        match &self.confirm {
            Some(confirm) if confirm != solution => {
                Err(unconfirmed(format!("--confirm says {confirm}, and the solution is {solution}"), command, solution))
            }
            confirm => Ok(confirm.clone()),
        }
    }

    /// As [`given`](Self::given), where nothing is done without; `because` says what it does.
    pub(crate) fn required(&self, solution: &str, command: &str, because: &str) -> Result<String, CliError> {
        self.given(solution, command)?.ok_or_else(|| unconfirmed(because.to_owned(), command, solution))
    }
}

fn unconfirmed(problem: String, command: &str, solution: &str) -> CliError {
    CliError::Unconfirmed(problem, format!("{command} --confirm {solution}"))
}

/// The failure of a change of a solution, which cannot be recognised if it is repeated.
pub(crate) fn open(solution: &str) -> impl FnOnce(Error) -> CliError + use<> {
    let look = format!("it may have happened: fbs-router explain {solution} tells how things are");
    move |error| CliError::Open(error, look)
}

/// A solution as it is now.
pub(crate) fn show(service: &ServiceArgs, solution: &Solution) -> Result<(), CliError> {
    service.show(|| json::decided(solution), || shown(solution))
}

fn shown(solution: &Solution) -> String {
    let isolation = if solution.dedicated_only { "required" } else { "preferred" };
    let mut out = table::facts(&[("solution", solution.solution.clone()), ("isolation", isolation.to_owned())]);
    if !solution.routes.is_empty() {
        out.push('\n');
        out.push_str(&routes::rows(std::slice::from_ref(solution)));
    }
    out
}

#[cfg(test)]
mod tests {
    use fbs_router_client::v1::Route;

    use super::*;

    const COMMAND: &str = "fbs-router release globex";

    fn typed(confirm: &str) -> ConfirmArgs {
        ConfirmArgs { confirm: Some(confirm.to_owned()) }
    }

    #[test]
    fn what_is_not_confirmed_says_what_to_type() {
        let refused = ConfirmArgs::default().required("globex", COMMAND, "it gives something up").unwrap_err();
        assert_eq!(refused.report(), "error: it gives something up\n  fbs-router release globex --confirm globex\n");
        assert_eq!(refused.exit_code(), 2);
        for refused in [
            typed("globe\u{1b}").required("globex", COMMAND, "").unwrap_err(),
            typed("globe\u{1b}").given("globex", COMMAND).unwrap_err(),
        ] {
            let report = refused.report();
            assert_eq!(
                report,
                "error: --confirm says globe\\u{1b}, and the solution is globex\n  fbs-router release globex --confirm globex\n"
            );
        }
    }

    #[test]
    fn what_is_confirmed_is_the_solution_to_the_letter() {
        assert_eq!(typed("globex").required("globex", COMMAND, "").unwrap(), "globex");
        assert_eq!(typed("globex").given("globex", COMMAND).unwrap().as_deref(), Some("globex"));
        assert!(typed("Globex").required("globex", COMMAND, "").is_err());
        assert_eq!(ConfirmArgs::default().given("globex", COMMAND).unwrap(), None, "not always needed");
    }

    #[test]
    fn a_solution_shows_its_isolation_and_where_it_lives() {
        let route = Route { solution: "acme".into(), app: "fbs_dms".into(), epoch: 3, ..Default::default() };
        let mut solution = Solution { solution: "acme".into(), routes: vec![route], dedicated_only: true };
        let text = shown(&solution);
        assert!(text.starts_with("solution   acme\nisolation  required\n\nSOLUTION"), "{text}");
        assert!(text.contains("acme      fbs_dms"), "{text}");
        solution.routes.clear();
        solution.dedicated_only = false;
        assert_eq!(shown(&solution), "solution   acme\nisolation  preferred\n");
    }
}
