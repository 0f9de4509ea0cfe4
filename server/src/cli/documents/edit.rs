//! `fbs-router documents get`, `create`, `update`, `delete`, `undelete`: one document and its fields.

use clap::Args;
use fbs_router_client::{
    prost_types::FieldMask,
    v1::{
        CreateDocumentRequest, DeleteDocumentRequest, GetDocumentRequest, UndeleteDocumentRequest,
        UpdateDocumentRequest,
    },
};

use super::{
    MutationArgs, ScopeArgs,
    fields::{ChangeArgs, DraftArgs},
    show,
};
use crate::cli::output::CliError;

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

// === impl GetArgs ===

impl GetArgs {
    pub(super) async fn run(self) -> Result<(), CliError> {
        let request =
            GetDocumentRequest { document_id: self.document_id, database: self.scope.database(), ..Default::default() };
        let found = self.scope.documents().await?.get(request).await?;
        show::answer(&self.scope.service, &found)
    }
}

// === impl CreateArgs ===

impl CreateArgs {
    pub(super) async fn run(self) -> Result<(), CliError> {
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
    pub(super) async fn run(self) -> Result<(), CliError> {
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
    pub(super) async fn run(self) -> Result<(), CliError> {
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
    pub(super) async fn run(self) -> Result<(), CliError> {
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
