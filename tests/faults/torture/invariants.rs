//! What has to hold when all has healed: everybody is served, nothing is held, and the databases hold what the callers were
//! told, once, and nobody else's.

use std::{collections::BTreeMap, sync::atomic::Ordering::Relaxed};

use fbs_router_proto::{
    admin::v1::MoveSolutionRequest,
    document::v1::{GetDocumentRequest, document_service_client::DocumentServiceClient},
    router::v1::Placement,
};
use fbs_router_sandbox::{eventually, platform::SYSTEM_DATABASE};
use futures_util::future::join_all;

use super::{
    MOVING, PATIENCE, Torture,
    checker::{Content, Stage},
    clients::canary,
    faults, files,
    history::{Call, Line, Outcome, Seen},
    routers::Router,
};
use crate::support::{asking::creation, draft, reason, residue::nothing_is_left_within, within};

/// Connections of this test to a router, at most.
const OURS: usize = 4;

/// The solution's own database, if the ledger says that it lives in one.
pub(super) async fn place(torture: &Torture, solution: &str) -> Result<Option<String>, String> {
    let sql = "SELECT database_name FROM fbs_router.placement \
               WHERE company_id = $1 AND app = 'fbs_dms' AND placement = 'DEDICATED'";
    let told = |error: &dyn std::fmt::Display| error.to_string();
    let client = torture.world.platform.cluster.connect(SYSTEM_DATABASE).await.map_err(|error| told(&error))?;
    let row = client.query_opt(sql, &[&solution]).await.map_err(|error| told(&error))?;
    Ok(row.map(|row| row.get(0)))
}

/// Every router serves every solution; then nothing is left of what was going on.
pub(super) async fn liveness(torture: &Torture) {
    let solutions = torture.solutions.lock().unwrap().clone();
    for (number, router) in torture.routers.iter().enumerate() {
        router.is_serving().await;
        let client = router.replica().await.channel.clone();
        for solution in &solutions {
            let name = &solution.name;
            eventually(&format!("router {number} serves {name} again"), PATIENCE, async || {
                let mut client = DocumentServiceClient::new(client.clone());
                let told = |status: tonic::Status| format!("{:?}", reason(&status));
                let request = creation(name, draft(&canary(name)));
                let made = client.create_document(within(request)).await.map_err(told)?;
                let document_id = made.into_inner().document.unwrap().document_id;
                let request = GetDocumentRequest { solution: name.clone(), document_id, ..Default::default() };
                client.get_document(within(request)).await.map(drop).map_err(told)
            })
            .await;
        }
    }
    let replicas = join_all(torture.routers.iter().map(Router::replica)).await;
    let replicas: Vec<_> = replicas.iter().collect();
    nothing_is_left_within(PATIENCE, &torture.world.platform.cluster, &replicas).await;
    for (number, (router, first)) in torture.routers.iter().zip(&torture.held).enumerate() {
        let Some(first) = first else { continue };
        eventually(&format!("router {number} holds no more than at first"), PATIENCE, async || {
            match router.held().await {
                Some(held) if held.descriptors <= first.descriptors + OURS => {
                    println!("router {number}: {first:?} at first, {held:?} in the end");
                    Ok(())
                }
                held => Err(format!("{first:?} {held:?}")),
            }
        })
        .await;
    }
}

