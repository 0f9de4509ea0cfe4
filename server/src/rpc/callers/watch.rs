//! Reads the file of callers again when it changes.
//!
//! Polled: a file that is replaced by rename, or is a link into a folder that is (as Kubernetes does it), is noticed
//! however it changes. A file that cannot be used is reported once, and the callers stay those of before.

use std::{
    os::unix::fs::MetadataExt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use sha2::{Digest, Sha256};

use super::Listed;
use crate::{config::Directory, metrics::Metrics};

/// How often the file is looked at: one call of the operating system.
const INTERVAL: Duration = Duration::from_secs(1);
/// A file that changed so recently may change again without its times telling.
const FRESH: Duration = Duration::from_secs(2);

/// What tells a file from the one it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    mode: u32,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

pub(super) async fn follow(listed: &Listed, metrics: &Metrics) {
    let mut seen = None;
    // Of what was tried last: what was refused is told once.
    let mut tried = None;
    let mut tick = tokio::time::interval(INTERVAL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let stamp = stamp(listed).await;
        if stamp.is_some() && stamp == seen {
            continue;
        }
        let (path, naming) = (listed.settings.file.clone(), Arc::clone(&listed.naming));
        // The disk may be slow, and the file long.
        let read = tokio::task::spawn_blocking(move || {
            let digest = std::fs::read(&path).ok().map(Sha256::digest);
            (digest, Directory::load(&path, &naming))
        });
        let Ok((digest, outcome)) = read.await else { continue };
        seen = stamp.filter(|stamp| !is_fresh(stamp, SystemTime::now()));
        let what = (digest, outcome.as_ref().err().map(ToString::to_string));
        if tried.as_ref() == Some(&what) {
            continue;
        }
        match outcome {
            Ok(directory) => {
                // The first time it is the file that the service has begun with.
                if tried.is_some() {
                    tracing::info!(callers = directory.callers(), "read the callers again");
                }
                listed.directory.store(Arc::new(directory));
            }
            Err(problems) => {
                metrics.callers_refused();
                tracing::error!(%problems, "the callers cannot be read again; those of before stay");
            }
        }
        tried = Some(what);
    }
}

async fn stamp(listed: &Listed) -> Option<Stamp> {
    let metadata = tokio::fs::metadata(&listed.settings.file).await.ok()?;
    Some(Stamp {
        device: metadata.dev(),
        inode: metadata.ino(),
        mode: metadata.mode(),
        bytes: metadata.len(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}

fn is_fresh(stamp: &Stamp, now: SystemTime) -> bool {
    let changed = u64::try_from(stamp.changed.0).map(Duration::from_secs).unwrap_or_default();
    now.duration_since(UNIX_EPOCH).unwrap_or_default() < changed + FRESH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_fresh_for_two_seconds_and_in_the_future() {
        let stamp = Stamp { device: 1, inode: 2, mode: 3, bytes: 4, modified: (5, 0), changed: (100, 0) };
        for (millis, fresh) in [(0, true), (99_000, true), (101_999, true), (102_000, false), (200_000, false)] {
            let now = UNIX_EPOCH + Duration::from_millis(millis);
            assert_eq!(is_fresh(&stamp, now), fresh, "at {millis} ms");
        }
    }
}
