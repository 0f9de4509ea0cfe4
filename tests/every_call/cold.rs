//! A first write that is left while its route is looked for, recorded, or taken over.

use fbs_router_proto::document::v1::CreateDocumentRequest;
use fbs_router_sandbox::platform::SYSTEM_DATABASE;
use prost::Message;

use super::{
    is_complete,
    polls::{MOST, polled},
    requests::Prepared,
    scene::Scene,
};
use crate::support::{
    World,
    asking::{creation, request_id},
    draft,
    methods::{method_of, path},
};

/// Between two points that are tried, of the many at which a takeover waits.
const STRIDE: usize = 7;

#[tokio::test(flavor = "multi_thread")]
async fn a_first_write_that_is_left_at_any_point_is_found_once_in_the_right_database() {
    let scene = Scene::new(World::new().await, None).await;
    for (kind, has_own) in [("shared", false), ("own", true)] {
        let stride = if has_own && !is_complete() { STRIDE } else { 1 };
        for times in (0..MOST).step_by(stride) {
            let solution = format!("{kind}{times}");
            if has_own {
                scene.world.create_own_database(&solution).await;
            }
            let request = CreateDocumentRequest { request_id: request_id(), ..creation(&solution, draft("first")) };
            let path = path(&method_of::<CreateDocumentRequest>());
            let prepared = Prepared { path, frames: vec![request.encode_to_vec().into()], write: None };
            let left = polled(times, scene.call(&prepared)).await;
            let at = format!("{solution}, left after {times} polls");
            scene.is_quiet().await;
            let again = scene.call(&prepared).await;
            assert!(again.is_ok(), "{at}: {again:?}");
            scene.is_quiet().await;
            let database = if has_own { format!("djo_{solution}_db") } else { SYSTEM_DATABASE.to_owned() };
            // A document and the record of its request.
            assert_eq!(scene.world.rows(&database, &solution).await, 2, "{at}");
            if has_own {
                assert_eq!(scene.world.system_rows(&solution).await, 0, "{at}");
            }
            let records = format!("SELECT count(*) FROM fbs_router.placement WHERE company_id = '{solution}'");
            assert_eq!(scene.world.count(SYSTEM_DATABASE, &records).await, 1, "{at}");
            if left.is_some() {
                break;
            }
        }
    }
}
