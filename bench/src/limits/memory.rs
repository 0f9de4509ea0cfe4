//! The memory that a gigabyte of content takes on its way.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use fbs_router_client::{
    Documents, Upload,
    v1::{Content, Document},
};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

use crate::{Outcome, child::Child};

const MIB: u64 = 1024 * 1024;

/// The service's peak of memory in MiB.
pub(super) async fn memory(documents: &Documents, child: &Child, quick: bool) -> Outcome<f64> {
    let size = if quick { 64 * MIB } else { 1024 * MIB };
    let draft = Document { name: "BIG".into(), title: "A large file".into(), ..Document::default() };
    let id = documents.create(draft).await?.into_message().document_id;
    upload(documents, &id, size).await?;
    // Verifies size and digest by itself.
    let mut download = documents.download(id.as_str()).await?;
    let received = tokio::io::copy(&mut download, &mut tokio::io::sink()).await?;
    if received != size {
        return Err(format!("{received} of {size} bytes came back").into());
    }
    Ok(child.memory("VmHWM:")? as f64 / MIB as f64)
}

/// Gives a document so many bytes.
pub(super) async fn upload(documents: &Documents, id: &str, size: u64) -> Outcome<()> {
    let mut digest = Sha256::new();
    let mut noise = Noise::new(size);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let read = noise.read(&mut buffer).await?;
        if read == 0 {
            break;
        }
        digest.update(&buffer[..read]);
    }
    let content = Content {
        filename: "noise.bin".into(),
        media_type: "application/octet-stream".into(),
        size_bytes: i64::try_from(size)?,
        sha256: digest.finalize().to_vec(),
        generation: 0,
    };
    documents.upload(Upload::new(id, content), Noise::new(size)).await?;
    Ok(())
}

/// So many bytes that nothing compresses, the same each time.
#[derive(Debug)]
struct Noise {
    left: u64,
    state: u64,
}

impl Noise {
    fn new(size: u64) -> Self {
        Self { left: size, state: 0x9e37_79b9_7f4a_7c15 }
    }
}

impl AsyncRead for Noise {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        while self.left > 0 && buffer.remaining() >= 8 {
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
            let bytes = self.state.to_le_bytes();
            let some = usize::try_from(self.left.min(8)).unwrap_or(8);
            buffer.put_slice(&bytes[..some]);
            self.left -= some as u64;
        }
        Poll::Ready(Ok(()))
    }
}
