//! The requests, encoded before anything is measured.

use std::sync::Arc;

use fbs_router_proto::{
    document::v1::{CreateDocumentRequest, Document, GetDocumentRequest},
    router::v1::ResolveDatabaseRequest,
};
use http::uri::PathAndQuery;
use prost::{Message, bytes::Bytes};
use uuid::Uuid;

use crate::{Outcome, load::Calls, peers, world};

/// Far from each other, so that neighbours in the table are not neighbours in time; prime to every count used here.
const STRIDE: u64 = 7_919;

/// Bytes of a request to resolve, to the peer that looks at nothing.
pub(crate) fn echo() -> Outcome<Calls> {
    cycle(peers::ECHO, &[resolve_request(&world::recorded(1))])
}

/// ResolveDatabase of these solutions in turn.
pub(crate) fn resolve(solutions: &[String]) -> Outcome<Calls> {
    let requests: Vec<Bytes> = solutions.iter().map(|solution| resolve_request(solution)).collect();
    cycle("/fbs.router.v1.RouterService/ResolveDatabase", &requests)
}

/// ResolveDatabase of the first `count` recorded solutions.
pub(crate) fn resolve_recorded(count: u64) -> Outcome<Calls> {
    resolve(&(1..=count).map(world::recorded).collect::<Vec<_>>())
}

/// GetDocument of every document.
pub(crate) fn get() -> Outcome<Calls> {
    let request = |number| {
        let request = GetDocumentRequest {
            solution: world::SOLUTION.into(),
            document_id: world::document_id(number),
            ..GetDocumentRequest::default()
        };
        request.encode_to_vec().into()
    };
    let requests: Vec<Bytes> = (1..=world::DOCUMENTS).map(request).collect();
    cycle("/fbs.document.v1.DocumentService/GetDocument", &requests)
}

/// CreateDocument, each time a new one under a new request id.
pub(crate) fn create() -> Outcome<Calls> {
    let request = |request_id: Uuid| CreateDocumentRequest {
        solution: world::SOLUTION.into(),
        document: Some(Document {
            name: "INV-2026-0042".into(),
            title: "Invoice 42".into(),
            description: "Delivered as agreed. ".repeat(10),
            document_type: "invoice".into(),
            category: "finance/invoices".into(),
            tags: vec!["2026".into(), "paid".into()],
            ..Document::default()
        }),
        request_id: request_id.to_string(),
        ..CreateDocumentRequest::default()
    };
    // The variant and version bits stay: only the low ones count.
    let first = Uuid::new_v4().as_u128() & !0xffff_ffff;
    let body = move |number: u64| {
        let id = Uuid::from_u128(first | u128::from(number));
        Bytes::from(request(id).encode_to_vec())
    };
    Ok(Calls {
        path: PathAndQuery::from_static("/fbs.document.v1.DocumentService/CreateDocument"),
        body: Arc::new(body),
    })
}

fn resolve_request(solution: &str) -> Bytes {
    ResolveDatabaseRequest { solution: solution.into(), ..ResolveDatabaseRequest::default() }.encode_to_vec().into()
}

fn cycle(path: &'static str, requests: &[Bytes]) -> Outcome<Calls> {
    let requests: Arc<[Bytes]> = requests.into();
    let count = u64::try_from(requests.len())?;
    let body = move |number: u64| {
        let place = number.wrapping_mul(STRIDE) % count;
        requests[usize::try_from(place).unwrap_or(0)].clone()
    };
    Ok(Calls { path: PathAndQuery::from_static(path), body: Arc::new(body) })
}
