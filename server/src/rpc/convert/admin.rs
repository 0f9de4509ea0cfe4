//! `fbs.admin.v1`: what operators ask for.

use fbs_router_proto::admin::v1 as proto;
use fbs_router_proto::router::v1 as router_proto;

use super::fields::{Kind, Violations};
use crate::{
    config::Isolation,
    domain::{App, DATABASE_NAME_BYTES, Error, Naming, Placement, Result, SolutionId, Violation},
    moving::Wish,
    routing::Registering,
};

/// Longest name of a server, in bytes.
const SERVER_BYTES: usize = 64;

/// The pair that an operator decides about, and whether the solution's id was typed once more.
#[derive(Debug)]
pub struct Decided<'n> {
    /// The app.
    pub app: &'n App,
    /// The solution.
    pub solution: SolutionId,
    /// It was.
    pub confirmed: bool,
}

/// `RegisterSolution`. `default`: what holds where nothing is said.
pub fn register(
    request: proto::RegisterSolutionRequest,
    naming: &Naming,
    default: Isolation,
) -> Result<(Decided<'_>, Registering)> {
    let mut violations = Violations::default();
    let server = name(&mut violations, "server", request.server, SERVER_BYTES);
    let database = name(&mut violations, "database", request.database, DATABASE_NAME_BYTES);
    confirm(&mut violations, &request.confirm, &request.solution, false);
    let decided = decided(violations, &request.solution, &request.app, &request.confirm, naming)?;
    let isolation = match request.dedicated_only {
        Some(true) => Isolation::Required,
        Some(false) => Isolation::Preferred,
        None if server.is_some() || database.is_some() => Isolation::Required,
        None => default,
    };
    Ok((decided, Registering { server, database, isolation }))
}

/// `ReleaseSolution`.
pub fn release<'n>(request: &proto::ReleaseSolutionRequest, naming: &'n Naming) -> Result<Decided<'n>> {
    let mut violations = Violations::default();
    confirm(&mut violations, &request.confirm, &request.solution, true);
    decided(violations, &request.solution, &request.app, &request.confirm, naming)
}

/// `MoveSolution`.
pub fn move_solution(request: &proto::MoveSolutionRequest, naming: &Naming) -> Result<Wish> {
    let mut violations = Violations::default();
    let to = match router_proto::Placement::try_from(request.to) {
        Ok(router_proto::Placement::Dedicated) => Some(Placement::Dedicated),
        Ok(router_proto::Placement::System) => Some(Placement::System),
        Ok(router_proto::Placement::Unspecified) | Err(_) => {
            violations.add(Kind::Field, "to", "must be PLACEMENT_DEDICATED or PLACEMENT_SYSTEM");
            None
        }
    };
    let addressee = violations.addressee(naming, &request.solution, String::new());
    let solution = addressee.query(violations, Some(()))?.solution;
    let to = to.ok_or_else(|| Error::internal("a violation was lost"))?;
    Ok(Wish { solution, to, dry_run: request.dry_run, purge: request.purge })
}

/// A server's name, as the ledger has it.
pub fn server(name: String) -> Result<String> {
    if !name.is_empty() && name.len() <= SERVER_BYTES && !name.contains('\0') {
        return Ok(name);
    }
    let problem = format!("must be given, at most {SERVER_BYTES} bytes, without NUL");
    Err(Error::FieldInvalid(vec![Violation::new("server", problem)]))
}

fn name(violations: &mut Violations, field: &str, given: String, bytes: usize) -> Option<String> {
    if given.len() > bytes || given.contains('\0') {
        violations.add(Kind::Field, field, format!("must be at most {bytes} bytes, without NUL"));
    }
    (!given.is_empty()).then_some(given)
}

fn confirm(violations: &mut Violations, confirm: &str, solution: &str, required: bool) {
    if confirm.is_empty() && required {
        violations.add(Kind::Field, "confirm", "must be the solution's id once more");
    } else if !confirm.is_empty() && confirm != solution {
        violations.add(Kind::Field, "confirm", "is not the solution's id");
    }
}

fn decided<'n>(
    mut violations: Violations,
    solution: &str,
    app: &str,
    confirm: &str,
    naming: &'n Naming,
) -> Result<Decided<'n>> {
    let addressee = violations.addressee(naming, solution, String::new());
    let solution = addressee.query(violations, Some(()))?.solution;
    Ok(Decided { app: naming.app(app)?, solution, confirmed: !confirm.is_empty() })
}
