//! Every RPC, interrupted everywhere: by its caller, who leaves, and by the connection to Postgres, which is cut.
//! Those for callers are in `requests`, those for operators in `commands`.
//!
//! Whatever is interrupted is done wholly or not at all, is told truly, and leaves nothing that the next one meets. A
//! method that is added to the contract fails here until it has a request.

mod cold;
mod commands;
mod cuts;
mod lanes;
mod operators;
mod polls;
mod refused;
mod requests;
mod scene;

/// `FBS_CUTS=all` interrupts at every single point; otherwise some are left out where there are many.
fn is_complete() -> bool {
    std::env::var("FBS_CUTS").is_ok_and(|cuts| cuts == "all")
}
