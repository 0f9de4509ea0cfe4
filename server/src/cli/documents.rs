//! `fbs-router documents`: a solution's documents from the command line.
//!
//! Each command is one call, and tells which database served it. A mutation may be repeated with `--request-id`.

use clap::{Args, Subcommand};
use fbs_router_client::{
    Documents,
    prost_types::FieldMask,
    v1::{
        CreateDocumentRequest, DeleteDocumentRequest, GetDocumentRequest, ListDocumentsRequest,
        UndeleteDocumentRequest, UpdateDocumentRequest,
    },
};

use super::output::{CliError, ServiceArgs, json};

mod fields;
mod show;

use fields::{ChangeArgs, DraftArgs};

/// Lists, reads and changes a solution's documents
#[derive(Debug, Args)]
pub(crate) struct DocumentsArgs {
    #[command(subcommand)]
    command: DocumentsCommand,
}

/// What is done with the documents.
#[derive(Debug, Subcommand)]
pub(crate) enum DocumentsCommand {
    /// Lists one page, newest first
    List(ListArgs),
    /// Shows one document; also while it is deleted
    Get(GetArgs),
    /// Creates a document in DRAFT
    Create(CreateArgs),
    /// Changes the given fields; only in DRAFT and REJECTED
    Update(UpdateArgs),
    /// Marks a document deleted; it is purged later
    Delete(DeleteArgs),
    /// Takes a delete back
    Undelete(UndeleteArgs),
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

/// Arguments of `documents list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    scope: ScopeArgs,
    /// Most documents of the page; 50 unless given, at most 500
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    page_size: Option<i32>,
    /// Where the previous page ended
    #[arg(long, value_name = "TOKEN")]
    page_token: Option<String>,
    /// Deleted ones too
    #[arg(long)]
    show_deleted: bool,
    /// create_time, update_time, name or title, with " desc" for the other way round
    #[arg(long, value_name = "ORDER")]
    order_by: Option<String>,
}

/// Arguments of `documents get`.
#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// Id of the document
    document_id: String,
    #[command(flatten)]
    scope: ScopeArgs,
}

/// Arguments of `documents create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    draft: DraftArgs,
    /// UUID of the new document; made by the service unless given
    #[arg(long, value_name = "UUID")]
    document_id: Option<String>,
    #[command(flatten)]
    mutation: MutationArgs,
    #[command(flatten)]
    scope: ScopeArgs,
}

/// Arguments of `documents update`.
#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    /// Id of the document
    document_id: String,
    #[command(flatten)]
    change: ChangeArgs,
    /// Fail unless the document still has this etag
    #[arg(long)]
    etag: Option<String>,
    #[command(flatten)]
    mutation: MutationArgs,
    #[command(flatten)]
    scope: ScopeArgs,
}

/// Arguments of `documents delete`.
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// Id of the document
    document_id: String,
    /// Fail unless the document still has this etag
    #[arg(long)]
    etag: Option<String>,
    #[command(flatten)]
    mutation: MutationArgs,
    #[command(flatten)]
    scope: ScopeArgs,
}

/// Arguments of `documents undelete`.
#[derive(Debug, Args)]
pub(crate) struct UndeleteArgs {
    /// Id of the document
    document_id: String,
    #[command(flatten)]
    mutation: MutationArgs,
    #[command(flatten)]
    scope: ScopeArgs,
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

// === impl ListArgs ===

impl ListArgs {
    async fn run(self) -> Result<(), CliError> {
        let request = ListDocumentsRequest {
            page_size: self.page_size.unwrap_or_default(),
            page_token: self.page_token.unwrap_or_default(),
            order_by: self.order_by.unwrap_or_default(),
            show_deleted: self.show_deleted,
            database: self.scope.database(),
            ..Default::default()
        };
        let page = self.scope.documents().await?.list(request).await?;
        self.scope.service.show(|| json::served_page(&page, page.served()), || show::page(&page, page.served()))
    }
}

// === impl GetArgs ===

impl GetArgs {
    async fn run(self) -> Result<(), CliError> {
        let request =
            GetDocumentRequest { document_id: self.document_id, database: self.scope.database(), ..Default::default() };
        let found = self.scope.documents().await?.get(request).await?;
        show::answer(&self.scope.service, &found)
    }
}

// === impl CreateArgs ===

impl CreateArgs {
    async fn run(self) -> Result<(), CliError> {
        let request = CreateDocumentRequest {
            document: Some(self.draft.document()),
            document_id: self.document_id.unwrap_or_default(),
            request_id: self.mutation.request_id.unwrap_or_default(),
            actor: self.mutation.actor.unwrap_or_default(),
            database: self.scope.database(),
            ..Default::default()
        };
        let created = self.scope.documents().await?.create(request).await?;
        show::answer(&self.scope.service, &created)
    }
}

// === impl UpdateArgs ===

impl UpdateArgs {
    async fn run(self) -> Result<(), CliError> {
        let (document, paths) = self.change.document_and_mask();
        let request = UpdateDocumentRequest {
            document_id: self.document_id,
            document: Some(document),
            update_mask: Some(FieldMask { paths }),
            request_id: self.mutation.request_id.unwrap_or_default(),
            actor: self.mutation.actor.unwrap_or_default(),
            etag: self.etag.unwrap_or_default(),
            database: self.scope.database(),
            ..Default::default()
        };
        let updated = self.scope.documents().await?.update(request).await?;
        show::answer(&self.scope.service, &updated)
    }
}

// === impl DeleteArgs ===

impl DeleteArgs {
    async fn run(self) -> Result<(), CliError> {
        let request = DeleteDocumentRequest {
            document_id: self.document_id,
            etag: self.etag.unwrap_or_default(),
            request_id: self.mutation.request_id.unwrap_or_default(),
            actor: self.mutation.actor.unwrap_or_default(),
            database: self.scope.database(),
            ..Default::default()
        };
        let deleted = self.scope.documents().await?.delete(request).await?;
        show::answer(&self.scope.service, &deleted)
    }
}

// === impl UndeleteArgs ===

impl UndeleteArgs {
    async fn run(self) -> Result<(), CliError> {
        let request = UndeleteDocumentRequest {
            document_id: self.document_id,
            request_id: self.mutation.request_id.unwrap_or_default(),
            actor: self.mutation.actor.unwrap_or_default(),
            database: self.scope.database(),
            ..Default::default()
        };
        let restored = self.scope.documents().await?.undelete(request).await?;
        show::answer(&self.scope.service, &restored)
    }
}
