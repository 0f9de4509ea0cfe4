//! Whether a Postgres server keeps what it has acknowledged.

use tokio_postgres::Client;

const UNSAFE_SETTINGS: &str = include_str!("durability.sql");

/// The settings that are `off` and must be `on` for that; none: it does. The caller bounds the time.
pub async fn unsafe_settings(client: &Client) -> Result<Vec<String>, tokio_postgres::Error> {
    let rows = client.query_typed(UNSAFE_SETTINGS, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
