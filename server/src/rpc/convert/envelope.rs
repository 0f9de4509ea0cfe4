//! What all requests about documents have in common.

use super::fields::{self, Kind, Violations};
use crate::domain::{
    Naming, Result, SolutionId,
    request::{Command, Query, RepeatKey},
};

/// Whose documents, and where; each `None` left a violation.
pub(super) struct Addressee {
    solution: Option<SolutionId>,
    database: Option<Option<String>>,
}

/// The same, of a request that changes something.
pub(super) struct Envelope {
    addressee: Addressee,
    repeat: Option<Option<RepeatKey>>,
    actor: Option<Option<String>>,
}

/// The fields of a mutation, before anything else of it is read: the digest is of the whole request.
pub(super) struct Mutating<'r> {
    pub(super) method: &'static str,
    pub(super) solution: &'r str,
    pub(super) request_id: &'r str,
    pub(super) actor: String,
    pub(super) database: String,
}

/// Opens the envelope of a mutation; leaves the rest of the request to be read.
macro_rules! envelope {
    ($violations:ident, $naming:expr, $method:literal, $request:ident) => {{
        let request_id = std::mem::take(&mut $request.request_id);
        let digest = $crate::rpc::convert::fields::digest($method, &$request);
        let mutating = $crate::rpc::convert::envelope::Mutating {
            method: $method,
            solution: &$request.solution,
            request_id: &request_id,
            actor: std::mem::take(&mut $request.actor),
            database: std::mem::take(&mut $request.database),
        };
        $violations.envelope($naming, mutating, digest)
    }};
}
pub(super) use envelope;

impl Violations {
    /// Reads whose documents are asked for.
    pub(super) fn addressee(&mut self, naming: &Naming, solution: &str, database: String) -> Addressee {
        let solution = self.solution(naming, solution);
        Addressee { solution, database: self.take(Kind::Field, "database", fields::database(database)) }
    }

    /// Reads who wants a change, and whose documents are to change.
    pub(super) fn envelope(&mut self, naming: &Naming, mutating: Mutating<'_>, digest: [u8; 32]) -> Envelope {
        let Mutating { method, solution, request_id, actor, database } = mutating;
        let addressee = self.addressee(naming, solution, database);
        let repeat = fields::repeat_key(method, request_id, digest);
        let repeat = self.take(Kind::Field, "request_id", repeat);
        Envelope { addressee, repeat, actor: self.take(Kind::Field, "actor", fields::actor(actor)) }
    }
}

impl Addressee {
    /// The request, unless something is wrong with it.
    pub(super) fn query<T>(self, violations: Violations, what: Option<T>) -> Result<Query<T>> {
        let read = || Some(Query { solution: self.solution?, database: self.database?, what: what? });
        violations.finish(read())
    }
}

impl Envelope {
    /// The request, unless something is wrong with it.
    pub(super) fn command<T>(self, violations: Violations, what: Option<T>) -> Result<Command<T>> {
        let Addressee { solution, database } = self.addressee;
        let read = || {
            Some(Command {
                solution: solution?,
                database: database?,
                repeat: self.repeat?,
                actor: self.actor?,
                what: what?,
            })
        };
        violations.finish(read())
    }
}
