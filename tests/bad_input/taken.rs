//! Rows that look bad and are good: they are taken as they were sent.

use fbs_router_proto::document::v1::{
    BatchGetDocumentsRequest, Document, DocumentFilter, ListDocumentsRequest, SearchDocumentsRequest,
};
use fbs_router_sandbox::platform::{ACME_DATABASE, SYSTEM_DATABASE};
use prost::{
    Message,
    bytes::{BufMut, BytesMut},
};
use prost_types::{Timestamp, value::Kind};

use super::{
    documents::{metadata, nested_lists, nested_objects},
    scene::{Scene, batch},
    wire::CREATE,
};
use crate::support::{
    Replica, World,
    asking::{change, creation, page},
    draft,
    wire::{framed, raw},
    within,
};

/// Sends all of them; their numbers.
pub(super) async fn all(world: &World, replica: &Replica, scene: &Scene) -> Vec<u32> {
    stored_as_sent(replica).await;
    output_is_ignored(replica, scene).await;
    deepest(replica).await;
    sizes_and_queries(replica).await;
    file_names(replica, scene).await;
    headers(replica).await;
    assert_eq!(world.rows(ACME_DATABASE, "acme_corp").await, 1, "headers choose no solution");
    vec![10, 20, 21, 28, 32, 37, 46, 51, 58, 62, 67]
}

async fn stored_as_sent(replica: &Replica) {
    let texts = [
        // 20: composed and decomposed stay what they are.
        "\u{e9}",
        "e\u{301}",
        // 21
        "💾 👩‍👩‍👧 𝒳",
        "אבג ‏مرحبا",
        "'; DROP TABLE document; --",
        "<script>alert(1)</script>",
        "$1 %s \\ \u{fffd} \u{10ffff}",
        &"💾".repeat(255),
    ];
    let mut documents: Vec<Document> =
        texts.iter().map(|text| Document { title: (*text).to_owned(), ..draft(text) }).collect();
    // 28: a number is a double, and comes back as the double that it was.
    for number in [9_007_199_254_740_993.0, 1e308, 5e-324, -0.0, 0.1] {
        documents.push(metadata(Kind::NumberValue(number)));
    }
    documents.push(metadata(nested_lists(30)));
    // 32: when a document loses its validity is its owner's affair.
    for seconds in [-62_135_596_800, 1, 253_402_300_799] {
        documents.push(Document { expire_time: Some(Timestamp { seconds, nanos: 0 }), ..draft("N") });
    }
    for document in documents {
        let made = replica.ask_create(creation("globex", document.clone())).await.unwrap();
        let read = replica.read("globex", &made.document_id).await.unwrap();
        assert_eq!((&read.name, &read.title), (&document.name, &document.title));
        assert_eq!((&read.metadata, &read.expire_time), (&document.metadata, &document.expire_time));
    }
}

/// The deepest metadata there may be, 32 levels, through every message that holds a document.
async fn deepest(replica: &Replica) {
    let document = Document { title: "deepest".into(), ..metadata(nested_objects(31)) };
    let made = replica.documents().batch_create_documents(within(batch(vec![document.clone()]))).await.unwrap();
    let made = made.into_inner().documents.remove(0);
    assert_eq!(made.metadata, document.metadata);
    let wanted = BatchGetDocumentsRequest {
        solution: "globex".into(),
        document_ids: vec![made.document_id.clone()],
        ..BatchGetDocumentsRequest::default()
    };
    let got = replica.documents().batch_get_documents(within(wanted)).await.unwrap().into_inner();
    assert_eq!(got.documents[..], *std::slice::from_ref(&made));
    let filter = Some(DocumentFilter { metadata: document.metadata, ..DocumentFilter::default() });
    let listed = replica.ask_page(ListDocumentsRequest { filter: filter.clone(), ..page("globex", 0) }).await.unwrap();
    assert_eq!(listed.documents[..], *std::slice::from_ref(&made));
    let search = SearchDocumentsRequest {
        solution: "globex".into(),
        query: "deepest".into(),
        filter,
        ..SearchDocumentsRequest::default()
    };
    let found = replica.documents().search_documents(within(search)).await.unwrap().into_inner().results;
    assert_eq!(found[0].document, Some(made));
}

