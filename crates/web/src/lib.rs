//! The REST API that reads and deletes, the management API, and the console's pages.
//!
//! A route is one file: its verbs beside each other, each of them letting the call in, asking
//! `query` or `control`, and answering in the protocol's words. This crate must never decide who a
//! caller is by itself (`collect` checks credentials), never show a row that is not in the audit
//! log, and never build a URL from what a client says of its host. Status codes are chosen in
//! [`error`] and in `collect::reply`; HTML lives in `templates/`.

mod router;
mod state;

mod api;
mod console;
mod headers;
mod reading;
mod v2;

pub mod error;
pub mod operate;
#[cfg(test)]
mod tests;

pub use error::{Error, Reason, Result};
pub use router::{
    Access, ROUTES, Route, api_router, console_router, console_routes, management_routes,
};
pub use state::{Concern, Ground, Heads, Parts, Settings, Sink, State, Volume, Volumes};
