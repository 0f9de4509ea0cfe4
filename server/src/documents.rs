//! The documents of one solution: what each RPC does to its rows.
//!
//! Takes a [`Session`], so no statement here can run without a solution; knows neither tonic nor pools. Every read
//! begins with the fence's answer, every write leaves a request record and an audit row in its own transaction.

mod list;
mod read;
mod record;
mod row;
mod statements;
mod write;

pub use self::{
    list::{Page, cursor, list},
    read::get,
    write::{Change, Mutation, create, delete, undelete, update},
};
