//! Connections are shared: fairly between solutions, never more than there may be, and without a storm.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use fbs_router_sandbox::{
    Mode, eventually,
    platform::{ACME_DATABASE, SYSTEM_DATABASE},
    soon,
};
use futures_util::future::join_all;
use tokio::time::timeout;
use tonic::Code;
use uuid::Uuid;

use crate::support::{
    Replica, World,
    asking::{creation, retitle},
    draft, failure, reason,
    residue::nothing_is_left,
    wire::metrics,
};

/// So that what is asserted is turns, not how fast this machine is.
const PATIENT: &str = "wait = \"20s\"\ncreate = \"9s\"\n";

/// For what takes many connections.
const LONG: Duration = Duration::from_secs(120);

fn pool(lines: &str) -> String {
    format!("[pool]\n{lines}\n{PATIENT}")
}

/// A document whose row somebody holds: whoever changes it keeps a connection busy.
pub(crate) async fn held(world: &World, database: &str, document_id: &str) -> tokio_postgres::Client {
    let holder = world.platform.cluster.connect(database).await.unwrap();
    let hold = format!("BEGIN; SELECT FROM fbs_document.document WHERE document_id = '{document_id}' FOR UPDATE");
    holder.batch_execute(&hold).await.unwrap();
    holder
}

async fn until_metric(replica: &Replica, name: &str, enough: impl Fn(f64) -> bool) {
    soon("the metric says so", async || match metrics(replica.ops).await.get(name) {
        Some(value) if enough(*value) => Ok(()),
        other => Err(format!("{name} {other:?}")),
    })
    .await;
}

