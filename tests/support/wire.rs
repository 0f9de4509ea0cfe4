//! Calls that no gRPC client would make: bytes and headers as given, over HTTP/2.

use std::{collections::HashMap, net::SocketAddr, time::Duration};

use prost::bytes::{BufMut, Bytes, BytesMut};
use tonic::Status;

/// Longer than any answer needs.
const LIMIT: Duration = Duration::from_secs(10);

/// A message as gRPC frames it.
pub(crate) fn framed(flag: u8, message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(message.len() + 5);
    frame.put_u8(flag);
    frame.put_u32(u32::try_from(message.len()).unwrap());
    frame.put_slice(message);
    frame.freeze()
}

/// Sends one body to a path and returns headers and trailers of the answer, trailers winning.
pub(crate) async fn raw(at: SocketAddr, path: &str, headers: &[(&str, &str)], body: Bytes) -> http::HeaderMap {
    try_raw(at, path, headers, body).await.expect("an answer")
}

/// As [`raw`], of a call that a caller hopes to learn from: its code, and every byte of the answer as text, details decoded.
pub(crate) async fn raw_bytes(
    at: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> (Option<tonic::Code>, String) {
    let answer = tokio::time::timeout(LIMIT, send(at, path, headers, body)).await.expect("an answer in time");
    let (headers, bytes) = answer.expect("an answer");
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    for (name, value) in &headers {
        text.push_str(&format!("\n{name}: {}", String::from_utf8_lossy(value.as_bytes())));
    }
    let status = Status::from_header_map(&headers);
    if let Some(status) = &status {
        text.push_str(&String::from_utf8_lossy(status.details()));
    }
    (status.map(|status| status.code()), text)
}

/// As [`raw`], of a call that the transport may refuse.
pub(crate) async fn try_raw(
    at: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> Result<http::HeaderMap, h2::Error> {
    let answer = tokio::time::timeout(LIMIT, send(at, path, headers, body)).await.expect("an answer in time");
    answer.map(|(headers, _)| headers)
}

/// As [`raw`], and reads the status.
pub(crate) async fn raw_status(at: SocketAddr, path: &str, headers: &[(&str, &str)], body: Bytes) -> Status {
    let headers = raw(at, path, headers, body).await;
    Status::from_header_map(&headers).expect("a grpc-status")
}

async fn send(
    at: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> Result<(http::HeaderMap, Vec<u8>), h2::Error> {
    let stream = tokio::net::TcpStream::connect(at).await.expect("a connection");
    let (client, connection) = h2::client::Builder::new().initial_window_size(1 << 20).handshake(stream).await?;
    tokio::spawn(connection);
    let mut request = http::Request::post(format!("http://{at}{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (answer, mut sending) = client.ready().await?.send_request(request.body(()).unwrap(), false)?;
    let reading = async {
        let (head, mut body) = answer.await?.into_parts();
        let mut bytes = Vec::new();
        while let Some(chunk) = body.data().await {
            let chunk = chunk?;
            body.flow_control().release_capacity(chunk.len())?;
            bytes.extend(chunk);
        }
        let mut headers = head.headers;
        headers.extend(body.trailers().await?.unwrap_or_default());
        Ok((headers, bytes))
    };
    // The service may answer before it has read everything: then the rest cannot be sent, and that is no failure.
    let writing = async {
        let mut left = body;
        if left.is_empty() {
            let _ = sending.send_data(left, true);
            return;
        }
        while !left.is_empty() {
            sending.reserve_capacity(left.len());
            match std::future::poll_fn(|context| sending.poll_capacity(context)).await {
                Some(Ok(room)) => {
                    let part = left.split_to(room.min(left.len()));
                    if sending.send_data(part, left.is_empty()).is_err() {
                        return;
                    }
                }
                _ => return,
            }
        }
    };
    tokio::pin!(reading);
    tokio::select! {
        answer = &mut reading => answer,
        () = writing => reading.await,
    }
}

/// Status line number and body of a page of the ops listener.
pub(crate) async fn http_get(at: SocketAddr, path: &str) -> (u16, String) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(at).await.expect("the ops listener");
    let request = format!("GET {path} HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    tokio::time::timeout(LIMIT, stream.read_to_string(&mut text)).await.expect("a page in time").unwrap();
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let status = head.split_whitespace().nth(1).and_then(|word| word.parse().ok()).expect("a status");
    (status, body.to_owned())
}

/// All samples of `/metrics`, by name and labels.
pub(crate) async fn metrics(at: SocketAddr) -> HashMap<String, f64> {
    let (status, page) = http_get(at, "/metrics").await;
    assert_eq!(status, 200);
    let samples = page.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
    samples.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect()
}
