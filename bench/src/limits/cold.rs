//! The first call to a database: after a restart, for the first time ever, and just after it was created.

use std::time::{Duration, Instant};

use fbs_router_client::{Documents, v1::ListDocumentsRequest};
use tokio_postgres::NoTls;

use super::{Figure, at, connect, milliseconds};
use crate::{
    Outcome,
    child::Child,
    servers::Kind,
    world::{World, town, town_database},
};

/// The first call to each of `count` databases: the one that claims it, and one after a restart; against connecting and
/// asking one question, which is the least that anybody pays.
pub(super) async fn first_calls(world: &World, count: u64) -> Outcome<Vec<Figure>> {
    let (mut claiming, mut cold, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for times in [&mut claiming, &mut cold] {
        let child = Child::start(Kind::Ours, world.folder())?;
        let client = connect(&child).await?;
        client.resolve(town(1).as_str()).await?;
        for number in 1..=count {
            let begin = Instant::now();
            let database = list(&client.solution(town(number))).await?;
            times.push(begin.elapsed());
            if database != town_database(&town(number)) {
                return Err(format!("{} was served by {database}", town(number)).into());
            }
            let begin = Instant::now();
            ask(world, &database).await?;
            bare.push(begin.elapsed());
        }
    }
    let bare = milliseconds(at(bare, 0.5));
    let figure = |what, stated, times| {
        let measured = milliseconds(at(times, 0.5)) / bare;
        Figure { what, stated, measured, unit: "× a bare connection" }
    };
    Ok(vec![figure("median, after a restart", 6.0, cold), figure("median, first ever: it is claimed", 25.0, claiming)])
}

/// How long after `CREATE DATABASE` a solution is served from there that was served from the system database before.
pub(super) async fn appearing(world: &World, count: u64) -> Outcome<Vec<Figure>> {
    let child = Child::start(Kind::Ours, world.folder())?;
    let client = connect(&child).await?;
    let mut times = Vec::new();
    for number in 1..=count {
        let solution = format!("late_{number:04}");
        let (documents, own) = (client.solution(&solution), town_database(&solution));
        if list(&documents).await? == own {
            return Err(format!("{own} is there already").into());
        }
        world.create_town(&solution).await?;
        let begin = Instant::now();
        while list(&documents).await? != own {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        times.push(begin.elapsed());
    }
    let figure = |what, quantile| Figure {
        what,
        stated: 2_000.0,
        measured: milliseconds(at(times.clone(), quantile)),
        unit: "ms",
    };
    Ok(vec![figure("median", 0.5), figure("longest", 1.0)])
}

/// The database that served a list.
async fn list(documents: &Documents) -> Outcome<String> {
    let answer = documents.list(ListDocumentsRequest::default()).await?;
    Ok(answer.served().map(|served| served.database.clone()).unwrap_or_default())
}

async fn ask(world: &World, database: &str) -> Outcome<()> {
    let (client, connection) = world.connection(database)?.connect(NoTls).await?;
    let driving = tokio::spawn(connection);
    client.query("SELECT document_id FROM fbs_document.document LIMIT 1", &[]).await?;
    drop(client);
    Ok(driving.await??)
}
