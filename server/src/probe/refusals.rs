//! What `serve` refuses before it listens: situations in which somebody else could read, change or lose data, each with
//! the flag that says it is wanted all the same. Looks at configuration and files only.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use super::{Finding, Problem};
use crate::{
    config::{Config, Tls},
    service::ServerTls,
};

/// What the operator has said is wanted all the same. Nothing, unless said.
#[derive(Debug, Clone, Copy, Default)]
pub struct Allowed {
    /// `--insecure-plaintext`: gRPC in plain text on an address that others reach.
    pub plaintext: bool,
    /// `--insecure-no-auth`: nobody is authenticated there.
    pub no_auth: bool,
    /// `--insecure-db-tls`: plain text to a Postgres on another machine.
    pub db_tls: bool,
    /// `--allow-unsafe-durability`: a Postgres that may lose acknowledged writes.
    pub unsafe_durability: bool,
}

/// Everything that can be refused without asking a server.
pub fn refusals(config: &Config, allowed: Allowed) -> Vec<Finding> {
    let mut findings = vec![plaintext(config, allowed), authentication(config, allowed)];
    if let Some(settings) = &config.listen.tls {
        let problem = ServerTls::load(settings).err().map(|error| Problem {
            what: error.to_string(),
            remedy: "correct listen.tls_certificate, tls_key and tls_client_ca; all are PEM".to_owned(),
        });
        findings.push(Finding { subject: "listen.tls_certificate".to_owned(), problem });
        findings.push(secret_file("listen.tls_key".to_owned(), &settings.key));
    }
    if let Some(path) = &config.tokens.key_file {
        findings.push(secret_file("tokens.key_file".to_owned(), path));
    }
    for server in &config.servers {
        if server.leaves_machine() {
            let open = server.tls == Tls::Disable && !allowed.db_tls;
            let problem = open.then(|| Problem {
                what: "Postgres is on another machine, and the connection to it is neither encrypted nor verified"
                    .to_owned(),
                remedy: "tls = \"verify-full\" and ca_file, or say --insecure-db-tls".to_owned(),
            });
            findings.push(Finding { subject: format!("tls of Postgres server `{}`", server.name), problem });
        }
        if let Some(path) = &server.password_file {
            findings.push(secret_file(format!("password_file of Postgres server `{}`", server.name), path));
        }
    }
    findings
}

fn plaintext(config: &Config, allowed: Allowed) -> Finding {
    let address = config.listen.grpc;
    let open = !address.ip().is_loopback() && config.listen.tls.is_none() && !allowed.plaintext;
    let problem = open.then(|| Problem {
        what: format!("{address} is not a loopback address, and gRPC there is plain text"),
        remedy: "set listen.tls_certificate and listen.tls_key, or say --insecure-plaintext".to_owned(),
    });
    Finding { subject: "encryption of listen.grpc".to_owned(), problem }
}

/// Without authentication, whoever reaches it is admin of every solution.
fn authentication(config: &Config, allowed: Allowed) -> Finding {
    let address = config.listen.grpc;
    let open = !address.ip().is_loopback() && !config.authenticated() && !allowed.no_auth;
    let problem = open.then(|| Problem {
        what: format!("{address} is not a loopback address, and nobody is authenticated there"),
        remedy: "set callers.file, listen on 127.0.0.1, or say --insecure-no-auth".to_owned(),
    });
    Finding { subject: "authentication on listen.grpc".to_owned(), problem }
}

/// A secret is for one user. A file of root's may be for our group as well, as orchestrators mount them, unless we are
/// root and need no group. One that is not there is another probe's finding.
fn secret_file(subject: String, path: &Path) -> Finding {
    let problem = fs::metadata(path).ok().and_then(|about| {
        let for_our_group = about.uid() == 0 && !rustix::process::geteuid().is_root();
        let others = if for_our_group { 0o007 } else { 0o077 };
        (about.mode() & others != 0).then(|| Problem {
            what: format!("{} is open to others than its owner (mode {:03o})", path.display(), about.mode() & 0o777),
            remedy: format!("chmod 600 {}", path.display()),
        })
    });
    Finding { subject, problem }
}
