//! What callers notice while somebody else sends what no caller would: calls that are taken back at once, requests and
//! headers that are too large, connections that end or say nothing. A thousand a second of each, twenty of what is large,
//! from the processors and the runtime of those who are measured.

use std::{net::SocketAddr, time::Duration};

use fbs_router_proto::document::v1::{
    CreateDocumentRequest, Document, GetDocumentRequest, document_service_client::DocumentServiceClient,
};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tonic::{Request, transport::Endpoint};

use super::{
    Figure, connect,
    flood::{documents, others},
    milliseconds,
};
use crate::{
    Outcome,
    child::Child,
    measure::Spread,
    servers::Kind,
    world::{World, town},
};

/// Who sends at once.
const SENDERS: usize = 10;
/// Between two of one sender.
const PAUSE: Duration = Duration::from_millis(10);
/// The same, of what takes megabytes to send: it would be the sender who is measured.
const LONG_PAUSE: Duration = Duration::from_millis(500);
/// Connections that say nothing, more than one address may have.
const SILENT: usize = 200;
/// As HTTP/2 begins.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

#[derive(Clone, Copy)]
enum Attack {
    TakenBack,
    TooLarge,
    LongHeaders,
    Connections,
    Silence,
}

const ALL: [(Attack, &str); 5] = [
    (Attack::TakenBack, "their p99 while calls are taken back at once, against without"),
    (Attack::TooLarge, "their p99 while requests are too large"),
    (Attack::LongHeaders, "their p99 while headers are too long"),
    (Attack::Connections, "their p99 while connections come and go"),
    (Attack::Silence, "their p99 while connections say nothing"),
];

/// The others' 99th percentile under each, against without, and the service's memory after all of them.
pub(super) async fn attacks(world: &World, quick: bool) -> Outcome<Vec<Figure>> {
    let (rounds, window) = if quick { (1, Duration::from_secs(1)) } else { (5, Duration::from_secs(3)) };
    let child = Child::start(Kind::Ours, world.folder())?;
    let client = connect(&child).await?;
    let ids = documents(&client).await?;
    let mut figures = Vec::new();
    for (attack, what) in ALL {
        let mut ratios = Vec::new();
        for _ in 0..rounds {
            let calm = others(&client, &ids, window, "calm").await?;
            let mut senders = JoinSet::new();
            for _ in 0..SENDERS {
                senders.spawn(send(attack, child.address()));
            }
            let meanwhile = others(&client, &ids, window, what).await;
            senders.shutdown().await;
            ratios.push(milliseconds(meanwhile?) / milliseconds(calm));
            // What was sent last is done with.
            sleep(window / 3).await;
        }
        figures.push(Figure { what, stated: 2.0, measured: Spread::of(ratios).median, unit: "×" });
    }
    let peak = child.memory("VmHWM:")? as f64 / f64::from(1 << 20);
    figures.push(Figure { what: "memory at most", stated: 128.0, measured: peak, unit: "MiB" });
    Ok(figures)
}

/// Sends until it is ended. What is answered, or not, is nobody's concern.
async fn send(attack: Attack, address: SocketAddr) {
    let mut ticks = interval(if matches!(attack, Attack::TooLarge) { LONG_PAUSE } else { PAUSE });
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let channel = || Endpoint::from_shared(format!("http://{address}")).map(|endpoint| endpoint.connect_lazy());
    let Ok(channel) = channel() else { return };
    let mut client = DocumentServiceClient::new(channel);
    let mut silent = Vec::new();
    let solution = town(1);
    let get = GetDocumentRequest {
        solution: solution.clone(),
        document_id: "0190b0a0-0000-7000-8000-000000000000".to_owned(),
        ..GetDocumentRequest::default()
    };
    loop {
        ticks.tick().await;
        match attack {
            Attack::TakenBack => {
                let _gone = timeout(Duration::from_micros(300), client.get_document(get.clone())).await;
            }
            Attack::TooLarge => {
                let document = Document { description: "x".repeat((4 << 20) + 1), ..Document::default() };
                let request = CreateDocumentRequest {
                    solution: solution.clone(),
                    document: Some(document),
                    ..CreateDocumentRequest::default()
                };
                let _refused = client.create_document(request).await;
            }
            Attack::LongHeaders => {
                let mut request = Request::new(get.clone());
                if let Ok(long) = "x".repeat(64 << 10).parse() {
                    request.metadata_mut().insert("x-long", long);
                }
                let _refused = client.get_document(request).await;
            }
            Attack::Connections => {
                if let Ok(mut stream) = TcpStream::connect(address).await {
                    let _sent = stream.write_all(PREFACE).await;
                }
            }
            Attack::Silence => {
                if silent.len() < SILENT / SENDERS {
                    silent.extend(TcpStream::connect(address).await);
                }
            }
        }
    }
}
