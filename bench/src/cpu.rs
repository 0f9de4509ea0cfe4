//! Processor time of processes, from `/proc/PID/task/*/schedstat`: nanoseconds on a processor, idle time excluded.

use std::{collections::HashMap, fs, path::Path};

use crate::Outcome;

/// Processor time of a process, or of a Postgres with its backends, by thread.
#[derive(Debug, Default)]
pub(crate) struct Reading(HashMap<String, u64>);

impl Reading {
    /// Of one process, all threads.
    pub(crate) fn process(pid: u32) -> Outcome<Self> {
        let mut reading = Self::default();
        if reading.add(&pid.to_string()) == 0 {
            return Err(format!("/proc/{pid}/task/*/schedstat cannot be read: Linux with schedstats is needed").into());
        }
        Ok(reading)
    }

    /// Of a postmaster and its live children.
    pub(crate) fn postgres(postmaster: u32) -> Outcome<Self> {
        let mut reading = Self::process(postmaster)?;
        for child in children(postmaster)? {
            // One that has ended since is none of the window's.
            reading.add(&child);
        }
        Ok(reading)
    }

    /// Nanoseconds since `before`. Threads that ended in between are missing, new ones count whole.
    pub(crate) fn since(&self, before: &Self) -> u64 {
        self.0.iter().map(|(thread, now)| now.saturating_sub(before.0.get(thread).copied().unwrap_or(0))).sum()
    }

    fn add(&mut self, pid: &str) -> usize {
        let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return 0 };
        let before = self.0.len();
        self.0.extend(threads.flatten().filter_map(|thread| {
            let name = thread.file_name().into_string().ok()?;
            Some((name, on_processor(&thread.path())?))
        }));
        self.0.len() - before
    }
}

fn on_processor(thread: &Path) -> Option<u64> {
    fs::read_to_string(thread.join("schedstat")).ok()?.split_ascii_whitespace().next()?.parse().ok()
}

/// Some kernels list them; otherwise every process is asked for its parent.
fn children(parent: u32) -> Outcome<Vec<String>> {
    if let Ok(list) = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")) {
        return Ok(list.split_ascii_whitespace().map(str::to_owned).collect());
    }
    let parent = parent.to_string();
    let processes = fs::read_dir("/proc")?.flatten().filter_map(|entry| {
        let pid = entry.file_name().into_string().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        // After the name in parentheses, which may hold anything: state, then parent.
        let found = stat.rsplit_once(") ")?.1.split(' ').nth(1)? == parent;
        found.then_some(pid)
    });
    Ok(processes.collect())
}
