//! What fbs-router is measured against: the least that tonic and deadpool can do for the same call, all on defaults.

/// A service that serves what is measured of it, and says so of the rest.
macro_rules! served {
    (
        impl $service:ident for $peer:ident { $($served:tt)* }
        not measured { $($method:ident($request:ty) -> $response:ty;)* }
    ) => {
        #[tonic::async_trait]
        impl $service for $peer {
            $($served)*
            $(
                async fn $method(&self, _: Request<$request>) -> Result<Response<$response>, Status> {
                    Err(Status::unimplemented("not measured"))
                }
            )*
        }
    };
}

mod constant;
mod documents;
mod echo;

use std::path::Path;

use fbs_router_proto::{
    document::v1::document_service_server::DocumentServiceServer,
    router::v1::router_service_server::RouterServiceServer,
};
use prost::Message;
use tonic::transport::Server;

pub(crate) use self::echo::PATH as ECHO;
use self::{
    constant::Constant,
    documents::{Documents, How},
    echo::Echo,
};
use crate::{
    Outcome,
    servers::{Kind, listen},
    world,
};

/// Serves a peer.
pub(crate) async fn serve(kind: Kind, folder: &Path) -> Outcome<()> {
    let mut server = Server::builder();
    let how = match kind {
        Kind::Echo => {
            let echo = Echo::of_size(std::fs::read(folder.join(world::ROUTE))?.len());
            return Ok(server.add_service(echo).serve_with_incoming(listen().await?).await?);
        }
        Kind::Constant => {
            let answer = Message::decode(&*std::fs::read(folder.join(world::ROUTE))?)?;
            let service = RouterServiceServer::new(Constant { answer });
            return Ok(server.add_service(service).serve_with_incoming(listen().await?).await?);
        }
        Kind::Bare => How::Autocommit,
        Kind::Policies => How::Policies,
        Kind::Fence => How::Fence,
        _ => return Err(format!("`{}` is no peer", kind.name()).into()),
    };
    let service = DocumentServiceServer::new(Documents::connect(how, folder).await?);
    Ok(server.add_service(service).serve_with_incoming(listen().await?).await?)
}
