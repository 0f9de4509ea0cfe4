//! A configuration is read again while calls go on: what can be used is used without a failed one, what cannot changes
//! nothing and says why.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use fbs_router_sandbox::{Cluster, platform, soon};
use tokio::task::JoinSet;

use crate::support::{Replica, World, other_cluster, process::Served, secret_file, wire::metrics};

const RELOADS: &str = "fbs_router_config_reloads_total";
const FAILED: &str = "fbs_router_config_reloads_failed_total";
const QUICK: &str = "[routing]\nscan_interval = \"300ms\"\n[ledger]\npoll_interval = \"300ms\"\n";

async fn serve(world: &World, extra: &str) -> Served {
    let text = world.configuration(&world.platform.url(), &format!("{QUICK}{extra}"));
    Served::start(&text, world.folder.path(), &[]).await
}

async fn counted(served: &Served, name: &str) -> f64 {
    metrics(served.replica.ops).await[name]
}

async fn becomes(served: &Served, name: &str, expected: f64) {
    soon(&format!("{name} is {expected}"), async || match counted(served, name).await {
        value if (value - expected).abs() < 1e-9 => Ok(()),
        value => Err(format!("{value}\n{}", served.printed())),
    })
    .await;
}

/// Calls without an end: of a solution with a database of its own, of one without, and of those nobody has heard of.
struct Load {
    stop: Arc<AtomicBool>,
    rounds: Arc<AtomicUsize>,
    callers: JoinSet<Result<(), String>>,
}

