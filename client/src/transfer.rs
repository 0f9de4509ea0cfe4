//! Content on its way: constant memory, an idle limit instead of a deadline, and a digest at both ends.

use std::{future::Future, time::Duration};

use sha2::{Digest, Sha256};

use crate::{Error, call::Attempts};

mod download;
mod send;
mod upload;

pub use download::Download;
pub use upload::Upload;

/// Bytes of a frame that is sent: HTTP/2 cuts it into frames of its own anyway, so that larger ones only cost memory.
const FRAME_BYTES: usize = 256 * 1024;

/// Waits for the next step of a transfer: as long as the idle limit, and no longer than the whole may take.
async fn step<T>(attempts: &Attempts, idle: Duration, step: impl Future<Output = T>) -> Result<T, Error> {
    match attempts.left() {
        Some(left) if left < idle => tokio::time::timeout(left, step)
            .await
            .map_err(|_elapsed| Error::deadline(attempts.deadline().unwrap_or_default())),
        _ => tokio::time::timeout(idle, step).await.map_err(|_elapsed| Error::idle(idle)),
    }
}

/// The digest of some bytes.
fn sha256(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}
