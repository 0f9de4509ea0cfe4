//! `[callers]`, and the file it names: who may call, how he proves who he is, and what he may do.
//!
//! One file whatever the method of authentication, so that moving from tokens to certificates changes no grant. It holds
//! no secret: a token is there by its SHA-256, and nothing of what stands in place of one is ever repeated in a message.

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    fmt,
    fs::{File, Metadata},
    io::Read,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{ConfigErrors, read::Section};
use crate::domain::{
    Naming, Principal,
    principal::{Extent, Grant, PrincipalKind, Role},
};

/// Longest file that is read: enough for ten thousand callers.
const FILE_BYTES: u64 = 8 * 1024 * 1024;
/// Longest name of a caller, in bytes: rows carry it.
const ID_BYTES: usize = 255;
/// Longest URI of a certificate, in bytes, as SPIFFE has it.
const URI_BYTES: usize = 2_048;
/// Tokens of one caller that may be valid at the same time: the one before, and the one after.
const LIVE_TOKENS: usize = 2;
/// What a token begins with, so that people and scanners know one where it should not be.
pub const TOKEN_PREFIX: &str = "fbsr_";

/// The SHA-256 of a token.
pub type TokenDigest = [u8; 32];

/// `[callers]`
#[derive(Debug, Clone)]
pub struct Callers {
    /// Who may call. Read again when it changes.
    pub file: PathBuf,
    /// Invalid credentials per peer address and minute that are answered as such; more are `RATE_LIMITED`.
    pub failures_per_minute: u32,
}

/// Who may call, as the file says: looked up by what a call brings.
#[derive(Default)]
pub struct Directory {
    tokens: HashMap<TokenDigest, Token>,
    certificates: HashMap<Box<str>, Principal>,
    callers: usize,
}

/// A token that was given out.
struct Token {
    caller: Principal,
    /// None: it does not expire.
    not_after: Option<SystemTime>,
}

// === impl Callers ===

impl Callers {
    /// None: nobody is authenticated.
    pub(super) fn read(root: &mut Section<'_>) -> Option<Self> {
        let given = root.has("callers");
        let mut section = root.section("callers");
        let file = section.text("file");
        let failures_per_minute = section.integer("failures_per_minute", 10, 1..=1_000_000);
        if file.as_deref() == Some("") {
            section.problem("file", "must not be empty; leave [callers] out to authenticate nobody");
        }
        if file.is_none() && given {
            // A mistake here must not mean that everybody is admin.
            section.problem("file", "is missing");
        }
        section.finish();
        Some(Self { file: PathBuf::from(file?), failures_per_minute })
    }
}

// === impl Directory ===

impl Directory {
    /// Reads the file: all that is wrong with it, or who may call.
    pub fn load(path: &Path, naming: &Naming) -> Result<Self, ConfigErrors> {
        let text = read_file(path).map_err(|problem| ConfigErrors(vec![format!("{}: {problem}", path.display())]))?;
        Self::parse(&text, naming).map_err(|ConfigErrors(problems)| {
            ConfigErrors(problems.into_iter().map(|problem| format!("{}: {problem}", path.display())).collect())
        })
    }

