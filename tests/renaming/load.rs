//! Calls of several solutions through three replicas, each judged by what its solution's database is at the moment; and the
//! account of what was acknowledged.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use fbs_router_proto::document::v1::{CreateDocumentRequest, GetDocumentRequest};
use fbs_router_sandbox::{eventually, platform::SYSTEM_DATABASE};
use futures_util::future::join_all;
use tonic::Code;

use super::{DETACHED, DOWN, NOBODY_KNOWS};
use crate::{
    identity::MISMATCH,
    support::{
        Answered, Replica, World, answered,
        asking::{Refusal, page, refusal, request_id},
        draft, failure,
        residue::nothing_is_left,
    },
};

/// What has to have happened on each replica before the story goes on.
const ENOUGH: usize = 6;
const PAGE: usize = 20;
/// Of a call, and of what is waited for: so that outcomes are asserted, not how fast this machine is.
const DEADLINE: Duration = Duration::from_secs(25);
const LIMIT: Duration = Duration::from_secs(60);
/// Between two counts of what must not be there.
const INTERVAL: Duration = Duration::from_millis(20);

fn patiently<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(DEADLINE);
    request
}

/// What calls of the dedicated solutions may come to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scene {
    /// Nothing is amiss: each is served.
    Served,
    /// It is being done, or not noticed by everybody: served rightly, or refused for one of these reasons.
    Changing(&'static [(Code, &'static str)]),
    /// None is served, and each is refused for one of these reasons.
    Refused(&'static [(Code, &'static str)]),
}

/// A solution under load.
pub(super) struct Solution {
    name: &'static str,
    database: &'static str,
    shared: bool,
    /// Of the writes that were acknowledged, the ids by the names.
    acknowledged: Mutex<BTreeMap<String, String>>,
    /// The names of those of which nobody knows.
    unknown: Mutex<BTreeSet<String>>,
    /// By replica.
    served: [AtomicUsize; 3],
    refused: [AtomicUsize; 3],
}

/// Writers and readers of each, at each replica.
pub(super) struct Load {
    replicas: [Replica; 3],
    solutions: Vec<Solution>,
    /// With its number: a call that sees the same one before and after was made within it.
    scene: Mutex<(usize, Scene)>,
    over: AtomicBool,
}

impl Solution {
    pub(super) fn new(name: &'static str, database: &'static str) -> Self {
        Self {
            name,
            database,
            shared: database == SYSTEM_DATABASE,
            acknowledged: Mutex::default(),
            unknown: Mutex::default(),
            served: Default::default(),
            refused: Default::default(),
        }
    }

    fn place(&self) -> String {
        format!("{} {}", if self.shared { "SYSTEM" } else { "DEDICATED" }, self.database)
    }
}

impl Load {
    pub(super) async fn start(world: &World, extra: &str, solutions: Vec<Solution>) -> Self {
        let start = async |name: &str| {
            Replica::start(&world.configuration(&world.platform.url(), extra), &world.snapshot(name)).await
        };
        let replicas = [start("one").await, start("two").await, start("three").await];
        for solution in &solutions {
            let answer = replicas[0].create(solution.name, &format!("{}-first", solution.name)).await.unwrap();
            assert_eq!(answer.database, solution.database);
            solution.acknowledged.lock().unwrap().insert(answer.message.name, answer.message.document_id);
        }
        let load = Self { replicas, solutions, scene: Mutex::new((0, Scene::Served)), over: AtomicBool::new(false) };
        load.everybody(
            |_, _| true,
            async |replica, solution| match replica.place(solution.name).await {
                Ok(place) if place == solution.place() => Ok(()),
                other => Err(format!("{other:?}")),
            },
        )
        .await;
        load
    }

    pub(super) fn begin(&self, scene: Scene) {
        let mut now = self.scene.lock().unwrap();
        *now = (now.0 + 1, scene);
    }

    /// Nobody begins another call.
    pub(super) fn end(&self) {
        self.over.store(true, Relaxed);
    }

    fn over(&self) -> bool {
        self.over.load(Relaxed)
    }

    /// Everybody's calls, until it is over.
    pub(super) async fn go_on(&self) {
        let writers =
            (0..self.replicas.len()).flat_map(|at| self.solutions.iter().map(move |solution| self.write(at, solution)));
        let readers =
            (0..self.replicas.len()).flat_map(|at| self.solutions.iter().map(move |solution| self.read(at, solution)));
        tokio::join!(join_all(writers), join_all(readers));
    }

