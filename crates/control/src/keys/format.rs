//! The objects of the shipped key table: `keys/<generation>/<n>`, a snapshot and then increments.
//!
//! The changes are sealed once more inside the object, under a key derived from the epoch key, so
//! that they are never plain text to whatever carries the object. Drawn in
//! `docs/formats/key-table.md`.

use model::{AccountId, KeyId, Random, Secret};
use seal::Keyring;
use std::str::FromStr;

use crate::{Error, Result};

const MAGIC: &[u8; 8] = b"SRKEYTAB";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 72;
const DIGEST_BYTES: usize = 32;
const PURPOSE: &str = "strongroom key table rows v1";

/// Whether an object holds the whole table or a change of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Every row; always number 0 of its generation.
    Snapshot,
    /// Changes since the object before.
    Increment,
}

/// Where an object stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Its generation.
    pub(crate) generation: u64,
    /// Its number in the generation.
    pub(crate) number: u64,
    /// The digest of the object before; zeros for number 0.
    pub(crate) previous: [u8; 32],
}

/// What a row is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Use {
    /// An object of the lake; its path once it is known.
    Object(Option<Box<str>>),
    /// Commits of the journal, from `hour` (since the epoch) on.
    Journal {
        /// Grows with every journal key.
        sequence: u64,
        /// From which hour on.
        hour: i64,
    },
    /// The person keys of an account.
    Person(AccountId),
}

/// One change of the table.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// A new row.
    Put(KeyId, Use, Secret<[u8; 32]>),
    /// A row's object is known now.
    Assign(KeyId, Box<str>),
    /// A row goes.
    Remove(KeyId),
}

/// A decoded object.
#[derive(Debug)]
pub(crate) struct Decoded {
    /// What it is.
    pub(crate) kind: Kind,
    /// The digest that the next object names.
    pub(crate) digest: [u8; 32],
    /// The changes in it, in order.
    pub(crate) changes: Vec<Change>,
}

/// The object of `changes` at `place`, and its digest.
pub(crate) fn encode(
    kind: Kind,
    place: Place,
    changes: &[Change],
    keyring: &Keyring,
    random: &dyn Random,
) -> Result<(Vec<u8>, [u8; 32])> {
    let mut body = Vec::new();
    for change in changes {
        encode_change(&mut body, change)?;
    }
    let body = Secret::new(body);
    let epoch = keyring.epoch();
    let key = row_key(keyring, epoch)?;
    let sealed = seal::seal_field(&key, &context(place), body.expose(), random)?;
    let length = u64::try_from(sealed.len()).unwrap_or(u64::MAX);
    let mut out = Vec::with_capacity(HEADER_BYTES + sealed.len() + DIGEST_BYTES);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.push(match kind {
        Kind::Snapshot => 1,
        Kind::Increment => 2,
    });
    out.push(0);
    out.extend_from_slice(&epoch.to_le_bytes());
    out.extend_from_slice(&place.generation.to_le_bytes());
    out.extend_from_slice(&place.number.to_le_bytes());
    out.extend_from_slice(&place.previous);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&sealed);
    let digest = *blake3::hash(&out).as_bytes();
    out.extend_from_slice(&digest);
    Ok((out, digest))
}

