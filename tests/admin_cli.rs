//! The operators' commands: what they say of a move, however it ends, and that nothing is given up by mistake.

use std::sync::{Arc, Mutex};

use fbs_router_proto::admin::v1::{
    AcceptServerRequest, AcceptServerResponse, MoveSolutionRequest, MoveSolutionResponse, RefreshRoutesRequest,
    RefreshRoutesResponse, RegisterSolutionRequest, RegisterSolutionResponse, ReleaseSolutionRequest,
    ReleaseSolutionResponse, RemoveServerRequest, RemoveServerResponse,
    admin_service_server::{AdminService, AdminServiceServer},
    move_solution_response::Step,
};
use futures_util::stream::{self, BoxStream};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

use crate::cli::Shell;

type Progress = Result<MoveSolutionResponse, Status>;

/// Tells of moves what a test wants to be told; every other call fails, in a way that leaves it open what happened.
#[derive(Debug, Clone, Default)]
struct Teller {
    tells: Arc<Mutex<Vec<Progress>>>,
    moves: Arc<Mutex<Vec<MoveSolutionRequest>>>,
    calls: Arc<Mutex<usize>>,
}

impl Teller {
    /// Commands for it.
    async fn shell(&self) -> Shell {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = AdminServiceServer::new(self.clone());
        tokio::spawn(Server::builder().add_service(service).serve_with_incoming(TcpIncoming::from(listener)));
        Shell::at(address).await
    }

    fn tell(&self, told: impl IntoIterator<Item = Progress>) {
        *self.tells.lock().unwrap() = told.into_iter().collect();
    }

    fn fail<T>(&self) -> Result<Response<T>, Status> {
        *self.calls.lock().unwrap() += 1;
        Err(Status::unknown("the connection broke during COMMIT"))
    }
}

#[tonic::async_trait]
impl AdminService for Teller {
    type MoveSolutionStream = BoxStream<'static, Progress>;

    async fn move_solution(
        &self,
        request: Request<MoveSolutionRequest>,
    ) -> Result<Response<Self::MoveSolutionStream>, Status> {
        self.moves.lock().unwrap().push(request.into_inner());
        let told = self.tells.lock().unwrap().clone();
        Ok(Response::new(Box::pin(stream::iter(told))))
    }

    async fn register_solution(
        &self,
        _: Request<RegisterSolutionRequest>,
    ) -> Result<Response<RegisterSolutionResponse>, Status> {
        self.fail()
    }

    async fn release_solution(
        &self,
        _: Request<ReleaseSolutionRequest>,
    ) -> Result<Response<ReleaseSolutionResponse>, Status> {
        self.fail()
    }

    async fn accept_server(&self, _: Request<AcceptServerRequest>) -> Result<Response<AcceptServerResponse>, Status> {
        self.fail()
    }

    async fn remove_server(&self, _: Request<RemoveServerRequest>) -> Result<Response<RemoveServerResponse>, Status> {
        self.fail()
    }

    async fn refresh_routes(
        &self,
        _: Request<RefreshRoutesRequest>,
    ) -> Result<Response<RefreshRoutesResponse>, Status> {
        self.fail()
    }
}

fn stands(step: Step, rows_copied: i64, message: &str) -> Progress {
    Ok(MoveSolutionResponse {
        step: step.into(),
        rows_copied,
        rows_total: 7,
        message: message.into(),
        ..Default::default()
    })
}

const TO_DEDICATED: [&str; 4] = ["move", "globex", "--to", "dedicated"];

