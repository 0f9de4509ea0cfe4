//! The binary, for what only a process of its own can show.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// `fbs-router`, built from the tree under test.
pub(crate) fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a target folder");
        // Nothing to do where the workspace was built, and never a stale one.
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--locked", "--package", "fbs-router", "--bin", "fbs-router"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("CARGO_TARGET_DIR", target)
            .status();
        assert!(built.expect("cargo").success(), "the binary is built");
        target.join("debug/fbs-router")
    })
}
