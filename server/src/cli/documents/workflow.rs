//! `fbs-router documents submit`, `approve`, `reject`, `archive`: the steps of the workflow.

use clap::Args;
use fbs_router_client::v1::{
    ApproveDocumentRequest, ArchiveDocumentRequest, RejectDocumentRequest, SubmitDocumentRequest,
};

use super::{MutationArgs, ScopeArgs, show};
use crate::cli::output::CliError;

/// Arguments of `documents submit`.
#[derive(Debug, Args)]
pub(crate) struct SubmitArgs {
    /// Id of the document
    document_id: String,
    /// For the history
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    /// Fail unless the document still has this etag
    #[arg(long)]
    etag: Option<String>,
    #[command(flatten)]
    mutation: MutationArgs,
    #[command(flatten)]
    scope: ScopeArgs,
}

/// Arguments of `documents approve`.
#[derive(Debug, Args)]
pub(crate) struct ApproveArgs {
    /// Id of the document
    document_id: String,
    /// Etag of what you read and approve; `documents get` shows it
    #[arg(long)]
    etag: String,
    /// For the history
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    #[command(flatten)]
    mutation: MutationArgs,
    #[command(flatten)]
    scope: ScopeArgs,
}

/// Arguments of `documents reject`.
#[derive(Debug, Args)]
pub(crate) struct RejectArgs {
    /// Id of the document
    document_id: String,
    /// Etag of what you read and reject; `documents get` shows it
    #[arg(long)]
    etag: String,
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    comment: String,
    #[command(flatten)]
    mutation: MutationArgs,
    #[command(flatten)]
    scope: ScopeArgs,
}

/// Arguments of `documents archive`.
#[derive(Debug, Args)]
pub(crate) struct ArchiveArgs {
    /// Id of the document
    document_id: String,
    /// For the history
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    /// Fail unless the document still has this etag
    #[arg(long)]
    etag: Option<String>,
    #[command(flatten)]
    mutation: MutationArgs,
    #[command(flatten)]
    scope: ScopeArgs,
}

impl SubmitArgs {
    pub(super) async fn run(self) -> Result<(), CliError> {
        let request = SubmitDocumentRequest {
            document_id: self.document_id,
            etag: self.etag.unwrap_or_default(),
            comment: self.comment.unwrap_or_default(),
            request_id: self.mutation.request_id.unwrap_or_default(),
            actor: self.mutation.actor.unwrap_or_default(),
            database: self.scope.database(),
            ..Default::default()
        };
        let submitted = self.scope.documents().await?.submit(request).await?;
        show::answer(&self.scope.service, &submitted)
    }
}

impl ApproveArgs {
    pub(super) async fn run(self) -> Result<(), CliError> {
        let request = ApproveDocumentRequest {
            document_id: self.document_id,
            etag: self.etag,
            comment: self.comment.unwrap_or_default(),
            request_id: self.mutation.request_id.unwrap_or_default(),
            actor: self.mutation.actor.unwrap_or_default(),
            database: self.scope.database(),
            ..Default::default()
        };
        let approved = self.scope.documents().await?.approve(request).await?;
        show::answer(&self.scope.service, &approved)
    }
}

impl RejectArgs {
    pub(super) async fn run(self) -> Result<(), CliError> {
        let request = RejectDocumentRequest {
            document_id: self.document_id,
            etag: self.etag,
            comment: self.comment,
            request_id: self.mutation.request_id.unwrap_or_default(),
            actor: self.mutation.actor.unwrap_or_default(),
            database: self.scope.database(),
            ..Default::default()
        };
        let rejected = self.scope.documents().await?.reject(request).await?;
        show::answer(&self.scope.service, &rejected)
    }
}

impl ArchiveArgs {
    pub(super) async fn run(self) -> Result<(), CliError> {
        let request = ArchiveDocumentRequest {
            document_id: self.document_id,
            etag: self.etag.unwrap_or_default(),
            comment: self.comment.unwrap_or_default(),
            request_id: self.mutation.request_id.unwrap_or_default(),
            actor: self.mutation.actor.unwrap_or_default(),
            database: self.scope.database(),
            ..Default::default()
        };
        let archived = self.scope.documents().await?.archive(request).await?;
        show::answer(&self.scope.service, &archived)
    }
}
