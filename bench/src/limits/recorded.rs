//! What solutions cost that are recorded and that nobody asks for.

use super::{Figure, connect};
use crate::{
    Outcome,
    child::Child,
    servers::Kind,
    world::{FEW_PLACEMENTS, PLACEMENTS, World, recorded as solution},
};

/// Starts of each: what an allocator keeps differs from one to the next.
const STARTS: usize = 5;
/// The catalog's and, on its server, the ledger's.
const CONNECTIONS: f64 = 2.0;

/// Bytes of memory each, and connections in all.
pub(super) async fn recorded(world: &World) -> Outcome<Vec<Figure>> {
    let superuser = world.superuser().await?;
    let (mut few, mut many, mut connections) = (Vec::new(), Vec::new(), 0);
    for _ in 0..STARTS {
        few.push(resident(&start(world, Kind::OursOfTen, FEW_PLACEMENTS).await?)?);
        let child = start(world, Kind::Ours, PLACEMENTS).await?;
        many.push(resident(&child)?);
        let count = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'fbs_router'";
        connections = superuser.query_one(count, &[]).await?.get::<_, i64>(0).max(connections);
    }
    let bytes = (median(many) - median(few)) / (PLACEMENTS - FEW_PLACEMENTS) as f64;
    Ok(vec![
        Figure { what: "memory each", stated: 300.0, measured: bytes, unit: "bytes" },
        Figure { what: "connections", stated: CONNECTIONS, measured: connections as f64, unit: "" },
    ])
}

/// A service that has read its ledger.
async fn start(world: &World, kind: Kind, placements: u64) -> Outcome<Child> {
    let child = Child::start(kind, world.folder())?;
    let client = connect(&child).await?;
    client.resolve(solution(placements).as_str()).await?;
    Ok(child)
}

fn resident(child: &Child) -> Outcome<f64> {
    Ok(child.memory("RssAnon:")? as f64)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
