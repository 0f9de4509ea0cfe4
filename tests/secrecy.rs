//! Nothing of what tenants keep or of what proves who somebody is leaves in a log, an error or a metric.
//!
//! The binary runs with everything logged, and is driven through success, refusal and fault by requests that are full
//! of canaries; then all that it printed, answered as errors and counts is searched for them.

use fbs_router_proto::document::v1::{
    CreateDocumentRequest, Document, DocumentFilter, DocumentType, ListDocumentTransitionsRequest,
    ListDocumentTypesRequest, ListDocumentsRequest, SearchDocumentsRequest, UpdateDocumentRequest,
};
use fbs_router_sandbox::{
    platform::{ACME_DATABASE, PASSWORD, SYSTEM_DATABASE},
    soon,
};
use futures_util::future::join_all;
use prost::Message;
use prost_reflect::{Cardinality, DynamicMessage, Kind, MapKey, MessageDescriptor, Value};
use prost_types::{Struct, Value as Any, value::Kind as AnyKind};
use tonic::{Code, Status};

use crate::support::{
    Replica, World,
    asking::{
        approval, archival, change, creation, definition, deletion, page, rejection, request_id, submission, undeletion,
    },
    draft,
    methods::{methods, path},
    process::{Served, binary},
    secret_file,
    transfers::{chunk, declared, first, frames, header, noise},
    wire::{framed, http_get, raw_status},
    within,
};

/// Stands in everything that must not come out again.
const CANARY: &str = "kanarie";
/// A database password with it.
const SECRET: &str = "kanariepassword";
/// A key of tokens with it, in hexadecimal digits.
const KEY: &str = "6b616e6172696500000000000000000000000000000000000000000000000000";

/// Whose calls are made, and whose name must never reach them.
const CALLERS: [(&str, &str); 2] = [("acme_corp", "globex"), ("globex", "acme")];

fn canary(kind: &str) -> String {
    format!("{CANARY} {kind}")
}

/// A text as it would be seen: plain, in hexadecimal digits, or in base64, wherever it begins.
fn disguises(text: &str) -> Vec<String> {
    use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
    let hex = text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    let list = text.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", ");
    let shifted = (0..3).map(|shift| {
        let encoded = STANDARD_NO_PAD.encode([vec![0; shift], text.as_bytes().to_vec()].concat());
        // Without the characters that hold something of its neighbours.
        let begin = [0, 2, 3][shift];
        encoded[begin..encoded.len() - 1].to_owned()
    });
    [text.to_owned(), hex, list].into_iter().chain(shifted).collect()
}

/// Lines in which something of it can be seen, the first few.
fn seen<'t>(text: &'t str, canary: &str) -> Vec<&'t str> {
    let disguises: Vec<String> = disguises(canary).into_iter().filter(|disguise| text.contains(disguise)).collect();
    if disguises.is_empty() {
        return Vec::new();
    }
    let seen = text.lines().filter(|line| disguises.iter().any(|disguise| line.contains(disguise.as_str())));
    seen.take(20).collect()
}

