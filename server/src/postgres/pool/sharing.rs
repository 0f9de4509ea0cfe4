//! Lookups that share a connection: those of one solution that come at once are sent one behind the other in one
//! transaction, so that Postgres answers them without being woken for each.
//!
//! The transaction reads only, is READ COMMITTED, and names its solution: each statement has a snapshot of its own, as
//! if it were alone. It ends after a moment, or with its last reader, so that nobody keeps a connection from others.
//!
//! Invariants: readers of one transaction read for the same solution, as the same login; whoever sees it fail reads
//! alone, and nobody joins after him; an answer that nobody waits for is drained before the connection is lent again.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, timeout_at};
use tokio_postgres::Row;

use super::{Connection, Pools};
use crate::{
    domain::{DatabaseTarget, Deadline, Login, SolutionId},
    postgres::{
        Facts,
        transaction::{Bound, StatementError},
    },
};

/// Connections that are shared at once, of one database.
const SHARED: usize = 2;
/// Readers of one connection from which on another one is worth having.
const MANY: usize = 16;
/// Most readers of one connection: each waits for those before it.
const MOST: usize = 32;
/// For so long others may join.
const OPEN: Duration = Duration::from_millis(100);

/// The shared connections of a pool.
#[derive(Debug, Default)]
pub(super) struct Sharing {
    open: Mutex<Vec<Weak<Shared>>>,
    /// Lookups that are under way, shared or not.
    reading: AtomicUsize,
    /// Lookups that were answered together with others, over all pools.
    together: Arc<AtomicU64>,
    /// Held while one opens a connection for all who come meanwhile.
    opening: tokio::sync::Mutex<()>,
}

/// A connection with a transaction in which several read.
#[derive(Debug)]
struct Shared {
    /// `unfinished` all the time: the transaction is rolled back when the last reader has left.
    connection: Connection,
    solution: SolutionId,
    began: Instant,
    readers: AtomicUsize,
    broken: AtomicBool,
    together: Arc<AtomicU64>,
}

/// One who looks something up. Counts as such until it is dropped.
#[derive(Debug)]
pub struct Lookup {
    sharing: Arc<Sharing>,
    alone: bool,
}

/// How somebody can read.
#[derive(Debug)]
pub enum Way<'l> {
    /// With others.
    Together(Reader),
    /// He is the one to open a connection for all who come meanwhile.
    Opens(Opening<'l>),
    /// By himself: too many share already.
    Alone,
}

/// A place in a shared transaction.
#[derive(Debug)]
pub struct Reader(Arc<Shared>);

/// The right to open a connection that is shared.
#[derive(Debug)]
pub struct Opening<'l> {
    sharing: &'l Sharing,
    _only: tokio::sync::MutexGuard<'l, ()>,
}

enum Place {
    Taken(Reader),
    Wanted,
    Full,
}

impl Pools {
    /// Announces a lookup. None: the server is none of ours.
    pub fn look_up(&self, target: &DatabaseTarget, login: &Login) -> Option<Lookup> {
        let served = self.served(&target.server)?;
        let sharing = Arc::clone(&self.pool(&served, target, login).sharing);
        let alone = sharing.reading.fetch_add(1, Ordering::Relaxed) == 0;
        Some(Lookup { sharing, alone })
    }
}

impl Lookup {
    /// True if nobody else was looking anything up there: then there is nothing to share.
    pub fn is_alone(&self) -> bool {
        self.alone
    }

    /// How to read for `solution`. Waits for whoever is opening a connection, but no longer than until `until`: None.
    pub async fn way(&self, solution: &SolutionId, until: Instant) -> Option<Way<'_>> {
        match self.sharing.place(solution) {
            Place::Taken(reader) => return Some(Way::Together(reader)),
            Place::Full => return Some(Way::Alone),
            Place::Wanted => {}
        }
        let only = match self.sharing.squeeze(solution) {
            // A second connection is worth having, but not waiting for.
            Some(reader) => match self.sharing.opening.try_lock() {
                Ok(only) => only,
                Err(_) => return Some(Way::Together(reader)),
            },
            None => timeout_at(until, self.sharing.opening.lock()).await.ok()?,
        };
        Some(match self.sharing.place(solution) {
            Place::Taken(reader) => Way::Together(reader),
            Place::Full => Way::Alone,
            Place::Wanted => Way::Opens(Opening { sharing: &self.sharing, _only: only }),
        })
    }
}

