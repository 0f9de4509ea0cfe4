//! A solution's documents move to its own database and back: all of them or none, whatever is killed meanwhile.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use fbs_router_proto::{
    admin::v1::{
        MoveSolutionRequest, MoveSolutionResponse, admin_service_client::AdminServiceClient,
        move_solution_response::Step,
    },
    document::v1::{CreateDocumentRequest, DocumentType},
    router::v1::{Placement, candidate::Reason},
};
use fbs_router_sandbox::{
    Cluster, Implementer, Mode, eventually,
    platform::{SYSTEM_DATABASE, TEMPLATE_DATABASE},
    soon,
};
use tonic::{Code, Status, transport::Channel};

use crate::support::{
    Replica, World,
    asking::{creation, definition, deletion, request_id, submission},
    draft, failure, other_cluster, reason,
    transfers::noise,
    within,
};

const DEDICATED: &str = "DEDICATED djo_globex_db";
const SYSTEM: &str = "SYSTEM fbs_system_db";
const OWN: &str = "djo_globex_db";
const GLOBEX: &str = "globex";

/// A move that fell silent is taken back soon.
const IMPATIENT: &str = "[moving]\nstale_after = \"1s\"\n";

fn to(placement: Placement) -> MoveSolutionRequest {
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
    async fn moves(&self, request: MoveSolutionRequest) -> MoveSolutionResponse {
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
async fn fill(replica: &Replica) -> (CreateDocumentRequest, String) {
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

async fn placed(replica: &Replica, place: &str) {
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

    // It is not taken over by itself, also when no row is left; told so, it moves once more.
    placed(&replica, SYSTEM).await;
    replica.moves(to(Placement::Dedicated)).await;
    placed(&replica, DEDICATED).await;
    assert_eq!(replica.names(GLOBEX).await.unwrap().len(), 3);
    let audit =
        "SELECT count(*) FROM fbs_router.audit WHERE company_id = 'globex' AND principal = 'anonymous' AND action = ";
    for (action, times) in [("'move'", 3), ("'switch'", 3), ("'move-back'", 0), ("'purge'", 2)] {
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

/// Where a mover is stopped: a statement that keeps it waiting there, in which database, and at which step it is seen.
const STOPS: [(&str, bool, &str, Step, bool); 4] = [
    // A writer in flight.
    ("freezing", false, "SELECT pg_advisory_xact_lock_shared(fbs_router.solution_lock('globex'))", Step::Freeze, false),
    ("copying", true, "LOCK TABLE fbs_document.document IN SHARE MODE", Step::Copy, false),
    ("switching", false, "SELECT FROM fbs_router.ledger FOR UPDATE", Step::Verify, false),
    // Behind the commit point.
    ("finishing", true, "SELECT FROM fbs_router.fence FOR UPDATE", Step::Switch, true),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_mover_killed_at_any_step_leaves_the_solution_where_it_was_or_where_it_was_going() {
    for direction in [Placement::Dedicated, Placement::System] {
        let stopped = STOPS
            .map(|(name, in_target, stop, step, forward)| killed_at(name, in_target, stop, step, forward, direction));
        futures_util::future::join_all(stopped).await;
    }
}

async fn killed_at(name: &str, in_target: bool, stop: &str, step: Step, forward: bool, direction: Placement) {
    let world = World::new().await;
    let witness = world.replica_with(IMPATIENT).await;
    let mover = Replica::start(&world.configuration(&world.platform.url(), IMPATIENT), &world.snapshot("mover")).await;
    let ids: Vec<String> = {
        let mut ids = Vec::new();
        for number in 0..5 {
            ids.push(witness.make(GLOBEX, &format!("G-{number}")).await.document_id);
        }
        ids
    };
    world.create_own_database(GLOBEX).await;
    let (mut source, mut target) = (SYSTEM_DATABASE, OWN);
    if direction == Placement::System {
        moves_soon(&witness, to(Placement::Dedicated)).await;
        (source, target) = (target, source);
    }
    let place_of = |database: &str| if database == OWN { DEDICATED } else { SYSTEM };
    placed(&mover, place_of(source)).await;
    // What stops it stands in the way from the beginning; the ledger's row only once the move has begun.
    let at = match (name, in_target) {
        ("switching", _) => SYSTEM_DATABASE,
        // The dedicated database's fence is the one that follows.
        ("finishing", _) => OWN,
        (_, true) => target,
        (_, false) => source,
    };
    let holder = world.platform.cluster.connect(at).await.unwrap();
    holder.batch_execute("BEGIN").await.unwrap();
    let early = matches!(name, "freezing" | "copying");
    let gate = world.platform.cluster.connect(target).await.unwrap();
    if early {
        holder.batch_execute(stop).await.unwrap();
    } else {
        // Until the other lock is held, the copy waits for this one.
        gate.batch_execute("BEGIN; LOCK TABLE fbs_document.document IN SHARE MODE").await.unwrap();
    }
    let mut steps = mover.admin().move_solution(to(direction)).await.unwrap().into_inner();
    let wanted = if early { step } else { Step::Copy };
    while steps.message().await.unwrap().expect("it is stopped before its end").step() != wanted {}
    if !early {
        holder.batch_execute(stop).await.unwrap();
        gate.batch_execute("ROLLBACK").await.unwrap();
        while steps.message().await.unwrap().expect("it is stopped before its end").step() != step {}
    }
    // While it goes on, nobody else moves, and nobody is served from anywhere.
    if !forward {
        let refused = witness.refused(to(direction)).await;
        assert_eq!(refused, failure(Code::Unavailable, "ROUTE_MOVING"), "{name} {direction:?}");
    }
    mover.kill().await;
    drop(steps);
    holder.batch_execute("ROLLBACK").await.unwrap();

    let ended = if forward { target } else { source };
    placed(&witness, place_of(ended)).await;
    soon("it is served again, whole", async || match witness.names(GLOBEX).await {
        Ok(names) if names.len() == 5 => Ok(()),
        other => Err(format!("{name} {direction:?}: {other:?}")),
    })
    .await;
    assert_eq!(witness.get(GLOBEX, &ids[0]).await.unwrap().database, ended, "{name} {direction:?}");
    assert_eq!(witness.create(GLOBEX, "after").await.unwrap().database, ended);
    // And it can be moved all the same.
    let cluster = &world.platform.cluster;
    if !forward {
        moves_soon(&witness, to(direction)).await;
    }
    placed(&witness, place_of(target)).await;
    let names: BTreeSet<String> = witness.names(GLOBEX).await.unwrap().into_iter().collect();
    assert_eq!(names, ["G-0", "G-1", "G-2", "G-3", "G-4", "after"].into_iter().map(str::to_owned).collect());
    moves_soon(&witness, MoveSolutionRequest { purge: true, ..to(direction) }).await;
    assert!(contents(cluster, source, GLOBEX).await.iter().all(|(_, rows, _)| *rows == 0), "{name} {direction:?}");
}

/// Moves as soon as that is possible.
async fn moves_soon(replica: &Replica, request: MoveSolutionRequest) {
    let limit = Duration::from_secs(30 + asked_for("FBS_ROWS", 0) as u64 / 50);
    eventually("the move is made", limit, async || {
        match replica.walk(request.clone()).await.map(|mut steps| steps.pop()) {
            Ok(Some(last)) if last.step() == Step::Done => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
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

/// Moves there and back under writes through three replicas, one of them cut off from the ledger now and then; movers and
/// connections are killed. `FBS_MOVES` and `FBS_ROWS` make it as large as wanted.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_write_is_lost_or_doubled_while_a_solution_moves_to_and_fro() {
    let (moves, rows) = (asked_for("FBS_MOVES", 4), asked_for("FBS_ROWS", 150));
    let world = World::new().await;
    let second = other_cluster().await;
    Implementer::new(&second).copy_database(TEMPLATE_DATABASE, OWN).await.unwrap();
    let server = format!(
        "[[server]]\nname = \"second\"\nurl = \"{}\"\npassword_file = \"{}\"\n",
        fbs_router_sandbox::platform::url(second.socket_directory(), second.port()),
        world.folder.path().join("password").display()
    );
    // Rows first: then the database is not taken over by itself.
    let preparing = world.replica().await;
    for number in 0..rows {
        preparing.make(GLOBEX, &format!("old-{number}")).await;
    }
    preparing.stop().await;
    let extra = format!("{server}[moving]\nstale_after = \"3s\"\n");
    let start =
        async |name: &str, url: &str| Replica::start(&world.configuration(url, &extra), &world.snapshot(name)).await;
    let (writer, cut_off) = (start("one", &world.platform.url()).await, world.proxy().await);
    let proxied = start("two", &format!("postgres://fbs_router@{}", cut_off.address())).await;
    let mut mover = start("three", &world.platform.url()).await;

    let over = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for (number, channel) in
        [writer.channel.clone(), proxied.channel.clone(), writer.channel.clone()].into_iter().enumerate()
    {
        writers.push(tokio::spawn(write_until(number, channel, Arc::clone(&over))));
    }
    let mut at = Placement::System;
    for turn in 0..moves {
        let next = if at == Placement::System { Placement::Dedicated } else { Placement::System };
        if turn % 3 == 1 {
            cut_off.set(Mode::Hang);
        }
        match turn % 4 {
            1 => {
                // The mover dies at some moment: whoever comes by takes it back, or it is over.
                let mut steps = mover.admin().move_solution(to(next)).await.unwrap().into_inner();
                let _some = tokio::time::timeout(Duration::from_millis(40 * turn as u64), async {
                    while let Ok(Some(_)) = steps.message().await {}
                })
                .await;
                mover.kill().await;
                mover = start("three", &world.platform.url()).await;
            }
            2 => {
                // Every connection dies.
                let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'fbs_router'";
                let mut steps = mover.admin().move_solution(to(next)).await.unwrap().into_inner();
                let _first = steps.message().await;
                world.platform.cluster.connect("postgres").await.unwrap().execute(kill, &[]).await.unwrap();
                second.connect("postgres").await.unwrap().execute(kill, &[]).await.unwrap();
                while let Ok(Some(_)) = steps.message().await {}
            }
            _ => {}
        }
        moves_soon(&mover, to(next)).await;
        cut_off.set(Mode::Forward);
        at = next;
    }
    over.store(true, Ordering::SeqCst);
    let mut expected: BTreeSet<String> = (0..rows).map(|number| format!("old-{number}")).collect();
    let mut written = 0;
    for task in writers {
        let names = task.await.unwrap();
        written += names.len();
        expected.extend(names);
    }
    eprintln!("{moves} moves, {written} writes during them");
    assert!(written > moves, "too few writes to prove anything: {written}");
    let (cluster, database) =
        if at == Placement::System { (&world.platform.cluster, SYSTEM_DATABASE) } else { (&second, OWN) };
    let (other, left) =
        if at == Placement::System { (&second, OWN) } else { (&world.platform.cluster, SYSTEM_DATABASE) };
    let client = cluster.connect(database).await.unwrap();
    let found = client.query("SELECT name FROM fbs_document.document WHERE company_id = 'globex'", &[]).await.unwrap();
    let names: Vec<String> = found.iter().map(|row| row.get(0)).collect();
    assert_eq!(names.len(), expected.len(), "a row is doubled or lost");
    assert_eq!(names.into_iter().collect::<BTreeSet<_>>(), expected);
    moves_soon(&mover, MoveSolutionRequest { purge: true, ..to(at) }).await;
    assert!(contents(other, left, GLOBEX).await.iter().all(|(_, rows, _)| *rows == 0));
}

/// Creates documents, each until it is there, under one request id; their names.
async fn write_until(number: usize, channel: Channel, over: Arc<AtomicBool>) -> Vec<String> {
    let mut client = fbs_router_proto::document::v1::document_service_client::DocumentServiceClient::new(channel);
    let mut names = Vec::new();
    while !over.load(Ordering::SeqCst) {
        let name = format!("new-{number}-{}", names.len());
        let mut request = creation(GLOBEX, draft(&name));
        request.request_id = request_id();
        eventually("a write gets through in the end", Duration::from_secs(120), async || {
            match client.clone().create_document(within(request.clone())).await {
                Ok(_) => Ok(()),
                Err(status) => {
                    assert_ne!(status.code(), Code::Internal, "{status:?}");
                    assert_ne!(reason(&status).1, "PLACEMENT_CONFLICT", "{status:?}");
                    Err(status)
                }
            }
        })
        .await;
        names.push(name);
        client = client.clone();
    }
    names
}
