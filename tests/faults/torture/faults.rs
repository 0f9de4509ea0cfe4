//! Each fault by its name: done, left so for a while, and healed.

mod places;
mod routers;
mod server;

pub(super) use self::places::walk;
use super::{Torture, nemesis::pause};

pub(super) async fn strike(torture: &Torture, fault: &str, random: &mut fastrand::Rng) {
    match fault {
        "moved" => places::moved(torture, random).await,
        "moved by who is killed" => places::moved_by_who_is_killed(torture, random).await,
        "moved past slow writers" => places::moved_past_slow_writers(torture, random).await,
        "database appeared" => places::appeared(torture, random).await,
        "released" => places::released(torture, random).await,
        router if router.starts_with("router") || router.starts_with("configuration") => {
            routers::strike(torture, router, random).await;
        }
        server => server::strike(torture, server, random).await,
    }
}