const WAITING: &str = "fbs_router_budget_waiting{server=\"main\"}";
const USED: &str = "fbs_router_budget_used{server=\"main\"}";
const LIMIT: &str = "fbs_router_budget_limit{server=\"main\"}";

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_one_solution_leaves_others_their_turn() {
    const FLOOD: usize = 200;
    let world = World::new().await;
    let replica = world.replica_with(&pool("max_size = 2\nmax_per_solution = 2\nmax_waiting = 1000")).await;
    for solution in ["flood", "victim"] {
        replica.create(solution, "first").await.unwrap();
    }
    let (done, seen) = (AtomicUsize::new(0), AtomicUsize::new(FLOOD));
    let flood = join_all((0..FLOOD).map(|number| {
        let (replica, done) = (&replica, &done);
        async move {
            let mut request = tonic::Request::new(creation("flood", draft(&format!("F-{number}"))));
            request.set_timeout(Duration::from_secs(60));
            // On a slow machine the last of them would wait in vain, and are told so.
            if replica.documents().create_document(request).await.is_ok() {
                done.fetch_add(1, Ordering::SeqCst);
            }
        }
    }));
    let victim = async {
        until_metric(&replica, WAITING, |waiting| waiting > 60.0).await;
        let begun = done.load(Ordering::SeqCst);
        replica.create("victim", "in between").await.unwrap();
        seen.store(done.load(Ordering::SeqCst) - begun, Ordering::SeqCst);
    };
    tokio::join!(flood, victim);
    // In line with callers it would have been all who waited, more than 60.
    let served_before = seen.load(Ordering::SeqCst);
    assert!(served_before < 50, "{served_before} of the flood were served before the other solution");
    assert_eq!(world.rows(SYSTEM_DATABASE, "flood").await, 1 + done.into_inner() as i64);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_solution_takes_no_more_than_its_share_of_a_shared_database() {
    let world = World::new().await;
    let replica = world.replica_with(&pool("max_size = 3\nmax_per_solution = 2")).await;
    let stuck = replica.create("stuck", "S-1").await.unwrap().message;
    let holder = held(&world, SYSTEM_DATABASE, &stuck.document_id).await;
    let waiting = join_all((0..6).map(|number| {
        let change = retitle("stuck", &stuck.document_id, &format!("title {number}"));
        let replica = &replica;
        async move {
            let mut request = tonic::Request::new(change);
            request.set_timeout(Duration::from_secs(60));
            let _conflict_or_done = replica.documents().update_document(request).await;
        }
    }));
    let others = async {
        until_metric(&replica, WAITING, |waiting| waiting == 4.0).await;
        assert_eq!(metrics(replica.ops).await[USED], 2.0);
        replica.create("other", "O-1").await.unwrap();
        holder.batch_execute("ROLLBACK").await.unwrap();
    };
    tokio::join!(waiting, others);
    until_metric(&replica, USED, |used| used == 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_is_found_while_documents_have_every_connection_they_may_have() {
    let world = World::new().await;
    // Of four, catalog and ledger have one each, and one is kept for routing. The ledger is in the database that is full.
    let text = world
        .configuration(&world.platform.url(), &pool("max_size = 1"))
        .replace("max_connections = 60", "max_connections = 4");
    let replica = Replica::start(&text, &world.snapshot("router")).await;
    let stuck = replica.create("stuck", "S-1").await.unwrap().message;
    let holder = held(&world, SYSTEM_DATABASE, &stuck.document_id).await;
    let over = AtomicBool::new(false);
    // Several, so that one has the connection at any moment.
    let waiting = join_all((0..4).map(|_| async {
        while !over.load(Ordering::Relaxed) {
            let mut request = tonic::Request::new(retitle("stuck", &stuck.document_id, "later"));
            request.set_timeout(Duration::from_secs(60));
            let _conflict_or_refused = replica.documents().update_document(request).await;
        }
    }));
    let routing = async {
        until_metric(&replica, WAITING, |waiting| waiting > 1.0).await;
        // Looked into, claimed, taken over and recorded.
        world.create_own_database("newco").await;
        let placed = soon("the database is noticed", async || match replica.place("newco").await {
            Ok(place) if place.starts_with("DEDICATED") => Ok(place),
            other => Err(format!("{other:?}")),
        });
        assert_eq!(placed.await, "DEDICATED djo_newco_db");
        until_metric(&replica, USED, |used| used == 1.0).await;
        over.store(true, Ordering::Relaxed);
        holder.batch_execute("ROLLBACK").await.unwrap();
    };
    tokio::join!(waiting, routing);
    assert_eq!(replica.create("newco", "N-1").await.unwrap().database, "djo_newco_db");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_would_wait_in_vain_is_told_at_once_and_when_to_come_again() {
    let world = World::new().await;
    let replica = world.replica_with(&pool("max_size = 1\nmax_per_solution = 1\nmax_waiting = 2")).await;
    let stuck = replica.create("acme_corp", "A-1").await.unwrap().message;
    let holder = held(&world, ACME_DATABASE, &stuck.document_id).await;
    let stuck = async {
        let mut request = tonic::Request::new(retitle("acme_corp", &stuck.document_id, "later"));
        request.set_timeout(Duration::from_secs(60));
        let _conflict_or_done = replica.documents().update_document(request).await;
    };
    let others = async {
        until_metric(&replica, USED, |used| used == 1.0).await;
        let refused = AtomicUsize::new(0);
        let mut served = Vec::new();
        for number in 0..10 {
            let (replica, refused) = (&replica, &refused);
            served.push(async move {
                let mut request = tonic::Request::new(creation("acme_corp", draft(&format!("W-{number}"))));
                request.set_timeout(Duration::from_secs(60));
                let Err(status) = replica.documents().create_document(request).await else { return true };
                assert_eq!(reason(&status), failure(Code::ResourceExhausted, "POOL_EXHAUSTED"));
                let retry = tonic_types::StatusExt::get_details_retry_info(&status);
                assert!(retry.and_then(|retry| retry.retry_delay).is_some());
                refused.fetch_add(1, Ordering::SeqCst);
                false
            });
        }
        let released = async {
            soon("those beyond the queue are refused while it stands", async || match refused.load(Ordering::SeqCst) {
                8 => Ok(()),
                other => Err(other),
            })
            .await;
            holder.batch_execute("ROLLBACK").await.unwrap();
        };
        let (served, ()) = tokio::join!(join_all(served), released);
        assert_eq!(served.into_iter().filter(|served| *served).count(), 2, "the two who waited had their turn");
    };
    tokio::join!(stuck, others);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_the_role_over_all_replicas_is_shared_without_a_lost_call() {
    const LIMITED: i64 = 12; // six of them for catalogs and ledger
    let world = World::new().await;
    let solutions: Vec<String> = (0..10).map(|number| format!("tenant{number}")).collect();
    for solution in &solutions {
        world.create_own_database(solution).await;
    }
    let start = |name: &'static str| {
        let text = world.configuration(&world.platform.url(), &pool("idle = \"1m\""));
        let path = world.snapshot(name);
        async move { Replica::start(&text, &path).await }
    };
    let replicas = [start("one").await, start("two").await, start("three").await];
    world.run("postgres", &format!("ALTER ROLE fbs_router CONNECTION LIMIT {LIMITED}")).await;
    let calls = (0..60).map(|number| {
        let (replica, solution) = (&replicas[number % 3], &solutions[(number * 7 + number / 10) % 10]);
        let request = Uuid::new_v4();
        async move {
            let name = format!("T-{number}");
            let created = eventually("the call is served", LONG, async || {
                match replica.create_once(solution, &name, request).await {
                    Ok(answer) => Ok(answer),
                    // Cancelled by its own caller, whose deadline is short for a machine that is busy.
                    Err((
                        Code::ResourceExhausted | Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled,
                        reason,
                    )) => Err(reason),
                    Err(other) => panic!("{other:?}"),
                }
            })
            .await;
            assert_eq!(created.database, format!("djo_{solution}_db"));
        }
    });
    join_all(calls).await;
    let mut rows = 0;
    for solution in &solutions {
        rows += world.rows(&format!("djo_{solution}_db"), solution).await;
        assert_eq!(world.system_rows(solution).await, 0);
    }
    assert_eq!(rows, 2 * 60, "a document and its request record each");
    let mut limits = Vec::new();
    for replica in &replicas {
        limits.push(metrics(replica.ops).await[LIMIT]);
    }
    assert!(limits.iter().any(|limit| *limit < 58.0), "nobody met the limit: {limits:?}");
    // With room again, everybody has as much as before.
    world.run("postgres", "ALTER ROLE fbs_router CONNECTION LIMIT -1").await;
    for solution in &solutions {
        replicas[0].create(solution, "after").await.unwrap();
    }
}

/// Lines of the server's log since `from` that contain `text`.
fn logged(world: &World, from: usize, text: &str) -> usize {
    let log = std::fs::read_to_string(world.platform.cluster.log_path()).unwrap();
    log[from..].lines().filter(|line| line.contains(text)).count()
}

fn log_length(world: &World) -> usize {
    std::fs::read_to_string(world.platform.cluster.log_path()).unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_returning_server_is_not_stormed_by_those_who_waited_for_it() {
    let world = World::new().await;
    let solutions: Vec<String> = (0..4).map(|number| format!("tenant{number}")).collect();
    for solution in &solutions {
        world.create_own_database(solution).await;
    }
    world.run("postgres", "ALTER SYSTEM SET log_connections = on").await;
    let replica = world.replica().await;
    for solution in &solutions {
        replica.create(solution, "before").await.unwrap();
    }
    world.platform.cluster.kill().await.unwrap();
    let (from, began) = (log_length(&world), Instant::now());
    let served = join_all((0..400).map(|number| {
        let (replica, solution) = (&replica, &solutions[number % 4]);
        async move {
            eventually("it is served again", LONG, async || match replica.names(solution).await {
                Ok(names) if names == ["before"] => Ok(()),
                Err((Code::Unavailable, reason)) if reason == "DATABASE_UNAVAILABLE" => Err(reason),
                Err((Code::ResourceExhausted | Code::DeadlineExceeded | Code::Cancelled, reason)) => Err(reason),
                // A connection is closed under all its callers, if too many of them leave before they are heard.
                Err((Code::Unknown, reason)) if reason.is_empty() => Err(reason),
                other => panic!("{other:?}"),
            })
            .await;
        }
    }));
    let returns = async {
        until_metric(&replica, "fbs_router_server_unreachable{server=\"main\"}", |open| open == 1.0).await;
        world.platform.cluster.start_again().await.unwrap();
    };
    tokio::join!(served, returns);
    // The eight that each of four solutions may have, those of catalog and ledger, and a few that came too early: some in
    // each second until it is back.
    let connects = logged(&world, from, "connection received");
    let most = 44 + 10 * began.elapsed().as_secs() as usize;
    assert!((4..=most).contains(&connects), "{connects} connections for 400 callers, more than {most}");
    until_metric(&replica, "fbs_router_server_unreachable{server=\"main\"}", |open| open == 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_who_leave_while_a_connection_is_made_have_no_other_made_for_each_of_them() {
    let world = World::new().await;
    let proxy = world.proxy().await;
    let url = format!("postgres://fbs_router@127.0.0.1:{}", proxy.port());
    let replica = world.replica_at(&url, &pool("max_size = 3")).await;
    let document = replica.create("acme_corp", "before").await.unwrap().message;
    // Whoever comes finds the only connection in use, and to make one takes several times as long as he waits.
    let holder = held(&world, ACME_DATABASE, &document.document_id).await;
    let mut documents = replica.documents();
    let stuck = documents.update_document(retitle("acme_corp", &document.document_id, "later"));
    let coming = async {
        until_metric(&replica, USED, |used| used == 1.0).await;
        proxy.set(Mode::Delay(Duration::from_millis(100)));
        let connects = async || metrics(replica.ops).await["fbs_router_connects_total{server=\"main\"}"];
        let before = connects().await;
        for _ in 0..30 {
            // A write would go on without him.
            let left = timeout(Duration::from_millis(50), replica.names("acme_corp")).await;
            assert!(left.is_err(), "he was answered");
        }
        let made = connects().await - before;
        proxy.set(Mode::Forward);
        holder.batch_execute("ROLLBACK").await.unwrap();
        made
    };
    let (stuck, made) = tokio::join!(stuck, coming);
    stuck.unwrap();
    // What it may have besides the first, and no more; without any, nobody came so far.
    assert!((1.0..=2.0).contains(&made), "{made} connections");
    nothing_is_left(&world.platform.cluster, &[&replica]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_does_not_keep_its_database_from_being_dropped() {
    let world = World::new().await;
    let replica = world.replica_with("[pool]\nidle = \"400ms\"\n").await;
    replica.create("acme_corp", "A-1").await.unwrap();
    soon("it can be dropped", async || {
        let client = world.platform.cluster.connect("postgres").await.unwrap();
        client.batch_execute(&format!("DROP DATABASE {ACME_DATABASE}")).await.map_err(|error| error.to_string())
    })
    .await;
    until_metric(&replica, "fbs_router_pools", |pools| pools == 0.0).await;
}
