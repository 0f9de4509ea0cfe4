//! `fbs-router check`: every start-up probe, all problems at once, each with the line that mends it.

use clap::Args;
use fbs_router::probe::{self, Finding};

use super::{CliError, allow::Allow, serve::ConfigArguments};

#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    config: ConfigArguments,
    #[command(flatten)]
    allow: Allow,
}

impl Check {
    pub(super) async fn run(self) -> Result<(), CliError> {
        let config = self.config.load()?;
        let findings = probe::run(&config, self.allow.allowed()).await;
        let mut problems = 0;
        for Finding { subject, problem } in &findings {
            match problem {
                None => println!("ok       {subject}"),
                Some(problem) => {
                    problems += 1;
                    println!("PROBLEM  {subject}: {}\n         mend it: {}", problem.what, problem.remedy);
                }
            }
        }
        if problems == 0 { Ok(()) } else { Err(CliError::Configuration(format!("{problems} problem(s) found"))) }
    }
}
