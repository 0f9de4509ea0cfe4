//! From names to addresses, and what changes when the answer does.

use std::{io, net::SocketAddr, sync::Arc};

use futures_util::future::BoxFuture;

/// Addresses of one name that are used; more replicas than that are spread over the clients by the shuffle.
const ADDRESSES_MAX: usize = 64;

/// Finds the addresses of a name and port.
pub(crate) type Lookup = Arc<dyn Fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// The resolver of this machine.
pub(crate) fn system_lookup() -> Lookup {
    Arc::new(|name, port| Box::pin(async move { Ok(tokio::net::lookup_host((name, port)).await?.collect()) }))
}

/// An address of one of the client's URLs; none for a unix socket, which is its own address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) origin: usize,
    pub(super) address: Option<SocketAddr>,
}

/// At most so many, without repetitions. An address with a scope cannot stand in a URL, and is left out.
pub(super) fn bounded(mut found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    found.retain(|address| !matches!(address, SocketAddr::V6(address) if address.scope_id() != 0));
    found.sort_unstable();
    found.dedup();
    if found.len() > ADDRESSES_MAX {
        fastrand::shuffle(&mut found);
        found.truncate(ADDRESSES_MAX);
    }
    found
}

/// What of `known` stays, as it is, and what of `wanted` is new.
pub(super) fn compare<T: Clone>(
    known: &[T],
    wanted: &[Target],
    target: impl Fn(&T) -> Target,
) -> (Vec<T>, Vec<Target>) {
    let kept = known.iter().filter(|known| wanted.contains(&target(known))).cloned().collect();
    let new = wanted.iter().filter(|wanted| !known.iter().any(|known| target(known) == **wanted)).copied().collect();
    (kept, new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(count: u8) -> Vec<SocketAddr> {
        (0..count).map(|last| SocketAddr::from(([10, 0, 0, last], 1))).collect()
    }

    #[test]
    fn what_stays_is_kept_and_only_what_is_new_is_opened() {
        let target = |last: u8| Target { origin: 0, address: Some(SocketAddr::from(([10, 0, 0, last], 1))) };
        let known = [(target(1), "one"), (target(2), "two")];
        let (kept, new) = compare(&known, &[target(2), target(3)], |known| known.0);
        assert_eq!(kept, [(target(2), "two")]);
        assert_eq!(new, [target(3)]);
    }

    #[test]
    fn the_same_address_of_another_url_is_another_one() {
        let address = Some(SocketAddr::from(([10, 0, 0, 1], 1)));
        let known = [Target { origin: 0, address }];
        let (kept, new) = compare(&known, &[Target { origin: 1, address }], |known| *known);
        assert_eq!((kept.len(), new.len()), (0, 1));
    }

    #[test]
    fn repetitions_scopes_and_crowds_are_left_out() {
        let mut found = addresses(3);
        found.extend(addresses(3));
        found.push("[fe80::1%3]:1".parse().unwrap());
        assert_eq!(bounded(found), addresses(3));
        assert_eq!(bounded(addresses(200)).len(), ADDRESSES_MAX);
    }
}
