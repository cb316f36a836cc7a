//! CleverTap's public protocol: bytes to batches, plain data to answers.
//!
//! One folder for each dialect: [`rest`], [`web_sdk`], [`mobile_sdk`]; [`sdk`] is what the latter two
//! share. Everything is a pure function: no I/O,
//! no clock, no tasks. Bytes come from anybody, so nothing here may panic, recurse without bound or
//! allocate more than a small multiple of what it was given; the lints below are stricter for that
//! reason. A record that cannot be used becomes a rejection and never takes another with it.

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
        reason = "tests fail loudly"
    )
)]

mod json;

pub mod mobile_sdk;
pub mod rest;
pub mod sdk;
pub mod web_sdk;

pub use json::{canonical, without_byte_order_mark};
