//! The load: a closed loop over tonic channels, with bytes instead of messages on this side.
//!
//! A window ends when its last call has been answered, so that processor time and calls belong together. One thread
//! carries all of it: the rest of the machine is the servers'.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use http::uri::PathAndQuery;
use prost::bytes::{Buf, BufMut, Bytes};
use tokio::task::JoinSet;
use tonic::{
    Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::{Channel, Endpoint},
};

use crate::Outcome;

/// Longest time for the calls of a window that are still on their way when it closes.
const LAST_ANSWERS: Duration = Duration::from_secs(15);
/// Longest time until a server that was just started answers.
const FIRST_ANSWER: Duration = Duration::from_secs(20);

/// How many connections, and how many calls at once on each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) connections: usize,
    pub(crate) in_flight: usize,
}

/// What is called: the n-th request of a method.
#[derive(Clone)]
pub(crate) struct Calls {
    pub(crate) path: PathAndQuery,
    pub(crate) body: Arc<dyn Fn(u64) -> Bytes + Send + Sync>,
}

/// Connections to one server, and what is called there.
pub(crate) struct Load {
    channels: Vec<Channel>,
    in_flight: usize,
    calls: Calls,
    next: Arc<AtomicU64>,
}

/// What came of one window.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Window {
    pub(crate) calls: u64,
    pub(crate) errors: u64,
    pub(crate) elapsed: Duration,
}

/// Bytes out, bytes in.
#[derive(Debug, Clone, Copy, Default)]
struct Raw;

impl Load {
    /// Connects, and waits until the server answers. Gives its first answer too.
    pub(crate) async fn connect(address: SocketAddr, shape: Shape, calls: Calls) -> Outcome<(Self, Bytes)> {
        let mut channels = Vec::new();
        for _ in 0..shape.connections {
            channels.push(Endpoint::from_shared(format!("http://{address}"))?.connect().await?);
        }
        let this = Self { channels, in_flight: shape.in_flight, calls, next: Arc::default() };
        let begin = Instant::now();
        loop {
            match call(this.channels[0].clone(), &this.calls, 0).await {
                Ok(answer) => return Ok((this, answer)),
                Err(status) if begin.elapsed() > FIRST_ANSWER => return Err(status.into()),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Calls for `length`, and waits for the last answers.
    pub(crate) async fn window(&self, length: Duration) -> Outcome<Window> {
        let begin = Instant::now();
        let end = begin + length;
        let mut workers = JoinSet::new();
        for channel in &self.channels {
            for _ in 0..self.in_flight {
                workers.spawn(work(channel.clone(), self.calls.clone(), Arc::clone(&self.next), end));
            }
        }
        let mut window = Window::default();
        let collect = async {
            while let Some(done) = workers.join_next().await {
                let (calls, errors) = done?;
                window.calls += calls;
                window.errors += errors;
            }
            Outcome::Ok(())
        };
        tokio::time::timeout(length + LAST_ANSWERS, collect).await.map_err(|_| "calls of a window never ended")??;
        window.elapsed = begin.elapsed();
        Ok(window)
    }
}

async fn work(channel: Channel, calls: Calls, next: Arc<AtomicU64>, end: Instant) -> (u64, u64) {
    let (mut answered, mut errors) = (0, 0);
    while Instant::now() < end {
        match call(channel.clone(), &calls, next.fetch_add(1, Ordering::Relaxed)).await {
            Ok(answer) if !answer.is_empty() => answered += 1,
            Ok(_) | Err(_) => errors += 1,
        }
    }
    (answered, errors)
}

async fn call(channel: Channel, calls: &Calls, number: u64) -> Result<Bytes, Status> {
    let mut client = Grpc::new(channel);
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    client.unary(Request::new((calls.body)(number)), calls.path.clone(), Raw).await.map(tonic::Response::into_inner)
}

// === impl Raw ===

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
