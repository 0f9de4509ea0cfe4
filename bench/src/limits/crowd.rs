//! A thousand databases, three replicas, and a role that may have forty connections: far fewer than the replicas would
//! open if they could. Whoever is told that no connection is free asks again, until he has no time left.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use fbs_router_client::{
    Client,
    v1::{Document, ListDocumentsRequest},
};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{CROWD, Figure, at, connect, milliseconds};
use crate::{
    Outcome,
    child::Child,
    measure::Spread,
    servers::Kind,
    world::{World, town, town_database},
};

/// As the role is limited.
const ROLE: i64 = 40;
const REPLICAS: usize = 3;
/// Callers at once.
const CALLERS: usize = 48;
/// Those who make all databases known before that.
const CLAIMANTS: u64 = 8;
/// How long a caller asks again.
const PATIENCE: Duration = Duration::from_secs(20);
/// Callers of one solution, who come on top of that in every other window.
const FLOOD: usize = 20;
/// Windows without and with it.
const PAIRS: usize = 2;

/// What one caller saw.
#[derive(Default)]
struct Seen {
    served: HashSet<String>,
    times: Vec<Duration>,
    /// By reason.
    lost: BTreeMap<String, u64>,
}

/// Calls every solution once in some order, then any; in every other window one solution is flooded besides.
pub(super) async fn crowd(world: &World, quick: bool) -> Outcome<Vec<Figure>> {
    let (databases, length) = if quick { (100, Duration::from_secs(4)) } else { (CROWD, Duration::from_secs(30)) };
    claim(world, databases).await?;
    world.run("postgres", &format!("ALTER ROLE fbs_router CONNECTION LIMIT {ROLE}")).await?;
    let outcome = run(world, databases, length).await;
    world.run("postgres", "ALTER ROLE fbs_router CONNECTION LIMIT -1").await?;
    let (windows, most) = outcome?;
    let all = windows.iter().flatten();
    let lost: u64 = all.clone().flat_map(|seen| seen.lost.values()).sum();
    let served: HashSet<_> = all.flat_map(|seen| &seen.served).collect();
    let ninety_ninth = |seen: &Seen| milliseconds(at(seen.times.clone(), 0.99));
    let ratios: Vec<_> = windows.iter().map(|[calm, flooded]| ninety_ninth(flooded) / ninety_ninth(calm)).collect();
    let figure = |what, stated, measured, unit| Figure { what, stated, measured, unit };
    Ok(vec![
        figure("connections at most", ROLE as f64, most as f64, ""),
        figure("calls lost", 0.0, lost as f64, ""),
        figure("solutions that were not served", 0.0, (databases - 1 - u64::try_from(served.len())?) as f64, ""),
        figure("others' p99 while one is flooded, against without", 2.0, Spread::of(ratios).median, "×"),
    ])
}

/// The first call to each: they have been in use for long.
async fn claim(world: &World, databases: u64) -> Outcome<()> {
    let child = Child::start(Kind::Ours, world.folder())?;
    let client = connect(&child).await?;
    let mut claimants = JoinSet::new();
    for first in 1..=CLAIMANTS {
        let client = client.clone();
        claimants.spawn(async move {
            let own = (first..=databases).step_by(usize::try_from(CLAIMANTS)?);
            for number in own {
                client.solution(town(number)).list(ListDocumentsRequest::default()).await?;
            }
            Outcome::Ok(())
        });
    }
    while let Some(done) = claimants.join_next().await {
        done??;
    }
    Ok(())
}

