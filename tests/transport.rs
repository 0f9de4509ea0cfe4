//! Connections: how many there may be, how long they may be silent, and what floods of frames lead to.

use std::{net::SocketAddr, time::Duration};

use fbs_router_sandbox::soon;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use crate::support::{Replica, World, wire::metrics};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// An empty SETTINGS.
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
const GO_AWAY: u8 = 7;
const LIMIT: Duration = Duration::from_secs(10);

/// A connection from that address of this machine, on which nothing is said yet.
async fn knock(from: &str, at: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
    socket.connect(at).await.unwrap()
}

/// A connection that speaks HTTP/2.
async fn speak(from: &str, at: SocketAddr) -> TcpStream {
    let mut stream = knock(from, at).await;
    // A service that has closed it already shows when it is read from.
    let _ = stream.write_all(&[PREFACE, &SETTINGS].concat()).await;
    stream
}

/// Waits for the end of a connection; the types of the frames that came before.
async fn closed(stream: &mut TcpStream) -> Vec<u8> {
    let ended = async {
        let mut frames = Vec::new();
        let mut head = [0; 9];
        while stream.read_exact(&mut head).await.is_ok() {
            frames.push(head[3]);
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut body = vec![0; length as usize];
            if stream.read_exact(&mut body).await.is_err() {
                break;
            }
        }
        frames
    };
    timeout(LIMIT, ended).await.expect("it is closed in time")
}

/// True if the connection is served: the service says its SETTINGS first.
async fn open(stream: &mut TcpStream) -> bool {
    let mut head = [0; 9];
    timeout(LIMIT, stream.read_exact(&mut head)).await.expect("an answer").is_ok() && head[3] == 4
}

