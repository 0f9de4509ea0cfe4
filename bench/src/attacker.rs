//! Who sends what no caller would, from a process of its own.
//!
//! It runs when nobody else wants a processor (`nice`): on a network it would have its own. What is large is made once, so
//! that sending is all it does.

use std::{
    io::{Read, Write},
    net::SocketAddr,
    process::{Command, Stdio},
    time::Duration,
};

use fbs_router_proto::document::v1::{DownloadContentRequest, GetDocumentRequest};
use h2::client::{ResponseFuture, SendRequest};
use prost::{
    Message,
    bytes::{BufMut, Bytes, BytesMut},
};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval_at, sleep},
};

use crate::{Outcome, child, world::town};

/// At once.
const SENDERS: u32 = 10;
/// Between two of one sender: a thousand a second of all.
const PAUSE: Duration = Duration::from_millis(10);
/// The same, of what takes megabytes: twenty a second.
const LONG_PAUSE: Duration = Duration::from_millis(500);
/// Of one sender: connections that say nothing (more than one address may have), downloads that nobody reads.
const SILENT: usize = 20;
const UNREAD: usize = 10;
/// What a message may have.
const MESSAGE: usize = 4 << 20;
/// As HTTP/2 begins.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attack {
    /// No attack: as many calls as are taken back, by one who waits for the answers.
    Answered,
    TakenBack,
    TooLarge,
    Bomb,
    LongHeaders,
    Connections,
    Silence,
    Unread,
}

impl Attack {
    pub(crate) const ALL: [Self; 8] = [
        Self::Answered,
        Self::TakenBack,
        Self::TooLarge,
        Self::Bomb,
        Self::LongHeaders,
        Self::Connections,
        Self::Silence,
        Self::Unread,
    ];

    pub(crate) fn what(self) -> &'static str {
        match self {
            Self::Answered => "their p99 while one solution reads 1,000 a second, against without",
            Self::TakenBack => "their p99 while as many calls are taken back at once",
            Self::TooLarge => "their p99 while requests are too large",
            Self::Bomb => "their p99 while batches are of empty requests",
            Self::LongHeaders => "their p99 while headers are too long",
            Self::Connections => "their p99 while connections come and go",
            Self::Silence => "their p99 while connections say nothing",
            Self::Unread => "their p99 while nobody reads downloads",
        }
    }
}

/// The process, as long as it is kept.
#[derive(Debug)]
pub(crate) struct Attacker(std::process::Child);

impl Attacker {
    /// Begins at once, at the document with content of the first town.
    pub(crate) fn start(attack: Attack, address: SocketAddr, document_id: &str) -> Outcome<Self> {
        let place = Attack::ALL.iter().position(|known| *known == attack).unwrap_or_default();
        let process = Command::new("nice")
            .args(["-n", "19"])
            .arg(std::env::current_exe()?)
            .args(["attacker", &place.to_string(), &address.to_string(), document_id])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        Ok(Self(process))
    }

    /// Ends it. How much it has sent, up to what a pipe holds: it says a byte a piece.
    pub(crate) fn end(mut self) -> Outcome<usize> {
        self.0.kill()?;
        let mut said = Vec::new();
        if let Some(mut stdout) = self.0.stdout.take() {
            stdout.read_to_end(&mut said)?;
        }
        Ok(said.len())
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// In the child: sends until the parent is gone.
pub(crate) fn run(place: usize, address: SocketAddr, document_id: &str) -> Outcome<()> {
    child::end_with_parent();
    let attack = *Attack::ALL.get(place).ok_or("no such attack")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut senders = JoinSet::new();
        for number in 0..SENDERS {
            senders.spawn(Sender::new(attack, address, document_id).go_on(number));
        }
        while senders.join_next().await.is_some() {}
        Ok(())
    })
}

/// Something was sent; whether it was answered is another matter.
fn sent() -> Outcome<()> {
    let mut stdout = std::io::stdout();
    stdout.write_all(b".")?;
    Ok(stdout.flush()?)
}

