//! Movers and connections are killed, writes go on, a router is cut off from the ledger.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use fbs_router_proto::{
    admin::v1::{MoveSolutionRequest, move_solution_response::Step},
    document::v1::document_service_client::DocumentServiceClient,
    router::v1::Placement,
};
use fbs_router_sandbox::{
    Implementer, Mode, eventually,
    platform::{SYSTEM_DATABASE, TEMPLATE_DATABASE},
    soon,
};
use tonic::{Code, transport::Channel};

use super::{DEDICATED, GLOBEX, IMPATIENT, OWN, SYSTEM, asked_for, contents, moves_soon, placed, to};
use crate::support::{
    Replica, World,
    asking::{creation, request_id},
    draft, failure, other_cluster, reason, within,
};

/// Where a mover is stopped: a statement that keeps it waiting there, in which database, and at which step it is seen.
const STOPS: [(&str, bool, &str, Step, bool); 4] = [
    // A writer in flight.
    ("freezing", false, "SELECT pg_advisory_xact_lock_shared(fbs_router.solution_lock('globex'))", Step::Freeze, false),
    ("copying", true, "LOCK TABLE fbs_document.document IN SHARE MODE", Step::Copy, false),
    ("switching", false, "SELECT FROM fbs_router.ledger FOR UPDATE", Step::Verify, false),
    // Behind the commit point.
    ("finishing", true, "SELECT FROM fbs_router.fence FOR UPDATE", Step::Switch, true),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_mover_killed_at_any_step_leaves_the_solution_where_it_was_or_where_it_was_going() {
    for direction in [Placement::Dedicated, Placement::System] {
        let stopped = STOPS
            .map(|(name, in_target, stop, step, forward)| killed_at(name, in_target, stop, step, forward, direction));
        futures_util::future::join_all(stopped).await;
    }
}

async fn killed_at(name: &str, in_target: bool, stop: &str, step: Step, forward: bool, direction: Placement) {
    let world = World::new().await;
    let witness = world.replica_with(IMPATIENT).await;
    let mover = Replica::start(&world.configuration(&world.platform.url(), IMPATIENT), &world.snapshot("mover")).await;
    let ids: Vec<String> = {
        let mut ids = Vec::new();
        for number in 0..5 {
            ids.push(witness.make(GLOBEX, &format!("G-{number}")).await.document_id);
        }
        ids
    };
    world.create_own_database(GLOBEX).await;
    let (mut source, mut target) = (SYSTEM_DATABASE, OWN);
    if direction == Placement::System {
        moves_soon(&witness, to(Placement::Dedicated)).await;
        (source, target) = (target, source);
    }
    let place_of = |database: &str| if database == OWN { DEDICATED } else { SYSTEM };
    placed(&mover, place_of(source)).await;
    // What stops it stands in the way from the beginning; the ledger's row only once the move has begun.
    let at = match (name, in_target) {
        ("switching", _) => SYSTEM_DATABASE,
        // The dedicated database's fence is the one that follows.
        ("finishing", _) => OWN,
        (_, true) => target,
        (_, false) => source,
    };
    let holder = world.platform.cluster.connect(at).await.unwrap();
    holder.batch_execute("BEGIN").await.unwrap();
    let early = matches!(name, "freezing" | "copying");
    let gate = world.platform.cluster.connect(target).await.unwrap();
    if early {
        holder.batch_execute(stop).await.unwrap();
    } else {
        // Until the other lock is held, the copy waits for this one.
        gate.batch_execute("BEGIN; LOCK TABLE fbs_document.document IN SHARE MODE").await.unwrap();
    }
    let mut steps = mover.admin().move_solution(to(direction)).await.unwrap().into_inner();
    let wanted = if early { step } else { Step::Copy };
    while steps.message().await.unwrap().expect("it is stopped before its end").step() != wanted {}
    if !early {
        holder.batch_execute(stop).await.unwrap();
        gate.batch_execute("ROLLBACK").await.unwrap();
        while steps.message().await.unwrap().expect("it is stopped before its end").step() != step {}
    }
    // While it goes on, nobody else moves, and nobody is served from anywhere.
    if !forward {
        let refused = witness.refused(to(direction)).await;
        assert_eq!(refused, failure(Code::Unavailable, "ROUTE_MOVING"), "{name} {direction:?}");
    }
    mover.kill().await;
    drop(steps);
    holder.batch_execute("ROLLBACK").await.unwrap();

    let ended = if forward { target } else { source };
    placed(&witness, place_of(ended)).await;
    soon("it is served again, whole", async || match witness.names(GLOBEX).await {
        Ok(names) if names.len() == 5 => Ok(()),
        other => Err(format!("{name} {direction:?}: {other:?}")),
    })
    .await;
    assert_eq!(witness.get(GLOBEX, &ids[0]).await.unwrap().database, ended, "{name} {direction:?}");
    assert_eq!(witness.create(GLOBEX, "after").await.unwrap().database, ended);
    // And it can be moved all the same.
    let cluster = &world.platform.cluster;
    if !forward {
        moves_soon(&witness, to(direction)).await;
    }
    placed(&witness, place_of(target)).await;
    let names: BTreeSet<String> = witness.names(GLOBEX).await.unwrap().into_iter().collect();
    assert_eq!(names, ["G-0", "G-1", "G-2", "G-3", "G-4", "after"].into_iter().map(str::to_owned).collect());
    moves_soon(&witness, MoveSolutionRequest { purge: true, ..to(direction) }).await;
    assert!(contents(cluster, source, GLOBEX).await.iter().all(|(_, rows, _)| *rows == 0), "{name} {direction:?}");
}

/// Moves there and back under writes through three replicas, one of them cut off from the ledger now and then; movers and
/// connections are killed. `FBS_MOVES` and `FBS_ROWS` make it as large as wanted.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_write_is_lost_or_doubled_while_a_solution_moves_to_and_fro() {
    let (moves, rows) = (asked_for("FBS_MOVES", 4), asked_for("FBS_ROWS", 150));
    let world = World::new().await;
    let second = other_cluster().await;
    Implementer::new(&second).copy_database(TEMPLATE_DATABASE, OWN).await.unwrap();
    let server = format!(
        "[[server]]\nname = \"second\"\nurl = \"{}\"\npassword_file = \"{}\"\n",
        fbs_router_sandbox::platform::url(second.socket_directory(), second.port()),
        world.folder.path().join("password").display()
    );
    // Rows first: then the database is not taken over by itself.
    let preparing = world.replica().await;
    for number in 0..rows {
        preparing.make(GLOBEX, &format!("old-{number}")).await;
    }
    preparing.stop().await;
    let extra = format!("{server}[moving]\nstale_after = \"3s\"\n");
    let start =
        async |name: &str, url: &str| Replica::start(&world.configuration(url, &extra), &world.snapshot(name)).await;
    let (writer, cut_off) = (start("one", &world.platform.url()).await, world.proxy().await);
    let proxied = start("two", &format!("postgres://fbs_router@{}", cut_off.address())).await;
    let mut mover = start("three", &world.platform.url()).await;

    let over = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for (number, channel) in
        [writer.channel.clone(), proxied.channel.clone(), writer.channel.clone()].into_iter().enumerate()
    {
        writers.push(tokio::spawn(write_until(number, channel, Arc::clone(&over))));
    }
    let mut at = Placement::System;
    for turn in 0..moves {
        let next = if at == Placement::System { Placement::Dedicated } else { Placement::System };
        if turn % 3 == 1 {
            cut_off.set(Mode::Hang);
        }
        match turn % 4 {
            1 => {
                // The mover dies at some moment: whoever comes by takes it back, or it is over.
                let mut steps = mover.admin().move_solution(to(next)).await.unwrap().into_inner();
                let _some = tokio::time::timeout(Duration::from_millis(40 * turn as u64), async {
                    while let Ok(Some(_)) = steps.message().await {}
                })
                .await;
                mover.kill().await;
                mover = start("three", &world.platform.url()).await;
            }
            2 => {
                // Every connection dies.
                let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'fbs_router'";
                let mut steps = mover.admin().move_solution(to(next)).await.unwrap().into_inner();
                let _first = steps.message().await;
                world.platform.cluster.connect("postgres").await.unwrap().execute(kill, &[]).await.unwrap();
                second.connect("postgres").await.unwrap().execute(kill, &[]).await.unwrap();
                while let Ok(Some(_)) = steps.message().await {}
            }
            _ => {}
        }
        moves_soon(&mover, to(next)).await;
        cut_off.set(Mode::Forward);
        at = next;
    }
    over.store(true, Ordering::SeqCst);
    let mut expected: BTreeSet<String> = (0..rows).map(|number| format!("old-{number}")).collect();
    let mut written = 0;
    for task in writers {
        let names = task.await.unwrap();
        written += names.len();
        expected.extend(names);
    }
    eprintln!("{moves} moves, {written} writes during them");
    assert!(written > moves, "too few writes to prove anything: {written}");
    let (cluster, database) =
        if at == Placement::System { (&world.platform.cluster, SYSTEM_DATABASE) } else { (&second, OWN) };
    let (other, left) =
        if at == Placement::System { (&second, OWN) } else { (&world.platform.cluster, SYSTEM_DATABASE) };
    let client = cluster.connect(database).await.unwrap();
    let found = client.query("SELECT name FROM fbs_document.document WHERE company_id = 'globex'", &[]).await.unwrap();
    let names: Vec<String> = found.iter().map(|row| row.get(0)).collect();
    assert_eq!(names.len(), expected.len(), "a row is doubled or lost");
    assert_eq!(names.into_iter().collect::<BTreeSet<_>>(), expected);
    moves_soon(&mover, MoveSolutionRequest { purge: true, ..to(at) }).await;
    assert!(contents(other, left, GLOBEX).await.iter().all(|(_, rows, _)| *rows == 0));
}

/// Creates documents, each until it is there, under one request id; their names.
async fn write_until(number: usize, channel: Channel, over: Arc<AtomicBool>) -> Vec<String> {
    let client = DocumentServiceClient::new(channel);
    let mut names = Vec::new();
    while !over.load(Ordering::SeqCst) {
        let name = format!("new-{number}-{}", names.len());
        let mut request = creation(GLOBEX, draft(&name));
        request.request_id = request_id();
        eventually("a write gets through in the end", Duration::from_secs(120), async || {
            match client.clone().create_document(within(request.clone())).await {
                Ok(_) => Ok(()),
                Err(status) => {
                    assert_ne!(status.code(), Code::Internal, "{status:?}");
                    assert_ne!(reason(&status).1, "PLACEMENT_CONFLICT", "{status:?}");
                    Err(status)
                }
            }
        })
        .await;
        names.push(name);
    }
    names
}
