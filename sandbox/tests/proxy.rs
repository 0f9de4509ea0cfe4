//! The modes of the fault proxy, with an echo server and with Postgres behind it.

use std::{
    io::ErrorKind,
    time::{Duration, Instant},
};

use fbs_router_sandbox::{Address, Cluster, FaultProxy, Mode, Options, Way, soon};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
    sync::mpsc,
    time::timeout,
};

const SHORT: Duration = Duration::from_millis(200);

/// An echo server; the channel tells, for each connection, what it got until its end.
async fn echo() -> (Address, mpsc::UnboundedReceiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Address::Tcp(listener.local_addr().unwrap());
    let (ended, received) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let ended = ended.clone();
            tokio::spawn(async move {
                let (mut all, mut piece) = (Vec::new(), [0; 1024]);
                while let Ok(length @ 1..) = stream.read(&mut piece).await {
                    all.extend_from_slice(&piece[..length]);
                    let _gone = stream.write_all(&piece[..length]).await;
                }
                ended.send(all).unwrap();
            });
        }
    });
    (address, received)
}

async fn connect(proxy: &FaultProxy) -> TcpStream {
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    say(&mut stream, "hello").await;
    stream
}

async fn say(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = vec![0; text.len()];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, text.as_bytes());
}

async fn is_reset(stream: &mut TcpStream) {
    let read = timeout(Duration::from_secs(5), stream.read(&mut [0; 16])).await.unwrap();
    assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn forward_passes_bytes_and_counts_connections() {
    let (upstream, mut received) = echo().await;
    let proxy = FaultProxy::start(upstream).await.unwrap();
    let mut first = connect(&proxy).await;
    let second = connect(&proxy).await;
    assert_eq!((proxy.connections(), proxy.accepted()), (2, 2));
    drop(second);
    assert_eq!(received.recv().await.unwrap(), b"hello");
    soon("one connection is open", async || if proxy.connections() == 1 { Ok(()) } else { Err(proxy.connections()) })
        .await;
    // The end of one direction is passed on, and the other direction stays open.
    first.write_all(b" and bye").await.unwrap();
    first.shutdown().await.unwrap();
    let mut rest = Vec::new();
    first.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b" and bye");
    assert_eq!(proxy.accepted(), 2);
}

#[tokio::test]
async fn refuse_resets_open_and_new_connections_until_forward() {
    let (upstream, _received) = echo().await;
    let proxy = FaultProxy::start(upstream).await.unwrap();
    let mut open = connect(&proxy).await;
    proxy.set(Mode::Refuse);
    is_reset(&mut open).await;
    let mut new = TcpStream::connect(proxy.address()).await.unwrap();
    is_reset(&mut new).await;
    assert_eq!((proxy.connections(), proxy.accepted()), (0, 2));
    proxy.set(Mode::Forward);
    connect(&proxy).await;
}

#[tokio::test]
async fn hang_holds_bytes_back_and_forward_releases_them() {
    let (upstream, _received) = echo().await;
    let proxy = FaultProxy::start(upstream).await.unwrap();
    let mut open = connect(&proxy).await;
    proxy.set(Mode::Hang);
    let mut new = TcpStream::connect(proxy.address()).await.unwrap();
    let mut answer = [0; 4];
    for stream in [&mut open, &mut new] {
        stream.write_all(b"held").await.unwrap();
        timeout(SHORT, stream.read(&mut answer)).await.unwrap_err();
    }
    assert_eq!(proxy.connections(), 2);
    proxy.set(Mode::Forward);
    for stream in [&mut open, &mut new] {
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"held");
    }
}

#[tokio::test]
async fn hanging_connection_can_still_be_cut() {
    let (upstream, _received) = echo().await;
    let proxy = FaultProxy::start(upstream).await.unwrap();
    proxy.set(Mode::Hang);
    let mut hanging = TcpStream::connect(proxy.address()).await.unwrap();
    soon("it is open", async || if proxy.connections() == 1 { Ok(()) } else { Err("not yet") }).await;
    proxy.set(Mode::Cut);
    is_reset(&mut hanging).await;
}

