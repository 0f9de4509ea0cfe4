//! Histories written by hand, of which it is known whether they can be.

use super::{Change, Content, NEVER, Op, Refusal, Stage, Verdict, What, check, smallest};

const fn draft(nonce: u64) -> Content {
    Content { nonce, file: 0, stage: Stage::Draft, deleted: false }
}

/// What happened, between which moments; lines are numbered as they stand.
fn history(of: &[(What, u64, u64)]) -> Vec<Op> {
    let numbered = of.iter().enumerate();
    numbered
        .map(|(line, (what, called, returned))| Op { what: *what, line, called: *called, returned: *returned })
        .collect()
}

fn made(change: Change, read: Option<Content>) -> What {
    What::Applied { change, read }
}

fn created(nonce: u64) -> What {
    made(Change::Create(nonce), None)
}

fn updated(nonce: u64, read: u64) -> What {
    made(Change::Update(nonce), Some(draft(read)))
}

fn refused(change: Change, read: Option<Content>, refusal: Refusal) -> What {
    What::Refused { change, read, refusal }
}

fn seen(nonce: u64) -> What {
    What::Seen(Some(draft(nonce)))
}

fn is_legal(of: &[(What, u64, u64)]) -> bool {
    match check(&history(of)) {
        Verdict::Legal => true,
        Verdict::Illegal(_) => false,
        Verdict::Undecided => panic!("undecided"),
    }
}

#[test]
fn what_one_caller_does_after_another_is_explained_in_its_order_alone() {
    assert!(is_legal(&[]));
    assert!(is_legal(&[
        (What::Seen(None), 0, 1),
        (created(1), 2, 3),
        (seen(1), 4, 5),
        (updated(2, 1), 6, 7),
        (seen(2), 8, 9)
    ]));
    // A read that goes back, one of the future, one of what nobody wrote.
    assert!(!is_legal(&[(created(1), 0, 1), (updated(2, 1), 2, 3), (seen(1), 4, 5)]));
    assert!(!is_legal(&[(created(1), 0, 1), (seen(2), 2, 3), (updated(2, 1), 4, 5)]));
    assert!(!is_legal(&[(created(1), 0, 1), (seen(7), 2, 3)]));
}

#[test]
fn an_acknowledged_write_that_is_gone_is_no_history() {
    assert!(!is_legal(&[(created(1), 0, 1), (What::Seen(None), 2, 3)]));
    assert!(!is_legal(&[(created(1), 0, 1), (What::Hidden, 2, 3)]));
    assert!(is_legal(&[(created(1), 0, 1), (made(Change::Delete, Some(draft(1))), 2, 3), (What::Hidden, 4, 5)]));
    // But for that of a database that was given up.
    assert!(is_legal(&[(created(1), 0, 1), (made(Change::Lose, None), 2, 3), (What::Seen(None), 4, 5)]));
}

#[test]
fn what_goes_on_at_the_same_time_may_be_in_any_order_that_somebody_saw() {
    let reads = |first, second| [(created(1), 0, 1), (updated(2, 1), 2, 9), (seen(first), 3, 4), (seen(second), 5, 6)];
    assert!(is_legal(&reads(1, 1)) && is_legal(&reads(1, 2)) && is_legal(&reads(2, 2)));
    assert!(!is_legal(&reads(2, 1)));
}

#[test]
fn a_write_of_which_nobody_knows_may_come_late_or_never_but_only_once() {
    let unknown = (updated(2, 1), 2, NEVER);
    assert!(is_legal(&[(created(1), 0, 1), unknown, (seen(1), 3, 4)]));
    assert!(is_legal(&[(created(1), 0, 1), unknown, (seen(1), 3, 4), (seen(2), 50, 51)]));
    assert!(!is_legal(&[(created(1), 0, 1), unknown, (seen(2), 3, 4), (seen(1), 5, 6)]));
    // Its etag is not current any more.
    assert!(!is_legal(&[(created(1), 0, 1), unknown, (updated(3, 1), 3, 4), (seen(2), 5, 6)]));
}

#[test]
fn of_two_writes_with_one_etag_one_is_made() {
    let two = |second| [(created(1), 0, 1), (updated(2, 1), 2, 9), (second, 2, 9)];
    assert!(!is_legal(&two(updated(3, 1))));
    assert!(is_legal(&two(refused(Change::Update(3), Some(draft(1)), Refusal::EtagMismatch))));
    // Nor is one refused whose etag is current.
    assert!(!is_legal(&[
        (created(1), 0, 1),
        (refused(Change::Update(3), Some(draft(1)), Refusal::EtagMismatch), 2, 3)
    ]));
}

