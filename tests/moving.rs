//! A solution's documents move to its own database and back: all of them or none.

mod refusals;
mod under_fire;

use std::time::Duration;

use fbs_router_proto::{
    admin::v1::{
        MoveSolutionRequest, MoveSolutionResponse, admin_service_client::AdminServiceClient,
        move_solution_response::Step,
    },
    document::v1::{CreateDocumentRequest, DocumentType},
    router::v1::{Placement, candidate::Reason},
};
use fbs_router_sandbox::{Cluster, eventually, platform::SYSTEM_DATABASE, soon};
use tonic::{Code, Status, transport::Channel};

use crate::support::{
    Replica, World,
    asking::{creation, definition, deletion, request_id, submission},
    draft, failure, reason,
    transfers::noise,
};

pub(crate) const DEDICATED: &str = "DEDICATED djo_globex_db";
pub(crate) const SYSTEM: &str = "SYSTEM fbs_system_db";
const OWN: &str = "djo_globex_db";
pub(crate) const GLOBEX: &str = "globex";

/// A move that fell silent is taken back soon.
const IMPATIENT: &str = "[moving]\nstale_after = \"2s\"\n";

pub(crate) fn to(placement: Placement) -> MoveSolutionRequest {
    MoveSolutionRequest { solution: GLOBEX.into(), to: placement.into(), ..Default::default() }
}

impl Replica {
    pub(crate) fn admin(&self) -> AdminServiceClient<Channel> {
        AdminServiceClient::new(self.channel.clone())
    }

    /// Follows a move to its end.
    async fn walk(&self, request: MoveSolutionRequest) -> Result<Vec<MoveSolutionResponse>, Status> {
        let mut steps = self.admin().move_solution(request).await?.into_inner();
        let mut seen = Vec::new();
        while let Some(step) = steps.message().await? {
            seen.push(step);
        }
        Ok(seen)
    }

    /// Moves, and expects that it is done.
    pub(crate) async fn moves(&self, request: MoveSolutionRequest) -> MoveSolutionResponse {
        let last = self.walk(request).await.unwrap().pop().unwrap();
        assert_eq!(last.step(), Step::Done, "{last:?}");
        last
    }

    async fn refused(&self, request: MoveSolutionRequest) -> (Code, String) {
        reason(&self.walk(request).await.unwrap_err())
    }
}

/// Every row of every table that has a solution, as text, but for what stays behind: audit, canary, fence, ledger.
async fn contents(cluster: &Cluster, database: &str, solution: &str) -> Vec<(String, i64, String)> {
    let client = cluster.connect(database).await.unwrap();
    let tables = client
        .query(
            "SELECT c.oid::regclass::text,
                    (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attname) FROM pg_attribute a
                      WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
               FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
              WHERE n.nspname IN ('fbs_document', 'fbs_router') AND c.relkind = 'r'
                AND c.relname NOT IN ('audit', 'canary', 'fence', 'placement', 'registration')
                AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'company_id')
              ORDER BY 1",
            &[],
        )
        .await
        .unwrap();
    let mut found = Vec::new();
    for table in tables {
        let (name, columns): (String, String) = (table.get(0), table.get(1));
        let sql = format!(
            "SELECT count(*), md5(coalesce(string_agg(line, '|' ORDER BY line), ''))
               FROM (SELECT ROW({columns})::text AS line FROM {name} WHERE company_id = $1) rows"
        );
        let row = client.query_one(&sql, &[&solution]).await.unwrap();
        found.push((name, row.get(0), row.get(1)));
    }
    found
}

/// A row in every table. The id under which the first document was made, and its own.
pub(crate) async fn fill(replica: &Replica) -> (CreateDocumentRequest, String) {
    let rules = DocumentType { code: "memo".into(), name: "Memo".into(), ..Default::default() };
    replica.ask_put_type(definition(GLOBEX, rules)).await.unwrap();
    let mut titled = draft("first");
    titled.title = "Überschrift 'mit' \\Zeichen\u{1F980}".into();
    titled.tags = vec!["a,b".into(), "{c}".into()];
    let mut first = creation(GLOBEX, titled);
    first.request_id = request_id();
    let made = replica.ask_create(first.clone()).await.unwrap();
    replica.upload(GLOBEX, &made.document_id, "file.bin", &noise(700_000)).await.unwrap();
    replica.ask_submit(submission(GLOBEX, &made.document_id)).await.unwrap();
    let gone = replica.make(GLOBEX, "gone").await;
    replica.ask_delete(deletion(GLOBEX, &gone.document_id)).await.unwrap();
    (first, made.document_id)
}

