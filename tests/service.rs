//! The service around the calls: health, probes, reflection, deadlines, headers, the end, and the beginning that is
//! refused.

use std::{
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use fbs_router_sandbox::{
    platform::{ACME_DATABASE, LICENSE_DATABASE, SYSTEM_DATABASE},
    soon,
};
use prost::Message;
use tonic::{Code, Status};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::support::{
    Replica, World,
    asking::{creation, page, refusal, retitle},
    draft, failure,
    process::binary,
    wire::{framed, http_get, metrics, raw, raw_status},
};

const SERVING: i32 = 1;
const NOT_SERVING: i32 = 2;
const NAMES: [&str; 3] = ["", "fbs.router.v1.RouterService", "fbs.document.v1.DocumentService"];
const UPDATE: &str = "/fbs.document.v1.DocumentService/UpdateDocument";
const GET: &str = "/fbs.document.v1.DocumentService/GetDocument";
const UNKNOWN: &str = "0190b0a0-0000-7000-8000-00000000dead";

async fn becomes(replica: &Replica, wanted: i32) {
    soon("health changes", async || match replica.health("").await {
        Ok(status) if status == wanted => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

async fn all_names(replica: &Replica, wanted: i32) {
    for name in NAMES {
        assert_eq!(replica.health(name).await.unwrap(), wanted, "{name:?}");
    }
    assert_eq!(replica.health("liveness").await.unwrap(), SERVING);
    let ready = http_get(replica.ops, "/readyz").await;
    assert_eq!(ready.0, if wanted == SERVING { 200 } else { 503 }, "{ready:?}");
    assert_eq!(http_get(replica.ops, "/livez").await, (200, "ok\n".to_owned()));
    assert_eq!(metrics(replica.ops).await["fbs_router_ready"], f64::from(wanted == SERVING));
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_not_serving_until_ledger_and_catalog_were_read_and_liveness_always_serves() {
    let world = World::new().await;
    world.platform.cluster.stop().await.unwrap();
    let replica = Replica::start_unready(&world.configuration(&world.platform.url(), ""), &world.snapshot("r")).await;
    soon("it answers", async || replica.health("liveness").await.map(drop)).await;
    all_names(&replica, NOT_SERVING).await;
    // Nothing is known: nothing is guessed.
    let unknown = failure(Code::Unavailable, "ROUTE_UNKNOWN");
    assert_eq!(replica.ask_create(creation("globex", draft("N"))).await, Err(unknown.clone()));
    assert_eq!(replica.ask_page(page("acme_corp", 0)).await.unwrap_err(), unknown);
    assert_eq!(replica.health("globex").await.unwrap_err().code(), Code::NotFound, "health knows no solutions");
    world.platform.cluster.start_again().await.unwrap();
    becomes(&replica, SERVING).await;
    all_names(&replica, SERVING).await;
    assert_eq!(replica.make("globex", "N").await.name, "N");
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn liveness_does_not_wait_for_a_postgres_that_hangs() {
    let world = World::new().await;
    world.platform.cluster.freeze().await.unwrap();
    let text = world.configuration(&world.platform.url(), "[routing]\nscan_timeout = \"30s\"\n");
    let replica = Replica::start_unready(&text, &world.snapshot("r")).await;
    let begun = Instant::now();
    soon("it answers", async || replica.health("liveness").await.map(drop)).await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(replica.health("").await.unwrap(), NOT_SERVING);
    // And it can be stopped.
    replica.begin_stop();
    tokio::time::timeout(Duration::from_secs(5), replica.stop()).await.expect("an end");
    world.platform.cluster.thaw().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_solution_database_leaves_the_service_serving() {
    let world = World::new().await;
    let replica = world.replica().await;
    replica.make("acme_corp", "N").await;
    world.platform.implementer().allow_connections(ACME_DATABASE, false).await.unwrap();
    let (code, reason) = replica.ask_page(page("acme_corp", 0)).await.unwrap_err();
    assert_eq!((code, reason.as_str()), (Code::Unavailable, "DATABASE_UNAVAILABLE"));
    // Noticed by scans too.
    world.create_own_database("later").await;
    soon("a scan came", async || replica.place("later").await.map(drop).map_err(|error| format!("{error:?}"))).await;
    all_names(&replica, SERVING).await;
    assert_eq!(replica.make("globex", "N").await.name, "N");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_lacks_a_server_with_placements_is_not_ready() {
    let world = World::new().await;
    let replica = world.replica().await;
    world
        .in_ledger(
            "INSERT INTO fbs_router.server (server, system_identifier, change_number) VALUES ('second', '7', 0); \
             INSERT INTO fbs_router.placement (company_id, app, placement, epoch, server, database_name, database_oid, \
             database_uuid, change_number) VALUES ('umbrella', 'fbs_dms', 'DEDICATED', 1, 'second', \
             'djo_umbrella_db', 99, gen_random_uuid(), 0)",
        )
        .await;
    becomes(&replica, NOT_SERVING).await;
    all_names(&replica, NOT_SERVING).await;
    assert!(http_get(replica.ops, "/readyz").await.1.contains("`second`"), "it says which");
    let replica = replica.restart_unready().await;
    soon("it answers", async || match http_get(replica.ops, "/readyz").await {
        (503, why) if why.contains("`second`") => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    let check = check(&world, &world.configuration(&world.platform.url(), ""));
    assert_eq!(check.status.code(), Some(78));
    assert!(text(&check.stdout).contains("`second`"), "{}", text(&check.stdout));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_ledger_schema_or_with_one_too_new_it_is_not_ready_and_check_says_so() {
    let world = World::new().await;
    let configuration = world.configuration(&world.platform.url(), "");
    let too_new = "INSERT INTO fbs_router.schema_version VALUES ('ledger', 99, 99, '', now())";
    world.in_ledger(too_new).await;
    let replica = Replica::start_unready(&configuration, &world.snapshot("new")).await;
    let not_ready = async |replica: &Replica, word: &str| {
        soon("it says why", async || match http_get(replica.ops, "/readyz").await {
            (503, why) if why.contains(word) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
        all_names(replica, NOT_SERVING).await;
    };
    not_ready(&replica, "newer").await;
    let output = check(&world, &configuration);
    assert_eq!(output.status.code(), Some(78), "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("newer"), "{}", text(&output.stdout));
    world.in_ledger("DELETE FROM fbs_router.schema_version WHERE version = 99").await;
    becomes(&replica, SERVING).await;

    world.in_ledger("DROP TABLE fbs_router.ledger CASCADE").await;
    not_ready(&replica, "absent").await;
    world.in_ledger("DROP SCHEMA fbs_router CASCADE").await;
    not_ready(&replica, "absent").await;
    let replica = Replica::start_unready(&configuration, &world.snapshot("absent")).await;
    not_ready(&replica, "schema apply --system").await;
    let output = check(&world, &configuration);
    assert_eq!(output.status.code(), Some(78));
    assert!(text(&output.stdout).contains("schema apply --system"), "{}", text(&output.stdout));
}

#[tokio::test(flavor = "multi_thread")]
async fn reflection_in_both_versions_lists_all_services_and_reads_no_more_than_a_name() {
    let world = World::new().await;
    let replica = world.replica().await;
    let wanted =
        ["fbs.document.v1.DocumentService", "fbs.router.v1.RouterService", "grpc.health.v1.Health"].map(str::to_owned);
    macro_rules! listed {
        ($version:ident) => {{
            use tonic_reflection::pb::$version::{
                ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
                server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
            };
            let ask = |message| ServerReflectionRequest { host: String::new(), message_request: Some(message) };
            let file = MessageRequest::FileContainingSymbol("fbs.document.v1.DocumentService.ListDocuments".into());
            let long = MessageRequest::FileContainingSymbol("x".repeat(5_000));
            let asked = [ask(MessageRequest::ListServices(String::new())), ask(file), ask(long)];
            let asked = futures_util::stream::iter(asked);
            let mut client = ServerReflectionClient::new(replica.channel.clone());
            let mut answers = client.server_reflection_info(asked).await.unwrap().into_inner();
            let Some(MessageResponse::ListServicesResponse(list)) =
                answers.message().await.unwrap().unwrap().message_response
            else {
                panic!("no list")
            };
            let Some(MessageResponse::FileDescriptorResponse(files)) =
                answers.message().await.unwrap().unwrap().message_response
            else {
                panic!("no file")
            };
            assert!(!files.file_descriptor_proto.is_empty());
            // There is room for a name; what is longer is not read, and ends the stream.
            assert!(matches!(answers.message().await, Ok(None)));
            list.service.into_iter().map(|service| service.name).collect::<Vec<_>>()
        }};
    }
    for listed in [listed!(v1), listed!(v1alpha)] {
        assert!(wanted.iter().all(|name| listed.contains(name)), "{listed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ops_listener_answers_over_plain_http() {
    let world = World::new().await;
    let replica = world.replica().await;
    replica.make("globex", "N").await;
    replica.make("acme_corp", "N").await;
    replica.read("globex", UNKNOWN).await.unwrap_err();
    assert_eq!(http_get(replica.ops, "/livez").await, (200, "ok\n".to_owned()));
    assert_eq!(http_get(replica.ops, "/readyz").await, (200, "ready\n".to_owned()));
    assert_eq!(http_get(replica.ops, "/nothing").await.0, 404);
    soon("the placements are counted", async || {
        let samples = metrics(replica.ops).await;
        let of = |placement: &str| samples[&format!("fbs_router_placements{{placement=\"{placement}\"}}")];
        if (of("dedicated"), of("system")) == (1.0, 1.0) { Ok(()) } else { Err(format!("{samples:?}")) }
    })
    .await;
    let samples = metrics(replica.ops).await;
    assert_eq!(samples["fbs_router_first_system_writes_total"], 1.0);
    assert_eq!(samples["fbs_router_take_overs_total"], 1.0);
    assert_eq!(samples["fbs_router_internal_errors_total"], 0.0);
    assert_eq!(samples["fbs_router_identity_mismatches_total"], 0.0);
    assert!(samples["fbs_router_calls_failed_total"] >= 1.0 && samples["fbs_router_calls_total"] >= 4.0);
    assert!(samples["fbs_router_catalog_age_seconds{server=\"main\"}"] < 10.0);
    assert!(!http_get(replica.ops, "/metrics").await.1.contains("globex"), "no solution is named");
}

/// Holds the row of a document until dropped.
async fn lock_row(world: &World, id: &str) -> tokio_postgres::Client {
    let client = world.platform.cluster.connect(SYSTEM_DATABASE).await.unwrap();
    let lock = format!("BEGIN; SELECT FROM fbs_document.document WHERE document_id = '{id}' FOR UPDATE");
    client.batch_execute(&lock).await.unwrap();
    client
}

async fn nothing_is_left_open(world: &World) {
    soon("no transaction is left open", async || {
        let open = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'fbs_router' AND state <> 'idle'";
        match world.count("postgres", open).await {
            0 => Ok(()),
            count => Err(count),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_is_kept_before_a_locked_row_and_leaves_nothing_open() {
    let world = World::new().await;
    let replica = world.replica_with("[deadline]\ndefault = \"700ms\"\n").await;
    let id = replica.make("globex", "N").await.document_id;
    let holder = lock_row(&world, &id).await;
    let body = framed(0, &retitle("globex", &id, "late").encode_to_vec());
    let late = failure(Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
    // The caller's own; the server's, where there is none; the caller's may be longer than the default.
    for (headers, time) in [(vec![("grpc-timeout", "500m")], 500), (vec![], 700), (vec![("grpc-timeout", "1S")], 1_000)]
    {
        // On a busy machine it may be late before it is routed, or too late to say where it was.
        soon("it is told where it was late", async || {
            let begun = Instant::now();
            let answer = raw(replica.grpc, UPDATE, &headers, body.clone()).await;
            let took = begun.elapsed();
            assert_eq!(refusal(&Status::from_header_map(&answer).unwrap()), late);
            let (least, most) = (Duration::from_millis(time - 30), Duration::from_millis(time + 4_000));
            assert!(least <= took && took <= most, "{took:?} of {time} ms");
            match answer.get("fbs-database") {
                Some(database) if database == SYSTEM_DATABASE => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        nothing_is_left_open(&world).await;
    }
    // Twenty at once: more than there are connections. Those who would wait for one in vain may be told so at once.
    let headers = [("grpc-timeout", "300m")];
    let calls = (0..20).map(|_| raw_status(replica.grpc, UPDATE, &headers, body.clone()));
    let begun = Instant::now();
    let statuses = futures_util::future::join_all(calls).await;
    let full = failure(Code::ResourceExhausted, "POOL_EXHAUSTED");
    assert!(statuses.iter().all(|status| [&late, &full].contains(&&refusal(status))), "{statuses:?}");
    assert!(statuses.iter().filter(|status| refusal(status) == late).count() >= 8, "{statuses:?}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    nothing_is_left_open(&world).await;
    holder.batch_execute("ROLLBACK").await.unwrap();
    let now = replica.ask_update(retitle("globex", &id, "in time")).await.unwrap();
    assert_eq!((now.title.as_str(), world.system_rows("globex").await), ("in time", 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_say_where_a_call_was_served_also_when_it_failed_there() {
    let world = World::new().await;
    let replica = world.replica().await;
    for (solution, expected) in
        [("acme_corp", [ACME_DATABASE, "DEDICATED", "1"]), ("globex", [SYSTEM_DATABASE, "SYSTEM", "0"])]
    {
        let id = replica.make(solution, "N").await.document_id;
        for (id, code) in [(id.as_str(), "0"), (UNKNOWN, "5"), ("no id", "3")] {
            let request = fbs_router_proto::document::v1::GetDocumentRequest {
                solution: solution.into(),
                document_id: id.into(),
                ..Default::default()
            };
            let answer = raw(replica.grpc, GET, &[], framed(0, &request.encode_to_vec())).await;
            assert_eq!(answer["grpc-status"], code);
            let names = ["fbs-database", "fbs-placement", "fbs-epoch"];
            let told = names.map(|name| answer.get(name).map(|value| value.to_str().unwrap()));
            // What is refused before it is routed was served from nowhere.
            assert_eq!(told, if code == "3" { [None; 3] } else { expected.map(Some) }, "{solution} {id}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graceful_stop_flips_health_first_finishes_calls_in_flight_and_does_not_wait_for_watchers() {
    let world = World::new().await;
    let text = world.configuration(&world.platform.url(), "").replace("wait = \"0s\"", "wait = \"2s\"");
    let text = text.replace("limit = \"2s\"", "limit = \"20s\"");
    let replica = Replica::start(&text, &world.snapshot("r")).await;
    let id = replica.make("globex", "N").await.document_id;
    let mut watched = Vec::new();
    for name in ["", "liveness", "fbs.document.v1.DocumentService"] {
        let request = HealthCheckRequest { service: name.into() };
        let mut stream = HealthClient::new(replica.channel.clone()).watch(request).await.unwrap().into_inner();
        assert_eq!(stream.message().await.unwrap().unwrap().status, SERVING);
        watched.push((name, stream));
    }
    let holder = lock_row(&world, &id).await;
    let mut documents = replica.documents();
    let request = retitle("globex", &id, "in flight");
    let in_flight = tokio::spawn(async move { documents.update_document(request).await });
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'fbs_router' AND wait_event_type = 'Lock'";
    soon("the call is in flight", async || match world.count("postgres", waiting).await {
        1 => Ok(()),
        count => Err(count),
    })
    .await;

    let (grpc, ops) = (replica.grpc, replica.ops);
    replica.begin_stop();
    becomes(&replica, NOT_SERVING).await;
    assert_eq!(http_get(ops, "/readyz").await, (503, "draining\n".to_owned()));
    // Who has not noticed yet is served still.
    assert_eq!(replica.make("globex", "meanwhile").await.name, "meanwhile");
    let begun = Instant::now();
    for (name, mut stream) in watched {
        let mut last = SERVING;
        let ended = async {
            while let Ok(Some(answer)) = stream.message().await {
                last = answer.status;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), ended).await.unwrap_or_else(|_| panic!("{name:?} is held"));
        assert_ne!((name, last), ("", SERVING));
    }
    assert!(!in_flight.is_finished());
    holder.batch_execute("ROLLBACK").await.unwrap();
    let answer = in_flight.await.unwrap().expect("calls in flight finish").into_inner();
    assert_eq!(answer.document.unwrap().title, "in flight");
    replica.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    // Not at once: what other tests start here has our listeners, too, from its fork to its exec.
    for address in [grpc, ops] {
        soon("the port is closed", async || match tokio::net::TcpStream::connect(address).await {
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
    }
}

// === the binary ===

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs the binary with a configuration until it ends, within 10 s, on a Postgres without fsync, as those of tests are.
fn run(world: &World, command: &str, configuration: &str, more: &[&str]) -> Output {
    run_strictly(world, command, configuration, &[more, &["--allow-unsafe-durability"]].concat())
}

fn run_strictly(world: &World, command: &str, configuration: &str, more: &[&str]) -> Output {
    let path = world.folder.path().join("run.toml");
    std::fs::write(&path, configuration).unwrap();
    let mut limited = Command::new("timeout");
    limited.arg("10").arg(binary()).arg(command).arg("--config").arg(&path).args(more);
    limited.env_remove("FBS_ROUTER_CONFIG").stdin(Stdio::null()).output().expect("the binary")
}

fn check(world: &World, configuration: &str) -> Output {
    run(world, "check", configuration, &[])
}

#[tokio::test(flavor = "multi_thread")]
async fn serve_refuses_a_powerful_role_an_open_address_and_a_bad_configuration() {
    let world = World::new().await;
    let good = world.configuration(&world.platform.url(), "");
    let refused = |configuration: &str, more: &[&str], told: &[&str]| {
        let output = run(&world, "serve", configuration, more);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{errors}");
        for word in told {
            assert!(errors.contains(word), "{word} is missing: {errors}");
        }
    };
    // Superuser; one that bypasses policies; one that is a member of another role.
    let superuser = good.replace("fbs_router@", "postgres@");
    refused(&superuser, &[], &["superuser", "schema print --roles"]);
    for (make, undo) in [
        ("ALTER ROLE fbs_router BYPASSRLS", "ALTER ROLE fbs_router NOBYPASSRLS"),
        ("GRANT fbs_owner TO fbs_router", "REVOKE fbs_owner FROM fbs_router"),
    ] {
        world.run("postgres", make).await;
        refused(&good, &[], &["row-level security"]);
        let output = check(&world, &good);
        assert_eq!(output.status.code(), Some(78));
        assert!(text(&output.stdout).contains("mend it: ALTER ROLE"), "{}", text(&output.stdout));
        world.run("postgres", undo).await;
    }
    refused(&good, &["--listen", "0.0.0.0:0"], &["loopback", "--insecure-plaintext", "--insecure-no-auth"]);
    refused(&good, &["--listen", "[::]:0"], &["loopback"]);
    // What `serve` refuses, `check` finds.
    let open = run(&world, "check", &good, &["--listen", "0.0.0.0:0"]);
    assert_eq!(open.status.code(), Some(78));
    assert!(text(&open.stdout).contains("mend it: set callers.file, listen on 127.0.0.1"), "{}", text(&open.stdout));
    // All mistakes at once.
    let bad = good.replace("grpc = \"127.0.0.1:0\"", "grpc = \"nowhere\"\nnonsense = 1") + "[pool]\nmax_size = 0\n";
    refused(&bad, &[], &["listen.grpc", "nonsense", "pool.max_size"]);
    refused("no TOML at all", &[], &["TOML"]);
    let key_file = format!("{good}[tokens]\nkey_file = \"/nonexistent\"\n");
    refused(&key_file, &[], &["key file"]);
    // A password never leaves in an error.
    let leaky = good.replace("fbs_router@", "fbs_router:hunter2@");
    let output = run(&world, "serve", &leaky, &[]);
    assert!(output.status.code() == Some(78) && !text(&output.stderr).contains("hunter2"), "{}", text(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn serve_runs_on_an_open_address_when_told_so_and_ends_well_on_sigterm() {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let world = World::new().await;
    let path = world.folder.path().join("serve.toml");
    std::fs::write(&path, world.configuration(&world.platform.url(), "")).unwrap();
    let mut process = tokio::process::Command::new(binary())
        .args(["serve", "--insecure-no-auth", "--insecure-plaintext", "--allow-unsafe-durability"])
        .args(["--listen", "0.0.0.0:0", "--config"])
        .arg(&path)
        .env_remove("FBS_ROUTER_CONFIG")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
    let ready = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains("ready") && !line.contains("not ready") {
                return;
            }
        }
        panic!("it ended");
    };
    tokio::time::timeout(Duration::from_secs(10), ready).await.expect("ready");
    let id = process.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    let drain = async { while let Ok(Some(_)) = lines.next_line().await {} };
    let (ended, ()) = tokio::join!(tokio::time::timeout(Duration::from_secs(10), process.wait()), drain);
    assert_eq!(ended.expect("an end").unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn check_tells_every_problem_at_once_each_with_the_line_that_mends_it() {
    let world = World::new().await;
    let good = world.configuration(&world.platform.url(), "");
    let output = check(&world, &good);
    assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(!text(&output.stdout).contains("PROBLEM"));

    world.platform.implementer().drop_database(LICENSE_DATABASE).await.unwrap();
    world.in_ledger("DROP SCHEMA fbs_router CASCADE; DROP SCHEMA fbs_document CASCADE").await;
    let dead = "[[server]]\nname = \"dead\"\nurl = \"postgres://fbs_router@127.0.0.1:1\"\n\
                [tokens]\nkey_file = \"/nonexistent/keys\"\n";
    let output = check(&world, &format!("{good}{dead}"));
    let told = text(&output.stdout);
    assert_eq!(output.status.code(), Some(78), "{told}");
    assert_eq!(told.matches("PROBLEM").count(), 4, "{told}");
    assert_eq!(told.matches("mend it: ").count(), 4, "{told}");
    for word in ["`dead`", LICENSE_DATABASE, "schema apply --system", "openssl rand -hex 32"] {
        assert!(told.contains(word), "{word} is missing: {told}");
    }
    assert!(text(&output.stderr).contains("4 problem"), "{}", text(&output.stderr));
    // And nothing was mended or changed by looking.
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'fbs%'";
    assert_eq!(world.count(SYSTEM_DATABASE, schemas).await, 0);
}
