//! The protocol between replicas, ledger and databases, checked in every interleaving.
//!
//! Replicas decide with the real `decide` over the real evidence types, and read the ledger with the real
//! `LedgerView::merge`; `world` is what Postgres holds, `replica` what one process remembers, `call` what it does for
//! one caller, `steps` who may do what next. One solution, one database of its own (made again at most once), a
//! handful of writes.
//!
//! Moves are in it: `moving` says who plans what, `mover` what he does, a transaction a step; `moves` checks them.
//!
//! Not modelled: time (a reading call here relies on no absence seen before it, and every mover is late), registrations
//! of another name, apps whose tables are not ours. What operators are asked for is assumed, see [`Scenario::reconnected`] and
//! [`Scenario::caught_up`]; tests show that each assumption is needed.

mod call;
mod mover;
mod moves;
mod moving;
mod replica;
mod steps;
mod world;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use stateright::{Checker, HasDiscoveries, Model, Property};

use self::{
    moving::Next,
    replica::{Replica, Task},
    steps::Step,
    world::{Fence, Ledger, Left, Own, Place, State, World},
};
use super::decide::{Act, Verdict};
use crate::domain::Error;

/// How much may happen: what bounds the states.
#[derive(Debug, Clone)]
struct Scenario {
    /// Where it begins.
    start: World,
    /// At most so many calls are under way.
    calls: usize,
    /// Writes in all.
    writes: u8,
    /// Steps in all.
    depth: usize,
    /// Before a released database comes back, every process has read the ledger or seen it missing, and no snapshot
    /// of before the release is left: "reconnect or stop routers that are cut off from the ledger before a release".
    reconnected: bool,
    /// A backup is restored only when every process and snapshot has seen the last change: the one that has not
    /// cannot know that anything was lost.
    caught_up: bool,
    /// Processes look at databases which they do not use.
    looks: bool,
    /// Worlds from which the solution is served in the end, when everybody has stopped.
    good: Arc<Mutex<HashSet<World>>>,
}

impl Scenario {
    fn ends_well(&self, world: &World) -> bool {
        let abandoned = world.abandoned();
        let is_known = self.good.lock().unwrap().contains(&abandoned);
        is_known || abandoned.clone().ends_served() && self.good.lock().unwrap().insert(abandoned)
    }
}

