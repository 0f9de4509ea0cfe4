//! What somebody tries who has a token to read one solution, and the source at hand: nothing of any other solution is
//! seen, and nothing is written.

use fbs_router_proto::{
    admin::v1::{MoveSolutionRequest, RegisterSolutionRequest, ReleaseSolutionRequest},
    document::v1::{
        ApproveDocumentRequest, BatchGetDocumentsRequest, DeleteDocumentRequest, DownloadContentRequest,
        GetDocumentRequest, ListDocumentsRequest, SearchDocumentsRequest, UndeleteDocumentRequest,
    },
    router::v1::{
        BatchResolveDatabasesRequest, ExplainRouteRequest, ListDatabasesRequest, ListSolutionsRequest,
        ResolveDatabaseRequest,
    },
};
use fbs_router_sandbox::platform::{ACME_DATABASE, SYSTEM_DATABASE};
use prost::Message;
use tonic::Code;

use crate::support::{
    Replica, World,
    asking::{creation, retitle},
    callers::{caller, token, with_token},
    draft,
    wire::{framed, raw_bytes},
};

const SECRET: &str = "kryptonite";
const DOCUMENTS: &str = "/fbs.document.v1.DocumentService/";
const ROUTES: &str = "/fbs.router.v1.RouterService/";
const ADMIN: &str = "/fbs.admin.v1.AdminService/";

/// A row a table, so that whatever is written shows.
async fn everything(world: &World) -> Vec<i64> {
    let mut counts = Vec::new();
    for database in [SYSTEM_DATABASE, ACME_DATABASE] {
        for table in [
            "fbs_document.document",
            "fbs_document.document_type",
            "fbs_document.content",
            "fbs_document.transition",
            "fbs_router.request_record",
            "fbs_router.audit",
            "fbs_router.fence",
        ] {
            let sql = format!(
                "SELECT coalesce(sum(('x' || left(md5(t::text), 8))::bit(32)::bigint), 0)::bigint FROM {table} t"
            );
            counts.push(world.count(database, &sql).await);
        }
    }
    for table in ["placement", "registration", "server"] {
        let sql = format!(
            "SELECT coalesce(sum(('x' || left(md5(t::text), 8))::bit(32)::bigint), 0)::bigint FROM fbs_router.{table} t"
        );
        counts.push(world.count(SYSTEM_DATABASE, &sql).await);
    }
    counts
}

