//! Who counts as one peer.

use std::net::{IpAddr, Ipv6Addr};

/// What one host can take as many of as it likes is one: a /64 network of IPv6. IPv4 within IPv6 is IPv4.
pub fn host(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        v4 @ IpAddr::V4(_) => v4,
    }
}
