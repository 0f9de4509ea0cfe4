//! A connection to Postgres that is cut at each place of what is asked and of what is answered: before, in and after
//! each message ([`Mode::CutAt`]).

use fbs_router_sandbox::{Mode, Way, soon};
use tonic::Code;

use super::{
    is_complete,
    lanes::{Lane, in_lanes, sum},
    requests::{Prepared, names, prepare},
    scene::{CALLED, Scene},
};
use crate::support::{World, failure, reason};

/// From one cut to the next, where not all are made: a prime, so that the places differ from message to message.
const STRIDE: u64 = 41;
/// Worlds side by side, where all are made.
const LANES: u64 = 6;
/// More than any call comes by.
const MOST: u64 = 10_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_call_cut_anywhere_is_told_truly_and_leaves_nothing_behind() {
    let [done, not_done, not_known] = cut_everywhere(CALLED[1], false, Way::ToServer).await;
    assert!(done > 0 && not_done > 0, "the cuts missed the calls: {done} done, {not_done} not");
    assert!(not_known > 0 || !is_complete(), "no COMMIT was cut right behind it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_cut_anywhere_and_repeated_with_its_request_id_is_done_once() {
    let [done, not_done, unknown] = cut_everywhere(CALLED[0], true, Way::ToServer).await;
    assert!(done > 0 && not_done > 0, "the cuts missed the calls: {done} done, {not_done} not");
    assert_eq!(unknown, 0, "whoever may repeat is not told to find out himself");
}

/// What Postgres has done is done, whether or not anybody hears of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_cut_anywhere_in_an_answer_is_told_truly_and_repeated_it_is_done_once() {
    let [done, _, not_known] = cut_everywhere(CALLED[1], false, Way::ToClient).await;
    let [safe, _, unknown] = cut_everywhere(CALLED[0], true, Way::ToClient).await;
    assert!(done > 0 && safe > 0, "the cuts missed the calls: {done} and {safe} done");
    assert!(not_known > 0 || !is_complete(), "no COMMIT lost its answer");
    assert_eq!(unknown, 0, "whoever may repeat is not told to find out himself");
}

/// Cuts each call's connection. What it sends there is short where the repeat before it has prepared its statements, and
/// long with their text where nobody has.
///
/// How many calls said that they were done, not done, and not known.
async fn cut_everywhere(solution: &str, safe: bool, way: Way) -> [u32; 3] {
    let answers = sum(in_lanes(LANES, async |lane| cut_in(lane, solution, safe, way).await).await);
    println!("{solution} {way:?}: done, not done, not known: {answers:?}");
    answers
}

async fn cut_in(lane: Lane, solution: &str, safe: bool, way: Way) -> [u32; 3] {
    let world = World::new().await;
    let proxy = world.proxy().await;
    let scene = Scene::new(world, Some(format!("postgres://fbs_router@127.0.0.1:{}", proxy.port()))).await;
    let stride = if is_complete() { 1 } else { STRIDE };
    let mut answers = [0; 3];
    for (number, method) in names().into_iter().enumerate() {
        for cut in 0.. {
            let place = number as u64 * 7 % stride + lane.point(cut, stride);
            assert!(place < MOST, "{method} of {solution} is not whole {way:?}, cut at {place}");
            let prepared = prepare(&scene, &method, solution, &format!("{method}-{place}"), safe).await;
            let accepted = proxy.accepted();
            // A new connection whose answers are cut would be cut in its greeting, again and again.
            proxy.set(Mode::CutAt { way, place, new: way == Way::ToServer });
            let answer = scene.call(&prepared).await.map_err(|status| reason(&status));
            let whole = proxy.accepted() == accepted && answer.is_ok();
            proxy.set(Mode::Forward);
            let at = format!("{method} of {solution}, cut {way:?} at {place}");
            scene.is_quiet().await;
            let kind = told_truly(&scene, solution, &prepared, &answer, &at).await;
            answers[kind] += 1;
            if safe {
                soon(&format!("the repeat is answered: {at}"), async || {
                    scene.call(&prepared).await.map_err(|status| format!("{status:?}"))
                })
                .await;
                if let Some(write) = &prepared.write {
                    assert!(scene.is_done(solution, write).await, "{at}, and repeated");
                }
            }
            if whole {
                println!("{at}: whole");
                break;
            }
        }
    }
    answers
}

/// What the answer says is so. Which of the three it says.
async fn told_truly<T: std::fmt::Debug>(
    scene: &Scene,
    solution: &str,
    prepared: &Prepared,
    answer: &Result<T, (Code, String)>,
    at: &str,
) -> usize {
    let down = failure(Code::Unavailable, "DATABASE_UNAVAILABLE");
    let Some(write) = &prepared.write else {
        assert!(answer.as_ref().err().is_none_or(|error| *error == down), "{at}: {answer:?}");
        return usize::from(answer.is_err());
    };
    let done = scene.is_done(solution, write).await;
    match answer {
        Ok(_) => assert!(done, "{at}: answered, and not done"),
        // Safe to repeat: that is how its caller finds out.
        Err(error) if *error == down => {
            assert!(!done || !write.request_id.is_empty(), "{at}: done, and told otherwise")
        }
        Err(error) => {
            assert_eq!(*error, failure(Code::Unknown, "OUTCOME_UNKNOWN"), "{at}");
            return 2;
        }
    }
    usize::from(answer.is_err())
}
