//! A server in a process of its own, so that its processor time is nobody else's.
//!
//! This binary runs itself again. The child says where it listens on its standard output, and ends when its standard
//! input does: nothing stays when the benchmark ends, however it ends.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
};

use crate::{Outcome, servers::Kind};

/// A running server.
#[derive(Debug)]
pub(crate) struct Child {
    process: std::process::Child,
    address: SocketAddr,
}

impl Child {
    /// Starts a server and waits until it listens. Its log is kept in `folder`.
    pub(crate) fn start(kind: Kind, folder: &Path) -> Outcome<Self> {
        let log = std::fs::File::options().create(true).append(true).open(folder.join("servers.log"))?;
        let mut process = Command::new(std::env::current_exe()?)
            .arg("server")
            .arg(kind.name())
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()?;
        let mut line = String::new();
        if let Some(output) = &mut process.stdout {
            BufReader::new(output).read_line(&mut line)?;
        }
        match line.trim().parse() {
            Ok(address) => Ok(Self { process, address }),
            Err(_) => {
                let _ = process.kill();
                let _ = process.wait();
                let log = std::fs::read_to_string(folder.join("servers.log")).unwrap_or_default();
                Err(format!("the server `{}` did not start:\n{log}", kind.name()).into())
            }
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Bytes, as a line of `/proc/PID/status` tells them.
    pub(crate) fn memory(&self, line: &str) -> Outcome<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let told = status.lines().find_map(|told| told.strip_prefix(line)).ok_or("no such line")?;
        Ok(told.trim().trim_end_matches(" kB").parse::<u64>()? * 1_024)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// In the child: tells the parent where it listens.
pub(crate) fn announce(address: SocketAddr) -> std::io::Result<()> {
    let mut output = std::io::stdout();
    writeln!(output, "{address}")?;
    output.flush()
}

/// In the child: ends the process when the parent is gone.
pub(crate) fn end_with_parent() {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
}
