//! `fbs-router documents`: a solution's documents from the command line.
//!
//! Each command is one call, a listing one a page, and tells which database served it. A mutation may be repeated
//! with `--request-id`.

use clap::{Args, Subcommand};
use fbs_router_client::Documents;

use super::output::{CliError, ServiceArgs};

mod document_types;
mod download;
mod edit;
mod fields;
mod filter;
mod history;
mod list;
mod paging;
pub(crate) mod progress;
mod search;
mod show;
mod stats;
mod upload;
mod workflow;

/// Lists, reads and changes a solution's documents
#[derive(Debug, Args)]
pub(crate) struct DocumentsArgs {
    #[command(subcommand)]
    command: DocumentsCommand,
}

/// What is done with the documents.
#[derive(Debug, Subcommand)]
pub(crate) enum DocumentsCommand {
    /// Lists one page, newest first; or all
    List(list::ListArgs),
    /// Shows one document; also while it is deleted
    Get(edit::GetArgs),
    /// Creates a document in DRAFT
    Create(edit::CreateArgs),
    /// Changes the given fields; only in DRAFT and REJECTED
    Update(edit::UpdateArgs),
    /// Marks a document deleted; it is purged later
    Delete(edit::DeleteArgs),
    /// Takes a delete back
    Undelete(edit::UndeleteArgs),
    /// Hands a document in: DRAFT or REJECTED to PENDING, or to APPROVED if its type needs no approval
    Submit(workflow::SubmitArgs),
    /// Approves what was read: PENDING to APPROVED
    Approve(workflow::ApproveArgs),
    /// Rejects what was read, and says why: PENDING to REJECTED
    Reject(workflow::RejectArgs),
    /// Closes a document for good: APPROVED or REJECTED to ARCHIVED
    Archive(workflow::ArchiveArgs),
    /// Tells what happened to a document, oldest first
    History(history::HistoryArgs),
    /// Finds documents by their words, best first
    Search(search::SearchArgs),
    /// Counts documents by state, type and category
    Stats(stats::StatsArgs),
    /// Lists the document types and their rules
    Types(document_types::TypesArgs),
    /// Defines or replaces a document type
    PutType(document_types::PutTypeArgs),
    /// Sends a file as a document's content; only in DRAFT and REJECTED
    Upload(upload::UploadArgs),
    /// Fetches a document's content into a file
    Download(download::DownloadArgs),
}

/// Whose documents, and where they must be.
#[derive(Debug, Clone, Args)]
pub(crate) struct ScopeArgs {
    /// Whose documents, such as acme_corp
    #[arg(long, short)]
    solution: String,
    /// Fail unless they are served from the database of this name; never chooses one
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    #[command(flatten)]
    service: ServiceArgs,
}

/// What makes a change safe and attributable.
#[derive(Debug, Clone, Args)]
pub(crate) struct MutationArgs {
    /// UUID that makes the call safe to repeat; made for each call unless given
    #[arg(long, value_name = "UUID")]
    request_id: Option<String>,
    /// On whose behalf, if you may act for others
    #[arg(long, value_name = "WHO")]
    actor: Option<String>,
}

// === impl DocumentsArgs ===

impl DocumentsArgs {
    /// Runs the command.
    pub(crate) async fn run(self) -> Result<(), CliError> {
        match self.command {
            DocumentsCommand::List(args) => args.run().await,
            DocumentsCommand::Get(args) => args.run().await,
            DocumentsCommand::Create(args) => args.run().await,
            DocumentsCommand::Update(args) => args.run().await,
            DocumentsCommand::Delete(args) => args.run().await,
            DocumentsCommand::Undelete(args) => args.run().await,
            DocumentsCommand::Submit(args) => args.run().await,
            DocumentsCommand::Approve(args) => args.run().await,
            DocumentsCommand::Reject(args) => args.run().await,
            DocumentsCommand::Archive(args) => args.run().await,
            DocumentsCommand::History(args) => args.run().await,
            DocumentsCommand::Search(args) => args.run().await,
            DocumentsCommand::Stats(args) => args.run().await,
            DocumentsCommand::Types(args) => args.run().await,
            DocumentsCommand::PutType(args) => args.run().await,
            DocumentsCommand::Upload(args) => args.run().await,
            DocumentsCommand::Download(args) => args.run().await,
        }
    }
}

// === impl ScopeArgs ===

impl ScopeArgs {
    async fn documents(&self) -> Result<Documents, CliError> {
        Ok(self.service.connect().await?.solution(&self.solution))
    }

    fn database(&self) -> String {
        self.database.clone().unwrap_or_default()
    }
}
