//! Protobuf as tonic reads and writes it, with a bound on what a request takes once it is read.
//!
//! An element of a repeated field is two bytes on the wire, and hundreds in memory: 4 MiB of empty requests in a batch
//! would be more than a gigabyte before anybody could count them. So a request is weighed before it is decoded. One
//! document weighs less than it may, whatever is in it, and so does a batch of usual ones; what is merely too many is left
//! to the service, which says how many there may be. A server that counts what its calls take is asked first ([`weighed`]).

use std::marker::PhantomData;
#[cfg(feature = "server")]
use std::sync::Arc;

use prost::{Message, Name, bytes::Buf};
use tonic::{
    Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};
use tonic_prost::{ProstDecoder, ProstEncoder};

use crate::weight::{self, Refused};

/// Asked before a request is read, in the task that handles its call.
#[cfg(feature = "server")]
pub trait Scale: Send + Sync {
    /// The request takes about so many bytes of memory once it is read. What is refused is not, and answered like this.
    fn weighs(&self, bytes: usize) -> Result<(), Status>;
}

#[cfg(feature = "server")]
tokio::task_local! {
    static SCALE: Arc<dyn Scale>;
}

/// Handles a call whose requests are weighed on that scale.
#[cfg(feature = "server")]
pub fn weighed<F: Future>(scale: Arc<dyn Scale>, call: F) -> impl Future<Output = F::Output> {
    SCALE.scope(scale, call)
}

/// Whether there is room for that, where somebody counts.
#[cfg(feature = "server")]
fn ask(weight: usize) -> Result<(), Status> {
    SCALE.try_with(|scale| scale.weighs(weight)).unwrap_or(Ok(()))
}

#[cfg(not(feature = "server"))]
fn ask(_: usize) -> Result<(), Status> {
    Ok(())
}

/// The codec of all generated clients and servers.
#[derive(Debug)]
pub struct BoundedCodec<T, U>(PhantomData<(T, U)>);

/// Encodes as [`ProstEncoder`] does.
#[derive(Debug)]
pub struct BoundedEncoder<T>(ProstEncoder<T>);

/// Decodes as [`ProstDecoder`] does, unless it is a request that would take too much memory: `OUT_OF_RANGE`, as of one that
/// is too long.
#[derive(Debug)]
pub struct BoundedDecoder<U>(ProstDecoder<U>);

impl<T, U> Default for BoundedCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for BoundedCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Name + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = BoundedEncoder<T>;
    type Decoder = BoundedDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        BoundedEncoder(ProstEncoder::default())
    }

    fn decoder(&mut self) -> Self::Decoder {
        BoundedDecoder(ProstDecoder::default())
    }
}

impl<T: Message> Encoder for BoundedEncoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, item: T, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        self.0.encode(item, buffer)
    }
}

impl<U: Message + Name + Default> Decoder for BoundedDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        // A message is in one piece.
        match weight::weigh::<U>(buffer.chunk()) {
            Ok(weight) => {
                ask(weight)?;
                self.0.decode(buffer)
            }
            Err(Refused::TooHeavy) => Err(Status::out_of_range("Error, decoded message would take too much memory")),
            // As tonic says it.
            Err(Refused::Unreadable) => Err(Status::internal("failed to decode Protobuf message")),
        }
    }
}
