//! The history test: callers of many solutions through three routers, while routers, networks, Postgres and databases fail and
//! solutions move; and everything that the callers were told has to be explained by documents that change a step at a time.
//!
//! A minute in the suite; `make torture SEED=7 MINUTES=10` takes longer. The seed fixes the faults and what callers ask for, not
//! how threads interleave; so a run is recorded, and `make torture CHECK=FILE` judges the record again.

mod checker;
mod clients;
mod faults;
mod files;
mod history;
mod invariants;
mod nemesis;
mod report;
mod routers;
mod solutions;
mod watch;

use std::{
    collections::BTreeMap,
    fmt::Display,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use fbs_router_sandbox::Implementer;
use futures_util::future::join_all;
use prost::Message;
use tonic::{Response, Status};

use self::{
    clients::{CLIENTS, Client, canary},
    history::Line,
    routers::{ROUTERS, Router},
    solutions::Solution,
};
use crate::support::{World, process::Held};

/// Of whatever has to happen in the end, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(90);
/// Of one thing that is asked while others go wrong; a move may be held up by them.
const ANSWER: Duration = Duration::from_secs(15);
/// With databases of their own, besides acme's.
const DEDICATED: [&str; 3] = ["initech", "umbrella", "hooli"];
/// In the system database at first; the first moves to and fro.
const SHARED: [&str; 2] = ["globex", "stark"];
const MOVING: &str = SHARED[0];

/// The scene, and the account of it.
struct Torture {
    world: World,
    routers: Vec<Router>,
    /// What each router held before anything went wrong.
    held: Vec<Option<Held>>,
    /// All that there have been.
    solutions: Mutex<Vec<Arc<Solution>>>,
    /// Those that callers ask for now.
    wanted: Mutex<Vec<Arc<Solution>>>,
    seed: u64,
    began: Instant,
    /// When faults begin no more.
    until: Instant,
    over: AtomicBool,
    /// Since when nothing goes wrong any more, and nobody has to wait for what was.
    healed: Mutex<Option<Instant>>,
    nonces: AtomicU64,
    lines: Mutex<Vec<Line>>,
    violations: Mutex<Vec<String>>,
    fired: Mutex<BTreeMap<&'static str, usize>>,
}

impl Torture {
    async fn start(seed: u64, duration: Duration) -> Self {
        let mut world = World::new().await;
        // Goes with the server, also if we are killed.
        world.folder = tempfile::tempdir_in(world.platform.cluster.socket_directory()).unwrap();
        crate::support::secret_file(&world.folder.path().join("password"), fbs_router_sandbox::platform::PASSWORD);
        for solution in DEDICATED {
            world.create_own_database(solution).await;
        }
        let routers = join_all((0..ROUTERS).map(|number| Router::start(&world, number))).await;
        let names = ["acme_corp"].into_iter().chain(DEDICATED).chain(SHARED);
        let solutions: Vec<_> = names.map(Solution::new).collect();
        for solution in solutions.iter().filter(|solution| !SHARED.contains(&&*solution.name)) {
            solution.apart.store(true, Relaxed);
        }
        let mut this = Self {
            world,
            routers,
            held: Vec::new(),
            solutions: Mutex::new(solutions.clone()),
            wanted: Mutex::new(solutions),
            seed,
            began: Instant::now(),
            until: Instant::now() + duration,
            over: AtomicBool::new(false),
            healed: Mutex::default(),
            nonces: AtomicU64::new(1),
            lines: Mutex::default(),
            violations: Mutex::default(),
            fired: Mutex::default(),
        };
        // Recorded where they live: from there on nothing is guessed. The one that moves, before a database of its own appears.
        let replica = this.routers[0].replica().await;
        for solution in ["acme_corp"].into_iter().chain(DEDICATED).chain([MOVING]) {
            let placement = if solution == MOVING { "SYSTEM" } else { "DEDICATED" };
            let first = replica.create(solution, &canary(solution)).await;
            assert_eq!(first.unwrap().placement, placement);
        }
        this.world.create_own_database(MOVING).await;
        this.held = join_all(this.routers.iter().map(Router::held)).await;
        this
    }

    fn implementer(&self) -> Implementer<'_> {
        self.world.platform.implementer()
    }

    fn is_over(&self) -> bool {
        self.over.load(Relaxed)
    }

    fn mark_healed(&self) {
        *self.healed.lock().unwrap() = Some(Instant::now());
    }

    fn nonce(&self) -> u64 {
        self.nonces.fetch_add(1, Relaxed)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap()
    }

    /// Whom a caller works for next; each third time it is the one that moves.
    fn solution(&self, random: &mut fastrand::Rng) -> Arc<Solution> {
        let wanted = self.wanted.lock().unwrap();
        let moving = wanted.iter().position(|of| of.name == MOVING).expect("it is never left");
        let next = if random.u32(..3) == 0 { moving } else { random.usize(..wanted.len()) };
        Arc::clone(&wanted[next])
    }

    /// Asks until it is done. While things go wrong nobody promises that anything is; afterwards it has to be, soon.
    async fn insist<E: Display>(&self, what: &str, mut ask: impl AsyncFnMut() -> Result<(), E>) {
        loop {
            let told = match tokio::time::timeout(ANSWER, ask()).await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer".to_owned(),
            };
            // The other lanes end by themselves, and then nothing is in the way any more.
            let healed = *self.healed.lock().unwrap();
            let patient = healed.map_or(self.until.elapsed() < PATIENCE * 2, |since| since.elapsed() < PATIENCE);
            assert!(patient, "not within {PATIENCE:?} after all has healed: {what}; last state: {told}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn record(&self, line: Line) {
        self.lines.lock().unwrap().push(line);
    }

    fn violation(&self, what: String) {
        self.violations.lock().unwrap().push(what);
    }

    fn fire(&self, fault: &'static str) {
        *self.fired.lock().unwrap().entry(fault).or_default() += 1;
    }

    /// Nothing of another solution is in an answer, be it an error.
    fn look_for_leaks<A: Message>(&self, solution: &str, answer: &Result<Response<A>, Status>) {
        let bytes = match answer {
            Ok(answer) => {
                let mut bytes = answer.get_ref().encode_to_vec();
                bytes.extend(format!("{:?}", answer.metadata()).into_bytes());
                bytes
            }
            Err(status) => {
                let mut bytes = format!("{status:?}").into_bytes();
                bytes.extend(status.details());
                bytes
            }
        };
        if let Some(foreign) = foreign_canary(&bytes, solution) {
            self.violation(format!("an answer to {solution} shows {foreign}"));
        }
    }
}

/// A canary that is not this solution's, and what comes behind it.
fn foreign_canary(bytes: &[u8], solution: &str) -> Option<String> {
    let (mark, own) = (b"CANARY:", canary(solution));
    let places = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(mark));
    let mut foreign = places.filter(|at| !bytes[*at..].starts_with(own.as_bytes()));
    foreign.next().map(|at| String::from_utf8_lossy(&bytes[at..bytes.len().min(at + 40)]).into_owned())
}