    async fn write(&self, at: usize, solution: &Solution) {
        for number in 0.. {
            let name = format!("{}-{at}-{number}", solution.name);
            let mut request = CreateDocumentRequest {
                solution: solution.name.into(),
                document: Some(draft(&name)),
                ..CreateDocumentRequest::default()
            };
            // Every other one is safe to repeat, and repeated.
            if number % 2 == 0 {
                request.request_id = request_id();
            }
            let once = request.request_id.is_empty();
            loop {
                let replica = &self.replicas[at];
                let call = async {
                    let answer = replica.documents().create_document(patiently(request.clone())).await;
                    answer
                        .map(|answer| answered(answer, |made| made.document.unwrap()))
                        .map_err(|status| refusal(&status))
                };
                match self.judged(at, solution, call).await {
                    Ok(answer) => {
                        let taken = solution.acknowledged.lock().unwrap().insert(name, answer.message.document_id);
                        assert_eq!(taken, None);
                        break;
                    }
                    Err((code, _)) if code == NOBODY_KNOWS.0 || (!once && self.over()) => {
                        solution.unknown.lock().unwrap().insert(name);
                        break;
                    }
                    // Nothing was written.
                    Err(_) if once => break,
                    Err(_) => {}
                }
            }
            if self.over() {
                return;
            }
        }
    }

    async fn read(&self, at: usize, solution: &Solution) {
        let replica = &self.replicas[at];
        while !self.over() {
            let (known, (name, id)) = {
                let acknowledged = solution.acknowledged.lock().unwrap();
                let (name, id) = acknowledged.last_key_value().expect("the first one");
                (acknowledged.len(), (name.clone(), id.clone()))
            };
            let reading = async {
                let request =
                    GetDocumentRequest { solution: solution.name.into(), document_id: id, ..Default::default() };
                let answer = replica.documents().get_document(patiently(request)).await;
                answer.map(|answer| answered(answer, |read| read.document.unwrap())).map_err(|status| refusal(&status))
            };
            if let Ok(answer) = self.judged(at, solution, reading).await {
                assert_eq!((answer.message.name, answer.message.solution.as_str()), (name, solution.name));
            }
            let listing = async {
                let request = page(solution.name, i32::try_from(PAGE).unwrap());
                let answer = replica.documents().list_documents(patiently(request)).await;
                answer.map(|answer| answered(answer, |list| list.documents)).map_err(|status| refusal(&status))
            };
            if let Ok(answer) = self.judged(at, solution, listing).await {
                assert!(answer.message.len() >= known.min(PAGE), "{} of {known}", answer.message.len());
                let own = format!("{}-", solution.name);
                assert!(answer.message.iter().all(|document| document.name.starts_with(&own)));
            }
            // From memory, so it may not have been noticed; but never another place.
            match replica.place(solution.name).await {
                Ok(place) => assert_eq!(place, solution.place()),
                Err(error) => assert!(!solution.shared && error.0 != Code::NotFound, "{}: {error:?}", solution.name),
            }
        }
    }

    /// A call of a solution, whose outcome has to be one of those that the scene allows.
    async fn judged<T>(
        &self,
        at: usize,
        solution: &Solution,
        call: impl Future<Output = Result<Answered<T>, Refusal>>,
    ) -> Result<Answered<T>, Refusal> {
        let before = *self.scene.lock().unwrap();
        let outcome = call.await;
        let after = *self.scene.lock().unwrap();
        let (name, told) = (solution.name, outcome.as_ref().map(|answer| answer.database.as_str()));
        let among = |allowed: &[(Code, &str)]| {
            told.is_err_and(|error| allowed.iter().any(|one| failure(one.0, one.1) == *error))
        };
        let right = match before.1 {
            _ if solution.shared => told.is_ok(),
            _ if before.0 != after.0 => told.is_ok() || among(&[DETACHED, MISMATCH, DOWN, NOBODY_KNOWS]),
            Scene::Served => told.is_ok(),
            Scene::Changing(allowed) => told.is_ok() || among(allowed),
            Scene::Refused(allowed) => among(allowed),
        };
        assert!(right, "{name} at replica {at}: {told:?} between {before:?} and {after:?}");
        match &outcome {
            Ok(answer) => {
                assert_eq!(format!("{} {}", answer.placement, answer.database), solution.place());
                solution.served[at].fetch_add(1, Relaxed);
            }
            Err(_) => drop(solution.refused[at].fetch_add(1, Relaxed)),
        }
        outcome
    }

    /// Waits until it is so of each solution that counts, at each replica.
    async fn everybody(
        &self,
        counts: impl Fn(usize, &Solution) -> bool,
        is_so: impl AsyncFn(&Replica, &Solution) -> Result<(), String>,
    ) {
        for (at, replica) in self.replicas.iter().enumerate() {
            for solution in self.solutions.iter().filter(|solution| counts(at, solution)) {
                eventually("each replica has come so far", LIMIT, async || is_so(replica, solution).await).await;
            }
        }
    }