/// Errors as their callers saw them.
#[derive(Default)]
struct Errors(Vec<(&'static str, Status)>);

impl Errors {
    fn add(&mut self, caller: &'static str, status: Status) {
        self.0.push((caller, status));
    }

    /// Takes the error of a call that must have one.
    fn refused<T>(&mut self, caller: &'static str, outcome: Result<T, Status>) {
        self.add(caller, outcome.err().expect("an error"));
    }
}

/// Every text of a message, and of the messages in it, filled.
fn filled(descriptor: &MessageDescriptor, solution: &str, text: &str, depth: usize) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields() {
        let value = match field.kind() {
            Kind::String if field.name() == "solution" => Value::String(solution.to_owned()),
            Kind::String => Value::String(text.to_owned()),
            Kind::Bytes => Value::Bytes(text.to_owned().into_bytes().into()),
            Kind::Message(inner) if depth > 0 && !field.is_map() => {
                Value::Message(filled(&inner, solution, text, depth - 1))
            }
            _ => continue,
        };
        let value = if field.is_map() {
            Value::Map([(MapKey::String(text.to_owned()), value)].into())
        } else if field.cardinality() == Cardinality::Repeated {
            Value::List(vec![value])
        } else {
            value
        };
        message.set_field(&field, value);
    }
    message
}

/// A document of which everything is a canary.
fn secret_document() -> Document {
    let value = |text: &str| Any { kind: Some(AnyKind::StringValue(canary(text))) };
    Document {
        name: canary("name"),
        title: canary("title"),
        description: canary("description"),
        document_type: format!("{CANARY}_type"),
        category: canary("category"),
        tags: vec![canary("tag")],
        metadata: Some(Struct { fields: [(canary("key"), value("value"))].into() }),
        ..Document::default()
    }
}

/// What callers do every day, and what they do wrong.
async fn everyday(replica: &Replica, caller: &'static str, errors: &mut Errors) {
    let mut documents = replica.documents();
    let kind = DocumentType {
        code: format!("{CANARY}_type"),
        name: canary("type"),
        description: canary("type"),
        requires_approval: true,
        allowed_extensions: vec![CANARY.into()],
        ..DocumentType::default()
    };
    replica.ask_put_type(definition(caller, kind)).await.unwrap();
    let used = request_id();
    let request = CreateDocumentRequest {
        request_id: used.clone(),
        actor: canary("actor"),
        ..creation(caller, secret_document())
    };
    let made = replica.ask_create(request.clone()).await.unwrap();
    let id = made.document_id.as_str();
    replica.ask_create(request.clone()).await.unwrap();
    let reused = CreateDocumentRequest { actor: canary("other"), document: Some(draft(CANARY)), ..request.clone() };
    errors.refused(caller, documents.create_document(within(reused)).await);
    let taken = CreateDocumentRequest { document_id: id.into(), request_id: String::new(), ..request };
    errors.refused(caller, documents.create_document(within(taken)).await);
    let update = change(caller, id, secret_document(), &["title", "metadata", "tags", "description"]);
    replica.ask_update(update.clone()).await.unwrap();
    let stale = UpdateDocumentRequest { etag: canary("etag"), ..update };
    errors.refused(caller, documents.update_document(within(stale)).await);

    let content = [canary("content").into_bytes(), noise(600_000), canary("content").into_bytes()].concat();
    let file = format!("{CANARY}.{CANARY}");
    let stored = replica.upload(caller, id, &file, &content).await.unwrap();
    assert_eq!(replica.download(caller, id).await.unwrap().1, content);
    let other = header(caller, id, declared(&file, &noise(10)));
    errors.refused(caller, replica.send_frames(frames(other, &content, 50_000)).await);
    let not_allowed = header(caller, id, declared(&format!("{CANARY}.exe"), &content));
    errors.refused(caller, replica.send_frames(vec![first(not_allowed), chunk(&content)]).await);

    replica.ask_create(creation(caller, secret_document())).await.unwrap();
    let mut request = ListDocumentsRequest { order_by: "title".into(), ..page(caller, 1) };
    request.filter = Some(DocumentFilter { tags: vec![canary("tag")], ..DocumentFilter::default() });
    let token = replica.ask_page(request.clone()).await.unwrap().next_page_token;
    assert!(!token.is_empty());
    request.page_token = token.clone();
    replica.ask_page(request.clone()).await.unwrap();
    // A token grants nothing, and is still nobody else's affair: it holds a title.
    for forged in [canary("token"), token[1..].to_owned(), format!("{token}{CANARY}")] {
        request.page_token = forged;
        errors.refused(caller, documents.list_documents(within(request.clone())).await);
    }
    request = ListDocumentsRequest { order_by: canary("order"), ..page(caller, 1) };
    errors.refused(caller, documents.list_documents(within(request)).await);
    let search = SearchDocumentsRequest {
        solution: caller.into(),
        query: format!("{CANARY} \"title\" -nothing"),
        page_size: 1,
        ..SearchDocumentsRequest::default()
    };
    let found = documents.search_documents(within(search.clone())).await.unwrap().into_inner();
    assert_eq!(found.results.len(), 1);
    let next = SearchDocumentsRequest { page_token: found.next_page_token, ..search };
    documents.search_documents(within(next)).await.unwrap();

    let mut pending = submission(caller, id);
    pending.comment = canary("comment");
    let pending = replica.ask_submit(pending).await.unwrap();
    assert_ne!(pending.etag, stored.etag);
    errors.refused(caller, documents.update_document(within(change(caller, id, secret_document(), &["title"]))).await);
    let rejected = replica.ask_reject(rejection(&pending, &canary("comment"))).await.unwrap();
    errors.refused(caller, documents.approve_document(within(approval(&rejected, &canary("actor")))).await);
    let history =
        ListDocumentTransitionsRequest { solution: caller.into(), document_id: id.into(), ..Default::default() };
    documents.list_document_transitions(within(history)).await.unwrap();
    let types = ListDocumentTypesRequest { solution: caller.into(), ..Default::default() };
    documents.list_document_types(within(types)).await.unwrap();
    replica.ask_archive(archival(caller, id)).await.unwrap();
    replica.ask_delete(deletion(caller, id)).await.unwrap();
    errors.refused(caller, documents.delete_document(within(deletion(caller, id))).await);
    replica.ask_undelete(undeletion(caller, id)).await.unwrap();
}

/// Every method, with a canary in each text, as good as it gets and wrong in each; and what is no call at all.
async fn nonsense(replica: &Replica, caller: &'static str, errors: &mut Errors) {
    // What operators name is theirs to read in the log.
    for method in methods().into_iter().filter(|method| !path(method).starts_with("/fbs.admin.")) {
        for text in [CANARY.to_owned(), canary("\u{7} and more"), format!("{CANARY}\0"), CANARY.repeat(1_000)] {
            let bytes = filled(&method.input(), caller, &text, 4).encode_to_vec();
            // Whatever it is: a list may well be asked for like this.
            if let Err(status) = replica.send(&path(&method), vec![bytes.clone().into()]).await {
                errors.add(caller, status);
            }
            let cut = bytes[..bytes.len() - 1].to_vec();
            if let Err(status) = replica.send(&path(&method), vec![cut.into()]).await {
                errors.add(caller, status);
            }
        }
    }
    let body = framed(0, &creation(caller, secret_document()).encode_to_vec());
    let bearer = format!("Bearer {CANARY}");
    let headers = [("authorization", bearer.as_str()), ("x-secret", CANARY), ("cookie", CANARY), ("x-bin", CANARY)];
    for path in ["/fbs.document.v1.DocumentService/GetDocument", &format!("/{CANARY}.v1.{CANARY}/{CANARY}")] {
        errors.add(caller, raw_status(replica.grpc, path, &headers, body.clone()).await);
    }
}

/// Postgres refuses what the service takes, in each of the ways that quote what was refused.
async fn refused_by_postgres(world: &World, replica: &Replica, errors: &mut Errors) {
    let trigger = |body: &str| {
        format!(
            "CREATE FUNCTION fbs_document.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$; \
             CREATE TRIGGER refuse BEFORE INSERT ON fbs_document.document FOR EACH ROW \
             EXECUTE FUNCTION fbs_document.refuse()"
        )
    };
    let no_trigger = "DROP FUNCTION fbs_document.refuse CASCADE";
    let no_check = "ALTER TABLE fbs_document.document DROP CONSTRAINT refuse";
    let ways = [
        (
            "CREATE UNIQUE INDEX refuse ON fbs_document.document (company_id, (left(name, 7))) WHERE state = 1"
                .to_owned(),
            "DROP INDEX fbs_document.refuse",
        ),
        ("ALTER TABLE fbs_document.document ADD CONSTRAINT refuse CHECK (title = '') NOT VALID".to_owned(), no_check),
        (trigger("PERFORM NEW.title::int; RETURN NEW;"), no_trigger),
        (trigger("RAISE EXCEPTION '%', NEW.title USING DETAIL = NEW.name, HINT = NEW.description;"), no_trigger),
        (trigger("EXECUTE NEW.title; RETURN NEW;"), no_trigger),
        (trigger("NEW.title := NULL; RETURN NEW;"), no_trigger),
        (trigger("NEW.expire_time := NEW.title; RETURN NEW;"), no_trigger),
    ];
    for ((caller, _), database) in CALLERS.into_iter().zip([ACME_DATABASE, SYSTEM_DATABASE]) {
        // Something for the unique index to find.
        replica.ask_create(creation(caller, secret_document())).await.unwrap();
        for (way, undo) in &ways {
            world.run(database, "DELETE FROM fbs_document.document WHERE state = 1 AND document_id <> (SELECT document_id FROM fbs_document.document WHERE state = 1 LIMIT 1)").await;
            world.run(database, way).await;
            let outcome = replica.documents().create_document(within(creation(caller, secret_document()))).await;
            let status = outcome.err().unwrap_or_else(|| panic!("{way}: taken"));
            assert_eq!(status.code(), Code::Internal, "{way}: {status:?}");
            errors.add(caller, status);
            world.run(database, undo).await;
        }
    }
}

/// Postgres is slow, cut off, and does not know the password.
async fn faults(world: &World, replica: &Replica, errors: &mut Errors) {
    let change_of = |caller: &str, id: &str| change(caller, id, secret_document(), &["title", "metadata"]);
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'fbs_router'";
    for ((caller, _), database) in CALLERS.into_iter().zip([ACME_DATABASE, SYSTEM_DATABASE]) {
        let made = replica.ask_create(creation(caller, secret_document())).await.unwrap();
        let holder = world.platform.cluster.connect(database).await.unwrap();
        holder.batch_execute("BEGIN; LOCK TABLE fbs_document.document IN ACCESS EXCLUSIVE MODE").await.unwrap();
        let mut late = tonic::Request::new(change_of(caller, &made.document_id));
        late.set_timeout(std::time::Duration::from_millis(200));
        errors.refused(caller, replica.documents().update_document(late).await);
        // Cut off in the middle of a statement.
        let mut documents = replica.documents();
        let request = within(change_of(caller, &made.document_id));
        let waiting = tokio::spawn(async move { documents.update_document(request).await });
        let blocked = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'fbs_router' AND wait_event_type = 'Lock'";
        soon("the change waits", async || match world.count("postgres", blocked).await {
            1.. => Ok(()),
            none => Err(none),
        })
        .await;
        world.platform.cluster.connect("postgres").await.unwrap().query(kill, &[]).await.unwrap();
        if let Err(status) = tokio::time::timeout(std::time::Duration::from_millis(300), waiting)
            .await
            .map_or_else(|_| Ok(()), |joined| joined.unwrap().map(drop))
        {
            errors.add(caller, status);
        }
        holder.batch_execute("ROLLBACK").await.unwrap();
    }
    world.run("postgres", "ALTER ROLE fbs_router PASSWORD 'another'").await;
    world.platform.cluster.connect("postgres").await.unwrap().query(kill, &[]).await.unwrap();
    for (caller, _) in CALLERS {
        let status = soon("the password is refused", async || {
            match replica.documents().create_document(within(creation(caller, secret_document()))).await {
                Err(status) if status.code() == Code::FailedPrecondition => Ok(status),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        errors.add(caller, status);
    }
    world.run("postgres", &format!("ALTER ROLE fbs_router PASSWORD '{SECRET}'")).await;
    for (caller, _) in CALLERS {
        soon("it recovers", async || {
            replica
                .ask_create(creation(caller, secret_document()))
                .await
                .map(drop)
                .map_err(|error| format!("{error:?}"))
        })
        .await;
    }
}

/// What no error may hold: canaries, where Postgres is and who we are there, SQL, other solutions.
fn look_at_errors(world: &World, errors: &Errors) {
    assert!(errors.0.len() > 300, "{}", errors.0.len());
    let socket = world.platform.cluster.socket_directory().display().to_string();
    let mut never =
        vec![socket, "fbs_router".into(), "fbs_owner".into(), "fbs_document".into(), ".s.PGSQL".into(), "pg_".into()];
    never.extend(
        ["SELECT ", "INSERT ", "UPDATE ", "company_id", "violates", "constraint \"", "DETAIL"].map(str::to_owned),
    );
    for (caller, status) in &errors.0 {
        let details = String::from_utf8_lossy(status.details()).into_owned();
        let text = format!("{} {details} {:?}", status.message(), status.metadata());
        assert_eq!(seen(&text, CANARY), [""; 0], "of {caller}: {status:?}");
        let other = CALLERS.iter().find(|(name, _)| name == caller).unwrap().1;
        for word in never.iter().map(String::as_str).chain([other]) {
            assert!(!text.contains(word), "{word} in an error of {caller}: {status:?}");
        }
    }
}

/// What no log may hold.
fn look_at_log(printed: &str, format: &str) {
    assert_eq!(seen(printed, CANARY), [""; 0]);
    // Of secrets not even a part.
    assert_eq!(seen(printed, &SECRET[..9]), [""; 0]);
    assert!(!printed.contains(&KEY[..12]) && !printed.contains(PASSWORD));
    // And it is awake: the finest level, calls with what is known of them, failures with their SQLSTATEs.
    for word in ["TRACE", "CreateDocument", "globex", "23505", "23514", "22P02", "P0001", "42601", "57P01", "28P01"] {
        assert!(printed.contains(word), "{word} is missing");
    }
    if format == "json" {
        // Within a call of one solution no other is named.
        for line in printed.lines().filter(|line| CALLERS.iter().all(|(_, name)| line.contains(name))) {
            let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
            assert!(line["span"]["solution"].is_null(), "{line}");
        }
    }
}

async fn nothing_comes_out(format: &str) {
    let world = World::new().await;
    world.run("postgres", &format!("ALTER ROLE fbs_router PASSWORD '{SECRET}'")).await;
    secret_file(&world.folder.path().join("password"), SECRET);
    let key_file = world.folder.path().join("keys");
    secret_file(&key_file, KEY);
    let tokens = format!("[tokens]\nkey_file = \"{}\"\n", key_file.display());
    let configuration = world.configuration(&world.platform.url(), &tokens);
    let environment = [
        ("FBS_ROUTER_LOG", "trace"),
        ("FBS_ROUTER_LOG_FORMAT", format),
        ("RUST_LOG", "trace"),
        ("RUST_BACKTRACE", "full"),
    ];
    let served = Served::start(&configuration, world.folder.path(), &environment).await;
    let replica = &served.replica;

    let callers = CALLERS.map(|(caller, _)| async move {
        let mut errors = Errors::default();
        everyday(replica, caller, &mut errors).await;
        nonsense(replica, caller, &mut errors).await;
        errors
    });
    let mut errors = Errors::default();
    for found in join_all(callers).await {
        errors.0.extend(found.0);
    }
    refused_by_postgres(&world, replica, &mut errors).await;
    faults(&world, replica, &mut errors).await;

    look_at_errors(&world, &errors);
    for place in ["/metrics", "/readyz", "/livez"] {
        let (status, text) = http_get(replica.ops, place).await;
        assert_eq!(status, 200, "{text}");
        for word in [CANARY, "acme", "globex", "djo_"] {
            assert_eq!(seen(&text, word), [""; 0], "{place}");
        }
    }
    look_at_log(&served.stop().await, format);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_tenants_or_secrets_comes_out_with_everything_logged_as_text() {
    nothing_comes_out("text").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_tenants_or_secrets_comes_out_with_everything_logged_as_json() {
    nothing_comes_out("json").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_fails_shows_no_secret() {
    let world = World::new().await;
    let good = world.configuration(&world.platform.url(), "");
    let keys = world.folder.path().join("keys");
    std::fs::write(&keys, format!("{SECRET}\n")).unwrap();
    let wrong_keys = format!("{good}[tokens]\nkey_file = \"{}\"\n", keys.display());
    let with_password = good.replace("fbs_router@", &format!("fbs_router:{SECRET}@"));
    let cases = [
        ("a key file that is none", wrong_keys.clone()),
        ("a password in a url", with_password.clone()),
        (
            "an unknown key",
            format!("{good}[server]\npassword = \"{SECRET}\"\n").replace("[server]\npassword", "[drain2]\npassword"),
        ),
        ("no TOML", good.replace("max_connections = 60", &format!("password = {SECRET}"))),
        ("a text without an end", with_password.replace(":0\"", ":0").replace("max_connections", "\"")),
        ("a url that is none", good.replace("postgres://", &format!("nonsense://{SECRET}@"))),
    ];
    for (what, configuration) in cases {
        let path = world.folder.path().join("wrong.toml");
        std::fs::write(&path, configuration).unwrap();
        for command in ["serve", "check"] {
            let setting = format!("server.7.url=postgres://fbs_router:{SECRET}@x");
            for more in [vec![], vec!["--set", setting.as_str()]] {
                let mut process = tokio::process::Command::new(binary());
                process.args([command, "--config"]).arg(&path).args(more).env("FBS_ROUTER_LOG", "trace");
                let output = process.stdin(std::process::Stdio::null()).kill_on_drop(true).output();
                let output = tokio::time::timeout(std::time::Duration::from_secs(20), output).await.unwrap().unwrap();
                let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
                assert!(output.status.code().is_some_and(|code| code == 78 || code == 1), "{what}: {text}");
                assert_eq!(seen(&text, CANARY), [""; 0], "{what}");
            }
        }
    }
}
