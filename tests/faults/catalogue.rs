//! docs/faults.md tells of every fault, and of no test that is not there.

use std::{collections::BTreeSet, fs, path::Path};

/// Those of the catalogue that stand in the page without a test, with a reason.
const NOT_MADE: [&str; 2] = ["F21", "F29"];

fn tests_below(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests_below(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let after = text.split("#[tokio::test(flavor = \"multi_thread\")]\nasync fn ").skip(1);
            found.extend(after.filter_map(|rest| rest.split_once('(')).map(|(name, _)| name.to_owned()));
        }
    }
}

/// Words between backquotes that can only be the name of a test.
fn named(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split('`').skip(1).step_by(2);
    words.filter(|word| word.matches('_').count() > 4 && !word.contains(['.', '/', ' ']))
}

#[test]
fn every_fault_is_told_with_tests_that_exist_or_the_reason_why_there_are_none() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/faults.md")).unwrap();
    let mut tests = BTreeSet::new();
    tests_below(&root.join("tests"), &mut tests);
    for name in named(&page) {
        assert!(tests.contains(name), "{name} is no test");
    }
    let (table, rest) = page.split_once("## What is not made here").unwrap();
    for number in 1..=32 {
        let fault = format!("F{number}");
        let begin = format!("| {fault} | ");
        let rows: Vec<&str> = table.lines().filter(|line| line.starts_with(&begin)).collect();
        let [row] = rows[..] else { panic!("{fault}: {} rows", rows.len()) };
        assert_eq!(row.matches(" | ").count(), 5, "{fault}");
        let has_tests = named(row.rsplit(" | ").next().unwrap()).count() > 0;
        assert_eq!(has_tests, !NOT_MADE.contains(&&*fault), "{fault}");
        assert!(has_tests || rest.contains(&begin), "{fault} has neither a test nor a reason");
    }
}
