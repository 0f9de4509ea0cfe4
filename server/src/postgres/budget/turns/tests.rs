use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const WIDE: Limits = Limits { all: 4, database: 100, solution: 100, waiting: 1_000 };

fn solution(name: &str) -> SolutionId {
    SolutionId::parse(name).unwrap()
}

fn who(database: &str, name: &str) -> Who {
    Who { database: database.into(), solution: Some(solution(name)) }
}

fn routing() -> Who {
    Who { database: "any".into(), solution: None }
}

/// All permits for documents taken by `name`, in a database of its own.
fn taken_by(name: &str, limits: Limits) -> Turns<&str> {
    let mut turns = Turns::new(limits);
    while turns.take(&who(name, name)) {}
    turns
}

#[test]
fn a_solution_that_floods_has_one_turn_a_round_like_everybody() {
    let mut turns = taken_by("flood", WIDE);
    for _ in 0..500 {
        turns.wait(&who("flood", "flood"), "flood").unwrap();
    }
    turns.wait(&who("victim", "victim"), "victim").unwrap();
    turns.wait(&who("other", "other"), "other").unwrap();
    let mut served = Vec::new();
    for _ in 0..3 {
        turns.give_back(&who("flood", "flood"));
        served.push(turns.next().unwrap());
        assert_eq!(turns.next(), None);
    }
    assert_eq!(served, ["victim", "other", "flood"]);
}

#[test]
fn equals_take_turns_with_a_single_permit() {
    let mut turns = Turns::new(Limits { all: 1 + KEPT, ..WIDE });
    assert!(turns.take(&who("z", "z")));
    for (name, callers) in [("a", 20), ("b", 10), ("c", 1)] {
        for _ in 0..callers {
            turns.wait(&who(name, name), name).unwrap();
        }
    }
    let mut served = Vec::<(&str, u32)>::new();
    let mut last = "z";
    while let Some(name) = {
        turns.give_back(&who(last, last));
        turns.next()
    } {
        match served.last_mut() {
            Some((same, count)) if *same == name => *count += 1,
            _ => served.push((name, 1)),
        }
        last = name;
    }
    assert_eq!(served, [("a", TURN), ("b", TURN), ("c", 1), ("a", TURN), ("b", 2), ("a", 4)]);
}

#[test]
fn solutions_that_share_a_database_are_as_fair_and_a_full_database_holds_up_no_other() {
    let mut turns = Turns::new(Limits { all: 20, database: 3, solution: 2, ..WIDE });
    assert!(turns.take(&who("system", "flood")) && turns.take(&who("system", "flood")));
    assert!(!turns.take(&who("system", "flood")), "its own limit");
    turns.wait(&who("system", "flood"), "flood").unwrap();
    assert!(turns.take(&who("system", "one")), "the flood waits for itself alone");
    assert!(!turns.take(&who("system", "two")), "the database is full");
    turns.wait(&who("system", "two"), "two").unwrap();
    assert!(turns.take(&who("own", "three")), "another database is not");
    turns.give_back(&who("system", "flood"));
    assert_eq!((turns.next(), turns.next()), (Some("two"), None));
}

#[test]
fn one_permit_is_kept_for_routing_which_is_first_in_line() {
    let mut turns = taken_by("flood", WIDE);
    assert_eq!(turns.out(), WIDE.all - KEPT);
    turns.wait(&who("flood", "flood"), "flood").unwrap();
    assert!(turns.take(&routing()));
    assert!(!turns.take(&routing()));
    turns.wait(&routing(), "routing").unwrap();
    turns.give_back(&who("flood", "flood"));
    assert_eq!((turns.next(), turns.next()), (Some("routing"), None));
    // Also when the limit is below what documents have.
    let mut turns = taken_by("flood", WIDE);
    turns.set_all(2);
    assert!(turns.take(&routing()) && !turns.take(&routing()));
}

#[test]
fn a_queue_is_bounded_and_a_place_in_it_can_be_left() {
    let mut turns = taken_by("a", Limits { waiting: 2, ..WIDE });
    let first = turns.wait(&who("a", "a"), "first").unwrap();
    turns.wait(&who("a", "a"), "second").unwrap();
    assert_eq!(turns.wait(&who("a", "a"), "third"), Err(QueueFull));
    assert!(turns.leave(&who("a", "a"), first));
    assert!(!turns.leave(&who("a", "a"), first));
    turns.give_back(&who("a", "a"));
    assert_eq!((turns.next(), turns.next()), (Some("second"), None));
}

#[test]
fn a_lower_limit_waits_for_permits_to_come_back_and_a_higher_one_serves_who_waits() {
    let mut turns = taken_by("a", WIDE);
    turns.wait(&who("b", "b"), "b").unwrap();
    turns.set_all(2);
    turns.give_back(&who("a", "a"));
    assert_eq!(turns.next(), None);
    turns.set_all(WIDE.all);
    assert_eq!((turns.next(), turns.next()), (Some("b"), None));
}

