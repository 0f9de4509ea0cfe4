//! The addresses of a service: looked up again and again, one channel each, and the choice between them.
//!
//! Owns the channels and the task that looks names up; the task ends with the last clone of the client. The balanced
//! channel of the transport is not used: it prefers endpoints that are dead, because nothing is in flight there
//! (grpc-rust#2839).

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, task::JoinHandle, time::Instant};
use tonic::transport::Channel;

use crate::{Error, connector::Connector, origin::Origin};

mod lookup;
mod standing;

use lookup::Target;
pub(crate) use lookup::{Lookup, system_lookup};
pub(crate) use standing::Ending;
use standing::{Candidate, Standing};

/// Names are not looked up more often than that, however much fails.
const LOOKUP_PAUSE: Duration = Duration::from_secs(1);
/// A resolver that is silent for so long has nothing to say; the addresses known are kept.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// The addresses of a client. Dropping it ends its task.
#[derive(Debug)]
pub(crate) struct Endpoints {
    pool: Arc<Pool>,
    task: Option<JoinHandle<()>>,
}

struct Pool {
    origins: Vec<Origin>,
    connector: Connector,
    lookup: Lookup,
    addresses: RwLock<Vec<Arc<Address>>>,
    turn: AtomicUsize,
    look_again: Notify,
}

/// One address and its channel.
#[derive(Debug)]
pub(crate) struct Address {
    target: Target,
    /// For people: the URL, and the address if that is a name.
    pub(crate) label: String,
    channel: Channel,
    in_flight: AtomicUsize,
    standing: Mutex<Standing>,
}

/// The address that a call has taken; it counts as in flight until this is dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) address: Arc<Address>,
    pool: Arc<Pool>,
}

// === impl Endpoints ===

impl Endpoints {
    /// Looks the names up, and goes on doing so every `interval`. Fails if the settings cannot work, or if no name
    /// has an address.
    pub(crate) async fn new(
        origins: Vec<Origin>,
        connector: Connector,
        lookup: Lookup,
        interval: Duration,
    ) -> Result<Self, Error> {
        let named = origins.iter().any(|origin| origin.name().is_some());
        let pool = Arc::new(Pool {
            origins,
            connector,
            lookup,
            addresses: RwLock::default(),
            turn: AtomicUsize::new(fastrand::usize(..)), // clients do not all begin with the first
            look_again: Notify::new(),
        });
        pool.refresh().await?;
        let task = named.then(|| tokio::spawn(keep_looking(Arc::clone(&pool), interval)));
        Ok(Self { pool, task })
    }

    /// The address for the next attempt; another one than `failed` if that can be.
    pub(crate) fn take(&self, failed: Option<&Arc<Address>>) -> Result<Taken, Error> {
        let addresses = self.pool.addresses();
        let candidates: Vec<_> = addresses
            .iter()
            .map(|address| Candidate {
                standing: *address.standing(),
                in_flight: address.in_flight.load(Ordering::Relaxed),
                just_failed: failed.is_some_and(|failed| Arc::ptr_eq(failed, address)),
            })
            .collect();
        let turn = self.pool.turn.fetch_add(1, Ordering::Relaxed);
        let chosen = standing::choose(&candidates, turn, Instant::now()).and_then(|index| addresses.get(index));
        let address = Arc::clone(chosen.ok_or_else(|| Error::no_address(&self.pool.label(), None))?);
        Ok(Taken::new(address, Arc::clone(&self.pool)))
    }

    /// All addresses, each taken once.
    pub(crate) fn take_all(&self) -> Vec<Taken> {
        let taken = |address: &Arc<Address>| Taken::new(Arc::clone(address), Arc::clone(&self.pool));
        self.pool.addresses().iter().map(taken).collect()
    }
}

impl Drop for Endpoints {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

// === impl Pool ===

impl Pool {
    fn addresses(&self) -> Vec<Arc<Address>> {
        self.addresses.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks all names up. What cannot be looked up keeps the addresses it had.
    async fn refresh(&self) -> Result<(), Error> {
        let known = self.addresses();
        let mut wanted = Vec::new();
        let mut failure = None;
        for (index, origin) in self.origins.iter().enumerate() {
            match self.find(origin).await {
                Ok(found) => wanted.extend(found.into_iter().map(|address| Target { origin: index, address })),
                Err(source) => {
                    tracing::debug!(name = %origin.label(), error = %source, "a name cannot be looked up");
                    wanted.extend(known.iter().map(|address| address.target).filter(|target| target.origin == index));
                    failure = Some(source);
                }
            }
        }
        if wanted.is_empty() {
            return Err(Error::no_address(&self.label(), failure));
        }
        let (kept, new) = lookup::compare(&known, &wanted, |address| address.target);
        let mut addresses = kept;
        for target in new {
            addresses.push(Arc::new(self.open(target)?));
        }
        *self.addresses.write().unwrap_or_else(PoisonError::into_inner) = addresses;
        Ok(())
    }

    async fn find(&self, origin: &Origin) -> io::Result<Vec<Option<SocketAddr>>> {
        let Some((name, port)) = origin.name() else {
            return Ok(vec![origin.literal()]);
        };
        let found = tokio::time::timeout(LOOKUP_TIMEOUT, (self.lookup)(name.to_owned(), port)).await??;
        if found.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        Ok(lookup::bounded(found).into_iter().map(Some).collect())
    }

    fn open(&self, target: Target) -> Result<Address, Error> {
        let origin = &self.origins[target.origin];
        let label = match target.address {
            Some(address) if origin.name().is_some() => format!("{} ({address})", origin.label()),
            _ => origin.label(),
        };
        Ok(Address {
            target,
            label,
            channel: self.connector.channel(origin, target.address)?,
            in_flight: AtomicUsize::new(0),
            standing: Mutex::default(),
        })
    }

    fn label(&self) -> String {
        self.origins.iter().map(Origin::label).collect::<Vec<_>>().join(", ")
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Pool").field("origins", &self.origins).finish_non_exhaustive()
    }
}

/// The task: every `interval`, and soon after a failure.
async fn keep_looking(pool: Arc<Pool>, interval: Duration) {
    loop {
        tokio::time::sleep(LOOKUP_PAUSE.min(interval)).await;
        let rest = interval.saturating_sub(LOOKUP_PAUSE);
        // Elapsed or told to: the same is done.
        let _either = tokio::time::timeout(rest, pool.look_again.notified()).await;
        if let Err(error) = pool.refresh().await {
            tracing::debug!(%error, "the addresses stay as they are");
        }
    }
}

// === impl Address ===

impl Address {
    fn standing(&self) -> std::sync::MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Taken ===

impl Taken {
    fn new(address: Arc<Address>, pool: Arc<Pool>) -> Self {
        address.in_flight.fetch_add(1, Ordering::Relaxed);
        Self { address, pool }
    }

    pub(crate) fn channel(&self) -> Channel {
        self.address.channel.clone()
    }

    /// Tells how the call ended.
    pub(crate) fn ended(&self, ending: Ending) {
        if self.address.standing().learn(ending, Instant::now(), fastrand::f64()) {
            self.pool.look_again.notify_one();
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.address.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
