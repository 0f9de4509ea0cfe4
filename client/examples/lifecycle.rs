//! The whole life of a document: written, approved, found, archived, deleted and back.
//!
//!     make dev                                                  # in another terminal
//!     cargo run -p fbs-router-client --example lifecycle -- acme_corp

use fbs_router_client::{
    Answer, Client, Documents, Error, ErrorReason, Upload,
    v1::{ApproveDocumentRequest, Document, DocumentFilter, DocumentType, document::State},
};
use tokio::io::AsyncReadExt;

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let solution = std::env::args().nth(1).unwrap_or_else(|| "acme_corp".to_owned());
    let url = std::env::var("FBS_ROUTER_URL").unwrap_or_else(|_| "http://127.0.0.1:50051".to_owned());
    let documents = Client::connect(url).await?.solution(solution);

    let draft = write(&documents).await?;
    let id = draft.document_id.as_str();
    approve(&documents, &draft).await?;
    read(&documents, id).await?;
    find(&documents, id).await?;
    end(&documents, id).await?;
    Ok(())
}

/// A type with rules, a document of that type, and its content.
async fn write(documents: &Documents) -> Result<Answer<Document>, Error> {
    let invoice = DocumentType {
        code: "lifecycle_invoice".into(),
        name: "Invoice of the lifecycle example".into(),
        requires_approval: true,
        allowed_extensions: vec!["txt".into()],
        ..Default::default()
    };
    let invoice = documents.put_type(invoice).await?;
    println!("type {}: approval {}, four eyes {}", invoice.code, invoice.requires_approval, invoice.four_eyes);

    let draft = Document {
        name: "LIFE-2026-0001".into(),
        title: "Twelve crates of marzipan".into(),
        document_type: invoice.code.clone(),
        category: "finance/invoices".into(),
        tags: vec!["example".into()],
        ..Default::default()
    };
    let draft = documents.create(draft).await?;
    println!("created {} in {}", draft.document_id, served(&draft));

    let upload = Upload::from(&draft.document_id).filename("invoice.txt").media_type("text/plain").etag(&draft.etag);
    let written = documents.upload_bytes(upload, "12 crates of marzipan, 144.00 EUR\n").await?;
    let content = written.content.clone().unwrap_or_default();
    println!("uploaded {}, {} bytes, generation {}", content.filename, content.size_bytes, content.generation);
    Ok(written)
}

/// DRAFT, PENDING, APPROVED; and what comes of an etag that is out of date.
async fn approve(documents: &Documents, draft: &Document) -> Result<(), Error> {
    let submitted = documents.submit(&draft.document_id).await?;
    println!("submitted: {}", submitted.state().as_str_name());

    match documents.approve(draft).await {
        Err(error) if error.reason() == Some(ErrorReason::EtagMismatch) => println!("as expected: {error}"),
        Err(error) => return Err(error),
        Ok(_) => println!("an etag out of date was accepted"),
    }
    let approval = ApproveDocumentRequest {
        document_id: submitted.document_id.clone(),
        etag: submitted.etag.clone(),
        comment: "as ordered".into(),
        ..Default::default()
    };
    let approved = documents.approve(approval).await?;
    println!("approved by {}: {}", approved.approved_by, approved.state().as_str_name());
    Ok(())
}

/// The content, whole and verified.
async fn read(documents: &Documents, id: &str) -> Result<(), Failure> {
    let mut download = documents.download(id).await?;
    let mut text = String::new();
    download.read_to_string(&mut text).await?;
    println!("downloaded {:?} from {}", text.trim_end(), download.content().filename);
    Ok(())
}

/// By words, by history, by numbers.
async fn find(documents: &Documents, id: &str) -> Result<(), Error> {
    let found = documents.search("marzipan").await?;
    let hit = found.results.iter().find(|hit| hit.document.as_ref().is_some_and(|document| document.document_id == id));
    println!("found by its words: {}", hit.map_or("not among the first", |hit| hit.snippet.as_str()));

    let mut history = documents.all_transitions(id);
    while let Some(step) = history.next().await.transpose()? {
        let (from, to) = (step.from_state().as_str_name(), step.to_state().as_str_name());
        println!("history: {from} to {to} by {} {:?}", step.actor, step.comment);
    }

    let stats = documents.stats(()).await?;
    println!("{} documents, {} bytes of content", stats.total, stats.content_bytes);
    Ok(())
}

/// ARCHIVED, listed there, deleted, and back.
async fn end(documents: &Documents, id: &str) -> Result<(), Error> {
    let archived = documents.archive(id).await?;
    println!("archived: {}", archived.state().as_str_name());

    let mut archive = documents.all(DocumentFilter { states: vec![State::Archived.into()], ..Default::default() });
    let mut count = 0;
    while let Some(_document) = archive.next().await.transpose()? {
        count += 1;
    }
    println!("in the archive: {count}");

    let deleted = documents.delete(id).await?;
    println!("deleted, to be purged at {:?}", deleted.purge_time.map(|time| time.seconds));
    let back = documents.undelete(id).await?;
    println!("and back: {}", back.state().as_str_name());
    Ok(())
}

fn served<T>(answer: &Answer<T>) -> &str {
    answer.served().map_or("a database unknown", |served| served.database.as_str())
}