    /// As [`Self::load`], of its text.
    pub fn parse(text: &str, naming: &Naming) -> Result<Self, ConfigErrors> {
        // The parser's text would repeat the line, and with it perhaps what should not be there.
        let table: toml::Table = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(0, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            ConfigErrors(vec![format!("line {line}: not TOML: {}", error.message())])
        })?;
        let found = RefCell::new(Vec::new());
        let mut root = Section::root(table, &found);
        let mut this = Self::default();
        let mut ids = HashSet::new();
        for caller in root.sections("caller") {
            this.add(caller, naming, &mut ids);
        }
        root.finish();
        let mut problems = found.into_inner();
        if this.callers == 0 && problems.is_empty() {
            // An empty file is one that is being written, not a wish.
            problems.push("holds no [[caller]]; to shut out the last one leave it there without tokens".to_owned());
        }
        if problems.is_empty() { Ok(this) } else { Err(ConfigErrors(problems)) }
    }

    fn add(&mut self, mut section: Section<'_>, naming: &Naming, ids: &mut HashSet<String>) {
        self.callers += 1;
        let id = section.required("id");
        if !id.is_empty() {
            if !is_id(&id) {
                section.problem("id", "must be 1 to 255 letters, digits or ._:/@- and begin with a letter or digit");
            } else if id == "anonymous" || id == "fbs-router" {
                section.problem("id", "is the router's own word; choose another");
            }
            if !ids.insert(id.clone()) {
                section.problem("id", format!("two callers are called `{id}`"));
            }
        }
        let kinds = [("service", PrincipalKind::Service), ("person", PrincipalKind::Person)];
        let kind = section.word("kind", &kinds).unwrap_or(PrincipalKind::Service);
        let grants = section.sections("grants").into_iter().filter_map(|grant| read_grant(grant, naming)).collect();
        let act_for_others = section.flag("act_for_others", false);
        let principal = Principal::new(&id, kind, grants, act_for_others);

        let now = SystemTime::now();
        let mut live = 0;
        for token in section.sections("tokens") {
            let (digest, not_after) = read_token(token, |digest| self.tokens.contains_key(digest));
            live += usize::from(not_after.is_none_or(|end| end > now));
            if let Some(digest) = digest {
                self.tokens.insert(digest, Token { caller: principal.clone(), not_after });
            }
        }
        if live > LIVE_TOKENS {
            section.problem(
                "tokens",
                format!("{live} are valid at once; {LIVE_TOKENS} are enough to change from one to the next"),
            );
        }
        if let Some(uri) = section.text("certificate") {
            if !is_uri(&uri) {
                section.problem("certificate", "must be the URI of the certificate, such as spiffe://example/billing");
            } else if self.certificates.insert(uri.into(), principal).is_some() {
                section.problem("certificate", "is another caller's, too");
            }
        }
        section.finish();
    }

    /// Whose token that is, if it is valid now.
    ///
    /// Looked up, not compared in constant time: what is looked up is the digest of what the caller sent. Whoever learns from
    /// the time how a digest begins knows nothing of the token, which is random and 256 bits long.
    pub fn by_token(&self, digest: &TokenDigest, now: SystemTime) -> Option<&Principal> {
        let token = self.tokens.get(digest)?;
        token.not_after.is_none_or(|end| now < end).then_some(&token.caller)
    }

    /// Whose certificate has that URI.
    pub fn by_certificate(&self, uri: &str) -> Option<&Principal> {
        self.certificates.get(uri)
    }

    /// How many callers there are.
    pub fn callers(&self) -> usize {
        self.callers
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Directory({} callers)", self.callers)
    }
}

fn read_grant(mut section: Section<'_>, naming: &Naming) -> Option<Grant> {
    let solution = section.required("solution");
    let roles =
        [("reader", Role::Reader), ("writer", Role::Writer), ("approver", Role::Approver), ("admin", Role::Admin)];
    if !section.has("role") {
        section.problem("role", "is missing");
    }
    let role = section.word("role", &roles);
    let extent = match solution.as_str() {
        "" => None,
        "*" => Some(Extent::Everywhere),
        name => match naming.admit(name) {
            Ok(solution) => Some(Extent::Solution(solution)),
            Err(error) => {
                section.problem("solution", format!("{name:?}: {error}"));
                None
            }
        },
    };
    section.finish();
    Some(Grant { extent: extent?, role: role? })
}

fn read_token(
    mut section: Section<'_>,
    known: impl Fn(&TokenDigest) -> bool,
) -> (Option<TokenDigest>, Option<SystemTime>) {
    let text = section.required("sha256");
    let digest = digest(&text);
    if text.starts_with(TOKEN_PREFIX) {
        section.problem("sha256", "is a token itself: take it out of use, and put the SHA-256 of a new one here");
    } else if digest.is_none() && !text.is_empty() {
        section.problem("sha256", "must be 64 hexadecimal digits; `fbs-router token new` prints the line");
    } else if digest.as_ref().is_some_and(known) {
        section.problem("sha256", "is there twice: a token belongs to one caller");
    }
    let not_after = section.text("not_after").and_then(|text| {
        let time = humantime::parse_rfc3339(&text);
        time.map_err(|_| section.problem("not_after", "must be a time such as \"2027-01-01T00:00:00Z\"")).ok()
    });
    section.finish();
    (digest, not_after)
}

fn digest(text: &str) -> Option<TokenDigest> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(digest)
}

fn is_id(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/@-".contains(&byte);
    text.len() <= ID_BYTES
        && text.bytes().all(inner)
        && text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
}

fn is_uri(text: &str) -> bool {
    let scheme = text.split_once(':').map(|(scheme, rest)| (scheme, !rest.is_empty()));
    text.len() <= URI_BYTES
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && scheme.is_some_and(|(scheme, rest)| {
            rest && scheme.bytes().next().is_some_and(|first| first.is_ascii_alphabetic())
        })
}

/// The text of a file that nobody but its owner can change.
fn read_file(path: &Path) -> Result<String, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    // Looked at as it was opened: between two looks at a path it may become another file.
    let file = File::open(path).map_err(unreadable)?;
    check(&file.metadata().map_err(unreadable)?)?;
    let mut text = String::new();
    file.take(FILE_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > FILE_BYTES {
        return Err(format!("is longer than {FILE_BYTES} bytes"));
    }
    Ok(text)
}

fn check(metadata: &Metadata) -> Result<(), String> {
    if !metadata.is_file() {
        return Err("is not a file".to_owned());
    }
    if metadata.mode() & 0o022 != 0 {
        return Err("others than its owner can write to it, and so give themselves every right; chmod go-w".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