impl Model for Scenario {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![self.start.clone()]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        self.steps(world, steps);
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        let mut next = world.clone();
        next.take(step);
        // Replicas are alike: which is which tells no states apart.
        next.replicas.sort_unstable();
        next.movers.sort_unstable();
        (next != *world).then_some(next)
    }

    #[expect(clippy::too_many_lines, reason = "one list, a promise an entry")]
    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no answer lacks an acknowledged write", |_, world: &World| {
                !world.broken.answer_lacks_write
            }),
            Property::always("no write is acknowledged where an acknowledged one is not", |_, world: &World| {
                !world.broken.written_elsewhere
            }),
            Property::always("at most one place admits writes", |_, world: &World| {
                let released = world.ledger.record.map_or(0, |record| record.released);
                let own = world.listed().filter(|own| own.made != released);
                let own = own.is_some_and(|own| own.fence.is_some_and(Fence::is_active));
                let system = world.ledger.fence.is_none_or(Fence::is_active);
                // A released database is closed at first sight, and a restored ledger is what it is: nobody may be
                // sent there, see the two before.
                !(own && system) || world.restored
            }),
            Property::always("the two places never both admit writes", |_, world: &World| {
                let own = world.listed().is_some_and(|own| own.fence.is_some_and(Fence::is_active));
                let system = world.ledger.fence.is_none_or(Fence::is_active);
                // Also what a move has left; a database that was given up while it was away is another matter.
                !(own && system) || world.restored || world.given_up
            }),
            Property::always("the recorded place holds every acknowledged write", |_, world: &World| {
                let there = match world.place() {
                    Place::Own(made) => world.own.is_some_and(|own| own.made == made),
                    Place::System => true,
                };
                !there || world.restored || world.acknowledged & !world.rows(world.place()) == 0
            }),
            Property::always("no unfinished copy is served", |_, world: &World| {
                let own = world.own.is_some_and(|own| own.torn && own.fence.is_some_and(Fence::is_active));
                let system = world.ledger.torn && world.ledger.fence.is_none_or(Fence::is_active);
                !own && !system
            }),
            Property::always("what was removed stays so", |_, world: &World| {
                !world.is_served() || world.given_up || world.removed & world.rows(world.place()) == 0
            }),
            Property::always(
                "the solution is served in the end, and can be moved",
                |scenario: &Self, world: &World| {
                    let is_moved = world.ids > 0 && !world.restored;
                    !is_moved || world.listed().is_none_or(|own| !own.ready) || scenario.ends_well(world)
                },
            ),
            Property::always("no acknowledged write lies behind a closed fence", |_, world: &World| {
                let elsewhere = world.own.as_ref().map_or(0, |own| own.rows);
                // A source is closed while it is copied.
                let closed = world.ledger.fence.is_some_and(|fence| fence.state == State::Moved);
                !(closed && world.acknowledged & world.ledger.rows & !elsewhere != 0)
            }),
            Property::always("DEDICATED never turns into SYSTEM without a release", |_, world: &World| {
                !world.broken.went_back
            }),
            Property::always("the epoch that a replica acts on never goes down", |_, world: &World| {
                !world.broken.epoch_fell
            }),
            Property::always("a first write goes to the database that was ready before", |_, world: &World| {
                !world.broken.ready_database_missed
            }),
            Property::always(
                "a conflict is told only where ledger and fence contradict each other",
                |_, world: &World| !world.broken.conflict_without_cause,
            ),
            Property::always("nothing is done in vain", |_, world: &World| !world.broken.in_vain),
            Property::sometimes("a database is taken over", |_, world: &World| {
                world.ledger.record.is_some_and(|record| record.place != Place::System)
            }),
            Property::sometimes(
                "a write waits for the end of a taking over, or the other way round",
                |_, world: &World| {
                    let writes = world.tasks(|task| matches!(task, Task::Writing { place: Place::System, .. }));
                    writes > 0 && world.tasks(|task| matches!(task, Task::TakeOver { .. })) > 0
                },
            ),
            Property::sometimes("a write is acknowledged in the own database", |_, world: &World| {
                world.own.is_some_and(|own| own.rows & world.acknowledged != 0)
            }),
            Property::sometimes("a first write records SYSTEM", |_, world: &World| {
                world.ledger.record.is_some_and(|record| record.place == Place::System && record.released == 0)
                    && world.ledger.rows != 0
            }),
            Property::sometimes("a detached database is refused", |_, world: &World| {
                refused(world, |error| matches!(error, Error::DatabaseDetached))
            }),
            Property::sometimes("a conflict is refused", |_, world: &World| {
                refused(world, |error| matches!(error, Error::PlacementConflict(_)))
            }),
            Property::sometimes("another database under the recorded name is refused", |_, world: &World| {
                refused(world, |error| matches!(error, Error::DatabaseIdentityMismatch { .. }))
            }),
            Property::sometimes("a released database is closed", |_, world: &World| {
                verdict(world, |verdict| matches!(verdict, Verdict::Act(Act::Retire { .. })))
            }),
            Property::sometimes("a move is finished", |_, world: &World| {
                world.ids > 0 && world.movers.iter().any(|mover| mover.next == Next::Finish)
            }),
            Property::sometimes("a move is taken back", |_, world: &World| {
                world.movers.iter().any(|mover| matches!(mover.next, Next::Tidy { .. }))
            }),
            Property::sometimes("a snapshot carries a dedicated solution", |_, world: &World| {
                world.tasks(|task| matches!(task, Task::Routed { by_snapshot: true, .. })) > 0
            }),
        ]
    }

    fn within_boundary(&self, world: &World) -> bool {
        world.ledger.change <= if world.ids > 0 { 12 } else { 6 }
    }
}

fn verdict(world: &World, wanted: impl Fn(&Verdict) -> bool) -> bool {
    world.replicas.iter().any(|replica| replica.verdict().is_some_and(|verdict| wanted(&verdict)))
}

