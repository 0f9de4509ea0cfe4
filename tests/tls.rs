//! TLS to Postgres: encrypted, authority and name checked, or no connection.

use fbs_router_sandbox::{Implementer, Options, Platform, binaries, cluster::Cluster};
use rcgen::{CertificateParams, KeyPair};

use crate::support::{Replica, World};

/// A Postgres that speaks TLS as `localhost`, with a certificate of its own authority.
async fn encrypted(world: &World) -> Option<(Platform, std::path::PathBuf)> {
    let folder = world.folder.path();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let authority = folder.join("ca.pem");
    std::fs::write(&authority, certificate.pem()).unwrap();
    let cluster = Cluster::start(Options { tcp: true, ..Options::default() }).await.unwrap();
    // The server's own user must own the key, so the server writes it itself.
    let implementer = Implementer::new(&cluster);
    let write = format!(
        "COPY (SELECT {}) TO PROGRAM 'cat > server.crt'; \
         COPY (SELECT {}) TO PROGRAM 'umask 077; cat > server.key'",
        lines(&certificate.pem()),
        lines(&key.serialize_pem()),
    );
    implementer.run("postgres", &write).await.unwrap();
    if implementer.run("postgres", "ALTER SYSTEM SET ssl = on").await.is_err() {
        println!("skipped: {} is built without TLS", binaries::find().unwrap().version);
        return None;
    }
    implementer.run("postgres", "SELECT pg_reload_conf()").await.unwrap();
    implementer.create_roles(fbs_router_sandbox::platform::PASSWORD).await.unwrap();
    implementer.create_database("fbs_system_db").await.unwrap();
    implementer.apply("fbs_system_db", fbs_router_schema::Purpose::System).await.unwrap();
    Some((Platform { cluster }, authority))
}

/// The lines of a text as rows.
fn lines(text: &str) -> String {
    let quoted: Vec<String> = text.trim().lines().map(|line| format!("'{line}'")).collect();
    format!("unnest(ARRAY[{}])", quoted.join(","))
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_over_tcp_is_encrypted_and_its_certificate_checked() {
    let world = World::new().await;
    let Some((platform, authority)) = encrypted(&world).await else { return };
    let port = platform.cluster.tcp_address().unwrap().port();
    let configuration = |host: &str, authority: &std::path::Path| {
        let url = format!("postgres://fbs_router@{host}:{port}");
        world.configuration(&url, "").replace(
            "max_connections",
            &format!("tls = \"verify-full\"\nca_file = \"{}\"\nmax_connections", authority.display()),
        )
    };

    let replica = Replica::start(&configuration("localhost", &authority), &world.snapshot("tls")).await;
    assert_eq!(replica.create("globex", "G-1").await.unwrap().database, "fbs_system_db");
    let sql = "SELECT count(*) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE a.usename = 'fbs_router' AND NOT s.ssl";
    assert_eq!(platform.implementer().count("postgres", sql).await.unwrap(), 0, "every connection is encrypted");

    // The certificate is for localhost, not for the address.
    assert_never_ready(&configuration("127.0.0.1", &authority), &world).await;
    // Another authority.
    let other = world.folder.path().join("other.pem");
    let key = KeyPair::generate().unwrap();
    let stranger = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(&other, stranger.pem()).unwrap();
    assert_never_ready(&configuration("localhost", &other), &world).await;
}

/// Every server has been tried once when a service answers, and none was let in.
async fn assert_never_ready(text: &str, world: &World) {
    let replica = Replica::start_unready(text, &world.snapshot("refused")).await;
    let (code, reason) =
        fbs_router_sandbox::soon("the service answers", async || match replica.place("globex").await {
            Err((tonic::Code::Unavailable, reason)) if reason.is_empty() => Err("not listening yet".to_owned()),
            Err(failure) => Ok(failure),
            Ok(place) => panic!("served from {place}"),
        })
        .await;
    assert_eq!((code, reason.as_str()), (tonic::Code::Unavailable, "ROUTE_UNKNOWN"));
    assert_eq!(replica.health("").await.unwrap(), 2);
}
