//! `fbs-router databases`: the databases that hold an app's data, which a migration has to visit.

use clap::Args;
use fbs_router_client::v1::{ListDatabasesRequest, list_databases_response::Entry};

use super::output::{CliError, ServiceArgs, json, note_cut, table};

/// Lists the databases that hold an app's data, and the version of its schema in each
#[derive(Debug, Args)]
pub(crate) struct DatabasesArgs {
    /// The app; the documents app unless given
    #[arg(long)]
    app: Option<String>,
    /// Most databases in all
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = super::limit)]
    limit: usize,
    #[command(flatten)]
    service: ServiceArgs,
}

impl DatabasesArgs {
    /// Runs the command.
    pub(crate) async fn run(self) -> Result<(), CliError> {
        let request = ListDatabasesRequest {
            app: self.app.unwrap_or_default(),
            page_size: i32::try_from(self.limit.min(1_000)).unwrap_or(1_000),
            ..Default::default()
        };
        let mut all = self.service.connect().await?.all_databases(request);
        let (mut entries, mut truncated) = (Vec::new(), false);
        while let Some(entry) = all.next().await {
            let entry = entry?;
            truncated = entries.len() == self.limit;
            if truncated {
                break;
            }
            entries.push(entry);
        }
        self.service.show(|| json::database_entries(&entries, truncated), || rows(&entries))?;
        note_cut(truncated, self.limit);
        Ok(())
    }
}

fn rows(entries: &[Entry]) -> String {
    let rows: Vec<Vec<String>> = entries.iter().map(row).collect();
    if rows.is_empty() {
        return "no databases\n".to_owned();
    }
    table::whole(&["SERVER", "DATABASE", "SOLUTION", "SCHEMA"], &rows)
}

fn row(entry: &Entry) -> Vec<String> {
    let database = entry.database.clone().unwrap_or_default();
    let solution = if entry.solution.is_empty() { "-" } else { entry.solution.as_str() };
    vec![database.server, database.name, solution.to_owned(), schema(entry)]
}

/// `2`, or what is wrong with it. That of an app whose schema is not the router's is never looked at.
fn schema(entry: &Entry) -> String {
    match (entry.schema_version, entry.wanted_schema_version) {
        (0, _) => "not looked at".to_owned(),
        (found, wanted) if found == wanted => found.to_string(),
        (found, wanted) => format!("{found} (wants {wanted})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema_of(schema_version: i32, wanted_schema_version: i32) -> String {
        schema(&Entry { schema_version, wanted_schema_version, ..Default::default() })
    }

    #[test]
    fn a_schema_that_is_not_the_one_wanted_says_so() {
        assert_eq!(schema_of(2, 2), "2");
        assert_eq!(schema_of(1, 2), "1 (wants 2)");
        assert_eq!(schema_of(0, 2), "not looked at");
        assert_eq!(schema_of(0, 0), "not looked at");
    }

    #[test]
    fn the_system_database_is_nobodys() {
        assert_eq!(row(&Entry::default())[2], "-");
    }
}
