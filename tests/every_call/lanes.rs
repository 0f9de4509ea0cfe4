//! Several worlds side by side, among which the places of cuts are dealt out. Not for what counts polls: together, one is
//! polled when another is woken.

use futures_util::future::join_all;

use super::is_complete;

/// One of several worlds side by side, each with its share of the places. Whoever is cut waits most of the time, for a
/// scan or for a connection that is not tried again at once: where `FBS_CUTS=all`, that is the time it takes.
#[derive(Clone, Copy)]
pub(super) struct Lane {
    pub(super) first: u64,
    pub(super) lanes: u64,
}

impl Lane {
    /// The `number`-th of its places, of a row in which each is `stride` after the one before.
    pub(super) fn point(self, number: u64, stride: u64) -> u64 {
        (self.first + number * self.lanes) * stride
    }
}

/// Does it in each lane: in `lanes` of them where `FBS_CUTS=all`, otherwise in one. What each of them found.
pub(super) async fn in_lanes<T>(lanes: u64, each: impl AsyncFn(Lane) -> T) -> Vec<T> {
    let lanes = if is_complete() { lanes } else { 1 };
    join_all((0..lanes).map(|first| each(Lane { first, lanes }))).await
}

/// The sum of what the lanes counted.
pub(super) fn sum<const KINDS: usize>(lanes: Vec<[u32; KINDS]>) -> [u32; KINDS] {
    let mut all = [0; KINDS];
    for lane in lanes {
        all.iter_mut().zip(lane).for_each(|(all, one)| *all += one);
    }
    all
}
