//! Solutions change their places while everything else goes wrong, too: whatever is asked here is asked until it is done.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use fbs_router_proto::{
    admin::v1::{MoveSolutionRequest, ReleaseSolutionRequest, move_solution_response::Step},
    router::v1::Placement,
};
use fbs_router_sandbox::{Mode, platform::TEMPLATE_DATABASE};
use futures_util::future::join_all;

use super::{
    super::{
        ANSWER, MOVING,
        history::{Call, Line, Outcome},
        invariants,
        routers::ROUTERS,
        solutions::Solution,
    },
    Torture, pause,
};
use crate::support::{asking::page, within};

/// Solutions that come and go, of those that callers ask for at a time.
const GUESTS: usize = 3;
/// Moves past slow writers at a time.
const TO_AND_FRO: usize = 3;

/// The solution goes to the other place; now and then what it leaves is removed.
pub(super) async fn moved(torture: &Torture, random: &mut fastrand::Rng) {
    let request = to_the_other_place(torture).await;
    walk(torture, &request, random.usize(..)).await;
    if random.bool() {
        walk(torture, &MoveSolutionRequest { purge: true, ..request }, random.usize(..)).await;
    }
}

/// Whoever moves it is gone somewhere on the way; another takes that back, or to its end.
pub(super) async fn moved_by_who_is_killed(torture: &Torture, random: &mut fastrand::Rng) {
    let request = to_the_other_place(torture).await;
    let mover = random.usize(..torture.routers.len());
    let kill = async {
        tokio::time::sleep(Duration::from_millis(random.u64(..500))).await;
        torture.routers[mover].kill().await;
    };
    tokio::join!(walk(torture, &request, mover), kill);
}

/// It goes to and fro, first of all by one router, while what callers of the others write is committed late.
pub(super) async fn moved_past_slow_writers(torture: &Torture, random: &mut fastrand::Rng) {
    let mover = random.usize(..torture.routers.len());
    let late = Duration::from_millis(random.u64(600..1200));
    let others: Vec<_> = (0..ROUTERS).filter(|other| *other != mover).map(|other| &torture.routers[other]).collect();
    let _ours = join_all(others.iter().map(|router| router.way.lock())).await;
    let set = |mode| others.iter().for_each(|router| router.proxy.set(mode));
    set(Mode::LateCommits(late));
    for _ in 0..TO_AND_FRO {
        pause(random).await;
        walk(torture, &to_the_other_place(torture).await, mover).await;
    }
    set(Mode::Forward);
}

async fn to_the_other_place(torture: &Torture) -> MoveSolutionRequest {
    let mut to = Placement::Unspecified;
    let ask = async || {
        let dedicated = invariants::place(torture, MOVING).await?.is_some();
        to = if dedicated { Placement::System } else { Placement::Dedicated };
        Ok::<_, String>(())
    };
    torture.insist("its place is known", ask).await;
    MoveSolutionRequest { solution: MOVING.into(), to: to.into(), ..Default::default() }
}