pub(crate) async fn placed(replica: &Replica, place: &str) {
    soon("the route is as it has to be", async || match replica.place(GLOBEX).await {
        Ok(found) if found == place => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_carries_every_row_to_the_own_database_and_back_and_purges_when_told() {
    let world = World::new().await;
    let replica = world.replica().await;
    let (first, id) = fill(&replica).await;
    let other = replica.make("initech", "I-1").await;
    world.create_own_database(GLOBEX).await;
    soon("the candidate is told, with what to do", async || {
        let candidate = replica.resolve(GLOBEX).await.ok().and_then(|route| route.candidate);
        let told = candidate.filter(|told| told.reason() == Reason::RowsInSystemDatabase);
        told.filter(|told| told.remedy == "fbs-router move globex --to dedicated").map(drop).ok_or("not yet")
    })
    .await;
    let cluster = &world.platform.cluster;
    let before = contents(cluster, SYSTEM_DATABASE, GLOBEX).await;
    assert!(before.iter().all(|(_, rows, _)| *rows > 0), "a table without a row proves nothing: {before:?}");
    let stranger = contents(cluster, SYSTEM_DATABASE, "initech").await;

    // Only told.
    let told = replica.walk(MoveSolutionRequest { dry_run: true, ..to(Placement::Dedicated) }).await.unwrap();
    let [only] = &told[..] else { panic!("{told:?}") };
    let rows: i64 = before.iter().map(|(_, rows, _)| *rows).sum();
    assert_eq!((only.step(), only.rows_total), (Step::Prepare, rows));
    assert_eq!(replica.place(GLOBEX).await.as_deref(), Ok(SYSTEM));
    assert_eq!(contents(cluster, SYSTEM_DATABASE, GLOBEX).await, before);
    assert!(contents(cluster, OWN, GLOBEX).await.iter().all(|(_, rows, _)| *rows == 0));

    let done = replica.moves(to(Placement::Dedicated)).await;
    assert_eq!((done.rows_copied, done.rows_total), (rows, rows));
    assert_eq!(contents(cluster, OWN, GLOBEX).await, before);
    placed(&replica, DEDICATED).await;
    // The same documents, the same file, and the request that made one is remembered.
    let read = replica.get(GLOBEX, &id).await.unwrap();
    assert_eq!((read.database.as_str(), read.message.name.as_str()), (OWN, "first"));
    assert_eq!(replica.download(GLOBEX, &id).await.unwrap().1, noise(700_000));
    assert_eq!(replica.ask_create(first.clone()).await.unwrap().document_id, id);
    assert_eq!(contents(cluster, SYSTEM_DATABASE, GLOBEX).await, before, "the source is read-only");
    assert_eq!(contents(cluster, SYSTEM_DATABASE, "initech").await, stranger);
    assert_eq!(replica.get("initech", &other.document_id).await.unwrap().database, SYSTEM_DATABASE);

    // Again: it is there. Old rows go when told, and only then.
    assert_eq!(replica.moves(to(Placement::Dedicated)).await.rows_copied, 0);
    let wrong = replica.refused(MoveSolutionRequest { purge: true, ..to(Placement::System) }).await;
    assert_eq!(wrong, failure(Code::InvalidArgument, "FIELD_INVALID"));
    replica.moves(MoveSolutionRequest { purge: true, ..to(Placement::Dedicated) }).await;
    assert!(contents(cluster, SYSTEM_DATABASE, GLOBEX).await.iter().all(|(_, rows, _)| *rows == 0));
    assert_eq!(contents(cluster, SYSTEM_DATABASE, "initech").await, stranger);
    assert_eq!(replica.get(GLOBEX, &id).await.unwrap().database, OWN);

    // And back, with what was written meanwhile.
    replica.make(GLOBEX, "later").await;
    let before = contents(cluster, OWN, GLOBEX).await;
    replica.moves(to(Placement::System)).await;
    placed(&replica, SYSTEM).await;
    assert_eq!(contents(cluster, SYSTEM_DATABASE, GLOBEX).await, before);
    assert_eq!(replica.create(GLOBEX, "at home").await.unwrap().database, SYSTEM_DATABASE);
    assert_eq!(contents(cluster, OWN, GLOBEX).await, before, "the source is read-only");
    replica.moves(MoveSolutionRequest { purge: true, ..to(Placement::System) }).await;
    assert!(contents(cluster, OWN, GLOBEX).await.iter().all(|(_, rows, _)| *rows == 0));

    // A purge that was ended before its last word is ended by the next: its mark would look like rows that are left.
    let own = cluster.connect(OWN).await.unwrap();
    own.batch_execute("UPDATE fbs_router.fence SET move_id = gen_random_uuid()").await.unwrap();
    replica.moves(MoveSolutionRequest { purge: true, ..to(Placement::System) }).await;
    assert_eq!(
        world.count(OWN, "SELECT count(*) FROM fbs_router.fence WHERE move_id IS NULL AND state = 'MOVED'").await,
        1
    );

    // It is not taken over by itself, also when no row is left; told so, it moves once more.
    placed(&replica, SYSTEM).await;
    replica.moves(to(Placement::Dedicated)).await;
    placed(&replica, DEDICATED).await;
    assert_eq!(replica.names(GLOBEX).await.unwrap().len(), 3);
    let audit =
        "SELECT count(*) FROM fbs_router.audit WHERE company_id = 'globex' AND principal = 'anonymous' AND action = ";
    for (action, times) in [("'move'", 3), ("'switch'", 3), ("'move-back'", 0), ("'purge'", 3)] {
        assert_eq!(world.count(SYSTEM_DATABASE, &format!("{audit}{action}")).await, times, "{action}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_cannot_be_made_is_refused_and_changes_nothing() {
    let world = World::new().await;
    let replica = world.replica_with("[moving]\nmax_rows = 1\n").await;
    replica.make(GLOBEX, "G-1").await;
    let invalid = failure(Code::InvalidArgument, "FIELD_INVALID");
    let none = failure(Code::FailedPrecondition, "ISOLATION_REQUIRED");
    assert_eq!(replica.refused(to(Placement::Unspecified)).await, invalid);
    assert_eq!(replica.refused(to(Placement::Dedicated)).await, none);
    // Nobody has heard of it: nothing to move, and nothing recorded.
    let unheard = MoveSolutionRequest { solution: "unheard".into(), ..to(Placement::Dedicated) };
    assert_eq!(replica.refused(unheard).await, none);
    let record = "SELECT count(*) FROM fbs_router.placement WHERE company_id = 'unheard'";
    assert_eq!(world.count(SYSTEM_DATABASE, record).await, 0);
    // Listed, and not prepared.
    world.platform.implementer().create_database(OWN).await.unwrap();
    soon("it is noticed", async || {
        let found = replica.refused(to(Placement::Dedicated)).await;
        if found == failure(Code::FailedPrecondition, "SCHEMA_NOT_READY") { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
    world.platform.implementer().drop_database(OWN).await.unwrap();
    world.create_own_database(GLOBEX).await;
    replica.make(GLOBEX, "G-2").await;
    soon("more rows than allowed", async || {
        let found = replica.refused(to(Placement::Dedicated)).await;
        if found == invalid { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
    assert_eq!(replica.create(GLOBEX, "G-3").await.unwrap().database, SYSTEM_DATABASE);
    // A solution that must have its own database is not moved out of it.
    let acme = replica.create("acme_corp", "A-1").await.unwrap();
    let register = "INSERT INTO fbs_router.registration (company_id, app) VALUES ('acme_corp', 'fbs_dms')";
    world.in_ledger(register).await;
    let out = MoveSolutionRequest { solution: "acme_corp".into(), ..to(Placement::System) };
    assert_eq!(replica.refused(out).await, none);
    assert_eq!(replica.get("acme_corp", &acme.message.document_id).await.unwrap().database, "djo_acme_corp_db");
    let moved = "SELECT count(*) FROM fbs_router.placement WHERE move_id IS NOT NULL";
    assert_eq!(world.count(SYSTEM_DATABASE, moved).await, 0);
}

/// Moves as soon as that is possible.
async fn moves_soon(replica: &Replica, request: MoveSolutionRequest) {
    eventually("the move is made", patience(), async || {
        match replica.walk(request.clone()).await.map(|mut steps| steps.pop()) {
            Ok(Some(last)) if last.step() == Step::Done => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_waits_for_writers_in_flight_and_carries_what_they_wrote() {
    let world = World::new().await;
    let replica = world.replica().await;
    for direction in [Placement::Dedicated, Placement::System] {
        if direction == Placement::Dedicated {
            replica.make(GLOBEX, "G-1").await;
            world.create_own_database(GLOBEX).await;
        }
        let (source, target) =
            if direction == Placement::Dedicated { (SYSTEM_DATABASE, OWN) } else { (OWN, SYSTEM_DATABASE) };
        // As a replica does that was about to commit when the move began.
        let title = format!("written while it moved {direction:?}");
        let writer = world.platform.cluster.connect(source).await.unwrap();
        let writes = format!(
            "BEGIN; SELECT pg_advisory_xact_lock_shared(fbs_router.solution_lock('{GLOBEX}'));
             UPDATE fbs_document.document SET title = '{title}' WHERE company_id = '{GLOBEX}'"
        );
        writer.batch_execute(&writes).await.unwrap();
        let (moved, ()) = tokio::join!(moves_soon(&replica, to(direction)), async {
            let waits =
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock' AND NOT granted";
            soon("the move waits", async || match world.count(source, waits).await {
                0 => Err("it does not"),
                _ => Ok(()),
            })
            .await;
            writer.batch_execute("COMMIT").await.unwrap();
        });
        let () = moved;
        let carried = format!("SELECT count(*) FROM fbs_document.document WHERE title = '{title}'");
        assert_eq!(world.count(target, &carried).await, 1, "{direction:?}");
    }
}

/// The ledger as a dump would bring it back that was made while the solution moved.
const RESTORED: &str = "
    UPDATE fbs_router.fence SET state = 'FROZEN', move_id = '00000000-0000-4000-8000-000000000001'
     WHERE company_id = 'globex';
    ALTER TABLE fbs_router.placement DISABLE TRIGGER epoch;
    UPDATE fbs_router.placement
       SET placement = 'SYSTEM', epoch = 0, server = NULL, database_name = NULL, database_oid = NULL, database_uuid = NULL,
           move_id = '00000000-0000-4000-8000-000000000001', move_direction = 'DEDICATED'
     WHERE company_id = 'globex';
    ALTER TABLE fbs_router.placement ENABLE TRIGGER epoch;";

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_ledger_takes_no_move_back_that_has_ended_since() {
    let world = World::new().await;
    let extra = format!("{IMPATIENT}[ledger]\nsnapshot = \"\"\n");
    let replica = world.replica_with(&extra).await;
    replica.make(GLOBEX, "G-1").await;
    world.create_own_database(GLOBEX).await;
    moves_soon(&replica, to(Placement::Dedicated)).await;
    replica.make(GLOBEX, "G-2").await;
    replica.stop().await;
    world.in_ledger(RESTORED).await;
    let replica = world.replica_with(&extra).await;
    soon("the move is found out to be old", async || {
        let found = replica.refused(to(Placement::Dedicated)).await;
        let expected = failure(Code::FailedPrecondition, "PLACEMENT_CONFLICT");
        if found == expected { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
    let moving = failure(Code::Unavailable, "ROUTE_MOVING");
    assert_eq!(replica.place(GLOBEX).await.unwrap_err(), moving);
    assert_eq!(replica.create(GLOBEX, "G-3").await.unwrap_err(), moving);
    // As docs/operating.md says.
    world.in_ledger("UPDATE fbs_router.placement SET move_id = NULL, move_direction = NULL").await;
    soon("it is a conflict like any other", async || match replica.create(GLOBEX, "G-3").await {
        Err((_, reason)) if reason == "PLACEMENT_CONFLICT" => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert_eq!(world.count(SYSTEM_DATABASE, "SELECT count(*) FROM fbs_document.document WHERE name = 'G-3'").await, 0);
}

fn asked_for(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// For whatever waits for a move, on a slow machine: a bound, and no measure.
fn patience() -> Duration {
    Duration::from_secs(120 + asked_for("FBS_ROWS", 0) as u64 / 20)
}
