//! Who a caller is by his certificate: exactly one URI, compared as it is; with a token besides, what both may.

use fbs_router_client::{
    Client, Error, ErrorKind, Tls,
    v1::{Document, ErrorReason},
};
use fbs_router_sandbox::soon;

use crate::support::{
    Replica, World,
    authority::{Authority, Pair},
    callers::{caller, token},
};

const BILLING: &str = "spiffe://corp/billing";

/// `billing` is known by its certificate, `reports` by its token.
async fn service(world: &World, authority: &Authority) -> Replica {
    let certified = format!(
        "[[caller]]\nid = \"billing\"\ncertificate = \"{BILLING}\"\n\
         grants = [{{ solution = \"acme_corp\", role = \"writer\" }}]\n"
    );
    let reports = caller("reports", &["acme_corp reader", "globex reader"]);
    let callers = world.callers(&format!("{certified}{reports}"));
    let ca = world.file("clients.pem", &authority.pem());
    let listen = format!("tls_client_ca = \"{}\"", ca.display());
    let text = world.encrypted(&authority.issue("localhost"), &listen, &callers);
    Replica::start_unready(&text, &world.snapshot("router")).await
}

async fn connect(replica: &Replica, tls: Tls, bearer: Option<&str>) -> Result<Client, Error> {
    let mut builder = Client::builder().tls(tls).attempts(1);
    if let Some(name) = bearer {
        builder = builder.token(token(name));
    }
    builder.connect(format!("https://localhost:{}", replica.grpc.port())).await
}

async fn with(replica: &Replica, authority: &Authority, pair: &Pair, bearer: Option<&str>) -> Client {
    connect(replica, authority.tls().identity_pem(&*pair.certificate, &*pair.key), bearer).await.unwrap()
}

async fn create(client: &Client, solution: &str) -> Result<String, ErrorReason> {
    let draft = Document { name: "N".into(), title: "T".into(), ..Default::default() };
    let made = client.solution(solution).create(draft).await;
    made.map(|document| document.created_by.clone()).map_err(|error| error.reason().unwrap())
}

async fn look(client: &Client, solution: &str) -> Result<(), ErrorReason> {
    client.resolve(solution).await.map(drop).map_err(|error| error.reason().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_names_its_caller_by_exactly_one_uri_and_a_token_never_widens_it() {
    let world = World::new().await;
    let authority = Authority::new();
    let replica = service(&world, &authority).await;

    let billing = with(&replica, &authority, &authority.issue_uris(&[BILLING]), None).await;
    soon("it serves", async || match create(&billing, "acme_corp").await {
        Ok(made_by) if made_by == "billing" => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert_eq!(look(&billing, "globex").await, Err(ErrorReason::AccessDenied));
    assert_eq!(create(&billing, "globex").await, Err(ErrorReason::AccessDenied));

    for uris in [
        &["spiffe://corp/other"][..],
        &["spiffe://corp/billing/"],
        &["spiffe://corp/BILLING"],
        &["spiffe://corp/billin%67"],
        &[BILLING, "spiffe://corp/other"],
        &[BILLING, BILLING],
    ] {
        let stranger = with(&replica, &authority, &authority.issue_uris(uris), None).await;
        assert_eq!(look(&stranger, "acme_corp").await, Err(ErrorReason::CredentialsInvalid), "{uris:?}");
    }
    // A name that is no URI is no name.
    let named = with(&replica, &authority, &authority.issue("billing"), None).await;
    assert_eq!(look(&named, "acme_corp").await, Err(ErrorReason::CredentialsInvalid));
    // Another authority's certificate does not even connect, whatever it says.
    let forged = Authority::new().issue_uris(&[BILLING]);
    match connect(&replica, authority.tls().identity_pem(&*forged.certificate, &*forged.key), None).await {
        Err(error) => assert_eq!(error.kind(), ErrorKind::Connect),
        // TLS 1.3 tells a client only when it reads.
        Ok(client) => assert!(client.resolve("acme_corp").await.is_err()),
    }

    let reports = connect(&replica, authority.tls(), Some("reports")).await.unwrap();
    assert_eq!(look(&reports, "globex").await, Ok(()));
    let both = with(&replica, &authority, &authority.issue_uris(&[BILLING]), Some("reports")).await;
    assert_eq!(look(&both, "acme_corp").await, Ok(()));
    assert_eq!(create(&both, "acme_corp").await, Err(ErrorReason::AccessDenied), "the token only reads");
    assert_eq!(look(&both, "globex").await, Err(ErrorReason::AccessDenied), "the certificate does not reach there");
    let guessed = with(&replica, &authority, &authority.issue_uris(&[BILLING]), Some("nobody")).await;
    assert_eq!(look(&guessed, "acme_corp").await, Err(ErrorReason::CredentialsInvalid));
    let stranger = with(&replica, &authority, &authority.issue_uris(&["spiffe://corp/other"]), Some("reports")).await;
    assert_eq!(look(&stranger, "acme_corp").await, Err(ErrorReason::CredentialsInvalid));
}
