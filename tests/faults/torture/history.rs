//! What the callers did and were told, a line a call: recorded while it happens, written to a file, and turned into what
//! [`checker`](super::checker) judges.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::checker::{Change, Content, NEVER, Op, Refusal, What};

/// What a caller asks for. An etag is one that somebody has seen, or empty: whatever the document is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Call {
    Create {
        nonce: u64,
    },
    Update {
        nonce: u64,
        etag: String,
    },
    Upload {
        nonce: u64,
        etag: String,
    },
    Submit {
        etag: String,
    },
    Approve {
        etag: String,
    },
    Delete {
        etag: String,
    },
    Get,
    Download,
    /// Of the documents of its category: one line each.
    List,
    /// Its database was given up.
    Lose,
    /// Read in the database itself, when everything was over.
    Last,
}

/// A document as an answer shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Seen {
    pub(super) content: Content,
    pub(super) etag: String,
    pub(super) database: String,
}

/// What a call came to, whatever number of tries it took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Outcome {
    /// The document, or that it is not there.
    Is(Option<Seen>),
    /// The file of that upload, whole.
    File(u64),
    Refused(Refusal),
    /// It may have been done, may yet be, or never.
    Unknown,
}

/// One call with all its tries.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) client: usize,
    pub(super) solution: String,
    pub(super) document: String,
    pub(super) call: Call,
    /// None of what only reads.
    pub(super) request_id: String,
    /// Which router was tried, and what it answered.
    pub(super) tries: Vec<(usize, String)>,
    pub(super) outcome: Outcome,
    /// Microseconds since the beginning, of one clock.
    pub(super) called: u64,
    pub(super) returned: u64,
}

/// What each etag was seen with. One that two contents had, and a content that had two, is a fault of its own.
#[derive(Debug, Default)]
pub(super) struct Etags {
    contents: HashMap<String, (String, Content)>,
    pub(super) doubled: Vec<String>,
}

impl Etags {
    pub(super) fn of(lines: &[Line]) -> Self {
        let mut this = Self::default();
        let mut etags = HashMap::<(&str, Content), &str>::new();
        for line in lines {
            let Outcome::Is(Some(seen)) = &line.outcome else { continue };
            let of = (line.document.clone(), seen.content);
            let first = this.contents.entry(seen.etag.clone()).or_insert_with(|| of.clone());
            if *first != of {
                this.doubled.push(format!("etag {} was {first:?} and is {of:?}", seen.etag));
            }
            let first = etags.entry((line.document.as_str(), seen.content)).or_insert(&seen.etag);
            if *first != seen.etag {
                this.doubled.push(format!("{of:?} had etag {first} and has {}", seen.etag));
            }
        }
        this
    }

    fn content(&self, etag: &str) -> Option<Content> {
        self.contents.get(etag).map(|(_, content)| *content)
    }
}

impl Line {
    /// What it says of its document, as line `number` of the history.
    ///
    /// An answer may be that of a repeat, by us or by the router itself: then it shows the document as it was when it was
    /// read, which is after the change, not at it.
    pub(super) fn ops(&self, number: usize, etags: &Etags) -> Vec<Op> {
        let (change, read) = match &self.call {
            Call::Create { nonce } => (Some(Change::Create(*nonce)), None),
            Call::Update { nonce, etag } => (Some(Change::Update(*nonce)), etags.content(etag)),
            Call::Upload { nonce, etag } => (Some(Change::Upload(*nonce)), etags.content(etag)),
            Call::Submit { etag } => (Some(Change::Submit), etags.content(etag)),
            Call::Approve { etag } => (Some(Change::Approve), etags.content(etag)),
            Call::Delete { etag } => (Some(Change::Delete), etags.content(etag)),
            Call::Lose => (Some(Change::Lose), None),
            Call::Get | Call::Download | Call::List | Call::Last => (None, None),
        };
        let at = |what, returned| Op { what, line: number, called: self.called, returned };
        match (change, &self.outcome) {
            (Some(Change::Lose), _) => vec![at(What::Applied { change: Change::Lose, read }, self.returned)],
            (Some(change), Outcome::Is(seen)) => {
                let seen = What::Seen(seen.as_ref().map(|seen| seen.content));
                vec![at(What::Applied { change, read }, self.returned), at(seen, self.returned)]
            }
            (Some(change), Outcome::Refused(refusal)) => {
                let mut ops = vec![at(What::Refused { change, read, refusal: *refusal }, self.returned)];
                // An earlier try may still be on its way; it has not been made, or this one would have found it.
                if self.tries.len() > 1 {
                    ops.push(at(What::Applied { change, read }, NEVER));
                }
                ops
            }
            (Some(change), Outcome::Unknown) => vec![at(What::Applied { change, read }, NEVER)],
            (None, Outcome::Is(None)) if self.call == Call::List => vec![at(What::Hidden, self.returned)],
            (None, Outcome::Is(seen)) => {
                vec![at(What::Seen(seen.as_ref().map(|seen| seen.content)), self.returned)]
            }
            (_, Outcome::File(nonce)) => vec![at(What::Holds(*nonce), self.returned)],
            (None, Outcome::Refused(refusal)) if self.call == Call::Download => match refusal {
                Refusal::NoFile => vec![at(What::Holds(0), self.returned)],
                // It was replaced while it was read: no more is said.
                Refusal::EtagMismatch => Vec::new(),
                // A deleted document is shown, and has no file to read.
                _ => vec![at(What::Hidden, self.returned)],
            },
            (None, Outcome::Refused(_)) => vec![at(What::Seen(None), self.returned)],
            (None, Outcome::Unknown) => Vec::new(),
        }
    }
}

/// The lines of each document, by their numbers.
pub(super) fn documents(lines: &[Line]) -> BTreeMap<(&str, &str), Vec<usize>> {
    let mut documents = BTreeMap::<_, Vec<usize>>::new();
    for (number, line) in lines.iter().enumerate() {
        documents.entry((line.solution.as_str(), line.document.as_str())).or_default().push(number);
    }
    documents
}

pub(super) fn write(path: &Path, lines: &[Line]) {
    let lines: Vec<String> = lines.iter().map(|line| serde_json::to_string(line).unwrap()).collect();
    std::fs::write(path, lines.join("\n")).unwrap();
}

pub(super) fn read(path: &Path) -> Vec<Line> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
