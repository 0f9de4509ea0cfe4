//! What a document is, and what create, get, update, delete and undelete do to it.

use fbs_router_proto::document::v1::{
    Confidentiality, DeleteDocumentRequest, Document, UndeleteDocumentRequest, UpdateDocumentRequest, document::State,
};
use fbs_router_sandbox::{platform::SYSTEM_DATABASE, soon};
use prost_types::{ListValue, Struct, Timestamp, Value, value::Kind};
use tonic::Code;
use uuid::Uuid;

use crate::support::{
    World,
    asking::{change, creation, deletion, page, request_id, retitle, undeletion},
    draft, failure,
};

const UNKNOWN: &str = "0190b0a0-0000-7000-8000-00000000dead";

fn value(kind: Kind) -> Value {
    Value { kind: Some(kind) }
}

fn object(fields: &[(&str, Kind)]) -> Struct {
    Struct { fields: fields.iter().map(|(name, kind)| ((*name).to_owned(), value(kind.clone()))).collect() }
}

/// Every kind of JSON, and numbers that are easily spoilt.
fn every_kind() -> Struct {
    let numbers = [
        0.0,
        1.0,
        -1.0,
        0.1,
        -0.1,
        1.0 / 3.0,
        1e15,
        1e-7,
        1e20,
        1e308,
        5e-324,
        f64::MAX,
        f64::MIN_POSITIVE,
        9_007_199_254_740_991.0,
        9_007_199_254_740_992.0,
        9_007_199_254_740_994.0,
        123_456_789.123_456_79,
    ];
    let numbers = ListValue { values: numbers.map(|number| value(Kind::NumberValue(number))).to_vec() };
    let inner = object(&[
        ("empty object", Kind::StructValue(Struct::default())),
        ("empty list", Kind::ListValue(ListValue::default())),
        ("list", Kind::ListValue(ListValue { values: vec![value(Kind::NullValue(0)), value(Kind::BoolValue(false))] })),
    ]);
    object(&[
        ("null", Kind::NullValue(0)),
        ("true", Kind::BoolValue(true)),
        ("numbers", Kind::ListValue(numbers)),
        ("empty", Kind::StringValue(String::new())),
        ("text", Kind::StringValue("\"'\\ \u{1} \n\u{7f} \u{2028} 💾 שלום \u{fffd} \u{10ffff}".into())),
        ("", Kind::StringValue("an empty key".into())),
        ("ключ \"'\\", Kind::StructValue(inner)),
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_document_has_its_defaults() {
    let world = World::new().await;
    let replica = world.replica().await;
    let plain = replica.make("globex", "G-1").await;
    assert_eq!(Uuid::parse_str(&plain.document_id).unwrap().get_version_num(), 7, "time-ordered");
    let expected = Document {
        document_id: plain.document_id.clone(),
        solution: "globex".into(),
        name: "G-1".into(),
        title: "About G-1".into(),
        document_type: "general".into(),
        confidentiality: Confidentiality::Internal.into(),
        state: State::Draft.into(),
        etag: plain.etag.clone(),
        created_by: "anonymous".into(),
        create_time: plain.create_time,
        update_time: plain.create_time,
        ..Document::default()
    };
    assert_eq!(plain, expected);
    assert!(!plain.etag.is_empty());
    let now = std::time::SystemTime::now();
    let age = now.duration_since(plain.create_time.unwrap().try_into().unwrap()).unwrap();
    assert!(age.as_secs() < 60, "{age:?}");
    assert_eq!(replica.read("globex", &plain.document_id).await.unwrap(), plain);

    // What only the server sets is not believed in a request.
    let lies = Document {
        document_id: UNKNOWN.into(),
        state: State::Approved.into(),
        etag: "mine".into(),
        created_by: "me".into(),
        approved_by: "me".into(),
        create_time: Some(Timestamp::default()),
        update_time: Some(Timestamp::default()),
        delete_time: Some(Timestamp::default()),
        purge_time: Some(Timestamp::default()),
        solution_db: "elsewhere".into(),
        solution: "globex".into(),
        ..draft("G-2")
    };
    let honest = replica.ask_create(creation("globex", lies)).await.unwrap();
    assert_ne!(honest.document_id, UNKNOWN);
    assert_eq!(
        (honest.state(), honest.created_by.as_str(), honest.approved_by.as_str()),
        (State::Draft, "anonymous", "")
    );
    assert_eq!((honest.delete_time, honest.purge_time, honest.solution_db.as_str()), (None, None, ""));
    assert!(honest.create_time.unwrap().seconds > 1_600_000_000);
    assert_ne!(honest.etag, "mine");

    // On somebody's behalf.
    let request = fbs_router_proto::document::v1::CreateDocumentRequest {
        actor: "mary@example.com".into(),
        ..creation("globex", draft("G-3"))
    };
    assert_eq!(replica.ask_create(request).await.unwrap().created_by, "mary@example.com");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_said_of_a_document_comes_back_as_it_was_said() {
    let world = World::new().await;
    let replica = world.replica().await;
    let id = "0190b0a0-0000-7000-8000-000000000001";
    let document = Document {
        name: "Ré\u{301}f №1 '; DROP TABLE document; --".into(),
        title: "<script>alert('💾')</script> \u{200f}שלום\u{200f} 𝒳 e\u{301} é".into(),
        description: "line\r\nline\tend \u{1} \"quoted\" \\ \u{2028}\u{10ffff}".into(),
        document_type: "invoice_2".into(),
        category: "Finanzen/Rechnungen '26/ümlaut".into(),
        tags: ["zeta", "Alpha", "é", "e\u{301}", "💾", "z", "it's \"so\", {a}\\"].map(str::to_owned).to_vec(),
        confidentiality: Confidentiality::Confidential.into(),
        metadata: Some(every_kind()),
        expire_time: Some(Timestamp { seconds: 253_402_300_799, nanos: 999_999_999 }),
        ..Document::default()
    };
    for solution in ["globex", "acme_corp"] {
        let mut request = creation(solution, document.clone());
        request.document_id = id.into();
        let created = replica.ask_create(request).await.unwrap();
        let read = replica.read(solution, id).await.unwrap();
        assert_eq!(created, read, "what create answers is what is stored");
        let listed = replica.ask_page(page(solution, 0)).await.unwrap().documents;
        assert_eq!(listed, std::slice::from_ref(&read));
        let mut tags = document.tags.clone();
        tags.sort();
        let expected = Document {
            document_id: id.into(),
            solution: solution.into(),
            solution_db: if solution == "acme_corp" { "djo_acme_corp_db".into() } else { String::new() },
            tags,
            // Postgres keeps microseconds.
            expire_time: Some(Timestamp { seconds: 253_402_300_799, nanos: 999_999_000 }),
            state: State::Draft.into(),
            etag: read.etag.clone(),
            created_by: read.created_by.clone(),
            create_time: read.create_time,
            update_time: read.update_time,
            ..document.clone()
        };
        assert_eq!(read, expected);
        assert_eq!(format!("{:?}", read.metadata), format!("{:?}", Some(every_kind())), "byte for byte");
    }
    // The earliest time there is.
    let early = Timestamp { seconds: -62_135_596_800, nanos: 1_000 };
    let created = replica.ask_create(creation("globex", Document { expire_time: Some(early), ..draft("early") })).await;
    assert_eq!(created.unwrap().expire_time, Some(early));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_is_taken_once_a_solution_and_an_unknown_id_is_not_found() {
    let world = World::new().await;
    let replica = world.replica().await;
    let id = "0190b0a0-0000-7000-8000-000000000001";
    let named = |solution: &str, name: &str| {
        let mut request = creation(solution, draft(name));
        request.document_id = id.into();
        request
    };
    let first = replica.ask_create(named("globex", "first")).await.unwrap();
    assert_eq!(first.document_id, id);
    let exists = Err(failure(Code::AlreadyExists, "DOCUMENT_EXISTS"));
    assert_eq!(replica.ask_create(named("globex", "second")).await, exists);
    // Its id stays taken while it can be taken back.
    replica.ask_delete(deletion("globex", id)).await.unwrap();
    assert_eq!(replica.ask_create(named("globex", "second")).await, exists);

    let not_found = Err(failure(Code::NotFound, "DOCUMENT_NOT_FOUND"));
    for (solution, id) in [("globex", UNKNOWN), ("initech", id), ("acme_corp", id)] {
        assert_eq!(replica.read(solution, id).await, not_found, "{solution}");
        assert_eq!(replica.ask_update(retitle(solution, id, "T")).await, not_found, "{solution}");
        assert_eq!(replica.ask_delete(deletion(solution, id)).await, not_found, "{solution}");
        assert_eq!(replica.ask_undelete(undeletion(solution, id)).await, not_found, "{solution}");
    }
    assert_eq!(replica.ask_create(named("initech", "another's")).await.unwrap().document_id, id);
    assert_eq!(replica.ask_create(named("acme_corp", "another's")).await.unwrap().document_id, id);
    assert_eq!(replica.read("globex", id).await.unwrap().name, "first");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_changes_what_its_mask_names_clears_what_is_unset_and_keeps_the_rest() {
    let world = World::new().await;
    let replica = world.replica().await;
    let full = Document {
        description: "D".into(),
        document_type: "invoice".into(),
        category: "a/b".into(),
        tags: vec!["t".into()],
        confidentiality: Confidentiality::Public.into(),
        metadata: Some(object(&[("k", Kind::NumberValue(1.0))])),
        expire_time: Some(Timestamp { seconds: 4_000_000_000, nanos: 0 }),
        ..draft("N")
    };
    let mut before = replica.ask_create(creation("globex", full)).await.unwrap();
    let id = before.document_id.clone();
    let values = Document {
        name: "N2".into(),
        title: "T2".into(),
        description: "D2".into(),
        category: "c".into(),
        tags: vec!["y".into(), "x".into()],
        confidentiality: Confidentiality::Confidential.into(),
        metadata: Some(object(&[("other", Kind::BoolValue(true))])),
        expire_time: Some(Timestamp { seconds: 4_100_000_000, nanos: 0 }),
        document_type: "ignored".into(),
        state: State::Archived.into(),
        ..Document::default()
    };
    type Take = fn(&mut Document, &Document);
    let fields: [(&str, Take); 8] = [
        ("name", |to, from| to.name = from.name.clone()),
        ("title", |to, from| to.title = from.title.clone()),
        ("description", |to, from| to.description = from.description.clone()),
        ("category", |to, from| to.category = from.category.clone()),
        ("tags", |to, from| to.tags = from.tags.clone()),
        ("confidentiality", |to, from| to.confidentiality = from.confidentiality),
        ("metadata", |to, from| to.metadata = from.metadata.clone()),
        ("expire_time", |to, from| to.expire_time = from.expire_time),
    ];
    let sorted = Document { tags: vec!["x".into(), "y".into()], ..values.clone() };
    let cleared = Document { confidentiality: Confidentiality::Internal.into(), ..Document::default() };
    // One field at a time: set, then, where a document may be without it, cleared.
    for (path, take) in fields {
        for (given, expected) in [(&values, &sorted), (&Document::default(), &cleared)] {
            if expected == &cleared && ["name", "title"].contains(&path) {
                let refused = replica.ask_update(change("globex", &id, given.clone(), &[path])).await;
                assert_eq!(refused, Err(failure(Code::InvalidArgument, "FIELD_INVALID")), "{path}");
                continue;
            }
            let after = replica.ask_update(change("globex", &id, given.clone(), &[path])).await.unwrap();
            let mut wanted = before.clone();
            take(&mut wanted, expected);
            assert_ne!(after.etag, before.etag, "{path}");
            let times = |document: &Document| document.update_time.map(|time| (time.seconds, time.nanos)).unwrap();
            assert!(times(&after) > times(&before), "{path}");
            (wanted.etag, wanted.update_time) = (after.etag.clone(), after.update_time);
            assert_eq!(after, wanted, "{path}");
            assert_eq!(replica.read("globex", &id).await.unwrap(), after, "{path}");
            before = after;
        }
    }
    // All at once.
    let every: Vec<&str> = fields.iter().map(|(path, _)| *path).collect();
    let after = replica.ask_update(change("globex", &id, values.clone(), &every)).await.unwrap();
    let mut wanted = before.clone();
    for (_, take) in fields {
        take(&mut wanted, &sorted);
    }
    (wanted.etag, wanted.update_time) = (after.etag.clone(), after.update_time);
    assert_eq!(after, wanted);

    // What cannot be named.
    for bad in
        ["document_type", "state", "etag", "create_time", "document_id", "solution", "content", "metadata.k", "*"]
    {
        let refused = replica.ask_update(change("globex", &id, values.clone(), &["title", bad])).await;
        assert_eq!(refused, Err(failure(Code::InvalidArgument, "UPDATE_MASK_INVALID")), "{bad}");
    }
    let without = UpdateDocumentRequest { update_mask: None, ..change("globex", &id, values, &[]) };
    assert_eq!(replica.ask_update(without).await, Err(failure(Code::InvalidArgument, "UPDATE_MASK_INVALID")));
    assert_eq!(replica.read("globex", &id).await.unwrap(), after);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_etag_must_be_current_and_of_two_writers_who_hold_it_one_wins() {
    let world = World::new().await;
    let replica = world.replica().await;
    let mismatch = Err(failure(Code::Aborted, "ETAG_MISMATCH"));
    let other = replica.make("globex", "other").await;
    let first = replica.make("globex", "N").await;
    let id = first.document_id.clone();
    let update = async |etag: &str| {
        replica.ask_update(UpdateDocumentRequest { etag: etag.into(), ..retitle("globex", &id, "T") }).await
    };
    let second = update(&first.etag).await.unwrap();
    let weak = format!("W/\"{}\"", second.etag);
    let upper = second.etag.to_uppercase();
    for wrong in [&first.etag, &other.etag, "garbage", &weak, &format!("{} ", second.etag), UNKNOWN, "\u{1F4BE}"] {
        assert_eq!(update(wrong).await, mismatch, "{wrong}");
        let delete =
            fbs_router_proto::document::v1::DeleteDocumentRequest { etag: wrong.into(), ..deletion("globex", &id) };
        assert_eq!(replica.ask_delete(delete).await, mismatch, "{wrong}");
    }
    assert!(upper == second.etag || update(&upper).await == mismatch, "an etag is opaque text");
    assert_eq!(replica.read("globex", &id).await.unwrap(), second);

    let racers = futures_util::future::join_all((0..8).map(|_| update(&second.etag))).await;
    let (won, lost): (Vec<_>, Vec<_>) = racers.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 7));
    assert!(lost.iter().all(|lost| *lost == mismatch), "{lost:?}");
    let now = replica.read("globex", &id).await.unwrap();
    let delete = fbs_router_proto::document::v1::DeleteDocumentRequest { etag: now.etag, ..deletion("globex", &id) };
    assert!(replica.ask_delete(delete).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_drafts_and_rejected_documents_may_be_edited_and_all_may_be_deleted() {
    let world = World::new().await;
    let replica = world.replica().await;
    let states = [State::Draft, State::Pending, State::Approved, State::Rejected, State::Archived];
    for state in states {
        let id = replica.make("globex", "N").await.document_id;
        let number = i32::from(state);
        let sql = format!("UPDATE fbs_document.document SET state = {number} WHERE document_id = '{id}'");
        world.run(SYSTEM_DATABASE, &sql).await;
        let outcome = replica.ask_update(retitle("globex", &id, "T")).await;
        if [State::Draft, State::Rejected].contains(&state) {
            assert_eq!(outcome.unwrap().state(), state);
        } else {
            assert_eq!(outcome, Err(failure(Code::FailedPrecondition, "DOCUMENT_NOT_EDITABLE")), "{state:?}");
        }
        let deleted = replica.ask_delete(deletion("globex", &id)).await.unwrap();
        assert_eq!((deleted.state(), deleted.delete_time.is_some()), (state, true));
        assert_eq!(replica.ask_undelete(undeletion("globex", &id)).await.unwrap().state(), state);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_document_is_invisible_to_mutations_shown_by_get_and_may_be_taken_back() {
    let world = World::new().await;
    let replica = world.replica().await;
    let not_found = Err(failure(Code::NotFound, "DOCUMENT_NOT_FOUND"));
    let kept = replica.make("globex", "kept").await;
    let live = replica.make("globex", "gone").await;
    let id = live.document_id.clone();
    let not_deleted = Err(failure(Code::AlreadyExists, "DOCUMENT_NOT_DELETED"));
    assert_eq!(replica.ask_undelete(undeletion("globex", &id)).await, not_deleted);

    let deleted = replica.ask_delete(deletion("globex", &id)).await.unwrap();
    let (delete_time, purge_time) = (deleted.delete_time.unwrap(), deleted.purge_time.unwrap());
    assert_eq!(purge_time.seconds - delete_time.seconds, 30 * 86_400);
    assert_ne!(deleted.etag, live.etag);
    let untouched = Document {
        etag: live.etag.clone(),
        update_time: live.update_time,
        delete_time: None,
        purge_time: None,
        ..deleted.clone()
    };
    assert_eq!(untouched, live);
    assert_eq!(replica.read("globex", &id).await.unwrap(), deleted);
    assert_eq!(replica.ask_update(retitle("globex", &id, "T")).await, not_found);
    assert_eq!(replica.ask_delete(deletion("globex", &id)).await, not_found);
    assert_eq!(replica.listed(&page("globex", 0)).await, ["kept"]);
    let mut with_deleted = page("globex", 0);
    with_deleted.show_deleted = true;
    assert_eq!(replica.ask_page(with_deleted.clone()).await.unwrap().documents, [deleted.clone(), kept.clone()]);

    let back = replica.ask_undelete(undeletion("globex", &id)).await.unwrap();
    assert_eq!((back.delete_time, back.purge_time), (None, None));
    assert!(back.etag != deleted.etag && back.etag != live.etag);
    assert_eq!(replica.ask_undelete(undeletion("globex", &id)).await, not_deleted);
    assert_eq!(replica.listed(&page("globex", 0)).await, ["gone", "kept"]);
    assert_eq!(replica.ask_update(retitle("globex", &id, "T")).await.unwrap().title, "T");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purged_document_is_gone_for_every_call_and_its_id_is_free_again() {
    let world = World::new().await;
    let replica = world.replica_with("[documents]\npurge_after = \"1s\"\n").await;
    let not_found = Err(failure(Code::NotFound, "DOCUMENT_NOT_FOUND"));
    let mut first = creation("globex", draft("first"));
    first.request_id = request_id();
    let old = replica.ask_create(first.clone()).await.unwrap();
    let id = old.document_id.clone();
    replica.ask_delete(deletion("globex", &id)).await.unwrap();
    soon("the document is purged", async || match replica.read("globex", &id).await {
        Ok(document) => Err(format!("{document:?}")),
        Err(_) => Ok(()),
    })
    .await;
    // The row is there still: nobody has written since.
    assert_eq!(world.system_rows("globex").await, 2);
    assert_eq!(replica.read("globex", &id).await, not_found);
    let mut with_deleted = page("globex", 0);
    with_deleted.show_deleted = true;
    assert_eq!(replica.listed(&with_deleted).await, [""; 0]);
    assert_eq!(replica.ask_update(retitle("globex", &id, "T")).await, not_found);
    assert_eq!(replica.ask_delete(deletion("globex", &id)).await, not_found);
    assert_eq!(replica.ask_undelete(undeletion("globex", &id)).await, not_found);
    assert_eq!(replica.ask_create(first).await, not_found, "a repeat answers the document as it is now");
    assert_eq!(world.system_rows("globex").await, 2, "a call that fails removes nothing");

    let mut second = creation("globex", draft("second"));
    second.document_id = id.clone();
    let new = replica.ask_create(second).await.unwrap();
    assert_eq!((new.name.as_str(), new.delete_time), ("second", None));
    assert_ne!(new.etag, old.etag);
    assert_eq!(replica.listed(&with_deleted).await, ["second"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_rows_are_removed_a_hundred_a_committed_write_and_by_nobody_else() {
    let world = World::new().await;
    let replica = world.replica().await;
    let kept = replica.make("globex", "kept").await;
    let recorded = replica.make("hooli", "kept").await;
    replica.make("initech", "another's").await;
    for solution in ["globex", "hooli", "initech"] {
        let sql = format!(
            "INSERT INTO fbs_document.document (company_id, document_id, name, title, description, document_type, \
             category, tags, confidentiality, state, created_by, create_time, update_time, delete_time, purge_time) \
             SELECT '{solution}', gen_random_uuid(), 'n', 't', '', 'general', '', '{{}}', 2, 1, 'x', now(), now(), \
             now() - interval '2 h', now() - interval '1 h' FROM generate_series(1, 250); \
             INSERT INTO fbs_router.request_record (company_id, principal, request_id, method, digest, document_ids, \
             expire_time) SELECT '{solution}', 'anonymous', gen_random_uuid(), 'CreateDocument', '', '{{}}', \
             now() - interval '1 h' FROM generate_series(1, 250)"
        );
        world.run(SYSTEM_DATABASE, &sql).await;
    }
    let left = async |solution: &str| {
        let count = async |table: &str| {
            let sql = format!("SELECT count(*) FROM {table} WHERE company_id = '{solution}'");
            world.count(SYSTEM_DATABASE, &sql).await
        };
        (count("fbs_document.document").await, count("fbs_router.request_record").await)
    };
    assert_eq!(left("globex").await, (251, 250));
    // Reads and failures remove nothing; nor does whatever runs by itself, which has run when a database is noticed.
    replica.pages(&page("globex", 0)).await;
    replica.ask_undelete(undeletion("globex", &kept.document_id)).await.unwrap_err();
    world.create_own_database("later").await;
    soon("the new database is noticed", async || match replica.place("later").await {
        Ok(place) if place.starts_with("DEDICATED") => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert_eq!(left("globex").await, (251, 250));
    let cold = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'djo_acme_corp_db'";
    assert_eq!(world.count(SYSTEM_DATABASE, cold).await, 0, "nobody asked for acme_corp");

    let id = &kept.document_id;
    replica.ask_update(retitle("globex", id, "T")).await.unwrap();
    assert_eq!(left("globex").await, (151, 150));
    replica.ask_delete(deletion("globex", id)).await.unwrap();
    assert_eq!(left("globex").await, (51, 50));
    replica.ask_undelete(undeletion("globex", id)).await.unwrap();
    assert_eq!(left("globex").await, (1, 0));
    // A write that records its request asks first what has expired. Its own record stays.
    let id = &recorded.document_id;
    replica.ask_update(UpdateDocumentRequest { request_id: request_id(), ..retitle("hooli", id, "T") }).await.unwrap();
    assert_eq!(left("hooli").await, (151, 151));
    replica.ask_delete(DeleteDocumentRequest { request_id: request_id(), ..deletion("hooli", id) }).await.unwrap();
    assert_eq!(left("hooli").await, (51, 52));
    replica
        .ask_undelete(UndeleteDocumentRequest { request_id: request_id(), ..undeletion("hooli", id) })
        .await
        .unwrap();
    assert_eq!(left("hooli").await, (1, 3));
    assert_eq!(left("initech").await, (251, 250), "another's rows are another's");
    for solution in ["globex", "hooli"] {
        assert_eq!(replica.listed(&page(solution, 0)).await, ["kept"]);
    }
}
