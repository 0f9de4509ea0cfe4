//! `fbs-router release`: gives up a solution's own database that is gone, replaced or in conflict.

use clap::Args;
use fbs_router_client::v1::ReleaseSolutionRequest;

use super::{
    operator::{self, ConfirmArgs},
    output::{CliError, ServiceArgs},
    resolve::PairArgs,
};

/// Gives up a solution's own database: from then on it lives in the system database
#[derive(Debug, Args)]
#[command(after_help = "\
For a database that is gone, replaced or in conflict. Nothing is moved, and that database is never taken over again
by itself; to move the documents, see fbs-router move. Reconnect or stop routers that are cut off from the ledger
before. Needs admin of every solution.")]
pub(crate) struct ReleaseArgs {
    #[command(flatten)]
    pair: PairArgs,
    #[command(flatten)]
    confirm: ConfirmArgs,
    #[command(flatten)]
    service: ServiceArgs,
}

impl ReleaseArgs {
    /// Runs the command.
    pub(crate) async fn run(self) -> Result<(), CliError> {
        let request = self.request()?;
        let open = operator::open(&request.solution);
        let solution = self.service.connect().await?.admin().release(request).await.map_err(open)?;
        operator::show(&self.service, &solution)
    }

    fn request(&self) -> Result<ReleaseSolutionRequest, CliError> {
        let pair = self.pair.clone().request();
        let solution = pair.solution;
        let app = if pair.app.is_empty() { String::new() } else { format!(" --app {}", pair.app) };
        let command = format!("fbs-router release {solution}{app}");
        let because = format!("a release gives up the database of {solution}: what only that holds is served no more");
        let confirm = self.confirm.required(&solution, &command, &because)?;
        Ok(ReleaseSolutionRequest { solution, app: pair.app, confirm })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        release: ReleaseArgs,
    }

    fn typed(arguments: &[&str]) -> Result<ReleaseSolutionRequest, CliError> {
        Command::try_parse_from([&["test"], arguments].concat()).unwrap().release.request()
    }

    #[test]
    fn nothing_is_given_up_unless_its_name_was_typed_twice() {
        let refused = typed(&["globex", "--app", "odoo"]).unwrap_err();
        let expected = "error: a release gives up the database of globex: what only that holds is served no more\n  \
                        fbs-router release globex --app odoo --confirm globex\n";
        assert_eq!(refused.report(), expected);
        assert!(typed(&["globex", "--confirm", "acme"]).is_err());
        let request = typed(&["globex", "--app", "odoo", "--confirm", "globex"]).unwrap();
        let expected =
            ReleaseSolutionRequest { solution: "globex".into(), app: "odoo".into(), confirm: "globex".into() };
        assert_eq!(request, expected);
    }
}
