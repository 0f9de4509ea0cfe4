//! Search and figures: what is found, in which order, and nothing of anybody else's.

use std::collections::{BTreeMap, HashMap};

use fbs_router_proto::document::v1::{
    Document, DocumentFilter, GetDocumentStatsRequest, GetDocumentStatsResponse, SearchDocumentsRequest,
    SearchDocumentsResponse, search_documents_response::Result as Found,
};
use fbs_router_sandbox::platform::{ACME_DATABASE, SYSTEM_DATABASE};
use prost_types::{Struct, Value, value::Kind};
use tonic::Code;

use crate::support::{
    Replica, World,
    asking::{Refusal, creation, deletion, refusal, retitle, submission},
    draft, failure, within,
};

fn query(solution: &str, query: &str) -> SearchDocumentsRequest {
    SearchDocumentsRequest { solution: solution.into(), query: query.into(), ..Default::default() }
}

impl Replica {
    async fn search(&self, request: SearchDocumentsRequest) -> Result<SearchDocumentsResponse, Refusal> {
        let answer = self.documents().search_documents(within(request)).await;
        answer.map(tonic::Response::into_inner).map_err(|status| refusal(&status))
    }

    /// All pages.
    async fn found(&self, mut request: SearchDocumentsRequest) -> Vec<Found> {
        let mut results = Vec::new();
        loop {
            let page = self.search(request.clone()).await.unwrap();
            results.extend(page.results);
            if page.next_page_token.is_empty() {
                return results;
            }
            request.page_token = page.next_page_token;
        }
    }

    /// Names of what is found, sorted.
    async fn found_names(&self, solution: &str, text: &str) -> Vec<String> {
        let found = self.found(query(solution, text)).await;
        let mut names: Vec<String> = found.into_iter().map(|found| found.document.unwrap().name).collect();
        names.sort();
        names
    }

    async fn stats(&self, solution: &str) -> GetDocumentStatsResponse {
        let request = GetDocumentStatsRequest { solution: solution.into(), ..Default::default() };
        self.documents().get_document_stats(within(request)).await.unwrap().into_inner()
    }
}

/// Rows as somebody else would write them: title, type and category by SQL, over `n` from 1 to `count`.
async fn fill(world: &World, database: &str, solution: &str, (title, kind, category): (&str, &str, &str), count: u32) {
    let sql = format!(
        "INSERT INTO fbs_document.document (company_id, document_id, name, title, description, document_type, category, \
         tags, confidentiality, state, created_by, create_time, update_time) \
         SELECT '{solution}', gen_random_uuid(), 'FILL', {title}, '', {kind}, {category}, '{{}}', 2, 1, 'bob', \
         now() + interval '1 s', now() FROM generate_series(1, {count}) AS n"
    );
    world.run(database, &sql).await;
}

