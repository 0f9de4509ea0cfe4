//! What goes wrong, and when: three lanes at once, one for routers and networks, one for the server and its databases, one for
//! where solutions live. Each deals its faults like cards, in an order that the seed fixes, so that none is left out.

use std::time::{Duration, Instant};

use super::{Torture, faults};

/// At once in one lane: never two.
const ROUTERS: [&str; 9] = [
    "router killed",
    "router stopped",
    "router frozen",
    "configuration reloaded",
    "router cut off",
    "router refused",
    "router hung up",
    "router slowed",
    "router cut in a statement",
];
const SERVER: [&str; 9] = [
    "postgres killed",
    "postgres stopped",
    "postgres frozen",
    "sessions terminated",
    "connections limited",
    "database closed",
    "database renamed",
    "databases swapped",
    "databases swapped at once",
];
const PLACES: [&str; 5] =
    ["moved", "database appeared", "moved by who is killed", "released", "moved past slow writers"];

/// What must have happened in ten minutes.
pub(super) fn all() -> Vec<&'static str> {
    ROUTERS.into_iter().chain(SERVER).chain(PLACES).collect()
}

/// The faults of each lane.
pub(super) fn lanes() -> [(&'static str, &'static [&'static str]); 3] {
    [("of routers and networks", &ROUTERS), ("of the server", &SERVER), ("of places", &PLACES)]
}

/// Lets it all go wrong until it is time, and heals it.
pub(super) async fn go_on(torture: &Torture) {
    tokio::join!(lane(torture, &ROUTERS, 1), lane(torture, &SERVER, 2), lane(torture, &PLACES, 3));
}

async fn lane(torture: &Torture, faults: &[&'static str], number: u64) {
    let mut random = fastrand::Rng::with_seed(torture.seed.wrapping_mul(4) + number);
    loop {
        let mut deck = faults.to_vec();
        random.shuffle(&mut deck);
        for fault in deck {
            quiet(&mut random).await;
            if Instant::now() >= torture.until {
                return;
            }
            faults::strike(torture, fault, &mut random).await;
            torture.fire(fault);
        }
    }
}

/// How long a fault lasts: what goes on meanwhile is the point.
pub(super) async fn pause(random: &mut fastrand::Rng) {
    tokio::time::sleep(Duration::from_millis(random.u64(200..1500))).await;
}

/// How long nothing is done in a lane: something has to be served, too.
async fn quiet(random: &mut fastrand::Rng) {
    tokio::time::sleep(Duration::from_millis(random.u64(200..3000))).await;
}
