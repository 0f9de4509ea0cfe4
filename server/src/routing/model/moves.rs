//! The move protocol in every interleaving: what always holds, and that mistakes in it are found.

use stateright::{Checker, Expectation, HasDiscoveries, Model, Property};

use super::{
    Scenario, check, found,
    moving::Side,
    recorded_system,
    replica::Replica,
    scenario, taken_over, told,
    world::{Fence, Going, Ledger, Left, Own, Place, Slip, State, World},
};

/// A solution with one acknowledged row in the system database, and an empty database of its own.
fn in_the_system_database(replicas: usize, left: Left) -> World {
    let own = Some(Own { made: 1, listed: true, ready: true, fence: None, rows: 0, torn: false });
    let mut world = World { own, left, acknowledged: 1, writes: 1, ..World::default() };
    world.ledger = Ledger { rows: 1, ..recorded_system() };
    let mut replica = Replica::default();
    replica.read(&Ledger::default(), false);
    replica.read(&world.ledger, false);
    replica.scan(&world);
    world.replicas = vec![replica; replicas];
    world
}

/// To the end: it comes before so many steps.
fn moving(start: World, writes: u8) -> Scenario {
    Scenario { calls: 1, looks: false, ..scenario(start, writes, 60) }
}

const OPERATOR: Left = Left {
    moves: 1,
    backs: 1,
    accepts: 1,
    absences: 1,
    releases: 1,
    creations: 0,
    crashes: 0,
    restores: 0,
    failures: 0,
    purges: 0,
    removals: 0,
};

const MOVED: [&str; 2] = ["a move is finished", "a move is taken back"];

/// Two movers, and whoever takes back; a process with stale tables reads and writes meanwhile.
#[test]
fn a_move_loses_nothing_whoever_stops_and_whoever_goes_on() {
    let left = Left { moves: 2, backs: 1, ..Left::default() };
    check(moving(in_the_system_database(1, left), 1), &MOVED);
    check(moving(taken_over(recorded_system(), 1, left), 1), &MOVED);
    let left = Left { moves: 1, backs: 1, ..Left::default() };
    check(moving(in_the_system_database(2, left), 2), &MOVED);
    check(moving(taken_over(recorded_system(), 2, left), 2), &MOVED);
}

/// As before, and the process dies, its snapshot is all it knows, and answers are lost.
#[test]
fn a_snapshot_of_before_a_move_leads_nowhere_else() {
    let left = Left { moves: 1, backs: 1, crashes: 1, failures: 1, ..Left::default() };
    check(moving(in_the_system_database(1, left), 1), &MOVED);
    check(moving(taken_over(recorded_system(), 1, left), 1), &MOVED);
}

/// The last row is removed while a move that was taken back goes on: the database is taken over, but not the copy.
#[test]
fn the_copy_of_a_move_that_was_taken_back_is_never_taken_over() {
    let left = Left { moves: 1, backs: 1, removals: 1, ..Left::default() };
    let scenario = Scenario { looks: true, ..moving(in_the_system_database(1, left), 2) };
    check(scenario, &[MOVED[0], MOVED[1], "a database is taken over"]);
}

/// What a move has left is removed, unless it is the copy of the next one.
#[test]
fn a_purge_removes_nothing_that_is_served_or_will_be() {
    let left = Left { moves: 2, backs: 1, purges: 1, ..Left::default() };
    check(moving(moved_back(0, left), 1), &MOVED);
    check(moving(taken_over(recorded_system(), 0, left), 1), &MOVED);
    let left = Left { moves: 1, purges: 1, ..Left::default() };
    check(moving(moved_back(1, left), 1), &MOVED[..1]);
}

/// Operators give a database up, or say that it is the one, whatever movers do at the time.
#[test]
fn what_operators_decide_lets_no_unfinished_copy_be_served() {
    check(moving(taken_over(recorded_system(), 0, OPERATOR), 1), &MOVED);
    check(moving(moved_back(0, OPERATOR), 1), &MOVED);
}

