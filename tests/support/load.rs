//! Writers and readers of some solutions through one replica, and the account of what was acknowledged.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
};

use fbs_router_sandbox::{Cluster, LIMIT, eventually, soon};
use futures_util::future::join_all;
use tonic::Code;

use super::{Replica, failure};

/// Of a write without a request id whose COMMIT was on its way.
pub(crate) const NOBODY_KNOWS: (Code, &str) = (Code::Unknown, "OUTCOME_UNKNOWN");
/// Writers and readers of each solution.
const CALLERS: usize = 4;
/// Calls of each solution before the story goes on.
const ENOUGH: usize = 40;

/// Waits until enough more calls were served than there are now.
pub(crate) async fn some_more(served: &AtomicUsize, what: &str) {
    let before = served.load(Relaxed);
    soon(what, async || match served.load(Relaxed) - before {
        more if more > ENOUGH => Ok(()),
        more => Err(more),
    })
    .await;
}

/// Calls of some solutions, and what came of them.
pub(crate) struct Load<'l> {
    replica: &'l Replica,
    pub(crate) solutions: BTreeMap<&'static str, Outcomes>,
    pub(crate) over: AtomicBool,
    /// Names are taken once.
    written: AtomicUsize,
}

#[derive(Default)]
pub(crate) struct Outcomes {
    /// Names by ids.
    acknowledged: Mutex<BTreeMap<String, String>>,
    unknown: Mutex<BTreeSet<String>>,
    served: AtomicUsize,
    refused: AtomicUsize,
    /// None is served until it is unset.
    pub(crate) nobody: AtomicBool,
    /// Reasons for which one may be refused.
    allowed: Mutex<Reasons>,
}

type Reasons = BTreeSet<(i32, String)>;

