//! The router's own process: stopped in the midst of a transaction, ended in order, and what it holds after all the rest.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use fbs_router_sandbox::{
    LIMIT, Mode, eventually,
    platform::{ACME_DATABASE, SYSTEM_DATABASE},
    soon,
};
use futures_util::future::join_all;
use tonic::Code;
use uuid::Uuid;

use super::{DOWN, FULL, LATE, UNKNOWN};
use crate::support::{
    Replica, World,
    asking::retitle,
    load::{Load, NOBODY_KNOWS, some_more},
    one,
    process::{Held, Served},
    residue::nothing_is_left,
    unanswered, within,
};

const PATIENT: &str = "[deadline]\nmax = \"60s\"\n";

impl World {
    /// A router in a process of its own, with a folder of its own.
    async fn process(&self, name: &str, extra: &str) -> Served {
        let folder: PathBuf = self.folder.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        Served::start(&self.configuration(&self.platform.url(), extra), &folder, &[]).await
    }
}

async fn retitled(replica: &Replica, id: &str, title: &str) -> Result<(), tonic::Status> {
    let mut request = tonic::Request::new(retitle("acme_corp", id, title));
    request.set_timeout(Duration::from_secs(50));
    replica.documents().update_document(request).await.map(drop)
}

/// 25P03: it holds a row and the solution's lock, and says nothing more. Postgres waits ten seconds.
#[tokio::test(flavor = "multi_thread")]
async fn a_router_stopped_in_the_midst_of_a_transaction_holds_its_locks_for_ten_seconds_at_most() {
    let world = World::new().await;
    let (stopped, other) = (world.process("stopped", PATIENT).await, world.process("other", PATIENT).await);
    let id = stopped.replica.create("acme_corp", "A-1").await.unwrap().message.document_id;
    let holder = world.platform.cluster.connect(ACME_DATABASE).await.unwrap();
    let hold = format!("BEGIN; SELECT FROM fbs_document.document WHERE document_id = '{id}' FOR UPDATE");
    holder.batch_execute(&hold).await.unwrap();
    let sessions = |state: &str| {
        format!(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'fbs-router' AND datname = '{ACME_DATABASE}' AND {state}"
        )
    };
    let (waiting, idle) = (sessions("wait_event_type = 'Lock'"), sessions("state LIKE 'idle in transaction%'"));
    let stopping = async {
        soon("it waits for the row", async || match world.count("postgres", &waiting).await {
            1 => Ok(()),
            other => Err(other),
        })
        .await;
        stopped.signal("STOP");
        soon("it is stopped", async || stopped.is_stopped()).await;
        holder.batch_execute("ROLLBACK").await.unwrap();
        soon("it has the row, and says nothing", async || match world.count("postgres", &idle).await {
            1 => Ok(()),
            other => Err(other),
        })
        .await;
        // Another router's writes wait for the row; of other solutions nobody waits.
        other.replica.create("globex", "G-1").await.unwrap();
        eventually("another router has the row", LIMIT * 3, async || retitled(&other.replica, &id, "by another").await)
            .await;
        soon("its transaction is gone", async || match world.count("postgres", &idle).await {
            0 => Ok(()),
            other => Err(other),
        })
        .await;
        let log = std::fs::read_to_string(world.platform.cluster.log_path()).unwrap();
        assert!(log.contains("idle-in-transaction timeout"), "the server ended it, not whoever waited");
        stopped.signal("CONT");
    };
    let (outcome, ()) = tokio::join!(retitled(&stopped.replica, &id, "by the one that was stopped"), stopping);
    // Nothing of it was committed, so it was tried again.
    outcome.unwrap();
    let title = other.replica.get("acme_corp", &id).await.unwrap().message.title;
    assert_eq!(title, "by the one that was stopped");
    assert_eq!(stopped.replica.get("acme_corp", &id).await.unwrap().message.title, title);
    assert_eq!(world.system_rows("acme_corp").await, 0);
    nothing_is_left(&world.platform.cluster, &[&stopped.replica, &other.replica]).await;
}

