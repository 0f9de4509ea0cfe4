//! TLS of callers: encrypted, new files without an end, certificates of callers verified.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use fbs_router_client::{Client, Error, ErrorKind, Tls};
use fbs_router_sandbox::soon;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::transport::{Certificate, Channel, ClientTlsConfig};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::support::{
    Replica, World,
    authority::{Authority, Pair},
    process::binary,
    wire::metrics,
};

async fn start(world: &World, text: &str) -> Replica {
    Replica::start_unready(text, &world.snapshot("router")).await
}

async fn connect(replica: &Replica, tls: Tls) -> Result<Client, Error> {
    Client::builder().tls(tls).attempts(1).connect(format!("https://localhost:{}", replica.grpc.port())).await
}

/// Where it places `globex`, once it is ready.
async fn served(client: &Client) -> String {
    let answer = soon("it serves", async || client.resolve("globex").await.map_err(|error| error.to_string())).await;
    answer.route.clone().and_then(|route| route.database).expect("a database").name
}

fn client_config(authority: &Authority, protocols: &[&[u8]]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    config
}

async fn shake(at: SocketAddr, config: ClientConfig) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(at).await.unwrap();
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
}

/// True if a new connection is shown this certificate.
async fn shows(at: SocketAddr, authority: &Authority, pair: &Pair) -> bool {
    let stream = shake(at, client_config(authority, &[b"h2"])).await.expect("a handshake");
    let wanted = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0] == wanted
}

