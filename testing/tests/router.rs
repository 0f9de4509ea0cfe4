//! What a caller's test can do, on the real thing.

use std::time::Duration;

use fbs_router_client::Upload;
use fbs_router_testing::{
    Documents, Error, ErrorReason, Network, TestRouter,
    v1::{Document, document::State},
};

fn draft(name: &str) -> Document {
    Document { name: name.into(), title: format!("About {name}"), ..Document::default() }
}

/// Whether a read fails with that reason, once what has happened is known.
async fn until(documents: &Documents, id: &str, reason: Option<ErrorReason>) {
    let quick = documents.with_deadline(Duration::from_secs(2));
    eventually(|| async {
        let found = quick.get(id).await.err().and_then(|error: Error| error.reason());
        found == reason
    })
    .await;
}

/// Tries until it is so; the bound is far beyond what anything here takes.
async fn eventually<F: Future<Output = bool>>(condition: impl Fn() -> F) {
    let wait = async { while !condition().await {} };
    assert!(tokio::time::timeout(Duration::from_secs(30), wait).await.is_ok(), "it never was so");
}

#[tokio::test(flavor = "multi_thread")]
async fn solutions_live_where_they_have_a_database_and_are_shared_otherwise() {
    let router = TestRouter::start().await.unwrap();
    router.give_database("acme_corp").await.unwrap();
    let own = router.client().solution("acme_corp").create(draft("A")).await.unwrap();
    let shared = router.client().solution("globex").create(draft("B")).await.unwrap();
    assert_eq!((own.solution_db.as_str(), shared.solution_db.as_str()), ("djo_acme_corp_db", ""));
    assert_eq!(router.own_documents("acme_corp").await.unwrap(), 1);
    assert_eq!(router.shared_documents("acme_corp").await.unwrap(), 0);
    assert_eq!(router.shared_documents("globex").await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_show_the_reasons_that_production_would_and_heal() {
    let router = TestRouter::start().await.unwrap();
    router.give_database("acme_corp").await.unwrap();
    let documents = router.client().solution("acme_corp");
    let id = documents.create(draft("A")).await.unwrap().into_message().document_id;

    router.close_database("acme_corp").await.unwrap();
    until(&documents, &id, Some(ErrorReason::DatabaseUnavailable)).await;
    router.open_database("acme_corp").await.unwrap();
    until(&documents, &id, None).await;

    router.hide_database("acme_corp").await.unwrap();
    until(&documents, &id, Some(ErrorReason::DatabaseDetached)).await;
    router.show_database("acme_corp").await.unwrap();
    until(&documents, &id, None).await;

    router.network(Network::Refuse);
    until(&documents, &id, Some(ErrorReason::DatabaseUnavailable)).await;
    router.network(Network::Forward);
    until(&documents, &id, None).await;

    router.end_sessions("acme_corp").await.unwrap();
    until(&documents, &id, None).await;

    router.kill_postgres().await.unwrap();
    until(&documents, &id, Some(ErrorReason::DatabaseUnavailable)).await;
    router.start_postgres().await.unwrap();
    until(&documents, &id, None).await;
    assert_eq!(router.shared_documents("acme_corp").await.unwrap(), 0, "through all of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_outlives_the_service_it_was_connected_to() {
    let mut router = TestRouter::start().await.unwrap();
    let documents = router.client().solution("globex");
    let created = documents.create(draft("A")).await.unwrap();
    let url = router.url();
    router.restart().await.unwrap();
    assert_eq!(router.url(), url);
    // Tried again by the client itself: the connection is found broken and made anew.
    let submitted = documents.submit(created.document_id.as_str()).await.unwrap();
    assert_eq!(submitted.state(), State::Pending);
}

#[tokio::test(flavor = "multi_thread")]
async fn further_configuration_is_taken_or_refused_with_its_reason() {
    let router = TestRouter::start_with("[documents]\ncontent_max_bytes = 10").await.unwrap();
    let documents = router.client().solution("globex");
    let id = documents.create(draft("A")).await.unwrap().into_message().document_id;
    let refused = documents.upload_bytes(Upload::from(id).filename("a"), "eleven bytes").await.unwrap_err();
    assert_eq!(refused.reason(), Some(ErrorReason::ContentInvalid));
    let wrong = TestRouter::start_with("[documents]\ncolour = \"red\"").await.unwrap_err();
    assert!(wrong.to_string().contains("colour"), "{wrong}");
}
