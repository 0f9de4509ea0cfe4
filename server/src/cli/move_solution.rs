//! `fbs-router move`: a solution's documents to its own database, or back.
//!
//! Follows what the service does: ending this command ends nothing but the following. Exit code 1 also if the move was
//! taken back.

use clap::Args;
use fbs_router_client::{
    Error,
    v1::{MoveSolutionRequest, MoveSolutionResponse, move_solution_response::Step},
};

use super::{
    documents::progress::ProgressArgs,
    output::{CliError, ServiceArgs, print, table::clean},
    routes::PlacementWord,
};

mod screen;

use screen::Screen;

/// Moves a solution's documents to its own database, or back to the system database
#[derive(Debug, Args)]
#[command(after_help = "\
While it goes on, callers of the solution are told to come back (ROUTE_MOVING). It is taken back as a whole if
anything fails, and goes on when this command ends: the same command follows it. The old rows stay, read-only, until
--purge. --json prints an object a line. Needs admin of every solution.")]
pub(crate) struct MoveArgs {
    /// The solution, such as acme_corp
    solution: String,
    /// Where to
    #[arg(long)]
    to: PlacementWord,
    /// Only say what would happen
    #[arg(long)]
    dry_run: bool,
    /// Remove the old rows of a finished move
    #[arg(long)]
    purge: bool,
    #[command(flatten)]
    progress: ProgressArgs,
    #[command(flatten)]
    service: ServiceArgs,
}

impl MoveArgs {
    /// Runs the command.
    pub(crate) async fn run(self) -> Result<(), CliError> {
        let request = MoveSolutionRequest {
            solution: self.solution.clone(),
            to: self.to.value().into(),
            dry_run: self.dry_run,
            purge: self.purge,
        };
        let admin = self.service.connect().await?.admin();
        let mut moved = admin.move_solution(request).await.map_err(open)?;
        let mut screen = self.screen();
        let mut last = MoveSolutionResponse::default();
        while let Some(told) = moved.next().await {
            last = told.map_err(|error| {
                screen.clear();
                open(error)
            })?;
            screen.show(&last)?;
        }
        screen.end(&last)?;
        self.outcome(&last)
    }

    fn screen(&self) -> Screen {
        if self.service.json {
            Screen::Json
        } else if self.dry_run {
            Screen::All
        } else if self.progress.looking(&self.service) {
            Screen::bar()
        } else {
            Screen::Steps(None)
        }
    }

    /// What is to be done next, or why it failed.
    fn outcome(&self, last: &MoveSolutionResponse) -> Result<(), CliError> {
        let solution = clean(&self.solution);
        match last.step() {
            Step::RolledBack => Err(CliError::TakenBack(
                format!("the move of {solution} was taken back, it lives where it did: {}", last.message),
                format!("fbs-router explain {solution} tells where; the same command tries again"),
            )),
            Step::Done if !self.dry_run && !self.purge && !self.service.json => {
                let to = self.to.word();
                print(&format!("\nthe old rows stay, read-only, until: fbs-router move {solution} --to {to} --purge\n"))
            }
            _ => Ok(()),
        }
    }
}

fn open(error: Error) -> CliError {
    CliError::Open(error, "it may be going on: the same command follows it".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        moving: MoveArgs,
    }

    fn typed(arguments: &[&str]) -> MoveArgs {
        Command::try_parse_from([&["test"], arguments].concat()).unwrap().moving
    }

    #[test]
    fn a_move_that_was_taken_back_has_failed_and_says_why() {
        let last = MoveSolutionResponse {
            step: Step::RolledBack.into(),
            message: "no room\u{1b}".into(),
            ..Default::default()
        };
        let failed = typed(&["globex", "--to", "dedicated"]).outcome(&last).unwrap_err();
        assert_eq!(failed.exit_code(), 1);
        assert_eq!(
            failed.report(),
            "error: the move of globex was taken back, it lives where it did: no room\\u{1b}\n  \
             fbs-router explain globex tells where; the same command tries again\n"
        );
    }

    #[test]
    fn where_to_is_always_said() {
        assert!(Command::try_parse_from(["test", "globex"]).is_err());
        assert!(Command::try_parse_from(["test", "globex", "--to", "elsewhere"]).is_err());
    }

    #[test]
    fn scripts_get_objects_and_a_dry_run_all_that_is_said() {
        let to = ["globex", "--to=system"];
        assert!(matches!(typed(&[&to[..], &["--json", "--dry-run"]].concat()).screen(), Screen::Json));
        assert!(matches!(typed(&[&to[..], &["--dry-run"]].concat()).screen(), Screen::All));
        assert!(matches!(typed(&[&to[..], &["--quiet"]].concat()).screen(), Screen::Steps(None)));
    }
}
