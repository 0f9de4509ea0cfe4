//! `fbs-router token new`: a token for a caller.

use clap::{Args, Subcommand};
use fbs_router::config::TOKEN_PREFIX;
use rustls::crypto::ring::default_provider;
use sha2::{Digest, Sha256};

use super::{CliError, output::print};

/// Tokens of callers.
#[derive(Debug, Args)]
pub(crate) struct Token {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Make a token: the secret for the caller, printed this once, and the line for the file of callers.
    New,
}

/// Bytes of a token, from the system's generator.
const TOKEN_BYTES: usize = 32;

impl Token {
    pub(crate) fn run(self) -> Result<(), CliError> {
        let TokenCommand::New = self.command;
        let mut secret = [0; TOKEN_BYTES];
        let filled = default_provider().secure_random.fill(&mut secret);
        filled.map_err(|_| CliError::Failed("the system's random numbers cannot be had".to_owned()))?;
        print(&text(&secret)).map_err(CliError::Client)
    }
}

/// The secret alone on its line, so that `| head -1 > token` keeps it and nothing else.
fn text(secret: &[u8; TOKEN_BYTES]) -> String {
    let token = format!("{TOKEN_PREFIX}{}", hex(secret));
    let digest = hex(&Sha256::digest(&token));
    format!(
        "{token}\n\n\
         # The line above is the secret: give it to the caller, who sends it as `authorization: Bearer …`\n\
         # (fbs-router … --token-file FILE). It is printed once and kept nowhere.\n\
         # For the caller in the file of callers; two may be valid at once, to change from one to the next:\n\
         tokens = [{{ sha256 = \"{digest}\" }}]\n"
    )
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_to_paste_is_the_digest_of_the_secret_and_says_nothing_of_it() {
        let text = text(&[0xa5; TOKEN_BYTES]);
        let (secret, rest) = text.split_once('\n').unwrap();
        assert_eq!(secret, format!("fbsr_{}", "a5".repeat(32)));
        assert!(rest.contains(&format!("sha256 = \"{}\"", hex(&Sha256::digest(secret)))));
        assert!(!rest.contains("a5a5"));
    }
}
