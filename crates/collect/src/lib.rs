//! The HTTP side of ingestion: who calls, what may be read of the body, what is answered, and the
//! line of the request log that each request leaves.
//!
//! A request comes in with its [`Connection`], passes the [`router`] of its plane and leaves either
//! an answer or [`Silence`]. Uploads are decoded by `wire`, decided on by `governance`, taken by
//! `journal`, and answered once the commit that holds them is durable. This crate must never know
//! `control`: it works from a snapshot of the accounts' rules, so collection goes on while the
//! control database is down. Status codes are chosen in [`reply`] alone.

mod body;
mod call;
mod connection;
mod credentials;
mod drops;
mod encryption;
mod idempotency;
mod left_out;
mod peer;
mod pieces;
mod preset;
mod replay;
mod request_log;
mod router;
mod sdk;
mod state;
mod stored;
mod upload;
mod uses;

pub mod fuzzing;
pub mod reply;
#[cfg(test)]
mod tests;

pub use body::{Budget, Received, TooSlow};
pub use call::{Call, Ceiling, enter, unknown_url, wrong_method};
pub use connection::{Connection, Silence, Voice};
pub use credentials::Caller;
pub use drops::{Drops, Flush, GATHERED, OTHER_PATHS, Refused};
pub use encryption::encrypt_answers;
pub use peer::network;
pub use preset::Preset;
pub use replay::{Replayed, is_replayable, replay};
pub use reply::Refusal;
pub use request_log::{Facts, Head, Line, cleaned_method, cleaned_path, log_requests};
pub use router::{no_proxy, router};
pub use sdk::peer_of_sdk;
pub use state::{Parts, Reached, State};
pub use stored::{Stored, Unreadable};
pub use upload::{commit, upload_route};