/// SIGTERM under load: what is acknowledged is there, what is not is repeated through another, and the process ends well.
#[tokio::test(flavor = "multi_thread")]
async fn a_router_ended_under_load_loses_nothing_that_it_acknowledged() {
    const CALLERS: usize = 8;
    let world = World::new().await;
    let (ends, other) = (world.process("ends", "").await, world.process("other", "").await);
    ends.replica.create("acme_corp", "first").await.unwrap();
    let (over, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let calls = join_all((0..CALLERS).map(|caller| {
        let (ends, other, over, served) = (&ends.replica, &other.replica, &over, &served);
        async move {
            let mut acknowledged = BTreeMap::new();
            for number in 0.. {
                if over.load(Relaxed) {
                    break;
                }
                let (name, request) = (format!("W-{caller}-{number}"), Uuid::new_v4());
                let document_id = match ends.documents().create_document(within(one("acme_corp", &name, request))).await
                {
                    Ok(answer) => answer.into_inner().document.unwrap().document_id,
                    Err(status) if unanswered(&status) || status.code() == Code::Unavailable => {
                        soon("another takes it", async || {
                            other.create_once("acme_corp", &name, request).await.map_err(|error| format!("{error:?}"))
                        })
                        .await
                        .message
                        .document_id
                    }
                    Err(status) => panic!("{status:?}"),
                };
                acknowledged.insert(document_id, name);
                served.fetch_add(1, Relaxed);
            }
            acknowledged
        }
    }));
    let ending = async {
        some_more(&served, "calls are served").await;
        ends.signal("TERM");
        some_more(&served, "calls are served by the other").await;
        over.store(true, Relaxed);
    };
    let (acknowledged, ()) = tokio::join!(calls, ending);
    let printed = ends.stopped().await;
    assert!(!printed.contains("panicked"), "{printed}");
    let acknowledged: BTreeMap<String, String> = acknowledged.into_iter().flatten().collect();
    let client = world.platform.cluster.connect(ACME_DATABASE).await.unwrap();
    let sql = "SELECT document_id::text, name FROM fbs_document.document WHERE name LIKE 'W-%'";
    let found = client.query(sql, &[]).await.unwrap();
    assert_eq!(found.len(), acknowledged.len());
    let found: BTreeMap<String, String> = found.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(found, acknowledged);
    assert_eq!(world.system_rows("acme_corp").await, 0);
    nothing_is_left(&world.platform.cluster, &[&other.replica]).await;
}

/// Killed servers, cut and silent links, callers who leave, again and again.
#[tokio::test(flavor = "multi_thread")]
async fn a_router_that_went_through_faults_holds_no_more_than_before() {
    let world = World::new().await;
    let proxy = world.proxy().await;
    let url = format!("postgres://fbs_router@127.0.0.1:{}", proxy.port());
    // Idle connections go soon, so that what is counted is not how many there happen to be.
    let text = world.configuration(
        &url,
        "[pool]\nidle = \"500ms\"\nwait = \"1s\"\ncreate = \"2s\"\n[deadline]\nmax = \"4s\"\ndefault = \"4s\"\n",
    );
    let served = Served::start(&text, world.folder.path(), &[]).await;
    let load = Load::new(&served.replica, &["acme_corp", "globex"]).await;
    let round = async || {
        load.allow(&[DOWN, UNKNOWN, FULL, LATE, NOBODY_KNOWS]);
        for _ in 0..3 {
            proxy.set(Mode::Cut);
            load.enough(&[]).await;
        }
        proxy.set(Mode::Hang);
        load.enough(&["acme_corp", "globex"]).await;
        proxy.set(Mode::Strand);
        load.enough(&[]).await;
        world.platform.cluster.kill().await.unwrap();
        load.enough(&["acme_corp", "globex"]).await;
        world.platform.cluster.start_again().await.unwrap();
        // Whoever leaves often enough looks like a flood of resets: not on the others' channel.
        let channel = Replica::elsewhere(served.replica.grpc, served.replica.ops);
        let leaving = (0..200_u64).map(|number| {
            let replica = &channel;
            async move {
                let patience = Duration::from_micros(number * 61 % 12_000);
                let _gone = tokio::time::timeout(patience, replica.names("acme_corp")).await;
            }
        });
        join_all(leaving).await;
        load.enough(&[]).await;
    };
    let story = async |rounds: usize| {
        for _ in 0..rounds {
            round().await;
        }
        load.over.store(true, Relaxed);
    };
    // Warm: buffers, caches, the allocator's arenas.
    tokio::join!(load.go_on(), story(2));
    let Some(before) = at_rest(&world, &served).await else {
        eprintln!("SKIPPED: this system does not tell what a process holds");
        return;
    };
    load.over.store(false, Relaxed);
    tokio::join!(load.go_on(), story(3));
    let after = at_rest(&world, &served).await.unwrap();
    eprintln!("{before:?} before three more rounds, {after:?} after them");
    assert!(after.descriptors <= before.descriptors + 2, "{before:?} {after:?}");
    assert!(after.kib <= before.kib + before.kib / 10, "{before:?} {after:?}");
    let home = |solution: &str| if solution == "acme_corp" { ACME_DATABASE } else { SYSTEM_DATABASE };
    load.is_accounted_for(&world.platform.cluster, home).await;
    assert_eq!(world.system_rows("acme_corp").await, 0);
}

/// What it holds when nobody calls and its pools are empty.
async fn at_rest(world: &World, served: &Served) -> Option<Held> {
    soon("its pools are empty", async || {
        let open = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'fbs-router'";
        match world.count("postgres", open).await {
            ..=2 => Ok(()),
            open => Err(open),
        }
    })
    .await;
    nothing_is_left(&world.platform.cluster, &[&served.replica]).await;
    served.held()
}
