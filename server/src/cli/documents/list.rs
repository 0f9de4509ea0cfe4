//! `fbs-router documents list`: a page of documents, or all of them.

use clap::Args;
use fbs_router_client::v1::ListDocumentsRequest;

use super::{
    ScopeArgs,
    filter::FilterArgs,
    paging::{collect, page_size},
    show,
};
use crate::cli::output::{CliError, json, note_cut};

/// Most documents of a page.
const PAGE_MAX: i32 = 500;

/// Arguments of `documents list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    scope: ScopeArgs,
    #[command(flatten)]
    filter: FilterArgs,
    /// Most documents of the page; 50 unless given, at most 500
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    page_size: Option<i32>,
    /// Where the previous page ended
    #[arg(long, value_name = "TOKEN")]
    page_token: Option<String>,
    /// All pages
    #[arg(long, conflicts_with_all = ["page_size", "page_token"])]
    all: bool,
    /// Most documents of --all
    #[arg(long, value_name = "N", default_value_t = 10_000, requires = "all", value_parser = crate::cli::limit)]
    limit: usize,
    /// Deleted ones too
    #[arg(long)]
    show_deleted: bool,
    /// create_time, update_time, name or title, with " desc" for the other way round
    #[arg(long, value_name = "ORDER")]
    order_by: Option<String>,
}

impl ListArgs {
    pub(super) async fn run(self) -> Result<(), CliError> {
        let request = ListDocumentsRequest {
            page_size: self.page_size.unwrap_or_default(),
            page_token: self.page_token.unwrap_or_default(),
            filter: Some(self.filter.filter()),
            order_by: self.order_by.unwrap_or_default(),
            show_deleted: self.show_deleted,
            database: self.scope.database(),
            ..Default::default()
        };
        if self.all {
            return all(&self.scope, request, self.limit).await;
        }
        let page = self.scope.documents().await?.list(request).await?;
        self.scope.service.show(|| json::served_page(&page, page.served()), || show::page(&page, page.served()))
    }
}

async fn all(scope: &ScopeArgs, request: ListDocumentsRequest, limit: usize) -> Result<(), CliError> {
    let request = ListDocumentsRequest { page_size: page_size(limit, PAGE_MAX), ..request };
    let documents = &scope.documents().await?;
    let found = collect(limit, |page_token| {
        let request = ListDocumentsRequest { page_token, ..request.clone() };
        async move {
            let (page, served) = documents.list(request).await?.into_parts();
            Ok((page.documents, page.next_page_token, served))
        }
    });
    let found = found.await?;
    let served = found.served.as_ref();
    scope
        .service
        .show(|| json::listed(&found.entries, found.truncated, served), || show::listed(&found.entries, served))?;
    note_cut(found.truncated, limit);
    Ok(())
}
