//! A Postgres behind PgBouncer in transaction mode: served as without it, and proved in every transaction, because where a
//! connection led before says nothing about where it leads now.

use std::sync::atomic::Ordering::Relaxed;

use fbs_router_proto::router::v1::Placement;
use fbs_router_sandbox::{
    PgBouncer,
    platform::{ACME_DATABASE, PASSWORD, SYSTEM_DATABASE},
    soon,
};
use tonic::Code;

use crate::{
    identity::MISMATCH,
    moving::{DEDICATED, GLOBEX, SYSTEM, fill, placed, to},
    support::{
        Replica, World, failure,
        load::{Load, NOBODY_KNOWS},
        transfers::noise,
    },
};

const INITECH_DATABASE: &str = "djo_initech_db";
const DOWN: (Code, &str) = (Code::Unavailable, "DATABASE_UNAVAILABLE");
const CONFLICT: (Code, &str) = (Code::FailedPrecondition, "PLACEMENT_CONFLICT");

/// A PgBouncer with fewer connections than callers, so that they get each other's. None, aloud, where there is none.
async fn pooler(world: &World) -> Option<PgBouncer> {
    let Some(program) = PgBouncer::find() else {
        eprintln!("SKIPPED: there is no pgbouncer here, and `make pgbouncer` could not fetch one");
        return None;
    };
    Some(PgBouncer::start(&program, &world.platform.cluster, 2, "fbs_router", PASSWORD).await.unwrap())
}

async fn behind(world: &World, pooler: &PgBouncer) -> Replica {
    let direct = world.platform.url();
    let url = format!("postgres://fbs_router@127.0.0.1:{}", pooler.port());
    let text = world.configuration(&url, "[pool]\nwait = \"5s\"\ncreate = \"5s\"\n");
    let text = text.replace("max_connections", &format!("pooler = true\ncatalog_url = \"{direct}\"\nmax_connections"));
    Replica::start(&text, &world.snapshot("router")).await
}

fn home(solution: &str) -> &'static str {
    match solution {
        "acme_corp" => ACME_DATABASE,
        "initech" => INITECH_DATABASE,
        _ => SYSTEM_DATABASE,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_repeats_and_moves_go_through_a_pooler_as_without_one() {
    let world = World::new().await;
    let Some(pooler) = pooler(&world).await else { return };
    let replica = behind(&world, &pooler).await;
    let (first, id) = fill(&replica).await;
    world.create_own_database(GLOBEX).await;
    for (placement, place) in [(Placement::Dedicated, DEDICATED), (Placement::System, SYSTEM)] {
        replica.moves(to(placement)).await;
        placed(&replica, place).await;
        assert_eq!(replica.download(GLOBEX, &id).await.unwrap().1, noise(700_000));
        assert_eq!(replica.ask_create(first.clone()).await.unwrap().document_id, id);
        assert_eq!(replica.names(GLOBEX).await.unwrap(), ["first"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_works_through_a_pooler_in_transaction_mode_and_nothing_goes_elsewhere_when_an_entry_is_changed() {
    let world = World::new().await;
    let Some(pooler) = pooler(&world).await else { return };
    pooler.lead(&[(ACME_DATABASE, ACME_DATABASE)]).await.unwrap();
    let replica = behind(&world, &pooler).await;
    world.create_own_database("initech").await;
    let load = Load::new(&replica, &["acme_corp", "globex", "initech"]).await;
    let acme = &load.solutions["acme_corp"];
    // In all like acme's own, but for its name: identity, fence, documents.
    let implementer = world.platform.implementer();
    let copied = async || {
        implementer.allow_connections(ACME_DATABASE, false).await.unwrap();
        implementer.copy_database(ACME_DATABASE, "twin").await.unwrap();
        implementer.allow_connections(ACME_DATABASE, true).await.unwrap();
    };
    copied().await;
    let twins = world.rows("twin", "acme_corp").await;
    let before =
        world.count(INITECH_DATABASE, "SELECT count(*) FROM fbs_document.document WHERE company_id <> 'initech'");
    assert_eq!(before.await, 0);
    let story = async {
        acme.allow(&[DOWN, MISMATCH, NOBODY_KNOWS]);
        load.enough(&[]).await;
        acme.allow(&[]);
        load.enough(&[]).await;
        for elsewhere in [INITECH_DATABASE, "twin", SYSTEM_DATABASE] {
            acme.allow(&[MISMATCH, DOWN, CONFLICT, NOBODY_KNOWS]);
            pooler.lead(&[(ACME_DATABASE, elsewhere)]).await.unwrap();
            // Those that were under way end where they began.
            load.enough(&["acme_corp"]).await;
            acme.nobody.store(true, Relaxed);
            soon("where it leads is told", async || match replica.names("acme_corp").await {
                Err(refusal) if refusal == failure(MISMATCH.0, MISMATCH.1) => Ok(()),
                other => Err(format!("{other:?}")),
            })
            .await;
            load.enough(&["acme_corp"]).await;
            acme.nobody.store(false, Relaxed);
            pooler.lead(&[(ACME_DATABASE, ACME_DATABASE)]).await.unwrap();
            load.enough(&[]).await;
            acme.allow(&[]);
            load.enough(&[]).await;
        }
        load.over.store(true, Relaxed);
    };
    tokio::join!(load.go_on(), story);
    load.is_accounted_for(&world.platform.cluster, home).await;
    assert_eq!(world.rows("twin", "acme_corp").await, twins, "something was written into the twin");
    let strangers = "SELECT (SELECT count(*) FROM fbs_document.document WHERE company_id <> 'initech') \
                          + (SELECT count(*) FROM fbs_router.request_record WHERE company_id <> 'initech')";
    assert_eq!(world.count(INITECH_DATABASE, strangers).await, 0);
    assert_eq!(world.system_rows("acme_corp").await, 0);
}
