//! `fbs-router completions`: what a shell needs to complete this command line, made from the same definitions.

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::Shell;

use super::output::{CliError, print};

/// Prints the completions for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
bash: source <(fbs-router completions bash)
zsh:  fbs-router completions zsh > \"${fpath[1]}/_fbs-router\"
fish: fbs-router completions fish > ~/.config/fish/completions/fbs-router.fish")]
pub(crate) struct Completions {
    /// The shell
    shell: ShellWord,
}

/// A shell, as typed.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum ShellWord {
    Bash,
    Zsh,
    Fish,
}

impl Completions {
    /// Runs the command.
    pub(crate) fn run(self) -> Result<(), CliError> {
        print(&self.script())
    }

    fn script(&self) -> String {
        let shell = match self.shell {
            ShellWord::Bash => Shell::Bash,
            ShellWord::Zsh => Shell::Zsh,
            ShellWord::Fish => Shell::Fish,
        };
        let mut command = super::Arguments::command();
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut command, "fbs-router", &mut script);
        // For a program with a hyphen the bash script looks for states under another name than it gives them, and
        // completes no subcommand (clap-rs/clap#6421). Nothing is left to replace where that is mended.
        String::from_utf8_lossy(&script).replace("fbs__subcmd__router", "fbs__router")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_of_the_bash_script_is_one_that_it_knows() {
        let script = Completions { shell: ShellWord::Bash }.script();
        let states: Vec<&str> =
            script.lines().filter_map(|line| line.trim().strip_prefix("cmd=\"")?.strip_suffix('"')).collect();
        assert!(states.iter().any(|state| state.ends_with("undelete")), "{states:?}");
        for state in states.into_iter().filter(|state| !state.is_empty()) {
            assert!(script.lines().any(|line| line.trim() == format!("{state})")), "{state} has no arm");
        }
    }

    #[test]
    fn every_shell_is_told_of_the_commands_below_documents() {
        for shell in [ShellWord::Bash, ShellWord::Zsh, ShellWord::Fish] {
            let script = Completions { shell }.script();
            assert!(script.contains("documents") && script.contains("undelete"), "{shell:?}");
        }
    }
}