impl Opening<'_> {
    /// A place with others all the same, if there is one: no connection could be had.
    pub fn instead(&self, solution: &SolutionId) -> Option<Reader> {
        self.sharing.squeeze(solution)
    }

    /// Opens `connection` to all who read for `solution`.
    pub async fn open(
        self,
        mut connection: Connection,
        solution: &SolutionId,
        deadline: Deadline,
    ) -> Result<Reader, StatementError> {
        connection.begin_shared(solution.as_str(), deadline).await?;
        let shared = Arc::new(Shared {
            connection,
            solution: solution.clone(),
            began: Instant::now(),
            readers: AtomicUsize::new(1),
            broken: AtomicBool::new(false),
            together: Arc::clone(&self.sharing.together),
        });
        let mut open = self.sharing.lock();
        open.retain(|shared| shared.strong_count() > 0);
        open.push(Arc::downgrade(&shared));
        drop(open);
        Ok(Reader(shared))
    }
}

impl Sharing {
    /// Counts what it answers in `together`.
    pub(super) fn new(together: &Arc<AtomicU64>) -> Self {
        Self { together: Arc::clone(together), ..Self::default() }
    }

    /// A place with the fewest readers, if that is better than another connection.
    fn place(&self, solution: &SolutionId) -> Place {
        let open: Vec<Arc<Shared>> = self.lock().iter().filter_map(Weak::upgrade).collect();
        let mut here = 0;
        let mut best: Option<&Arc<Shared>> = None;
        for shared in open.iter().filter(|shared| shared.takes(solution)) {
            here += 1;
            if best.is_none_or(|best| shared.readers() < best.readers()) {
                best = Some(shared);
            }
        }
        match best {
            None => Place::Wanted,
            Some(best) if best.readers() >= MANY && here < SHARED => Place::Wanted,
            Some(best) if best.readers() >= MOST => Place::Full,
            Some(best) => {
                best.readers.fetch_add(1, Ordering::Relaxed);
                Place::Taken(Reader(Arc::clone(best)))
            }
        }
    }

    /// A place, also where another connection would be better.
    fn squeeze(&self, solution: &SolutionId) -> Option<Reader> {
        let open: Vec<Arc<Shared>> = self.lock().iter().filter_map(Weak::upgrade).collect();
        let places = open.into_iter().filter(|shared| shared.takes(solution) && shared.readers() < MOST);
        let best = places.min_by_key(|shared| shared.readers())?;
        best.readers.fetch_add(1, Ordering::Relaxed);
        Some(Reader(best))
    }

    /// The list is whole whenever the lock is free, also after a panic.
    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Shared>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn takes(&self, solution: &SolutionId) -> bool {
        self.solution == *solution && self.began.elapsed() < OPEN && !self.broken.load(Ordering::Relaxed)
    }

    fn readers(&self) -> usize {
        self.readers.load(Ordering::Relaxed)
    }
}

impl Reader {
    /// What the connection proved.
    pub fn facts(&self) -> &Facts {
        self.0.connection.facts()
    }

    /// Runs one reading statement. After any error nobody joins any more; whoever had it may read alone.
    pub async fn read(&self, deadline: Deadline, bound: Bound<'_>) -> Result<Vec<Row>, StatementError> {
        let rows = self.0.connection.read_shared(deadline, bound).await;
        match &rows {
            Ok(_) => {
                self.0.together.fetch_add(1, Ordering::Relaxed);
            }
            // One who stops waiting says nothing about the others' answers.
            Err(StatementError::DeadlinePassed) => {}
            Err(StatementError::Failed(..) | StatementError::Poisoned | StatementError::Elsewhere) => {
                self.0.broken.store(true, Ordering::Relaxed)
            }
        }
        rows
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.readers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Lookup {
    fn drop(&mut self) {
        self.sharing.reading.fetch_sub(1, Ordering::Relaxed);
    }
}