#[tokio::test]
async fn cut_resets_what_is_open_and_forwards_what_comes() {
    let (upstream, _received) = echo().await;
    let proxy = FaultProxy::start(upstream).await.unwrap();
    let mut open = connect(&proxy).await;
    proxy.set(Mode::Cut);
    let mut new = connect(&proxy).await;
    is_reset(&mut open).await;
    say(&mut new, "still here").await;
}

#[tokio::test]
async fn cut_after_gives_the_server_exactly_so_many_bytes() {
    let (upstream, mut received) = echo().await;
    let proxy = FaultProxy::start(upstream).await.unwrap();
    let mut open = connect(&proxy).await;
    proxy.set(Mode::CutAfter { to_server: 6 });
    say(&mut open, "abc").await;
    open.write_all(b"defghi").await.unwrap();
    assert_eq!(received.recv().await.unwrap(), b"helloabcdef");
    // The server's answer to the last bytes may or may not be through; the reset is.
    let mut rest = Vec::new();
    let end = timeout(Duration::from_secs(5), open.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn cut_at_counts_places_of_one_direction_and_leaves_new_connections_alone_where_that_is_asked() {
    let message = "Q\0\0\0\x06ab";
    for (way, greeting) in [(Way::ToServer, "\0\0\0\x05u"), (Way::ToClient, "Z\0\0\0\x05I")] {
        for (place, new) in [(0, false), (1, true), (2, false), (3, false), (4, false)] {
            let (upstream, mut received) = echo().await;
            let proxy = FaultProxy::start(upstream).await.unwrap();
            let mut open = TcpStream::connect(proxy.address()).await.unwrap();
            say(&mut open, greeting).await;
            proxy.set(Mode::CutAt { way, place, new });
            open.write_all(message.as_bytes()).await.unwrap();
            let passes = [0, 1, 5, 6, 7][usize::try_from(place).unwrap()];
            let of_server = if way == Way::ToServer { &message[..passes] } else { message };
            assert_eq!(received.recv().await.unwrap(), [greeting, of_server].concat().as_bytes(), "{way:?} {place}");
            let mut rest = Vec::new();
            let end = timeout(Duration::from_secs(5), open.read_to_end(&mut rest)).await.unwrap();
            match way {
                Way::ToServer => assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset),
                Way::ToClient => assert_eq!((end.unwrap(), &*rest), (passes, &message.as_bytes()[..passes])),
            }
            let mut other = TcpStream::connect(proxy.address()).await.unwrap();
            if new {
                other.write_all(greeting.as_bytes()).await.unwrap();
                assert!(other.read_exact(&mut [0; 5]).await.is_err(), "{way:?} {place}");
            } else {
                say(&mut other, greeting).await;
                say(&mut other, "still here").await;
            }
        }
    }
}

#[tokio::test]
async fn delay_adds_its_time_in_each_direction_and_ends_with_the_mode() {
    let (upstream, _received) = echo().await;
    let proxy = FaultProxy::start(upstream).await.unwrap();
    let mut open = connect(&proxy).await;
    proxy.set(Mode::Delay(Duration::from_millis(100)));
    let begin = Instant::now();
    say(&mut open, "late").await;
    assert!(begin.elapsed() >= Duration::from_millis(200), "{:?}", begin.elapsed());
    proxy.set(Mode::Delay(Duration::from_secs(3600)));
    open.write_all(b"released").await.unwrap();
    timeout(SHORT, open.read(&mut [0; 8])).await.unwrap_err();
    proxy.set(Mode::Forward);
    timeout(Duration::from_secs(5), open.read_exact(&mut [0; 8])).await.unwrap().unwrap();
}

#[tokio::test]
async fn commits_are_late_and_nothing_else_until_the_mode_ends() {
    const COMMIT: &str = "Q\0\0\0\x0bCOMMIT\0";
    let (upstream, _received) = echo().await;
    let proxy = FaultProxy::start(upstream).await.unwrap();
    let mut open = connect(&proxy).await;
    proxy.set(Mode::LateCommits(Duration::from_millis(200)));
    say(&mut open, "all else").await;
    say(&mut open, &format!("BEGIN and {COMMIT}")).await;
    let begin = Instant::now();
    say(&mut open, &format!("behind others {COMMIT}")).await;
    assert!(begin.elapsed() >= Duration::from_millis(200), "{:?}", begin.elapsed());
    proxy.set(Mode::LateCommits(Duration::from_secs(3600)));
    say(&mut open, "all else").await;
    say(&mut open, &format!("BEGIN and {COMMIT}")).await;
    open.write_all(COMMIT.as_bytes()).await.unwrap();
    timeout(SHORT, open.read(&mut [0; 12])).await.unwrap_err();
    proxy.set(Mode::Forward);
    timeout(Duration::from_secs(5), open.read_exact(&mut [0; 12])).await.unwrap().unwrap();
}

#[tokio::test]
async fn dropped_proxy_ends_its_connections() {
    let (upstream, _received) = echo().await;
    let proxy = FaultProxy::start(upstream).await.unwrap();
    let mut open = connect(&proxy).await;
    drop(proxy);
    let end = timeout(Duration::from_secs(5), open.read(&mut [0; 1])).await.unwrap();
    assert!(matches!(end, Ok(0) | Err(_)));
}

#[tokio::test]
async fn strand_leaves_open_connections_without_a_word_and_serves_new_ones() {
    let (upstream, mut received) = echo().await;
    let proxy = FaultProxy::start(upstream).await.unwrap();
    let mut open = connect(&proxy).await;
    proxy.set(Mode::Strand);
    // The server's end is gone.
    assert_eq!(received.recv().await.unwrap(), b"hello");
    open.write_all(b"is anybody there").await.unwrap();
    timeout(SHORT, open.read(&mut [0; 1])).await.unwrap_err();
    let mut new = connect(&proxy).await;
    proxy.set(Mode::Forward);
    timeout(SHORT, open.read(&mut [0; 1])).await.unwrap_err();
    say(&mut new, "still").await;
    proxy.set(Mode::Cut);
    is_reset(&mut open).await;
    is_reset(&mut new).await;
}

#[tokio::test]
async fn absent_server_shows_as_a_reset() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = FaultProxy::start(Address::Tcp(nobody)).await.unwrap();
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    is_reset(&mut stream).await;
}

#[tokio::test]
async fn postgres_is_reached_through_tcp_and_through_a_unix_socket() {
    let cluster = Cluster::start(Options::default()).await.unwrap();
    let upstream = Address::Unix(cluster.socket_directory().join(format!(".s.PGSQL.{}", cluster.port())));
    let mut proxy = FaultProxy::start(upstream).await.unwrap();
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    proxy.listen_unix(&folder.path().join(".s.PGSQL.5432")).unwrap();
    for host in ["127.0.0.1", folder.path().to_str().unwrap()] {
        let port = if host == "127.0.0.1" { proxy.port() } else { 5432 };
        let mut config = tokio_postgres::Config::new();
        config.host(host).port(port).user("postgres").dbname("postgres");
        let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
        let ended = tokio::spawn(connection);
        client.batch_execute("select 1").await.unwrap();
        proxy.set(Mode::Cut);
        client.batch_execute("select 1").await.unwrap_err();
        let _error = ended.await.unwrap();
    }
    let mut refused = {
        proxy.set(Mode::Refuse);
        UnixStream::connect(folder.path().join(".s.PGSQL.5432")).await.unwrap()
    };
    assert!(matches!(refused.read(&mut [0; 1]).await, Ok(0) | Err(_)));
}
