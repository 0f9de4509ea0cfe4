//! The table: one line a comparison, printed as soon as it is measured.

use crate::{
    measure::{Effort, Sample, Spread},
    rows::{Group, Row},
};

/// Above the table: what the numbers are, and on what.
pub(crate) fn head(effort: Effort, postgres: &str) {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("{cores} processors, PostgreSQL {postgres}; {} rounds of {:?} windows", effort.rounds, effort.window);
    println!("A, B: median processor time a call in µs, server + Postgres. B/A: median over rounds [quartiles].");
    println!("Absolute times are this machine's at this moment; ratios within a line are what counts.\n");
    println!("| A -> B | A | B | CPU B/A | calls/s B/A | errors |");
    println!("| --- | --: | --: | --: | --: | --: |");
}

/// The lines of a group. True if every call was answered.
pub(crate) fn lines(group: &Group, samples: &[Vec<Sample>]) -> bool {
    let mut clean = true;
    for row in &group.rows {
        clean &= line(row, group.postgres, &samples[row.a], &samples[row.b]);
    }
    clean
}

fn line(row: &Row, postgres: bool, a: &[Sample], b: &[Sample]) -> bool {
    let cpu = Spread::of(a.iter().zip(b).map(|(a, b)| b.total_per_call() / a.total_per_call()));
    let rate = Spread::of(a.iter().zip(b).map(|(a, b)| b.calls_per_second() / a.calls_per_second()));
    let errors: u64 = a.iter().chain(b).map(|sample| sample.window.errors).sum();
    println!(
        "| {} | {} | {} | {:.2} [{:.2} {:.2}] | {:.2} [{:.2} {:.2}] | {errors} |",
        row.name,
        times(a, postgres),
        times(b, postgres),
        cpu.median,
        cpu.q25,
        cpu.q75,
        rate.median,
        rate.q25,
        rate.q75,
    );
    errors == 0
}

fn times(samples: &[Sample], postgres: bool) -> String {
    let server = Spread::of(samples.iter().map(|sample| sample.per_call().0)).median;
    if !postgres {
        return format!("{server:.1}");
    }
    let postgres = Spread::of(samples.iter().map(|sample| sample.per_call().1)).median;
    format!("{server:.1} + {postgres:.1}")
}