/// 37: what only the server sets may stand in the body, as after a read, and changes nothing.
async fn output_is_ignored(replica: &Replica, scene: &Scene) {
    let lie = Document {
        document_id: scene.pending.document_id.clone(),
        state: 3,
        etag: "lie".into(),
        created_by: "somebody else".into(),
        approved_by: "nobody".into(),
        create_time: Some(Timestamp { seconds: 1, nanos: -1 }),
        delete_time: Some(Timestamp { seconds: 1, nanos: 0 }),
        solution_db: ACME_DATABASE.into(),
        ..draft("truth")
    };
    let made = replica.ask_create(creation("globex", lie.clone())).await.unwrap();
    let changed = replica.ask_update(change("globex", &made.document_id, lie, &["title"])).await.unwrap();
    for document in [&made, &changed] {
        assert_ne!(document.document_id, scene.pending.document_id);
        assert_eq!((document.state, document.created_by.as_str()), (1, "anonymous"));
        assert_eq!((document.approved_by.as_str(), document.solution_db.as_str()), ("", ""));
        assert_eq!(document.delete_time, None);
        assert!(document.create_time.unwrap().seconds > 1);
    }
}

/// 46, 50, 51
async fn sizes_and_queries(replica: &Replica) {
    for size in [0, 1_000_000_000, i32::MAX] {
        let request = ListDocumentsRequest { show_deleted: true, ..page("globex", size) };
        assert!(replica.ask_page(request).await.unwrap().documents.len() > 10, "{size}");
    }
    replica.ask_create(creation("globex", Document { title: "100% literally_so".into(), ..draft("N") })).await.unwrap();
    let queries = [
        ("100% literally_so", 1),
        ("liter%", 0),
        ("l_terally_so", 0),
        ("literally\\_so", 1),
        ("the", 0),
        ("zz & ", 0),
        ("(((zz:*", 0),
        ("zz <-> '\"", 0),
        ("-zz", -1),
    ];
    for (query, hits) in queries {
        let request = SearchDocumentsRequest { solution: "globex".into(), query: query.into(), ..Default::default() };
        let found = replica.documents().search_documents(within(request)).await;
        let found = found.unwrap_or_else(|status| panic!("{query}: {status:?}")).into_inner().results.len();
        assert!(hits < 0 || i32::try_from(found) == Ok(hits), "{query}: {found}");
    }
}

/// 67: a name is data. What is a trap only for one file system is that system's affair.
async fn file_names(replica: &Replica, scene: &Scene) {
    for name in ["CON", ".hidden", "a.", "a ", "-rf", "~", "a:b"] {
        let stored = replica.upload("globex", &scene.filed.document_id, name, b"x").await.unwrap();
        assert_eq!(stored.content.unwrap().filename, name);
    }
}

/// 10, 58, 60, 62
async fn headers(replica: &Replica) {
    let good = framed(0, &creation("globex", draft("M")).encode_to_vec());
    let names: Vec<String> = (0..101).map(|number| format!("x-{number}")).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "y")).collect();
    let mut calls: Vec<Vec<(&str, &str)>> = vec![
        vec![("x-solution", "acme_corp"), ("x-tenant-id", "acme_corp"), ("fbs-database", ACME_DATABASE)],
        vec![("x-data-bin", "not base64!")],
        many,
    ];
    calls.extend(["abc", "99999999999S", "-1S", "1.5S", ""].map(|timeout| vec![("grpc-timeout", timeout)]));
    for headers in calls {
        let answer = raw(replica.grpc, CREATE, &headers, good.clone()).await;
        assert_eq!(
            (&answer["grpc-status"], &answer["fbs-database"]),
            (&"0".parse().unwrap(), &SYSTEM_DATABASE.parse().unwrap()),
            "{headers:?}"
        );
    }
    // Of two messages where there should be one the first counts.
    let mut two = BytesMut::from(&good[..]);
    two.put(good);
    let answer = raw(replica.grpc, CREATE, &[], two.freeze()).await;
    assert_eq!(answer["grpc-status"], "0");
}