/// Has it moved by some router or another, until it is there.
pub(in super::super) async fn walk(torture: &Torture, request: &MoveSolutionRequest, first: usize) {
    let turn = AtomicUsize::new(first % torture.routers.len());
    torture
        .insist("a move is made", async || {
            let router = &torture.routers[turn.fetch_add(1, Relaxed) % torture.routers.len()];
            let walking = async {
                let mut steps = router.admin().move_solution(request.clone()).await?.into_inner();
                let mut last = None;
                while let Some(step) = steps.message().await? {
                    last = Some(step);
                }
                Ok::<_, tonic::Status>(last)
            };
            match walking.await {
                Ok(Some(last)) if last.step() == Step::Done => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
}

/// A database for a solution of which nobody has heard, while its first callers come.
pub(super) async fn appeared(torture: &Torture, random: &mut fastrand::Rng) {
    let solution = Solution::new(&format!("fresh_{}", torture.solutions.lock().unwrap().len()));
    let own = own(&solution);
    if random.bool() {
        invite(torture, &solution);
        tokio::time::sleep(Duration::from_millis(random.u64(..300))).await;
        copied(torture, &own).await;
        return;
    }
    // Until it is there, every router knows that there is none.
    let asking = async {
        loop {
            asked_for(torture, &solution).await;
        }
    };
    tokio::select! {
        () = copied(torture, &own) => {}
        () = asking => {}
    }
    solution.apart.store(true, Relaxed);
    let closed = random.bool();
    if closed {
        opened(torture, &own, false).await;
    }
    invite(torture, &solution);
    if closed {
        pause(random).await;
        opened(torture, &own, true).await;
    }
}

/// Every router that can be asked looks for it, and nothing is written.
async fn asked_for(torture: &Torture, solution: &Solution) {
    let asked = torture.routers.iter().map(async |router| {
        let request = within(page(&solution.name, 1));
        let _known = tokio::time::timeout(ANSWER, router.documents().list_documents(request)).await;
    });
    join_all(asked).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
}

async fn opened(torture: &Torture, database: &str, open: bool) {
    let implementer = torture.implementer();
    torture
        .insist("a database is opened or closed", async || {
            implementer.allow_connections(database, open).await.map_err(|error| error.to_string())
        })
        .await;
}

/// A database is gone; an operator gives it up, and the solution begins anew in the system database. When it comes back,
/// nobody is served from it.
pub(super) async fn released(torture: &Torture, random: &mut fastrand::Rng) {
    let solution = Solution::new(&format!("brief_{}", torture.solutions.lock().unwrap().len()));
    let name = &solution.name;
    copied(torture, &own(&solution)).await;
    solution.apart.store(true, Relaxed);
    invite(torture, &solution);
    torture
        .insist("it lives in its own database", async || match invariants::place(torture, name).await? {
            Some(_) => Ok(()),
            None => Err("not yet".to_owned()),
        })
        .await;
    pause(random).await;
    let nobody_calls = solution.calling.write().await;
    invariants::live_apart(torture).await;
    solution.apart.store(false, Relaxed);
    let called = torture.now();
    renamed(torture, &own(&solution), &format!("gone_{name}")).await;
    let turn = AtomicUsize::new(random.usize(..100));
    torture
        .insist("it is released", async || {
            let router = &torture.routers[turn.fetch_add(1, Relaxed) % torture.routers.len()];
            let request = ReleaseSolutionRequest { solution: name.clone(), confirm: name.clone(), app: String::new() };
            match router.admin().release_solution(request).await {
                Ok(_) => Ok(()),
                // A first answer may have been lost.
                other => match invariants::place(torture, name).await? {
                    None => Ok(()),
                    Some(_) => Err(format!("{other:?}")),
                },
            }
        })
        .await;
    let returned = torture.now();
    for document in solution.documents() {
        torture.record(Line {
            client: 0,
            solution: name.clone(),
            document,
            call: Call::Lose,
            request_id: String::new(),
            tries: Vec::new(),
            outcome: Outcome::Is(None),
            called,
            returned,
        });
    }
    solution.next();
    drop(nobody_calls);
    pause(random).await;
    renamed(torture, &format!("gone_{name}"), &own(&solution)).await;
}

fn own(solution: &Solution) -> String {
    format!("djo_{}_db", solution.name)
}

/// Callers ask for it, too, and no longer for the guest who came first.
fn invite(torture: &Torture, solution: &Arc<Solution>) {
    torture.solutions.lock().unwrap().push(Arc::clone(solution));
    let mut wanted = torture.wanted.lock().unwrap();
    wanted.push(Arc::clone(solution));
    let is_guest = |of: &Arc<Solution>| of.name.starts_with("fresh_") || of.name.starts_with("brief_");
    if wanted.iter().filter(|of| is_guest(of)).count() > GUESTS
        && let Some(first) = wanted.iter().position(is_guest)
    {
        wanted.remove(first);
    }
}

async fn exists(torture: &Torture, database: &str) -> Result<bool, String> {
    let sql = format!("SELECT count(*) FROM pg_database WHERE datname = '{database}'");
    torture.implementer().count("postgres", &sql).await.map(|count| count == 1).map_err(|error| error.to_string())
}

async fn copied(torture: &Torture, database: &str) {
    torture
        .insist("a database is copied", async || {
            if exists(torture, database).await? {
                return Ok(());
            }
            let copied = torture.implementer().copy_database(TEMPLATE_DATABASE, database).await;
            copied.map_err(|error| error.to_string())
        })
        .await;
}

/// Renames, and goes on where a try was interrupted.
async fn renamed(torture: &Torture, from: &str, to: &str) {
    let implementer = torture.implementer();
    torture
        .insist("a database is renamed", async || {
            let again = if exists(torture, from).await? {
                implementer.rename(from, to).await
            } else {
                implementer.allow_connections(to, true).await
            };
            again.map_err(|error| error.to_string())
        })
        .await;
}
