//! The processes of a server, and signals to them.
//!
//! Owns listing a postmaster's descendants and sending signals. Does not own which processes are
//! ours: callers pass a postmaster that is their own unreaped child, so its id cannot be another's.
//! Signals go through the shell's `kill`: it is everywhere, the program `kill` is not (slim images).
//! Invariant: a family is listed while its postmaster is stopped, so no child is missed.

use std::{
    fs, io,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A stop signal takes effect within microseconds; this bounds a machine that is out of breath.
const STOP_LIMIT: Duration = Duration::from_secs(2);

#[derive(Debug)]
struct Process {
    pid: u32,
    parent: u32,
    state: char,
}

/// Stops `postmaster`, so that it forks no more, and returns it with all its descendants.
pub(super) fn stopped_family(postmaster: u32) -> io::Result<Vec<u32>> {
    signal("STOP", &[postmaster])?;
    let start = Instant::now();
    loop {
        let table = table()?;
        let stopped = table.iter().all(|process| process.pid != postmaster || matches!(process.state, 'T' | 't' | 'Z'));
        if stopped || start.elapsed() > STOP_LIMIT {
            return Ok(descendants(&table, postmaster));
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// `postmaster` with its descendants, as they are at the moment.
pub(super) fn family(postmaster: u32) -> io::Result<Vec<u32>> {
    Ok(descendants(&table()?, postmaster))
}

fn descendants(table: &[Process], root: u32) -> Vec<u32> {
    let mut family = vec![root];
    let mut next = 0;
    while let Some(&parent) = family.get(next) {
        family.extend(table.iter().filter(|process| process.parent == parent).map(|process| process.pid));
        next += 1;
    }
    family
}

/// Whether any of `pids` still runs; one that ended and waits to be reaped does not.
pub(super) fn any_alive(pids: &[u32]) -> io::Result<bool> {
    Ok(table()?.iter().any(|process| pids.contains(&process.pid) && process.state != 'Z'))
}

/// Sends the signal `name` to every one of `pids`; those already gone are no error.
pub(super) fn signal(name: &str, pids: &[u32]) -> io::Result<()> {
    let targets = pids.iter().map(ToString::to_string);
    shell_kill(name, targets)
}

/// Sends the signal `name` to the process group that `leader` leads.
pub(super) fn signal_group(name: &str, leader: u32) -> io::Result<()> {
    shell_kill(name, [format!("-{leader}")])
}

fn shell_kill(name: &str, targets: impl IntoIterator<Item = String>) -> io::Result<()> {
    let mut kill = Command::new("sh");
    kill.args(["-c", r#"kill -s "$0" -- "$@""#, name]).args(targets).stderr(Stdio::null());
    kill.status().map(drop)
}

fn table() -> io::Result<Vec<Process>> {
    if let Ok(entries) = fs::read_dir("/proc") {
        return Ok(entries.flatten().filter_map(|entry| stat(entry.file_name().to_str()?)).collect());
    }
    let output = Command::new("ps").args(["-A", "-o", "pid=", "-o", "ppid=", "-o", "state="]).output()?;
    Ok(String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            let (pid, parent) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
            Some(Process { pid, parent, state: fields.next()?.chars().next()? })
        })
        .collect())
}

fn stat(pid: &str) -> Option<Process> {
    let pid = pid.parse().ok()?;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // "12 (name of (anything)) S 1 ...": the name may hold spaces and brackets, so from its last one.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some(Process { pid, parent: fields.next()?.parse().ok()?, state })
}
