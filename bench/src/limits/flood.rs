//! What the others notice while one solution sends many times its share.
//!
//! Twenty solutions read as often as each other; in every other window one of them sends twenty times as much, and
//! writes, which costs several times a read. What counts is the ratio of the others' 99th percentiles in neighbouring
//! windows.

use std::time::{Duration, Instant};

use fbs_router_client::{Client, Documents, v1::Document};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval_at},
};

use super::{Figure, at, connect, milliseconds};
use crate::{
    Outcome,
    child::Child,
    measure::Spread,
    servers::Kind,
    world::{World, town},
};

/// Solutions, the flooding one included.
const SOLUTIONS: u64 = 20;
/// Its share, times this.
const TIMES: usize = 20;
/// Between two calls of a solution.
const PAUSE: Duration = Duration::from_millis(50);

/// The others' 99th percentile under a flood, against without.
pub(super) async fn flood(world: &World, quick: bool) -> Outcome<Vec<Figure>> {
    let (rounds, window) = if quick { (2, Duration::from_secs(1)) } else { (10, Duration::from_secs(4)) };
    let child = Child::start(Kind::Ours, world.folder())?;
    let client = connect(&child).await?;
    let ids = documents(&client).await?;
    let mut ratios = Vec::new();
    for _ in 0..rounds {
        let calm = others(&client, &ids, window, "calm").await?;
        let mut flooding = JoinSet::new();
        for place in 0..TIMES {
            let documents = client.solution(town(SOLUTIONS));
            flooding.spawn(async move { write(&documents, place, window).await });
        }
        let flooded = others(&client, &ids, window, "flooded").await?;
        let mut writes = Vec::new();
        while let Some(times) = flooding.join_next().await {
            writes.extend(times??);
        }
        let (p50, p99) = (milliseconds(at(writes.clone(), 0.5)), milliseconds(at(writes.clone(), 0.99)));
        eprintln!("flood: {} writes p50 {p50:.1} ms, p99 {p99:.1} ms", writes.len());
        ratios.push(milliseconds(flooded) / milliseconds(calm));
    }
    let measured = Spread::of(ratios).median;
    Ok(vec![Figure { what: "their p99, against without", stated: 2.0, measured, unit: "×" }])
}

/// A document of each solution.
pub(super) async fn documents(client: &Client) -> Outcome<Vec<(String, String)>> {
    let mut ids = Vec::new();
    for number in 1..=SOLUTIONS {
        let answer = client.solution(town(number)).create(draft()).await?;
        ids.push((town(number), answer.into_message().document_id));
    }
    Ok(ids)
}

/// The 99th percentile of those who only read: all but the last.
pub(super) async fn others(
    client: &Client,
    ids: &[(String, String)],
    window: Duration,
    when: &str,
) -> Outcome<Duration> {
    let mut readers = JoinSet::new();
    for (place, (solution, id)) in ids.iter().take(ids.len() - 1).enumerate() {
        let (documents, id) = (client.solution(solution), id.clone());
        let first = PAUSE.mul_f64(place as f64 / ids.len() as f64);
        readers.spawn(async move {
            let mut times = Vec::new();
            let begin = Instant::now();
            let mut ticks = interval_at((begin + first).into(), PAUSE);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while begin.elapsed() < window {
                ticks.tick().await;
                let call = Instant::now();
                documents.get(id.as_str()).await?;
                times.push(call.elapsed());
            }
            Outcome::Ok(times)
        });
    }
    let mut all = Vec::new();
    while let Some(times) = readers.join_next().await {
        all.extend(times??);
    }
    let [p50, p90, p99] = [0.5, 0.9, 0.99].map(|quantile| milliseconds(at(all.clone(), quantile)));
    eprintln!("{when}: p50 {p50:.1} ms, p90 {p90:.1} ms, p99 {p99:.1} ms of {} calls", all.len());
    Ok(at(all, 0.99))
}

/// One of those who write.
async fn write(documents: &Documents, place: usize, window: Duration) -> Outcome<Vec<Duration>> {
    let (mut times, begin) = (Vec::new(), Instant::now());
    let mut ticks = interval_at((begin + PAUSE.mul_f64(place as f64 / TIMES as f64)).into(), PAUSE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while begin.elapsed() < window {
        ticks.tick().await;
        let call = Instant::now();
        documents.create(draft()).await?;
        times.push(call.elapsed());
    }
    Ok(times)
}

fn draft() -> Document {
    Document { name: "INV-1".into(), title: "Invoice".into(), ..Document::default() }
}