async fn shelve(replica: &Replica, solution: &str) {
    let text = |text: &str| Value { kind: Some(Kind::StringValue(text.into())) };
    let metadata = Struct { fields: [("site".into(), text("Volcano lair")), ("key_only".into(), text("x"))].into() };
    let swept = "The volcano is to be swept weekly.";
    for document in [
        Document { title: "Lease of the volcano".into(), ..draft("CTR-1") },
        Document { title: "Maintenance".into(), description: swept.into(), ..draft("CTR-2") },
        Document { title: "Weather machine".into(), tags: vec!["blue sky".into(), "volcano".into()], ..draft("CTR-3") },
        Document { title: "Invoices".into(), metadata: Some(metadata), ..draft("INV-2026-0042") },
        Document { title: "Größe naïve 請求書".into(), ..draft("I18N-1") },
    ] {
        replica.ask_create(creation(solution, document)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn words_phrases_negations_and_alternatives_are_understood_as_in_a_search_box() {
    let world = World::new().await;
    let replica = world.replica().await;
    for solution in ["acme_corp", "globex"] {
        shelve(&replica, solution).await;
        let cases: [(&str, &[&str]); 16] = [
            ("volcano", &["CTR-1", "CTR-2", "CTR-3", "INV-2026-0042"]),
            ("VOLCANO", &["CTR-1", "CTR-2", "CTR-3", "INV-2026-0042"]),
            ("volcano lease", &["CTR-1"]),
            ("\"lease of the volcano\"", &["CTR-1"]),
            ("\"volcano of the lease\"", &[]),
            ("volcano -lease", &["CTR-2", "CTR-3", "INV-2026-0042"]),
            ("weather or invoices", &["CTR-3", "INV-2026-0042"]),
            ("\"blue sky\"", &["CTR-3"]),
            ("lair", &["INV-2026-0042"]),
            ("key_only", &[]),
            ("INV-2026-0042", &["INV-2026-0042"]),
            ("größe", &["I18N-1"]),
            ("naïve", &["I18N-1"]),
            ("請求書", &["I18N-1"]),
            ("volcan", &[]),
            ("' & | ! :* ( ) <-> lease", &["CTR-1"]),
        ];
        for (text, expected) in cases {
            assert_eq!(replica.found_names(solution, text).await, expected, "{text}");
        }
        // What is changed is found by its new words, what is deleted is not found.
        let id = replica.found(query(solution, "lease")).await.remove(0).document.unwrap().document_id;
        replica.ask_update(retitle(solution, &id, "Rent of the crater")).await.unwrap();
        assert_eq!(replica.found_names(solution, "lease").await, [""; 0]);
        assert_eq!(replica.found_names(solution, "crater").await, ["CTR-1"]);
        replica.ask_delete(deletion(solution, &id)).await.unwrap();
        assert_eq!(replica.found_names(solution, "crater").await, [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_best_comes_first_with_the_text_around_the_hit_and_pages_are_complete() {
    let world = World::new().await;
    let replica = world.replica().await;
    shelve(&replica, "globex").await;
    let found = replica.found(query("globex", "volcano")).await;
    let documents: Vec<&Document> = found.iter().map(|found| found.document.as_ref().unwrap()).collect();
    let names: Vec<&str> = documents.iter().map(|document| document.name.as_str()).collect();
    assert_eq!(names, ["CTR-1", "CTR-3", "CTR-2", "INV-2026-0042"], "title, tag, description, metadata");
    assert!(found.windows(2).all(|pair| pair[0].score > pair[1].score && pair[1].score > 0.0));
    assert!(found[0].snippet.contains("Lease of the «volcano»"), "{}", found[0].snippet);
    assert!(found[2].snippet.contains("The «volcano» is to be swept"), "{}", found[2].snippet);
    assert!(found[3].snippet.contains("«Volcano» lair"), "{}", found[3].snippet);
    assert_eq!(documents[0], &replica.read("globex", &documents[0].document_id).await.unwrap());

    // Many with one score: pages neither lose nor repeat any.
    for number in 0..25 {
        replica.make("globex", &format!("SAME-{number}")).await;
    }
    for page_size in [1, 4, 100] {
        let mut names = HashMap::new();
        let request = SearchDocumentsRequest { page_size, ..query("globex", "about or volcano") };
        for found in replica.found(request).await {
            *names.entry(found.document.unwrap().name).or_insert(0) += 1;
        }
        assert_eq!(names.len(), 29, "{page_size}");
        assert!(names.values().all(|count| *count == 1), "{names:?}");
    }
    let first = SearchDocumentsRequest { page_size: 1, ..query("globex", "volcano") };
    let page_token = replica.search(first).await.unwrap().next_page_token;
    let other = SearchDocumentsRequest { page_size: 1, page_token, ..query("globex", "lease") };
    assert_eq!(replica.search(other).await.unwrap_err(), failure(Code::InvalidArgument, "PAGE_TOKEN_INVALID"));
    let nothing = replica.search(query("globex", "- \"")).await.unwrap_err();
    assert_eq!(nothing, failure(Code::InvalidArgument, "FIELD_INVALID"));
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_that_are_hard_to_parse_or_to_quote_from_are_stored_found_and_answered() {
    let world = World::new().await;
    let replica = world.replica().await;
    let long = |text: &str| Struct {
        fields: [("k".into(), Value { kind: Some(Kind::StringValue(text.repeat(60_000 / text.len()))) })].into(),
    };
    for (name, text) in [("UNDERSCORES", "a_"), ("PATHS", "~/"), ("NUMBERS", "a-1."), ("LETTERS", "b b a ")] {
        let document = Document { metadata: Some(long(text)), ..draft(name) };
        replica.ask_create(creation("globex", document)).await.unwrap();
    }
    // A phrase that is almost everywhere, and words that are nowhere.
    for text in ["letters or \"b b b b b\"", "letters -\"a a\"", "letters or \"b b a b b a b b\" or \"c c c\""] {
        let found = replica.search(query("globex", text)).await.unwrap().results;
        assert_eq!(found[0].document.as_ref().unwrap().name, "LETTERS", "{text}");
    }
    // A tag is no word, and elsewhere neither are fractions.
    for nothing in ["\"<p>\"", "½", "①"] {
        assert_eq!(replica.found_names("globex", nothing).await, [""; 0], "{nothing}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_narrows_a_search_also_when_more_match_than_are_ranked() {
    let world = World::new().await;
    let replica = world.replica().await;
    let mut old = creation("globex", Document { category: "finance/invoices".into(), ..draft("OLD") });
    old.actor = "mary".into();
    replica.ask_create(old).await.unwrap();
    fill(&world, SYSTEM_DATABASE, "globex", ("'About the same'", "'general'", "''"), 2_500).await;
    let narrowed = async |filter| {
        let request = SearchDocumentsRequest { filter: Some(filter), page_size: 100, ..query("globex", "about") };
        let found = replica.found(request).await;
        found.into_iter().map(|found| found.document.unwrap().name).collect::<Vec<_>>()
    };
    assert_eq!(narrowed(DocumentFilter { created_by: "mary".into(), ..Default::default() }).await, ["OLD"]);
    assert_eq!(narrowed(DocumentFilter { category: "finance".into(), ..Default::default() }).await, ["OLD"]);
    assert_eq!(narrowed(DocumentFilter { states: vec![5], ..Default::default() }).await, [""; 0]);
    assert_eq!(narrowed(DocumentFilter { tags: vec!["x".into()], ..Default::default() }).await, [""; 0]);
    // Of more than 2,000 the newest 2,000 are ranked.
    assert_eq!(narrowed(DocumentFilter::default()).await, ["FILL"; 2_000]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_finds_its_own_solution_alone_and_uses_the_index_bound_to_it() {
    let world = World::new().await;
    let replica = world.replica().await;
    for solution in ["globex", "initech"] {
        shelve(&replica, solution).await;
    }
    replica.make("umbrella", "N").await;
    let own = replica.found(query("globex", "volcano or globex or initech")).await;
    assert_eq!(own.len(), 4);
    assert!(own.iter().all(|found| found.document.as_ref().unwrap().solution == "globex"));
    assert_eq!(replica.found_names("umbrella", "volcano").await, [""; 0]);
    // Nobody can ask for the word that binds the index to a solution.
    for text in ["\u{1}initech", "\"\u{1}initech\"", "initech"] {
        assert_eq!(replica.found_names("globex", text).await, [""; 0], "{text:?}");
    }

    // The function takes no solution from its caller: the session's, or none.
    let client = world.as_runtime_role(SYSTEM_DATABASE).await;
    let nulls = "null, ".repeat(10);
    let sql = format!("SELECT fbs_document.search_matches('volcano', {nulls} 100)");
    assert_eq!(client.query(&sql, &[]).await.unwrap().len(), 0);
    client.batch_execute("SET fbs_router.company_id = 'globex'").await.unwrap();
    assert_eq!(client.query(&sql, &[]).await.unwrap().len(), 4);
    for forged in ["' | volcano | '", "nobody", ""] {
        client.query("SELECT set_config('fbs_router.company_id', $1, false)", &[&forged]).await.unwrap();
        assert_eq!(client.query(&sql, &[]).await.map_or(0, |rows| rows.len()), 0, "{forged}");
    }

    for (database, solution) in [(SYSTEM_DATABASE, "globex"), (ACME_DATABASE, "acme_corp")] {
        replica.make(solution, "N").await;
        fill(&world, database, solution, ("'word' || n", "'general'", "''"), 3_000).await;
        world.run(database, "ANALYZE fbs_document.document").await;
        assert_eq!(replica.found_names(solution, "word77").await, ["FILL"]);
        // In a session of our own, whose figures can be asked for at once.
        let client = world.as_runtime_role(database).await;
        client.query("SELECT set_config('fbs_router.company_id', $1, false)", &[&solution]).await.unwrap();
        let found = client.query(&sql.replace("volcano", "word77"), &[]).await.unwrap();
        assert_eq!(found.len(), 1);
        client.batch_execute("SELECT pg_stat_force_next_flush()").await.unwrap();
        let used = "SELECT idx_scan FROM pg_stat_all_indexes WHERE indexrelname = 'document_search'";
        assert!(client.query_one(used, &[]).await.unwrap().get::<_, i64>(0) > 0, "the index was used");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_count_live_documents_by_state_type_and_category() {
    let world = World::new().await;
    let replica = world.replica().await;
    let counts = |pairs: &[(&str, i64)]| -> BTreeMap<String, i64> {
        pairs.iter().map(|(key, count)| ((*key).to_owned(), *count)).collect()
    };
    let sorted = |map: HashMap<String, i64>| map.into_iter().collect::<BTreeMap<_, _>>();
    for (solution, database) in [("acme_corp", ACME_DATABASE), ("globex", SYSTEM_DATABASE)] {
        assert_eq!(replica.stats(solution).await, GetDocumentStatsResponse::default());
        let of = async |category: &str, document_type: &str| {
            let document = Document { category: category.into(), document_type: document_type.into(), ..draft("N") };
            replica.ask_create(creation(solution, document)).await.unwrap().document_id
        };
        of("finance/invoices", "invoice").await;
        of("finance", "").await;
        let pending = of("", "").await;
        replica.ask_submit(submission(solution, &pending)).await.unwrap();
        let deleted = of("hr", "memo").await;
        replica.ask_delete(deletion(solution, &deleted)).await.unwrap();
        let with_file = of("finance", "").await;
        replica.upload(solution, &with_file, "a", &[7; 1_000]).await.unwrap();
        let old = of("", "").await;
        let age = "UPDATE fbs_document.document SET create_time = now() - interval '31 days' WHERE document_id";
        world.run(database, &format!("{age} = '{old}'")).await;
        replica.make("initech", "another's").await;

        let stats = replica.stats(solution).await;
        assert_eq!((stats.total, stats.created_last_30_days, stats.content_bytes), (5, 4, 1_000));
        assert_eq!(sorted(stats.by_state), counts(&[("DRAFT", 4), ("PENDING", 1)]));
        assert_eq!(sorted(stats.by_type), counts(&[("general", 4), ("invoice", 1)]));
        assert_eq!(sorted(stats.by_category), counts(&[("", 2), ("finance", 3)]));
    }
    // The rare ones are counted together.
    fill(&world, SYSTEM_DATABASE, "globex", ("'T'", "'type_' || n", "'c' || n || '/x'"), 1_500).await;
    let stats = replica.stats("globex").await;
    assert_eq!((stats.by_type.len(), stats.by_category.len(), stats.total), (1_001, 1_001, 1_505));
    assert_eq!((stats.by_type.values().sum::<i64>(), stats.by_type["/"]), (1_505, 502));
    assert_eq!((stats.by_type["general"], stats.by_category["finance"]), (4, 3));
}

/// Rows keep the words that an earlier version gave them, so a later one must find the same.
#[tokio::test(flavor = "multi_thread")]
async fn the_words_of_a_document_are_those_of_the_first_version_that_had_any() {
    const NAME: &str = "FUNCTION fbs_document.search_words(";
    let world = World::new().await;
    let first = include_str!("../schema/migrations/documents_0002.sql");
    let begin = first.find(&format!("CREATE {NAME}")).unwrap();
    let end = begin + first[begin..].find("$$;").unwrap() + 3;
    world.run(ACME_DATABASE, &first[begin..end].replace(NAME, "FUNCTION public.first_words(")).await;
    let texts = "'', ' ', 'Invoice', 'état ÉTAT Straße', 'a-b_c/d.e@f.org 3.14 -7', repeat('x_', 900), repeat('ab ', 300), \
                 E'tab\\tline\\nend', 'it''s {\"}', '発注書 No. 5'";
    let metadata = "NULL, '{}', '[]', '7', '\"word\"', '{\"key\": \"value\", \"n\": 3, \"no\": null, \"yes\": true}', \
                    '{\"deep\": [{\"in\": [\"side\", 1.50, [[\"more\"]]]}]}', '\"' || repeat('x_', 900) || '\"'";
    let words = |function: &str| format!("{function}('acme', of, 'the ' || of, of || ' again', tags, metadata)");
    let asked = format!(
        "SELECT count(*), count(*) FILTER (WHERE {} IS DISTINCT FROM {})
           FROM unnest(ARRAY[{texts}]) AS of, unnest(ARRAY[{metadata}]::jsonb[]) AS metadata,
                (VALUES ('{{}}'::text[]), (ARRAY['one']), (ARRAY['two words', 'Ünï', repeat('y', 300)])) AS t (tags)",
        words("fbs_document.search_words"),
        words("public.first_words")
    );
    let client = world.platform.cluster.connect(ACME_DATABASE).await.unwrap();
    let row = client.query_one(&asked, &[]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (10 * 8 * 3, 0));
}
