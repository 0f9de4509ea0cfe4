//! Uploads and downloads, frame by frame.

use std::time::Duration;

use fbs_router_proto::document::v1::{
    Content, Document, DownloadContentRequest, UploadContentRequest,
    download_content_response::Frame as Down,
    upload_content_request::{Frame as Up, Header},
};
use prost::bytes::Bytes;
use sha2::{Digest, Sha256};
use tonic::Status;

use super::{
    Replica,
    asking::{Refusal, refusal},
};

/// Longer than any transfer of a test.
const DEADLINE: Duration = Duration::from_secs(120);

/// What would be declared of these bytes.
pub(crate) fn declared(filename: &str, bytes: &[u8]) -> Content {
    Content {
        filename: filename.into(),
        media_type: "application/octet-stream".into(),
        size_bytes: i64::try_from(bytes.len()).unwrap(),
        sha256: Sha256::digest(bytes).to_vec(),
        generation: 0,
    }
}

/// The header of an upload of these bytes.
pub(crate) fn header(solution: &str, document_id: &str, content: Content) -> Header {
    Header { solution: solution.into(), document_id: document_id.into(), content: Some(content), ..Header::default() }
}

/// A frame with the header.
pub(crate) fn first(header: Header) -> UploadContentRequest {
    UploadContentRequest { frame: Some(Up::Header(header)) }
}

/// A frame with bytes.
pub(crate) fn chunk(bytes: &[u8]) -> UploadContentRequest {
    UploadContentRequest { frame: Some(Up::Chunk(Bytes::copy_from_slice(bytes))) }
}

/// A header and the bytes in chunks of that size.
pub(crate) fn frames(header: Header, bytes: &[u8], size: usize) -> Vec<UploadContentRequest> {
    std::iter::once(first(header)).chain(bytes.chunks(size).map(chunk)).collect()
}

/// Bytes that no other position of them repeats.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

impl Replica {
    /// Sends these frames and nothing else.
    pub(crate) async fn send_frames(&self, frames: Vec<UploadContentRequest>) -> Result<Document, Status> {
        let mut request = tonic::Request::new(futures_util::stream::iter(frames));
        request.set_timeout(DEADLINE);
        let answer = self.documents().upload_content(request).await?;
        Ok(answer.into_inner().document.unwrap())
    }

    /// Uploads these bytes, in frames of 100,000.
    pub(crate) async fn upload(
        &self,
        solution: &str,
        document_id: &str,
        filename: &str,
        bytes: &[u8],
    ) -> Result<Document, Refusal> {
        let header = header(solution, document_id, declared(filename, bytes));
        self.send_frames(frames(header, bytes, 100_000)).await.map_err(|status| refusal(&status))
    }

    /// The header and the bytes from an offset on.
    pub(crate) async fn download_from(&self, request: DownloadContentRequest) -> Result<(Content, Vec<u8>), Refusal> {
        let mut request = tonic::Request::new(request);
        request.set_timeout(DEADLINE);
        let answer = self.documents().download_content(request).await.map_err(|status| refusal(&status))?;
        assert!(answer.metadata().contains_key("fbs-database"));
        let mut stream = answer.into_inner();
        let (mut header, mut bytes) = (None, Vec::new());
        while let Some(frame) = stream.message().await.map_err(|status| refusal(&status))? {
            match frame.frame.expect("a frame") {
                Down::Header(content) => {
                    assert!(header.replace(content).is_none() && bytes.is_empty(), "a first header")
                }
                Down::Chunk(chunk) => {
                    assert!((1..=256 * 1024).contains(&chunk.len()), "{}", chunk.len());
                    bytes.extend(chunk);
                }
            }
        }
        Ok((header.expect("a header"), bytes))
    }

    /// All of a document's content.
    pub(crate) async fn download(&self, solution: &str, document_id: &str) -> Result<(Content, Vec<u8>), Refusal> {
        self.download_from(wanted(solution, document_id)).await
    }
}

/// A request for all of a document's content.
pub(crate) fn wanted(solution: &str, document_id: &str) -> DownloadContentRequest {
    DownloadContentRequest {
        solution: solution.into(),
        document_id: document_id.into(),
        ..DownloadContentRequest::default()
    }
}
