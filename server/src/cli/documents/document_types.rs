//! `fbs-router documents types` and `put-type`: the rules for documents of one kind.

use clap::Args;
use fbs_router_client::{
    Served,
    v1::{DocumentType, ListDocumentTypesRequest, PutDocumentTypeRequest},
};

use super::{
    MutationArgs, ScopeArgs,
    paging::{collect, page_size},
};
use crate::cli::output::{CliError, json, note_cut, served_line, table};

/// Most types of a page.
const PAGE_MAX: i32 = 500;

/// Arguments of `documents types`.
#[derive(Debug, Args)]
pub(crate) struct TypesArgs {
    /// Most types in all
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = crate::cli::limit)]
    limit: usize,
    #[command(flatten)]
    scope: ScopeArgs,
}

/// Arguments of `documents put-type`.
#[derive(Debug, Args)]
pub(crate) struct PutTypeArgs {
    /// Code of the type, such as invoice; all of a type that is there is replaced
    code: String,
    /// Name for people
    #[arg(long)]
    name: String,
    /// Description
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Submit goes to PENDING; so it does unless --no-approval is given
    #[arg(long, conflicts_with = "no_approval")]
    requires_approval: bool,
    /// Submit goes straight to APPROVED
    #[arg(long)]
    no_approval: bool,
    /// The creator may not approve
    #[arg(long)]
    four_eyes: bool,
    /// An extension that content may have, such as pdf; may be repeated; any unless given
    #[arg(long = "extension", value_name = "EXTENSION")]
    extensions: Vec<String>,
    /// Largest content; the service's limit unless given
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(i64).range(0..))]
    max_size: Option<i64>,
    #[command(flatten)]
    mutation: MutationArgs,
    #[command(flatten)]
    scope: ScopeArgs,
}

// === impl TypesArgs ===

impl TypesArgs {
    pub(super) async fn run(self) -> Result<(), CliError> {
        let request = ListDocumentTypesRequest {
            page_size: page_size(self.limit, PAGE_MAX),
            database: self.scope.database(),
            ..Default::default()
        };
        let documents = &self.scope.documents().await?;
        let found = collect(self.limit, |page_token| {
            let request = ListDocumentTypesRequest { page_token, ..request.clone() };
            async move {
                let (page, served) = documents.types(request).await?.into_parts();
                Ok((page.document_types, page.next_page_token, served))
            }
        });
        let found = found.await?;
        let served = found.served.as_ref();
        self.scope
            .service
            .show(|| json::types(&found.entries, found.truncated, served), || rows(&found.entries, served))?;
        note_cut(found.truncated, self.limit);
        Ok(())
    }
}

// === impl PutTypeArgs ===

impl PutTypeArgs {
    pub(super) async fn run(self) -> Result<(), CliError> {
        let document_type = DocumentType {
            code: self.code,
            name: self.name,
            description: self.description.unwrap_or_default(),
            requires_approval: self.requires_approval || !self.no_approval,
            allowed_extensions: self.extensions,
            max_content_size_bytes: self.max_size.unwrap_or_default(),
            four_eyes: self.four_eyes,
        };
        let request = PutDocumentTypeRequest {
            document_type: Some(document_type),
            request_id: self.mutation.request_id.unwrap_or_default(),
            actor: self.mutation.actor.unwrap_or_default(),
            database: self.scope.database(),
            ..Default::default()
        };
        let stored = self.scope.documents().await?.put_type(request).await?;
        self.scope.service.show(
            || json::stored_type(&stored, stored.served()),
            || format!("{}\n{}", one(&stored), served_line(stored.served())),
        )
    }
}

fn rows(types: &[DocumentType], served: Option<&Served>) -> String {
    let row = |kind: &DocumentType| {
        vec![kind.code.clone(), kind.name.clone(), approval(kind).to_owned(), extensions(kind), largest(kind)]
    };
    let rows: Vec<Vec<String>> = types.iter().map(row).collect();
    let list = match rows.as_slice() {
        [] => "no types; the default rules hold: approval, without four eyes\n".to_owned(),
        rows => table::list(&["CODE", "NAME", "APPROVAL", "EXTENSIONS", "LARGEST"], rows),
    };
    format!("{list}\n{}", served_line(served))
}

fn one(kind: &DocumentType) -> String {
    table::facts(&[
        ("code", kind.code.clone()),
        ("name", kind.name.clone()),
        ("description", kind.description.clone()),
        ("approval", approval(kind).to_owned()),
        ("extensions", extensions(kind)),
        ("largest", largest(kind)),
    ])
}

fn approval(kind: &DocumentType) -> &'static str {
    match (kind.requires_approval, kind.four_eyes) {
        (false, _) => "none",
        (true, false) => "required",
        (true, true) => "four eyes",
    }
}

fn extensions(kind: &DocumentType) -> String {
    if kind.allowed_extensions.is_empty() { "any".to_owned() } else { kind.allowed_extensions.join(", ") }
}

fn largest(kind: &DocumentType) -> String {
    match kind.max_content_size_bytes {
        0 => "the service's limit".to_owned(),
        bytes => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_tells_its_rules() {
        let kind = DocumentType {
            code: "invoice".into(),
            name: "Invoice".into(),
            requires_approval: true,
            four_eyes: true,
            allowed_extensions: vec!["pdf".into(), "xml".into()],
            max_content_size_bytes: 1_000,
            ..Default::default()
        };
        let text = rows(&[kind], None);
        assert_eq!(text.lines().nth(1), Some("invoice  Invoice  four eyes  pdf, xml    1000 bytes"));
        assert_eq!(approval(&DocumentType { four_eyes: true, ..Default::default() }), "none");
        assert!(rows(&[], None).starts_with("no types; the default rules hold"));
    }
}
