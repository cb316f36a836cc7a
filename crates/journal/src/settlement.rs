//! Where each earlier writer ended: decided once at a start, and durable from then on.
//!
//! A settlement is one small object per start, `journal/settled/<opener>`, drawn in
//! `docs/formats/commit.md`. It must be durable before the start that made it goes on; so whatever a
//! later start finds on volumes that have come back can never change what was decided.

use model::WriterId;
use std::collections::BTreeMap;

use crate::codec::{Digest, Malformed, prologue, split_digest, take, take_writer};

/// The first bytes of a settlement.
const MAGIC: [u8; 8] = *b"SRSETTLE";
/// The version that is written.
const VERSION: u16 = 1;

/// Which commits of the writers before `opener` exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settlement {
    /// The start that decided.
    pub(crate) opener: WriterId,
    /// One more than that of every settlement that the opener had seen: the highest rules.
    pub(crate) generation: u64,
    /// The end of each writer that had live commits. An earlier start of the opener's node that is
    /// not here has none: whatever turns up of it was never acknowledged, or was retired.
    pub(crate) ends: BTreeMap<WriterId, End>,
}

/// The last commit of a writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    /// Its number; 0 when the writer has none.
    pub(crate) number: u64,
    /// Its digest; zeros when it was retired already.
    pub(crate) digest: Digest,
    /// The start that made the durable copy of it, if there is one.
    pub(crate) copy: Option<WriterId>,
}

impl Settlement {
    /// Where `writer` ended, if this settlement decides that: its last number may be 0.
    pub(crate) fn end(&self, writer: WriterId) -> Option<End> {
        let none = End {
            number: 0,
            digest: [0; 32],
            copy: None,
        };
        self.ends
            .get(&writer)
            .copied()
            .or_else(|| self.covers(writer).then_some(none))
    }

    /// Whether `writer` is an earlier start of the opener's node.
    pub(crate) fn covers(&self, writer: WriterId) -> bool {
        writer.node == self.opener.node && writer.start < self.opener.start
    }

    /// The settlement's bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(MAGIC);
        out.extend(VERSION.to_le_bytes());
        out.extend([0; 2]);
        put_writer(&mut out, self.opener);
        out.extend(self.generation.to_le_bytes());
        // A journal has a handful of writers with live commits; the count always fits.
        out.extend(
            u32::try_from(self.ends.len())
                .unwrap_or(u32::MAX)
                .to_le_bytes(),
        );
        for (writer, end) in &self.ends {
            put_writer(&mut out, *writer);
            out.extend(end.number.to_le_bytes());
            out.extend(end.digest);
            out.extend(u32::from(end.copy.is_some()).to_le_bytes());
            put_writer(&mut out, end.copy.unwrap_or(WriterId { node: 0, start: 0 }));
        }
        let digest = blake3::hash(&out);
        out.extend(digest.as_bytes());
        out
    }

    /// Reads a settlement.
    ///
    /// # Errors
    /// When `bytes` are not exactly one settlement.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let (signed, digest) = split_digest(bytes)?;
        let mut rest = signed;
        prologue(&mut rest, MAGIC, &[VERSION])?;
        if *blake3::hash(signed).as_bytes() != digest {
            return Err(Malformed::Digest);
        }
        let opener = take_writer(&mut rest)?;
        let generation = u64::from_le_bytes(take(&mut rest)?);
        let count = u32::from_le_bytes(take(&mut rest)?);
        let mut ends = BTreeMap::new();
        for _ in 0..count {
            let writer = take_writer(&mut rest)?;
            let number = u64::from_le_bytes(take(&mut rest)?);
            let digest = take(&mut rest)?;
            let copied = u32::from_le_bytes(take(&mut rest)?);
            let copier = take_writer(&mut rest)?;
            let copy = match copied {
                0 => None,
                1 => Some(copier),
                _ => return Err(Malformed::Field("copied")),
            };
            if ends
                .insert(
                    writer,
                    End {
                        number,
                        digest,
                        copy,
                    },
                )
                .is_some()
            {
                return Err(Malformed::Field("writer"));
            }
        }
        if rest.is_empty() {
            Ok(Self {
                opener,
                generation,
                ends,
            })
        } else {
            Err(Malformed::Length)
        }
    }
}

fn put_writer(out: &mut Vec<u8>, writer: WriterId) {
    out.extend(writer.node.to_le_bytes());
    out.extend(writer.start.to_le_bytes());
}

#[cfg(test)]
mod tests;
