//! What callers notice while somebody else sends what no caller would: calls that are taken back at once, requests and headers
//! that are too large, connections that end or say nothing, downloads that nobody reads. A thousand a second of each, twenty of
//! what is large; and a thousand calls of the usual kind, for comparison.

use std::time::Duration;

use tokio::time::sleep;

use super::{
    Figure, connect,
    flood::{documents, others},
    memory, milliseconds,
};
use crate::{
    Outcome,
    attacker::{Attack, Attacker},
    child::Child,
    cpu::Reading,
    measure::Spread,
    servers::Kind,
    world::World,
};

/// Half of `limits.in_flight_bytes`, which is what one caller may have, and what the process takes besides.
const MEMORY_MIB: f64 = 256.0 + 64.0;
/// What the downloads are of: more than windows hold.
const CONTENT: u64 = 8 << 20;

/// The others' 99th percentile under each, against without, and the service's memory after all of them.
pub(super) async fn attacks(world: &World, quick: bool) -> Outcome<Vec<Figure>> {
    let (rounds, window) = if quick { (1, Duration::from_secs(1)) } else { (5, Duration::from_secs(3)) };
    let child = Child::start(Kind::Ours, world.folder())?;
    let client = connect(&child).await?;
    let ids = documents(&client).await?;
    let (solution, id) = &ids[0];
    memory::upload(&client.solution(solution), id, CONTENT).await?;
    let postmaster = world.postmaster().await?;
    let mut figures = Vec::new();
    for attack in Attack::ALL {
        let mut ratios = Vec::new();
        for _ in 0..rounds {
            let calm = others(&client, &ids, window, "calm").await?;
            let attacker = Attacker::start(attack, child.address(), id)?;
            let (router, postgres) = (Reading::process(child.pid())?, Reading::postgres(postmaster)?);
            let meanwhile = others(&client, &ids, window, attack.what()).await;
            let percent = |nanoseconds: u64| nanoseconds as f64 / window.as_nanos() as f64 * 100.0;
            let router = percent(Reading::process(child.pid())?.since(&router));
            let postgres = percent(Reading::postgres(postmaster)?.since(&postgres));
            let sent = attacker.end()?;
            eprintln!("{sent} sent; of a processor: router {router:.0} %, Postgres {postgres:.0} %");
            if sent == 0 {
                return Err(format!("{}: nothing was sent", attack.what()).into());
            }
            ratios.push(milliseconds(meanwhile?) / milliseconds(calm));
            // What was sent last is done with.
            sleep(window / 3).await;
        }
        figures.push(Figure { what: attack.what(), stated: 2.0, measured: Spread::of(ratios).median, unit: "×" });
    }
    let peak = child.memory("VmHWM:")? as f64 / f64::from(1 << 20);
    figures.push(Figure { what: "memory at most", stated: MEMORY_MIB, measured: peak, unit: "MiB" });
    Ok(figures)
}