impl Load {
    fn start(replica: &Replica, callers: usize, strangers: bool) -> Self {
        let (stop, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut tasks = JoinSet::new();
        for caller in 0..callers {
            let replica = Replica::elsewhere(replica.grpc, replica.ops);
            let (stop, rounds) = (Arc::clone(&stop), Arc::clone(&rounds));
            tasks.spawn(async move {
                let mut number = 0;
                while !stop.load(Ordering::SeqCst) {
                    number += 1;
                    let told = |error| format!("call {number} of caller {caller}: {error:?}");
                    let stranger = format!("stranger_{caller}_{number}");
                    let own = ["acme_corp", "globex"].into_iter().chain(strangers.then_some(&*stranger));
                    for solution in own {
                        let created = replica.create(solution, "D").await.map_err(told)?;
                        replica.get(solution, &created.message.document_id).await.map_err(told)?;
                    }
                    rounds.fetch_add(1, Ordering::SeqCst);
                }
                Ok(())
            });
        }
        Self { stop, rounds, callers: tasks }
    }

    /// Some rounds more have been made.
    async fn goes_on(&self) {
        let wanted = self.rounds.load(Ordering::SeqCst) + 6;
        soon("calls go on", async || match self.rounds.load(Ordering::SeqCst) {
            rounds if rounds >= wanted || self.callers.is_empty() => Ok(()),
            rounds => Err(rounds),
        })
        .await;
    }

    /// Ends it: no call has failed.
    async fn end(mut self, served: &Served) {
        self.stop.store(true, Ordering::SeqCst);
        while let Some(ended) = self.callers.join_next().await {
            assert_eq!(ended.unwrap(), Ok(()), "{}", served.printed());
        }
    }
}

fn entry(world: &World, name: &str, url: &str) -> String {
    let password = world.folder.path().join("password");
    format!("[[server]]\nname = \"{name}\"\nurl = \"{url}\"\npassword_file = \"{}\"\n", password.display())
}

fn url_of(cluster: &Cluster) -> String {
    platform::url(cluster.socket_directory(), cluster.port())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_added_without_a_failed_call() {
    let (world, other) = tokio::join!(World::new(), other_cluster());
    let served = serve(&world, "").await;
    let load = Load::start(&served.replica, 3, true);
    load.goes_on().await;
    let implementer = fbs_router_sandbox::Implementer::new(&other);
    implementer.copy_database(platform::TEMPLATE_DATABASE, "djo_far_db").await.unwrap();
    assert_eq!(served.replica.place("far").await.as_deref(), Ok("SYSTEM fbs_system_db"));

    let since = now(&world).await;
    served.rewrite(|text| text + &entry(&world, "second", &url_of(&other)));
    becomes(&served, RELOADS, 1.0).await;
    let created = served.replica.create("far", "F-1").await.unwrap();
    assert_eq!((&*created.database, &*created.placement), ("djo_far_db", "DEDICATED"));
    // Its scans go on: what appears there later is found, too.
    implementer.copy_database(platform::TEMPLATE_DATABASE, "djo_later_db").await.unwrap();
    let created = served.replica.create("later", "L-1").await.unwrap();
    assert_eq!(created.database, "djo_later_db");
    load.goes_on().await;
    assert!(sessions(&world, &since).await.1 > 0, "connections to the first server are those of before");
    load.end(&served).await;
    assert_eq!(counted(&served, FAILED).await, 0.0);
    let printed = served.stop().await;
    assert!(printed.contains("server `second` is new"), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_be_used_changes_nothing_and_says_why() {
    let world = World::new().await;
    let served = serve(&world, "").await;
    let load = Load::start(&served.replica, 2, true);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let main = std::fs::read_to_string(&served.path).unwrap();
    let mut refused = 0.0;
    for (url, reason) in [
        (format!("postgres://fbs_router@{free}"), "server `second`: the server cannot be reached"),
        (world.platform.url(), "server `second`: it is the same cluster as `main`"),
        (world.platform.url().replace("fbs_router", "nobody"), "server `second`: the server refuses"),
    ] {
        served.rewrite(|_| main.clone() + &entry(&world, "second", &url));
        refused += 1.0;
        becomes(&served, FAILED, refused).await;
        assert!(served.printed().contains(reason), "{}", served.printed());
        load.goes_on().await;
    }
    // A password that others may read is refused as it is at the start.
    let open = world.folder.path().join("open");
    std::fs::write(&open, "sandbox").unwrap();
    served.rewrite(|_| main.replace("/password\"", "/open\""));
    becomes(&served, FAILED, refused + 1.0).await;
    assert!(served.printed().contains("is open to others than its owner"), "{}", served.printed());
    load.end(&served).await;
    assert_eq!(counted(&served, RELOADS).await, 0.0);
    assert_eq!(served.replica.health("").await.unwrap(), 1);
}

/// Sessions of the runtime role in databases with data that began after that moment, and before it.
async fn sessions(world: &World, since: &str) -> (i64, i64) {
    let count = |than: &str| {
        format!(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = 'fbs_router' AND datname <> 'postgres' \
             AND datname ~ 'acme' AND backend_start {than} '{since}'"
        )
    };
    let implementer = world.platform.implementer();
    let (after, before) = (count(">"), count("<="));
    (implementer.count("postgres", &after).await.unwrap(), implementer.count("postgres", &before).await.unwrap())
}

async fn now(world: &World) -> String {
    let client = world.platform.cluster.connect("postgres").await.unwrap();
    client.query_one("SELECT clock_timestamp()::text", &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_changed_without_a_failed_call_while_connections_are_opened_all_the_time() {
    let world = World::new().await;
    let served = serve(&world, "[pool]\nlifetime = \"1s\"\n").await;
    let load = Load::start(&served.replica, 3, false);
    load.goes_on().await;
    // The file first: until the role has the new password, the one before lets in.
    secret_file(&world.folder.path().join("password"), "another\n");
    becomes(&served, RELOADS, 1.0).await;
    for alter in ["SELECT 1", "ALTER ROLE fbs_router PASSWORD 'another'"] {
        world.run("postgres", alter).await;
        let since = now(&world).await;
        soon("all connections are opened anew", async || match sessions(&world, &since).await {
            (1.., 0) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
        load.goes_on().await;
    }
    load.end(&served).await;
    let printed = served.stop().await;
    assert!(printed.contains("server `main` has another password"), "{printed}");
    assert_eq!(printed.matches("takes another one").count(), 1, "it is told once: {printed}");
    assert!(!printed.contains("another\n") && !printed.contains("sandbox\n"), "no password is printed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_the_role_has_already_is_used_as_soon_as_it_is_in_the_file() {
    let world = World::new().await;
    let served = serve(&world, "").await;
    world.create_own_database("initech").await;
    let load = Load::start(&served.replica, 1, false);
    load.goes_on().await;
    // Open connections go on, and no others are needed meanwhile.
    world.run("postgres", "ALTER ROLE fbs_router PASSWORD 'another'").await;
    load.goes_on().await;
    secret_file(&world.folder.path().join("password"), "another\n");
    // Whoever needs one is let in at once: nobody waits for the file to be noticed.
    assert_eq!(served.replica.create("initech", "I-1").await.unwrap().database, "djo_initech_db");
    becomes(&served, RELOADS, 1.0).await;
    load.end(&served).await;
    let mistaken = world.folder.path().join("password");
    secret_file(&mistaken, "");
    becomes(&served, FAILED, 1.0).await;
    assert!(served.printed().contains("is empty"), "{}", served.printed());
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_syntax_and_what_needs_a_restart_change_nothing_and_say_why() {
    let world = World::new().await;
    let served = serve(&world, "").await;
    let good = std::fs::read_to_string(&served.path).unwrap();
    let limit = "fbs_router_budget_limit{server=\"main\"}";
    let before = counted(&served, limit).await;
    let load = Load::start(&served.replica, 2, false);
    let changed = |text: &str| {
        text.replace("max_connections = 60", "max_connections = 30")
            .replace("wait = \"0s\"", "wait = \"1s\"")
            .replace("scan_interval = \"300ms\"", "scan_interval = \"400ms\"")
    };
    served.rewrite(|_| changed(&good).replace("[[server]]", "[[server"));
    becomes(&served, FAILED, 1.0).await;
    assert!(served.printed().contains("not TOML: line"), "{}", served.printed());
    served.rewrite(|_| changed(&good));
    becomes(&served, FAILED, 2.0).await;
    let printed = served.printed();
    assert!(printed.contains("drain.wait: needs a restart; routing.scan_interval: needs a restart"), "{printed}");
    assert_eq!((counted(&served, limit).await, counted(&served, RELOADS).await), (before, 0.0));

    // The same without what needs a restart: at once, and back again.
    served.rewrite(|_| good.replace("max_connections = 60", "max_connections = 10"));
    becomes(&served, RELOADS, 1.0).await;
    assert_eq!(counted(&served, limit).await, 8.0);
    load.goes_on().await;
    served.rewrite(|_| format!("{good}[pool]\nmax_size = 2\n"));
    becomes(&served, RELOADS, 2.0).await;
    assert_eq!(counted(&served, limit).await, before);
    load.goes_on().await;
    load.end(&served).await;
    assert!(served.stop().await.contains("[pool] has other limits"));
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_reads_the_configuration_at_once_and_ends_nothing() {
    let world = World::new().await;
    let served = serve(&world, "").await;
    served.replica.create("acme_corp", "A-1").await.unwrap();
    for expected in [1.0, 2.0] {
        served.signal("HUP");
        becomes(&served, RELOADS, expected).await;
    }
    std::fs::remove_file(&served.path).unwrap();
    served.signal("HUP");
    soon("it is told", async || match counted(&served, FAILED).await {
        1.0.. => Ok(()),
        other => Err(other),
    })
    .await;
    assert_eq!(served.replica.names("acme_corp").await.unwrap(), ["A-1"]);
    let printed = served.stop().await;
    assert!(printed.contains("nothing has changed") && printed.contains("cannot be read"), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_reached_in_another_way_has_its_old_connections_drained() {
    let (world, other) = tokio::join!(World::new(), other_cluster());
    let served = serve(&world, "").await;
    let load = Load::start(&served.replica, 3, true);
    load.goes_on().await;
    let proxy = world.proxy().await;
    let (direct, through) = (world.platform.url(), format!("postgres://fbs_router@127.0.0.1:{}", proxy.port()));
    served.rewrite(|text| text.replace(&direct, &through));
    becomes(&served, RELOADS, 1.0).await;
    load.goes_on().await;
    soon("all connections go through the proxy", async || {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'fbs_router'";
        let all = world.platform.implementer().count("postgres", sql).await.unwrap();
        let here = i64::try_from(proxy.connections()).unwrap();
        if all > 0 && all == here { Ok(()) } else { Err(format!("{here} of {all}")) }
    })
    .await;
    load.end(&served).await;

    // Another cluster is not what was meant.
    served.rewrite(|text| text.replace(&through, &url_of(&other)));
    becomes(&served, FAILED, 1.0).await;
    assert!(served.printed().contains("another cluster"), "{}", served.printed());
    served.replica.create("acme_corp", "A-1").await.unwrap();
}
