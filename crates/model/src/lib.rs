//! The words of Strongroom as types: who, what, when, and how much of it.
//!
//! Everything else depends on this crate and it depends on nothing of ours. It holds passive data
//! and pure functions; it must never do I/O. The two ambient things a program has, time and
//! randomness, are traits here ([`Clock`], [`Random`]) so that tests can hold them still.

mod credential;
mod error;
mod ids;
mod json;
mod keyed;
mod named;
mod secret;
mod time;

mod random;

pub mod catalog;
pub mod learned;
pub mod limit;
pub mod opt_out;
pub mod record;
pub mod spreadsheet;
pub mod submission;

#[cfg(test)]
mod tests;

pub use credential::{Credential, CredentialUse};
pub use error::ErrorKind;
pub use ids::{
    AccountId, CommitId, IdentityKind, KeyId, LedgerPosition, PartId, PersonKey, PersonKeySecret,
    RecordId, RecordIds, WriterId,
};
pub use json::RawJson;
pub use keyed::{OwnBytes, PersonMap, PersonSet};
pub use random::{Random, SeededRandom, SystemRandom};
pub use secret::Secret;
pub use time::{Clock, Day, ManualClock, SystemClock, Timestamp};
