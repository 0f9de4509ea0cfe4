//! What every answer of a routed call carries: where it was served from.

use fbs_router_proto::router::v1::ErrorReason;
use tonic::{
    Request, Response, Status,
    metadata::{Ascii, MetadataMap, MetadataValue},
};

use super::status::status;
use crate::{
    domain::{Call, Error, Result},
    routing::{Route, Session},
};

/// The call behind a request: made by the layer around the service.
pub(super) fn call<T>(request: &Request<T>) -> Result<Call, Status> {
    request
        .extensions()
        .get::<Call>()
        .cloned()
        .ok_or_else(|| status(&Error::internal("a call that no layer has admitted")))
}

/// An answer without a route.
pub(super) fn plain<T>(outcome: Result<T>) -> Result<Response<T>, Status> {
    outcome.map(Response::new).map_err(|error| status(&error))
}

/// The answer of a call that a session was opened for, error or not.
pub(super) fn served<T>(session: &Session, outcome: Result<T>) -> Result<Response<T>, Status> {
    match outcome {
        Ok(message) => {
            let mut response = Response::new(message);
            describe(response.metadata_mut(), session.route());
            Ok(response)
        }
        Err(error) => {
            let mut status = status(&error);
            describe(status.metadata_mut(), session.route());
            Err(status)
        }
    }
}

pub(super) fn describe(metadata: &mut MetadataMap, route: &Route) {
    let mut insert = |name: &'static str, text: &str| {
        // Names of databases from elsewhere may hold what a header cannot: then it is left out.
        if let Ok(value) = MetadataValue::<Ascii>::try_from(text) {
            metadata.insert(name, value);
        }
    };
    insert("fbs-database", &route.database.target.name);
    insert("fbs-placement", route.placement.as_str());
    insert("fbs-epoch", &route.epoch.to_string());
}

/// The reason of a status that we made, if any.
pub(super) fn reason_of(status: &Status) -> Option<ErrorReason> {
    use tonic_types::StatusExt;
    let info = status.get_details_error_info()?;
    ErrorReason::from_reason(&info.reason)
}