#[test]
fn refusals_say_what_the_document_is() {
    let pending = Content { stage: Stage::Pending, ..draft(1) };
    let submitted = (made(Change::Submit, Some(draft(1))), 2, 3);
    let after = |what| is_legal(&[(created(1), 0, 1), submitted, (what, 4, 5)]);
    assert!(after(made(Change::Approve, Some(pending))));
    assert!(after(refused(Change::Update(2), Some(pending), Refusal::NotEditable)));
    assert!(after(refused(Change::Submit, Some(pending), Refusal::StepInvalid)));
    assert!(after(refused(Change::Create(9), None, Refusal::Exists)));
    assert!(!after(made(Change::Update(2), Some(pending))));
    assert!(!after(refused(Change::Update(2), Some(draft(1)), Refusal::NotEditable)));
    assert!(!after(refused(Change::Delete, Some(pending), Refusal::NotFound)));
    assert!(!is_legal(&[(refused(Change::Create(1), None, Refusal::Exists), 0, 1)]));
}

#[test]
fn a_file_is_there_from_its_upload_to_the_next_and_hides_with_its_document() {
    let with = |file| Content { file, ..draft(1) };
    let uploaded = (made(Change::Upload(7), Some(draft(1))), 2, 3);
    let after = |of: &[(What, u64, u64)]| is_legal(&[&[(created(1), 0, 1), uploaded], of].concat());
    assert!(after(&[(What::Holds(7), 4, 5), (What::Seen(Some(with(7))), 6, 7)]));
    assert!(!after(&[(What::Holds(0), 4, 5)]) && !after(&[(What::Holds(8), 4, 5)]) && !after(&[(seen(1), 4, 5)]));
    // The text changes, the file stays.
    let renamed = (made(Change::Update(2), Some(with(7))), 4, 5);
    assert!(after(&[renamed, (What::Seen(Some(Content { nonce: 2, ..with(7) })), 6, 7)]));
    assert!(!after(&[renamed, (seen(2), 6, 7)]));
    // Its etag is another one.
    assert!(!after(&[(updated(2, 1), 4, 5)]));
    let replaced = (made(Change::Upload(8), None), 4, 9);
    assert!(after(&[replaced, (What::Holds(7), 5, 6), (What::Holds(8), 7, 8)]));
    assert!(!after(&[replaced, (What::Holds(8), 5, 6), (What::Holds(7), 7, 8)]));
    let deleted = (made(Change::Delete, None), 4, 5);
    assert!(after(&[deleted, (What::Hidden, 6, 7)]) && !after(&[deleted, (What::Holds(7), 6, 7)]));
    let submitted = (made(Change::Submit, None), 4, 5);
    let pending = Content { stage: Stage::Pending, ..with(7) };
    assert!(after(&[submitted, (refused(Change::Upload(9), Some(pending), Refusal::NotEditable), 6, 7)]));
    assert!(!after(&[submitted, (made(Change::Upload(9), Some(pending)), 6, 7)]));
}

#[test]
fn what_a_change_answers_was_so_after_it() {
    let answered = |answer| {
        let mut ops = history(&[(created(1), 0, 1), (updated(2, 1), 2, 9), (answer, 2, 9)]);
        ops[2].line = 1;
        check(&ops) == Verdict::Legal
    };
    assert!(answered(seen(2)));
    assert!(!answered(seen(1)));
}

#[test]
fn a_repeat_that_is_refused_says_that_it_had_not_been_made() {
    let repeated = |after: What| {
        let late = refused(Change::Update(2), Some(draft(1)), Refusal::EtagMismatch);
        let mut ops = history(&[(created(1), 0, 1), (updated(2, 1), 2, NEVER), (late, 2, 9), (after, 10, 11)]);
        ops[2].line = 1;
        check(&ops) == Verdict::Legal
    };
    // Its etag was refused although nobody else had changed anything.
    assert!(!repeated(seen(1)) && !repeated(seen(2)));
    let early = refused(Change::Create(1), None, Refusal::NotFound);
    let mut ops = history(&[(created(1), 0, NEVER), (early, 0, 9)]);
    ops[1].line = 0;
    assert!(matches!(check(&ops), Verdict::Illegal(_)), "no creation is refused so");
}

#[test]
fn the_smallest_history_that_fails_keeps_what_was_read_with_who_wrote_it() {
    let ops = history(&[
        (created(1), 0, 1),
        (seen(1), 2, 3),
        (updated(2, 1), 4, 5),
        (seen(2), 6, 7),
        (updated(3, 2), 8, 9),
        (seen(2), 10, 11),
        (seen(3), 12, 13),
        (updated(4, 3), 14, NEVER),
    ]);
    let lines: Vec<usize> = smallest(&ops).iter().map(|op| op.line).collect();
    assert_eq!(lines, [0, 2, 4, 5]);
}

#[test]
fn a_long_history_with_many_unknown_writes_is_decided() {
    let mut of = vec![(created(1), 0, 1)];
    for round in 1..60 {
        of.push((updated(1000 + round, round), round * 10, NEVER));
        of.push((updated(round + 1, round), round * 10, round * 10 + 5));
        of.push((seen(round + 1), round * 10 + 6, round * 10 + 7));
    }
    assert!(is_legal(&of));
    of.push((seen(3), 5000, 5001));
    assert!(!is_legal(&of));
}
