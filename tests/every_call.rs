//! Every RPC, interrupted everywhere: by its caller, who leaves, and by the connection to Postgres, which is cut.
//!
//! Whatever is interrupted is done wholly or not at all, is told truly, and leaves nothing that the next one meets. A
//! method that is added to the contract fails here until it has a request.

mod cuts;
mod polls;
mod requests;
mod scene;
