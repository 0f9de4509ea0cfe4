//! `[listen]` and `[limits]`: where callers come in, how they are met, and how much of it one of them may have.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use super::{DAY, HOUR, MILLISECOND, SECOND, read::Section};

/// Where the service listens.
#[derive(Debug, Clone)]
pub struct Listen {
    /// gRPC over TCP. On another address than loopback it must be encrypted, or `--insecure-plaintext`.
    pub grpc: SocketAddr,
    /// How it is encrypted; none: plain text.
    pub tls: Option<ListenTls>,
    /// `/metrics`, `/livez`, `/readyz` over HTTP; none: not served.
    pub ops: Option<SocketAddr>,
    /// gRPC on a unix socket as well, never encrypted; the file must not exist, or be a socket nobody listens on.
    pub unix: Option<PathBuf>,
}

/// TLS on `listen.grpc`. The files are read again when they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenTls {
    /// PEM: the service's certificate, and those that lead to its authority.
    pub certificate: PathBuf,
    /// PEM: its private key.
    pub key: PathBuf,
    /// PEM: the authorities of callers' certificates; none: no certificate is asked for.
    pub client_ca: Option<PathBuf>,
    /// Whoever shows no certificate is turned away. One that is shown is verified in any case.
    pub client_required: bool,
}

/// Bounds of the transport.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections open at once, handshakes included. One more is closed as soon as it is accepted.
    pub connections: usize,
    /// Of one peer: an address, or a /64 network of IPv6, all of which belongs to one host.
    pub connections_per_peer: usize,
    /// Longest time from accepting a connection to the end of its TLS handshake and HTTP/2 preface.
    pub handshake: Duration,
    /// How often a silent client is asked whether it is there.
    pub keepalive: Duration,
    /// Longest it may take to say so.
    pub keepalive_timeout: Duration,
    /// Longest request, in bytes.
    pub request_bytes: usize,
    /// What all calls in flight may take of the memory, in bytes: their requests, as they come and once they are read, and
    /// answers until they are sent. Nobody may take more than he leaves free.
    pub in_flight_bytes: usize,
    /// Calls at once on one client connection.
    pub concurrent_streams: u32,
    /// Longest header list, in bytes.
    pub header_bytes: u32,
    /// Age after which a client connection is asked to reconnect, so that load spreads over new replicas.
    pub connection_age: Duration,
}

impl Listen {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let this = Self {
            grpc: section.parsed("grpc").unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 50_051))),
            tls: read_tls(&mut section),
            ops: section.parsed("ops"),
            unix: section.text("unix").map(PathBuf::from),
        };
        section.finish();
        this
    }
}

fn read_tls(section: &mut Section<'_>) -> Option<ListenTls> {
    let certificate = section.text("tls_certificate").map(PathBuf::from);
    let key = section.text("tls_key").map(PathBuf::from);
    let client_ca = section.text("tls_client_ca").map(PathBuf::from);
    let client = section.word("tls_client", &[("required", true), ("optional", false)]);
    if client.is_some() && client_ca.is_none() {
        section.problem("tls_client", "needs tls_client_ca, the authorities of callers' certificates");
    }
    match (certificate, key) {
        (Some(certificate), Some(key)) => {
            Some(ListenTls { certificate, key, client_ca, client_required: client.unwrap_or(false) })
        }
        (None, None) => {
            if client_ca.is_some() {
                section.problem("tls_client_ca", "needs tls_certificate and tls_key");
            }
            None
        }
        (Some(_), None) => {
            section.problem("tls_key", "is missing: the private key of tls_certificate");
            None
        }
        (None, Some(_)) => {
            section.problem("tls_certificate", "is missing: the certificate of tls_key");
            None
        }
    }
}

impl Limits {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let this = Self {
            connections: section.integer("connections", 4_096, 1..=1_000_000),
            connections_per_peer: section.integer("connections_per_peer", 64, 1..=1_000_000),
            handshake: section.duration("handshake", 5 * SECOND, 100 * MILLISECOND..=60 * SECOND),
            keepalive: section.duration("keepalive", 30 * SECOND, 100 * MILLISECOND..=HOUR),
            keepalive_timeout: section.duration("keepalive_timeout", 10 * SECOND, 100 * MILLISECOND..=60 * SECOND),
            request_bytes: section.integer("request_bytes", 4 * 1024 * 1024, 64 * 1024..=64 * 1024 * 1024),
            in_flight_bytes: section.integer("in_flight_bytes", 512 * 1024 * 1024, 100 * 1024 * 1024..=1 << 40),
            concurrent_streams: section.integer("concurrent_streams", 256, 1..=100_000),
            header_bytes: section.integer("header_bytes", 16 * 1024, 8 * 1024..=1024 * 1024),
            connection_age: section.duration("connection_age", HOUR / 2, SECOND..=DAY),
        };
        // One takes ten times its bytes at most, once it is read as well, and nobody has more than half of all.
        if this.in_flight_bytes / 24 < this.request_bytes {
            section.problem(
                "in_flight_bytes",
                "must be at least 24 times request_bytes, or the longest request would never fit",
            );
        }
        section.finish();
        this
    }
}
