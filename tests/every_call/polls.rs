//! A caller who leaves at each point at which his call waits.

use std::{
    future::poll_fn,
    pin::pin,
    task::Poll::{Pending, Ready},
};

use fbs_router_sandbox::soon;

use super::{
    requests::{names, prepare},
    scene::{CALLED, Scene},
};
use crate::support::World;

/// More than any call waits.
pub(super) const MOST: usize = 200;

/// Polls a future so often, each time that it is woken, and drops it unless it is done.
pub(super) async fn polled<F: Future>(times: usize, future: F) -> Option<F::Output> {
    let (mut future, mut left) = (pin!(future), times);
    poll_fn(|context| {
        if left == 0 {
            return Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Ready(output) => Ready(Some(output)),
            Pending if left == 0 => Ready(None),
            Pending => Pending,
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_left_at_any_point_leaves_nothing_half_done_and_nothing_behind() {
    let scene = Scene::new(World::new().await, None).await;
    for solution in CALLED {
        for method in names() {
            for times in 0.. {
                assert!(times < MOST, "{method} of {solution} goes on after {times} polls");
                let prepared = prepare(&scene, &method, solution, &format!("{method}-{times}"), true).await;
                let answer = polled(times, scene.call(&prepared)).await;
                let at = format!("{method} of {solution}, left after {times} polls");
                if let Some(write) = &prepared.write {
                    let done = scene.is_done(solution, write).await;
                    match &answer {
                        Some(answer) => assert!(answer.is_ok() && done, "{at}: {answer:?}"),
                        None if times == 0 => assert!(!done, "{at}"),
                        // An upload is many writes, and its bytes come from the caller.
                        None if method == "UploadContent" => {}
                        None => {
                            soon(&format!("what was begun is done: {at}"), async || {
                                if scene.is_done(solution, write).await { Ok(()) } else { Err("not done") }
                            })
                            .await;
                        }
                    }
                }
                scene.is_quiet().await;
                scene.no_bytes_wait(solution).await;
                let again = scene.call(&prepared).await;
                assert!(again.is_ok(), "{at}, and repeated: {again:?}");
                if let Some(write) = &prepared.write {
                    assert!(scene.is_done(solution, write).await, "{at}, and repeated");
                }
                if answer.is_some() {
                    break;
                }
            }
        }
    }
}
