//! Whether files are those that were there before: one call of `stat` each, on every file system.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

/// What tells files from those that were there before: inode, length, time of change.
pub(super) type Stamp = Vec<Option<(u64, u64, i64, i64)>>;

pub(super) fn stamp<'p>(paths: impl IntoIterator<Item = &'p Path>) -> Stamp {
    let stamp = |path: &Path| {
        let about = fs::metadata(path).ok()?;
        Some((about.ino(), about.len(), about.mtime(), about.mtime_nsec()))
    };
    paths.into_iter().map(stamp).collect()
}
