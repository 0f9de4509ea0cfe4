//! What operators ask for, as one request each, and how everything stands before and after it.

use std::cell::{Cell, RefCell};

use fbs_router_proto::{
    admin::v1::{
        AcceptServerRequest, MoveSolutionRequest, MoveSolutionResponse, RefreshRoutesRequest, RegisterSolutionRequest,
        ReleaseSolutionRequest, RemoveServerRequest, move_solution_response::Step,
    },
    document::v1::CreateDocumentRequest,
    router::v1::{ListSolutionsRequest, Placement},
};
use fbs_router_sandbox::{platform::SYSTEM_DATABASE, soon};
use prost::Message;
use tokio_postgres::Client;
use tonic::Status;

use super::{
    requests::{Prepared, witness_content},
    scene::Scene,
};
use crate::support::{
    World, answered,
    asking::{creation, page, request_id, violated},
    draft,
    methods::{methods, path},
};

/// Whose three documents move, and who is in conflict with the ledger. Each has a database of its own.
const MOVED: &str = "vandelay";
const IN_CONFLICT: &str = "umbrella";
/// What one method may be asked for, where that differs.
const WISHES: [(&str, &[&str]); 2] = [
    ("RegisterSolution", &["a name", "confirmed"]),
    ("MoveSolution", &["dedicated", "system", "purge dedicated", "purge system"]),
];

/// Where the ledger has a solution, what is registered for it, and which cluster a server is.
const LEDGER: &str = "
    SELECT concat_ws(' ', placement, CASE WHEN move_id IS NOT NULL THEN 'moving' END), coalesce(epoch, -1),
           concat_ws(' ', database_name, isolation), coalesce(system_identifier, '')
      FROM (SELECT) here
      LEFT JOIN (SELECT placement, move_id, epoch FROM fbs_router.placement WHERE company_id = $1) placed ON true
      LEFT JOIN (SELECT database_name, isolation FROM fbs_router.registration WHERE company_id = $1) registered ON true
      LEFT JOIN (SELECT system_identifier FROM fbs_router.server WHERE server = $2 AND remove_time IS NULL) known ON true";
/// A solution in one database: its fence, and its rows in all tables.
const INSIDE: &str = "
    SELECT state, epoch, (SELECT count(*) FROM fbs_document.document_type WHERE company_id = $1)
         + (SELECT count(*) FROM fbs_document.document WHERE company_id = $1)
         + (SELECT count(*) FROM fbs_document.transition WHERE company_id = $1)
         + (SELECT count(*) FROM fbs_document.content WHERE company_id = $1)
         + (SELECT count(*) FROM fbs_document.content_chunk WHERE company_id = $1)
         + (SELECT count(*) FROM fbs_router.request_record WHERE company_id = $1), move_id IS NOT NULL
      FROM (SELECT) here
      LEFT JOIN (SELECT state, epoch, move_id FROM fbs_router.fence WHERE company_id = $1) fence ON true";

/// A command that is ready to be given.
pub(super) struct Command {
    prepared: Prepared,
    /// About whom: a solution, a server.
    about: [String; 2],
    /// The row of the audit that is written with what decides it, as a condition.
    decided: &'static str,
    /// What callers see of it afterwards.
    seen: Seen,
    /// Whether it is several transactions, none of which the router repeats by itself.
    pub(super) has_parts: bool,
    /// Whether it removes what a move has left.
    pub(super) purges: bool,
}

