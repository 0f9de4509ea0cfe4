//! Many documents in one call.

use std::collections::HashSet;

use fbs_router_proto::document::v1 as proto;
use prost::Message;
use uuid::Uuid;

use super::{
    document,
    envelope::envelope,
    fields::{self, Kind, Violations},
};
use crate::{
    domain::{
        Naming, Result,
        document::DocumentId,
        request::{Command, Creation, Query},
    },
    rpc::page::ANSWER_BYTES,
};

/// Most documents of a batch.
const BATCH: usize = 100;
/// What an answer adds to a document that was sent: ids, etag, times, and a creator of 255 characters.
const ADDED_BYTES: usize = 1_536;

/// `BatchGetDocuments`.
pub fn get_many(request: proto::BatchGetDocumentsRequest, naming: &Naming) -> Result<Query<Vec<DocumentId>>> {
    let mut violations = Violations::default();
    let addressee = violations.addressee(naming, &request.solution, request.database);
    length(&mut violations, "document_ids", request.document_ids.len());
    let most = request.document_ids.len();
    let ids = violations.each((Kind::Field, "document_ids", most), request.document_ids, |text| fields::uuid(&text));
    if let Some(ids) = &ids {
        twice(&mut violations, ids.iter().enumerate(), |index| format!("document_ids[{index}]"));
    }
    addressee.query(violations, ids)
}

/// `BatchCreateDocuments`.
pub fn create_many(mut request: proto::BatchCreateDocumentsRequest, naming: &Naming) -> Result<Command<Vec<Creation>>> {
    let mut violations = Violations::default();
    let envelope = envelope!(violations, naming, "BatchCreateDocuments", request);
    length(&mut violations, "requests", request.requests.len());
    if request.requests.len() > BATCH {
        return envelope.command(violations, None);
    }
    let answer: usize = request.requests.iter().map(|one| one.encoded_len() + ADDED_BYTES).sum();
    if answer > ANSWER_BYTES {
        violations.add(Kind::Batch, "requests", "would be answered with more than 3 MiB");
    }
    let mut read = Vec::with_capacity(request.requests.len());
    for (index, one) in request.requests.into_iter().enumerate() {
        let mut part = Violations::default();
        for (field, text) in [
            ("solution", &one.solution),
            ("request_id", &one.request_id),
            ("actor", &one.actor),
            ("database", &one.database),
        ] {
            if !text.is_empty() {
                part.add(Kind::Field, field, "must be empty: it is said once for the whole batch");
            }
        }
        read.push(document::creation(&mut part, one.document_id, one.document, &request.solution));
        violations.within(&format!("requests[{index}]"), part);
    }
    let ids = read.iter().enumerate();
    let ids = ids.filter_map(|(index, one)| Some((index, one.as_ref()?.document_id.as_ref()?)));
    twice(&mut violations, ids, |index| format!("requests[{index}].document_id"));
    envelope.command(violations, read.into_iter().collect())
}

fn length(violations: &mut Violations, field: &str, length: usize) {
    if !(1..=BATCH).contains(&length) {
        violations.add(Kind::Batch, field, format!("must have 1 to {BATCH} values"));
    }
}

fn twice<'i>(
    violations: &mut Violations,
    ids: impl Iterator<Item = (usize, &'i Uuid)>,
    place: impl Fn(usize) -> String,
) {
    let mut seen = HashSet::new();
    for (index, id) in ids {
        if !seen.insert(id) {
            violations.add(Kind::Batch, place(index), "is there twice");
        }
    }
}
