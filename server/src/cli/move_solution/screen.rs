//! Where a move stands, for whoever is looking: a bar on a terminal, a line a step elsewhere, objects for scripts.

use fbs_router_client::{
    prost_types::Duration,
    v1::{MoveSolutionResponse, move_solution_response::Step},
};
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::{
    explain::age,
    output::{CliError, json, print, table::clean},
};

/// A line with all that matters.
const TEMPLATE: &str = "{prefix:<10} [{bar:32}] {pos} of {len} rows{msg}";

/// How it is shown.
#[derive(Debug)]
pub(super) enum Screen {
    /// An object a line.
    Json,
    /// Everything that is said, a line each.
    All,
    /// A line for each step when it begins; the last one shown.
    Steps(Option<i32>),
    /// A bar on stderr, and how it ended on stdout.
    Bar(ProgressBar),
}

// === impl Screen ===

impl Screen {
    pub(super) fn bar() -> Self {
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style.progress_chars("=> "));
        }
        Self::Bar(bar)
    }

    /// Where it stands now.
    pub(super) fn show(&mut self, told: &MoveSolutionResponse) -> Result<(), CliError> {
        match self {
            Self::Json => print(&format!("{}\n", json::moved(told))),
            Self::All => print(&line(told)),
            Self::Steps(shown) if *shown == Some(told.step) => Ok(()),
            Self::Steps(shown) => {
                *shown = Some(told.step);
                print(&line(told))
            }
            Self::Bar(bar) => {
                bar.set_prefix(word(told.step));
                bar.set_length(u64::try_from(told.rows_total).unwrap_or(0));
                bar.set_position(u64::try_from(told.rows_copied).unwrap_or(0));
                bar.set_message(held(told).map(|held| format!(", {held}")).unwrap_or_default());
                Ok(())
            }
        }
    }

    /// Nothing more comes.
    pub(super) fn clear(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }

    /// It ended so.
    pub(super) fn end(&self, last: &MoveSolutionResponse) -> Result<(), CliError> {
        self.clear();
        if let Self::Bar(_) = self { print(&line(last)) } else { Ok(()) }
    }
}

/// `copy        3 of 7 rows, writers held for 0.012s: …`. Figures are left out where there are none yet: what is still
/// to come is in the message.
fn line(told: &MoveSolutionResponse) -> String {
    let counted = told.rows_copied > 0 || told.step() == Step::Copy;
    let rows = counted.then(|| format!("{} of {} rows", told.rows_copied, told.rows_total));
    let figures: Vec<String> = rows.into_iter().chain(held(told)).collect();
    let message = (!told.message.is_empty()).then(|| clean(&told.message));
    let facts: Vec<String> = (!figures.is_empty()).then(|| figures.join(", ")).into_iter().chain(message).collect();
    format!("{}\n", format!("{:<10}  {}", word(told.step), facts.join(": ")).trim_end())
}

fn held(told: &MoveSolutionResponse) -> Option<String> {
    let frozen = told.frozen.as_ref().filter(|frozen| **frozen != Duration::default())?;
    Some(format!("writers held for {}", age(frozen)))
}

fn word(step: i32) -> String {
    let word = match Step::try_from(step) {
        Ok(Step::Prepare) => "prepare",
        Ok(Step::Freeze) => "freeze",
        Ok(Step::Copy) => "copy",
        Ok(Step::Verify) => "verify",
        Ok(Step::Switch) => "switch",
        Ok(Step::Done) => "done",
        Ok(Step::RolledBack) => "taken back",
        Ok(Step::Unspecified) => "-",
        Err(_) => return format!("step {step}"),
    };
    word.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(step: Step, message: &str) -> MoveSolutionResponse {
        MoveSolutionResponse { step: step.into(), message: message.into(), ..Default::default() }
    }

    #[test]
    fn a_line_has_the_figures_that_there_are() {
        let copying = MoveSolutionResponse {
            rows_copied: 3,
            rows_total: 7,
            frozen: Some(Duration { seconds: 0, nanos: 12_000_000 }),
            ..told(Step::Copy, "")
        };
        assert_eq!(line(&copying), "copy        3 of 7 rows, writers held for 0.012s\n");
        let told_why = MoveSolutionResponse { message: "why\n\u{1b}".into(), ..copying };
        assert_eq!(line(&told_why), "copy        3 of 7 rows, writers held for 0.012s: why\\n\\u{1b}\n");
        assert_eq!(line(&told(Step::Prepare, "both sides are ready")), "prepare     both sides are ready\n");
        let nothing =
            MoveSolutionResponse { rows_total: 7, frozen: Some(Duration::default()), ..told(Step::Freeze, "") };
        assert_eq!(line(&nothing), "freeze\n");
        assert_eq!(line(&MoveSolutionResponse { step: Step::Copy.into(), ..nothing }), "copy        0 of 7 rows\n");
        assert_eq!(line(&MoveSolutionResponse { step: 77, ..Default::default() }), "step 77\n");
    }

    #[test]
    fn the_bar_follows_the_rows() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
        let mut screen = Screen::bar();
        let copying = MoveSolutionResponse { rows_copied: 3, rows_total: 7, ..told(Step::Copy, "") };
        screen.show(&copying).unwrap();
        let Screen::Bar(bar) = &screen else { unreachable!() };
        assert_eq!((bar.length(), bar.position(), bar.prefix()), (Some(7), 3, "copy".to_owned()));
    }
}
