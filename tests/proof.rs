//! Each thing that a connection proves, alone in being wrong: refused, never a row, and served again when it is right.

use std::path::{Path, PathBuf};

use fbs_router_sandbox::{
    Address, Cluster, FaultProxy, Implementer, Mode,
    platform::{ACME_DATABASE, SYSTEM_DATABASE, TEMPLATE_DATABASE},
    soon,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UnixStream},
};
use tonic::Code;

use crate::{
    identity::{CONFLICT, MISMATCH, create_on, neighbours, refused, served_again},
    support::{Replica, World, failure, other_cluster, wire::metrics},
};

const NOT_READY: (Code, &str) = (Code::FailedPrecondition, "SCHEMA_NOT_READY");

async fn text(cluster: &Cluster, database: &str, sql: &str) -> String {
    cluster.connect(database).await.unwrap().query_one(sql, &[]).await.unwrap().get(0)
}

async fn alarms(replica: &Replica, reason: &str) -> f64 {
    metrics(replica.ops).await[&format!("fbs_router_isolation_alarms_total{{reason=\"{reason}\"}}")]
}

#[tokio::test(flavor = "multi_thread")]
async fn identity_and_schema_of_a_database_are_compared_each_by_itself() {
    let world = World::new().await;
    // So that nothing but the connection tells.
    let replica = world.replica_with("[routing]\nscan_interval = \"1h\"\n").await;
    let acme = replica.create("acme_corp", "A-1").await.unwrap().message.document_id;
    let globex = replica.create("globex", "G-1").await.unwrap().message.document_id;
    let implementer = world.platform.implementer();
    let save = "CREATE TABLE public.identity AS SELECT * FROM fbs_router.identity; \
                CREATE TABLE public.version AS SELECT * FROM fbs_router.schema_version";
    for database in [ACME_DATABASE, SYSTEM_DATABASE] {
        implementer.run(database, save).await.unwrap();
    }
    let restored = "DELETE FROM fbs_router.identity; INSERT INTO fbs_router.identity SELECT * FROM public.identity; \
                    DELETE FROM fbs_router.schema_version; \
                    INSERT INTO fbs_router.schema_version SELECT * FROM public.version";
    // The fence keeps the uuid that was recorded, so it lets everything through.
    let uuid = "UPDATE fbs_router.identity SET database_uuid = gen_random_uuid()";
    let ledger = "UPDATE fbs_router.identity SET ledger_id = gen_random_uuid()";
    let old = "DELETE FROM fbs_router.schema_version WHERE version > 1";
    let new = "INSERT INTO fbs_router.schema_version VALUES ('documents', 99, 99, '', now())";
    let absent = "DELETE FROM fbs_router.schema_version WHERE component = 'documents'";
    let cases = [
        (ACME_DATABASE, uuid, MISMATCH),
        (ACME_DATABASE, ledger, MISMATCH),
        (ACME_DATABASE, "UPDATE fbs_router.identity SET ledger_id = NULL", MISMATCH),
        (ACME_DATABASE, "UPDATE fbs_router.identity SET solution = 'initech'", MISMATCH),
        (ACME_DATABASE, "UPDATE fbs_router.identity SET solution = NULL, kind = 'system'", MISMATCH),
        (ACME_DATABASE, "DELETE FROM fbs_router.identity", MISMATCH),
        (ACME_DATABASE, old, NOT_READY),
        (ACME_DATABASE, new, NOT_READY),
        (ACME_DATABASE, absent, NOT_READY),
        // The ledger, which lies in it, is read anew and says the same uuid; the fences do not.
        (SYSTEM_DATABASE, uuid, CONFLICT),
        (SYSTEM_DATABASE, ledger, MISMATCH),
        (SYSTEM_DATABASE, "UPDATE fbs_router.identity SET solution = 'globex', kind = 'dedicated'", MISMATCH),
        (SYSTEM_DATABASE, old, NOT_READY),
        (SYSTEM_DATABASE, new, NOT_READY),
    ];
    for (database, wrong, expected) in cases {
        let before = alarms(&replica, MISMATCH.1).await;
        implementer.run(database, wrong).await.unwrap();
        implementer.end_sessions(database).await.unwrap();
        if expected == CONFLICT {
            let uuid = "SELECT database_uuid::text FROM fbs_router.identity";
            let client = world.platform.cluster.connect(database).await.unwrap();
            let uuid: String = client.query_one(uuid, &[]).await.unwrap().get(0);
            soon("the ledger is read anew", async || {
                match replica.resolve("globex").await.map(|route| route.database) {
                    Ok(Some(database)) if database.database_id == uuid => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            })
            .await;
        }
        let (solution, document_id) =
            if database == ACME_DATABASE { ("acme_corp", &acme) } else { ("globex", &globex) };
        for outcome in replica.calls(solution, document_id).await {
            assert_eq!(outcome, Err(failure(expected.0, expected.1)), "{database}: {wrong}");
        }
        let after = alarms(&replica, MISMATCH.1).await;
        assert_eq!(after > before, expected == MISMATCH, "{database}: {wrong}");
        // A system database that is another is everybody's who is in it, and nobody's else.
        let (other, other_id, elsewhere) = if database == ACME_DATABASE {
            ("globex", &globex, SYSTEM_DATABASE)
        } else {
            ("acme_corp", &acme, ACME_DATABASE)
        };
        assert_eq!(replica.get(other, other_id).await.unwrap().database, elsewhere, "{wrong}");
        implementer.run(database, restored).await.unwrap();
        if expected == CONFLICT {
            implementer.end_sessions(database).await.unwrap();
        }
        served_again(&replica, solution, document_id, database).await;
    }
    assert_eq!(replica.names("acme_corp").await.unwrap(), ["A-1"]);
    assert_eq!(replica.names("globex").await.unwrap(), ["G-1"]);
    assert_eq!(world.system_rows("acme_corp").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_restored_since_the_last_scan_is_refused_until_a_scan_has_seen_it() {
    let world = World::new().await;
    let replica = world.replica_with("[routing]\nscan_interval = \"1h\"\n").await;
    let acme = replica.create("acme_corp", "A-1").await.unwrap().message.document_id;
    let implementer = world.platform.implementer();
    implementer.allow_connections(ACME_DATABASE, false).await.unwrap();
    implementer.copy_database(ACME_DATABASE, "restored").await.unwrap();
    implementer.drop_database(ACME_DATABASE).await.unwrap();
    implementer.rename("restored", ACME_DATABASE).await.unwrap();
    // Name, cluster, identity and fence are right; only the oid is not.
    let refusal = replica.create("acme_corp", "A-2").await.map(|answer| answer.database);
    assert_eq!(refusal, Err(failure(MISMATCH.0, MISMATCH.1)));
    assert_eq!(world.rows(ACME_DATABASE, "acme_corp").await, 1);
    let replica = replica.restart().await;
    served_again(&replica, "acme_corp", &acme, ACME_DATABASE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn anothers_database_restored_under_ones_name_and_one_made_empty_are_refused() {
    let (world, replica, [acme, initech]) = neighbours().await;
    let implementer = world.platform.implementer();
    implementer.rename("djo_initech_db", "kept").await.unwrap();
    implementer.allow_connections(ACME_DATABASE, false).await.unwrap();
    implementer.copy_database(ACME_DATABASE, "djo_initech_db").await.unwrap();
    implementer.allow_connections(ACME_DATABASE, true).await.unwrap();
    refused(&replica, "initech", &acme, MISMATCH).await;
    served_again(&replica, "acme_corp", &acme, ACME_DATABASE).await;
    assert_eq!(world.rows("djo_initech_db", "initech").await, 0);
    assert_eq!(world.rows("djo_initech_db", "acme_corp").await, 1);
    // Without even a schema: not "not ready", for the solution has its database.
    implementer.drop_database("djo_initech_db").await.unwrap();
    implementer.create_database("djo_initech_db").await.unwrap();
    refused(&replica, "initech", &initech, MISMATCH).await;
    let replica = replica.restart().await;
    refused(&replica, "initech", &initech, MISMATCH).await;
    assert!(alarms(&replica, MISMATCH.1).await > 0.0);
    implementer.drop_database("djo_initech_db").await.unwrap();
    implementer.rename("kept", "djo_initech_db").await.unwrap();
    served_again(&replica, "initech", &initech, "djo_initech_db").await;
    assert_eq!(replica.names("initech").await.unwrap(), ["I-1"]);
    assert_eq!(world.system_rows("initech").await, 0);
}

// === the way to a server ===

fn socket(cluster: &Cluster) -> PathBuf {
    cluster.socket_directory().join(format!(".s.PGSQL.{}", cluster.port()))
}

/// From now on whoever asks for `link` gets to that cluster.
fn lead(link: &Path, to: &Cluster) {
    let _ = std::fs::remove_file(link);
    std::os::unix::fs::symlink(socket(to), link).unwrap();
}

/// A second server, at the port of a proxy.
fn second(world: &World, port: u16) -> String {
    format!(
        "[[server]]\nname = \"second\"\nurl = \"postgres://fbs_router@127.0.0.1:{port}\"\ntls = \"disable\"\npassword_file = \"{}\"\n",
        world.folder.path().join("password").display()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_leads_to_another_cluster_meanwhile_is_refused_and_served_again_when_it_leads_back() {
    for scan_interval in ["300ms", "1h"] {
        let (world, other) = tokio::join!(World::new(), other_cluster());
        let clone = other_cluster().await;
        let link = world.folder.path().join("server");
        lead(&link, &other);
        let proxy = FaultProxy::start(Address::Unix(link.clone())).await.unwrap();
        let extra = format!("{}[routing]\nscan_interval = \"{scan_interval}\"\n", second(&world, proxy.port()));
        let replica = world.replica_with(&extra).await;
        replica.create("acme_corp", "A-1").await.unwrap();
        create_on(&other, "far").await;
        let far = replica.create("far", "F-1").await.unwrap().message.document_id;
        // A clone in everything: name, oid, identity, fence, documents. Only the cluster is another.
        let oid = text(&other, "postgres", "SELECT oid::text FROM pg_database WHERE datname = 'djo_far_db'").await;
        let create = format!("CREATE DATABASE djo_far_db TEMPLATE {TEMPLATE_DATABASE} OWNER fbs_owner OID {oid}");
        let copying = Implementer::new(&clone);
        copying.run("postgres", &create).await.unwrap();
        for table in ["fbs_router.identity", "fbs_router.fence"] {
            let rows = format!("SELECT json_agg(t)::text FROM {table} AS t");
            let rows = text(&other, "djo_far_db", &rows).await;
            let insert =
                format!("INSERT INTO {table} SELECT * FROM json_populate_recordset(NULL::{table}, $${rows}$$)");
            copying.run("djo_far_db", &insert).await.unwrap();
        }

        lead(&link, &clone);
        proxy.set(Mode::Cut);
        // Its own idle connections are gone with the address, as are the scan's.
        for outcome in replica.calls("far", &far).await {
            assert_eq!(outcome, Err(failure(MISMATCH.0, MISMATCH.1)), "{scan_interval}");
        }
        refused(&replica, "far", &far, MISMATCH).await;
        assert_eq!(replica.create("acme_corp", "A-2").await.unwrap().database, ACME_DATABASE);
        assert_eq!(copying.count("djo_far_db", "SELECT count(*) FROM fbs_document.document").await.unwrap(), 0);
        assert_eq!(world.system_rows("far").await, 0);
        assert!(alarms(&replica, MISMATCH.1).await > 0.0);

        lead(&link, &other);
        proxy.set(Mode::Cut);
        served_again(&replica, "far", &far, "djo_far_db").await;
        assert_eq!(replica.names("far").await.unwrap(), ["F-1"]);
    }
}

/// Forwards to a cluster, as a pooler does that maps names: who asks for `from` gets into `to`.
async fn mapping(to_cluster: &Cluster, from: &'static str, to: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, socket) = (listener.local_addr().unwrap().port(), socket(to_cluster));
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let socket = socket.clone();
            tokio::spawn(async move {
                let mut server = UnixStream::connect(socket).await?;
                let length = client.read_u32().await?;
                let mut start = vec![0; length as usize - 4];
                client.read_exact(&mut start).await?;
                let asked = [b"database\0", from.as_bytes(), b"\0"].concat();
                let given = [b"database\0", to.as_bytes(), b"\0"].concat();
                if let Some(at) = start.windows(asked.len()).position(|found| found == asked) {
                    start.splice(at..at + asked.len(), given);
                }
                server.write_u32(u32::try_from(start.len() + 4).unwrap()).await?;
                server.write_all(&start).await?;
                tokio::io::copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_that_leads_to_a_database_of_another_name_is_refused() {
    let (world, other) = tokio::join!(World::new(), other_cluster());
    let port = mapping(&other, "djo_near_db", "djo_far_db").await;
    let replica = world.replica_with(&second(&world, port)).await;
    create_on(&other, "near").await;
    create_on(&other, "far").await;
    let far = replica.create("far", "F-1").await.unwrap();
    assert_eq!(far.database, "djo_far_db");
    // It is listed, and where it leads to is another's: nothing is claimed, and nothing of far's is seen.
    for outcome in replica.calls("near", &far.message.document_id).await {
        outcome.expect_err("it is not near's");
    }
    let implementer = Implementer::new(&other);
    assert_eq!(implementer.count("djo_far_db", "SELECT count(*) FROM fbs_document.document").await.unwrap(), 1);
    assert_eq!(implementer.count("djo_near_db", "SELECT count(*) FROM fbs_router.identity").await.unwrap(), 0);
    assert_eq!(world.system_rows("near").await, 0);
    served_again(&replica, "far", &far.message.document_id, "djo_far_db").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_that_leads_to_a_copy_of_the_system_database_is_refused_by_the_name_alone() {
    let world = World::new().await;
    let replica = world.replica().await;
    let globex = replica.create("globex", "G-1").await.unwrap().message.document_id;
    replica.kill().await;
    let implementer = world.platform.implementer();
    implementer.allow_connections(SYSTEM_DATABASE, false).await.unwrap();
    implementer.copy_database(SYSTEM_DATABASE, "yesterday").await.unwrap();
    implementer.allow_connections(SYSTEM_DATABASE, true).await.unwrap();
    let port = mapping(&world.platform.cluster, SYSTEM_DATABASE, "yesterday").await;
    let url = format!("postgres://fbs_router@127.0.0.1:{port}?sslmode=disable");
    let replica = world.replica_at(&url, "").await;
    for outcome in replica.calls("globex", &globex).await {
        assert_eq!(outcome, Err(failure(MISMATCH.0, MISMATCH.1)));
    }
    assert_eq!(world.rows("yesterday", "globex").await, 1);
    assert_eq!(world.system_rows("globex").await, 1);
}

// === ledger and fence ===

#[tokio::test(flavor = "multi_thread")]
async fn a_system_database_restored_from_before_a_taking_over_serves_everybody_but_whom_it_has_forgotten() {
    let world = World::new().await;
    let replica = world.replica().await;
    world.create_own_database("initech").await;
    let globex = replica.create("globex", "G-1").await.unwrap().message.document_id;
    let initech = replica.create("initech", "I-1").await.unwrap().message.document_id;
    let implementer = world.platform.implementer();
    implementer.allow_connections(SYSTEM_DATABASE, false).await.unwrap();
    implementer.copy_database(SYSTEM_DATABASE, "yesterday").await.unwrap();
    implementer.allow_connections(SYSTEM_DATABASE, true).await.unwrap();
    let acme = soon("the ledger is back", async || match replica.create("acme_corp", "A-1").await {
        Ok(answer) if answer.database == ACME_DATABASE => Ok(answer.message.document_id),
        other => Err(format!("{other:?}")),
    })
    .await;
    world.snapshot_holds(ACME_DATABASE).await;
    let own = world.rows(ACME_DATABASE, "acme_corp").await;

    implementer.rename(SYSTEM_DATABASE, "lost").await.unwrap();
    implementer.rename("yesterday", SYSTEM_DATABASE).await.unwrap();
    soon("the running replica notices", async || match replica.place("acme_corp").await {
        Err(error) if error == failure(CONFLICT.0, CONFLICT.1) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    let check = async |replica: &Replica| {
        refused(replica, "acme_corp", &acme, CONFLICT).await;
        served_again(replica, "globex", &globex, SYSTEM_DATABASE).await;
        served_again(replica, "initech", &initech, "djo_initech_db").await;
        assert_eq!(replica.create("initech", "I-2").await.unwrap().database, "djo_initech_db");
        assert!(alarms(replica, CONFLICT.1).await > 0.0);
        assert_eq!(world.system_rows("acme_corp").await, 0);
        assert_eq!(world.rows(ACME_DATABASE, "acme_corp").await, own);
    };
    check(&replica).await;
    // With the snapshot of the one that has seen more, and with nothing but the fence.
    let replica = replica.restart().await;
    check(&replica).await;
    replica.kill().await;
    let text = world.configuration(&world.platform.url(), "");
    let fresh = Replica::start(&text, &world.snapshot("fresh")).await;
    check(&fresh).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fence_ahead_of_the_ledger_is_a_conflict_in_both_places() {
    let world = World::new().await;
    let replica = world.replica().await;
    let acme = replica.create("acme_corp", "A-1").await.unwrap().message.document_id;
    let globex = replica.create("globex", "G-1").await.unwrap().message.document_id;
    let implementer = world.platform.implementer();
    let ahead =
        |solution: &str| format!("UPDATE fbs_router.fence SET epoch = epoch + 6 WHERE company_id = '{solution}'");
    implementer.run(ACME_DATABASE, &ahead("acme_corp")).await.unwrap();
    for outcome in replica.calls("acme_corp", &acme).await {
        assert_eq!(outcome, Err(failure(CONFLICT.0, CONFLICT.1)));
    }
    refused(&replica, "acme_corp", &acme, CONFLICT).await;
    served_again(&replica, "globex", &globex, SYSTEM_DATABASE).await;
    let replica = replica.restart().await;
    for outcome in replica.calls("acme_corp", &acme).await {
        assert_eq!(outcome, Err(failure(CONFLICT.0, CONFLICT.1)));
    }
    implementer.run(SYSTEM_DATABASE, &ahead("globex")).await.unwrap();
    for outcome in replica.calls("globex", &globex).await {
        assert_eq!(outcome, Err(failure(CONFLICT.0, CONFLICT.1)));
    }
    assert!(alarms(&replica, CONFLICT.1).await >= 6.0);
    assert_eq!(world.system_rows("acme_corp").await, 0);
    // An operator decides, at an epoch above both; the pairs go on from there.
    world
        .in_ledger(
            "UPDATE fbs_router.placement SET epoch = epoch + 7 WHERE company_id = 'acme_corp' AND app = 'fbs_dms'",
        )
        .await;
    served_again(&replica, "acme_corp", &acme, ACME_DATABASE).await;
    assert_eq!(replica.create("acme_corp", "A-2").await.unwrap().epoch, 8);
}
