//! A write that is refused in the middle of its transaction, by callers who leave and by one who stays.

use prost::{Message, bytes::Bytes};
use prost_reflect::{DynamicMessage, Value};

use super::{
    polls::{MOST, polled},
    requests::prepare,
    scene::{CALLED, Scene},
};
use crate::support::{World, asking::request_id, methods::methods};

/// Steps that cannot be made twice: the second time the request is recorded, and then the document's state is against it.
const ONCE: [&str; 4] = ["SubmitDocument", "ApproveDocument", "RejectDocument", "ArchiveDocument"];

/// The same request under another id: nobody's repeat.
fn anew(method: &str, request: &Bytes, request_id: &str) -> Bytes {
    let method = methods().into_iter().find(|known| known.name() == method).unwrap();
    let mut request = DynamicMessage::decode(method.input(), request.clone()).unwrap();
    request.set_field_by_name("request_id", Value::String(request_id.to_owned()));
    request.encode_to_vec().into()
}

/// The next one on the connection ends its own transaction with a COMMIT: an open one before it would be committed.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_write_leaves_no_transaction_to_the_next_one_on_its_connection() {
    let scene = Scene::new(World::new().await, None).await;
    for solution in CALLED {
        for method in ONCE {
            let mut prepared = prepare(&scene, method, solution, &format!("{method}-once"), true).await;
            scene.call(&prepared).await.unwrap();
            let done = prepared.write.take().unwrap();
            let first = prepared.frames[0].clone();
            for times in 0..MOST {
                let at = format!("{method} of {solution}, refused, left after {times} polls");
                let refused = request_id();
                prepared.frames = vec![anew(method, &first, &refused)];
                let left = polled(times, scene.call(&prepared)).await;
                // Whoever stays comes after the one who left: there is one connection.
                let answer = scene.call(&prepared).await;
                assert!(answer.is_err(), "{at}: {answer:?}");
                scene.is_served().await;
                assert_eq!(scene.records(solution, &refused).await, 0, "{at}: its record was committed");
                scene.is_quiet().await;
                assert!(scene.is_done(solution, &done).await, "{at}");
                if left.is_some() {
                    break;
                }
            }
        }
    }
}
