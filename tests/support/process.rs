//! The binary, for what only a process of its own can show.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// `fbs-router`, built from the tree under test.
pub(crate) fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| built(&["--package", "fbs-router", "--bin", "fbs-router"]).join("fbs-router"))
}

/// An example of the client crate.
pub(crate) fn example(name: &str) -> PathBuf {
    static EXAMPLES: OnceLock<PathBuf> = OnceLock::new();
    let folder = EXAMPLES.get_or_init(|| built(&["--package", "fbs-router-client", "--examples"]).join("examples"));
    folder.join(name)
}

/// Nothing to do where the workspace was built, and never a stale one. The folder of what was built.
fn built(what: &[&str]) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a target folder");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked"])
        .args(what)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("CARGO_TARGET_DIR", target)
        .status();
    assert!(built.expect("cargo").success(), "it is built");
    target.join("debug")
}