impl<'l> Load<'l> {
    pub(crate) async fn new(replica: &'l Replica, solutions: &[&'static str]) -> Self {
        let load = Self {
            replica,
            solutions: solutions.iter().map(|name| (*name, Outcomes::default())).collect(),
            over: AtomicBool::new(false),
            written: AtomicUsize::new(0),
        };
        for (solution, outcomes) in &load.solutions {
            let name = format!("{solution}-first");
            let id = replica.create(solution, &name).await.unwrap().message.document_id;
            outcomes.acknowledged.lock().unwrap().insert(id, name);
        }
        load
    }

    pub(crate) async fn go_on(&self) {
        let callers = self.solutions.iter().flat_map(|(solution, outcomes)| {
            (0..CALLERS).map(move |caller| async move {
                while !self.over.load(Relaxed) {
                    let number = self.written.fetch_add(1, Relaxed);
                    self.write(solution, outcomes, format!("{solution}-{caller}-{number}")).await;
                    self.read(solution, outcomes).await;
                }
            })
        });
        join_all(callers).await;
    }

    async fn write(&self, solution: &str, outcomes: &Outcomes, name: String) {
        let (nobody, before) = (outcomes.nobody.load(Relaxed), outcomes.allowed());
        match self.replica.create(solution, &name).await {
            Ok(answer) => {
                let still = nobody && outcomes.nobody.load(Relaxed);
                assert!(!still, "{solution} was written to {}", answer.database);
                outcomes.acknowledged.lock().unwrap().insert(answer.message.document_id, name);
                outcomes.served.fetch_add(1, Relaxed);
            }
            Err(error) => {
                // A deadline may pass while the answer to COMMIT is on its way.
                if error == failure(NOBODY_KNOWS.0, NOBODY_KNOWS.1) || error.0 == Code::DeadlineExceeded {
                    outcomes.unknown.lock().unwrap().insert(name);
                }
                outcomes.refuse(solution, &error, &before);
            }
        }
    }

    async fn read(&self, solution: &str, outcomes: &Outcomes) {
        let (nobody, before) = (outcomes.nobody.load(Relaxed), outcomes.allowed());
        let (known, (id, name)) = {
            let acknowledged = outcomes.acknowledged.lock().unwrap();
            let (id, name) = acknowledged.iter().next_back().unwrap();
            (acknowledged.len(), (id.clone(), name.clone()))
        };
        match self.replica.get(solution, &id).await {
            Ok(answer) => {
                assert!(!(nobody && outcomes.nobody.load(Relaxed)), "{solution} was read from {}", answer.database);
                assert_eq!((answer.message.name, answer.message.solution.as_str()), (name, solution));
                outcomes.served.fetch_add(1, Relaxed);
            }
            Err(error) => outcomes.refuse(solution, &error, &before),
        }
        let before = outcomes.allowed();
        match self.replica.names(solution).await {
            Ok(names) => {
                assert!(!(nobody && outcomes.nobody.load(Relaxed)), "{solution} was listed");
                assert!(names.len() >= known.min(20), "{} of {known}", names.len());
                assert!(names.iter().all(|name| name.starts_with(solution)), "{solution}: {names:?}");
            }
            Err(error) => outcomes.refuse(solution, &error, &before),
        }
    }

    /// From now on each solution may be refused for these reasons.
    pub(crate) fn allow(&self, reasons: &[(Code, &str)]) {
        for outcomes in self.solutions.values() {
            outcomes.allow(reasons);
        }
    }

    /// Waits until each solution was served, or refused, so often more.
    pub(crate) async fn enough(&self, refused: &[&str]) {
        let count = |solution: &str, outcomes: &Outcomes| {
            let of = if refused.contains(&solution) { &outcomes.refused } else { &outcomes.served };
            of.load(Relaxed)
        };
        let before: Vec<usize> = self.solutions.iter().map(|(solution, outcomes)| count(solution, outcomes)).collect();
        eventually("the calls go on", LIMIT * 3, async || {
            let now = self.solutions.iter().map(|(solution, outcomes)| (solution, count(solution, outcomes)));
            let few: Vec<_> = now.zip(&before).filter(|((_, now), before)| now - **before < ENOUGH).collect();
            if few.is_empty() { Ok(()) } else { Err(format!("{few:?}")) }
        })
        .await;
    }

    /// What was acknowledged is there once, and besides it only what nobody knows of.
    pub(crate) async fn is_accounted_for(&self, cluster: &Cluster, database: impl Fn(&str) -> &'static str) {
        for (solution, outcomes) in &self.solutions {
            let client = cluster.connect(database(solution)).await.unwrap();
            let sql = "SELECT name FROM fbs_document.document WHERE company_id = $1";
            let found = client.query(sql, &[solution]).await.unwrap();
            let found: Vec<String> = found.iter().map(|row| row.get(0)).collect();
            let names: BTreeSet<String> = found.iter().cloned().collect();
            assert_eq!(found.len(), names.len(), "a document of {solution} is doubled");
            let acknowledged: BTreeSet<String> = outcomes.acknowledged.lock().unwrap().values().cloned().collect();
            let lost: Vec<_> = acknowledged.difference(&names).collect();
            assert!(lost.is_empty(), "were acknowledged to {solution} and are not there: {lost:?}");
            let unknown = outcomes.unknown.lock().unwrap();
            let stray: Vec<_> = names.difference(&acknowledged).filter(|name| !unknown.contains(*name)).collect();
            assert!(stray.is_empty(), "were refused to {solution} and are there: {stray:?}");
            let (served, refused) = (outcomes.served.load(Relaxed), outcomes.refused.load(Relaxed));
            eprintln!("{solution}: {} documents, {served} calls served, {refused} refused", found.len());
        }
    }
}

impl Outcomes {
    pub(crate) fn allow(&self, reasons: &[(Code, &str)]) {
        *self.allowed.lock().unwrap() =
            reasons.iter().map(|(code, reason)| (*code as i32, (*reason).to_owned())).collect();
    }

    fn allowed(&self) -> Reasons {
        self.allowed.lock().unwrap().clone()
    }

    /// Allowed are reasons of when the call began, `before`, and those of now.
    fn refuse(&self, solution: &str, error: &(Code, String), before: &Reasons) {
        let reason = (error.0 as i32, error.1.clone());
        let allowed = before.contains(&reason) || self.allowed().contains(&reason);
        assert!(allowed, "{solution} was refused: {error:?}");
        self.refused.fetch_add(1, Relaxed);
    }
}
