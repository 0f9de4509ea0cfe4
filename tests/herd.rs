//! Many callers at once, and processes that die under them: no burst opens more connections than it may, and what was
//! acknowledged is there exactly once.

use std::sync::atomic::{AtomicBool, Ordering};

use fbs_router_proto::document::v1::{CreateDocumentRequest, document_service_client::DocumentServiceClient};
use fbs_router_sandbox::{
    platform::{ACME_DATABASE, SYSTEM_DATABASE, TEMPLATE_DATABASE},
    soon,
};
use futures_util::future::join_all;
use tonic::{Code, transport::Channel};
use uuid::Uuid;

use crate::support::{Replica, World, draft, process::binary, reason, within};

/// The most sessions of the router that were seen at once while `work` ran: in all, and in one database.
pub(crate) async fn most_sessions(world: &World, database: &str, work: impl Future<Output = ()>) -> (i64, i64) {
    let done = AtomicBool::new(false);
    let watching = async {
        let client = world.platform.cluster.connect("postgres").await.unwrap();
        let sql = "SELECT count(*), count(*) FILTER (WHERE datname = $1) FROM pg_stat_activity \
                    WHERE application_name = 'fbs-router'";
        let mut most = (0, 0);
        let mut samples = 0;
        while !done.load(Ordering::Relaxed) || samples == 0 {
            let row = client.query_one(sql, &[&database]).await.unwrap();
            most = (most.0.max(row.get(0)), most.1.max(row.get(1)));
            samples += 1;
        }
        most
    };
    let working = async {
        work.await;
        done.store(true, Ordering::Relaxed);
    };
    tokio::join!(watching, working).0
}

/// So that what is asserted is connections, not how fast this machine is.
const PATIENT: &str = "[pool]\nwait = \"12s\"\ncreate = \"12s\"\nmax_size = 5\n";