fn refused(world: &World, wanted: impl Fn(&Error) -> bool) -> bool {
    verdict(world, |verdict| matches!(verdict, Verdict::Refused(error) if wanted(error)))
}

/// Checks everything, breadth first and so with the shortest way to a fault, except that only the `expected` sometimes-properties have to come up in it.
fn check(scenario: Scenario, expected: &[&'static str]) {
    let began = tokio::time::Instant::now();
    let depth = scenario.depth;
    let checker = scenario.checker().target_max_depth(depth).spawn_bfs().join();
    println!(
        "{} unique states, {} in all, depth {} of {depth}, {:?}",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        began.elapsed()
    );
    for property in checker.model().properties() {
        match property.expectation {
            stateright::Expectation::Always => {
                if let Some(path) = checker.discovery(property.name) {
                    panic!("broken: {}\n{}", property.name, told(&path));
                }
            }
            _ if expected.contains(&property.name) => {
                assert!(checker.discovery(property.name).is_some(), "never: {}", property.name);
            }
            _ => {}
        }
    }
}

/// Looks for a way to break `property`: what is assumed otherwise is needed.
fn found(scenario: Scenario, property: &'static str) {
    let depth = scenario.depth;
    let checker = scenario
        .checker()
        .target_max_depth(depth)
        .finish_when(HasDiscoveries::AnyOf([property].into()))
        .spawn_bfs()
        .join();
    println!("{} unique states", checker.unique_state_count());
    println!("{}", told(&checker.assert_any_discovery(property)));
}

/// The way there. Replicas are numbered anew in every state.
fn told(path: &stateright::Path<World, Step>) -> String {
    let last = format!("{:?}", path.last_state());
    let steps = path.clone().into_vec();
    let name = |task: &Task| format!("{task:?}").split([' ', '(']).next().unwrap_or_default().to_owned();
    let tasks = |world: &World| world.replicas.iter().map(|replica| name(&replica.task)).collect::<Vec<_>>().join(", ");
    steps.iter().filter_map(|(world, step)| Some(format!("{:40} {:?}\n", tasks(world), (*step)?))).collect::<String>()
        + &last
}

/// A solution that was taken over when the ledger was like that: every process knows, and one write is acknowledged.
fn taken_over(before: Ledger, replicas: usize, left: Left) -> World {
    let mut world = World { ledger: before, left, acknowledged: 1, writes: 1, ..World::default() };
    world.own = Some(Own { made: 1, listed: true, ready: true, fence: Some(Fence::active(1)), rows: 1, torn: false });
    world.ledger.write(Place::Own(1), 1, 0);
    world.ledger.fence = Some(Fence::moved(1));
    let mut replica = Replica::default();
    replica.read(&world.ledger, left.crashes > 0);
    replica.scan(&world);
    world.replicas = vec![replica; replicas];
    world
}

fn scenario(start: World, writes: u8, depth: usize) -> Scenario {
    Scenario { start, calls: 2, writes, depth, reconnected: true, caught_up: true, looks: true, good: Arc::default() }
}

/// Three replicas, nothing fails but what they do to each other: first writes, taking over, slow writes.
#[test]
fn replicas_agree_where_a_new_solution_lives() {
    let left = Left { creations: 1, ..Left::default() };
    let start = World { replicas: vec![Replica::default(); 3], left, ..World::default() };
    let expected = [
        "a database is taken over",
        "a write waits for the end of a taking over, or the other way round",
        "a write is acknowledged in the own database",
        "a first write records SYSTEM",
    ];
    check(scenario(start, 2, 15), &expected);
}

/// As before, where processes die, answers are lost, and the database goes and comes.
#[test]
fn failures_never_lead_elsewhere() {
    let left = Left { creations: 1, crashes: 1, failures: 1, absences: 1, ..Left::default() };
    let start = World { replicas: vec![Replica::default(); 3], left, ..World::default() };
    let expected = ["a database is taken over", "a first write records SYSTEM"];
    check(scenario(start, 2, 10), &expected);
}

/// A solution recorded as SYSTEM, without rows any more, gets a database: writes against taking over.
#[test]
fn an_empty_recorded_solution_is_taken_over_or_written_to_but_not_both() {
    let left = Left { failures: 1, ..Left::default() };
    let own = Some(Own { made: 1, listed: true, ready: true, fence: None, rows: 0, torn: false });
    let mut start = World { ledger: recorded_system(), own, left, ..World::default() };
    let mut replica = Replica::default();
    replica.read(&Ledger::default(), false);
    replica.read(&start.ledger, false);
    replica.scan(&start);
    start.replicas = vec![replica; 2];
    let expected = [
        "a database is taken over",
        "a write waits for the end of a taking over, or the other way round",
        "a write is acknowledged in the own database",
    ];
    check(scenario(start, 2, 40), &expected);
}

/// The database of a solution goes, is given up, comes back, or is made again.
#[test]
fn a_database_that_went_is_served_again_only_if_nobody_gave_it_up() {
    let left = Left { creations: 1, crashes: 1, absences: 1, releases: 1, ..Left::default() };
    let expected = [
        "a detached database is refused",
        "another database under the recorded name is refused",
        "a snapshot carries a dedicated solution",
    ];
    check(scenario(taken_over(Ledger::default(), 3, left), 3, 10), &expected);
    let left = Left { absences: 1, releases: 1, ..Left::default() };
    let expected = ["a detached database is refused", "a released database is closed"];
    check(scenario(taken_over(Ledger::default(), 2, left), 3, 30), &expected);
}

/// The system database is restored from before the taking over.
#[test]
fn a_restored_ledger_never_routes_by_itself() {
    let left = Left { crashes: 2, releases: 1, restores: 1, failures: 1, ..Left::default() };
    for (backup, depth) in [(Ledger::default(), 8), (recorded_system(), 9)] {
        let mut start = World { backup: Some(backup), ..taken_over(backup, 3, left) };
        // One process has yet to read anything.
        start.replicas[0] = Replica::default();
        let expected = ["a conflict is refused", "a snapshot carries a dedicated solution"];
        check(scenario(start, 3, depth), &expected);
    }
}

/// As before, and the own database goes and comes: whoever remembers the taking over refuses all the same.
#[test]
fn whoever_remembers_a_later_epoch_refuses_an_earlier_one() {
    let left = Left { absences: 1, releases: 1, restores: 1, failures: 1, ..Left::default() };
    for backup in [Ledger::default(), recorded_system()] {
        let start = World { backup: Some(backup), ..taken_over(backup, 2, left) };
        check(scenario(start, 3, 14), &["a conflict is refused", "a detached database is refused"]);
    }
}

/// A process that was cut off when its solution was released serves the old database when it comes back: operators
/// are told to reconnect or stop such processes first.
#[test]
fn a_release_needs_routers_that_are_not_cut_off() {
    let left = Left { absences: 1, releases: 1, ..Left::default() };
    let scenario = Scenario { reconnected: false, ..scenario(taken_over(Ledger::default(), 2, left), 3, 11) };
    found(scenario, "no write is acknowledged where an acknowledged one is not");
}

/// A process that had not read the last changes cannot know that a restored ledger lacks them, and vouches for it.
#[test]
fn a_restore_needs_routers_that_had_read_the_ledger() {
    let left = Left { restores: 1, ..Left::default() };
    let mut behind = Replica::default();
    behind.read(&Ledger::default(), false);
    behind.read(&recorded_system(), false);
    let mut start = World { backup: Some(recorded_system()), ..taken_over(recorded_system(), 2, left) };
    start.replicas[0] = behind;
    let scenario = Scenario { caught_up: false, ..scenario(start, 3, 9) };
    found(scenario, "no answer lacks an acknowledged write");
}

/// The ledger of a solution that was recorded as SYSTEM, and has no rows any more.
fn recorded_system() -> Ledger {
    let mut ledger = Ledger { fence: Some(Fence::active(0)), ..Ledger::default() };
    ledger.write(Place::System, 0, 0);
    ledger
}
