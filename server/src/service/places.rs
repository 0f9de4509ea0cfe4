//! How many connections may be open: in all, and from one peer.
//!
//! Invariant: a connection holds its place from the moment it is accepted until its socket is closed, so handshakes
//! are bounded as well, and a peer that opens connections faster than it finishes them stands in nobody's way.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::domain::host;

/// Time between two warnings that connections are turned away: as many as come would fill the log.
const WARN_INTERVAL: Duration = Duration::from_secs(60);

/// All places.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    most_per_peer: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_peer: HashMap<IpAddr, usize>,
    warned: Option<Instant>,
}

/// The place of one connection; free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    peer: Option<IpAddr>,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// `limits.connections`
    All,
    /// `limits.connections_per_peer`
    Peer,
}

// === impl Places ===

impl Places {
    /// All free.
    pub(super) fn new(most: usize, most_per_peer: usize) -> Arc<Self> {
        Arc::new(Self { most, most_per_peer, taken: Mutex::default() })
    }

    /// A place for a connection; those on unix sockets have no peer.
    pub(super) fn take(self: &Arc<Self>, peer: Option<IpAddr>) -> Result<Place, Full> {
        let peer = peer.map(host);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.all >= self.most {
            taken.warn("limits.connections is reached: further connections are closed");
            return Err(Full::All);
        }
        if let Some(peer) = peer {
            let own = taken.by_peer.entry(peer).or_default();
            if *own >= self.most_per_peer {
                taken.warn("limits.connections_per_peer is reached by a peer: its further connections are closed");
                return Err(Full::Peer);
            }
            *own += 1;
        }
        taken.all += 1;
        Ok(Place { places: Arc::clone(self), peer })
    }

    /// Places taken.
    pub(super) fn taken(&self) -> usize {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).all
    }
}

impl Taken {
    fn warn(&mut self, what: &str) {
        if self.warned.is_none_or(|warned| warned.elapsed() >= WARN_INTERVAL) {
            self.warned = Some(Instant::now());
            tracing::warn!(open = self.all, "{what}");
        }
    }
}

// === impl Place ===

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        let Some(peer) = self.peer else { return };
        if let Some(own) = taken.by_peer.get_mut(&peer) {
            *own -= 1;
            if *own == 0 {
                taken.by_peer.remove(&peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn a_peer_has_its_own_limit_and_all_share_one() {
        let places = Places::new(4, 2);
        let first = places.take(at("10.0.0.1")).unwrap();
        let second = places.take(at("::ffff:10.0.0.1")).unwrap();
        assert_eq!(places.take(at("10.0.0.1")).unwrap_err(), Full::Peer);
        let _other = places.take(at("10.0.0.2")).unwrap();
        let _unix = places.take(None).unwrap();
        assert_eq!(places.take(at("10.0.0.3")).unwrap_err(), Full::All);
        assert_eq!(places.take(None).unwrap_err(), Full::All);
        assert_eq!(places.taken(), 4);
        drop((first, second));
        assert_eq!(places.taken(), 2);
        let _again = places.take(at("10.0.0.1")).unwrap();
    }

    #[test]
    fn a_network_of_ipv6_is_one_peer_and_who_left_is_forgotten() {
        let places = Places::new(100, 1);
        let held = places.take(at("2001:db8::1")).unwrap();
        assert_eq!(places.take(at("2001:db8::ffff")).unwrap_err(), Full::Peer);
        let _neighbour = places.take(at("2001:db8:0:1::1")).unwrap();
        drop(held);
        assert_eq!(places.taken.lock().unwrap().by_peer.len(), 1);
        let _again = places.take(at("2001:db8::ffff")).unwrap();
    }
}