async fn counter(replica: &Replica, name: &str) -> f64 {
    metrics(replica.ops).await[name]
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_encrypted_and_who_trusts_another_authority_makes_none() {
    let world = World::new().await;
    let authority = Authority::new();
    let replica = start(&world, &world.encrypted(&authority.issue("localhost"), "", "")).await;
    let client = connect(&replica, authority.tls()).await.unwrap();
    assert_eq!(served(&client).await, "fbs_system_db");
    let stranger = connect(&replica, Authority::new().tls()).await.unwrap_err();
    assert_eq!(stranger.kind(), ErrorKind::Connect);
    let plain = Client::builder().attempts(1).connect(format!("http://{}", replica.grpc)).await.unwrap_err();
    assert_eq!(plain.kind(), ErrorKind::Connect);
    // HTTP/2 is agreed upon, and nothing else is spoken.
    let stream = shake(replica.grpc, client_config(&authority, &[b"http/1.1", b"h2"])).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    shake(replica.grpc, client_config(&authority, &[b"http/1.1"])).await.unwrap_err();
    let expires = counter(&replica, "fbs_router_tls_certificate_expiry_seconds").await;
    assert!(expires > 1_700_000_000.0, "{expires}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_older_than_tls_1_2_is_spoken() {
    let world = World::new().await;
    let replica = start(&world, &world.encrypted(&Authority::new().issue("localhost"), "", "")).await;
    for (minor, alert) in [(1, Some(70)), (2, Some(70)), (3, None)] {
        let mut stream = TcpStream::connect(replica.grpc).await.unwrap();
        stream.write_all(&hello(minor)).await.unwrap();
        let mut answer = [0; 7];
        tokio::time::timeout(Duration::from_secs(5), stream.read_exact(&mut answer)).await.unwrap().unwrap();
        // Alert 70 is protocol_version; what begins with 22 is a handshake.
        let told = (answer[0] == 21).then_some(answer[6]);
        assert_eq!(told, alert, "TLS 1.{}: {answer:?}", minor - 1);
    }
}

/// The first message of a client that speaks TLS 1.(minor - 1) at most.
fn hello(minor: u8) -> Vec<u8> {
    let mut body = vec![3, minor];
    body.extend([7; 32]);
    // No session; ECDHE-ECDSA with AES-128-GCM-SHA256 and AES-128-CBC-SHA; no compression.
    body.extend([0, 0, 4, 0xc0, 0x2b, 0xc0, 0x09, 1, 0]);
    // Groups: secp256r1; points: uncompressed; signatures: ecdsa_secp256r1_sha256; extended master secret.
    body.extend([0, 26, 0, 10, 0, 4, 0, 2, 0, 23, 0, 11, 0, 2, 1, 0, 0, 13, 0, 4, 0, 2, 4, 3, 0, 23, 0, 0]);
    let length = u8::try_from(body.len()).unwrap();
    [&[22, 3, 1, 0, length + 4, 1, 0, 0, length], &body[..]].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn new_files_are_for_new_connections_and_open_ones_live_on() {
    let world = World::new().await;
    let (before, after) = (Authority::new(), Authority::new());
    let first = before.issue("localhost");
    let replica = start(&world, &world.encrypted(&first, "", "")).await;
    assert!(shows(replica.grpc, &before, &first).await);
    let client = connect(&replica, before.tls()).await.unwrap();
    served(&client).await;
    // A connection with a stream in flight.
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(before.pem()));
    let url = format!("https://localhost:{}", replica.grpc.port());
    let channel = Channel::from_shared(url).unwrap().tls_config(tls).unwrap().connect().await.unwrap();
    let request = HealthCheckRequest { service: String::new() };
    let mut watch = HealthClient::new(channel).watch(request).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status, 1);

    let second = after.issue("localhost");
    second.put(world.folder.path());
    soon("the new certificate is shown", async || {
        let stream = shake(replica.grpc, client_config(&after, &[b"h2"])).await.map_err(|error| error.to_string())?;
        drop(stream);
        Ok::<_, String>(())
    })
    .await;
    assert!(shows(replica.grpc, &after, &second).await);
    assert_eq!(counter(&replica, "fbs_router_tls_reloads_total").await, 1.0);
    assert_eq!(counter(&replica, "fbs_router_tls_reloads_failed_total").await, 0.0);
    connect(&replica, before.tls()).await.unwrap_err();
    // Whoever was connected still is, and cannot have connected anew.
    assert_eq!(served(&client).await, "fbs_system_db");
    replica.begin_stop();
    assert_eq!(watch.message().await.unwrap().unwrap().status, 2, "the stream in flight goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn new_files_that_cannot_be_used_leave_the_ones_before() {
    let world = World::new().await;
    let authority = Authority::new();
    let first = authority.issue("localhost");
    let replica = start(&world, &world.encrypted(&first, "", "")).await;
    let swapped = Pair { certificate: authority.issue("localhost").certificate, key: authority.issue("x").key };
    let nonsense = Pair { certificate: "nothing".to_owned(), key: swapped.key.clone() };
    let expired = authority.issue_expired("localhost");
    for (failures, bad) in (1_u32..).zip([swapped, nonsense, expired]) {
        bad.put(world.folder.path());
        soon("it is looked at", async || {
            let failed = counter(&replica, "fbs_router_tls_reloads_failed_total").await;
            if failed == f64::from(failures) { Ok(()) } else { Err(failed) }
        })
        .await;
        assert!(shows(replica.grpc, &authority, &first).await);
    }
    std::fs::remove_file(world.folder.path().join("tls.key")).unwrap();
    soon("it is looked at", async || match counter(&replica, "fbs_router_tls_reloads_failed_total").await {
        4.0 => Ok(()),
        failed => Err(failed),
    })
    .await;
    assert!(shows(replica.grpc, &authority, &first).await);
    let good = authority.issue("localhost");
    good.put(world.folder.path());
    soon(
        "the good one is shown",
        async || {
            if shows(replica.grpc, &authority, &good).await { Ok(()) } else { Err("not yet") }
        },
    )
    .await;
}

/// Connects with that certificate, or none, and calls.
async fn calls(replica: &Replica, authority: &Authority, own: Option<&Pair>) -> Result<(), ErrorKind> {
    let tls = match own {
        Some(pair) => authority.tls().identity_pem(&*pair.certificate, &*pair.key),
        None => authority.tls(),
    };
    match connect(replica, tls).await {
        Ok(client) => {
            served(&client).await;
            Ok(())
        }
        Err(error) => Err(error.kind()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_required_must_be_there_valid_and_of_the_right_authority() {
    let world = World::new().await;
    let (authority, callers) = (Authority::new(), Authority::new());
    let ca = world.file("clients.pem", &callers.pem());
    let listen = format!("tls_client_ca = \"{}\"\ntls_client = \"required\"", ca.display());
    let replica = start(&world, &world.encrypted(&authority.issue("localhost"), &listen, "")).await;
    assert_eq!(calls(&replica, &authority, Some(&callers.issue("billing"))).await, Ok(()));
    let refused = Err(ErrorKind::Connect);
    assert_eq!(calls(&replica, &authority, None).await, refused);
    assert_eq!(calls(&replica, &authority, Some(&authority.issue("billing"))).await, refused, "another authority");
    assert_eq!(calls(&replica, &authority, Some(&callers.issue_expired("billing"))).await, refused);

    // Callers' authorities change as the rest does.
    let newer = Authority::new();
    world.file("clients.pem", &newer.pem());
    soon("the new authority is taken", async || {
        calls(&replica, &authority, Some(&newer.issue("billing"))).await.map_err(|kind| format!("{kind:?}"))
    })
    .await;
    assert_eq!(calls(&replica, &authority, Some(&callers.issue("billing"))).await, refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_optional_is_verified_all_the_same() {
    let world = World::new().await;
    let (authority, callers) = (Authority::new(), Authority::new());
    let ca = world.file("clients.pem", &callers.pem());
    let listen = format!("tls_client_ca = \"{}\"", ca.display());
    let replica = start(&world, &world.encrypted(&authority.issue("localhost"), &listen, "")).await;
    assert_eq!(calls(&replica, &authority, None).await, Ok(()));
    assert_eq!(calls(&replica, &authority, Some(&callers.issue("billing"))).await, Ok(()));
    let refused = Err(ErrorKind::Connect);
    assert_eq!(calls(&replica, &authority, Some(&authority.issue("billing"))).await, refused);
    assert_eq!(calls(&replica, &authority, Some(&callers.issue_expired("billing"))).await, refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_handshake_ends_in_time_and_delays_nobody() {
    let world = World::new().await;
    let authority = Authority::new();
    let limits = "[limits]\nhandshake = \"6s\"\n";
    let replica = start(&world, &world.encrypted(&authority.issue("localhost"), "", limits)).await;
    let client = connect(&replica, authority.tls()).await.unwrap();
    served(&client).await;
    let begun = Instant::now();
    let mut silent = Vec::new();
    for number in 0..40 {
        let mut stream = TcpStream::connect(replica.grpc).await.unwrap();
        // Some say nothing, some half of it.
        let half = hello(3);
        stream.write_all(&half[..if number % 2 == 0 { 0 } else { half.len() / 2 }]).await.unwrap();
        silent.push(stream);
    }
    served(&connect(&replica, authority.tls()).await.unwrap()).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    // One that ends the handshake and then says nothing is no better.
    let mut mute = shake(replica.grpc, client_config(&authority, &[b"h2"])).await.unwrap();
    for stream in &mut silent {
        let closed = tokio::time::timeout(Duration::from_secs(15), stream.read(&mut [0; 64])).await;
        assert!(matches!(closed.expect("closed in time"), Ok(0) | Err(_)));
    }
    assert!(begun.elapsed() >= Duration::from_millis(5_900), "{:?}", begun.elapsed());
    let closed = tokio::time::timeout(Duration::from_secs(15), mute.read(&mut [0; 64])).await;
    assert!(matches!(closed.expect("closed in time"), Ok(0) | Err(_)));
    soon("all are counted", async || match counter(&replica, "fbs_router_handshakes_failed_total").await {
        41.0 => Ok(()),
        failed => Err(failed),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_speak_https_with_the_files_they_are_given() {
    let world = World::new().await;
    let (authority, callers) = (Authority::new(), Authority::new());
    let ca = world.file("clients.pem", &callers.pem());
    let listen = format!("tls_client_ca = \"{}\"\ntls_client = \"required\"", ca.display());
    let replica = start(&world, &world.encrypted(&authority.issue("localhost"), &listen, "")).await;
    let own = callers.issue("operator");
    let files = [("ca", &authority.pem()), ("own", &own.certificate), ("key", &own.key)];
    let [ca, certificate, key] = files.map(|(name, text)| world.file(name, text).display().to_string());
    let url = format!("https://localhost:{}", replica.grpc.port());
    let run = async |arguments: &[&str]| {
        let mut command = Command::new(binary());
        command.args(["resolve", "globex", "--server-url", &url]).args(arguments).kill_on_drop(true);
        command.output().await.unwrap()
    };
    served(&connect(&replica, authority.tls().identity_pem(&*own.certificate, &*own.key)).await.unwrap()).await;
    let output = run(&["--ca-file", &ca, "--certificate", &certificate, "--key", &key]).await;
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("fbs_system_db"));
    assert_eq!(run(&["--ca-file", &ca]).await.status.code(), Some(1), "no certificate");
    assert_eq!(run(&["--certificate", &certificate, "--key", &key]).await.status.code(), Some(1), "no authority");
    assert_eq!(run(&["--ca-file", &ca, "--certificate", &certificate]).await.status.code(), Some(2), "no key");
    assert_eq!(run(&["--ca-file", "/nonexistent"]).await.status.code(), Some(1));
    let plain = run(&["--ca-file", &ca, "--server-url", "http://localhost:1"]).await;
    assert_eq!(plain.status.code(), Some(2), "{plain:?}");
}
