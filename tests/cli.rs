//! The command line: everything that can be done with documents can be done by commands alone, and no command
//! destroys what it did not make.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
};

use fbs_router_sandbox::platform::{ACME_DATABASE, SYSTEM_DATABASE};
use serde_json::Value;
use tokio::process::Command;

use crate::support::{Replica, World, process::binary, transfers::noise};

/// A folder in which commands are typed.
pub(crate) struct Shell {
    url: String,
    folder: tempfile::TempDir,
}

/// What a command said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Shell {
    pub(crate) async fn new(replica: &Replica) -> Self {
        Self::at(replica.grpc).await
    }

    /// For a service at that address.
    pub(crate) async fn at(address: SocketAddr) -> Self {
        tokio::task::spawn_blocking(binary).await.unwrap();
        Self { url: format!("http://{address}"), folder: tempfile::tempdir().unwrap() }
    }

    async fn raw(&self, arguments: &[&str]) -> std::process::Output {
        Command::new(binary())
            .args(arguments)
            .env("FBS_ROUTER_URL", &self.url)
            .env_remove("RUST_LOG")
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .unwrap()
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> Said {
        let output = self.raw(arguments).await;
        Said {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// A command about a solution's documents that must be done; what it prints.
    pub(crate) async fn documents(&self, solution: &str, arguments: &[&str]) -> String {
        let said = self.run(&[&["documents"], arguments, &["--solution", solution]].concat()).await;
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{arguments:?}: {said:?}");
        said.out
    }

    /// As `documents`, with `--json`.
    pub(crate) async fn json(&self, solution: &str, arguments: &[&str]) -> Value {
        let out = self.documents(solution, &[arguments, &["--json"]].concat()).await;
        serde_json::from_str(&out).unwrap()
    }

    /// A command about a solution's documents that must fail: what it says of it.
    async fn refused(&self, solution: &str, arguments: &[&str]) -> String {
        let said = self.run(&[&["documents"], arguments, &["--solution", solution]].concat()).await;
        assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{arguments:?}: {said:?}");
        said.err
    }

    /// A command that must be done, with `--json`.
    pub(crate) async fn asked(&self, arguments: &[&str]) -> Value {
        let said = self.run(&[arguments, &["--json"]].concat()).await;
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{arguments:?}: {said:?}");
        serde_json::from_str(&said.out).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The names of all files, hidden ones too.
    fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

fn read(path: impl AsRef<Path>) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

/// A draft with that content.
async fn with_content(shell: &Shell, solution: &str, filename: &str, bytes: &[u8]) -> String {
    let created = shell.json(solution, &["create", "--name", "N", "--title", "T"]).await;
    let id = text(&created["document"]["documentId"]).to_owned();
    std::fs::write(shell.path("sent"), bytes).unwrap();
    shell.documents(solution, &["upload", &id, "sent", "--filename", filename]).await;
    std::fs::remove_file(shell.path("sent")).unwrap();
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_documents_whole_life_is_lived_by_commands_alone() {
    let world = World::new().await;
    let replica = world.replica().await;
    let shell = Shell::new(&replica).await;
    for (solution, database) in [("acme_corp", ACME_DATABASE), ("globex", SYSTEM_DATABASE)] {
        let bytes = noise(5 * 1024 * 1024 + 1);
        std::fs::write(shell.path("rent.pdf"), &bytes).unwrap();

        let rules = ["put-type", "invoice", "--name", "Invoice", "--extension", "pdf", "--max-size", "6000000"];
        let kind = shell.json(solution, &rules).await;
        assert_eq!(kind["documentType"]["requiresApproval"], true);
        let types = shell.documents(solution, &["types"]).await;
        assert!(types.contains("invoice  Invoice  required  pdf         6000000 bytes"), "{types}");

        let fields = ["create", "--name=INV-1", "--title=Rent of May", "--type=invoice", "--category=finance/invoices"];
        let created = shell.json(solution, &[&fields[..], &["--actor", "ada"]].concat()).await;
        assert_eq!(created["served"]["database"], database);
        assert_eq!(created["document"]["state"], "STATE_DRAFT");
        let id = text(&created["document"]["documentId"]);

        let etag = text(&created["document"]["etag"]);
        let upload = ["upload", id, "rent.pdf", "--media-type", "application/pdf", "--etag", etag];
        let stored = shell.json(solution, &upload).await;
        assert_eq!(stored["document"]["content"]["filename"], "rent.pdf");
        assert_eq!(stored["document"]["content"]["mediaType"], "application/pdf");
        std::fs::remove_file(shell.path("rent.pdf")).unwrap();

        let submitted = shell.json(solution, &["submit", id, "--comment", "please"]).await;
        assert_eq!(submitted["document"]["state"], "STATE_PENDING");
        let etag = text(&submitted["document"]["etag"]);
        let approved = shell.documents(solution, &["approve", id, "--etag", etag, "--actor", "grace"]).await;
        for fact in [&["state", "approved"][..], &["created", "by", "ada"], &["approved", "by", "grace"]] {
            assert!(
                approved.lines().any(|line| line.split_whitespace().eq(fact.iter().copied())),
                "{fact:?}: {approved}"
            );
        }
        assert!(approved.contains(&format!("served by {database} (")), "{approved}");

        let saved = shell.documents(solution, &["download", id]).await;
        assert!(saved.contains("saved    rent.pdf"), "{saved}");
        assert!(read(shell.path("rent.pdf")) == bytes);
        let copied = shell.json(solution, &["download", id, "--output", "copy.pdf"]).await;
        assert_eq!((&copied["path"], &copied["served"]["database"]), (&"copy.pdf".into(), &database.into()));
        assert!(read(shell.path("copy.pdf")) == bytes);
        let piped = shell.raw(&["documents", "download", id, "--output", "-", "--solution", solution]).await;
        assert!(piped.status.success() && piped.stdout == bytes);
        assert_eq!(shell.files(), ["copy.pdf", "rent.pdf"], "and nothing beside them");
        std::fs::remove_file(shell.path("copy.pdf")).unwrap();

        let history = shell.documents(solution, &["history", id]).await;
        let steps: Vec<_> = history.lines().map(|line| line.split_whitespace().skip(1).collect::<Vec<_>>()).collect();
        assert_eq!(steps[1], ["draft", "pending", "anonymous", "please"]);
        assert_eq!(steps[2], ["pending", "approved", "grace"]);

        let found = shell.json(solution, &["search", "rent may", "--state", "approved", "--created-by", "ada"]).await;
        assert_eq!(found["results"][0]["document"]["documentId"], id);
        assert!(text(&found["results"][0]["snippet"]).contains("«"));
        let nothing = shell.documents(solution, &["search", "rent -may"]).await;
        assert!(nothing.starts_with("nothing found\n"), "{nothing}");

        let stats = shell.documents(solution, &["stats"]).await;
        assert!(stats.contains("state     approved  1\ntype      invoice   1\ncategory  finance   1"), "{stats}");

        let archived = shell.json(solution, &["archive", id]).await;
        assert_eq!(archived["document"]["state"], "STATE_ARCHIVED");

        let ids = |listing: &Value| -> Vec<String> {
            let documents = listing["documents"].as_array().unwrap();
            documents.iter().map(|document| text(&document["documentId"]).to_owned()).collect()
        };
        for name in ["a", "b"] {
            shell.documents(solution, &["create", "--name", name, "--title", "T", "--tag", "x"]).await;
        }
        let all = shell.json(solution, &["list", "--all"]).await;
        assert_eq!((ids(&all).len(), &all["truncated"]), (3, &false.into()));
        let tagged = shell.json(solution, &["list", "--all", "--tag", "x", "--state", "draft"]).await;
        assert_eq!(ids(&tagged).len(), 2);
        let cut = shell.run(&["documents", "list", "-s", solution, "--all", "--limit", "2", "--json"]).await;
        assert_eq!((cut.code, cut.err.as_str()), (Some(0), "cut at 2: there are more; --limit N shows them\n"));

        shell.documents(solution, &["delete", id]).await;
        assert_eq!(ids(&shell.json(solution, &["list", "--all"]).await).len(), 2);
        let listed = shell.documents(solution, &["list", "--all", "--show-deleted"]).await;
        assert!(listed.contains("archived (deleted)"), "{listed}");
        let back = shell.json(solution, &["undelete", id]).await;
        assert_eq!(back["document"]["state"], "STATE_ARCHIVED");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_step_says_what_would_be_allowed() {
    let world = World::new().await;
    let replica = world.replica().await;
    let shell = Shell::new(&replica).await;
    let solution = "acme_corp";
    let rules = ["put-type", "letter", "--name", "Letter", "--four-eyes", "--extension", "txt"];
    shell.documents(solution, &rules).await;
    let create = ["create", "--name", "N", "--title", "T", "--type", "letter"];
    let created = shell.json(solution, &create).await;
    let (id, etag) = (text(&created["document"]["documentId"]), text(&created["document"]["etag"]));

    let refused = shell.refused(solution, &["approve", id, "--etag", etag]).await;
    assert!(refused.starts_with("error: FAILED_PRECONDITION STATE_TRANSITION_INVALID: "), "{refused}");
    let line = "  the document is DRAFT, this step is made from PENDING: fbs-router documents submit comes first\n";
    assert!(refused.contains(line), "{refused}");

    std::fs::write(shell.path("a.exe"), "x").unwrap();
    let refused = shell.refused(solution, &["upload", id, "a.exe"]).await;
    assert!(refused.contains("CONTENT_NOT_ALLOWED") && refused.contains("fbs-router documents types"), "{refused}");
    let refused = shell.refused(solution, &["download", id]).await;
    assert!(refused.contains("CONTENT_NOT_FOUND") && refused.contains("documents upload"), "{refused}");

    let submitted = shell.json(solution, &["submit", id]).await;
    let current = text(&submitted["document"]["etag"]);
    let refused = shell.refused(solution, &["reject", id, "--etag", etag, "--comment", "no"]).await;
    assert!(refused.contains(&format!("  its etag is now {current}\n")), "{refused}");
    assert!(refused.contains("fbs-router documents get"), "{refused}");
    let refused = shell.refused(solution, &["approve", id, "--etag", current]).await;
    assert!(refused.contains("SELF_APPROVAL") && refused.contains("--actor WHO"), "{refused}");
    let refused = shell.refused(solution, &["update", id, "--title", "U"]).await;
    assert!(refused.contains("DOCUMENT_NOT_EDITABLE") && refused.contains("documents reject"), "{refused}");

    for usage in [&["documents", "approve", id, "-s", solution][..], &["documents", "list"], &["routes", "--limit=0"]] {
        let said = shell.run(usage).await;
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{usage:?}: {said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_overwrites_nothing_unless_forced_and_a_failed_one_leaves_nothing() {
    let world = World::new().await;
    let replica = world.replica().await;
    let shell = Shell::new(&replica).await;
    for (solution, database) in [("acme_corp", ACME_DATABASE), ("globex", SYSTEM_DATABASE)] {
        let bytes = noise(3 * 1024 * 1024);
        let id = &with_content(&shell, solution, "a.bin", &bytes).await;
        std::fs::write(shell.path("a.bin"), "kept").unwrap();

        for arguments in [&["download", id][..], &["download", id, "--output", "a.bin"]] {
            let refused = shell.refused(solution, arguments).await;
            assert_eq!(refused, "error: a.bin is there already\n  --force replaces it; --output names another one\n");
            assert_eq!(read(shell.path("a.bin")), b"kept");
        }
        let refused = shell.refused(solution, &["download", id, "--output", "/dev/null", "--force"]).await;
        assert!(refused.contains("not a regular file"), "{refused}");
        shell.documents(solution, &["download", id, "--force"]).await;
        assert!(read(shell.path("a.bin")) == bytes);

        // A byte is changed behind the service: what comes is not what was declared, which only the end tells.
        world
            .run(
                database,
                &format!(
                    "SET session_replication_role = replica; \
                     UPDATE fbs_document.content_chunk SET bytes = set_byte(bytes, 0, get_byte(bytes, 0) # 1) \
                     WHERE company_id = '{solution}'"
                ),
            )
            .await;
        std::fs::write(shell.path("a.bin"), "kept").unwrap();
        let refused = shell.refused(solution, &["download", id, "--force"]).await;
        assert!(refused.starts_with("error: DATA_LOSS: ") && refused.contains("SHA-256"), "{refused}");
        assert_eq!(read(shell.path("a.bin")), b"kept");
        shell.refused(solution, &["download", id, "--output", "new.bin"]).await;
        assert_eq!(shell.files(), ["a.bin"], "no part of it stays");
        shell.refused(solution, &["download", id, "--output", "no/such/folder"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_and_databases_show_what_there_is() {
    let world = World::new().await;
    let replica = world.replica().await;
    let shell = Shell::new(&replica).await;
    for solution in ["acme_corp", "globex"] {
        shell.documents(solution, &["create", "--name", "N", "--title", "T"]).await;
    }
    let rows = |said: &Said| -> Vec<Vec<String>> {
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
        said.out.lines().skip(1).map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
    };
    let route = |row: &[String]| [row[0].clone(), row[2].clone(), row[3].clone(), row[5].clone()];
    let acme = ["acme_corp", "active", "dedicated", ACME_DATABASE].map(str::to_owned);
    let globex = ["globex", "active", "system", SYSTEM_DATABASE].map(str::to_owned);

    let found = |said: Said| -> Vec<[String; 4]> { rows(&said).iter().map(|row| route(row)).collect() };
    // Which apps there are is the configuration's; the documents app is the one that is asked for.
    let app = text(&shell.asked(&["resolve", "acme_corp"]).await["route"]["app"]).to_owned();
    let of_app = ["routes", "--app", &app];
    let with = |more: &[&'static str]| [&of_app[..], more].concat();
    assert_eq!(found(shell.run(&of_app).await), [acme.clone(), globex.clone()]);
    assert_eq!(found(shell.run(&with(&["--placement", "dedicated"])).await), [acme]);
    assert_eq!(found(shell.run(&with(&["--state=active", "--state=moving", "--prefix=glo"])).await), [globex]);
    assert_eq!(shell.run(&with(&["--state", "detached"])).await.out, "no routes\n");
    assert_eq!(shell.run(&with(&["--with-candidate"])).await.out, "no routes\n");

    let cut = shell.run(&with(&["--limit", "1", "--json"])).await;
    assert_eq!((cut.code, cut.err.as_str()), (Some(0), "cut at 1: there are more; --limit N shows them\n"));
    let json: Value = serde_json::from_str(&cut.out).unwrap();
    assert_eq!((&json["truncated"], &json["solutions"][0]["routes"][0]["epoch"]), (&true.into(), &"1".into()));

    let databases = rows(&shell.run(&["databases"]).await);
    assert_eq!(databases[0][..3], ["main", SYSTEM_DATABASE, "-"]);
    assert_eq!(databases[1][..3], ["main", ACME_DATABASE, "acme_corp"]);
    assert!(databases.iter().all(|row| row[3].parse::<u32>().is_ok()), "a version each: {databases:?}");
    assert_eq!(shell.asked(&["databases", "--app", &app]).await["truncated"], false);

    let unknown = shell.run(&["databases", "--app", "no_such_app"]).await;
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.err.contains("APP_UNKNOWN"), "{unknown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn completions_are_printed_without_a_service() {
    for shell in ["bash", "zsh", "fish"] {
        let binary = tokio::task::spawn_blocking(binary).await.unwrap();
        let output = Command::new(binary).args(["completions", shell]).output().await.unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        assert!(String::from_utf8(output.stdout).unwrap().contains("documents"), "{shell}");
    }
}
