//! Sample documents, and somebody who gives a solution its own database.

use std::{net::SocketAddr, time::Duration};

use fbs_router_proto::{
    document::v1::{CreateDocumentRequest, Document, document_service_client::DocumentServiceClient},
    router::v1::{ResolveDatabaseRequest, Route, candidate::Reason, router_service_client::RouterServiceClient},
};
use fbs_router_sandbox::platform;
use tokio::time::{Instant, sleep};
use tonic::{Code, Request, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::{CliError, chain, failed};

/// Longest a fresh service takes to be ready.
const READY: Duration = Duration::from_secs(20);

/// The samples: document ids are fixed, so that a second run changes nothing.
const SAMPLES: [(&str, &str, &str, &str); 4] = [
    ("acme_corp", "018f3a00-0000-7000-8000-000000000001", "INV-2026-0001", "Anvils, first quarter"),
    ("acme_corp", "018f3a00-0000-7000-8000-000000000002", "INV-2026-0002", "Rocket skates"),
    ("globex", "018f3a00-0000-7000-8000-000000000001", "CTR-2026-0001", "Lease of the volcano"),
    ("globex", "018f3a00-0000-7000-8000-000000000003", "CTR-2026-0002", "Weather machine, maintenance"),
];

pub(super) async fn channel(address: SocketAddr) -> Result<Channel, CliError> {
    let endpoint = Channel::from_shared(format!("http://{address}")).map_err(failed)?;
    endpoint.connect_timeout(Duration::from_secs(3)).connect().await.map_err(failed)
}

pub(super) async fn wait_until_ready(address: SocketAddr) -> Result<(), CliError> {
    let until = Instant::now() + READY;
    loop {
        if let Ok(channel) = channel(address).await {
            let request = HealthCheckRequest { service: String::new() };
            let answer = HealthClient::new(channel).check(request).await;
            if answer.is_ok_and(|answer| answer.get_ref().status == 1) {
                return Ok(());
            }
        }
        if Instant::now() > until {
            return Err(CliError::Failed("the service is not ready after 20 s; the log says why".into()));
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// Creates the sample documents that are not there yet.
pub(super) async fn create(address: SocketAddr) -> Result<(), CliError> {
    let mut client = DocumentServiceClient::new(channel(address).await?);
    for (solution, document_id, name, title) in SAMPLES {
        let mut request = Request::new(CreateDocumentRequest {
            solution: solution.into(),
            document_id: document_id.into(),
            document: Some(Document { name: name.into(), title: title.into(), ..Document::default() }),
            ..CreateDocumentRequest::default()
        });
        request.set_timeout(READY);
        match client.create_document(request).await {
            Ok(_) => {}
            Err(status) if status.code() == Code::AlreadyExists => {}
            Err(status) => return Err(CliError::Failed(format!("sample document of {solution}: {status}"))),
        }
    }
    Ok(())
}

/// Plays the implementer on a running `dev`: finds its Postgres by asking it where it would look.
pub(super) async fn create_database(name: &str, port: u16) -> Result<(), CliError> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let channel = channel(address).await.map_err(|_| {
        CliError::Failed(format!("no `fbs-router dev` answers on port {port}; start it with: make dev"))
    })?;
    let mut routes = RouterServiceClient::new(channel);
    let found = resolve(&mut routes, name).await?.database.unwrap_or_default();
    let mut config = tokio_postgres::Config::new();
    config.host(&found.host).port(u16::try_from(found.port).unwrap_or(5432)).user("postgres").dbname("postgres");
    #[expect(clippy::disallowed_methods, reason = "the implementer's connection, not the service's")]
    let (client, connection) = config.connect(tokio_postgres::NoTls).await.map_err(failed)?;
    tokio::spawn(connection);
    // A solution id is letters, digits, - and _ only, or the service would not have resolved it.
    let database = format!("djo_{name}_db");
    let template = platform::TEMPLATE_DATABASE;
    client
        .batch_execute(&format!("CREATE DATABASE \"{database}\" TEMPLATE \"{template}\" OWNER fbs_owner"))
        .await
        .map_err(|error| CliError::Failed(format!("createdb -T {template} {database}: {}", chain(&error))))?;
    // Reading calls may rely for a second on the absence that was just seen; writes never do.
    let until = Instant::now() + READY;
    while Instant::now() < until {
        let route = resolve(&mut routes, name).await?;
        if route.database.is_some_and(|served| served.name == database) {
            println!("created {database}: {name} is served from it now");
            return Ok(());
        }
        if let Some(candidate) = route.candidate.filter(|candidate| candidate.reason() == Reason::RowsInSystemDatabase)
        {
            println!("created {database}, but the system database still holds rows of {name}: it stays there, visible");
            println!("  {}", candidate.remedy);
            return Ok(());
        }
        sleep(Duration::from_millis(50)).await;
    }
    Err(CliError::Failed(format!("created {database}, and {name} is not served from it; fbs-router explain {name}")))
}

async fn resolve(routes: &mut RouterServiceClient<Channel>, solution: &str) -> Result<Route, CliError> {
    let request = ResolveDatabaseRequest { solution: solution.into(), ..ResolveDatabaseRequest::default() };
    let answer = routes.resolve_database(request).await;
    let answer = answer.map_err(|status| CliError::Failed(status.message().to_owned()))?;
    Ok(answer.into_inner().route.unwrap_or_default())
}
