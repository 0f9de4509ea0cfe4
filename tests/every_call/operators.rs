//! What operators ask for, interrupted everywhere: it is done or it is not, and asked for once more it is done.

use std::{future::poll_fn, pin::pin};

use fbs_router_sandbox::{Mode, Way, soon};
use tonic::Status;

use super::{
    commands::{Audited, Command, Stage, commands},
    is_complete,
    lanes::{Lane, in_lanes, sum},
    polls::{MOST, polled},
};
use crate::support::{World, reason};

/// Polls and places between two points that are tried, where not all are.
const POLLS: usize = 17;
const PLACES: u64 = 7;
/// The last polls, which are all tried: before them a command waits for scans, and changes nothing.
const LATE: usize = 5;
/// Worlds side by side, where all places are tried.
const LANES: u64 = 8;
/// Commands in a row that are done without having been cut, in one of these: how far a connection comes meanwhile differs,
/// for scans pass there, too.
const WHOLE: u32 = 3;
/// More than any connection comes by for one command.
const MOST_PLACES: u64 = 100_000;

/// A command that was interrupted, and how everything stood before.
struct Interrupted<'s> {
    stage: &'s Stage,
    command: Command,
    before: (String, Audited),
    /// How everything stands when it is done.
    after: &'s str,
    at: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_left_at_any_point_is_done_or_not_and_is_done_when_given_again() {
    let stage = Stage::new(World::new().await, None).await;
    for (method, wish) in commands() {
        let (after, usual) = done(&stage, &method, wish).await;
        let mut times = 0;
        loop {
            let at = format!("{method} {wish}, left after {times} polls");
            let this = Interrupted::prepare(&stage, &method, wish, &after, at).await;
            let answer = polled(times, stage.give(&this.command)).await;
            let is_whole = answer.is_some();
            assert!(answer.as_ref().is_none_or(|answer| matches!(answer, Ok(true))), "{}: {answer:?}", this.at);
            let [_, _, back] = this.told_truly(answer).await;
            assert_eq!(back, 0, "{}: it was taken back, and nothing had failed", this.at);
            this.again().await;
            if is_whole {
                break;
            }
            times += if is_complete() || times + LATE >= usual { 1 } else { POLLS.min(usual - LATE - times) };
            assert!(times < MOST, "{}", this.at);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_cut_anywhere_to_postgres_is_told_truly_and_is_done_when_given_again() {
    cut_everywhere(Way::ToServer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_cut_anywhere_in_an_answer_is_told_truly_and_is_done_when_given_again() {
    cut_everywhere(Way::ToClient).await;
}

/// Cuts each connection that is open. Others are opened: whatever goes on may go on.
async fn cut_everywhere(way: Way) {
    let outcomes = sum(in_lanes(LANES, async |lane| cut_in(way, lane).await).await);
    println!("{way:?}: done, not known and done, not done: {outcomes:?}");
    assert!(outcomes[0] > 0 && outcomes[2] > 0, "the cuts missed the commands: {outcomes:?}");
}

/// In a world of its own, its share of all cuts, or some. How many commands were told to be done, were done and not told
/// so, were not done.
async fn cut_in(way: Way, lane: Lane) -> [u32; 3] {
    let world = World::new().await;
    let proxy = world.proxy().await;
    let stage = Stage::new(world, Some(format!("postgres://fbs_router@127.0.0.1:{}", proxy.port()))).await;
    let mut outcomes = [0; 3];
    for (number, (method, wish)) in commands().into_iter().enumerate() {
        let (after, _) = done(&stage, &method, wish).await;
        let mut place = if is_complete() { lane.first } else { number as u64 };
        let mut wholes = 0;
        loop {
            let at = format!("{method} {wish}, cut {way:?} at {place}");
            let this = Interrupted::prepare(&stage, &method, wish, &after, at).await;
            let accepted = proxy.accepted();
            proxy.set(Mode::CutAt { way, place, new: false });
            let answer = stage.give(&this.command).await;
            let is_told = matches!(answer, Ok(true));
            let whole = is_told && proxy.accepted() == accepted;
            proxy.set(Mode::Forward);
            let [decided, ..] = this.told_truly(Some(answer)).await;
            outcomes[if is_told { 0 } else { 2 - usize::from(decided == 1) }] += 1;
            if !is_told {
                this.again().await;
            }
            wholes = if whole { wholes + 1 } else { 0 };
            if wholes == if is_complete() { WHOLE } else { 1 } {
                println!("{}: whole", this.at);
                break;
            }
            // Behind its own few come those of the scanner and of the ledger's reader.
            place = if is_complete() { place + lane.lanes } else { place * 4 + PLACES };
            assert!(place < MOST_PLACES, "{}", this.at);
        }
    }
    outcomes
}

/// How everything stands after the command that nobody interrupts, and how often it is polled.
async fn done(stage: &Stage, method: &str, wish: &str) -> (String, usize) {
    let command = stage.prepare(method, wish).await;
    let [decided, ..] = stage.audited(&command).await;
    let (mut given, mut polls) = (pin!(stage.give(&command)), 0);
    let answer = poll_fn(|context| {
        polls += 1;
        given.as_mut().poll(context)
    });
    assert!(answer.await.unwrap(), "{method} {wish}");
    stage.is_seen(&command).await;
    assert_eq!(stage.audited(&command).await[0], decided + 1, "{method} {wish} is in the audit");
    (stage.picture(&command).await, polls)
}

impl<'s> Interrupted<'s> {
    async fn prepare(stage: &'s Stage, method: &str, wish: &str, after: &'s str, at: String) -> Self {
        let command = stage.prepare(method, wish).await;
        let before = (stage.picture(&command).await, stage.audited(&command).await);
        assert!(!command.purges || before.0 != after, "{at}: nothing is there to remove");
        Self { stage, command, before, after, at }
    }

    /// What the answer says is so, and nothing is left of the rest. What is in the audit since.
    async fn told_truly(&self, answer: Option<Result<bool, Status>>) -> Audited {
        // At once: whoever hears it relies on it.
        if let Some(Ok(true)) = &answer {
            assert_eq!(self.stage.picture(&self.command).await, self.after, "{}: told that it is done", self.at);
            self.stage.is_seen(&self.command).await;
        }
        self.stage.scene.is_idle().await;
        self.stage.is_known().await;
        let audited = soon(&format!("it is done or it is not: {}", self.at), async || self.settled().await).await;
        let [decided, ..] = audited;
        let is_decided = decided == 1;
        match answer {
            Some(Ok(told)) if self.command.audits() => assert_eq!(is_decided, told, "{}: {audited:?}", self.at),
            Some(Err(status)) => match &*reason(&status).1 {
                "DATABASE_UNAVAILABLE" => assert!(!is_decided || self.command.has_parts, "{}: it is done", self.at),
                // Its COMMIT was on its way, or the ledger could not be read after it.
                "OUTCOME_UNKNOWN" if !self.command.is_found_out() => {}
                // A refresh is in the audit before it is made.
                "ROUTE_UNKNOWN" => assert!(!is_decided || !self.command.audits(), "{}: it is done", self.at),
                other => panic!("{}: {other} {status:?}", self.at),
            },
            Some(Ok(_)) | None => {}
        }
        audited
    }

    /// What is in the audit since, if the command goes on no more.
    async fn settled(&self) -> Result<Audited, String> {
        let now = self.stage.audited(&self.command).await;
        let audited = [0, 1, 2].map(|row| now[row] - self.before.1[row]);
        let picture = self.stage.picture(&self.command).await;
        let [decided, begun, back] = audited;
        let settled = match decided {
            // A purge is in the audit before anything is removed.
            0 => begun == back && (picture == self.before.0 || self.command.has_parts && !self.command.purges),
            1 => picture == self.after || self.command.has_parts,
            _ => false,
        };
        if settled { Ok(audited) } else { Err(format!("{picture}, {audited:?}, and before: {}", self.before.0)) }
    }

    /// Given again it is done, as if nobody had interrupted it; or it is refused, because it is.
    async fn again(&self) {
        let what = format!("given again: {}", self.at);
        let is_so = soon(&what, async || match self.stage.give(&self.command).await {
            Ok(true) => Ok(()),
            Err(status) if self.command.is_refused_when_done(&status) => Ok(()),
            other => Err(format!("{other:?}")),
        });
        is_so.await;
        assert_eq!(self.stage.picture(&self.command).await, self.after, "{}, and given again", self.at);
        self.stage.is_seen(&self.command).await;
        self.stage.scene.is_quiet().await;
    }
}
