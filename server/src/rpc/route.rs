//! Routes as the contract sends them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fbs_router_proto::router::v1 as proto;

use super::permit::admitted;
use crate::{
    domain::{App, Call, Naming, Permitted, Placement, Result},
    routing::{Ask, Candidate, CandidateReason, KnownDatabase, KnownSolution, Route, RouteState, route::Address},
};

/// A `ResolveDatabaseRequest` that its caller may make, validated.
#[derive(Debug)]
pub(super) struct ResolveRequest<'n> {
    app: &'n App,
    is_documents: bool,
    permitted: Permitted,
    dedicated_only: bool,
    pub(super) database: Option<String>,
}

/// Checks whom a request to resolve one pair is about, and reads it.
pub(super) fn request(
    call: Call,
    request: proto::ResolveDatabaseRequest,
    naming: &Naming,
) -> Result<ResolveRequest<'_>> {
    let (permitted, (app, dedicated_only, database)) = admitted(call, request, |request| {
        let (_, database) = super::convert::pair(&request.solution, request.database, naming)?;
        Ok((naming.app(&request.app)?, request.dedicated_only, database))
    })?;
    let is_documents = app.name == naming.documents_app().name;
    Ok(ResolveRequest { app, is_documents, permitted, dedicated_only, database })
}

impl ResolveRequest<'_> {
    pub(super) fn ask(&self) -> Ask<'_> {
        Ask::of(&self.permitted, self.app, self.is_documents, self.dedicated_only)
    }
}

/// A route that may be used now.
pub(super) fn resolved(route: Route, cache_ttl: Duration) -> proto::ResolveDatabaseResponse {
    proto::ResolveDatabaseResponse { route: Some(self::route(route)), cache_ttl: duration(cache_ttl) }
}

/// A route in whatever state it is.
pub(super) fn route(route: Route) -> proto::Route {
    let placement = match route.placement {
        Placement::Dedicated => proto::Placement::Dedicated,
        Placement::System => proto::Placement::System,
    };
    let state = match route.state {
        RouteState::Active => proto::route::State::Active,
        RouteState::Moving => proto::route::State::Moving,
        RouteState::Detached => proto::route::State::Detached,
        RouteState::Conflict => proto::route::State::Conflict,
        RouteState::Unknown => proto::route::State::Unknown,
    };
    let candidate = route.candidate.map(|candidate| self::candidate(candidate, route.solution.as_str()));
    proto::Route {
        solution: route.solution.to_string(),
        app: route.app.to_string(),
        database: Some(database(route.database)),
        placement: placement.into(),
        state: state.into(),
        epoch: route.epoch,
        revision: route.revision,
        candidate,
        update_time: route.update_time.map(timestamp),
    }
}

fn candidate(candidate: Candidate, solution: &str) -> proto::Candidate {
    use proto::candidate::Reason;
    let (reason, remedy) = match candidate.reason {
        CandidateReason::SchemaNotReady => (
            Reason::SchemaNotReady,
            format!("fbs-router schema apply --solution {solution} --url URL_OF_{}", candidate.database.target.name),
        ),
        CandidateReason::RowsInSystemDatabase => {
            (Reason::RowsInSystemDatabase, format!("fbs-router move {solution} --to dedicated"))
        }
        CandidateReason::NotUsable => (
            Reason::NotUsable,
            format!("fbs-router explain {solution}  tells what keeps the router out; the log has the cause"),
        ),
    };
    proto::Candidate { database: Some(database(candidate.database)), reason: reason.into(), remedy }
}

/// A solution, with its routes in whatever state they are.
pub(super) fn solution(known: KnownSolution) -> proto::Solution {
    proto::Solution {
        solution: known.solution.to_string(),
        routes: known.routes.into_iter().map(route).collect(),
        dedicated_only: known.dedicated_only,
    }
}

/// A database of an app.
pub(super) fn entry(known: KnownDatabase, wanted: i32) -> proto::list_databases_response::Entry {
    proto::list_databases_response::Entry {
        database: Some(database(known.database)),
        solution: known.solution.map(|solution| solution.to_string()).unwrap_or_default(),
        schema_version: known.schema_version,
        wanted_schema_version: wanted,
    }
}

fn database(address: Address) -> proto::Database {
    proto::Database {
        server: address.target.server.to_string(),
        host: address.host,
        port: i32::from(address.port),
        name: address.target.name.to_string(),
        system_identifier: address.system_identifier,
        oid: address.oid,
        database_id: address.database_uuid.map(|uuid| uuid.to_string()).unwrap_or_default(),
    }
}

/// A duration; one beyond the type's bounds is left out.
pub(super) fn duration(duration: Duration) -> Option<prost_types::Duration> {
    prost_types::Duration::try_from(duration).ok()
}

fn timestamp(time: SystemTime) -> prost_types::Timestamp {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    prost_types::Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(since.subsec_nanos()).unwrap_or(0),
    }
}
