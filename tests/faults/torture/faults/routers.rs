//! One of three routers is killed, silent, or cut off from Postgres, while the others go on.

use std::time::Duration;

use fbs_router_sandbox::Mode;

use super::{Torture, pause};

pub(super) async fn strike(torture: &Torture, fault: &str, random: &mut fastrand::Rng) {
    let router = &torture.routers[random.usize(..torture.routers.len())];
    let mode = match fault {
        "router killed" => return router.kill().await,
        "router stopped" => return router.stop().await,
        "router frozen" => {
            router.signal("STOP").await;
            pause(random).await;
            return router.signal("CONT").await;
        }
        "configuration reloaded" => return router.reload(random.u32(2..12)).await,
        "router cut off" => Mode::Cut,
        "router refused" => Mode::Refuse,
        "router hung up" => Mode::Hang,
        "router slowed" => Mode::Delay(Duration::from_millis(random.u64(20..200))),
        "router cut in a statement" => Mode::CutAfter { to_server: random.u64(..3000) },
        other => panic!("no fault is called {other}"),
    };
    let _ours = router.way.lock().await;
    router.proxy.set(mode);
    pause(random).await;
    router.proxy.set(Mode::Forward);
}
