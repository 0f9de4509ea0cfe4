//! `fbs-router documents stats`: how many documents there are, of what sort.

use clap::Args;
use fbs_router_client::{
    Served,
    v1::{GetDocumentStatsRequest, GetDocumentStatsResponse},
};

use super::ScopeArgs;
use crate::cli::output::{CliError, json, served_line, table};

/// Arguments of `documents stats`.
#[derive(Debug, Args)]
pub(crate) struct StatsArgs {
    #[command(flatten)]
    scope: ScopeArgs,
}

impl StatsArgs {
    pub(super) async fn run(self) -> Result<(), CliError> {
        let request = GetDocumentStatsRequest { database: self.scope.database(), ..Default::default() };
        let stats = self.scope.documents().await?.stats(request).await?;
        self.scope.service.show(|| json::stats(&stats, stats.served()), || counted(&stats, stats.served()))
    }
}

fn counted(stats: &GetDocumentStatsResponse, served: Option<&Served>) -> String {
    let facts = table::facts(&[
        ("documents", stats.total.to_string()),
        ("created in the last 30 days", stats.created_last_30_days.to_string()),
        ("bytes of content", stats.content_bytes.to_string()),
    ]);
    let mut rows = Vec::new();
    group(&mut rows, "state", &stats.by_state);
    group(&mut rows, "type", &stats.by_type);
    group(&mut rows, "category", &stats.by_category);
    let groups = if rows.is_empty() { String::new() } else { table::list(&["BY", "", "DOCUMENTS"], &rows) + "\n" };
    format!("{facts}\n{groups}{}", served_line(served))
}

/// The counts of one sort, largest first, what was not counted alone last.
fn group<'m>(rows: &mut Vec<Vec<String>>, by: &'static str, counts: impl IntoIterator<Item = (&'m String, &'m i64)>) {
    let mut counts: Vec<(&String, i64)> = counts.into_iter().map(|(name, count)| (name, *count)).collect();
    counts.sort_by(|(a, m), (b, n)| (*a == "/").cmp(&(*b == "/")).then(n.cmp(m)).then(a.cmp(b)));
    rows.extend(counts.into_iter().map(|(name, count)| {
        let name = match name.as_str() {
            "" => "(none)".to_owned(),
            "/" => "(all others)".to_owned(),
            name if by == "state" => name.to_lowercase(),
            name => name.to_owned(),
        };
        vec![by.to_owned(), name, count.to_string()]
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped_with_the_largest_first() {
        let counts = |pairs: &[(&str, i64)]| pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        let stats = GetDocumentStatsResponse {
            total: 13,
            by_state: counts(&[("DRAFT", 1), ("PENDING", 12)]),
            by_category: counts(&[("", 5), ("/", 7), ("a", 1)]),
            ..Default::default()
        };
        let text = counted(&stats, None);
        let groups: Vec<_> = text.lines().skip_while(|line| !line.starts_with("BY")).skip(1).collect();
        let expected = [
            "state     pending       12",
            "state     draft         1",
            "category  (none)        5",
            "category  a             1",
            "category  (all others)  7",
            "",
        ];
        assert_eq!(groups, expected);
    }
}