#[tokio::test]
async fn a_move_shows_a_line_a_step_or_an_object_a_line_and_how_to_remove_the_old_rows() {
    let teller = Teller::default();
    let shell = teller.shell().await;
    teller.tell([
        stands(Step::Prepare, 0, "both sides are ready"),
        stands(Step::Copy, 0, ""),
        stands(Step::Copy, 5, ""),
        stands(Step::Done, 7, "it is there"),
    ]);
    let said = shell.run(&TO_DEDICATED).await;
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    assert_eq!(
        said.out,
        "prepare     both sides are ready\n\
         copy        0 of 7 rows\n\
         done        7 of 7 rows: it is there\n\n\
         the old rows stay, read-only, until: fbs-router move globex --to dedicated --purge\n"
    );
    let said = shell.run(&[&TO_DEDICATED[..], &["--json"]].concat()).await;
    let told: Vec<Value> = said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((said.code, told.len()), (Some(0), 4), "{said:?}");
    assert_eq!(told[2], json!({ "step": "STEP_COPY", "rowsCopied": "5", "rowsTotal": "7", "message": "" }));

    teller.tell([stands(Step::Prepare, 0, "one"), stands(Step::Prepare, 0, "two")]);
    let said = shell.run(&["move", "globex", "--to", "system", "--dry-run", "--purge"]).await;
    assert_eq!(said.out, "prepare     one\nprepare     two\n", "{said:?}");
    let asked: Vec<_> =
        teller.moves.lock().unwrap().iter().map(|asked| (asked.to, asked.dry_run, asked.purge)).collect();
    assert_eq!(asked, [(1, false, false), (1, false, false), (2, true, true)]);
}

#[tokio::test]
async fn a_move_that_was_taken_back_or_is_not_followed_to_its_end_is_a_failure() {
    let teller = Teller::default();
    let shell = teller.shell().await;
    teller.tell([stands(Step::Copy, 3, ""), stands(Step::RolledBack, 3, "no room")]);
    let said = shell.run(&TO_DEDICATED).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert_eq!(said.out, "copy        3 of 7 rows\ntaken back  3 of 7 rows: no room\n");
    assert_eq!(
        said.err,
        "error: the move of globex was taken back, it lives where it did: no room\n  \
         fbs-router explain globex tells where; the same command tries again\n"
    );

    teller.tell([stands(Step::Copy, 3, "")]);
    let said = shell.run(&TO_DEDICATED).await;
    assert_eq!((said.code, said.out.as_str()), (Some(1), "copy        3 of 7 rows\n"), "{said:?}");
    assert!(said.err.ends_with("  it may be going on: the same command follows it\n"), "{said:?}");
    assert_eq!(teller.moves.lock().unwrap().len(), 2, "it is not begun again by itself");
}

#[tokio::test]
async fn what_gives_something_up_is_confirmed_before_anything_is_sent() {
    let teller = Teller::default();
    let shell = teller.shell().await;
    for arguments in [
        &["release", "globex"][..],
        &["release", "globex", "--confirm", "acme_corp"],
        &["register", "globex", "--database", "globex_db", "--confirm", "acme_corp"],
        &["server", "accept", "main"],
        &["move", "globex"],
    ] {
        let said = shell.run(arguments).await;
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{arguments:?}: {said:?}");
    }
    let said = shell.run(&["release", "globex", "--app", "odoo"]).await;
    assert!(said.err.ends_with("\n  fbs-router release globex --app odoo --confirm globex\n"), "{said:?}");
    assert_eq!((*teller.calls.lock().unwrap(), teller.moves.lock().unwrap().len()), (0, 0));
}

#[tokio::test]
async fn a_change_that_may_have_happened_says_where_to_look() {
    let teller = Teller::default();
    let shell = teller.shell().await;
    let look = "  it may have happened: fbs-router explain globex tells how things are\n";
    for (arguments, expected) in [
        (&["register", "globex"][..], look),
        (&["release", "globex", "--confirm", "globex"], look),
        (
            &["server", "accept", "main", "--system-identifier", "7"],
            "  it may have happened: the same command does no harm then\n",
        ),
        (&["server", "remove", "main"], "  it may have happened: the same command does no harm then\n"),
    ] {
        let said = shell.run(arguments).await;
        assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{arguments:?}: {said:?}");
        assert!(said.err.ends_with(expected), "{said:?}");
    }
    let said = shell.run(&["routes", "--refresh"]).await;
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "nothing is listed that was not scanned: {said:?}");
    assert_eq!(*teller.calls.lock().unwrap(), 5, "nothing is done again by itself");
}
