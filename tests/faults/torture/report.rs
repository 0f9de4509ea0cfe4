//! What a history proves: whether each document explains it, how much there was of everything, and whether that is enough to
//! have proved something.

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write,
};

use super::{
    checker::{self, NEVER, Op, Verdict},
    history::{self, Call, Etags, Line, Outcome},
    nemesis,
};

/// As many documents are shown in full.
const SHOWN: usize = 3;

/// What nothing explains, with the smallest history of each document that still fails.
pub(super) fn judge(lines: &[Line]) -> Vec<String> {
    let etags = Etags::of(lines);
    let mut found = etags.doubled.clone();
    let mut failed = 0;
    for ((solution, document), numbers) in history::documents(lines) {
        let mut ops: Vec<Op> = numbers.iter().flat_map(|number| lines[*number].ops(*number, &etags)).collect();
        ops.sort_by_key(|op| op.called);
        match checker::check(&ops) {
            Verdict::Legal => {}
            Verdict::Undecided => found.push(format!("{solution} {document}: undecided, of {} steps", ops.len())),
            Verdict::Illegal(longest) => {
                failed += 1;
                if failed <= SHOWN {
                    found.push(shown(solution, document, lines, &ops, &longest));
                }
            }
        }
    }
    if failed > SHOWN {
        found.push(format!("and {} documents more", failed - SHOWN));
    }
    found
}

fn shown(solution: &str, document: &str, lines: &[Line], ops: &[Op], longest: &[usize]) -> String {
    let smallest = checker::smallest(ops);
    let mut text = format!(
        "{solution} {document}: no order explains it; of {} steps {} can be placed. The smallest that fails:",
        ops.len(),
        longest.len()
    );
    for op in smallest {
        let returned = if op.returned == NEVER { "?".to_owned() } else { op.returned.to_string() };
        let line = serde_json::to_string(&lines[op.line]).unwrap();
        let _ = write!(text, "\n  {}..{returned} {:?}\n    line {} {line}", op.called, op.what, op.line + 1);
    }
    text
}

/// Calls, of which a list is one, whatever number of documents it shows.
#[derive(Debug, Default)]
struct Counts {
    ok: usize,
    /// Of those: changes.
    changed: usize,
    refused: usize,
    unknown: usize,
    tries: usize,
    elsewhere: usize,
    /// Files that came whole.
    uploads: usize,
    downloads: usize,
}

fn count(lines: &[Line]) -> Counts {
    let (mut counts, mut lists) = (Counts::default(), HashSet::new());
    for line in lines.iter().filter(|line| !matches!(line.call, Call::Lose | Call::Last)) {
        if line.call == Call::List && !lists.insert((line.client, line.called)) {
            continue;
        }
        match line.outcome {
            Outcome::Is(_) => {
                counts.ok += 1;
                counts.changed += usize::from(!matches!(line.call, Call::Get | Call::List));
                counts.uploads += usize::from(matches!(line.call, Call::Upload { .. }));
            }
            Outcome::File(_) => {
                counts.ok += 1;
                counts.downloads += 1;
            }
            Outcome::Refused(_) => counts.refused += 1,
            Outcome::Unknown if matches!(line.call, Call::Get | Call::Download) => {}
            Outcome::Unknown => counts.unknown += 1,
        }
        counts.tries += line.tries.len();
        counts.elsewhere += line.tries.len().saturating_sub(1);
    }
    counts
}

/// What there was too little of to have proved anything.
pub(super) fn guards(lines: &[Line], fired: &BTreeMap<&'static str, usize>, looks: usize, seconds: u64) -> Vec<String> {
    let counts = count(lines);
    let seconds = usize::try_from(seconds).unwrap();
    let of = |name: &str| fired.get(name).copied().unwrap_or_default();
    let mut guards = vec![
        ("calls that were served", counts.ok, seconds * 4),
        ("changes that were made", counts.changed, seconds * 2),
        ("changes of which nobody knows", counts.unknown, seconds / 12),
        ("tries on a second router", counts.elsewhere, seconds / 6),
        (
            "moves",
            fired.iter().filter(|(name, _)| name.starts_with("moved")).map(|(_, n)| n).sum(),
            seconds.div_ceil(120),
        ),
        ("files that were brought", counts.uploads, seconds / 12),
        ("files that were read", counts.downloads, seconds / 30),
        ("looks at both places", looks, seconds),
    ];
    for (lane, faults) in nemesis::lanes() {
        guards.push((lane, faults.iter().map(|name| of(name)).sum(), seconds / 40));
    }
    // Each of them, however busy the machine is, only in a longer time.
    guards.extend(nemesis::all().into_iter().filter(|_| seconds >= 600).map(|name| (name, of(name), 1)));
    let few = guards.into_iter().filter(|(_, found, least)| found < least);
    few.map(|(what, found, least)| format!("it proved nothing: {what}: {found}, fewer than {least}")).collect()
}

pub(super) fn print(lines: &[Line], fired: &BTreeMap<&'static str, usize>, looks: usize) {
    let counts = count(lines);
    println!("{} documents, {counts:?}", history::documents(lines).len());
    println!("faults: {fired:?}; {looks} looks at both places of {}", super::MOVING);
}
