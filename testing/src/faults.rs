//! What may happen to databases, to Postgres, and to the way there.

use crate::{
    Network, TestError, TestRouter,
    databases::{hidden, own_database},
};

/// What is done to a database is [`TestError::Solution`] where there is none.
impl TestRouter {
    /// Closes a solution's own database (`ALLOW_CONNECTIONS false`): its calls are `DATABASE_UNAVAILABLE`.
    pub async fn close_database(&self, solution: &str) -> Result<(), TestError> {
        let name = self.own(solution).await?;
        Ok(self.platform.implementer().allow_connections(&name, false).await?)
    }

    /// Opens it again.
    pub async fn open_database(&self, solution: &str) -> Result<(), TestError> {
        let name = self.own(solution).await?;
        Ok(self.platform.implementer().allow_connections(&name, true).await?)
    }

    /// Renames a solution's own database away: its calls are `DATABASE_DETACHED`, never answered from elsewhere.
    pub async fn hide_database(&self, solution: &str) -> Result<(), TestError> {
        let name = self.own(solution).await?;
        Ok(self.platform.implementer().rename(&name, &hidden(&name)).await?)
    }

    /// Gives it its name back.
    pub async fn show_database(&self, solution: &str) -> Result<(), TestError> {
        let hidden = self.own_hidden(solution).await?;
        Ok(self.platform.implementer().rename(&hidden, &own_database(solution)).await?)
    }

    /// Ends every session in a solution's own database, as an administrator or a failover does.
    pub async fn end_sessions(&self, solution: &str) -> Result<(), TestError> {
        let name = self.own(solution).await?;
        Ok(self.platform.implementer().end_sessions(&name).await?)
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
}
