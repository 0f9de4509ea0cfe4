//! What may happen to databases, to Postgres, and to the way there.

use fbs_router_sandbox::platform;

use crate::{Network, TestError, TestRouter, router::own_database};

impl TestRouter {
    /// Closes a solution's own database (`ALLOW_CONNECTIONS false`): its calls are `DATABASE_UNAVAILABLE`.
    pub async fn close_database(&self, solution: &str) -> Result<(), TestError> {
        Ok(self.platform.implementer().allow_connections(&own_database(solution), false).await?)
    }

    /// Opens it again.
    pub async fn open_database(&self, solution: &str) -> Result<(), TestError> {
        Ok(self.platform.implementer().allow_connections(&own_database(solution), true).await?)
    }

    /// Renames a solution's own database away: its calls are `DATABASE_DETACHED`, never answered from elsewhere.
    pub async fn hide_database(&self, solution: &str) -> Result<(), TestError> {
        let name = own_database(solution);
        Ok(self.platform.implementer().rename(&name, &hidden(&name)).await?)
    }

    /// Gives it its name back.
    pub async fn show_database(&self, solution: &str) -> Result<(), TestError> {
        let name = own_database(solution);
        Ok(self.platform.implementer().rename(&hidden(&name), &name).await?)
    }

    /// Ends every session in a solution's own database, as an administrator or a failover does.
    pub async fn end_sessions(&self, solution: &str) -> Result<(), TestError> {
        Ok(self.platform.implementer().end_sessions(&own_database(solution)).await?)
    }

    /// What happens to the connections between service and Postgres from now on, also to those that are open:
    /// `Forward` until set.
    pub fn network(&self, network: Network) {
        self.proxy.set(network);
    }

    /// Kills Postgres, all of it (`kill -9`).
    pub async fn kill_postgres(&self) -> Result<(), TestError> {
        Ok(self.platform.cluster.kill().await?)
    }

    /// Starts it again; it recovers what was committed.
    pub async fn start_postgres(&self) -> Result<(), TestError> {
        Ok(self.platform.cluster.start_again().await?)
    }

    /// Documents of a solution in the shared database, deleted ones included: 0 for one with a database of its own.
    pub async fn shared_documents(&self, solution: &str) -> Result<i64, TestError> {
        self.documents_in(platform::SYSTEM_DATABASE, solution).await
    }

    /// Documents of a solution in its own database.
    pub async fn own_documents(&self, solution: &str) -> Result<i64, TestError> {
        self.documents_in(&own_database(solution), solution).await
    }

    async fn documents_in(&self, database: &str, solution: &str) -> Result<i64, TestError> {
        // Ids of solutions need no quotes; whatever else is typed here meets the test's own Postgres alone.
        let solution = solution.replace('\'', "''");
        let sql = format!("SELECT count(*) FROM fbs_document.document WHERE company_id = '{solution}'");
        Ok(self.platform.implementer().count(database, &sql).await?)
    }
}

fn hidden(name: &str) -> String {
    format!("hidden_{name}")
}
