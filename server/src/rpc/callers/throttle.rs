//! How often an address may bring an invalid credential.
//!
//! Counts addresses, never names, and is asked only after a credential was found invalid: nobody can shut out anybody
//! else, and a valid credential is never held up. Bounded: when the table is full, addresses that are not in it share a count.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::domain::host;

/// What failures are counted within.
const WINDOW: Duration = Duration::from_secs(60);
/// Most addresses that are counted each for itself.
const PEERS: usize = 4_096;

#[derive(Debug)]
pub(super) struct Throttle {
    most: u32,
    peers: Mutex<HashMap<Peer, Failures>>,
}

/// Who is counted as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Peer {
    Address(IpAddr),
    UnixSocket,
    /// All that the table has no place for.
    Others,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    began: Instant,
    count: u32,
}

impl Throttle {
    /// At most so many a minute.
    pub(super) fn new(most: u32) -> Self {
        Self { most, peers: Mutex::default() }
    }

    /// Counts a failure. If there were too many already: how long to wait.
    pub(super) fn failed(&self, peer: Option<IpAddr>) -> Option<Duration> {
        let now = Instant::now();
        // Nothing here can panic half-way: what is in the table is whole.
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut peer = peer.map_or(Peer::UnixSocket, |address| Peer::Address(host(address)));
        if peers.len() >= PEERS && !peers.contains_key(&peer) {
            peers.retain(|_, failures| now.duration_since(failures.began) < WINDOW);
            if peers.len() >= PEERS {
                peer = Peer::Others;
            }
        }
        let failures = peers.entry(peer).or_insert(Failures { began: now, count: 0 });
        if now.duration_since(failures.began) >= WINDOW {
            *failures = Failures { began: now, count: 0 };
        }
        failures.count = failures.count.saturating_add(1);
        (failures.count > self.most).then(|| WINDOW - now.duration_since(failures.began))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_fails_too_often_waits_for_the_end_of_the_minute() {
        let throttle = Throttle::new(3);
        for _ in 0..3 {
            assert_eq!(throttle.failed(address("10.0.0.1")), None);
        }
        tokio::time::advance(Duration::from_secs(20)).await;
        assert_eq!(throttle.failed(address("10.0.0.1")), Some(Duration::from_secs(40)));
        assert_eq!(throttle.failed(address("10.0.0.2")), None, "others are none of his");
        assert_eq!(throttle.failed(None), None);
        tokio::time::advance(Duration::from_secs(40)).await;
        assert_eq!(throttle.failed(address("10.0.0.1")), None);
    }

    #[tokio::test(start_paused = true)]
    async fn all_addresses_of_one_ipv6_network_are_one() {
        let throttle = Throttle::new(1);
        assert_eq!(throttle.failed(address("2001:db8::1")), None);
        assert!(throttle.failed(address("2001:db8::2")).is_some());
        assert_eq!(throttle.failed(address("2001:db8:0:1::1")), None);
        assert_eq!(throttle.failed(address("10.0.0.1")), None);
        assert!(throttle.failed(address("::ffff:10.0.0.1")).is_some(), "the same, written as IPv6");
    }

    #[tokio::test(start_paused = true)]
    async fn the_table_is_bounded_and_forgets() {
        let throttle = Throttle::new(1);
        let many =
            |from: u32| (from..from + 5_000).map(|number| IpAddr::from(number.to_be_bytes())).collect::<Vec<_>>();
        for peer in many(0) {
            throttle.failed(Some(peer));
        }
        assert_eq!(throttle.peers.lock().unwrap().len(), PEERS + 1);
        tokio::time::advance(WINDOW).await;
        for peer in many(1_000_000).into_iter().take(10) {
            assert_eq!(throttle.failed(Some(peer)), None);
        }
        assert_eq!(throttle.peers.lock().unwrap().len(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_has_a_place_in_a_full_table_keeps_it() {
        let throttle = Throttle::new(2);
        let first = address("10.0.0.1");
        throttle.failed(first);
        for number in 0..5_000_u32 {
            throttle.failed(Some(IpAddr::from(number.to_be_bytes())));
        }
        assert!(throttle.failed(address("10.0.0.2")).is_some(), "those without a place share a count");
        assert_eq!(throttle.failed(first), None, "his second");
        assert!(throttle.failed(first).is_some(), "his third");
    }
}
