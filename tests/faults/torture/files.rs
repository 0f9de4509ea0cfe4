//! Files of documents: made from the number of their upload, so that any of them can be told from any other.

use fbs_router_proto::document::v1::{
    Content, DownloadContentRequest, UploadContentResponse, document_service_client::DocumentServiceClient,
    download_content_response::Frame, upload_content_request::Header,
};
use sha2::{Digest, Sha256};
use tonic::{Request, Response, Status, transport::Channel};

use super::clients::canary;
use crate::support::transfers::{declared, frames, header as of_content};

type Documents = DocumentServiceClient<Channel>;

/// Less than a frame; more than one; more than one that is stored; more than what is stored, and read, at once.
const SIZES: [usize; 4] = [50, 70_000, 300_000, 1_400_000];
/// Bytes of a frame.
const FRAME: usize = 60_000;

/// What upload `nonce` of a solution brings.
pub(super) fn bytes(solution: &str, nonce: u64) -> Vec<u8> {
    let text = format!("{nonce} {} ", canary(solution));
    let size = SIZES[usize::try_from(nonce).unwrap() % SIZES.len()];
    let mut bytes = text.repeat(size.div_ceil(text.len())).into_bytes();
    bytes.truncate(size);
    bytes
}

/// The header of upload `nonce`.
pub(super) fn header(solution: &str, document_id: &str, nonce: u64) -> Header {
    let content = declared(&format!("{nonce} {}", canary(solution)), &bytes(solution, nonce));
    of_content(solution, document_id, content)
}

/// Which upload it comes from; none, if it is not whole.
pub(super) fn upload_of(solution: &str, content: &Content) -> Option<u64> {
    let nonce = content.filename.split(' ').next()?.parse().ok()?;
    let whole = declared(&content.filename, &bytes(solution, nonce));
    (content.size_bytes == whole.size_bytes && content.sha256 == whole.sha256).then_some(nonce)
}

/// Sends the file that the header announces.
pub(super) async fn upload(
    mut client: Documents,
    request: Request<Header>,
    nonce: u64,
) -> Result<Response<UploadContentResponse>, Status> {
    let all = |header: Header| {
        let bytes = bytes(&header.solution, nonce);
        futures_util::stream::iter(frames(header, &bytes, FRAME))
    };
    client.upload_content(request.map(all)).await
}

/// The header, if what comes behind it is what it says.
pub(super) async fn download(
    mut client: Documents,
    request: Request<DownloadContentRequest>,
) -> Result<Response<Content>, Status> {
    let (metadata, mut frames, extensions) = client.download_content(request).await?.into_parts();
    let (mut header, mut digest) = (None, Sha256::new());
    while let Some(message) = frames.message().await? {
        match message.frame {
            Some(Frame::Header(content)) => header = Some(content),
            Some(Frame::Chunk(chunk)) => digest.update(&chunk),
            None => {}
        }
    }
    let header = header.filter(|content| digest.finalize()[..] == content.sha256);
    let header = header.ok_or_else(|| Status::data_loss("not what its header says, and nothing went wrong"))?;
    Ok(Response::from_parts(metadata, header, extensions))
}
