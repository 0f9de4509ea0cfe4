//! The documents of one solution: what each RPC does to its rows.
//!
//! Takes a [`Session`], so no statement here can run without a solution; knows neither tonic nor pools. Every read
//! begins with the fence's answer, every write leaves a request record and an audit row in its own transaction.

mod batch;
mod conditions;
pub mod content;
mod insert;
mod list;
mod mutation;
mod read;
mod record;
mod row;
mod search;
mod statements;
mod stats;
mod types;
mod workflow;
mod write;

pub use self::{
    batch::create_many,
    list::{Page, cursor, list},
    mutation::{Change, Mutation},
    read::{get, get_many},
    search::{Hit, search},
    stats::{Stats, stats},
    types::{put_type, types},
    workflow::{step, transitions},
    write::{create, delete, undelete, update},
};