async fn becomes(replica: &Replica, name: &str, wanted: f64) {
    soon(name, async || match metrics(replica.ops).await[name] {
        value if value == wanted => Ok(()),
        value => Err(value),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_has_so_many_connections_and_others_are_not_concerned() {
    let world = World::new().await;
    let replica = world.replica_with("[limits]\nconnections_per_peer = 3\n").await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut stream = speak("127.0.0.2", replica.grpc).await;
        assert!(open(&mut stream).await);
        held.push(stream);
    }
    for _ in 0..5 {
        assert!(closed(&mut speak("127.0.0.2", replica.grpc).await).await.is_empty(), "closed at once");
    }
    becomes(&replica, "fbs_router_connections_over_peer_limit_total", 5.0).await;
    assert!(open(&mut speak("127.0.0.3", replica.grpc).await).await);
    replica.make("globex", "N").await;
    // A place is free as soon as a connection ends, and not before.
    drop(held.pop());
    let mut again = soon("there is a place", async || {
        let mut stream = speak("127.0.0.2", replica.grpc).await;
        if open(&mut stream).await { Ok(stream) } else { Err("none") }
    })
    .await;
    assert!(closed(&mut speak("127.0.0.2", replica.grpc).await).await.is_empty());
    again.write_all(&[0, 0, 0, 4, 1, 0, 0, 0, 0]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn all_peers_together_have_so_many_connections_handshakes_included() {
    let world = World::new().await;
    let replica = world.replica_with("[limits]\nconnections = 4\nhandshake = \"4s\"\n").await;
    replica.make("globex", "N").await;
    becomes(&replica, "fbs_router_connections", 1.0).await;
    // They say nothing, and hold a place all the same.
    let silent = [knock("127.0.0.2", replica.grpc).await, knock("127.0.0.3", replica.grpc).await];
    let mut third = speak("127.0.0.4", replica.grpc).await;
    assert!(open(&mut third).await);
    becomes(&replica, "fbs_router_connections", 4.0).await;
    assert!(closed(&mut speak("127.0.0.5", replica.grpc).await).await.is_empty());
    becomes(&replica, "fbs_router_connections_over_limit_total", 1.0).await;
    // Who is connected is served; who says nothing loses the place.
    replica.make("globex", "M").await;
    becomes(&replica, "fbs_router_connections", 2.0).await;
    assert!(open(&mut speak("127.0.0.5", replica.grpc).await).await);
    drop(silent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_says_nothing_or_something_else_is_closed() {
    let world = World::new().await;
    let replica = world.replica_with("[limits]\nhandshake = \"2s\"\n").await;
    let mut silent = knock("127.0.0.1", replica.grpc).await;
    let mut slow = knock("127.0.0.1", replica.grpc).await;
    let mut other = knock("127.0.0.1", replica.grpc).await;
    slow.write_all(&PREFACE[..10]).await.unwrap();
    other.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    for stream in [&mut silent, &mut slow, &mut other] {
        assert!(closed(stream).await.is_empty());
    }
    becomes(&replica, "fbs_router_handshakes_failed_total", 3.0).await;
    // A preface may come in pieces.
    slow = knock("127.0.0.1", replica.grpc).await;
    for part in PREFACE.chunks(5) {
        slow.write_all(part).await.unwrap();
        slow.flush().await.unwrap();
        tokio::task::yield_now().await;
    }
    slow.write_all(&SETTINGS).await.unwrap();
    assert!(open(&mut slow).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_falls_silent_after_its_preface_is_asked_and_then_closed() {
    let world = World::new().await;
    let limits = "[limits]\nkeepalive = \"200ms\"\nkeepalive_timeout = \"1500ms\"\n";
    let replica = world.replica_with(limits).await;
    let mut dead = speak("127.0.0.2", replica.grpc).await;
    assert!(closed(&mut dead).await.contains(&6), "a PING");
    let mut mute = knock("127.0.0.3", replica.grpc).await;
    mute.write_all(PREFACE).await.unwrap();
    closed(&mut mute).await;
    // Who answers stays.
    replica.make("globex", "N").await;
    becomes(&replica, "fbs_router_connections", 1.0).await;
}

/// HEADERS of a POST to `/`, which ends neither headers nor stream unless the flags say so.
fn headers(stream: u32, flags: u8) -> Vec<u8> {
    let block = [0x83, 0x86, 0x84, 0x41, 1, b'x'];
    [&[0, 0, 6, 1, flags][..], &stream.to_be_bytes(), &block].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_resets_closes_its_own_connection_alone() {
    let world = World::new().await;
    let replica = world.replica().await;
    let mut flood = speak("127.0.0.2", replica.grpc).await;
    let mut frames = Vec::new();
    for number in 0..5_000 {
        let stream: u32 = 2 * number + 1;
        frames.extend(headers(stream, 4));
        // RST_STREAM, CANCEL.
        frames.extend([&[0, 0, 4, 3, 0][..], &stream.to_be_bytes(), &[0, 0, 0, 8]].concat());
    }
    let _ = flood.write_all(&frames).await;
    replica.make("globex", "meanwhile").await;
    assert!(closed(&mut flood).await.contains(&GO_AWAY));
    replica.make("globex", "afterwards").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_without_end_close_their_own_connection_alone() {
    let world = World::new().await;
    let replica = world.replica().await;
    let mut flood = speak("127.0.0.2", replica.grpc).await;
    flood.write_all(&headers(1, 0)).await.unwrap();
    // CONTINUATION, each with one literal header of 16 KiB.
    let value = vec![b'v'; 16_000];
    let block = [&[0, 1, b'n', 0x7f, 0x81, 0x7c][..], &value].concat();
    let length = u32::try_from(block.len()).unwrap().to_be_bytes();
    let frame = [&[length[1], length[2], length[3], 9, 0, 0, 0, 0, 1][..], &block].concat();
    let mut sent = 0;
    while sent < 64 * 1024 * 1024 {
        match timeout(LIMIT, flood.write_all(&frame)).await.expect("it reads or closes") {
            Ok(()) => sent += frame.len(),
            Err(_) => break,
        }
    }
    assert!(sent < 8 * 1024 * 1024, "{sent} bytes were taken");
    replica.make("globex", "afterwards").await;
}