/// Pairs of windows, without and with a flood, and the most connections.
async fn run(world: &World, databases: u64, length: Duration) -> Outcome<(Vec<[Seen; 2]>, i64)> {
    let replicas: Vec<Child> =
        (0..REPLICAS).map(|_| Child::start(Kind::Ours, world.folder())).collect::<Result<_, _>>()?;
    let mut clients = Vec::new();
    for replica in &replicas {
        clients.push(connect(replica).await?);
    }
    let superuser = world.superuser().await?;
    let over = Arc::new(AtomicBool::new(false));
    let watching = tokio::spawn({
        let over = Arc::clone(&over);
        async move {
            let mut most = 0;
            while !over.load(Ordering::Relaxed) {
                let count = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'fbs_router'";
                most = superuser.query_one(count, &[]).await?.get::<_, i64>(0).max(most);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Outcome::Ok(most)
        }
    });
    let town = Town { clients, next: Arc::default(), others: databases - 1, length };
    let mut windows = Vec::new();
    for _ in 0..PAIRS {
        let calm = town.window(0).await?;
        windows.push([calm, town.window(FLOOD).await?]);
    }
    over.store(true, Ordering::Relaxed);
    Ok((windows, watching.await??))
}

/// What callers know. The last solution is the one that is flooded, and nobody else's.
#[derive(Clone)]
struct Town {
    clients: Vec<Client>,
    next: Arc<AtomicU64>,
    others: u64,
    length: Duration,
}

impl Town {
    /// What those who do not flood saw.
    async fn window(&self, flooding: usize) -> Outcome<Seen> {
        let mut floods = JoinSet::new();
        for _ in 0..flooding {
            let town = self.clone();
            floods.spawn(async move { town.call(|town| town.others).await });
        }
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            let town = self.clone();
            callers.spawn(async move { town.call(Town::any).await });
        }
        let (seen, flood) = (gather(callers).await?, gather(floods).await?);
        eprintln!(
            "{} calls answered in {:?} by {REPLICAS} replicas, p50 {:.1} ms, p99 {:.1} ms, lost: {:?}; of the flood {}, lost: {:?}",
            seen.times.len(),
            self.length,
            milliseconds(at(seen.times.clone(), 0.5)),
            milliseconds(at(seen.times.clone(), 0.99)),
            seen.lost,
            flood.times.len(),
            flood.lost,
        );
        Ok(seen)
    }

    /// Each once, then any.
    fn any(&self) -> u64 {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        if turn < self.others { turn } else { Uuid::new_v4().as_u64_pair().1 % self.others }
    }

    async fn call(&self, whom: impl Fn(&Self) -> u64) -> Outcome<Seen> {
        let (mut seen, begin) = (Seen::default(), Instant::now());
        while begin.elapsed() < self.length {
            let random = Uuid::new_v4().as_u128();
            let solution = town(whom(self) + 1);
            let replica = usize::try_from((random >> 64) % self.clients.len() as u128)?;
            let documents = self.clients[replica].solution(&solution);
            let call = Instant::now();
            let served = loop {
                let served = if random >> 96 & 3 == 0 {
                    let draft = Document { name: "INV-1".into(), title: "Invoice".into(), ..Document::default() };
                    documents.create(draft).await.map(|answer| answer.served().cloned())
                } else {
                    documents.list(ListDocumentsRequest::default()).await.map(|answer| answer.served().cloned())
                };
                match served {
                    Err(error) if error.retryable() && call.elapsed() < PATIENCE => {}
                    served => break served,
                }
            };
            match served {
                Ok(Some(served)) if served.database == town_database(&solution) => {
                    seen.times.push(call.elapsed());
                    seen.served.insert(solution);
                }
                Ok(served) => return Err(format!("{solution} was served by {served:?}").into()),
                Err(error) => *seen.lost.entry(error.reason_name().unwrap_or("none").to_owned()).or_default() += 1,
            }
        }
        Ok(seen)
    }
}

async fn gather(mut callers: JoinSet<Outcome<Seen>>) -> Outcome<Seen> {
    let mut all = Seen::default();
    while let Some(seen) = callers.join_next().await {
        let Seen { served, times, lost } = seen??;
        all.served.extend(served);
        all.times.extend(times);
        lost.into_iter().for_each(|(reason, count)| *all.lost.entry(reason).or_default() += count);
    }
    Ok(all)
}
