//! Fuzzing, on stable Rust: whatever reads what strangers send gets bytes that are almost right.
//!
//! Each target says what it made of an input in a word or two. An input that brings a new answer is kept and changed
//! further, so that the search goes deeper where it got somewhere; that stands in for the coverage that a nightly
//! compiler would measure. By default a fixed seed and a fixed number of inputs, as a test; `make fuzz SECONDS=600`
//! takes a seed of its own, prints it, and goes on for so long with each target.

mod seeds;
mod targets;

use std::{
    collections::HashSet,
    env,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    time::Duration,
};

use tokio::time::Instant;

/// Inputs of a target in a test.
const INPUTS: usize = 8_000;
/// Inputs that are kept; the oldest of those found make room.
const KEPT: usize = 1_000;

/// Says what it made of an input; panics if a rule is broken.
type Run = Box<dyn Fn(&[u8]) -> String>;

/// Something that reads.
struct Target {
    name: &'static str,
    /// Inputs that are right, to begin with.
    seeds: Vec<Vec<u8>>,
    /// What is worth putting anywhere.
    words: &'static [&'static str],
    run: Run,
}

/// SplitMix64: small, and the same for ever.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

fn changed(random: &mut Random, corpus: &[Vec<u8>], words: &[&str]) -> Vec<u8> {
    let mut bytes = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(4) {
        let place = random.below(bytes.len() + 1);
        let end = place + random.below((bytes.len() - place).min(40) + 1);
        match random.below(8) {
            0 if place < bytes.len() => bytes[place] ^= 1 << random.below(8),
            1 if place < bytes.len() => bytes[place] = random.byte(),
            2 => bytes.insert(place, random.byte()),
            3 => drop(bytes.drain(place..end)),
            4 => {
                let again = bytes[place..end].to_vec();
                bytes.splice(place..place, again);
            }
            5 => {
                let other = &corpus[random.below(corpus.len())];
                let tail = other[random.below(other.len() + 1)..].to_vec();
                bytes.splice(place.., tail);
            }
            6 if !words.is_empty() => {
                let word = words[random.below(words.len())].as_bytes().to_vec();
                bytes.splice(place..end, word);
            }
            _ => bytes.truncate(bytes.len() - random.below(bytes.len().min(8) + 1)),
        }
    }
    bytes.truncate(64 * 1_024);
    bytes
}

/// Runs a target; how many different answers it gave.
fn fuzz(target: &Target, seed: u64, enough: impl Fn(usize) -> bool) -> usize {
    let mut random = Random(seed);
    let mut corpus = target.seeds.clone();
    let (seeds, mut answers, mut count) = (corpus.len(), HashSet::new(), 0);
    while !enough(count) {
        let input = match corpus.get(count) {
            Some(input) if count < seeds => input.clone(),
            _ => changed(&mut random, &corpus, target.words),
        };
        let answer = catch_unwind(AssertUnwindSafe(|| (target.run)(&input))).unwrap_or_else(|panic| {
            let input = input.escape_ascii();
            eprintln!("{} with FBS_ROUTER_SEED={seed}, input {count}: b\"{input}\"", target.name);
            resume_unwind(panic)
        });
        if answers.insert(answer) {
            if corpus.len() >= KEPT {
                corpus.remove(seeds);
            }
            corpus.push(input);
        }
        count += 1;
    }
    answers.len()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how long, and from which seed, is said by whoever runs it")]
fn whatever_is_sent_is_read_or_refused_and_breaks_no_rule() {
    let number = |name: &str| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seconds = number("FBS_ROUTER_FUZZ_SECONDS").map(Duration::from_secs);
    let fresh = || seconds.map_or(7, |_| uuid::Uuid::new_v4().as_u64_pair().0);
    let seed = number("FBS_ROUTER_SEED").unwrap_or_else(fresh);
    for target in targets::all() {
        let begun = Instant::now();
        let answers = fuzz(&target, seed, |count| seconds.map_or(count >= INPUTS, |limit| begun.elapsed() >= limit));
        println!("{}: {answers} different answers, FBS_ROUTER_SEED={seed}", target.name);
        // It got further than the first look.
        assert!(answers > target.seeds.len().min(4), "{}: {answers}", target.name);
    }
}
