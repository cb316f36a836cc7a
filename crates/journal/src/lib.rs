//! The journal: what was accepted, durable before it is answered.
//!
//! Callers hand entries to [`Journal::append`] and get their answer once the commit that holds them
//! is in the store. One owner task, [`Writer`], gathers what is waiting, writes it as one object
//! and answers; commits are numbered, chained by digest, and one is in flight at a time. At the
//! start [`Journal::open`] finds what earlier writers left, settles where each of them ended, and
//! from then on never decides that again. The bytes are drawn in `docs/formats/commit.md`; why there
//! is no other log is in `docs/decisions/0006-journal-through-the-store.md`.
//!
//! The journal sees storage only as `dyn ObjectStore`. It must never answer before the commit is
//! durable, never show an entry twice, and never log what an entry says.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions
)]
#![cfg_attr(
    test,
    allow(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        reason = "tests may panic"
    )
)]

mod handle;
mod settings;
mod tail;
mod writer;

mod batch;
mod block;
mod cache;
mod codec;
mod error;
mod live;
mod name;
mod recovery;
mod settlement;

pub use block::size_bytes;
pub use codec::{Commit, Malformed, decode};
pub use error::{Error, Result};
pub use handle::Journal;
pub use live::{LiveCommit, Status};
pub use recovery::Recovery;
pub use settings::{OtherNodes, Settings};
pub use tail::Tail;
pub use writer::Writer;
