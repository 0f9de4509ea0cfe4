//! What operators decide: the way out of every state that the router does not leave by itself.

use fbs_router_proto::{
    admin::v1::{
        AcceptServerRequest, RefreshRoutesRequest, RegisterSolutionRequest, ReleaseSolutionRequest, RemoveServerRequest,
    },
    router::v1::Solution,
};
use fbs_router_sandbox::{
    platform::{ACME_DATABASE, SYSTEM_DATABASE, TEMPLATE_DATABASE},
    soon,
};
use tonic::Code;

use crate::support::{
    Replica, World,
    asking::{Refusal, refusal, violated},
    failure, reason, within,
};

const ACME: &str = "acme_corp";
const REQUIRED: (Code, &str) = (Code::FailedPrecondition, "ISOLATION_REQUIRED");
const MISMATCH: (Code, &str) = (Code::FailedPrecondition, "DATABASE_IDENTITY_MISMATCH");
const CONFLICT: (Code, &str) = (Code::FailedPrecondition, "PLACEMENT_CONFLICT");
const DETACHED: (Code, &str) = (Code::FailedPrecondition, "DATABASE_DETACHED");
const UNKNOWN: (Code, &str) = (Code::Unavailable, "ROUTE_UNKNOWN");

impl Replica {
    async fn register(&self, request: RegisterSolutionRequest) -> Result<Solution, Refusal> {
        let answer = self.admin().register_solution(request).await;
        answer.map(|answer| answer.into_inner().solution.unwrap()).map_err(|status| refusal(&status))
    }

    pub(crate) async fn release(&self, solution: &str) -> Result<Solution, Refusal> {
        let request =
            ReleaseSolutionRequest { solution: solution.into(), confirm: solution.into(), app: String::new() };
        let answer = self.admin().release_solution(request).await;
        answer.map(|answer| answer.into_inner().solution.unwrap()).map_err(|status| refusal(&status))
    }

    /// The fields that a registration is refused for.
    async fn wrong(&self, request: RegisterSolutionRequest) -> Vec<String> {
        let status = self.admin().register_solution(request).await.unwrap_err();
        assert_eq!(reason(&status), failure(Code::InvalidArgument, "FIELD_INVALID"), "{status:?}");
        violated(&status)
    }

    async fn becomes(&self, solution: &str, expected: Result<&str, (Code, &str)>) {
        let expected = expected.map(str::to_owned).map_err(|(code, reason)| failure(code, reason));
        soon("the route is as it has to be", async || match self.place(solution).await {
            found if found == expected => Ok(()),
            found => Err(format!("{found:?}, not {expected:?}")),
        })
        .await;
    }
}

fn of(solution: &str) -> RegisterSolutionRequest {
    RegisterSolutionRequest { solution: solution.into(), ..Default::default() }
}

fn named(solution: &str, database: &str) -> RegisterSolutionRequest {
    RegisterSolutionRequest { database: database.into(), ..of(solution) }
}

