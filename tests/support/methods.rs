//! Every method of the contract, called with any bytes: a method that is added is covered without a word about it.

use std::{sync::LazyLock, time::Duration};

use fbs_router_proto::FILE_DESCRIPTOR_SET;
use prost::bytes::{Buf, BufMut, Bytes};
use prost_reflect::{DescriptorPool, MethodDescriptor};
use tonic::{
    Request, Status,
    body::Body,
    client::GrpcService,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

use super::Replica;

/// Many are sent at once, and some of them are large.
const DEADLINE: Duration = Duration::from_secs(20);

static CONTRACT: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("a contract"));

/// All methods that the contract has, in its order.
pub(crate) fn methods() -> Vec<MethodDescriptor> {
    CONTRACT.services().flat_map(|service| service.methods().collect::<Vec<_>>()).collect()
}

/// The method whose request has the name of that type.
pub(crate) fn method_of<M>() -> MethodDescriptor {
    let name = std::any::type_name::<M>().rsplit("::").next().and_then(|name| name.strip_suffix("Request"));
    let name = name.expect("a request");
    methods().into_iter().find(|method| method.name() == name).unwrap_or_else(|| panic!("no method {name}"))
}

/// Where a method is called.
pub(crate) fn path(method: &MethodDescriptor) -> String {
    format!("/{}/{}", method.parent_service().full_name(), method.name())
}

/// Messages as they are.
#[derive(Debug, Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

impl Replica {
    /// Sends these messages to a method, and reads its answer to the end.
    pub(crate) async fn send(&self, path: &str, messages: Vec<Bytes>) -> Result<Vec<Bytes>, Status> {
        send_to(self.channel.clone(), path, messages).await
    }
}

/// Sends these messages to a method of whatever serves it, and reads its answer to the end.
pub(super) async fn send_to<S>(service: S, path: &str, messages: Vec<Bytes>) -> Result<Vec<Bytes>, Status>
where
    S: GrpcService<Body, ResponseBody = Body>,
    S::Error: std::fmt::Display,
{
    let mut request = Request::new(futures_util::stream::iter(messages));
    request.set_timeout(DEADLINE);
    let mut client = tonic::client::Grpc::new(service).max_decoding_message_size(8 * 1024 * 1024);
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let mut stream = client.streaming(request, path.parse().expect("a path"), Raw).await?.into_inner();
    let mut answers = Vec::new();
    while let Some(answer) = stream.message().await? {
        answers.push(answer);
    }
    Ok(answers)
}
