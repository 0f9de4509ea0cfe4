//! What is held against a stated limit instead of a peer: lists and searches of many documents, and the memory that a
//! gigabyte of content takes on its way.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use fbs_router_client::{
    Client, Documents, Upload,
    v1::{Content, Document, ListDocumentsRequest, SearchDocumentsRequest},
};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

use crate::{
    Outcome,
    child::Child,
    servers::Kind,
    world::{SHELF, SOLUTION, World},
};

/// Documents of the solution that is listed and searched.
const DOCUMENTS: u64 = 100_000;
/// Calls whose 99th percentile counts.
const CALLS: usize = 300;
/// A page as people turn them.
const PAGE: i32 = 50;
const MIB: u64 = 1024 * 1024;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// The last page of 100,000 documents, against the first.
    LastPage,
    /// A search for a word that 1 in 1,000 documents have.
    RareWord,
    /// The same, of a word that every document of another solution in the same table has.
    NeighboursWord,
    /// A search for a word that all have.
    CommonWord,
    /// A gigabyte up and down.
    Memory,
}

const ALL: [Limit; 5] = [Limit::LastPage, Limit::RareWord, Limit::NeighboursWord, Limit::CommonWord, Limit::Memory];

impl Limit {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::LastPage => "limit: last page of 100,000 documents, median",
            Self::RareWord => "limit: search, 100 of 100,000 match, p99",
            Self::NeighboursWord => "limit: search, 100 match, and all 100,000 next door, p99",
            Self::CommonWord => "limit: search, all 100,000 match, p99",
            Self::Memory => "limit: memory of 1 GiB up and down",
        }
    }
}

/// Those whose name contains one of the parts; all, if there are none.
pub(crate) fn wanted(only: &[String]) -> Vec<Limit> {
    ALL.into_iter().filter(|limit| only.is_empty() || only.iter().any(|part| limit.name().contains(part))).collect()
}

/// Measures and prints. True if every limit was kept.
pub(crate) async fn measure(limits: &[Limit], world: &World, quick: bool) -> Outcome<bool> {
    if limits.is_empty() {
        return Ok(true);
    }
    if limits.iter().any(|limit| *limit != Limit::Memory) {
        world.fill_shelves(DOCUMENTS).await?;
    }
    println!("\n| limit | stated | measured | measured/stated |");
    println!("| --- | --: | --: | --: |");
    let mut kept = true;
    for limit in limits {
        // Each on a service of its own, so that one's memory is not another's.
        let child = Child::start(Kind::Ours, world.folder())?;
        let client = connect(&child).await?;
        let (stated, measured, unit) = match limit {
            Limit::LastPage => {
                let (first, last) = pages(&client.solution(SHELF)).await?;
                (2.0 * milliseconds(first), milliseconds(last), "ms")
            }
            Limit::RareWord => (50.0, search(&client.solution(SHELF), "case77").await?, "ms"),
            Limit::NeighboursWord => (50.0, search(&client.solution(SHELF), "weekly").await?, "ms"),
            Limit::CommonWord => (100.0, search(&client.solution(SHELF), "invoice").await?, "ms"),
            Limit::Memory => (128.0, memory(&client.solution(SOLUTION), &child, quick).await?, "MiB"),
        };
        let ratio = measured / stated;
        kept &= ratio <= 1.0;
        println!("| {} | {stated:.1} {unit} | {measured:.1} {unit} | {ratio:.2} |", limit.name());
    }
    Ok(kept)
}

async fn connect(child: &Child) -> Outcome<Client> {
    let url = format!("http://{}", child.address());
    Ok(Client::builder().deadline(Duration::from_secs(20)).connect(url).await?)
}

/// Medians of the first and the last page, each asked for in turn.
async fn pages(documents: &Documents) -> Outcome<(Duration, Duration)> {
    let first = ListDocumentsRequest { page_size: PAGE, ..ListDocumentsRequest::default() };
    let mut walk = ListDocumentsRequest { page_size: 500, ..first.clone() };
    let mut left = DOCUMENTS;
    let mut last = first.clone();
    while left > 0 {
        let page = documents.list(walk.clone()).await?;
        left -= page.documents.len() as u64;
        walk.page_token.clone_from(&page.next_page_token);
        // Sizes may differ from page to page.
        if left == 500 {
            walk.page_size = PAGE;
        }
        if left == u64::try_from(PAGE)? {
            last.page_token.clone_from(&page.next_page_token);
        }
    }
    let (mut firsts, mut lasts) = (Vec::new(), Vec::new());
    for _ in 0..CALLS {
        for (request, times) in [(&first, &mut firsts), (&last, &mut lasts)] {
            let begin = Instant::now();
            let page = documents.list(request.clone()).await?;
            times.push(begin.elapsed());
            if page.documents.len() != usize::try_from(PAGE)? {
                return Err(format!("a page of {} documents", page.documents.len()).into());
            }
        }
    }
    Ok((at(firsts, 0.5), at(lasts, 0.5)))
}

/// The 99th percentile in milliseconds.
async fn search(documents: &Documents, query: &str) -> Outcome<f64> {
    let request = SearchDocumentsRequest { query: query.into(), ..SearchDocumentsRequest::default() };
    let mut times = Vec::new();
    for _ in 0..CALLS {
        let begin = Instant::now();
        let found = documents.search(request.clone()).await?;
        times.push(begin.elapsed());
        if found.results.len() != 20 {
            return Err(format!("{} results", found.results.len()).into());
        }
    }
    Ok(milliseconds(at(times, 0.99)))
}

/// The service's peak of memory in MiB.
async fn memory(documents: &Documents, child: &Child, quick: bool) -> Outcome<f64> {
    let size = if quick { 64 * MIB } else { 1024 * MIB };
    let draft = Document { name: "BIG".into(), title: "A large file".into(), ..Document::default() };
    let id = documents.create(draft).await?.into_message().document_id;
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
    documents.upload(Upload::new(&id, content), Noise::new(size)).await?;
    // Verifies size and digest by itself.
    let mut download = documents.download(id.as_str()).await?;
    let received = tokio::io::copy(&mut download, &mut tokio::io::sink()).await?;
    if received != size {
        return Err(format!("{received} of {size} bytes came back").into());
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.pid()))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no peak of memory")?;
    let kibibytes: f64 = peak.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes / 1024.0)
}

fn at(mut times: Vec<Duration>, quantile: f64) -> Duration {
    times.sort();
    let place = (times.len() as f64 * quantile) as usize;
    times.get(place.min(times.len().saturating_sub(1))).copied().unwrap_or_default()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
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
