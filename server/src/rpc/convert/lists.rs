//! Requests for lists of what there is.

use std::{mem, time::SystemTime};

use fbs_router_proto::router::v1 as proto;

use super::{
    fields::{Kind, Problem, Violations},
    filter::{self, Sizes},
};
use crate::{
    domain::{
        App, Error, Naming, Placement, Result,
        document::{Cursor, CursorKey},
        naming::DATABASE_NAME_BYTES,
        request::Window,
    },
    routing::RouteState,
    rpc::tokens::{Scope, Tokens},
};

/// Sizes of a page.
const SIZES: Sizes = (100, 1_000);
/// Most states of one request: there are fewer.
const STATES: usize = 100;

/// Which solutions.
#[derive(Debug)]
pub struct Solutions {
    /// Any route so placed; none: all.
    pub placement: Option<Placement>,
    /// Any route in one of these states; empty: all.
    pub states: Vec<RouteState>,
    /// Only those with a candidate.
    pub with_candidate: bool,
    /// Only ids that begin so.
    pub prefix: String,
    /// Which page.
    pub window: Window,
}

/// `ListSolutions`. The scope seals the token of the next page.
pub fn solutions(
    mut request: proto::ListSolutionsRequest,
    tokens: &Tokens,
    now: SystemTime,
) -> Result<(Solutions, Scope)> {
    let page_size = mem::take(&mut request.page_size);
    let page_token = mem::take(&mut request.page_token);
    let scope = Scope::new("ListSolutions", "", &request);

    let mut violations = Violations::default();
    let size = violations.take(Kind::Field, "page_size", filter::page_size(page_size, SIZES));
    let placement = violations.take(Kind::Field, "placement", placement(request.placement));
    let states = violations.each((Kind::Field, "states", STATES), request.states, state);
    let prefix = violations.take(Kind::Field, "prefix", prefix(request.prefix));
    let with_candidate = request.with_candidate;
    let read = || {
        let window = Window { size: size?, after: None };
        Some(Solutions { placement: placement?, states: states?, with_candidate, prefix: prefix?, window })
    };
    let mut solutions = violations.finish(read())?;
    solutions.window.after = after(tokens, &scope, &page_token, now)?;
    Ok((solutions, scope))
}

/// `ListDatabases`. The scope seals the token of the next page.
pub fn databases<'n>(
    mut request: proto::ListDatabasesRequest,
    naming: &'n Naming,
    tokens: &Tokens,
    now: SystemTime,
) -> Result<(&'n App, Window, Scope)> {
    let page_size = mem::take(&mut request.page_size);
    let page_token = mem::take(&mut request.page_token);
    let scope = Scope::new("ListDatabases", "", &request);
    let mut violations = Violations::default();
    let size = violations.take(Kind::Field, "page_size", filter::page_size(page_size, SIZES));
    let size = violations.finish(size)?;
    let app = naming.app(&request.app)?;
    Ok((app, Window { size, after: after(tokens, &scope, &page_token, now)? }, scope))
}

fn after(tokens: &Tokens, scope: &Scope, token: &str, now: SystemTime) -> Result<Option<Cursor>> {
    if token.is_empty() {
        return Ok(None);
    }
    let cursor = tokens.open(scope, token, now)?;
    match cursor.key {
        CursorKey::Text(_) => Ok(Some(cursor)),
        CursorKey::Number(_) | CursorKey::Score(_) => Err(Error::PageTokenInvalid("for another request")),
    }
}

fn placement(number: i32) -> Result<Option<Placement>, Problem> {
    match proto::Placement::try_from(number) {
        Ok(proto::Placement::Unspecified) => Ok(None),
        Ok(proto::Placement::Dedicated) => Ok(Some(Placement::Dedicated)),
        Ok(proto::Placement::System) => Ok(Some(Placement::System)),
        Err(_) => Err("must be a Placement that this server knows".into()),
    }
}

fn state(number: i32) -> Result<RouteState, Problem> {
    match proto::route::State::try_from(number) {
        Ok(proto::route::State::Active) => Ok(RouteState::Active),
        Ok(proto::route::State::Moving) => Ok(RouteState::Moving),
        Ok(proto::route::State::Detached) => Ok(RouteState::Detached),
        Ok(proto::route::State::Conflict) => Ok(RouteState::Conflict),
        Ok(proto::route::State::Unknown) => Ok(RouteState::Unknown),
        Ok(proto::route::State::Unspecified) | Err(_) => Err("must be a State that this server knows".into()),
    }
}

/// No rule of ids: a beginning that no id can have is simply none's.
fn prefix(text: String) -> Result<String, Problem> {
    if text.len() > DATABASE_NAME_BYTES {
        return Err(format!("must be at most {DATABASE_NAME_BYTES} bytes").into());
    }
    Ok(text)
}
