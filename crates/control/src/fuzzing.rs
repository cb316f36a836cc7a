//! The laws of this crate's decoders, for whoever feeds them bytes: `fuzz`, which cannot see their
//! types. Each function panics when a law is broken. The bytes of the volumes are authenticated before
//! they are decoded; the decoders must hold all the same.

mod files;

use bytes::Bytes;
use model::SeededRandom;
use seal::Keyring;

use crate::keys::format::{self, Place};
use crate::shipping::chunk;
pub use files::audit_file;

/// An object of the shipped control database: one whose digest is right is read as it would be
/// written, at its own place and nowhere else.
///
/// # Panics
/// When that is not so.
pub fn shipped_chunk(input: &[u8]) {
    let (generation, number) = (1, 2);
    let mut whole = input.to_vec();
    whole.extend_from_slice(blake3::hash(input).as_bytes());
    for bytes in [Bytes::copy_from_slice(input), Bytes::from(whole)] {
        let Ok(read) = chunk::decode(&bytes, generation, number) else {
            continue;
        };
        let (written, digest) = chunk::encode(&read.header, &read.body);
        let again = chunk::decode(&written, generation, number);
        let again = again.map(|it| (it.header, it.body, it.digest));
        assert_eq!(again.ok(), Some((read.header, read.body, digest)));
        let elsewhere = chunk::decode(&bytes, generation, number.wrapping_add(1));
        assert!(elsewhere.is_err(), "a piece is taken for another");
    }
}

/// An object of the shipped key table, and the rows inside one.
///
/// # Panics
/// When bytes that nobody sealed open, or a row changes when it is written.
pub fn key_table(input: &[u8]) {
    let mut whole = input.to_vec();
    whole.extend_from_slice(blake3::hash(input).as_bytes());
    let keyring = Keyring::create(&SeededRandom::new(1));
    let place = Place {
        generation: 1,
        number: 0,
        previous: [0; 32],
    };
    let opened = format::decode(&whole, place, &keyring);
    assert!(opened.is_err(), "a table that nobody sealed opens");
    let rows = format::rewritten(input);
    assert!(input.starts_with(&rows), "a row changes when it is written");
}
