//! Movers and connections are killed, writes go on, a router is cut off from the ledger.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use fbs_router_proto::{
    admin::v1::{MoveSolutionRequest, MoveSolutionResponse, move_solution_response::Step},
    document::v1::{BatchCreateDocumentsRequest, document_service_client::DocumentServiceClient},
    router::v1::Placement,
};
use fbs_router_sandbox::{
    Implementer, Mode, eventually,
    platform::{SYSTEM_DATABASE, TEMPLATE_DATABASE},
    soon,
};
use tonic::{Code, transport::Channel};

use super::{DEDICATED, GLOBEX, IMPATIENT, OWN, SYSTEM, asked_for, contents, moves_soon, patience, placed, to};
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

/// What dies while the mover is stopped.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Killed {
    Mover,
    /// With every session of it, and up again.
    Postgres,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mover_killed_at_any_step_leaves_the_solution_where_it_was_or_where_it_was_going() {
    at_any_step(Killed::Mover).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_killed_at_any_step_leaves_the_solution_where_it_was_or_where_it_was_going() {
    at_any_step(Killed::Postgres).await;
}

async fn at_any_step(killed: Killed) {
    for direction in [Placement::Dedicated, Placement::System] {
        futures_util::future::join_all(STOPS.map(|stop| killed_at(stop, direction, killed))).await;
    }
}

async fn killed_at(stopped: (&str, bool, &str, Step, bool), direction: Placement, killed: Killed) {
    let (name, in_target, stop, step, forward) = stopped;
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
    let ended = match killed {
        Killed::Mover => {
            mover.kill().await;
            drop(steps);
            holder.batch_execute("ROLLBACK").await.unwrap();
            if forward { target } else { source }
        }
        Killed::Postgres => {
            world.platform.cluster.kill().await.unwrap();
            world.platform.cluster.start_again().await.unwrap();
            // The mover lives, and goes on or takes it back.
            let mut last = step;
            while let Ok(Some(next)) = steps.message().await {
                last = next.step();
            }
            soon("the solution has a place again", async || match witness.place(GLOBEX).await {
                Ok(place) if place == place_of(source) && !forward && last != Step::Done => Ok(source),
                Ok(place) if place == place_of(target) && last != Step::RolledBack => Ok(target),
                other => Err(format!("{name} {direction:?}: {other:?} after {last:?}")),
            })
            .await
        }
    };
    let forward = ended == target;
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

/// Where something is killed, as far as the mover can be seen there before it has gone on.
const STEPS: [Step; 4] = [Step::Freeze, Step::Copy, Step::Verify, Step::Switch];
/// What is killed there: the router that moves, the server of the system database and the ledger, the server of its own
/// database, every connection of both.
const VICTIMS: [&str; 4] = ["the mover", "the shared server", "the own server", "every connection"];

/// Moves there and back under writes through three replicas, one of them cut off from the ledger now and then; in each move
/// a mover, a Postgres or every connection is killed at some step, in sixteen moves each at each step. `FBS_MOVES` and
/// `FBS_ROWS` make it as large as wanted; `make moves` makes 20 moves of 10,000 rows.
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
    let old: Vec<String> = (0..rows).map(|number| format!("old-{number}")).collect();
    for names in old.chunks(100) {
        let requests = names.iter().map(|name| creation("", draft(name))).collect();
        let batch = BatchCreateDocumentsRequest { solution: GLOBEX.into(), requests, ..Default::default() };
        preparing.documents().batch_create_documents(batch).await.unwrap();
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
    let channels = [&writer, &proxied, &mover].map(|replica| Arc::new(Mutex::new(replica.channel.clone())));
    for (number, channel) in channels.iter().cloned().enumerate() {
        writers.push(tokio::spawn(write_until(number, channel, Arc::clone(&over), patience())));
    }
    let begun = tokio::time::Instant::now();
    let mut at = Placement::System;
    let mut kills = BTreeMap::<(usize, String), usize>::new();
    for turn in 0..moves {
        let next = if at == Placement::System { Placement::Dedicated } else { Placement::System };
        if turn % 3 == 1 {
            cut_off.set(Mode::Hang);
        }
        let (wanted, victim) = (STEPS[turn % 4], (turn + turn / 4) % 4);
        let mut steps = mover_begins(&mover, next, patience()).await;
        let mut seen = Step::Prepare;
        // A step that is over soon may not be seen: then the one behind it.
        while seen < wanted
            && let Ok(Some(step)) = steps.message().await
        {
            seen = step.step();
        }
        *kills.entry((victim, seen.as_str_name().to_owned())).or_default() += 1;
        match victim {
            0 => {
                drop(steps);
                mover.kill().await;
                mover = start("three", &world.platform.url()).await;
                *channels[2].lock().unwrap() = mover.channel.clone();
            }
            1 | 2 => {
                let server = if victim == 1 { &world.platform.cluster } else { &second };
                server.kill().await.unwrap();
                server.start_again().await.unwrap();
            }
            _ => {
                let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'fbs_router'";
                world.platform.cluster.connect("postgres").await.unwrap().execute(kill, &[]).await.unwrap();
                second.connect("postgres").await.unwrap().execute(kill, &[]).await.unwrap();
            }
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
    let took = begun.elapsed();
    eprintln!(
        "{moves} moves of {rows} rows and more in {took:?}, {written} writes meanwhile, checked: {}",
        expected.len()
    );
    for ((victim, step), times) in &kills {
        eprintln!("{times} times {} was killed, the mover being last seen at {step}", VICTIMS[*victim]);
    }
    let in_time = kills.iter().filter(|((_, step), _)| step != Step::Done.as_str_name()).map(|(_, times)| times);
    assert!(in_time.sum::<usize>() > moves / 2, "what was killed was killed too late: {kills:?}");
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

/// Begins a move as soon as that is possible.
async fn mover_begins(mover: &Replica, next: Placement, limit: Duration) -> tonic::Streaming<MoveSolutionResponse> {
    eventually("a move begins", limit, async || mover.admin().move_solution(to(next)).await).await.into_inner()
}

/// Creates documents, each until it is there, under one request id; their names.
async fn write_until(
    number: usize,
    channel: Arc<Mutex<Channel>>,
    over: Arc<AtomicBool>,
    limit: Duration,
) -> Vec<String> {
    let mut names = Vec::new();
    while !over.load(Ordering::SeqCst) {
        let name = format!("new-{number}-{}", names.len());
        let mut request = creation(GLOBEX, draft(&name));
        request.request_id = request_id();
        eventually("a write gets through in the end", limit, async || {
            // A replica that was killed is another when it is back.
            let mut client = DocumentServiceClient::new(channel.lock().unwrap().clone());
            match client.create_document(within(request.clone())).await {
                Ok(_) => Ok(()),
                Err(status) => {
                    let reason = reason(&status).1;
                    assert!(!["INTERNAL", "PLACEMENT_CONFLICT"].contains(&reason.as_str()), "{status:?}");
                    Err(status)
                }
            }
        })
        .await;
        names.push(name);
    }
    names
}