/// A create that waits as long as that: the database it went to, and the epoch.
async fn create(replica: &Replica, solution: &str, name: &str) -> Result<(String, String), (Code, String)> {
    let message = CreateDocumentRequest {
        solution: solution.into(),
        document: Some(draft(name)),
        ..CreateDocumentRequest::default()
    };
    let mut request = tonic::Request::new(message);
    request.set_timeout(std::time::Duration::from_secs(25));
    let answer = replica.documents().create_document(request).await.map_err(|status| reason(&status))?;
    let header = |name: &str| answer.metadata().get(name).unwrap().to_str().unwrap().to_owned();
    Ok((header("fbs-database"), header("fbs-epoch")))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_first_calls_to_a_cold_solution_share_one_small_pool_and_all_succeed() {
    let world = World::new().await;
    let replica = world.replica_with(PATIENT).await;
    let work = async {
        let calls = (0..200).map(|number| {
            let replica = &replica;
            async move { create(replica, "acme_corp", &format!("A-{number}")).await }
        });
        for answer in join_all(calls).await {
            assert_eq!(answer.unwrap(), (ACME_DATABASE.to_owned(), "1".to_owned()));
        }
    };
    let (_, most) = most_sessions(&world, ACME_DATABASE, work).await;
    // Postgres lists a session that was told to end for a moment longer: the one that claimed the database.
    assert!((1..=5 + 1).contains(&most), "{most} connections to one database");
    assert_eq!(world.rows(ACME_DATABASE, "acme_corp").await, 200);
    assert_eq!(world.system_rows("acme_corp").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_burst_over_many_databases_exceeds_the_servers_budget_and_nobody_starves() {
    let world = World::new().await;
    let solutions: Vec<String> = (0..8).map(|number| format!("tenant{number}")).collect();
    for solution in &solutions {
        world.create_own_database(solution).await;
    }
    // Two of them are the scanner's and the ledger's.
    let text =
        world.configuration(&world.platform.url(), PATIENT).replace("max_connections = 60", "max_connections = 6");
    let replica = Replica::start(&text, &world.snapshot("router")).await;
    let work = async {
        let calls = solutions.iter().flat_map(|solution| (0..10).map(move |number| (solution, number)));
        let calls = calls.map(|(solution, number)| {
            let replica = &replica;
            async move {
                let answer = create(replica, solution, &format!("T-{number}")).await;
                answer.map(|answer| assert_eq!(answer.0, format!("djo_{solution}_db")))
            }
        });
        let refused: Vec<_> = join_all(calls).await.into_iter().filter_map(Result::err).collect();
        assert!(refused.is_empty(), "{} refused: {:?}", refused.len(), refused[0]);
    };
    let (most, _) = most_sessions(&world, ACME_DATABASE, work).await;
    // Postgres lists a session that was told to end for a moment longer. Without the budget there were 40.
    assert!((1..=6 + 3).contains(&most), "{most} connections");
    for solution in &solutions {
        assert_eq!(world.rows(&format!("djo_{solution}_db"), solution).await, 10);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_created_among_first_writes_ends_with_all_documents_in_one_place() {
    let world = World::new().await;
    let other = Replica::start(&world.configuration(&world.platform.url(), PATIENT), &world.snapshot("other")).await;
    let replica = world.replica_with(PATIENT).await;
    let mut places = [0, 0]; // its own database, the system database
    for round in 0..10 {
        let solution = format!("racer{round}");
        let own_name = format!("djo_{solution}_db");
        // By rename, which takes about as long as a write does.
        world.platform.implementer().copy_database(TEMPLATE_DATABASE, "spare").await.unwrap();
        let appear = format!("ALTER DATABASE spare RENAME TO {own_name}");
        let writes = (0..12).map(|number| {
            let (replica, solution) = (if number % 2 == 0 { &replica } else { &other }, solution.as_str());
            async move {
                for _ in 0..3 + number / 3 {
                    let _ = replica.health("liveness").await;
                }
                create(replica, solution, &format!("R-{number}")).await.unwrap()
            }
        });
        // Before, in the midst of, or after the first of them.
        let (answers, ()) = tokio::join!(join_all(writes), async {
            for _ in 0..round {
                let _ = replica.health("liveness").await;
            }
            world.platform.implementer().run("postgres", &appear).await.unwrap();
        });
        let own = world.rows(&own_name, &solution).await;
        let shared = world.system_rows(&solution).await;
        assert!((own, shared) == (12, 0) || (own, shared) == (0, 12), "{own} in its own, {shared} shared");
        places[usize::from(own == 0)] += 1;
        assert!(answers.windows(2).all(|two| two[0].0 == two[1].0));
        for replica in [&replica, &other] {
            soon("all are visible", async || match replica.names(&solution).await {
                Ok(names) if names.len() == 12 => Ok(()),
                other => Err(format!("{other:?}")),
            })
            .await;
        }
    }
    assert!(places[0] > 0, "never in time: {places:?}");
}

/// Creates `documents` a solution, each repeated under its request id until it is acknowledged.
async fn acknowledged(replica: &Replica, solution: &str, documents: usize) -> Vec<String> {
    join_all((0..documents).map(|number| async move {
        let request = Uuid::new_v4();
        soon("the write is acknowledged", async || {
            match replica.create_once(solution, &format!("W-{number}"), request).await {
                Ok(answer) => Ok(answer.message.document_id),
                Err((Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted, reason)) => Err(reason),
                Err(error) => panic!("{error:?}"),
            }
        })
        .await
    }))
    .await
}

async fn ids(world: &World, database: &str, solution: &str) -> Vec<String> {
    let client = world.platform.cluster.connect(database).await.unwrap();
    let sql = "SELECT document_id::text FROM fbs_document.document WHERE company_id = $1 ORDER BY 1";
    client.query(sql, &[&solution]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort();
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_postgres_loses_no_acknowledged_document_and_doubles_none() {
    let world = World::new().await;
    let replica = world.replica_with(PATIENT).await;
    replica.create("acme_corp", "before").await.unwrap();
    replica.create("globex", "before").await.unwrap();
    let killing = async {
        for _ in 0..2 {
            let sql = "SELECT count(*) FROM fbs_document.document WHERE name LIKE 'W-%'";
            let begun = world.platform.implementer().count(ACME_DATABASE, sql).await.unwrap();
            // In the middle of it, not before.
            soon("some are written", async || {
                let now = world.platform.implementer().count(ACME_DATABASE, sql).await.unwrap();
                if now > begun || now >= 60 { Ok(()) } else { Err(now) }
            })
            .await;
            world.platform.cluster.kill().await.unwrap();
            world.platform.cluster.start_again().await.unwrap();
        }
    };
    let (acme, globex, ()) =
        tokio::join!(acknowledged(&replica, "acme_corp", 60), acknowledged(&replica, "globex", 30), killing);
    for (database, solution, acknowledged) in [(ACME_DATABASE, "acme_corp", acme), (SYSTEM_DATABASE, "globex", globex)]
    {
        let stored = ids(&world, database, solution).await;
        assert_eq!(stored.len(), acknowledged.len() + 1, "{solution}");
        for id in acknowledged {
            assert!(stored.contains(&id), "{solution} lost {id}");
        }
    }
    let halves = "SELECT count(*) FROM fbs_router.request_record r WHERE NOT EXISTS
                  (SELECT FROM fbs_document.document d WHERE d.document_id = r.document_ids[1])";
    assert_eq!(world.platform.implementer().count(ACME_DATABASE, halves).await.unwrap(), 0);
    assert_eq!(world.system_rows("acme_corp").await, 0);
}

// === the process itself ===

/// `fbs-router serve` as a process of its own, killed with this value.
struct Process {
    child: tokio::process::Child,
    documents: DocumentServiceClient<Channel>,
}

impl Process {
    fn start(world: &World) -> Self {
        // Free a moment ago; nobody else is given it before long.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let text = world.configuration(&world.platform.url(), "");
        let text = text.replace("grpc = \"127.0.0.1:0\"", &format!("grpc = \"127.0.0.1:{port}\""));
        let path = world.folder.path().join(format!("process-{port}.toml"));
        std::fs::write(&path, text).unwrap();
        let child = tokio::process::Command::new(binary())
            .args(["serve", "--allow-unsafe-durability", "--config"])
            .arg(path)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let channel = Channel::from_shared(format!("http://127.0.0.1:{port}")).unwrap().connect_lazy();
        Self { child, documents: DocumentServiceClient::new(channel) }
    }

    async fn create(&self, request: CreateDocumentRequest) -> Result<String, tonic::Status> {
        let answer = self.documents.clone().create_document(within(request)).await?;
        assert_eq!(answer.metadata().get("fbs-database").unwrap(), ACME_DATABASE);
        Ok(answer.into_inner().document.unwrap().document_id)
    }
}

fn request(number: usize) -> CreateDocumentRequest {
    CreateDocumentRequest {
        solution: "acme_corp".into(),
        document: Some(draft(&format!("P-{number}"))),
        request_id: Uuid::new_v4().to_string(),
        ..CreateDocumentRequest::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_router_loses_no_acknowledged_document_and_a_repeat_through_another_doubles_none() {
    let world = World::new().await;
    let requests: Vec<CreateDocumentRequest> = (0..60).map(request).collect();
    let mut first = Process::start(&world);
    soon("the router answers", async || first.create(requests[0].clone()).await.map_err(|status| status.to_string()))
        .await;

    let answered = std::sync::atomic::AtomicUsize::new(0);
    let writing = join_all(requests.iter().map(|request| async {
        let outcome = first.documents.clone().create_document(within(request.clone())).await;
        answered.fetch_add(1, Ordering::SeqCst);
        outcome.ok().map(|answer| answer.into_inner().document.unwrap().document_id)
    }));
    let pid = first.child.id().unwrap().to_string();
    let killing =
        async {
            soon("some writes are answered", async || {
                if answered.load(Ordering::SeqCst) >= 10 { Ok(()) } else { Err("not yet") }
            })
            .await;
            assert!(
                tokio::process::Command::new("sh")
                    .args(["-c", &format!("kill -9 {pid}")])
                    .status()
                    .await
                    .unwrap()
                    .success()
            );
        };
    let (outcomes, ()) = tokio::join!(writing, killing);
    first.child.wait().await.unwrap();

    let second = Process::start(&world);
    let mut stored = Vec::new();
    for (request, outcome) in requests.iter().zip(outcomes) {
        let again = soon("the repeat is answered", async || {
            second.create(request.clone()).await.map_err(|status| status.to_string())
        })
        .await;
        if let Some(acknowledged) = outcome {
            assert_eq!(again, acknowledged, "acknowledged before the kill");
        }
        stored.push(again);
    }
    assert_eq!(ids(&world, ACME_DATABASE, "acme_corp").await, sorted(stored));
    assert_eq!(world.system_rows("acme_corp").await, 0);
}
