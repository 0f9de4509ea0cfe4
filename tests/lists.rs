//! Lists: order, pages, tokens, filters.

use std::collections::BTreeSet;

use fbs_router_proto::document::v1::{
    Confidentiality, Document, DocumentFilter, ListDocumentsRequest, document::State,
};
use fbs_router_sandbox::platform::SYSTEM_DATABASE;
use prost::Message;
use prost_types::{ListValue, Struct, Timestamp, Value, value::Kind};
use tonic::Code;

use crate::support::{
    Replica, World,
    asking::{creation, deletion, page},
    draft, failure,
};

const ORDERS: [&str; 8] =
    ["create_time", "create_time desc", "update_time", "update_time desc", "name", "name desc", "title", "title desc"];

fn ordered(order_by: &str, page_size: i32) -> ListDocumentsRequest {
    ListDocumentsRequest { order_by: order_by.into(), ..page("globex", page_size) }
}

/// Fills by SQL, so that keys can be equal: every four documents share their times, name and title.
async fn sixty(world: &World, replica: &Replica) {
    replica.ask_delete(deletion("globex", &replica.make("globex", "first write").await.document_id)).await.unwrap();
    // Code points: 'Z' < 'a' < 'é' (U+E9) < 'ß'… < '豈' (U+F900) < '💾' (U+1F4BE), where UTF-16 would put 💾 before 豈.
    let sql = "INSERT INTO fbs_document.document (company_id, document_id, name, title, description, document_type, \
        category, tags, confidentiality, state, created_by, create_time, update_time) \
        SELECT 'globex', gen_random_uuid(), (ARRAY['Z','a','ab','B','é','e\u{301}','ß','א','\u{f900}','\u{ffee}','💾','𝒳','a ','\u{e000}','10'])[1 + n / 4], \
        (ARRAY['b','a b','9','١','Ω','ω','\u{ffff}','\u{10000}','~','!','aa','ab','A','É','中'])[1 + (n * 7 % 60) / 4], '', 'general', '', \
        '{}', 2, 1, 'x', timestamptz '2020-01-01' + interval '1 microsecond' * (n * 11 % 60 / 4), \
        timestamptz '2020-01-01' + interval '1 s' * (n * 13 % 60 / 4) FROM generate_series(0, 59) AS n";
    world.run(SYSTEM_DATABASE, sql).await;
}

