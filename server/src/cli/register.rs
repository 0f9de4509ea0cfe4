//! `fbs-router register`: what is particular to one solution, in the ledger rather than in a file.

use clap::{Args, ValueEnum};
use fbs_router_client::v1::RegisterSolutionRequest;

use super::{
    operator::{self, ConfirmArgs},
    output::{CliError, ServiceArgs},
    resolve::PairArgs,
};

/// Records where a solution's own database is, and whether it may share
#[derive(Debug, Args)]
#[command(after_help = "\
A name given here is the only one considered, and implies --isolation required unless that is set.
With --confirm it decides a PLACEMENT_CONFLICT for the solution's own database, or accepts one that was replaced
(DATABASE_IDENTITY_MISMATCH). Needs admin of every solution.")]
pub(crate) struct RegisterArgs {
    #[command(flatten)]
    pair: PairArgs,
    /// The Postgres server where its own database is; as the pattern says unless given
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
    /// What its own database is called; as the pattern says unless given
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// Whether it may use a system database
    #[arg(long)]
    isolation: Option<IsolationWord>,
    #[command(flatten)]
    confirm: ConfirmArgs,
    #[command(flatten)]
    service: ServiceArgs,
}

/// An isolation, as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum IsolationWord {
    /// Never the system database
    Required,
    /// Its own database if there is one, else the system database
    Preferred,
}

impl RegisterArgs {
    /// Runs the command.
    pub(crate) async fn run(self) -> Result<(), CliError> {
        let request = self.request()?;
        let open = operator::open(&request.solution);
        let solution = self.service.connect().await?.admin().register(request).await.map_err(open)?;
        operator::show(&self.service, &solution)
    }

    fn request(&self) -> Result<RegisterSolutionRequest, CliError> {
        let pair = self.pair.clone().request();
        let confirm = self.confirm.given(&pair.solution, &format!("fbs-router register {} …", pair.solution))?;
        Ok(RegisterSolutionRequest {
            solution: pair.solution,
            app: pair.app,
            server: self.server.clone().unwrap_or_default(),
            database: self.database.clone().unwrap_or_default(),
            dedicated_only: self.isolation.map(|isolation| isolation == IsolationWord::Required),
            confirm: confirm.unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        register: RegisterArgs,
    }

    fn asked(arguments: &[&str]) -> RegisterSolutionRequest {
        let arguments = [&["test"], arguments].concat();
        Command::try_parse_from(arguments).unwrap().register.request().unwrap()
    }

    #[test]
    fn what_is_not_said_is_left_to_the_pattern_and_the_default() {
        let expected = RegisterSolutionRequest { solution: "globex".into(), ..Default::default() };
        assert_eq!(asked(&["globex"]), expected);
    }

    #[test]
    fn everything_that_is_said_is_sent() {
        let expected = RegisterSolutionRequest {
            solution: "globex".into(),
            app: "odoo".into(),
            server: "second".into(),
            database: "globex_db".into(),
            dedicated_only: Some(false),
            confirm: "globex".into(),
        };
        let arguments = ["globex", "--app=odoo", "--server=second", "--database=globex_db", "--isolation=preferred"];
        assert_eq!(asked(&[&arguments[..], &["--confirm=globex"]].concat()), expected);
        assert_eq!(asked(&["globex", "--isolation=required"]).dedicated_only, Some(true));
    }
}
