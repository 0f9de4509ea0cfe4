//! Tokens are believed only as sealed, for what they were sealed for, and not for ever.

use fbs_router_proto::document::v1::ListDocumentsRequest;
use proptest::prelude::*;

use super::*;

const NOW: SystemTime = UNIX_EPOCH;

fn scope(solution: &str) -> Scope {
    Scope::new("ListDocuments", solution, &ListDocumentsRequest::default())
}

fn cursor() -> Cursor {
    Cursor { key: CursorKey::Text("Rechnung Ü".to_owned()), id: Uuid::from_u128(7) }
}

fn problem(result: Result<Cursor>) -> &'static str {
    match result {
        Err(Error::PageTokenInvalid(problem)) => problem,
        other => panic!("{other:?}"),
    }
}

fn key_file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    fs::write(&path, text).unwrap();
    (folder, path)
}

#[test]
fn a_token_is_for_its_request_alone() {
    let tokens = Tokens::random();
    let token = tokens.seal(&scope("acme"), &cursor(), NOW);
    assert_eq!(tokens.open(&scope("acme"), &token, NOW).unwrap(), cursor());
    let arguments = ListDocumentsRequest { show_deleted: true, ..Default::default() };
    for other in [
        scope("globex"),
        Scope::new("SearchDocuments", "acme", &ListDocumentsRequest::default()),
        Scope::new("ListDocuments", "acme", &arguments),
    ] {
        assert_eq!(problem(tokens.open(&other, &token, NOW)), "for another request");
    }
}

#[test]
fn a_token_is_valid_for_72_hours() {
    let tokens = Tokens::random();
    let token = tokens.seal(&scope("acme"), &cursor(), NOW + VALID);
    assert!(tokens.open(&scope("acme"), &token, NOW + 2 * VALID).is_ok());
    assert_eq!(problem(tokens.open(&scope("acme"), &token, NOW + 2 * VALID + Duration::from_secs(1))), "expired");
    assert!(tokens.open(&scope("acme"), &token, NOW).is_ok(), "another replica's clock may be ahead");
}

#[test]
fn every_changed_bit_is_a_forgery() {
    let tokens = Tokens::random();
    let bytes = URL_SAFE_NO_PAD.decode(tokens.seal(&scope("acme"), &cursor(), NOW)).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut forged = bytes.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(problem(tokens.open(&scope("acme"), &URL_SAFE_NO_PAD.encode(forged), NOW)), "forged");
    }
    for length in 0..bytes.len() {
        let cut = URL_SAFE_NO_PAD.encode(&bytes[..length]);
        assert_eq!(problem(tokens.open(&scope("acme"), &cut, NOW)), "forged");
    }
    assert_eq!(problem(tokens.open(&scope("acme"), &"A".repeat(1_000_000), NOW)), "forged");
}

#[test]
fn the_longest_title_makes_an_acceptable_token() {
    let tokens = Tokens::random();
    let cursor = Cursor { key: CursorKey::Text("😀".repeat(255)), id: Uuid::max() };
    let token = tokens.seal(&scope("acme"), &cursor, NOW);
    assert_eq!(tokens.open(&scope("acme"), &token, NOW).unwrap(), cursor);
}

#[test]
fn the_first_key_signs_and_both_are_accepted() {
    let (old, new) = ("aB".repeat(32), "01".repeat(32));
    let (_old, path) = key_file(&format!("{old}\n"));
    let before = Tokens::from_key_file(&path).unwrap();
    let (_both, path) = key_file(&format!("{new}\r\n{old}"));
    let during = Tokens::from_key_file(&path).unwrap();
    let (_new, path) = key_file(&new);
    let after = Tokens::from_key_file(&path).unwrap();

    let scope = scope("acme");
    let (first, second) = (before.seal(&scope, &cursor(), NOW), during.seal(&scope, &cursor(), NOW));
    assert!(during.open(&scope, &first, NOW).is_ok());
    assert!(during.open(&scope, &second, NOW).is_ok());
    assert!(after.open(&scope, &second, NOW).is_ok());
    assert_eq!(problem(after.open(&scope, &first, NOW)), "forged");
    assert_eq!(problem(Tokens::random().open(&scope, &first, NOW)), "forged");
}

#[test]
fn a_key_file_says_precisely_what_is_wrong_and_never_what_is_in_it() {
    let key = "ab".repeat(32);
    for (text, problem) in [
        (String::new(), "must have one or two lines"),
        (format!("{key}\n{key}\n{key}"), "must have one or two lines"),
        (format!("{key}\nx{}", &key[1..]), "line 2 of"),
        (format!("{key} "), "line 1 of"),
        (format!("\n{key}"), "line 1 of"),
        ("é".repeat(32), "line 1 of"),
    ] {
        let (_folder, path) = key_file(&text);
        let error = Tokens::from_key_file(&path).unwrap_err();
        assert!(error.to_string().contains(problem), "{error}");
        assert!(!format!("{error} {error:?}").contains("abab"), "{error:?}");
    }
    let error = Tokens::from_key_file(Path::new("/nowhere/keys")).unwrap_err();
    assert_eq!(error.to_string(), "cannot read the key file /nowhere/keys");
    let (_folder, path) = key_file(&key);
    assert_eq!(format!("{:?}", Tokens::from_key_file(&path).unwrap()), "Tokens(1 keys, redacted)");
}

proptest! {
    #[test]
    fn what_is_sealed_opens(micros in any::<i64>(), text in "\\PC{0,255}", id in any::<u128>(), seconds in 0..1u64 << 40) {
        let (tokens, scope) = (Tokens::random(), scope("acme"));
        let now = UNIX_EPOCH + Duration::from_secs(seconds);
        for key in [CursorKey::Number(micros), CursorKey::Text(text), CursorKey::Score(micros.unsigned_abs())] {
            let cursor = Cursor { key, id: Uuid::from_u128(id) };
            let token = tokens.seal(&scope, &cursor, now);
            prop_assert_eq!(tokens.open(&scope, &token, now).unwrap(), cursor);
        }
    }

    #[test]
    fn rubbish_is_refused_without_a_panic(text in any::<String>(), bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let tokens = Tokens::random();
        prop_assert!(tokens.open(&scope("acme"), &text, NOW).is_err());
        prop_assert!(tokens.open(&scope("acme"), &URL_SAFE_NO_PAD.encode(&bytes), NOW).is_err());
        let _ = parse(&bytes);
    }
}