fn key(document: &Document, order_by: &str) -> (Vec<u8>, String) {
    let time = |time: &Option<Timestamp>| {
        let time = time.unwrap();
        [time.seconds.to_be_bytes().to_vec(), time.nanos.to_be_bytes().to_vec()].concat()
    };
    let key = match order_by.trim_end_matches(" desc") {
        "create_time" => time(&document.create_time),
        "update_time" => time(&document.update_time),
        // The order of UTF-8 bytes is the order of code points.
        "name" => document.name.clone().into_bytes(),
        _ => document.title.clone().into_bytes(),
    };
    (key, document.document_id.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_order_pages_through_everything_once_with_equal_keys_ordered_by_id() {
    let world = World::new().await;
    let replica = world.replica().await;
    sixty(&world, &replica).await;
    for order_by in ORDERS {
        let mut whole = replica.ask_page(ordered(order_by, 500)).await.unwrap();
        assert_eq!((whole.documents.len(), whole.next_page_token.as_str()), (60, ""), "{order_by}");
        let mut expected = whole.documents.clone();
        expected.sort_by_key(|document| key(document, order_by));
        if order_by.ends_with(" desc") {
            expected.reverse();
        }
        assert_eq!(whole.documents, expected, "{order_by}");
        // Sizes that end within equal keys, divide evenly, do not, and are larger than all.
        for (size, lengths) in
            [(7, [vec![7; 8], vec![4]].concat()), (20, vec![20; 3]), (59, vec![59, 1]), (60, vec![60])]
        {
            let pages = replica.pages(&ordered(order_by, size)).await;
            assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), lengths, "{order_by} by {size}");
            assert_eq!(pages.concat(), whole.documents, "{order_by} by {size}");
        }
        whole.documents.clear();
    }
    let default = replica.ask_page(page("globex", 0)).await.unwrap().documents;
    assert_eq!(default, replica.ask_page(ordered("create_time desc", 50)).await.unwrap().documents);
    assert!(replica.ask_page(page("initech", 0)).await.unwrap().documents.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_throughout_is_listed_once_whatever_comes_and_goes_between_pages() {
    let world = World::new().await;
    let replica = world.replica().await;
    sixty(&world, &replica).await;
    for order_by in ORDERS {
        let all = replica.pages(&ordered(order_by, 500)).await.concat();
        let (mut removed, mut seen, mut request) = (BTreeSet::new(), Vec::new(), ordered(order_by, 7));
        loop {
            let answer = replica.ask_page(request.clone()).await.unwrap();
            // The last of the page, on which its token stands; one seen before; and one to come.
            let place = seen.len() + answer.documents.len();
            let gone = [answer.documents.last(), answer.documents.first(), all.get(place + 2)];
            seen.extend(answer.documents.iter().map(|document| document.document_id.clone()));
            for document in gone.into_iter().flatten() {
                if removed.insert(document.document_id.clone()) {
                    // A document that was removed before is not there throughout.
                    let _ = replica.ask_delete(deletion("globex", &document.document_id)).await;
                }
            }
            // One before and one after every place in the order of texts, and the newest.
            for name in [" !", "\u{10fffd}"] {
                replica.make("globex", name).await;
            }
            if answer.next_page_token.is_empty() {
                break;
            }
            request.page_token = answer.next_page_token;
        }
        let once: BTreeSet<&String> = seen.iter().collect();
        assert_eq!(once.len(), seen.len(), "{order_by}: nothing twice");
        for document in &all {
            let id = &document.document_id;
            assert!(removed.contains(id) || once.contains(id), "{order_by}: {} is missing", document.name);
        }
        // As before, for the next order.
        let restore = "UPDATE fbs_document.document SET delete_time = NULL, purge_time = NULL WHERE created_by = 'x'; \
                       DELETE FROM fbs_document.document WHERE created_by <> 'x'";
        world.run(SYSTEM_DATABASE, restore).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn page_sizes_have_a_default_and_a_most_and_are_not_negative() {
    let world = World::new().await;
    let replica = world.replica().await;
    replica.make("globex", "first write").await;
    let sql = "INSERT INTO fbs_document.document (company_id, document_id, name, title, description, document_type, \
        category, tags, confidentiality, state, created_by, create_time, update_time) SELECT 'globex', \
        gen_random_uuid(), 'n', 't', '', 'general', '', '{}', 2, 1, 'x', now(), now() FROM generate_series(1, 510)";
    world.run(SYSTEM_DATABASE, sql).await;
    for (size, length) in [(0, 50), (1, 1), (499, 499), (500, 500), (501, 500), (i32::MAX, 500)] {
        let answer = replica.ask_page(page("globex", size)).await.unwrap();
        assert_eq!(answer.documents.len(), length, "{size}");
        assert!(!answer.next_page_token.is_empty(), "{size}");
    }
    for size in [-1, i32::MIN] {
        let refused = replica.ask_page(page("globex", size)).await;
        assert_eq!(refused, Err(failure(Code::InvalidArgument, "FIELD_INVALID")), "{size}");
    }
    // The size is the one argument that may change from page to page.
    let mut request = page("globex", 10);
    request.page_token = replica.ask_page(request.clone()).await.unwrap().next_page_token;
    request.page_size = 500;
    assert_eq!(replica.pages(&request).await.iter().map(Vec::len).collect::<Vec<_>>(), [500, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_for_this_request_is_refused() {
    let world = World::new().await;
    let replica = world.replica().await;
    for solution in ["globex", "initech", "acme_corp"] {
        for name in ["A", "B", "C"] {
            replica.make(solution, name).await;
        }
    }
    let refused = failure(Code::InvalidArgument, "PAGE_TOKEN_INVALID");
    let request = page("globex", 1);
    let token = replica.ask_page(request.clone()).await.unwrap().next_page_token;
    let with = |request: &ListDocumentsRequest, token: &str| ListDocumentsRequest {
        page_token: token.into(),
        ..request.clone()
    };
    assert_eq!(replica.ask_page(with(&request, &token)).await.unwrap().documents[0].name, "B");

    for garbage in [
        "x",
        "====",
        "\u{0}",
        "AAAA",
        &"A".repeat(3_000),
        &token[1..],
        &token[..token.len() - 1],
        &format!("{token}A"),
        &format!("{token}="),
        &format!(" {token}"),
    ] {
        assert_eq!(replica.ask_page(with(&request, garbage)).await.unwrap_err(), refused, "{garbage:?}");
    }
    for place in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(bytes).unwrap();
        assert_eq!(replica.ask_page(with(&request, &forged)).await.unwrap_err(), refused, "{place}");
    }
    let filter = |filter: DocumentFilter| ListDocumentsRequest { filter: Some(filter), ..request.clone() };
    let others = [
        page("initech", 1),
        page("acme_corp", 1),
        ordered("create_time", 1),
        ordered("create_time desc", 1),
        ordered("name", 1),
        ListDocumentsRequest { show_deleted: true, ..request.clone() },
        ListDocumentsRequest { database: SYSTEM_DATABASE.into(), ..request.clone() },
        filter(DocumentFilter { category: "a".into(), ..DocumentFilter::default() }),
        filter(DocumentFilter { states: vec![1], ..DocumentFilter::default() }),
    ];
    for other in others {
        assert_eq!(replica.ask_page(with(&other, &token)).await.unwrap_err(), refused, "{other:?}");
    }
    // Keys of its own.
    let stranger = world.replica().await;
    assert_eq!(stranger.ask_page(with(&request, &token)).await.unwrap_err(), refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_with_one_key_file_take_each_others_tokens_also_while_keys_change() {
    let world = World::new().await;
    let file = |name: &str, keys: &[char]| {
        let path = world.folder.path().join(name);
        let lines: Vec<String> = keys.iter().map(|digit| digit.to_string().repeat(64)).collect();
        std::fs::write(&path, lines.join("\n") + "\n").unwrap();
        format!("[tokens]\nkey_file = \"{}\"\n", path.display())
    };
    let old = world.replica_with(&file("old", &['1'])).await;
    let same = world.replica_with(&file("same", &['1'])).await;
    let both = world.replica_with(&file("both", &['2', '1'])).await;
    let new = world.replica_with(&file("new", &['2'])).await;
    for name in ["A", "B", "C"] {
        old.make("globex", name).await;
    }
    let token = async |replica: &Replica| replica.ask_page(page("globex", 1)).await.unwrap().next_page_token;
    let follow = async |replica: &Replica, page_token: String| {
        let request = ListDocumentsRequest { page_token, ..page("globex", 1) };
        replica.ask_page(request).await.map(|answer| answer.documents[0].name.clone()).map_err(|(_, reason)| reason)
    };
    assert_eq!(follow(&same, token(&old).await).await, Ok("B".into()));
    assert_eq!(follow(&both, token(&old).await).await, Ok("B".into()));
    assert_eq!(follow(&new, token(&both).await).await, Ok("B".into()), "the first key signs");
    assert_eq!(follow(&new, token(&old).await).await, Err("PAGE_TOKEN_INVALID".into()));
    assert_eq!(follow(&old, token(&both).await).await, Err("PAGE_TOKEN_INVALID".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_at_most_three_mebibytes_and_all_pages_together_are_complete() {
    let world = World::new().await;
    let replica = world.replica().await;
    let fat = Value { kind: Some(Kind::StringValue("m".repeat(60_000))) };
    for number in 0..100 {
        let document = Document {
            description: "é".repeat(8_000),
            metadata: Some(Struct { fields: [("fat".to_owned(), fat.clone())].into() }),
            ..draft(&format!("F-{number:03}"))
        };
        replica.ask_create(creation("globex", document)).await.unwrap();
    }
    let mut request = ordered("name", 500);
    let (mut names, mut sizes) = (Vec::new(), Vec::new());
    loop {
        let answer = replica.ask_page(request.clone()).await.unwrap();
        assert!(answer.encoded_len() <= 3 * 1024 * 1024, "{}", answer.encoded_len());
        sizes.push(answer.encoded_len());
        names.extend(answer.documents.into_iter().map(|document| document.name));
        if answer.next_page_token.is_empty() {
            break;
        }
        request.page_token = answer.next_page_token;
    }
    assert_eq!(names, (0..100).map(|number| format!("F-{number:03}")).collect::<Vec<_>>());
    assert!(sizes.len() == 3 && sizes[0] > 2_900_000, "pages are as full as they may be: {sizes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_filter_lets_through_what_meets_it_and_nothing_else() {
    let world = World::new().await;
    let replica = world.replica().await;
    let number = |number: f64| Value { kind: Some(Kind::NumberValue(number)) };
    let text = |text: &str| Value { kind: Some(Kind::StringValue(text.into())) };
    let list = |values: Vec<Value>| Value { kind: Some(Kind::ListValue(ListValue { values })) };
    let object = |fields: Vec<(&str, Value)>| Struct {
        fields: fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
    };
    let nested = |fields: Vec<(&str, Value)>| Value { kind: Some(Kind::StructValue(object(fields))) };
    let at = |seconds: i64, nanos: i32| Some(Timestamp { seconds, nanos });
    let documents = [
        Document {
            category: "finance".into(),
            tags: vec!["a".into(), "b".into()],
            confidentiality: Confidentiality::Public.into(),
            metadata: Some(object(vec![
                ("n", number(1.0)),
                ("t", text("x")),
                ("l", list(vec![number(1.0), number(2.0)])),
            ])),
            ..draft("A")
        },
        Document {
            category: "finance/invoices".into(),
            tags: vec!["a".into()],
            document_type: "invoice".into(),
            expire_time: at(4_000_000_000, 0),
            metadata: Some(object(vec![("o", nested(vec![("n", number(0.5)), ("k", text("v"))]))])),
            ..draft("B")
        },
        Document {
            category: "finance2".into(),
            tags: vec!["b".into(), "c".into()],
            confidentiality: Confidentiality::Confidential.into(),
            expire_time: at(4_000_000_001, 500_000_000),
            ..draft("C")
        },
        Document {
            category: "Finance".into(),
            document_type: "contract".into(),
            metadata: Some(Struct::default()),
            ..draft("D")
        },
        Document { category: "fin%nce/100%_\\".into(), ..draft("E") },
    ];
    let mut made = Vec::new();
    for (index, document) in documents.into_iter().enumerate() {
        let mut request = creation("globex", document);
        request.actor = if index == 2 { "mary".into() } else { "bob".into() };
        made.push(replica.ask_create(request).await.unwrap());
    }
    let sql = format!("UPDATE fbs_document.document SET state = 3 WHERE document_id = '{}'", made[1].document_id);
    world.run(SYSTEM_DATABASE, &sql).await;
    let ask = async |filter: DocumentFilter| {
        let request = ListDocumentsRequest { filter: Some(filter), ..ordered("name", 2) };
        replica.listed(&request).await.concat()
    };
    macro_rules! filter {
        ($($field:ident: $value:expr),*) => { DocumentFilter { $($field: $value,)* ..DocumentFilter::default() } };
    }
    let strings = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
    let (draft_state, approved) = (State::Draft.into(), State::Approved.into());
    let created = |index: usize| made[index].create_time;
    let later = |index: usize| {
        let time = made[index].create_time.unwrap();
        // Between this microsecond and the next one.
        at(time.seconds, time.nanos + 1)
    };
    let table = [
        (filter!(), "ABCDE"),
        (filter!(states: vec![approved]), "B"),
        (filter!(states: vec![draft_state]), "ACDE"),
        (filter!(states: vec![draft_state, approved]), "ABCDE"),
        (filter!(states: vec![State::Archived.into()]), ""),
        (filter!(document_types: strings(&["invoice"])), "B"),
        (filter!(document_types: strings(&["invoice", "contract", "nothing"])), "BD"),
        (filter!(document_types: strings(&["general"])), "ACE"),
        (filter!(category: "finance".into()), "AB"),
        (filter!(category: "finance/invoices".into()), "B"),
        (filter!(category: "finance/inv".into()), ""),
        (filter!(category: "finance2".into()), "C"),
        (filter!(category: "fin%nce".into()), "E"),
        (filter!(category: "fin_nce".into()), ""),
        (filter!(category: "fin%nce/100%_\\".into()), "E"),
        (filter!(tags: strings(&["a"])), "AB"),
        (filter!(tags: strings(&["b"])), "AC"),
        (filter!(tags: strings(&["b", "a"])), "A"),
        (filter!(tags: strings(&["a", "b", "c"])), ""),
        (filter!(confidentialities: vec![Confidentiality::Public.into()]), "A"),
        (filter!(confidentialities: vec![Confidentiality::Public.into(), Confidentiality::Confidential.into()]), "AC"),
        (filter!(created_by: "mary".into()), "C"),
        (filter!(created_by: "mar".into()), ""),
        (filter!(create_time_from: created(2)), "CDE"),
        (filter!(create_time_from: later(2)), "DE"),
        (filter!(create_time_until: created(2)), "AB"),
        (filter!(create_time_until: later(2)), "ABC"),
        (filter!(create_time_from: created(1), create_time_until: created(3)), "BC"),
        (filter!(expire_time_until: at(4_000_000_000, 0)), ""),
        (filter!(expire_time_until: at(4_000_000_000, 1)), "B"),
        (filter!(expire_time_until: at(4_000_000_002, 0)), "BC"),
        (filter!(metadata: Some(Struct::default())), "ABCDE"),
        (filter!(metadata: Some(object(vec![("n", number(1.0))]))), "A"),
        (filter!(metadata: Some(object(vec![("n", text("1"))]))), ""),
        (filter!(metadata: Some(object(vec![("l", list(vec![number(2.0)]))]))), "A"),
        (filter!(metadata: Some(object(vec![("o", nested(vec![("n", number(0.5))]))]))), "B"),
        (filter!(metadata: Some(object(vec![("n", number(0.5))]))), ""),
        (
            filter!(states: vec![draft_state], tags: strings(&["a"]), category: "finance".into(), created_by: "bob".into()),
            "A",
        ),
        (filter!(states: vec![approved], created_by: "mary".into()), ""),
    ];
    for (filter, expected) in table {
        assert_eq!(ask(filter.clone()).await, expected, "{filter:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_or_order_that_cannot_be_understood_is_refused() {
    let world = World::new().await;
    let replica = world.replica().await;
    macro_rules! filter {
        ($field:ident: $value:expr) => {
            DocumentFilter { $field: $value, ..DocumentFilter::default() }
        };
    }
    let bad_time = Some(Timestamp { seconds: 0, nanos: -1 });
    let nul = Value { kind: Some(Kind::StringValue("\0".into())) };
    let filters = [
        filter!(states: vec![0]),
        filter!(states: vec![9_999]),
        filter!(states: vec![1; 101]),
        filter!(document_types: vec!["Invoice".into()]),
        filter!(document_types: vec![String::new()]),
        filter!(category: "/a".into()),
        filter!(category: "a//b".into()),
        filter!(category: "a/".into()),
        filter!(tags: vec![String::new()]),
        filter!(tags: vec!["t".into(); 101]),
        filter!(tags: vec!["\0".into()]),
        filter!(confidentialities: vec![9]),
        filter!(created_by: "a\nb".into()),
        filter!(created_by: "x".repeat(256)),
        filter!(create_time_from: bad_time),
        filter!(create_time_until: Some(Timestamp { seconds: i64::MAX, nanos: 0 })),
        filter!(expire_time_until: Some(Timestamp { seconds: i64::MIN, nanos: 0 })),
        filter!(metadata: Some(Struct { fields: [("k".to_owned(), nul)].into() })),
        filter!(metadata: Some(Struct { fields: [("k".to_owned(), Value { kind: Some(Kind::NumberValue(f64::NAN)) })].into() })),
    ];
    let refused = failure(Code::InvalidArgument, "FILTER_INVALID");
    for filter in filters {
        let request = ListDocumentsRequest { filter: Some(filter.clone()), ..page("globex", 0) };
        assert_eq!(replica.ask_page(request).await.unwrap_err(), refused, "{filter:?}");
    }
    for order in
        ["nothing", "name asc", "name  desc", "name desc desc", "NAME", "name,title", " name", "title; drop", "desc"]
    {
        assert_eq!(replica.ask_page(ordered(order, 0)).await.unwrap_err(), refused, "{order:?}");
    }
}
