//! What is left when a fault is over: nothing.
//!
//! Looked at from a connection that is not the router's, and compared with what the router says that it has.

use std::time::Duration;

use fbs_router_sandbox::{Cluster, FaultProxy, eventually};

use super::{Replica, wire::metrics};

/// A connection outside the pools for the catalog, one for the ledger.
const LONE: f64 = 2.0;
/// Longer than the server waits for a router that fell silent in a transaction.
const LIMIT: Duration = Duration::from_secs(20);

/// Of all sessions of routers: those inside a transaction, their advisory locks, and themselves.
const SESSIONS: &str = "
    SELECT count(*) FILTER (WHERE xact_start IS NOT NULL),
           (SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
             WHERE locktype = 'advisory' AND application_name = 'fbs-router'),
           count(*),
           (SELECT count(*) FROM pg_prepared_xacts)
      FROM pg_stat_activity WHERE application_name = 'fbs-router'";

/// No transaction, no lock, no turn taken, no memory of a call, and no session that the router does not know of.
pub(crate) async fn nothing_is_left(cluster: &Cluster, replicas: &[&Replica]) {
    nothing_is_left_within(LIMIT, cluster, replicas).await;
}

/// As [`nothing_is_left`], where it may take so long.
pub(crate) async fn nothing_is_left_within(limit: Duration, cluster: &Cluster, replicas: &[&Replica]) {
    let client = cluster.connect("postgres").await.unwrap();
    eventually("nothing is left of the fault", limit, async || {
        let row = client.query_one(SESSIONS, &[]).await.unwrap();
        let [inside, locks, sessions, prepared] = [0, 1, 2, 3].map(|column| row.get::<_, i64>(column));
        let (mut known, mut taken, mut held) = (0.0, 0.0, 0.0);
        for replica in replicas {
            let told = metrics(replica.ops).await;
            known += LONE + pooled(&told);
            held += told["fbs_router_in_flight_bytes"];
            taken += told.iter().filter(|(name, _)| name.starts_with("fbs_router_budget_used")).map(|(_, n)| n).sum::<f64>();
        }
        if (inside, locks, prepared, taken, held) == (0, 0, 0, 0.0, 0.0) && sessions as f64 <= known {
            return Ok(());
        }
        Err(format!(
            "{inside} sessions inside transactions, {locks} locks, {prepared} prepared, {taken} turns taken, {held} bytes held, {sessions} sessions of {known}"
        ))
    })
    .await;
}

/// Connections in its pools, of what a replica tells.
pub(crate) fn pooled(told: &std::collections::HashMap<String, f64>) -> f64 {
    told.iter().filter(|(name, _)| name.starts_with("fbs_router_pool_connections")).map(|(_, count)| count).sum()
}

/// How a replica is while nobody calls, in a test where nothing else begins or ends.
#[derive(Debug)]
pub(crate) struct Quiet<'p> {
    proxy: Option<&'p FaultProxy>,
    tasks: i64,
}

impl<'p> Quiet<'p> {
    /// As it is now.
    pub(crate) async fn of(replica: &Replica) -> Self {
        Self { proxy: None, tasks: tasks(replica, None).await }
    }

    /// As it is now, with its server behind a proxy in this process.
    pub(crate) async fn behind(proxy: &'p FaultProxy, replica: &Replica) -> Self {
        Self { proxy: Some(proxy), tasks: tasks(replica, Some(proxy)).await }
    }

    /// It is so again, and nothing is left in Postgres.
    pub(crate) async fn returns(&self, cluster: &Cluster, replica: &Replica) {
        nothing_is_left(cluster, &[replica]).await;
        eventually("no task is left of the fault", LIMIT, async || match tasks(replica, self.proxy).await {
            // The page that tells, and whoever looks at Postgres.
            now if now <= self.tasks + 3 => Ok(()),
            now => Err(format!("{now} tasks, {} before", self.tasks)),
        })
        .await;
    }
}

/// Tasks of the test's own runtime, without those that drive pooled connections, and a proxy's.
async fn tasks(replica: &Replica, proxy: Option<&FaultProxy>) -> i64 {
    let pooled = pooled(&metrics(replica.ops).await) as i64;
    let proxied = proxy.map_or(0, |proxy| proxy.connections() as i64);
    tokio::runtime::Handle::current().metrics().num_alive_tasks() as i64 - pooled - proxied
}
