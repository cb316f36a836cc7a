//! The dispersed object store: an object becomes sealed chunks, stripes, coded shards, and each
//! shard lies on another volume.
//!
//! [`Store`] implements `object_store::ObjectStore` over `n = k + m` volumes. Up to `m` of them may
//! be lost, slow or lying, and nobody notices; with more, reads of what is affected and all writes
//! fail with a clear error. It must never acknowledge what is not durable on every volume in
//! service, never combine shards of different writes, never give back bytes that it did not write
//! there, and never re-create a volume's missing directory.
//!
//! One process opens a store at a time, and holds each of its volumes by a lock on it: the index of
//! objects is kept in memory, built from the volumes' listings at start.
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
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "tests index what they have just built"
    )
)]

mod object;

mod open;
mod write;

mod read;

mod judge;

mod recognise;
mod repair;
mod scrub;

mod status;

mod index;
mod site;
mod slots;

pub mod fuzzing;
mod layout;
pub mod simulated;
mod volume;

mod error;

pub use error::{Error, Result, is_lost, kind};
pub use layout::{Geometry, VOLUMES_MAX};
pub use open::{Settings, Store};
pub use repair::RepairReport;
pub use scrub::{BadShard, ScrubReport};
pub use status::{Status, VolumeState, VolumeStatus};
pub use volume::{DirPlace, Place, Shard};
