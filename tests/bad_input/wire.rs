//! Rows about what is no message, or no call: bytes, frames, headers and paths as no client would send them.

use std::net::SocketAddr;

use prost::{
    Message,
    bytes::{BufMut, Bytes, BytesMut},
};
use tonic::{Code, Status};

use super::{
    documents::{metadata, nested_lists, nested_objects},
    scene::Scene,
};
use crate::support::{
    Replica,
    asking::creation,
    draft,
    methods::{methods, path},
    wire::{framed, raw_status, try_raw},
};

pub(super) const CREATE: &str = "/fbs.document.v1.DocumentService/CreateDocument";
const MESSAGE_BYTES: usize = 4 * 1_024 * 1_024;

/// One call, and how it is refused.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Bytes,
    pub(super) code: Code,
    pub(super) reason: &'static str,
}

impl Call {
    pub(super) async fn send(&self, at: SocketAddr) -> Status {
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        raw_status(at, &self.path, &headers, self.body.clone()).await
    }
}

/// A call that is the caller's mistake: whatever the code that gRPC prescribes, no alarm of ours.
fn call(path: &str, header: Option<(&str, &str)>, body: Bytes, code: Code) -> Call {
    let headers = header.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Call { path: path.to_owned(), headers, body, code, reason: "FIELD_INVALID" }
}

pub(super) fn rows(scene: &Scene) -> Vec<(u32, Call)> {
    let good = creation("globex", draft("M")).encode_to_vec();
    let mut rows = bytes(&good);
    // 55, 56: a flag that does not exist, compression that nobody announced, and such as is not spoken here; 57: nor
    // what would grow, which is therefore never unpacked.
    rows.push((55, call(CREATE, None, framed(2, &good), Code::Internal)));
    rows.push((55, call(CREATE, None, framed(1, &good), Code::Internal)));
    for encoding in ["gzip", "br", "deflate", "zstd", "nonsense"] {
        let header = Some(("grpc-encoding", encoding));
        rows.push((56, call(CREATE, header, framed(0, &good), Code::Unimplemented)));
    }
    rows.push((57, call(CREATE, Some(("grpc-encoding", "gzip")), framed(1, &[0x1f; 4_096]), Code::Unimplemented)));
    // 59: no time at all: nothing is begun. Uploads and downloads too.
    for ask in scene.good() {
        for timeout in ["1n", "0S", "1m", "2999u"] {
            let frames = ask.frames.iter().fold(BytesMut::new(), |mut all, frame| {
                all.put(framed(0, frame));
                all
            });
            let call = call(&ask.path, Some(("grpc-timeout", timeout)), frames.freeze(), Code::DeadlineExceeded);
            rows.push((59, Call { reason: "DEADLINE_EXCEEDED", ..call }));
        }
    }
    for nowhere in [
        "/fbs.document.v1.DocumentService/Nothing",
        "/fbs.document.v1.DocumentService/createDocument",
        "/fbs.document.v1.DocumentService/CreateDocument/",
        "/fbs.document.v2.DocumentService/CreateDocument",
        "/fbs.nothing.v1.Nothing/Nothing",
        "/",
        "/x",
    ] {
        rows.push((61, call(nowhere, None, framed(0, &good), Code::Unimplemented)));
    }
    // 62: no message at all, and one behind the first that is none.
    rows.push((62, call(CREATE, None, Bytes::new(), Code::Internal)));
    let mut two = BytesMut::from(&framed(0, &good)[..]);
    two.put(framed(0, b"\xff"));
    rows.push((62, call(CREATE, None, two.freeze(), Code::Internal)));
    rows
}

/// What is no message, sent to every method, whose decoders all differ.
fn bytes(good: &[u8]) -> Vec<(u32, Call)> {
    let mut rows = Vec::new();
    for method in methods() {
        let place = path(&method);
        // Cut off, a varint that never ends, field 0, a group that nobody closes.
        for rubbish in [&[0x0a, 5, b'a'][..], &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff], &[0x00, 0x01], &[0x0b]] {
            rows.push((53, call(&place, None, framed(0, rubbish), Code::Internal)));
        }
    }
    // Of a wrong wire type, and cut off anywhere.
    rows.push((53, call(CREATE, None, framed(0, &[0x0d, 1, 2, 3, 4]), Code::Internal)));
    rows.push((53, call(CREATE, None, framed(0, &good[..good.len() - 1]), Code::Internal)));
    // 19: text that is not UTF-8, as solution and as title.
    rows.push((19, call(CREATE, None, framed(0, &[0x0a, 2, 0xff, 0xfe]), Code::Internal)));
    rows.push((19, call(CREATE, None, framed(0, &[0x12, 4, 0x22, 2, 0xc3, 0x28]), Code::Internal)));
    // 52: one byte too many; at the limit it is read, and found to be too long a description.
    rows.push((52, call(CREATE, None, sized(MESSAGE_BYTES), Code::InvalidArgument)));
    rows.push((52, call(CREATE, None, sized(MESSAGE_BYTES + 1), Code::OutOfRange)));
    // 54: nested deeper than a decoder follows.
    for kind in [nested_lists(200), nested_objects(200)] {
        let deep = creation("globex", metadata(kind)).encode_to_vec();
        rows.push((54, call(CREATE, None, framed(0, &deep), Code::Internal)));
    }
    rows
}

fn sized(bytes: usize) -> Bytes {
    let mut request = creation("globex", draft("N"));
    request.document.as_mut().unwrap().description = "x".repeat(bytes);
    let overhead = request.encoded_len() - bytes;
    request.document.as_mut().unwrap().description.truncate(bytes - overhead);
    let message = request.encode_to_vec();
    assert_eq!(message.len(), bytes);
    framed(0, &message)
}

/// Row 60, before there is any gRPC: more headers than the transport reads. The connection is answered or closed.
pub(super) async fn too_many_headers(replica: &Replica) -> u32 {
    let good = framed(0, &creation("globex", draft("M")).encode_to_vec());
    let value = "x".repeat(1_000);
    let names: Vec<String> = (0..40).map(|number| format!("x-header-{number}")).collect();
    let headers: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), value.as_str())).collect();
    match try_raw(replica.grpc, CREATE, &headers, good).await {
        Ok(answer) => assert_ne!(answer.get("grpc-status").map(|status| status.as_bytes()), Some(&b"0"[..])),
        Err(error) => assert!(error.is_reset() || error.is_go_away() || error.is_io(), "{error}"),
    }
    60
}
