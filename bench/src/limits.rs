//! What is held against a stated limit instead of a peer.

mod attacks;
mod cold;
mod crowd;
mod documents;
mod flood;
mod memory;
mod recorded;

use std::time::Duration;

use fbs_router_client::Client;

use crate::{
    Outcome,
    child::Child,
    servers::Kind,
    world::{PLACEMENTS, SHELF, SOLUTION, Stage, World},
};

/// Documents of the solution that is listed and searched.
const DOCUMENTS: u64 = 100_000;
/// Real databases of a crowd.
const CROWD: u64 = 1_000;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// The last page of 100,000 documents, against the first.
    LastPage,
    /// A search for a word that 1 in 1,000 documents have.
    RareWord,
    /// The same, of a word that every document of another solution in the same table has.
    NeighboursWord,
    /// A search for a word that all have.
    CommonWord,
    /// A gigabyte up and down.
    Memory,
    /// Solutions that are recorded and idle.
    Recorded,
    /// The first call to a database.
    Cold,
    /// A database that was just created.
    Appearing,
    /// Others' calls while one solution sends many.
    Flood,
    /// Others' calls while somebody sends what no caller would.
    Attacks,
    /// Three replicas, many databases, few connections.
    Crowd,
}

/// One figure, and what it may be at most.
struct Figure {
    /// Which of several that one limit has.
    what: &'static str,
    stated: f64,
    measured: f64,
    unit: &'static str,
}

const ALL: [Limit; 11] = [
    Limit::LastPage,
    Limit::RareWord,
    Limit::NeighboursWord,
    Limit::CommonWord,
    Limit::Memory,
    Limit::Recorded,
    Limit::Cold,
    Limit::Appearing,
    Limit::Flood,
    Limit::Attacks,
    Limit::Crowd,
];

impl Limit {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::LastPage => "limit: last page of 100,000 documents, median",
            Self::RareWord => "limit: search, 100 of 100,000 match, p99",
            Self::NeighboursWord => "limit: search, 100 match, and all 100,000 next door, p99",
            Self::CommonWord => "limit: search, all 100,000 match, p99",
            Self::Memory => "limit: memory of 1 GiB up and down",
            Self::Recorded => "limit: 10,000 recorded, idle solutions",
            Self::Cold => "limit: first call to a database",
            Self::Appearing => "limit: from CREATE DATABASE to the first call served there",
            Self::Flood => "limit: 19 solutions while one sends 20 times its share",
            Self::Attacks => "limit: 19 solutions under attack",
            Self::Crowd => "limit: 1,000 databases, 3 replicas, a role of 40 connections",
        }
    }

    async fn figures(self, world: &World, quick: bool) -> Outcome<Vec<Figure>> {
        // Each on a service of its own, so that one's memory is not another's.
        let start = || Child::start(Kind::Ours, world.folder());
        let milliseconds = |stated, measured| vec![Figure { what: "", stated, measured, unit: "ms" }];
        Ok(match self {
            Self::LastPage => {
                let child = start()?;
                let (first, last) = documents::pages(&connect(&child).await?.solution(SHELF)).await?;
                milliseconds(2.0 * self::milliseconds(first), self::milliseconds(last))
            }
            Self::RareWord | Self::NeighboursWord | Self::CommonWord => {
                let child = start()?;
                let (word, stated) = match self {
                    Self::RareWord => ("case77", 50.0),
                    Self::NeighboursWord => ("weekly", 50.0),
                    _ => ("invoice", 100.0),
                };
                milliseconds(stated, documents::search(&connect(&child).await?.solution(SHELF), word).await?)
            }
            Self::Memory => {
                let child = start()?;
                let measured = memory::memory(&connect(&child).await?.solution(SOLUTION), &child, quick).await?;
                vec![Figure { what: "", stated: 128.0, measured, unit: "MiB" }]
            }
            Self::Recorded => recorded::recorded(world).await?,
            Self::Cold => cold::first_calls(world, if quick { 10 } else { 100 }).await?,
            Self::Appearing => cold::appearing(world, if quick { 3 } else { 20 }).await?,
            Self::Flood => flood::flood(world, quick).await?,
            Self::Attacks => attacks::attacks(world, quick).await?,
            Self::Crowd => crowd::crowd(world, quick).await?,
        })
    }

    /// Databases that are there meanwhile, at least.
    fn databases(self, quick: bool) -> u64 {
        match self {
            Self::Cold | Self::Flood | Self::Attacks => 100,
            Self::Crowd if quick => 100,
            Self::Appearing | Self::Crowd => CROWD,
            _ => 0,
        }
    }
}

/// Those whose name contains one of the parts; all, if there are none.
pub(crate) fn wanted(only: &[String]) -> Vec<Limit> {
    ALL.into_iter().filter(|limit| only.is_empty() || only.iter().any(|part| limit.name().contains(part))).collect()
}

/// Measures and prints. True if every limit was kept.
pub(crate) async fn measure(limits: &[Limit], world: &World, quick: bool) -> Outcome<bool> {
    if limits.is_empty() {
        return Ok(true);
    }
    let of_documents = [Limit::LastPage, Limit::RareWord, Limit::NeighboursWord, Limit::CommonWord];
    if limits.iter().any(|limit| of_documents.contains(limit)) {
        world.fill_shelves(DOCUMENTS).await?;
    }
    println!("\n| limit | stated | measured | measured/stated |");
    println!("| --- | --: | --: | --: |");
    let mut kept = true;
    for limit in limits {
        world.set(Stage { recorded: PLACEMENTS, databases: limit.databases(quick) }).await?;
        for Figure { what, stated, measured, unit } in limit.figures(world, quick).await? {
            kept &= measured <= stated;
            let ratio = if stated == 0.0 { String::new() } else { format!("{:.2}", measured / stated) };
            let name = [limit.name(), what].join(if what.is_empty() { "" } else { ": " });
            println!("| {name} | {stated:.1} {unit} | {measured:.1} {unit} | {ratio} |");
        }
    }
    Ok(kept)
}

async fn connect(child: &Child) -> Outcome<Client> {
    let url = format!("http://{}", child.address());
    Ok(Client::builder().deadline(Duration::from_secs(20)).connect(url).await?)
}

fn at(mut times: Vec<Duration>, quantile: f64) -> Duration {
    times.sort();
    let place = (times.len() as f64 * quantile) as usize;
    times.get(place.min(times.len().saturating_sub(1))).copied().unwrap_or_default()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
