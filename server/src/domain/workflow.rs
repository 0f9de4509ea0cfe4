//! The workflow: which step leads where, and what a document's type has to say in it.
//!
//! Pure; whoever asks holds the lock of the document's row. `DRAFT → PENDING → APPROVED | REJECTED → ARCHIVED`, and back from
//! REJECTED to PENDING by submitting again.

use super::{Error, Result, document::State};

/// A step that a caller may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Hands in for approval.
    Submit,
    /// Approves.
    Approve,
    /// Rejects.
    Reject,
    /// Closes for good.
    Archive,
}

/// Rules for documents of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentType {
    /// Its code, unique in the solution.
    pub code: String,
    /// Its name.
    pub name: String,
    /// What it is for, possibly empty.
    pub description: String,
    /// What it asks of its documents.
    pub rules: Rules,
}

/// What a type asks of its documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Submitting waits for approval; otherwise it approves at once.
    pub requires_approval: bool,
    /// Its creator may not approve a document.
    pub four_eyes: bool,
    /// Extensions of its files, lower case, without the dot; empty: any.
    pub allowed_extensions: Vec<String>,
    /// Most bytes of its files; none: the server's limit.
    pub max_content_size: Option<u64>,
}

/// One step that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// Counts the steps of its document, from 1.
    pub number: i64,
    /// State before.
    pub from: State,
    /// State after.
    pub to: State,
    /// Who.
    pub actor: String,
    /// Why, possibly empty.
    pub comment: String,
    /// When.
    pub create_time: std::time::SystemTime,
}

// === impl Step ===

impl Step {
    /// The states in which it may be made.
    pub fn allowed_from(self) -> &'static [State] {
        match self {
            Self::Submit => &[State::Draft, State::Rejected],
            Self::Approve | Self::Reject => &[State::Pending],
            Self::Archive => &[State::Approved, State::Rejected],
        }
    }

    /// The state after it, if it may be made.
    pub fn from(self, state: State, rules: &Rules) -> Result<State> {
        if !self.allowed_from().contains(&state) {
            return Err(Error::StateTransitionInvalid { state, allowed: self.allowed_from() });
        }
        Ok(match self {
            Self::Submit if rules.requires_approval => State::Pending,
            Self::Submit | Self::Approve => State::Approved,
            Self::Reject => State::Rejected,
            Self::Archive => State::Archived,
        })
    }
}

// === impl Rules ===

impl Rules {
    /// True if a file of that name and size may be content of a document.
    pub fn admit(&self, filename: &str, size: u64) -> Result<()> {
        let extension = filename.rsplit_once('.').map(|(_, extension)| extension.to_lowercase()).unwrap_or_default();
        if !self.allowed_extensions.is_empty() && !self.allowed_extensions.contains(&extension) {
            return Err(Error::ContentNotAllowed("the document's type does not take files with this extension"));
        }
        if self.max_content_size.is_some_and(|most| size > most) {
            return Err(Error::ContentNotAllowed("the document's type does not take files of this size"));
        }
        Ok(())
    }
}

impl Default for Rules {
    /// Of a type that nobody defined.
    fn default() -> Self {
        Self { requires_approval: true, four_eyes: false, allowed_extensions: Vec::new(), max_content_size: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 5] = [State::Draft, State::Pending, State::Approved, State::Rejected, State::Archived];

    #[test]
    fn each_step_leads_where_the_page_says_and_nowhere_else() {
        use State::{Approved, Archived, Draft, Pending, Rejected};
        use Step::{Approve, Archive, Reject, Submit};
        let with_approval = [
            (Submit, Draft, Pending),
            (Submit, Rejected, Pending),
            (Approve, Pending, Approved),
            (Reject, Pending, Rejected),
            (Archive, Approved, Archived),
            (Archive, Rejected, Archived),
        ];
        let straight = Rules { requires_approval: false, ..Rules::default() };
        for step in [Submit, Approve, Reject, Archive] {
            for state in STATES {
                let expected = with_approval.iter().find(|row| row.0 == step && row.1 == state).map(|row| row.2);
                assert_eq!(step.from(state, &Rules::default()).ok(), expected, "{step:?} from {state:?}");
                let expected = expected.map(|to| if step == Submit { Approved } else { to });
                assert_eq!(step.from(state, &straight).ok(), expected, "{step:?} from {state:?} without approval");
            }
        }
    }

    #[test]
    fn an_illegal_step_says_from_which_states_it_would_be_legal() {
        let refused = Step::Archive.from(State::Draft, &Rules::default());
        let Err(Error::StateTransitionInvalid { state, allowed }) = refused else { panic!("{refused:?}") };
        assert_eq!((state, allowed), (State::Draft, &[State::Approved, State::Rejected][..]));
    }

    #[test]
    fn a_type_takes_files_by_extension_and_size() {
        let pdfs = Rules {
            allowed_extensions: vec!["pdf".to_owned(), "gz".to_owned()],
            max_content_size: Some(10),
            ..Rules::default()
        };
        for (filename, size, taken) in [
            ("a.pdf", 10, true),
            ("A.PDF", 0, true),
            ("a.tar.gz", 1, true),
            ("a.pdf", 11, false),
            ("a.exe", 1, false),
            ("pdf", 1, false),
            ("a.pdf.exe", 1, false),
            ("", 1, false),
        ] {
            assert_eq!(pdfs.admit(filename, size).is_ok(), taken, "{filename} {size}");
        }
        assert!(Rules::default().admit("anything", u64::MAX).is_ok());
    }
}