struct Sender {
    attack: Attack,
    address: SocketAddr,
    /// Of the call that it makes.
    path: &'static str,
    body: Bytes,
    long: String,
    http2: Option<SendRequest<Bytes>>,
    /// Kept open.
    silent: Vec<TcpStream>,
    unread: Vec<ResponseFuture>,
}

impl Sender {
    fn new(attack: Attack, address: SocketAddr, document_id: &str) -> Self {
        let (solution, document_id) = (town(1), document_id.to_owned());
        let (path, message) = match attack {
            // Refused by its length: nobody looks what it is.
            Attack::TooLarge => ("CreateDocument", vec![b'x'; MESSAGE + 1]),
            Attack::Bomb => ("BatchCreateDocuments", [0x12, 0].repeat(MESSAGE / 2 - 16)),
            Attack::Unread => {
                let wanted = DownloadContentRequest { solution, document_id, ..DownloadContentRequest::default() };
                ("DownloadContent", wanted.encode_to_vec())
            }
            _ => {
                let wanted = GetDocumentRequest { solution, document_id, ..GetDocumentRequest::default() };
                ("GetDocument", wanted.encode_to_vec())
            }
        };
        let mut body = BytesMut::with_capacity(message.len() + 5);
        body.put_u8(0);
        body.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
        body.put(&*message);
        let long = if attack == Attack::LongHeaders { "x".repeat(64 << 10) } else { String::new() };
        let (http2, silent, unread) = (None, Vec::new(), Vec::new());
        Self { attack, address, path, body: body.freeze(), long, http2, silent, unread }
    }

    /// What is answered, or not, is nobody's concern.
    async fn go_on(mut self, number: u32) {
        let pause = match self.attack {
            Attack::TooLarge | Attack::Bomb => LONG_PAUSE,
            // All of them within a second.
            Attack::Unread => LONG_PAUSE / 5,
            _ => PAUSE,
        };
        let mut ticks = interval_at(Instant::now() + pause * number / SENDERS, pause);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if self.send().await.is_err() {
                self.http2 = None;
            }
        }
    }

    async fn send(&mut self) -> Outcome<()> {
        match self.attack {
            Attack::TakenBack => {
                let _answer = self.call().await?;
                sent()?;
                sleep(Duration::from_micros(300)).await;
            }
            Attack::Answered | Attack::TooLarge | Attack::Bomb | Attack::LongHeaders => {
                let answer = self.call().await?;
                sent()?;
                answer.await?;
            }
            Attack::Unread if self.unread.len() < UNREAD => {
                let answer = self.call().await?;
                self.unread.push(answer);
                sent()?;
            }
            Attack::Silence if self.silent.len() < SILENT => {
                self.silent.push(TcpStream::connect(self.address).await?);
                sent()?;
            }
            Attack::Connections => {
                TcpStream::connect(self.address).await?.write_all(PREFACE).await?;
                sent()?;
            }
            Attack::Unread | Attack::Silence => {}
        }
        Ok(())
    }

    /// A call whose request is on its way; dropped, it is taken back.
    async fn call(&mut self) -> Outcome<ResponseFuture> {
        let mut http2 = match &self.http2 {
            Some(http2) => http2.clone(),
            None => {
                let (http2, connection) = h2::client::handshake(TcpStream::connect(self.address).await?).await?;
                tokio::spawn(connection);
                self.http2.insert(http2).clone()
            }
        };
        http2 = http2.ready().await?;
        let mut request =
            http::Request::post(format!("http://{}/fbs.document.v1.DocumentService/{}", self.address, self.path))
                .header("content-type", "application/grpc")
                .header("te", "trailers");
        if !self.long.is_empty() {
            request = request.header("x-long", &self.long);
        }
        let (answer, mut stream) = http2.send_request(request.body(())?, false)?;
        stream.send_data(self.body.clone(), true)?;
        Ok(answer)
    }
}
