//! Keys and sealing: everything that turns bytes into bytes that may be stored, and back.
//!
//! A [`Keyring`] holds the root key and the epoch key. A [`KeySource`] finds the key of an object.
//! An [`ObjectKey`] seals an object in chunks, each of which opens alone; [`seal_field`] seals one
//! value for a database column. The crate is the only home of the AEAD library. It must never log,
//! print or return a key in an error, and it must never use a key and a nonce twice.
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

mod keyring;

mod source;

mod object;

mod field;

mod digest;

pub mod merkle;

mod signing;

pub mod transit;

pub mod hpke;

mod error;
#[cfg(test)]
mod tests;

pub use digest::{Sha256, derive, hmac_sha256, same, sha256};
pub use error::{Error, Result};
pub use field::{open_field, seal_field};
pub use keyring::Keyring;
pub use object::{Chunks, ObjectKey, Sealed, TAG_BYTES, seal_object};
pub use signing::{SigningKey, VerifyingKey, split_note};
pub use source::{KeyRef, KeySource};