/// Sends it as the reader, with `headers` besides; code, and every byte of the answer as text.
async fn attempt(
    replica: &Replica,
    path: &str,
    headers: &[(&str, &str)],
    message: &impl Message,
) -> (Option<Code>, String) {
    let bearer = format!("Bearer {}", token("reader"));
    let mut all = vec![("authorization", bearer.as_str())];
    all.extend(headers);
    raw_bytes(replica.grpc, path, &all, framed(0, &message.encode_to_vec())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_one_solution_sees_nothing_of_another_and_writes_nothing() {
    let world = World::new().await;
    let callers = [caller("reader", &["acme_corp reader"]), caller("operator", &["* admin"])].concat();
    let replica = world.replica_with(&world.callers(&callers)).await;
    let mut documents = replica.documents();
    let mut made = Vec::new();
    for solution in ["acme_corp", "globex"] {
        let mut document = draft(&format!("{solution}-1"));
        if solution == "globex" {
            document.title = SECRET.into();
        }
        let request = with_token(creation(solution, document), "operator");
        made.push(documents.create_document(request).await.unwrap().into_inner().document.unwrap());
    }
    let (mine, theirs) = (made[0].document_id.clone(), made[1].document_id.clone());
    // A page token that is good, of somebody who may.
    let page = |solution: &str| ListDocumentsRequest { solution: solution.into(), page_size: 1, ..Default::default() };
    documents.create_document(with_token(creation("globex", draft("globex-2")), "operator")).await.unwrap();
    let theirs_page =
        documents.list_documents(with_token(page("globex"), "operator")).await.unwrap().into_inner().next_page_token;
    assert!(!theirs_page.is_empty());
    let before = everything(&world).await;

    let mut seen = Vec::new();
    let mut tried = 0;
    let mut look = |what: &str, allowed: bool, (code, text): (Option<Code>, String)| {
        tried += 1;
        if text.contains(SECRET) || text.contains(&theirs) || text.contains("globex") {
            seen.push(format!("{what}: {text}"));
        }
        if (code == Some(Code::Ok)) != allowed {
            seen.push(format!("{what}: {code:?}"));
        }
    };

    // Somebody else's document under one's own solution, by every way of naming it.
    let get = |solution: &str, id: &str| GetDocumentRequest {
        solution: solution.into(),
        document_id: id.into(),
        ..Default::default()
    };
    let at = |service: &str, method: &str| format!("{service}{method}");
    look("mine", true, attempt(&replica, &at(DOCUMENTS, "GetDocument"), &[], &get("acme_corp", &mine)).await);
    look(
        "their id in mine",
        false,
        attempt(&replica, &at(DOCUMENTS, "GetDocument"), &[], &get("acme_corp", &theirs)).await,
    );
    for solution in [
        "globex",
        "globex ",
        "Globex",
        "acme_corp\0globex",
        "acme_corp' OR 'a'='a",
        "../globex",
        "%",
        "*",
        "fbs_system",
        "system",
        "",
    ] {
        look(solution, false, attempt(&replica, &at(DOCUMENTS, "GetDocument"), &[], &get(solution, &theirs)).await);
    }
    // Headers never choose a solution, nor a caller.
    for header in [
        "x-solution",
        "x-tenant-id",
        "solution",
        "fbs-solution",
        "x-forwarded-client-cert",
        "fbs-database",
        "x-company-id",
    ] {
        look(
            header,
            true,
            attempt(&replica, &at(DOCUMENTS, "ListDocuments"), &[(header, "globex")], &page("acme_corp")).await,
        );
    }
    let operator = format!("Bearer {}", token("operator!"));
    look(
        "two tokens",
        false,
        attempt(&replica, &at(DOCUMENTS, "ListDocuments"), &[("authorization", &operator)], &page("globex")).await,
    );
    // Explicit routing chooses no database.
    for database in ["djo_globex_db", SYSTEM_DATABASE, "postgres"] {
        let wanted = GetDocumentRequest { database: database.into(), ..get("acme_corp", &mine) };
        look(database, false, attempt(&replica, &at(DOCUMENTS, "GetDocument"), &[], &wanted).await);
    }
    // A page token of another solution, and a query that names another in the index's own words.
    let stolen = ListDocumentsRequest { page_token: theirs_page.clone(), ..page("acme_corp") };
    look("page token", false, attempt(&replica, &at(DOCUMENTS, "ListDocuments"), &[], &stolen).await);
    for query in [
        SECRET.to_owned(),
        "globex".to_owned(),
        format!("{SECRET} or acme"),
        format!("\"{SECRET}\""),
        format!("-nothing {SECRET}"),
    ] {
        let search = SearchDocumentsRequest { solution: "acme_corp".into(), query, ..Default::default() };
        let (code, text) = attempt(&replica, &at(DOCUMENTS, "SearchDocuments"), &[], &search).await;
        look("search", true, (code, text));
    }
    let index = SearchDocumentsRequest {
        solution: "acme_corp".into(),
        query: format!("\u{1}globex {SECRET}"),
        ..Default::default()
    };
    look("the index's word", true, attempt(&replica, &at(DOCUMENTS, "SearchDocuments"), &[], &index).await);
    let many = BatchGetDocumentsRequest {
        solution: "acme_corp".into(),
        document_ids: vec![mine.clone()],
        ..Default::default()
    };
    look("batch", true, attempt(&replica, &at(DOCUMENTS, "BatchGetDocuments"), &[], &many).await);
    let download =
        DownloadContentRequest { solution: "globex".into(), document_id: theirs.clone(), ..Default::default() };
    look("download", false, attempt(&replica, &at(DOCUMENTS, "DownloadContent"), &[], &download).await);

    // Where others live, and who they are.
    let pair = |solution: &str| ResolveDatabaseRequest { solution: solution.into(), ..Default::default() };
    look("resolve", false, attempt(&replica, &at(ROUTES, "ResolveDatabase"), &[], &pair("initech")).await);
    let explain = ExplainRouteRequest { request: Some(pair("initech")) };
    look("explain", false, attempt(&replica, &at(ROUTES, "ExplainRoute"), &[], &explain).await);
    let both = BatchResolveDatabasesRequest { requests: vec![pair("acme_corp"), pair("initech")] };
    look("resolve many", true, attempt(&replica, &at(ROUTES, "BatchResolveDatabases"), &[], &both).await);
    for prefix in ["", "g", "globe"] {
        let list = ListSolutionsRequest { prefix: prefix.into(), ..Default::default() };
        let (code, text) = attempt(&replica, &at(ROUTES, "ListSolutions"), &[], &list).await;
        look("solutions", true, (code, text));
    }
    look(
        "databases",
        true,
        attempt(&replica, &at(ROUTES, "ListDatabases"), &[], &ListDatabasesRequest::default()).await,
    );

    // Writing, in one's own solution and in theirs, and operating.
    for solution in ["acme_corp", "initech"] {
        let id = mine.as_str();
        look(
            "create",
            false,
            attempt(&replica, &at(DOCUMENTS, "CreateDocument"), &[], &creation(solution, draft("X"))).await,
        );
        look(
            "update",
            false,
            attempt(&replica, &at(DOCUMENTS, "UpdateDocument"), &[], &retitle(solution, id, "X")).await,
        );
        let delete = DeleteDocumentRequest { solution: solution.into(), document_id: id.into(), ..Default::default() };
        look("delete", false, attempt(&replica, &at(DOCUMENTS, "DeleteDocument"), &[], &delete).await);
        let undelete =
            UndeleteDocumentRequest { solution: solution.into(), document_id: id.into(), ..Default::default() };
        look("undelete", false, attempt(&replica, &at(DOCUMENTS, "UndeleteDocument"), &[], &undelete).await);
        let approve = ApproveDocumentRequest {
            solution: solution.into(),
            document_id: id.into(),
            actor: "operator".into(),
            ..Default::default()
        };
        look("approve", false, attempt(&replica, &at(DOCUMENTS, "ApproveDocument"), &[], &approve).await);
        let register = RegisterSolutionRequest {
            solution: solution.into(),
            database: SYSTEM_DATABASE.into(),
            ..Default::default()
        };
        look("register", false, attempt(&replica, &at(ADMIN, "RegisterSolution"), &[], &register).await);
        let release =
            ReleaseSolutionRequest { solution: solution.into(), confirm: solution.into(), ..Default::default() };
        look("release", false, attempt(&replica, &at(ADMIN, "ReleaseSolution"), &[], &release).await);
        let to_system = MoveSolutionRequest { solution: solution.into(), to: 2, ..Default::default() };
        look("move", false, attempt(&replica, &at(ADMIN, "MoveSolution"), &[], &to_system).await);
    }
    for path in [
        "/fbs.admin.v1.AdminService/movesolution",
        "//fbs.admin.v1.AdminService/RefreshRoutes",
        "/fbs.admin.v1.AdminService/RefreshRoutes/",
        "/fbs.document.v1.DocumentService/../../fbs.admin.v1.AdminService/RefreshRoutes",
        "/grpc.health.v1.Health/../fbs.admin.v1.AdminService/RefreshRoutes",
    ] {
        look(path, false, attempt(&replica, path, &[], &ListDatabasesRequest::default()).await);
    }

    assert!(seen.is_empty(), "{seen:#?}");
    assert!(tried > 50, "{tried}");
    assert_eq!(everything(&world).await, before, "nothing is written");
}
