use super::*;
use crate::{
    config::Config,
    domain::{Need, SolutionId},
};

const DAY: std::time::Duration = std::time::Duration::from_secs(86_400);

fn naming() -> std::sync::Arc<Naming> {
    let text = "[[server]]\nurl = \"postgres://fbs_router@localhost\"\n";
    Config::parse(text, Path::new("router.toml"), [], &[]).unwrap().naming
}

fn parse(text: &str) -> Result<Directory, Vec<String>> {
    Directory::parse(text, &naming()).map_err(|ConfigErrors(problems)| problems)
}

fn hex(byte: u8) -> String {
    format!("{byte:02x}").repeat(32)
}

#[test]
fn a_caller_is_found_by_token_and_by_certificate() {
    let text = format!(
        r#"
        [[caller]]
        id = "billing"
        grants = [{{ solution = "acme_corp", role = "writer" }}, {{ solution = "*", role = "reader" }}]
        tokens = [{{ sha256 = "{}" }}, {{ sha256 = "{}", not_after = "2027-01-01T00:00:00Z" }}]
        certificate = "spiffe://example/billing"
        [[caller]]
        id = "ines@example"
        kind = "person"
        act_for_others = true
        "#,
        hex(1),
        hex(2)
    );
    let directory = parse(&text).unwrap();
    let end = humantime::parse_rfc3339("2027-01-01T00:00:00Z").unwrap();
    let id = |digest, now| directory.by_token(&[digest; 32], now).map(|principal| principal.id().to_owned());
    assert_eq!(id(1, end + DAY).as_deref(), Some("billing"), "it does not expire");
    assert_eq!(id(2, end - DAY).as_deref(), Some("billing"));
    assert_eq!(id(2, end), None, "not after means not then either");
    assert_eq!(id(3, end), None);
    let by_certificate = directory.by_certificate("spiffe://example/billing").unwrap();
    assert!(by_certificate.may(Need::Write, &SolutionId::parse("acme_corp").unwrap()));
    assert!(!by_certificate.may(Need::Write, &SolutionId::parse("globex").unwrap()));
    assert!(by_certificate.sees_all());
    for other in ["spiffe://example/billing/", "spiffe://example/Billing", "SPIFFE://example/billing", ""] {
        assert!(directory.by_certificate(other).is_none(), "{other}");
    }
    assert_eq!(directory.callers(), 2);
}

#[test]
fn all_mistakes_are_reported_at_once_with_their_place_and_without_secrets() {
    let text = format!(
        r#"
        callers = 1
        [[caller]]
        id = "anonymous"
        kind = "robot"
        grants = [{{ solution = "Acme", role = "writer" }}, {{ solution = "acme" }}, {{ role = "king" }}, {{ solution = "system", role = "reader" }}]
        tokens = [{{ sha256 = "fbsr_geheim" }}, {{ sha256 = "geheim", not_after = "soon" }}, {{ token = "geheim" }}]
        certificate = "billing"
        [[caller]]
        id = "twice"
        tokens = [{{ sha256 = "{0}" }}, {{ sha256 = "{0}" }}, {{ sha256 = "{1}" }}]
        certificate = "spiffe://a/b"
        [[caller]]
        id = "twice"
        act_for_others = "yes"
        certificate = "spiffe://a/b"
        [[caller]]
        id = "a b"
        "#,
        hex(1),
        hex(2)
    );
    let problems = parse(&text).unwrap_err();
    for place in [
        "callers: unknown key",
        "caller[0].id: is the router's own word",
        "caller[0].kind: ",
        "caller[0].grants[0].solution: ",
        "caller[0].grants[1].role: is missing",
        "caller[0].grants[2].solution: is missing",
        "caller[0].grants[2].role: ",
        "caller[0].grants[3].solution: ",
        "caller[0].tokens[0].sha256: is a token itself",
        "caller[0].tokens[1].sha256: must be 64",
        "caller[0].tokens[1].not_after: ",
        "caller[0].tokens[2].sha256: is missing",
        "caller[0].tokens[2].token: unknown key",
        "caller[0].certificate: must be the URI",
        "caller[1].tokens[1].sha256: is there twice",
        "caller[1].tokens: 3 are valid at once",
        "caller[2].id: two callers are called `twice`",
        "caller[2].act_for_others: ",
        "caller[2].certificate: is another caller's",
        "caller[3].id: must be",
    ] {
        assert!(problems.iter().any(|problem| problem.starts_with(place)), "{place} is missing in {problems:#?}");
    }
    assert!(!problems.iter().any(|problem| problem.contains("geheim")), "{problems:#?}");
}

#[test]
fn a_file_that_is_no_toml_or_empty_is_refused_without_repeating_it() {
    for text in ["", "# nobody\n", "[[caller]\nid = \"geheim\"", "[[caller]]\nid = fbsr_geheim"] {
        let problems = parse(text).unwrap_err();
        assert!(!problems.iter().any(|problem| problem.contains("geheim")), "{problems:?}");
    }
}

#[test]
fn a_third_token_may_be_listed_once_one_has_expired() {
    let text = format!(
        "[[caller]]\nid = \"a\"\ntokens = [{{ sha256 = \"{}\", not_after = \"2001-01-01T00:00:00Z\" }}, \
         {{ sha256 = \"{}\" }}, {{ sha256 = \"{}\" }}]",
        hex(1),
        hex(2),
        hex(3)
    );
    assert!(parse(&text).is_ok());
}

#[test]
fn a_file_that_others_can_write_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("callers.toml");
    std::fs::write(&path, "[[caller]]\nid = \"a\"\n").unwrap();
    for (mode, good) in [(0o600, true), (0o644, true), (0o440, true), (0o620, false), (0o602, false)] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let outcome = Directory::load(&path, &naming());
        assert_eq!(outcome.is_ok(), good, "{mode:o}: {outcome:?}");
    }
    assert!(Directory::load(folder.path(), &naming()).is_err());
    assert!(Directory::load(&folder.path().join("nobody.toml"), &naming()).is_err());
}

#[test]
fn callers_without_a_file_are_a_mistake_and_not_nobody_authenticated() {
    let text = "[[server]]\nurl = \"postgres://fbs_router@localhost\"\n";
    let problems = |section: &str| match Config::parse(&format!("{text}{section}"), Path::new("router.toml"), [], &[]) {
        Ok(config) => Err(config.callers.is_some()),
        Err(ConfigErrors(problems)) => Ok(problems),
    };
    assert_eq!(problems(""), Err(false));
    for (section, place) in [
        ("[callers]\nfailures_per_minute = 5", "callers.file: is missing"),
        ("[callers]", "callers.file: is missing"),
        ("[callers]\nfile = \"\"", "callers.file: must not be empty"),
        ("[callers]\nfile = 1", "callers.file: "),
        ("[callers]\nfile = \"/nowhere/callers.toml\"", "/nowhere/callers.toml: cannot be read"),
    ] {
        let found = problems(section).expect(section);
        assert!(found.iter().any(|problem| problem.starts_with(place)), "{section}: {found:?}");
    }
}

#[test]
fn the_example_is_one_that_can_be_used() {
    let directory = parse(include_str!("../../../../deploy/callers.example.toml")).unwrap();
    assert_eq!(directory.callers(), 2);
}