fn confirmed(solution: &str) -> RegisterSolutionRequest {
    RegisterSolutionRequest { confirm: solution.into(), dedicated_only: Some(false), ..of(solution) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registered_name_is_the_only_one_considered_and_may_be_nobody_elses() {
    let world = World::new().await;
    let replica = world.replica().await;
    // Everything wrong is told, and nothing is recorded.
    for name in [SYSTEM_DATABASE, "lic_system_db", "postgres", "template1", "djo_initech_db", ACME_DATABASE] {
        assert_eq!(replica.wrong(named("globex", name)).await, ["database"], "{name}");
    }
    let all = RegisterSolutionRequest {
        server: "nowhere".into(),
        app: "fbs_license_manager".into(),
        ..named("globex", "postgres")
    };
    assert_eq!(replica.wrong(all).await, ["app", "server", "database"]);
    let other = RegisterSolutionRequest { confirm: "initech".into(), ..named("globex", &"x".repeat(64)) };
    assert_eq!(replica.wrong(other).await, ["database", "confirm"]);
    assert_eq!(world.count(SYSTEM_DATABASE, "SELECT count(*) FROM fbs_router.registration").await, 0);

    let known = replica.register(named("globex", "customer 17")).await.unwrap();
    assert!(known.dedicated_only, "a name implies it");
    assert_eq!(replica.wrong(named("initech", "customer 17")).await, ["database"]);
    // Never the system database now, nor the one that the pattern names.
    replica.becomes("globex", Err(REQUIRED)).await;
    assert_eq!(replica.create("globex", "G-1").await.unwrap_err(), failure(REQUIRED.0, REQUIRED.1));
    world.create_own_database("globex").await;
    assert_eq!(replica.create("globex", "G-1").await.unwrap_err(), failure(REQUIRED.0, REQUIRED.1));
    world.platform.implementer().copy_database(TEMPLATE_DATABASE, "customer 17").await.unwrap();
    assert_eq!(replica.create("globex", "G-1").await.unwrap().database, "customer 17");
    assert_eq!(world.system_rows("globex").await, 0);
    // A solution of which only this is known may be shared again when told so.
    let shared = RegisterSolutionRequest { dedicated_only: Some(false), ..of("initech") };
    assert!(
        replica
            .register(RegisterSolutionRequest { dedicated_only: Some(true), ..of("initech") })
            .await
            .unwrap()
            .dedicated_only
    );
    replica.becomes("initech", Err(REQUIRED)).await;
    assert!(!replica.register(shared).await.unwrap().dedicated_only);
    assert_eq!(replica.create("initech", "I-1").await.unwrap().database, SYSTEM_DATABASE);
    let audited = "SELECT count(*) FROM fbs_router.audit WHERE action = 'register' AND principal = 'anonymous'";
    assert_eq!(world.count(SYSTEM_DATABASE, audited).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_made_again_is_refused_until_an_operator_accepts_it_and_never_somebody_elses() {
    let world = World::new().await;
    let replica = world.replica().await;
    replica.make(ACME, "A-1").await;
    let implementer = world.platform.implementer();
    implementer.drop_database(ACME_DATABASE).await.unwrap();
    replica.becomes(ACME, Err(DETACHED)).await;
    world.create_own_database(ACME).await;
    replica.becomes(ACME, Err(MISMATCH)).await;
    // Another solution's database under the name is not to be had by any word.
    replica.becomes("initech", Ok("SYSTEM fbs_system_db")).await;
    let solution = replica.register(confirmed(ACME)).await.unwrap();
    assert_eq!(solution.routes.iter().map(|route| route.epoch).max(), Some(2));
    replica.becomes(ACME, Ok("DEDICATED djo_acme_corp_db")).await;
    assert_eq!(replica.create(ACME, "A-2").await.unwrap().database, ACME_DATABASE);
    assert_eq!(replica.names(ACME).await.unwrap(), ["A-2"]);
    assert_eq!(world.system_rows(ACME).await, 0);

    world.create_own_database("globex").await;
    replica.make("globex", "G-1").await;
    implementer.drop_database(ACME_DATABASE).await.unwrap();
    soon("the name is free", async || {
        implementer.rename("djo_globex_db", ACME_DATABASE).await.map_err(|error| format!("{error:?}"))
    })
    .await;
    replica.becomes(ACME, Err(MISMATCH)).await;
    assert_eq!(replica.register(confirmed(ACME)).await.unwrap_err().1, MISMATCH.1);
    replica.becomes(ACME, Err(MISMATCH)).await;
    assert_eq!(world.rows(ACME_DATABASE, "globex").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_gives_up_what_is_gone_and_nothing_that_is_served() {
    let world = World::new().await;
    let replica = world.replica().await;
    let before = replica.make(ACME, "A-1").await;
    let request = ReleaseSolutionRequest { solution: ACME.into(), ..Default::default() };
    assert_eq!(violated(&replica.admin().release_solution(request).await.unwrap_err()), ["confirm"]);
    assert_eq!(replica.release(ACME).await.unwrap_err().1, "FIELD_INVALID", "it is served");
    assert_eq!(replica.get(ACME, &before.document_id).await.unwrap().database, ACME_DATABASE);

    let implementer = world.platform.implementer();
    implementer.rename(ACME_DATABASE, "away").await.unwrap();
    replica.becomes(ACME, Err(DETACHED)).await;
    replica.release(ACME).await.unwrap();
    replica.becomes(ACME, Ok("SYSTEM fbs_system_db")).await;
    assert_eq!(replica.create(ACME, "A-2").await.unwrap().database, SYSTEM_DATABASE);
    // It comes back: it is not taken over by itself, and nobody writes there any more.
    implementer.rename("away", ACME_DATABASE).await.unwrap();
    soon("its fence is closed", async || {
        match world.count(ACME_DATABASE, "SELECT count(*) FROM fbs_router.fence WHERE state = 'MOVED'").await {
            1 => Ok(()),
            _ => Err("not yet"),
        }
    })
    .await;
    assert_eq!(replica.names(ACME).await.unwrap(), ["A-2"]);
    // Released once more, nothing changes.
    let epoch = "SELECT epoch FROM fbs_router.placement WHERE company_id = 'acme_corp' AND app = 'fbs_dms'";
    assert_eq!(world.count(SYSTEM_DATABASE, epoch).await, 2);
    replica.release(ACME).await.unwrap();
    assert_eq!(world.count(SYSTEM_DATABASE, epoch).await, 2);
    let audited = "SELECT count(*) FROM fbs_router.audit WHERE action = 'release' AND principal = 'anonymous'";
    assert_eq!(world.count(SYSTEM_DATABASE, audited).await, 1);
    // What could not be read was not: nobody is told that it was.
    world.platform.cluster.kill().await.unwrap();
    let refused = replica.admin().refresh_routes(within(RefreshRoutesRequest {})).await.unwrap_err();
    assert_eq!(reason(&refused), failure(UNKNOWN.0, UNKNOWN.1));
    world.platform.cluster.start_again().await.unwrap();
    soon("it is read again", async || {
        let answer = replica.admin().refresh_routes(within(RefreshRoutesRequest {})).await;
        answer.map(drop).map_err(|status| format!("{status:?}"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_only_down_is_neither_released_nor_exchanged_for_another() {
    let world = World::new().await;
    let replica = world.replica().await;
    let acme = replica.make(ACME, "A-1").await;
    let implementer = world.platform.implementer();
    implementer.copy_database(TEMPLATE_DATABASE, "another").await.unwrap();
    let unchanged = "SELECT count(*) FROM fbs_router.placement WHERE company_id = 'acme_corp' AND placement = 'DEDICATED' AND epoch = 1";
    let exchange = RegisterSolutionRequest { database: "another".into(), ..confirmed(ACME) };
    for (down, up) in
        [("ALLOW_CONNECTIONS false", "ALLOW_CONNECTIONS true"), ("CONNECTION LIMIT 0", "CONNECTION LIMIT -1")]
    {
        world.run("postgres", &format!("ALTER DATABASE {ACME_DATABASE} WITH {down}")).await;
        implementer.end_sessions(ACME_DATABASE).await.unwrap();
        let unavailable = failure(Code::Unavailable, "DATABASE_UNAVAILABLE");
        assert_eq!(replica.release(ACME).await.unwrap_err(), unavailable, "{down}");
        assert_eq!(replica.register(exchange.clone()).await.unwrap_err(), unavailable, "{down}");
        assert_eq!(world.count(SYSTEM_DATABASE, unchanged).await, 1, "{down}");
        assert_eq!(world.system_rows(ACME).await, 0);
        world.run("postgres", &format!("ALTER DATABASE {ACME_DATABASE} WITH {up}")).await;
        soon("it is served again", async || match replica.get(ACME, &acme.document_id).await {
            Ok(answer) if answer.database == ACME_DATABASE => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
    }
    // It is served: there is nothing to decide, and nothing to exchange.
    assert_eq!(replica.wrong(exchange).await, ["confirm"]);
    assert_eq!(replica.get(ACME, &acme.document_id).await.unwrap().database, ACME_DATABASE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_of_confirmation_leaves_no_document_behind_in_the_system_database() {
    let world = World::new().await;
    let replica = world.replica().await;
    let globex = replica.make("globex", "G-1").await;
    world.create_own_database("globex").await;
    assert_eq!(replica.wrong(confirmed("globex")).await, ["confirm"]);
    assert_eq!(replica.get("globex", &globex.document_id).await.unwrap().database, SYSTEM_DATABASE);
}

/// The ledger as a dump from before `acme_corp` became dedicated would bring it back.
async fn forget_acme(world: &World) {
    world.in_ledger("DELETE FROM fbs_router.placement WHERE company_id = 'acme_corp'").await;
    world.in_ledger("DELETE FROM fbs_router.fence WHERE company_id = 'acme_corp'").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_is_decided_by_an_operator_for_either_place_at_an_epoch_above_both() {
    for dedicated in [true, false] {
        let world = World::new().await;
        let replica = world.replica_with("[ledger]\nsnapshot = \"\"\n").await;
        replica.make(ACME, "A-1").await;
        forget_acme(&world).await;
        let replica = replica.restart().await;
        replica.becomes(ACME, Err(CONFLICT)).await;
        assert_eq!(world.system_rows(ACME).await, 0);
        if dedicated {
            replica.register(confirmed(ACME)).await.unwrap();
            replica.becomes(ACME, Ok("DEDICATED djo_acme_corp_db")).await;
            assert_eq!(replica.create(ACME, "A-2").await.unwrap().database, ACME_DATABASE);
            assert_eq!(world.system_rows(ACME).await, 0);
        } else {
            replica.release(ACME).await.unwrap();
            replica.becomes(ACME, Ok("SYSTEM fbs_system_db")).await;
            assert_eq!(replica.create(ACME, "A-2").await.unwrap().database, SYSTEM_DATABASE);
            let closed = "SELECT count(*) FROM fbs_router.fence WHERE state = 'MOVED' AND epoch >= 2";
            assert_eq!(world.count(ACME_DATABASE, closed).await, 1);
        }
        let above = "SELECT count(*) FROM fbs_router.placement WHERE company_id = 'acme_corp' AND epoch >= 2";
        assert_eq!(world.count(SYSTEM_DATABASE, above).await, 1, "dedicated: {dedicated}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_another_ledger_is_accepted_for_a_solution_without_a_record() {
    let world = World::new().await;
    let replica = world.replica().await;
    // Brought from another installation.
    let brought = "INSERT INTO fbs_router.identity (kind, solution, ledger_id) VALUES ('dedicated', 'acme_corp', gen_random_uuid())";
    world.run(ACME_DATABASE, brought).await;
    replica.becomes(ACME, Err(MISMATCH)).await;
    replica.register(confirmed(ACME)).await.unwrap();
    replica.becomes(ACME, Ok("DEDICATED djo_acme_corp_db")).await;
    assert_eq!(replica.create(ACME, "A-1").await.unwrap().database, ACME_DATABASE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_became_another_cluster_is_accepted_by_the_number_it_reports() {
    let world = World::new().await;
    let replica = world.replica().await;
    let acme = replica.make(ACME, "A-1").await;
    let is_now = "SELECT system_identifier::text::bigint FROM pg_control_system()";
    let identifier = u64::try_from(world.count("postgres", is_now).await).unwrap();
    // As the ledger would be after a major upgrade.
    world.in_ledger("UPDATE fbs_router.server SET system_identifier = '7'").await;
    replica.becomes(ACME, Err(MISMATCH)).await;
    let accept = async |server: &str, system_identifier: u64| {
        let request = AcceptServerRequest { server: server.into(), system_identifier };
        replica.admin().accept_server(request).await.map(drop).map_err(|status| violated(&status))
    };
    assert_eq!(accept("main", 7).await.unwrap_err(), ["system_identifier"]);
    assert_eq!(accept("elsewhere", identifier).await.unwrap_err(), ["server"]);
    replica.becomes(ACME, Err(MISMATCH)).await;
    accept("main", identifier).await.unwrap();
    replica.becomes(ACME, Ok("DEDICATED djo_acme_corp_db")).await;
    assert_eq!(replica.get(ACME, &acme.document_id).await.unwrap().message, acme);
    let audited = "SELECT count(*) FROM fbs_router.audit WHERE action = 'accept-server' AND company_id = '*'";
    assert_eq!(world.count(SYSTEM_DATABASE, audited).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_removed_when_it_holds_nothing_and_nobody_is_configured_for_it() {
    let world = World::new().await;
    let replica = world.replica().await;
    world
        .in_ledger("INSERT INTO fbs_router.server (server, system_identifier) VALUES ('gone', '7'), ('kept', '8')")
        .await;
    world
        .in_ledger(
            "INSERT INTO fbs_router.placement (company_id, app, placement, epoch, server, database_name, database_oid, database_uuid)
             VALUES ('initech', 'fbs_dms', 'DEDICATED', 1, 'kept', 'djo_initech_db', 1, gen_random_uuid())",
        )
        .await;
    // Whether a name is listed there is not known.
    replica.becomes("globex", Err(UNKNOWN)).await;
    let remove = async |server: &str| {
        let request = RemoveServerRequest { server: server.into() };
        replica.admin().remove_server(request).await.map(drop).map_err(|status| violated(&status))
    };
    for server in ["main", "kept", "never", ""] {
        assert_eq!(remove(server).await.unwrap_err(), ["server"], "{server:?}");
    }
    remove("gone").await.unwrap();
    assert_eq!(remove("gone").await.unwrap_err(), ["server"]);
    replica.becomes("globex", Err(UNKNOWN)).await;
    world.in_ledger("UPDATE fbs_router.placement SET placement = 'SYSTEM', epoch = 2, server = NULL, database_name = NULL, database_oid = NULL, database_uuid = NULL WHERE company_id = 'initech'").await;
    remove("kept").await.unwrap();
    replica.becomes("globex", Ok("SYSTEM fbs_system_db")).await;
    assert_eq!(replica.health("").await.unwrap(), 1, "it lacks no server any more");
}

/// A decision has no request_id: its caller is not told to come back as if nothing had happened.
#[tokio::test(flavor = "multi_thread")]
async fn a_decision_whose_commit_got_no_answer_is_not_known() {
    let world = World::new().await;
    let replica = world.replica().await;
    world.in_ledger("INSERT INTO fbs_router.server (server, system_identifier) VALUES ('gone', '7')").await;
    let owner = world.platform.cluster.connect(SYSTEM_DATABASE).await.unwrap();
    let hold = "CREATE FUNCTION public.hold() RETURNS trigger LANGUAGE plpgsql AS
                    $$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END $$;
                CREATE CONSTRAINT TRIGGER hold AFTER INSERT ON fbs_router.audit
                    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.hold();";
    owner.batch_execute(hold).await.unwrap();
    let end = "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity
                WHERE datname = current_database() AND query = 'COMMIT' AND wait_event = 'advisory'";
    let end_in_commit = async || {
        soon("it waits in its COMMIT", async || match world.count(SYSTEM_DATABASE, end).await {
            1 => Ok(()),
            other => Err(other),
        })
        .await;
        owner.batch_execute("SELECT pg_advisory_unlock(1)").await.unwrap();
    };
    let not_known = failure(Code::Unknown, "OUTCOME_UNKNOWN");
    owner.batch_execute("SELECT pg_advisory_lock(1)").await.unwrap();
    let mut admin = replica.admin();
    let registered = admin.register_solution(within(RegisterSolutionRequest {
        solution: "globex".into(),
        ..RegisterSolutionRequest::default()
    }));
    let (registered, ()) = tokio::join!(registered, end_in_commit());
    assert_eq!(reason(&registered.unwrap_err()), not_known);
    owner.batch_execute("SELECT pg_advisory_lock(1)").await.unwrap();
    let removed = admin.remove_server(within(RemoveServerRequest { server: "gone".into() }));
    let (removed, ()) = tokio::join!(removed, end_in_commit());
    assert_eq!(reason(&removed.unwrap_err()), not_known);
}

#[tokio::test(flavor = "multi_thread")]
async fn refreshing_routes_waits_for_a_scan_that_began_after_the_call() {
    let world = World::new().await;
    let replica = world.replica_with("[routing]\nscan_interval = \"1h\"\n").await;
    world.create_own_database("globex").await;
    replica.admin().refresh_routes(RefreshRoutesRequest {}).await.unwrap();
    let request = fbs_router_proto::router::v1::ListSolutionsRequest {
        prefix: "globex".into(),
        page_size: 1,
        ..Default::default()
    };
    let listed = replica.routes().list_solutions(request).await.unwrap().into_inner();
    assert_eq!(listed.solutions.len(), 1);
    let audited = "SELECT count(*) FROM fbs_router.audit WHERE action = 'refresh-routes' AND company_id = '*'";
    assert_eq!(world.count(SYSTEM_DATABASE, audited).await, 1);
}