/// Records each document as its database has it.
pub(super) async fn last_state(torture: &Torture) {
    let solutions = torture.solutions.lock().unwrap().clone();
    for solution in solutions {
        let name = &solution.name;
        let database = place(torture, name).await.unwrap().unwrap_or_else(|| SYSTEM_DATABASE.to_owned());
        let client = torture.world.platform.cluster.connect(&database).await.unwrap();
        let called = torture.now();
        let sql = "SELECT d.document_id::text, d.title, d.state, d.delete_time IS NOT NULL, replace(d.etag::text, '-', ''), \
                          d.content_filename, whole.bytes \
                   FROM fbs_document.document AS d LEFT JOIN LATERAL \
                        (SELECT string_agg(c.bytes, '' ORDER BY c.first_byte) AS bytes FROM fbs_document.content_chunk AS c \
                         WHERE c.company_id = d.company_id AND c.content_id = d.content_id) AS whole ON true \
                   WHERE d.company_id = $1";
        let rows = client.query(sql, &[name]).await.unwrap();
        let mut found: BTreeMap<String, Seen> = rows
            .iter()
            .filter_map(|row| {
                let nonce = row.get::<_, String>(1).split(' ').next()?.parse().ok()?;
                let stage = match row.get::<_, i16>(2) {
                    1 => Stage::Draft,
                    2 => Stage::Pending,
                    _ => Stage::Approved,
                };
                let bytes: Option<Vec<u8>> = row.get(6);
                let file = row.get::<_, Option<String>>(5).map_or(0, |filename| {
                    let declared = filename.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or_default();
                    if bytes.as_ref() != Some(&files::bytes(name, declared)) {
                        torture
                            .violation(format!("{name} {}: the file {filename} is not whole", row.get::<_, String>(0)));
                    }
                    declared
                });
                let content = Content { nonce, file, stage, deleted: row.get(3) };
                Some((row.get(0), Seen { content, etag: row.get(4), database: database.clone() }))
            })
            .collect();
        for document in solution.documents() {
            let outcome = Outcome::Is(found.remove(&document));
            torture.record(Line {
                client: 0,
                solution: name.clone(),
                document,
                call: Call::Last,
                request_id: String::new(),
                tries: Vec::new(),
                outcome,
                called,
                returned: torture.now(),
            });
        }
        for (document, seen) in found {
            torture.violation(format!("{name} has {document}, which nobody asked for: {seen:?}"));
        }
    }
}

/// Of those whose own database was there first, nothing was ever written elsewhere: looked for in what is only added to.
pub(super) async fn live_apart(torture: &Torture) {
    let apart: Vec<String> = {
        let solutions = torture.solutions.lock().unwrap();
        solutions.iter().filter(|of| of.apart.load(Relaxed)).map(|of| of.name.clone()).collect()
    };
    let sql = "SELECT company_id, count(*) FROM fbs_router.audit WHERE company_id = ANY($1) AND request_id IS NOT NULL GROUP BY 1";
    torture
        .insist("the system database is looked into", async || {
            let told = |error: &dyn std::fmt::Display| error.to_string();
            let client = torture.world.platform.cluster.connect(SYSTEM_DATABASE).await.map_err(|error| told(&error))?;
            for row in client.query(sql, &[&apart]).await.map_err(|error| told(&error))? {
                let (name, rows): (String, i64) = (row.get(0), row.get(1));
                torture.violation(format!("{rows} changes of {name} were made in the system database"));
            }
            Ok::<_, String>(())
        })
        .await;
}

