//! `make break`: acme's database is closed, renamed, filled and killed under calls.
//!
//! Shows what callers get, and counts acme's rows in the system database after each: none, ever.

use std::net::SocketAddr;

use fbs_router_proto::document::v1::{CreateDocumentRequest, Document, document_service_client::DocumentServiceClient};
use fbs_router_sandbox::{Platform, implementer, platform};
use tokio::time::{Duration, Instant, sleep};
use tonic::{Request, transport::Channel};
use tonic_types::StatusExt;

use super::{CliError, failed, samples};

/// Longest a fault takes to be seen, and to be over.
const LIMIT: Duration = Duration::from_secs(20);

pub(super) async fn show(address: SocketAddr, platform: &Platform) -> Result<(), CliError> {
    let mut client = DocumentServiceClient::new(samples::channel(address).await?);
    let implementer = platform.implementer();
    let acme = platform::ACME_DATABASE;
    println!(
        "{:<46} {:<50} rows in {}",
        "acme's database is",
        "CreateDocument for acme_corp answers",
        platform::SYSTEM_DATABASE
    );
    row(platform, "as it should be", &call(&mut client).await).await?;

    implementer.allow_connections(acme, false).await.map_err(failed)?;
    row(platform, "closed (ALLOW_CONNECTIONS false)", &until(&mut client, false).await).await?;
    implementer.allow_connections(acme, true).await.map_err(failed)?;
    row(platform, "open again", &until(&mut client, true).await).await?;

    implementer.rename(acme, "djo_elsewhere_db").await.map_err(failed)?;
    row(platform, "renamed away", &until(&mut client, false).await).await?;
    implementer.rename("djo_elsewhere_db", acme).await.map_err(failed)?;
    row(platform, "named as before", &until(&mut client, true).await).await?;

    implementer.limit_connections(acme, 0).await.map_err(failed)?;
    row(platform, "full (CONNECTION LIMIT 0)", &until(&mut client, false).await).await?;
    implementer.limit_connections(acme, -1).await.map_err(failed)?;
    row(platform, "no longer full", &until(&mut client, true).await).await?;

    platform.cluster.kill().await.map_err(failed)?;
    println!("{:<46} {}", "killed, with its whole server (kill -9)", until(&mut client, false).await);
    platform.cluster.start_again().await.map_err(failed)?;
    row(platform, "up again", &until(&mut client, true).await).await
}

async fn row(platform: &Platform, state: &str, answer: &str) -> Result<(), CliError> {
    println!("{state:<46} {answer:<50} {}", rows(platform).await.map_err(failed)?);
    Ok(())
}

/// Acme's rows where none may ever be.
async fn rows(platform: &Platform) -> Result<i64, implementer::Error> {
    let sql = "SELECT count(*) FROM fbs_document.document WHERE company_id = 'acme_corp'";
    platform.implementer().count(platform::SYSTEM_DATABASE, sql).await
}

/// Calls until the answer is as expected, and tells it.
async fn until(client: &mut DocumentServiceClient<Channel>, ok: bool) -> String {
    let end = Instant::now() + LIMIT;
    loop {
        let answer = call(client).await;
        if answer.starts_with("OK") == ok || Instant::now() > end {
            return answer;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

async fn call(client: &mut DocumentServiceClient<Channel>) -> String {
    let mut request = Request::new(CreateDocumentRequest {
        solution: "acme_corp".into(),
        document: Some(Document { name: "PROBE".into(), title: "Written under faults".into(), ..Document::default() }),
        ..CreateDocumentRequest::default()
    });
    request.set_timeout(Duration::from_secs(3));
    match client.create_document(request).await {
        Ok(answer) => {
            let database = answer.metadata().get("fbs-database").and_then(|value| value.to_str().ok());
            format!("OK, from {}", database.unwrap_or("?"))
        }
        Err(status) => {
            let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
            format!("{:?} {reason}", status.code())
        }
    }
}
