//! Connections outside the pools: the catalog's, the ledger's, and those of probes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    task::JoinHandle,
};
use tokio_postgres::{Client, Error};

use super::{PostgresServer, dial::Companion};
use crate::domain::Login;

/// A connection outside the pools. Dropped, its socket is closed at once, also while an answer is outstanding: a
/// reading that took too long must not keep its place in the server's budget.
#[derive(Debug)]
pub struct LoneClient {
    client: Client,
    task: JoinHandle<()>,
    retired: Arc<AtomicU64>,
    /// As it was when it was opened.
    retired_before: u64,
}

/// Of a connection outside the pools.
struct Lone {
    _place: Option<OwnedSemaphorePermit>,
    notices: Option<mpsc::UnboundedSender<()>>,
}

/// What arrives on a connection besides answers.
pub type Notices = mpsc::UnboundedReceiver<()>;

// === impl PostgresServer ===

impl PostgresServer {
    /// Opens one connection to `database`, on which no statement takes longer than `limit`. The caller bounds the time.
    pub async fn connect(&self, database: &str, limit: Duration) -> Result<LoneClient, Error> {
        self.open_alone(database, limit, None).await
    }

    /// As [`Self::connect`], and says when a notification arrives; the channel ends with the connection.
    pub async fn connect_listening(&self, database: &str, limit: Duration) -> Result<(LoneClient, Notices), Error> {
        let (sender, receiver) = mpsc::unbounded_channel();
        Ok((self.open_alone(database, limit, Some(sender)).await?, receiver))
    }

    async fn open_alone(
        &self,
        database: &str,
        limit: Duration,
        notices: Option<mpsc::UnboundedSender<()>>,
    ) -> Result<LoneClient, Error> {
        let config = self.prepared(&self.lone_config, database, &Login::Runtime);
        let _place = Arc::clone(&self.lone_places).acquire_owned().await.ok();
        let (retired, retired_before) = (Arc::clone(&self.retired), self.retired.load(Ordering::Relaxed));
        let leave = self.ask();
        let (client, task) = match self.open(&config, &Login::Runtime, &self.lone_hosts, Lone { _place, notices }).await
        {
            Ok(opened) => opened,
            Err(error) => {
                self.judge(leave, &error);
                return Err(error);
            }
        };
        if !self.pooler {
            self.breaker.succeeded();
        }
        let client = LoneClient { client, task, retired, retired_before };
        // The connection is nobody else's, so this holds for the whole of it: a backend that waits for a lock ends too.
        client.batch_execute(&format!("SET statement_timeout = {}", limit.as_millis())).await?;
        Ok(client)
    }
}

// === impl Lone ===

impl Companion for Lone {
    fn notified(&self) -> bool {
        self.notices.as_ref().is_none_or(|notices| notices.send(()).is_ok())
    }
}

// === impl LoneClient ===

impl LoneClient {
    /// True if it must not be used any more: it ended, or leads to what is no primary any more.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed() || self.retired.load(Ordering::Relaxed) != self.retired_before
    }
}

impl std::ops::Deref for LoneClient {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl std::ops::DerefMut for LoneClient {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

impl Drop for LoneClient {
    fn drop(&mut self) {
        self.task.abort();
    }
}