/// A backup that was made while a move went on, restored after its end: whoever has just started takes the move back, to
/// the very epoch at which it had ended. Operators are told to look for moves in a restored ledger before routers start.
#[test]
fn a_restore_needs_a_backup_in_which_nothing_moves() {
    let mut backup =
        Ledger { fence: Some(Fence { state: State::Frozen, holder: 1, ..Fence::active(0) }), ..recorded_system() };
    backup.write(Place::System, 0, 0);
    backup.record.iter_mut().for_each(|record| record.moving = true);
    backup.going = Some(Going { id: 1, to: Side::Own });
    let left = Left { restores: 1, backs: 1, ..Left::default() };
    let start = World { backup: Some(backup), ids: 1, ..taken_over(backup, 1, left) };
    let start = World { replicas: vec![Replica::default()], ..start };
    found(moving(start, 2), "no answer lacks an acknowledged write");
}

/// Every mistake is found: as long as it is, so are others.
#[test]
fn mistakes_in_the_move_protocol_are_found() {
    let mut unfound = Vec::new();
    for (slip, start, writes) in mistakes() {
        let side = start.place();
        let start = World { slip: Some(slip), ..start };
        let looks = matches!(slip, Slip::CopyIgnored | Slip::ClosedUnderWriters | Slip::NotSealed);
        let scenario = Scenario { looks, ..moving(start, writes) };
        let checker = scenario.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
        println!("{slip:?} at {side:?}: {} unique states", checker.unique_state_count());
        let always = |property: &&Property<Scenario>| matches!(property.expectation, Expectation::Always);
        let properties = checker.model().properties();
        let mut broken = properties.iter().filter(always);
        match broken.find_map(|property| Some((property.name, checker.discovery(property.name)?))) {
            Some((property, path)) => println!("broken: {property}\n{}\n", told(&path)),
            None => unfound.push((slip, side)),
        }
    }
    assert!(unfound.is_empty(), "{unfound:?}");
}

/// Each with a world where it does harm, and how many writes there are.
fn mistakes() -> Vec<(Slip, World, u8)> {
    let two = Left { moves: 2, backs: 1, ..Left::default() };
    let one = Left { moves: 1, ..Left::default() };
    let purge = Left { purges: 1, ..one };
    let removal = Left { backs: 1, removals: 1, ..one };
    let system = |replicas, left| in_the_system_database(replicas, left);
    let own = |replicas, left| taken_over(recorded_system(), replicas, left);
    vec![
        (Slip::ReplacedInPlace, system(0, two), 1),
        (Slip::BackAtTheSameEpoch, system(0, two), 1),
        (Slip::BackAtTheSameEpoch, own(0, two), 1),
        (Slip::CopyIgnored, system(1, removal), 1),
        (Slip::AnyMoveSwitches, system(0, two), 1),
        (Slip::AnyMoveSwitches, own(0, two), 1),
        (Slip::SwitchWithoutFence, system(0, two), 1),
        (Slip::FreezesAnyEpoch, system(0, two), 1),
        (Slip::FreezesAnyEpoch, own(0, two), 1),
        (Slip::FreezesUnderWriters, system(1, one), 2),
        (Slip::FreezesUnderWriters, own(1, one), 2),
        (Slip::FinishedFirst, system(0, one), 1),
        (Slip::FinishedFirst, own(0, one), 1),
        (Slip::OpensAnything, system(0, two), 1),
        (Slip::OpensAnything, own(0, two), 1),
        (Slip::EmptiedAtTheNextEpoch, system(0, two), 1),
        (Slip::ClosedUnderWriters, system(1, removal), 2),
        (Slip::NotSealed, system(1, removal), 2),
        (Slip::PurgesAnything, moved_back(0, purge), 1),
        (Slip::LeftoverForgotten, own(0, OPERATOR), 1),
        (Slip::ConflictFromMemory, own(1, two), 1),
        (Slip::SettledWhateverHappened, own(0, Left { accepts: 1, ..two }), 1),
    ]
}

/// A solution that was moved out of its own database, where its rows still lie.
fn moved_back(replicas: usize, left: Left) -> World {
    let mut world = taken_over(recorded_system(), replicas, left);
    world.ledger.write(Place::System, 2, 1);
    world.ledger.fence = Some(Fence::active(2));
    world.ledger.rows = 1;
    world.own.iter_mut().for_each(|own| own.fence = Some(Fence::moved(2)));
    world
}
