//! Who we are.
//!
//! Owns the one question the standard library leaves open without `unsafe`: our user id.
//! Does not own what follows from it: the server's account (`cluster`), the caches (`binaries`).
//! Invariant: never guesses; what cannot be found out is an error.

use std::{fs, io, os::unix::fs::MetadataExt, process::Command};

/// Our user id; 0 is root, as which `initdb` and `postgres` refuse to run.
pub(crate) fn own_uid() -> io::Result<u32> {
    if let Ok(own) = fs::metadata("/proc/self") {
        return Ok(own.uid());
    }
    let output = Command::new("id").arg("-u").output()?;
    String::from_utf8_lossy(&output.stdout).trim().parse().map_err(io::Error::other)
}
