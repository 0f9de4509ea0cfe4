//! A database appears: it is used, unless documents would become invisible.

use fbs_router_proto::router::v1::candidate::Reason;
use std::time::Duration;

use fbs_router_sandbox::{Mode, soon};
use tonic::Code;

use crate::support::{World, failure};

const PATIENT: &str = "[pool]\nwait = \"12s\"\ncreate = \"12s\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_first_write_lands_in_the_database_created_just_before_ten_times_of_ten() {
    let world = World::new().await;
    // Never scans by itself after the start, so whatever it knows is old.
    let replica = world.replica_with("[routing]\nscan_interval = \"1h\"\n").await;
    for number in 0..10 {
        let solution = format!("newco{number}");
        assert_eq!(replica.place(&solution).await.unwrap(), "SYSTEM fbs_system_db");
        world.create_own_database(&solution).await;
        let created = replica.create(&solution, "first").await.unwrap();
        assert_eq!(created.database, format!("djo_{solution}_db"));
        assert_eq!(world.system_rows(&solution).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_solution_becomes_dedicated_and_one_with_rows_stays_visible() {
    let world = World::new().await;
    let replica = world.replica().await;
    // Never recorded: at the next call.
    assert_eq!(replica.place("initech").await.unwrap(), "SYSTEM fbs_system_db");
    world.create_own_database("initech").await;
    soon("initech is dedicated", async || match replica.place("initech").await {
        Ok(place) if place == "DEDICATED djo_initech_db" => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;

    // With rows: stays, visible, and says what would end the wait.
    let document = replica.create("globex", "G-1").await.unwrap().message;
    world.create_own_database("globex").await;
    let candidate = soon("globex has a candidate", async || {
        let route = replica.resolve("globex").await.unwrap();
        route.candidate.clone().ok_or("none")
    })
    .await;
    assert_eq!(candidate.reason(), Reason::RowsInSystemDatabase);
    assert_eq!(candidate.database.unwrap().name, "djo_globex_db");
    assert!(candidate.remedy.contains("move globex"));
    assert_eq!(replica.get("globex", &document.document_id).await.unwrap().database, "fbs_system_db");
    assert_eq!(replica.create("globex", "G-2").await.unwrap().database, "fbs_system_db");
    assert_eq!(replica.names("globex").await.unwrap(), ["G-2", "G-1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn three_replicas_and_one_new_database_agree_on_one_placement_at_one_epoch() {
    let world = World::new().await;
    let replicas = [world.replica().await, world.replica().await, world.replica().await];
    world.create_own_database("newco").await;
    let calls = replicas.iter().flat_map(|replica| (0..10).map(move |_| replica.create("newco", "N")));
    for answer in futures_util::future::join_all(calls).await {
        let answer = answer.unwrap();
        assert_eq!((answer.database.as_str(), answer.epoch), ("djo_newco_db", 1));
    }
    assert_eq!(world.system_rows("newco").await, 0);
    let sql = "SELECT count(*) FROM fbs_router.placement WHERE company_id = 'newco' AND epoch = 1";
    assert_eq!(world.platform.implementer().count("fbs_system_db", sql).await.unwrap(), 1);
}

/// A router reads the ledger, then looks into the database. What it sees there may be younger than what it read.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_another_router_takes_over_during_the_look_is_no_conflict() {
    let world = World::new().await;
    let quick = world.replica().await;
    let proxy = world.proxy().await;
    let slow = world.replica_at(&format!("postgres://fbs_router@127.0.0.1:{}", proxy.port()), PATIENT).await;
    let implementer = world.platform.implementer();
    for number in 0..3 {
        let solution = format!("newco{number}");
        world.create_own_database(&solution).await;
        proxy.set(Mode::Delay(Duration::from_millis(30)));
        let looking = async {
            let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = 'djo_{solution}_db'");
            soon("it looks", async || match implementer.count("postgres", &sql).await {
                Ok(1..) => Ok(()),
                other => Err(format!("{other:?}")),
            })
            .await;
            quick.create(&solution, "taken over").await
        };
        let (late, taken_over) = tokio::join!(slow.create(&solution, "late"), looking);
        proxy.set(Mode::Forward);
        for answer in [late.unwrap(), taken_over.unwrap()] {
            assert_eq!((answer.database, answer.epoch), (format!("djo_{solution}_db"), 1));
        }
    }
}

/// Whoever took it over has died, and its fence can be read and not be opened: that is no conflict between ledger and database.
#[tokio::test(flavor = "multi_thread")]
async fn a_fence_that_cannot_be_opened_yet_is_no_conflict() {
    let world = World::new().await;
    let replica = world.replica().await;
    world.create_own_database("initech").await;
    let full = "CREATE FUNCTION public.full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                RAISE EXCEPTION USING ERRCODE = '53100', MESSAGE = 'no room'; END $$; \
                CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON fbs_router.fence EXECUTE FUNCTION public.full()";
    world.run("djo_initech_db", full).await;
    let recorded = "SELECT count(*) FROM fbs_router.placement WHERE company_id = 'initech' AND placement = 'DEDICATED'";
    for turn in 0..3 {
        let refused = replica.create("initech", "too early").await.unwrap_err();
        assert_eq!(refused, failure(Code::ResourceExhausted, "STORAGE_FULL"), "{turn}");
        assert_eq!(world.count("fbs_system_db", recorded).await, 1);
    }
    world.run("djo_initech_db", "DROP TRIGGER full_disk ON fbs_router.fence; DROP FUNCTION public.full()").await;
    assert_eq!(replica.create("initech", "in time").await.unwrap().database, "djo_initech_db");
}

/// Who lives in a database is recorded by the first call for it. What went away before that leaves nothing that names it: the
/// solution begins in the system database, as one that never had another, and stays visible there when it comes back.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_before_the_first_call_for_it_is_one_that_never_was() {
    let world = World::new().await;
    world.create_own_database("initech").await;
    world.run("postgres", "ALTER DATABASE djo_initech_db RENAME TO parked").await;
    let replica = world.replica().await;
    let document = replica.create("initech", "I-1").await.unwrap();
    assert_eq!((document.database.as_str(), document.epoch), ("fbs_system_db", 0));

    world.run("postgres", "ALTER DATABASE parked RENAME TO djo_initech_db").await;
    let candidate = soon("initech has a candidate", async || {
        let route = replica.resolve("initech").await.unwrap();
        route.candidate.clone().ok_or("none")
    })
    .await;
    assert_eq!(candidate.reason(), Reason::RowsInSystemDatabase);
    assert_eq!(replica.place("initech").await.unwrap(), "SYSTEM fbs_system_db");
    assert_eq!(replica.names("initech").await.unwrap(), ["I-1"]);

    // After one call, even one that only reads, it is missed.
    world.create_own_database("hooli").await;
    assert_eq!(replica.place("hooli").await.unwrap(), "DEDICATED djo_hooli_db");
    world.platform.implementer().rename("djo_hooli_db", "elsewhere").await.unwrap();
    let missed = failure(Code::FailedPrecondition, "DATABASE_DETACHED");
    soon("hooli is missed", async || match replica.names("hooli").await {
        Err(refused) if refused == missed => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert_eq!(world.system_rows("hooli").await, 0);
}
