//! A connection to Postgres that is cut after each byte, of what is asked and of what is answered.

use fbs_router_sandbox::{Mode, Way, soon};
use tonic::Code;

use super::{
    is_complete,
    requests::{Prepared, names, prepare},
    scene::{CALLED, Scene},
};
use crate::support::{World, failure, reason};

/// Bytes between two cuts, where not all are made: primes, so that the places differ from call to call.
const STRIDE: u64 = 499;
const STRIDE_OF_ANSWERS: u64 = 197;
/// More than any call sends.
const MOST: u64 = 100_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_call_cut_at_any_byte_is_told_truly_and_leaves_nothing_behind() {
    let [done, not_done, _] = cut_everywhere(CALLED[1], false, Way::ToServer).await;
    assert!(done > 0 && not_done > 0, "the cuts missed the calls: {done} done, {not_done} not");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_cut_at_any_byte_and_repeated_with_its_request_id_is_done_once() {
    let [done, not_done, unknown] = cut_everywhere(CALLED[0], true, Way::ToServer).await;
    assert!(done > 0 && not_done > 0, "the cuts missed the calls: {done} done, {not_done} not");
    assert_eq!(unknown, 0, "whoever may repeat is not told to find out himself");
}

/// What Postgres has done is done, whether or not anybody hears of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_cut_at_any_byte_of_an_answer_is_told_truly_and_repeated_it_is_done_once() {
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
    let world = World::new().await;
    let proxy = world.proxy().await;
    let scene = Scene::new(world, Some(format!("postgres://fbs_router@127.0.0.1:{}", proxy.port()))).await;
    let stride = match way {
        _ if is_complete() => 1,
        Way::ToServer => STRIDE,
        Way::ToClient => STRIDE_OF_ANSWERS,
    };
    let mut answers = [0; 3];
    for (number, method) in names().into_iter().enumerate() {
        let mut bytes = number as u64 * 37 % stride;
        loop {
            let prepared = prepare(&scene, &method, solution, &format!("{method}-{bytes}"), safe).await;
            let accepted = proxy.accepted();
            proxy.set(match way {
                Way::ToServer => Mode::CutAfter { to_server: bytes },
                // A new connection would be cut in its greeting, again and again.
                Way::ToClient => Mode::CutOpenAfter { way, bytes },
            });
            let answer = scene.call(&prepared).await.map_err(|status| reason(&status));
            let whole = proxy.accepted() == accepted && answer.is_ok();
            proxy.set(Mode::Forward);
            let at = format!("{method} of {solution}, cut after {bytes} bytes {way:?}");
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
                break;
            }
            bytes += stride;
            assert!(bytes < MOST, "{at}");
        }
    }
    println!("{solution} {way:?}: done, not done, not known: {answers:?}");
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