/// What callers see.
enum Seen {
    /// Nothing that has to be looked at.
    Nothing,
    /// That many documents, from that database.
    Documents(&'static str, usize),
    /// The solution is listed.
    Listed,
}

/// What the audit says of a command, in rows: what decided it, moves that were begun, moves that were taken back.
pub(super) type Audited = [i64; 3];

/// A scene in which operators have something to do.
pub(super) struct Stage {
    pub(super) scene: Scene,
    owns: [(&'static str, Client); 2],
    number: Cell<u32>,
    renamed: RefCell<String>,
}

/// All that operators may ask for. A method of the contract that is not known to [`Stage::prepare`] is among them.
pub(super) fn commands() -> Vec<(String, &'static str)> {
    let of_operators = |method: &prost_reflect::MethodDescriptor| method.parent_service().name() == "AdminService";
    let names = methods().into_iter().filter(of_operators).map(|method| method.name().to_owned());
    names
        .flat_map(|name| {
            let wishes = WISHES.iter().find(|(method, _)| *method == name).map_or(&[""][..], |(_, wishes)| wishes);
            wishes.iter().map(move |wish| (name.clone(), *wish))
        })
        .collect()
}

impl Command {
    /// True if it is done only with its row in the audit.
    pub(super) fn audits(&self) -> bool {
        !self.prepared.path.ends_with("/RefreshRoutes")
    }

    /// True if the router finds out by itself whether a lost COMMIT happened.
    pub(super) fn is_found_out(&self) -> bool {
        self.prepared.path.ends_with("/MoveSolution")
    }

    /// True if that is how it is told that there is nothing left to do.
    pub(super) fn is_refused_when_done(&self, status: &Status) -> bool {
        self.prepared.path.ends_with("/RemoveServer") && violated(status) == ["server"]
    }
}

impl Stage {
    pub(super) async fn new(world: World, url: Option<String>) -> Self {
        let scene = Scene::new(world, url).await;
        for number in 0..3 {
            let request = CreateDocumentRequest {
                request_id: request_id(),
                ..creation(MOVED, draft(&format!("carried-{number}")))
            };
            let made = scene.documents().create_document(request).await.unwrap().into_inner().document.unwrap();
            let content = futures_util::stream::iter(witness_content(MOVED, &made.document_id));
            scene.documents().upload_content(content).await.unwrap();
        }
        let mut owns = Vec::new();
        for solution in [MOVED, IN_CONFLICT] {
            scene.world.create_own_database(solution).await;
            let client = scene.world.platform.cluster.connect(&format!("djo_{solution}_db")).await.unwrap();
            owns.push((solution, client));
        }
        scene.world.create_own_database("new-0").await;
        let renamed = RefCell::new("djo_new-0_db".to_owned());
        scene.make(IN_CONFLICT, "given-up").await;
        Self { scene, owns: owns.try_into().ok().unwrap(), number: 0.into(), renamed }
    }

    /// Makes everything ready for a command. Fails for a method of which nobody has said what it asks for.
    pub(super) async fn prepare(&self, method: &str, wish: &str) -> Command {
        self.number.set(self.number.get() + 1);
        let number = self.number.get();
        let new = || format!("new-{number}");
        let confirm = || IN_CONFLICT.to_owned();
        let (frame, about, decided, has_parts, seen) = match (method, wish) {
            ("RegisterSolution", "a name") => {
                let request = RegisterSolutionRequest { solution: new(), database: new(), ..Default::default() };
                (request.encode_to_vec(), [new(), String::new()], "action = 'register'", false, Seen::Nothing)
            }
            ("RegisterSolution", "confirmed") => {
                self.disagree().await;
                let (confirm, solution) = (confirm(), confirm());
                let shared = Some(false);
                let request =
                    RegisterSolutionRequest { solution, confirm, dedicated_only: shared, ..Default::default() };
                let decided = "action = 'register' AND epoch > 0";
                let own = Seen::Documents("djo_umbrella_db", 1);
                (request.encode_to_vec(), [IN_CONFLICT.into(), String::new()], decided, true, own)
            }
            ("ReleaseSolution", _) => {
                self.disagree().await;
                let request = ReleaseSolutionRequest { solution: confirm(), confirm: confirm(), app: String::new() };
                let system = Seen::Documents(SYSTEM_DATABASE, 0);
                (request.encode_to_vec(), [IN_CONFLICT.into(), String::new()], "action = 'release'", true, system)
            }
            ("MoveSolution", _) => {
                let (purge, wish) = wish.strip_prefix("purge ").map_or((false, wish), |wish| (true, wish));
                let (to, served, back) = if wish == "dedicated" {
                    (Placement::Dedicated, "djo_vandelay_db", "system")
                } else {
                    (Placement::System, SYSTEM_DATABASE, "dedicated")
                };
                if self.ledger(&[MOVED.into(), String::new()]).await.0 == wish.to_uppercase() {
                    self.have_moved(back).await;
                }
                if purge {
                    self.have_moved(wish).await;
                }
                let request =
                    MoveSolutionRequest { solution: MOVED.into(), to: to.into(), purge, ..Default::default() };
                let about = [MOVED.into(), String::new()];
                let decided = if purge { "action = 'purge'" } else { "action = 'switch'" };
                (request.encode_to_vec(), about, decided, purge, Seen::Documents(served, 3))
            }
            ("AcceptServer", _) => {
                let is_now = "SELECT system_identifier::text::bigint FROM pg_control_system()";
                let system_identifier = self.scene.world.count("postgres", is_now).await.cast_unsigned();
                // As the ledger would be after a major upgrade.
                let other = "UPDATE fbs_router.server SET system_identifier = '7' WHERE server = 'main'";
                self.scene.world.in_ledger(other).await;
                let request = AcceptServerRequest { server: "main".into(), system_identifier };
                (
                    request.encode_to_vec(),
                    [String::new(), "main".into()],
                    "action = 'accept-server'",
                    false,
                    Seen::Nothing,
                )
            }
            ("RemoveServer", _) => {
                let gone =
                    format!("INSERT INTO fbs_router.server (server, system_identifier) VALUES ('{}', '8')", new());
                self.scene.world.in_ledger(&gone).await;
                let request = RemoveServerRequest { server: new() };
                (request.encode_to_vec(), [String::new(), new()], "action = 'remove-server'", false, Seen::Nothing)
            }
            ("RefreshRoutes", _) => {
                self.rename(&new()).await;
                let frame = RefreshRoutesRequest {}.encode_to_vec();
                (frame, [new(), String::new()], "action = 'refresh-routes'", false, Seen::Listed)
            }
            (other, _) => panic!("{other} asks for nothing here, and so nobody knows what an interrupted one leaves"),
        };
        let path = methods().iter().find(|known| known.name() == method).map(path).unwrap();
        let prepared = Prepared { path, frames: vec![frame.into()], write: None };
        let purges = wish.starts_with("purge");
        Command { prepared, about, decided, seen, has_parts, purges }
    }

    async fn have_moved(&self, wish: &str) {
        let command = Box::pin(self.prepare("MoveSolution", wish)).await;
        assert!(self.give(&command).await.unwrap(), "it is moved");
    }

    /// Brings one into conflict: its own database's fence is further than the ledger.
    async fn disagree(&self) {
        let (_, own) = &self.owns[1];
        let database = format!("djo_{IN_CONFLICT}_db");
        let ledger = format!(
            "WITH placed AS (
                UPDATE fbs_router.placement
                   SET placement = 'DEDICATED', epoch = epoch + 1, server = 'main', database_name = '{database}',
                       database_oid = (SELECT oid FROM pg_database WHERE datname = '{database}'),
                       database_uuid = coalesce(database_uuid, released_uuid), released_uuid = NULL
                 WHERE company_id = '{IN_CONFLICT}' RETURNING epoch)
             UPDATE fbs_router.fence SET state = 'MOVED', epoch = placed.epoch FROM placed
              WHERE company_id = '{IN_CONFLICT}'"
        );
        let (_, epoch, _, _) = self.ledger(&[IN_CONFLICT.into(), String::new()]).await;
        let fence = format!(
            "UPDATE fbs_router.fence SET state = 'ACTIVE', epoch = {epoch} + 3 WHERE company_id = '{IN_CONFLICT}'"
        );
        own.batch_execute(&fence).await.unwrap();
        self.scene.world.in_ledger(&ledger).await;
    }

    /// Gives the command. `true`: it is done; `false`: it was taken back.
    pub(super) async fn give(&self, command: &Command) -> Result<bool, Status> {
        let answers = self.scene.call(&command.prepared).await?;
        let last = answers.last().expect("an answer");
        Ok(if command.prepared.path.ends_with("/MoveSolution") {
            let last = MoveSolutionResponse::decode(last.clone()).unwrap();
            assert!(matches!(last.step(), Step::Done | Step::RolledBack), "the last that is told: {last:?}");
            last.step() == Step::Done
        } else {
            true
        })
    }

    /// How everything stands that the command is about, with epochs only as far as they agree.
    pub(super) async fn picture(&self, command: &Command) -> String {
        let (placed, epoch, registered, server) = self.ledger(&command.about).await;
        let registered = registered.replace(&command.about[0], "its name");
        let mut picture = format!("{placed}, registered {registered:?}, server {server:?}");
        let mut active = 0;
        for (database, client) in self.databases(&command.about[0]) {
            let row = client.query_one(INSIDE, &[&command.about[0]]).await.unwrap();
            let (state, fence): (Option<String>, Option<i64>) = (row.get(0), row.get(1));
            let in_step = match fence.map(|fence| fence.cmp(&epoch)) {
                Some(order) if state.as_deref() == Some("ACTIVE") => format!(" {order:?}"),
                _ => String::new(),
            };
            active += i32::from(state.as_deref() == Some("ACTIVE"));
            // Behind a move lie old rows, or none where it was taken back: they are nobody's truth.
            let rows = match state.as_deref() {
                Some("MOVED") if command.about[0] == MOVED && !command.purges => "old rows".to_owned(),
                _ if row.get::<_, Option<bool>>(3) == Some(true) => format!("{} rows, held", row.get::<_, i64>(2)),
                _ => format!("{} rows", row.get::<_, i64>(2)),
            };
            picture += &format!(", {database} {}{in_step}, {rows}", state.unwrap_or_default());
        }
        assert!(active < 2, "two places take its writes: {picture}");
        picture
    }

    async fn ledger(&self, about: &[String; 2]) -> (String, i64, String, String) {
        let row = self.scene.beside("").query_one(LEDGER, &[&about[0], &about[1]]).await.unwrap();
        (row.get(0), row.get(1), row.get(2), row.get(3))
    }

    /// Its own first: where it is open, it was so before the other is looked at.
    fn databases(&self, solution: &str) -> impl Iterator<Item = (&'static str, &Client)> {
        let own = self.owns.iter().find(|(owner, _)| *owner == solution).map(|(_, client)| ("own", client));
        own.into_iter().chain([("system", self.scene.beside(""))])
    }

    /// What the audit says of it by now.
    pub(super) async fn audited(&self, command: &Command) -> Audited {
        let sql = format!(
            "SELECT count(*) FILTER (WHERE {}), count(*) FILTER (WHERE action = 'move'),
                    count(*) FILTER (WHERE action = 'move-back')
               FROM fbs_router.audit WHERE company_id IN ($1, '*')",
            command.decided
        );
        let row = self.scene.beside("").query_one(&sql, &[&command.about[0]]).await.unwrap();
        [0, 1, 2].map(|column| row.get(column))
    }

    /// What callers see of it when it is done.
    pub(super) async fn is_seen(&self, command: &Command) {
        let solution = &command.about[0];
        match &command.seen {
            Seen::Nothing => {}
            Seen::Listed => {
                let request = ListSolutionsRequest { prefix: solution.clone(), ..Default::default() };
                let listed = self.scene.routes().list_solutions(request).await.unwrap().into_inner().solutions;
                assert_eq!(listed.len(), 1, "{solution} is not listed");
            }
            Seen::Documents(database, count) => {
                soon("its documents are served", async || {
                    let answer = self.scene.documents().list_documents(page(solution, 100)).await;
                    let found = answered(answer.map_err(|status| format!("{status:?}"))?, |list| list.documents.len());
                    let is_so = (&*found.database, &found.message) == (database, count);
                    if is_so { Ok(()) } else { Err(format!("{found:?}")) }
                })
                .await;
            }
        }
    }

    /// The router has no session that it does not know of.
    pub(super) async fn is_known(&self) {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'fbs-router'";
        soon("no session is left that the router does not know of", async || {
            let sessions: i64 = self.scene.beside("").query_one(sql, &[]).await.unwrap().get(0);
            let known = self.scene.sessions();
            if sessions <= known { Ok(()) } else { Err(format!("{sessions} sessions of {known}")) }
        })
        .await;
    }

    /// A database that nobody has entered gets the name that the pattern has for `solution`.
    async fn rename(&self, solution: &str) {
        let name = format!("djo_{solution}_db");
        let before = self.renamed.replace(name.clone());
        self.scene.world.platform.implementer().rename(&before, &name).await.unwrap();
    }
}