/// A number in the environment.
fn asked_for(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().filter(|text| !text.is_empty()).map_or(default, |text| text.parse().expect(name))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_callers_were_told_under_faults_is_the_history_of_documents() {
    if let Some(file) = std::env::var_os("FBS_TORTURE_CHECK").filter(|file| !file.is_empty()) {
        let lines = history::read(Path::new(&file));
        assert!(!lines.is_empty(), "nothing is recorded there");
        let found = report::judge(&lines);
        assert!(found.is_empty(), "{} lines\n{}", lines.len(), found.join("\n\n"));
        println!("{} lines, every document explained", lines.len());
        return;
    }
    let (seed, seconds) = (asked_for("FBS_TORTURE_SEED", 1), asked_for("FBS_TORTURE_SECONDS", 60));
    println!("FBS_TORTURE_SEED={seed} FBS_TORTURE_SECONDS={seconds}");
    let torture = Torture::start(seed, Duration::from_secs(seconds)).await;
    let story = async {
        nemesis::go_on(&torture).await;
        torture.over.store(true, Relaxed);
    };
    let clients = join_all((0..CLIENTS).map(|number| Client::new(&torture, number).go_on()));
    let ((), _, looks) = tokio::join!(story, clients, watch::go_on(&torture));
    // Written at once, and again with how it ended: what follows may end us.
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("torture-{seed}-{seconds}.jsonl"));
    history::write(&file, &torture.lines.lock().unwrap());
    println!("what callers were told: {}", file.display());
    torture.mark_healed();
    invariants::liveness(&torture).await;
    invariants::last_state(&torture).await;
    torture.mark_healed();
    invariants::databases(&torture).await;
    let lines = std::mem::take(&mut *torture.lines.lock().unwrap());
    history::write(&file, &lines);
    let fired = torture.fired.lock().unwrap().clone();
    let mut found = report::judge(&lines);
    found.extend(torture.violations.lock().unwrap().drain(..));
    found.extend(report::guards(&lines, &fired, looks, seconds));
    report::print(&lines, &fired, looks);
    assert!(
        found.is_empty(),
        "SEED={seed}, {} findings; again: make torture CHECK={}\n\n{}",
        found.len(),
        file.display(),
        found.join("\n\n")
    );
}
