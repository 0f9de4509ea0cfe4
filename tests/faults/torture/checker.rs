//! Whether what callers of one document were told can have come of one document that changes a step at a time, each step
//! between the call that asked for it and its answer.
//!
//! Pure. The search is that of Wing and Gong with Lowe's memory of what was tried; an observation that holds is placed at
//! once, because it changes nothing.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// Of an operation that may happen at any later time, or never.
pub(super) const NEVER: u64 = u64::MAX;
/// Beyond so many states a history is given up as undecided: an honest one needs some hundred.
const MOST_STATES: usize = 2_000_000;

/// How far the document has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Stage {
    Draft,
    Pending,
    Approved,
}

/// What a document is; every change makes another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Content {
    /// Which write its text comes from.
    pub(super) nonce: u64,
    /// Which upload its file comes from; 0: it has none.
    #[serde(default)]
    pub(super) file: u64,
    pub(super) stage: Stage,
    pub(super) deleted: bool,
}

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Create(u64),
    Update(u64),
    Upload(u64),
    Submit,
    Approve,
    Delete,
    /// Its database was given up.
    Lose,
}

/// Why a change was not made, which says something of the document, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Refusal {
    Exists,
    NotFound,
    EtagMismatch,
    NotEditable,
    StepInvalid,
    NoFile,
}

/// One thing that happened, or that somebody saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// The change was made; `read` is what the document was where its etag was read.
    Applied { change: Change, read: Option<Content> },
    /// It was refused.
    Refused { change: Change, read: Option<Content>, refusal: Refusal },
    /// It was so, or was not there.
    Seen(Option<Content>),
    /// Nothing that is not deleted was there.
    Hidden,
    /// It was there with the file of that upload; 0: with none.
    Holds(u64),
}

/// Something and when it can have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Op {
    pub(super) what: What,
    /// Which line of the history it comes from. What a change answered comes after the change of the same line; and a change
    /// that may have been made by an earlier try comes after the refusal of a later one, which would have found it made.
    pub(super) line: usize,
    pub(super) called: u64,
    pub(super) returned: u64,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Legal,
    /// No order explains it; the longest that was found, by positions.
    Illegal(Vec<usize>),
    Undecided,
}

/// The document, if it is there.
type State = Option<Content>;

impl Change {
    fn apply(self, state: State, read: Option<Content>) -> Result<State, Refusal> {
        match (self, state) {
            (Self::Lose, _) => return Ok(None),
            (Self::Create(nonce), None) => {
                return Ok(Some(Content { nonce, file: 0, stage: Stage::Draft, deleted: false }));
            }
            (Self::Create(_), Some(_)) => return Err(Refusal::Exists),
            _ => {}
        }
        let Some(now) = state.filter(|now| !now.deleted) else { return Err(Refusal::NotFound) };
        if read.is_some_and(|read| read != now) {
            return Err(Refusal::EtagMismatch);
        }
        Ok(Some(match (self, now.stage) {
            (Self::Update(nonce), Stage::Draft) => Content { nonce, ..now },
            (Self::Upload(file), Stage::Draft) => Content { file, ..now },
            (Self::Update(_) | Self::Upload(_), _) => return Err(Refusal::NotEditable),
            (Self::Submit, Stage::Draft) => Content { stage: Stage::Pending, ..now },
            (Self::Approve, Stage::Pending) => Content { stage: Stage::Approved, ..now },
            (Self::Delete, _) => Content { deleted: true, ..now },
            _ => return Err(Refusal::StepInvalid),
        }))
    }
}

impl Op {
    fn step(&self, state: State) -> Option<State> {
        match self.what {
            What::Applied { change, read } => change.apply(state, read).ok(),
            What::Refused { change, read, refusal } => (change.apply(state, read) == Err(refusal)).then_some(state),
            What::Seen(seen) => (state == seen).then_some(state),
            What::Hidden => state.is_none_or(|now| now.deleted).then_some(state),
            What::Holds(file) => state.is_some_and(|now| !now.deleted && now.file == file).then_some(state),
        }
    }

    fn is_change(&self) -> bool {
        matches!(self.what, What::Applied { .. })
    }