#[test]
fn limits_of_solution_and_database_may_change_while_callers_wait() {
    let narrow = Limits { all: 20, database: 2, solution: 1, ..WIDE };
    let mut turns = Turns::new(narrow);
    assert!(turns.take(&who("system", "a")) && turns.take(&who("system", "b")));
    for caller in ["a", "b", "c"] {
        turns.wait(&who("system", caller), caller).unwrap();
    }
    assert_eq!(turns.next(), None);
    turns.set_limits(Limits { database: 3, ..narrow });
    assert_eq!((turns.next(), turns.next()), (Some("c"), None));
    turns.set_limits(Limits { database: 4, solution: 2, ..narrow });
    assert_eq!((turns.next(), turns.next()), (Some("a"), None));
    // Lower than what is out: nobody is served until it has come back.
    turns.set_limits(narrow);
    turns.give_back(&who("system", "a"));
    assert_eq!(turns.next(), None);
    turns.give_back(&who("system", "a"));
    turns.give_back(&who("system", "c"));
    assert_eq!(turns.next(), None, "b has his one");
    turns.give_back(&who("system", "b"));
    assert_eq!((turns.next(), turns.next()), (Some("b"), None));
}

#[test]
fn what_lies_ahead_is_counted_in_turns() {
    let mut turns = taken_by("a", WIDE);
    let near = |found: Ahead, expected: f64| assert!((found.all - expected).abs() < 1e-9, "{found:?}, not {expected}");
    near(turns.turns_ahead(&who("b", "b")), 1.0 / 3.0);
    for _ in 0..9 {
        turns.wait(&who("a", "a"), "a").unwrap();
    }
    near(turns.turns_ahead(&who("a", "a")), 10.0 / 3.0);
    turns.wait(&who("c", "c"), "c").unwrap();
    // Two of them wait now, but there are no more than eleven before it.
    near(turns.turns_ahead(&who("a", "a")), 11.0 / 3.0);
    near(turns.turns_ahead(&who("b", "b")), 2.0 / 3.0);
}

#[test]
fn nothing_is_kept_of_who_left() {
    let mut turns: Turns<&str> = Turns::new(WIDE);
    for name in ["a", "b"] {
        assert!(turns.take(&who(name, name)));
        turns.give_back(&who(name, name));
    }
    turns.prune();
    assert!(turns.databases.is_empty() && turns.ready.is_empty());
}

/// What a caller may do, of a handful of solutions: in a database of their own or in the shared one.
#[derive(Debug, Clone, Copy)]
enum Act {
    Ask(usize),
    GiveBack(usize),
    Leave(usize),
    All(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        5 => (0..7usize).prop_map(Act::Ask),
        4 => (0..64usize).prop_map(Act::GiveBack),
        1 => (0..64usize).prop_map(Act::Leave),
        1 => (2..7usize).prop_map(Act::All),
    ]
}

fn count_of(held: &[usize], index: usize) -> usize {
    held.iter().filter(|other| **other == index).count()
}

fn party(index: usize) -> Who {
    match index {
        0 => routing(),
        1..=3 => who("system", &format!("s{index}")),
        _ => who(&format!("d{index}"), &format!("d{index}")),
    }
}

proptest! {
    /// Against counts kept by hand: no limit is exceeded, no permit is left over, each queue is served in order.
    #[test]
    fn limits_hold_and_nothing_is_left_over(acts in proptest::collection::vec(act(), 1..200)) {
        let limits = Limits { all: 4, database: 3, solution: 2, waiting: 6 };
        let mut turns = Turns::new(limits);
        let (mut held, mut queues, mut number) = (Vec::<usize>::new(), BTreeMap::<usize, Vec<(Ticket, usize)>>::new(), 0);
        for act in acts {
            match act {
                Act::Ask(index) => {
                    number += 1;
                    if turns.take(&party(index)) {
                        held.push(index);
                    } else if let Ok(ticket) = turns.wait(&party(index), (index, number)) {
                        queues.entry(index).or_default().push((ticket, number));
                    } else {
                        prop_assert_eq!(queues[&index].len(), limits.waiting);
                    }
                }
                Act::GiveBack(nth) if !held.is_empty() => {
                    let index = held.swap_remove(nth % held.len());
                    turns.give_back(&party(index));
                }
                Act::Leave(nth) => {
                    let all: Vec<_> = queues.iter().flat_map(|(index, queue)| queue.iter().map(|place| (*index, *place))).collect();
                    if let Some((index, place)) = all.get(nth % all.len().max(1)) {
                        prop_assert!(turns.leave(&party(*index), place.0));
                        queues.get_mut(index).unwrap().retain(|other| other != place);
                    }
                }
                Act::All(all) => turns.set_all(all),
                Act::GiveBack(_) => {}
            }
            while let Some((index, number)) = turns.next() {
                prop_assert_eq!(queues.get_mut(&index).unwrap().remove(0).1, number);
                held.push(index);
                prop_assert!(held.len() <= turns.all() || count_of(&held, 0) <= KEPT);
            }
            let count = |wanted: &dyn Fn(usize) -> bool| held.iter().filter(|index| wanted(**index)).count();
            let here = |index: usize| party(index).database;
            prop_assert_eq!(turns.out(), held.len());
            prop_assert_eq!(turns.callers().count(), queues.values().map(Vec::len).sum::<usize>());
            for index in 1..7 {
                let (own, shared) = (count(&|other| other == index), count(&|other| other > 0 && here(other) == here(index)));
                prop_assert!(own <= limits.solution && shared <= limits.database);
                let room = held.len() < turns.all() && count(&|other| other > 0) < turns.all() - KEPT;
                if room && own < limits.solution && shared < limits.database {
                    prop_assert!(queues.get(&index).is_none_or(Vec::is_empty), "{} waits for nothing", index);
                }
            }
            if held.len() < turns.all() || count(&|other| other == 0) < KEPT {
                prop_assert!(queues.get(&0).is_none_or(Vec::is_empty));
            }
        }
    }
}