/// Looks into every database, and into what the routers have printed.
pub(super) async fn databases(torture: &Torture) {
    let to = match place(torture, MOVING).await.unwrap() {
        Some(_) => Placement::Dedicated,
        None => Placement::System,
    };
    let purge = MoveSolutionRequest { solution: MOVING.into(), to: to.into(), purge: true, ..Default::default() };
    faults::walk(torture, &purge, 0).await;
    live_apart(torture).await;
    let cluster = &torture.world.platform.cluster;
    let system = cluster.connect(SYSTEM_DATABASE).await.unwrap();
    // The ledger is there, too.
    let astray = "SELECT d.company_id, count(*) FROM fbs_document.document AS d \
                  JOIN fbs_router.placement AS p ON p.company_id = d.company_id AND p.app = 'fbs_dms' \
                  LEFT JOIN fbs_router.fence AS f ON f.company_id = d.company_id \
                  WHERE p.placement = 'DEDICATED' AND f.state IS DISTINCT FROM 'MOVED' GROUP BY 1";
    for row in system.query(astray, &[]).await.unwrap() {
        let (name, rows): (String, i64) = (row.get(0), row.get(1));
        torture.violation(format!(
            "{rows} documents of {name}, which has a database of its own, are in the system database"
        ));
    }
    let names = "SELECT datname FROM pg_database WHERE datname LIKE 'djo\\_%' OR datname = 'fbs_system_db' ORDER BY 1";
    let names = cluster.connect("postgres").await.unwrap().query(names, &[]).await.unwrap();
    let (mut documents, mut active, mut requests) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for name in names.iter().map(|row| row.get::<_, String>(0)) {
        let client = cluster.connect(&name).await.unwrap();
        let foreign = "SELECT count(*) FROM fbs_document.document WHERE position('CANARY:' || company_id || ':' IN title) = 0 \
                       OR ($1 <> 'fbs_system_db' AND 'djo_' || company_id || '_db' <> $1)";
        let foreign: i64 = client.query_one(foreign, &[&name]).await.unwrap().get(0);
        if foreign > 0 {
            torture.violation(format!("{foreign} rows of {name} belong elsewhere"));
        }
        // No file is kept for nobody, and none expires under its document.
        let files = "SELECT count(*) FROM fbs_document.content AS c \
                     LEFT JOIN fbs_document.document AS d USING (company_id, content_id) \
                     WHERE (d.content_id IS NULL) <> (c.expire_time IS NOT NULL)";
        let files: i64 = client.query_one(files, &[]).await.unwrap().get(0);
        if files > 0 {
            torture.violation(format!("{files} files in {name} are kept for nobody, or expire under their documents"));
        }
        // What a fence closes is a source that was left, or a database that was given up.
        let served = "SELECT d.company_id, d.document_id::text FROM fbs_document.document AS d \
                      LEFT JOIN fbs_router.fence AS f USING (company_id) \
                      WHERE f.state = 'ACTIVE' OR (f.state IS NULL AND $1 = 'fbs_system_db')";
        for row in client.query(served, &[&name]).await.unwrap() {
            let key: (String, String) = (row.get(0), row.get(1));
            documents.entry(key).or_insert_with(Vec::new).push(name.clone());
        }
        let fences = "SELECT company_id, state FROM fbs_router.fence";
        for row in client.query(fences, &[]).await.unwrap() {
            let (solution, state): (String, String) = (row.get(0), row.get(1));
            match &*state {
                "ACTIVE" => active.entry(solution).or_insert_with(Vec::new).push(name.clone()),
                "MOVED" => {}
                other => torture.violation(format!("the fence of {solution} in {name} is {other}")),
            }
        }
        // Each change is audited where it is made, once; what is audited stays where it is when its solution moves.
        let audit = "SELECT company_id, request_id::text FROM fbs_router.audit WHERE request_id IS NOT NULL";
        for row in client.query(audit, &[]).await.unwrap() {
            let key: (String, String) = (row.get(0), row.get(1));
            requests.entry(key).or_insert_with(Vec::new).push(name.clone());
        }
    }
    for (what, places) in documents.iter().chain(&requests).filter(|(_, places)| places.len() > 1) {
        torture.violation(format!("{what:?} is there twice: {places:?}"));
    }
    for (solution, places) in active.iter().filter(|(_, places)| places.len() > 1) {
        torture.violation(format!("{solution} is served from more than one place: {places:?}"));
    }
    for (number, router) in torture.routers.iter().enumerate() {
        let printed = router.printed().await;
        if let Some(line) = printed.lines().find(|line| line.contains("CANARY:") || line.contains("panicked")) {
            torture.violation(format!("router {number} printed: {line}"));
        }
    }
    if requests.is_empty() {
        torture.violation("nothing was audited".to_owned());
    }
}
