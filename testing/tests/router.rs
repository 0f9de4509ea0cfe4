//! What a caller's test can do, on the real thing.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use fbs_router_testing::{
    Answer, Documents, Error, ErrorKind, ErrorReason, Network, TestError, TestRouter, Upload,
    v1::{Document, document::State},
};
use tokio::{
    io::{AsyncWriteExt, DuplexStream},
    task::JoinHandle,
    time::timeout,
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

/// Uploads 10 bytes of which only 3 ever come; returns while the service waits for the others.
async fn half_an_upload(router: &TestRouter) -> (DuplexStream, JoinHandle<Result<Answer<Document>, Error>>) {
    let documents = router.client().solution("globex");
    let id = documents.create(draft("A")).await.unwrap().into_message().document_id;
    let (mut writer, reader) = tokio::io::duplex(1);
    let upload = Upload::from(id).filename("a").size_bytes(10).sha256([7; 32]);
    let uploading = tokio::spawn(async move { documents.upload(upload, reader).await });
    // There is room for one byte: the others are read by an upload that has a connection and sent its header.
    writer.write_all(b"123").await.unwrap();
    (writer, uploading)
}

/// That it breaks by itself, long before its idle limit of 30 s.
async fn broken(uploading: JoinHandle<Result<Answer<Document>, Error>>) {
    let error = timeout(Duration::from_secs(10), uploading).await.unwrap().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_breaks_the_calls_that_are_open() {
    let mut router = TestRouter::start().await.unwrap();
    let (_writer, uploading) = half_an_upload(&router).await;
    router.restart().await.unwrap();
    broken(uploading).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_that_is_dropped_breaks_the_calls_that_are_open() {
    let router = TestRouter::start().await.unwrap();
    let (_writer, uploading) = half_an_upload(&router).await;
    drop(router);
    broken(uploading).await;
}

/// What is wrong, as `unwrap` and `?` show it.
fn told(outcome: Result<(), TestError>) -> String {
    outcome.unwrap_err().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_would_not_be_used_is_refused_with_what_mends_it() {
    let router = TestRouter::start().await.unwrap();
    assert!(told(router.give_database("Acme").await).contains("^[a-z0-9][a-z0-9_-]*$"));
    assert!(told(router.give_database(&"a".repeat(57)).await).contains("at most 56 bytes"));
    router.client().solution("globex").create(draft("A")).await.unwrap();
    let late = told(router.give_database("globex").await);
    assert!(late.contains("is served from fbs_system_db already: give it a database before"), "{late}");

    let without = told(router.close_database("acme_corp").await);
    assert!(without.contains("has no database of its own, djo_acme_corp_db"), "{without}");
    router.give_database("acme_corp").await.unwrap();
    assert!(told(router.give_database("acme_corp").await).contains("has a database of its own already"));
    assert!(told(router.show_database("acme_corp").await).contains("has no hidden database"));
    router.hide_database("acme_corp").await.unwrap();
    assert!(told(router.give_database("acme_corp").await).contains("hidden"));
    assert!(told(router.close_database("acme_corp").await).contains("hidden"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_postgres_says_is_in_the_error() {
    let router = TestRouter::start().await.unwrap();
    router.give_database("acme_corp").await.unwrap();
    router.close_database("acme_corp").await.unwrap();
    let error = router.own_documents("acme_corp").await.unwrap_err().to_string();
    assert!(error.contains("not currently accepting connections"), "{error}");
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
