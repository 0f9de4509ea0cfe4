//! Asks where a solution's data lives, and leaves a document there.
//!
//!     make dev                                                  # in another terminal
//!     cargo run -p fbs-router-client --example quickstart -- acme_corp

use fbs_router_client::{
    Client, Error,
    v1::{Document, DocumentFilter, document::State},
};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let solution = std::env::args().nth(1).unwrap_or_else(|| "acme_corp".to_owned());
    let url = std::env::var("FBS_ROUTER_URL").unwrap_or_else(|_| "http://127.0.0.1:50051".to_owned());
    let client = Client::connect(url).await?;

    if let Some(route) = client.resolve(&solution).await?.into_message().route {
        let database = route.database.unwrap_or_default();
        println!("{solution} lives in {} on {}:{}", database.name, database.host, database.port);
    }

    let documents = client.solution(&solution);
    let draft = Document { name: "HELLO-1".into(), title: "Hello".into(), ..Default::default() };
    let created = documents.create(draft).await?;
    if let Some(served) = created.served() {
        println!("{} is stored in {} (epoch {})", created.document_id, served.database, served.epoch);
    }

    let read = documents.get(&created.document_id).await?;
    println!("read back: {} {:?}", read.name, read.title);

    let drafts = DocumentFilter { states: vec![State::Draft.into()], ..Default::default() };
    let mut newest_first = documents.all(drafts);
    if let Some(newest) = newest_first.next().await.transpose()? {
        println!("the newest draft is {}", newest.document_id);
    }

    match documents.get("00000000-0000-7000-8000-000000000000").await {
        Err(error) => println!("as expected: {error}; retryable: {}", error.retryable()),
        Ok(document) => println!("somebody has created {}", document.document_id),
    }
    Ok(())
}