    /// Waits until each replica has served the shared solution a number of times more, and served or refused the others.
    pub(super) async fn enough(&self, served: bool) {
        let count = |at: usize, solution: &Solution| {
            let of = if served || solution.shared { &solution.served } else { &solution.refused };
            of[at].load(Relaxed)
        };
        let all = || (0..self.replicas.len()).flat_map(|at| self.solutions.iter().map(move |solution| (at, solution)));
        let before: Vec<usize> = all().map(|(at, solution)| count(at, solution)).collect();
        eventually("the calls go on at each replica", LIMIT, async || {
            let more =
                all().zip(&before).map(|((at, solution), before)| (at, solution.name, count(at, solution) - before));
            let few: Vec<_> = more.filter(|more| more.2 < ENOUGH).collect();
            if few.is_empty() { Ok(()) } else { Err(format!("{few:?}, served: {served}")) }
        })
        .await;
    }

    /// Waits until each replica refuses the dedicated solutions so, Resolve included.
    pub(super) async fn refused_everywhere(&self, error: (Code, &str)) {
        let expected = failure(error.0, error.1);
        self.everybody(
            |_, solution| !solution.shared,
            async |replica, solution| {
                let id = solution.acknowledged.lock().unwrap().values().next().unwrap().clone();
                let told = replica.get(solution.name, &id).await.map(|answer| answer.database);
                let place = replica.place(solution.name).await;
                if told == Err(expected.clone()) && place == Err(expected.clone()) {
                    Ok(())
                } else {
                    Err(format!("{}: {told:?}, {place:?}", solution.name))
                }
            },
        )
        .await;
    }

    /// Waits until each replica serves everybody, which nobody helps it with.
    pub(super) async fn served_everywhere(&self) {
        self.everybody(
            |_, _| true,
            async |replica, solution| {
                let id = solution.acknowledged.lock().unwrap().values().next().unwrap().clone();
                let told = replica.get(solution.name, &id).await.map(|answer| answer.database);
                let place = replica.place(solution.name).await;
                if told.as_deref() == Ok(solution.database) && place == Ok(solution.place()) {
                    Ok(())
                } else {
                    Err(format!("{}: {told:?}, {place:?}", solution.name))
                }
            },
        )
        .await;
    }

    /// Counts what is in the system database of those who have their own, as the superuser, until it is over.
    pub(super) async fn nothing_leaks(&self, world: &World) {
        let names: Vec<&str> =
            self.solutions.iter().filter(|solution| !solution.shared).map(|solution| solution.name).collect();
        let sql = "SELECT (SELECT count(*) FROM fbs_document.document WHERE company_id = ANY ($1)) \
                        + (SELECT count(*) FROM fbs_router.request_record WHERE company_id = ANY ($1))";
        let client = world.platform.cluster.connect(SYSTEM_DATABASE).await.unwrap();
        let mut tick = tokio::time::interval(INTERVAL);
        loop {
            tick.tick().await;
            let last = self.over();
            let rows: i64 = client.query_one(sql, &[&names]).await.unwrap().get(0);
            assert_eq!(rows, 0, "rows of {names:?} in the system database");
            if last {
                return;
            }
        }
    }

    /// What was acknowledged is there once, and besides it only what nobody knows of.
    pub(super) async fn is_accounted_for(&self, world: &World) {
        for solution in &self.solutions {
            let client = world.platform.cluster.connect(solution.database).await.unwrap();
            let sql = "SELECT name FROM fbs_document.document WHERE company_id = $1";
            let found = client.query(sql, &[&solution.name]).await.unwrap();
            let found: Vec<String> = found.iter().map(|row| row.get(0)).collect();
            let names: BTreeSet<String> = found.iter().cloned().collect();
            assert_eq!(found.len(), names.len(), "a document of {} is doubled", solution.name);
            let acknowledged: BTreeSet<String> = solution.acknowledged.lock().unwrap().keys().cloned().collect();
            let lost: Vec<_> = acknowledged.difference(&names).collect();
            assert!(
                lost.is_empty(),
                "{} were acknowledged to {} and are not there: {lost:?}",
                lost.len(),
                solution.name
            );
            let unknown = solution.unknown.lock().unwrap().clone();
            let stray: Vec<_> = names.difference(&acknowledged).filter(|name| !unknown.contains(*name)).collect();
            assert!(stray.is_empty(), "{} were refused to {} and are there: {stray:?}", stray.len(), solution.name);
            if !solution.shared {
                let strangers = format!(
                    "SELECT (SELECT count(*) FROM fbs_document.document WHERE company_id <> '{0}') \
                          + (SELECT count(*) FROM fbs_router.request_record WHERE company_id <> '{0}')",
                    solution.name
                );
                assert_eq!(world.count(solution.database, &strangers).await, 0, "strangers in {}", solution.database);
            }
            let sum = |of: &[AtomicUsize; 3]| of.iter().map(|count| count.load(Relaxed)).sum::<usize>();
            let (served, refused) = (sum(&solution.served), sum(&solution.refused));
            eprintln!("{}: {} documents, {served} calls served, {refused} refused", solution.name, found.len());
        }
        nothing_is_left(&world.platform.cluster, &self.replicas.each_ref()).await;
    }
}
