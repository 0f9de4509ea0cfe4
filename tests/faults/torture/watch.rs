//! Looks all the time at the two databases of a solution that moves: at no moment does it live in both.

use std::time::Duration;

use fbs_router_sandbox::platform::SYSTEM_DATABASE;
use tokio_postgres::Client;

use super::{MOVING, Torture};

/// Longer, and Postgres stands still.
const PATIENCE: Duration = Duration::from_secs(2);

/// Looks until it is over. How often both could be asked.
pub(super) async fn go_on(torture: &Torture) -> usize {
    let mut looks = 0;
    while !torture.is_over() {
        // Postgres is killed, stopped and frozen meanwhile: then there is nothing to see.
        looks += watch(torture).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    looks
}

/// Looks until it is over, or a connection breaks.
async fn watch(torture: &Torture) -> usize {
    let mut looks = 0;
    let own = format!("djo_{MOVING}_db");
    let connect = async |database: &str| {
        tokio::time::timeout(PATIENCE, torture.world.platform.cluster.connect(database)).await.ok()?.ok()
    };
    let Some((system, own)) = connect(SYSTEM_DATABASE).await.zip(connect(&own).await) else { return 0 };
    while !torture.is_over() {
        // The same before and after: then it was so in between.
        let Some(before) = opened(&system).await else { break };
        let Some(between) = opened(&own).await else { break };
        let Some(after) = opened(&system).await else { break };
        looks += 1;
        if let (Some(since), Some(_)) = (&before, &between)
            && before == after
        {
            torture.violation(format!("{MOVING} is served in two places, here since {since}, there since {between:?}"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    looks
}

/// Since when its fence is open there, if it is. None if Postgres does not say.
async fn opened(client: &Client) -> Option<Option<String>> {
    let sql = "SELECT update_time::text FROM fbs_router.fence WHERE company_id = $1 AND state = 'ACTIVE'";
    let row = tokio::time::timeout(PATIENCE, client.query_opt(sql, &[&MOVING])).await.ok()?.ok()?;
    Some(row.map(|row| row.get(0)))
}