    /// The document that it speaks of.
    fn spoken_of(&self) -> Option<Content> {
        match self.what {
            What::Applied { read, .. } | What::Refused { read, .. } => read,
            What::Seen(seen) => seen,
            What::Hidden | What::Holds(_) => None,
        }
    }

    /// Whether another one would fail for the mere reason that this change is left out.
    fn is_missed_by(&self, other: &Self) -> bool {
        let What::Applied { change, read } = self.what else { return false };
        match change {
            Change::Create(_) if self.returned != NEVER => true,
            Change::Create(_) if matches!(other.what, What::Holds(_)) => true,
            Change::Create(nonce) | Change::Update(nonce) => other.spoken_of().is_some_and(|of| of.nonce == nonce),
            Change::Upload(file) => {
                other.what == What::Holds(file) || other.spoken_of().is_some_and(|of| of.file == file)
            }
            // A refusal without an etag may be due to any of these.
            _ if matches!(other.what, What::Refused { read: None, .. } | What::Seen(None) | What::Hidden) => true,
            _ => change.apply(read, read).is_ok_and(|product| product.is_some() && product == other.spoken_of()),
        }
    }
}

/// Looks for an order of all that surely happened, and of as much of the rest as it takes.
pub(super) fn check(ops: &[Op]) -> Verdict {
    let needed: Vec<Option<usize>> = ops.iter().map(|op| needed(ops, op)).collect();
    let mut tried = HashSet::new();
    let mut longest = Vec::new();
    let mut stack: Vec<(Vec<usize>, State)> = vec![(Vec::new(), None)];
    while let Some((mut order, state)) = stack.pop() {
        let mut done = vec![false; ops.len()];
        order.iter().for_each(|at| done[*at] = true);
        let next = |done: &[bool]| {
            let left = || (0..ops.len()).filter(|at| !done[*at]);
            let first = left().map(|at| ops[at].returned).min().unwrap_or(NEVER);
            let may = |at: &usize| ops[*at].called <= first && needed[*at].is_none_or(|before| done[before]);
            left().filter(may).collect::<Vec<_>>()
        };
        let mut possible = next(&done);
        while let Some(at) = possible.iter().find(|at| !ops[**at].is_change() && ops[**at].step(state).is_some()) {
            done[*at] = true;
            order.push(*at);
            possible = next(&done);
        }
        if ops.iter().zip(&done).all(|(op, done)| *done || op.returned == NEVER) {
            return Verdict::Legal;
        }
        if !tried.insert((done, state)) {
            continue;
        }
        if tried.len() > MOST_STATES {
            return Verdict::Undecided;
        }
        for at in possible.into_iter().filter(|at| ops[*at].is_change()).rev() {
            if let Some(after) = ops[at].step(state) {
                let mut longer = order.clone();
                longer.push(at);
                stack.push((longer, after));
            }
        }
        if order.len() > longest.len() {
            longest = order;
        }
    }
    Verdict::Illegal(longest)
}

/// What has to come before it besides what was over before it was called.
fn needed(ops: &[Op], op: &Op) -> Option<usize> {
    let of = |is: fn(&Op) -> bool| ops.iter().position(|other| other.line == op.line && is(other));
    match op.what {
        What::Seen(_) => of(Op::is_change),
        What::Applied { .. } => of(|other| matches!(other.what, What::Refused { .. })),
        What::Refused { .. } | What::Hidden | What::Holds(_) => None,
    }
}

/// Drops what is not needed for it to fail: first what somebody saw, then changes of whose outcome nobody speaks, so that what
/// is left never fails merely because a write was dropped which somebody has read.
pub(super) fn smallest(ops: &[Op]) -> Vec<Op> {
    let mut left = ops.to_vec();
    let mut again = true;
    while again {
        again = false;
        for changes in [false, true] {
            for at in (0..left.len()).rev() {
                if left[at].is_change() != changes {
                    continue;
                }
                let mut without = left.clone();
                let op = without.remove(at);
                let missed = without.iter().any(|other| op.is_missed_by(other));
                if !missed && matches!(check(&without), Verdict::Illegal(_)) {
                    (left, again) = (without, true);
                }
            }
        }
    }
    left
}
