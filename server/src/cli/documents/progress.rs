//! A progress bar where somebody is looking: on stderr, of what takes long.
//!
//! Shows nothing that came from elsewhere: filenames stay in the tables, which clean them.

use std::io::{self, IsTerminal};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::output::ServiceArgs;

/// Smaller content is there before a bar could be read.
const BYTES_MIN: u64 = 4 * 1024 * 1024;

/// A line with all that matters.
const TEMPLATE: &str = "{msg} [{bar:32}] {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";

/// Whether progress is shown.
#[derive(Debug, Clone, Args)]
pub(crate) struct ProgressArgs {
    /// Without a progress bar
    #[arg(long, short)]
    quiet: bool,
}

// === impl ProgressArgs ===

impl ProgressArgs {
    /// Whether somebody is looking who would like a bar.
    pub(crate) fn looking(&self, service: &ServiceArgs) -> bool {
        io::stderr().is_terminal() && !service.json && !self.quiet
    }

    /// A bar for so many bytes; none where it would be in the way.
    pub(super) fn bar(&self, service: &ServiceArgs, bytes: u64, doing: &'static str) -> Option<ProgressBar> {
        (self.looking(service) && bytes >= BYTES_MIN).then(|| bar(bytes, doing))
    }
}

fn bar(bytes: u64, doing: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(bytes).with_message(doing);
    if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}

/// Begins at the first byte again, under another word.
pub(super) fn restart(bar: &ProgressBar, doing: &'static str) {
    bar.reset();
    bar.set_message(doing);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_has_its_style() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
        let bar = bar(BYTES_MIN, "hashing");
        bar.inc(7);
        restart(&bar, "uploading");
        assert_eq!((bar.length(), bar.position(), bar.message()), (Some(BYTES_MIN), 0, "uploading".to_owned()));
    }
}
