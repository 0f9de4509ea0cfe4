//! Whom the callers work for, and the few documents of each that they all work at: so that calls meet, and no document's
//! history becomes long.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
};

use super::{MOVING, history::Seen};

/// Documents at a time.
const DOCUMENTS: usize = 6;
/// Calls at which a shelf is left for another.
const CALLS: usize = 90;

/// True for those whose databases are renamed, by faults or by a release: not the one that moves, and no guest that stays.
pub(super) fn is_renamed(solution: &str) -> bool {
    solution != MOVING && !solution.starts_with("fresh_")
}

/// A few documents, which share a category.
#[derive(Debug)]
pub(super) struct Shelf {
    pub(super) category: String,
    pub(super) documents: Vec<Document>,
    calls: AtomicUsize,
}

/// One of them, which may not be there yet.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) id: String,
    /// As somebody saw it a while ago.
    pub(super) known: Mutex<Option<Seen>>,
}

#[derive(Debug)]
pub(super) struct Solution {
    pub(super) name: String,
    /// Held by every call; alone, nobody calls.
    pub(super) calling: tokio::sync::RwLock<()>,
    /// Its own database was there before its first document: nothing of it is ever anywhere else.
    pub(super) apart: AtomicBool,
    shelves: Mutex<Vec<Arc<Shelf>>>,
}

impl Solution {
    pub(super) fn new(name: &str) -> Arc<Self> {
        let this = Self {
            name: name.to_owned(),
            calling: tokio::sync::RwLock::default(),
            apart: AtomicBool::default(),
            shelves: Mutex::default(),
        };
        this.next();
        Arc::new(this)
    }

    /// What everybody works at now.
    pub(super) fn shelf(&self) -> Arc<Shelf> {
        let now = Arc::clone(self.shelves.lock().unwrap().last().expect("a shelf"));
        if now.calls.fetch_add(1, Relaxed) == CALLS {
            self.next();
        }
        now
    }

    /// Leaves the shelf for another.
    pub(super) fn next(&self) {
        let mut shelves = self.shelves.lock().unwrap();
        let documents =
            (0..DOCUMENTS).map(|_| Document { id: uuid::Uuid::new_v4().to_string(), known: Mutex::default() });
        let category = format!("shelf/{}", shelves.len());
        shelves.push(Arc::new(Shelf { category, documents: documents.collect(), calls: AtomicUsize::new(0) }));
    }

    /// The ids of all documents that there have been.
    pub(super) fn documents(&self) -> Vec<String> {
        let shelves = self.shelves.lock().unwrap();
        shelves.iter().flat_map(|shelf| shelf.documents.iter().map(|document| document.id.clone())).collect()
    }
}