/// Reads the object that stands at `place`.
///
/// # Errors
/// [`model::ErrorKind::Corrupt`] when the bytes are not what was written there;
/// [`model::ErrorKind::NotFound`] when the keyring does not hold the epoch any more, or not yet.
pub(crate) fn decode(bytes: &[u8], place: Place, keyring: &Keyring) -> Result<Decoded> {
    let damaged = |reason: &str| {
        Error::damaged(
            format!("keys/{:016x}/{:016x}", place.generation, place.number),
            reason,
        )
    };
    let (body, digest) = bytes
        .split_last_chunk::<DIGEST_BYTES>()
        .ok_or_else(|| damaged("it is cut short"))?;
    if blake3::hash(body).as_bytes() != digest {
        return Err(damaged("its digest does not match"));
    }
    let mut reader = Reader(body);
    let cut = || damaged("it is cut short");
    if reader.take(MAGIC.len()).ok_or_else(cut)? != MAGIC {
        return Err(damaged("it is not a piece of a key table"));
    }
    if u16::from_le_bytes(reader.array().ok_or_else(cut)?) != VERSION {
        return Err(damaged(
            "its version is unknown: it was written by a newer program",
        ));
    }
    let [kind, _] = reader.array().ok_or_else(cut)?;
    let kind = match kind {
        1 => Kind::Snapshot,
        2 => Kind::Increment,
        _ => return Err(damaged("its kind is unknown")),
    };
    let epoch = u32::from_le_bytes(reader.array().ok_or_else(cut)?);
    let found = Place {
        generation: u64::from_le_bytes(reader.array().ok_or_else(cut)?),
        number: u64::from_le_bytes(reader.array().ok_or_else(cut)?),
        previous: reader.array().ok_or_else(cut)?,
    };
    if found != place {
        return Err(damaged("it does not follow the piece before it"));
    }
    let length = u64::from_le_bytes(reader.array().ok_or_else(cut)?);
    if usize::try_from(length) != Ok(reader.0.len()) {
        return Err(damaged("its length does not match"));
    }
    let key = row_key(keyring, epoch)?;
    let opened = seal::open_field(&key, &context(place), reader.0)?;
    let mut rows = Reader(opened.expose());
    let mut changes = Vec::new();
    while !rows.0.is_empty() {
        changes.push(decode_change(&mut rows).ok_or_else(|| damaged("a row is malformed"))?);
    }
    Ok(Decoded {
        kind,
        digest: *digest,
        changes,
    })
}

/// The rows that `bytes` begin with, as they would be written; for the laws in `fuzzing`.
pub(crate) fn rewritten(bytes: &[u8]) -> Vec<u8> {
    let mut rows = Reader(bytes);
    let mut out = Vec::new();
    while let Some(change) = decode_change(&mut rows) {
        if encode_change(&mut out, &change).is_err() {
            break;
        }
    }
    out
}

fn row_key(keyring: &Keyring, epoch: u32) -> Result<Secret<[u8; 32]>> {
    let key = keyring
        .epoch_key(epoch)
        .ok_or_else(|| seal::Error::KeyDestroyed(format!("epoch key {epoch}")))?;
    Ok(seal::derive(&key, PURPOSE, &[])?)
}

fn context(place: Place) -> String {
    format!("keys/{:016x}/{:016x}", place.generation, place.number)
}

fn encode_change(out: &mut Vec<u8>, change: &Change) -> Result<()> {
    match change {
        Change::Put(id, usage, secret) => {
            match usage {
                Use::Object(path) => {
                    out.push(1);
                    out.extend_from_slice(&id.0);
                    text(out, path.as_deref().unwrap_or(""))?;
                }
                Use::Journal { sequence, hour } => {
                    out.push(2);
                    out.extend_from_slice(&id.0);
                    out.extend_from_slice(&sequence.to_le_bytes());
                    out.extend_from_slice(&hour.to_le_bytes());
                }
                Use::Person(account) => {
                    out.push(3);
                    out.extend_from_slice(&id.0);
                    text(out, account.as_str())?;
                }
            }
            out.extend_from_slice(secret.expose());
        }
        Change::Assign(id, path) => {
            out.push(4);
            out.extend_from_slice(&id.0);
            text(out, path)?;
        }
        Change::Remove(id) => {
            out.push(5);
            out.extend_from_slice(&id.0);
        }
    }
    Ok(())
}

fn text(out: &mut Vec<u8>, text: &str) -> Result<()> {
    let length = u16::try_from(text.len())
        .map_err(|_| Error::Invalid("a path is longer than 64 KiB".to_owned()))?;
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

fn decode_change(rows: &mut Reader<'_>) -> Option<Change> {
    let [tag] = rows.array()?;
    let id = KeyId(rows.array()?);
    let usage = match tag {
        1 => {
            let path = rows.text()?;
            Use::Object(if path.is_empty() {
                None
            } else {
                Some(Box::from(path))
            })
        }
        2 => Use::Journal {
            sequence: u64::from_le_bytes(rows.array()?),
            hour: i64::from_le_bytes(rows.array()?),
        },
        3 => Use::Person(AccountId::from_str(rows.text()?).ok()?),
        4 => return Some(Change::Assign(id, Box::from(rows.text()?))),
        5 => return Some(Change::Remove(id)),
        _ => return None,
    };
    Some(Change::Put(id, usage, Secret::new(rows.array()?)))
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = u16::from_le_bytes(self.array()?);
        std::str::from_utf8(self.take(usize::from(length))?).ok()
    }
}
