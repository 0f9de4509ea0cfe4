//! What is fuzzed, and the rules that no input may break.

use std::{
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use fbs_router_proto::{
    admin::v1::{MoveSolutionRequest, RegisterSolutionRequest, ReleaseSolutionRequest},
    document::v1 as proto,
    router::v1::{ListDatabasesRequest, ListSolutionsRequest, ResolveDatabaseRequest},
};
use prost::Message;
use tonic::Code;
use uuid::Uuid;

use super::{
    Target,
    seeds::{ID, good_requests},
};
use crate::{
    config::{Config, Isolation},
    domain::{
        Call, Deadline, Error, Naming, Need, Principal, Result,
        document::{Cursor, CursorKey},
        naming::{DATABASE_NAME_BYTES, Pattern},
    },
    rpc::{
        convert::{self, tests::naming},
        observe, route,
        status::{LIMIT_BYTES, status},
        tokens::{Scope, Tokens},
    },
};

const WORDS: &[&str] = &[
    "acme",
    "system",
    ID,
    "\0",
    "\u{202e}",
    "title",
    "metadata",
    "state",
    "*",
    "create_time desc",
    "a/b",
    "text/plain",
    "\x08\x01",
    "\x10\x7f",
    "\u{7f}\u{7f}\u{7f}",
    "general",
    "\"",
    "-",
    "or",
    "..",
];

pub(super) fn all() -> Vec<Target> {
    vec![requests(), page_tokens(), configurations(), names(), timeouts()]
}

/// Of somebody who may ask anything.
fn call() -> Call {
    let deadline = Deadline::after(Duration::from_secs(1));
    Call { principal: Principal::anonymous(), need: Need::Operate, deadline, holds: None }
}

/// What became of a request. Every refusal is the caller's fault, fits into headers, and repeats nothing.
fn fair<T>(method: &str, outcome: Result<T>) -> String {
    let Err(error) = outcome else { return format!("{method} taken") };
    let told = status(&error);
    assert!(matches!(told.code(), Code::InvalidArgument | Code::NotFound), "{method}: {error:?}");
    assert!(told.message().len() + told.details().len() <= LIMIT_BYTES, "{method}: {error:?}");
    // Without the numbers of places, or every list that is a little longer would be news.
    format!("{method}: {}", told.message().replace(|letter: char| letter.is_ascii_digit(), ""))
}

macro_rules! readers {
    ($($method:literal: $request:ty => $read:expr;)*) => {{
        let mut readers: Vec<(&'static str, fn(&[u8], &Naming, &Tokens) -> String)> = Vec::new();
        $(readers.push(($method, |bytes, naming, tokens| match <$request>::decode(bytes) {
            Ok(request) => {
                let read: fn($request, &Naming, &Tokens) -> String = $read;
                read(request, naming, tokens)
            }
            Err(_) => concat!($method, " no message").to_owned(),
        }));)*
        readers
    }};
}

/// The first byte chooses the method, the others are its request.
fn requests() -> Target {
    let readers = readers! {
        "Create": proto::CreateDocumentRequest => |request, naming, _| fair("Create", convert::create(request, naming));
        "Get": proto::GetDocumentRequest => |request, naming, _| fair("Get", convert::get(request, naming));
        "List": proto::ListDocumentsRequest =>
            |request, naming, tokens| fair("List", convert::list(request, naming, tokens, UNIX_EPOCH));
        "Update": proto::UpdateDocumentRequest => |request, naming, _| fair("Update", convert::update(request, naming));
        "Delete": proto::DeleteDocumentRequest => |request, naming, _| fair("Delete", convert::delete(request, naming));
        "Undelete": proto::UndeleteDocumentRequest =>
            |request, naming, _| fair("Undelete", convert::undelete(request, naming));
        "Submit": proto::SubmitDocumentRequest => |request, naming, _| fair("Submit", convert::submit(request, naming));
        "Approve": proto::ApproveDocumentRequest =>
            |request, naming, _| fair("Approve", convert::approve(request, naming));
        "Reject": proto::RejectDocumentRequest => |request, naming, _| fair("Reject", convert::reject(request, naming));
        "Archive": proto::ArchiveDocumentRequest =>
            |request, naming, _| fair("Archive", convert::archive(request, naming));
        "Transitions": proto::ListDocumentTransitionsRequest =>
            |request, naming, tokens| fair("Transitions", convert::transitions(request, naming, tokens, UNIX_EPOCH));
        "Search": proto::SearchDocumentsRequest =>
            |request, naming, tokens| fair("Search", convert::search(request, naming, tokens, UNIX_EPOCH));
        "Stats": proto::GetDocumentStatsRequest => |request, naming, _| fair("Stats", convert::stats(request, naming));
        "BatchGet": proto::BatchGetDocumentsRequest =>
            |request, naming, _| fair("BatchGet", convert::get_many(request, naming));
        "BatchCreate": proto::BatchCreateDocumentsRequest =>
            |request, naming, _| fair("BatchCreate", convert::create_many(request, naming));
        "PutType": proto::PutDocumentTypeRequest =>
            |request, naming, _| fair("PutType", convert::put_type(request, naming));
        "Types": proto::ListDocumentTypesRequest =>
            |request, naming, tokens| fair("Types", convert::types(request, naming, tokens, UNIX_EPOCH));
        "Upload": proto::upload_content_request::Header =>
            |request, naming, _| fair("Upload", convert::upload(request, naming, 1_000));
        "Download": proto::DownloadContentRequest =>
            |request, naming, _| fair("Download", convert::download(request, naming));
        "Resolve": ResolveDatabaseRequest => |request, naming, _| fair("Resolve", route::request(call(), request, naming));
        "Solutions": ListSolutionsRequest =>
            |request, _, tokens| fair("Solutions", convert::solutions(request, tokens, UNIX_EPOCH));
        "Databases": ListDatabasesRequest =>
            |request, naming, tokens| fair("Databases", convert::databases(request, naming, tokens, UNIX_EPOCH));
        "Register": RegisterSolutionRequest =>
            |request, naming, _| fair("Register", convert::register(request, naming, Isolation::Preferred));
        "Move": MoveSolutionRequest => |request, naming, _| fair("Move", convert::move_solution(&request, naming));
        "Release": ReleaseSolutionRequest => |request, naming, _| fair("Release", convert::release(&request, naming));
    };
    let (naming, tokens) = (naming(), Tokens::random());
    let seeds = good_requests().into_iter().flat_map(|message| {
        // Fields mean different things in each method, and often nearly the same.
        (0..readers.len()).map(move |method| [vec![u8::try_from(method).unwrap()], message.clone()].concat())
    });
    let seeds = seeds.collect();
    let run = move |input: &[u8]| {
        let Some((method, message)) = input.split_first() else { return "nothing".to_owned() };
        readers[usize::from(*method) % readers.len()].1(message, &naming, &tokens)
    };
    Target { name: "requests", seeds, words: WORDS, run: Box::new(run) }
}

/// Only what was sealed is opened, and only for what it was sealed for.
fn page_tokens() -> Target {
    let tokens = Tokens::random();
    let scope = Scope::new("ListDocuments", "acme", &proto::ListDocumentsRequest::default());
    let keys = [CursorKey::Number(-1), CursorKey::Text("Rechnung Ü".to_owned()), CursorKey::Score(7)];
    let sealed = keys.map(|key| tokens.seal(&scope, &Cursor { key, id: Uuid::from_u128(7) }, UNIX_EPOCH).into_bytes());
    let seeds = sealed.to_vec();
    let run = move |input: &[u8]| {
        let Ok(text) = std::str::from_utf8(input) else { return "no text".to_owned() };
        match tokens.open(&scope, text, UNIX_EPOCH + Duration::from_secs(1)) {
            Ok(cursor) => {
                assert!(sealed.iter().any(|one| one == input), "a forged token is believed");
                format!("{cursor:?}")
            }
            Err(Error::PageTokenInvalid(why)) => why.to_owned(),
            Err(error) => panic!("{error:?}"),
        }
    };
    Target { name: "page tokens", seeds, words: &["A", "=", "-", "_", "AQ", "\0"], run: Box::new(run) }
}

/// A configuration is consistent, or all that is wrong with it is said.
fn configurations() -> Target {
    let words = &[
        "[",
        "]",
        "=",
        "\"",
        "\n",
        "0",
        "-1",
        "\"5s\"",
        "\"1000000years\"",
        "9223372036854775807",
        "{solution}",
        "[[app]]\n",
        "[[server]]\n",
        "nan",
        "true",
        "1979-05-27",
        "postgres://a:b@c/d?e=f",
        "'''",
        "#",
        ".",
        "\u{0}",
    ];
    let example = include_str!("../../../../deploy/fbs-router.example.toml");
    let lines = example.lines().map(|line| line.trim_start_matches('#').trim()).filter(|line| !line.is_empty());
    let told: Vec<&str> = lines.collect();
    let small = "[[server]]\nurl = \"postgres://fbs_router@localhost\"\n[pool]\nmax_size = 3\nwait = \"1s\"\n\
                 [[app]]\nname = \"fbs_dms\"\npattern = \"djo_{solution}_db\"\nsystem_database = \"s\"\n";
    let seeds = vec![small.into(), example.into(), told.join("\n").into_bytes(), b"pool.max_size=20\n".to_vec()];
    let run = |input: &[u8]| {
        let text = String::from_utf8_lossy(input);
        // No file is read that is only named by chance.
        if text.contains("_file") {
            return "names a file".to_owned();
        }
        let setting: Vec<String> = text.lines().next().map(str::to_owned).into_iter().collect();
        let _ = Config::parse("", Path::new("/router.toml"), [], &setting);
        match Config::parse(&text, Path::new("/router.toml"), [], &[]) {
            Ok(config) => {
                assert!(!config.servers.is_empty() && config.pool.max_size > 0);
                assert!(config.deadline.default <= config.deadline.max);
                format!("{} apps", config.naming.apps().len())
            }
            Err(problems) => {
                assert!(!problems.0.is_empty());
                problems.0[0].chars().filter(|letter| !letter.is_ascii_digit()).take(40).collect()
            }
        }
    };
    Target { name: "configurations", seeds, words, run: Box::new(run) }
}

/// A name that is admitted is plain, fits, leads to one database in each app, and back.
fn names() -> Target {
    let naming = naming();
    let run = move |input: &[u8]| {
        let text = String::from_utf8_lossy(input);
        for app in naming.apps() {
            // Whatever a catalog lists.
            let Some(solution) = naming.solution_of(app, &text) else { continue };
            let rendered = app.pattern.as_ref().map(|pattern| pattern.render(solution.as_str()));
            assert_eq!(rendered.as_deref(), Some(&*text));
        }
        if let Some(pattern) = Pattern::parse(&text) {
            let rendered = pattern.render("acme");
            assert_eq!(pattern.solution_of(&rendered).map(|solution| solution.to_string()).as_deref(), Some("acme"));
        }
        match naming.admit(&text) {
            Ok(solution) => {
                assert_eq!(solution.as_str(), text);
                assert!(
                    text.bytes()
                        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte))
                );
                for app in naming.apps() {
                    let Some(pattern) = &app.pattern else { continue };
                    let database = pattern.render(&text);
                    assert!(database.len() <= DATABASE_NAME_BYTES && !naming.is_reserved_database(&database));
                    assert_eq!(naming.solution_of(app, &database), Some(solution.clone()));
                }
                "admitted".to_owned()
            }
            refused => fair("name", refused),
        }
    };
    let seeds = ["acme_corp", "djo_acme_db", "fbs_system_db", "system", "x{solution}", "a-1"].map(|text| text.into());
    let words =
        &["djo_", "_db", "fbs_", "system", "{solution}", "\u{430}", "\0", "A", "-", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"];
    Target { name: "names", seeds: seeds.to_vec(), words, run: Box::new(run) }
}

fn timeouts() -> Target {
    let run = |input: &[u8]| {
        let text = String::from_utf8_lossy(input);
        match observe::grpc_timeout(&text) {
            Some(time) => {
                assert!(text.len() <= 9 && time <= Duration::from_secs(99_999_999 * 3_600), "{text}");
                format!("{} digits", text.len())
            }
            None => "none".to_owned(),
        }
    };
    let seeds = ["1S", "250m", "99999999H", "1n", "7u", "2M"].map(|text| text.into()).to_vec();
    Target { name: "grpc-timeout", seeds, words: &["H", "é", "-", "0", "\0", "99999999"], run: Box::new(run) }
}
