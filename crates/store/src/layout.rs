//! Where each byte of an object lies: chunks, stripes, pieces. Pure arithmetic.
//!
//! An object is cut in chunks, a stripe is up to `16 k` chunks, and a piece is what one shard holds
//! of one stripe: up to 16 whole chunks for a data shard, so that a small range is read from one
//! shard and opened alone. Drawn in `docs/formats/object.md`.

use model::limit;
use seal::Chunks;
use serde::Serialize;
use std::ops::Range;

use crate::{Error, Result};

/// Chunks in a full piece: 1 MiB and its tags.
const PIECE_CHUNKS: u64 = 16;
/// Below this a chunk is not cut further.
const CHUNK_BYTES_MIN: u64 = 4 * 1024;
/// The keyed hash after each piece.
pub(crate) const CHECK_BYTES: u64 = 32;
/// Volumes of one store, at most.
pub const VOLUMES_MAX: usize = 32;

/// Into how many data and parity shards a stripe is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Geometry {
    /// Data shards, k: as many are needed to read.
    pub data: usize,
    /// Parity shards, m: as many volumes may be lost.
    pub parity: usize,
}

impl Geometry {
    /// Checks the bounds.
    ///
    /// # Errors
    /// [`model::ErrorKind::Invalid`] without a data shard, or with more volumes than [`VOLUMES_MAX`].
    pub fn check(self) -> Result<Self> {
        if self.data == 0 || self.volumes() > VOLUMES_MAX {
            return Err(Error::Invalid(format!(
                "cannot disperse over {} data and {} parity volumes: 1 to {VOLUMES_MAX} in all",
                self.data, self.parity
            )));
        }
        Ok(self)
    }

    /// Volumes, n.
    #[must_use]
    pub const fn volumes(self) -> usize {
        self.data.saturating_add(self.parity)
    }
}

/// The places of one object's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) chunks: Chunks,
    data: u64,
}

impl Layout {
    /// The layout for a new object: as many chunks as are a multiple of k, all of one size, so that
    /// the data shards are filled evenly.
    pub(crate) fn new(length: u64, data: usize) -> Result<Self> {
        let data = some(data)?;
        let most = wide(limit::CHUNK_BYTES);
        let rounds = length.div_ceil(data.saturating_mul(most)).max(1);
        let even = length.div_ceil(data.saturating_mul(rounds)).max(1);
        // A multiple of 64 keeps every piece even, as the code demands, without padding.
        let chunk = even
            .max(CHUNK_BYTES_MIN.min(length))
            .max(1)
            .next_multiple_of(64)
            .min(most);
        Self::of(length, u32::try_from(chunk).unwrap_or(u32::MAX), data)
    }

    /// The layout of an object whose header says so.
    pub(crate) fn read(length: u64, chunk: u32, data: usize) -> Result<Self> {
        Self::of(length, chunk, some(data)?)
    }

    fn of(length: u64, chunk: u32, data: u64) -> Result<Self> {
        let chunks =
            Chunks::new(length, chunk).map_err(|error| Error::Invalid(error.to_string()))?;
        Ok(Self { chunks, data })
    }

    /// Stripes of the object, at least one.
    pub(crate) fn stripes(&self) -> u64 {
        self.chunks.count().div_ceil(self.stripe_chunks())
    }

    const fn stripe_chunks(&self) -> u64 {
        self.data.saturating_mul(PIECE_CHUNKS)
    }

    /// The stripes that hold a range of chunks.
    pub(crate) fn stripes_of(&self, chunks: &Range<u64>) -> Range<u64> {
        let first = chunks.start.checked_div(self.stripe_chunks()).unwrap_or(0);
        first..chunks.end.div_ceil(self.stripe_chunks())
    }

    /// The chunks of a stripe.
    pub(crate) fn chunks_of(&self, stripe: u64) -> Range<u64> {
        let first = stripe.saturating_mul(self.stripe_chunks());
        first
            ..first
                .saturating_add(self.stripe_chunks())
                .min(self.chunks.count())
    }

    /// The chunks of data shard `index`'s piece of a stripe; empty for the last shards of a short
    /// stripe.
    pub(crate) fn piece_chunks(&self, stripe: u64, index: usize) -> Range<u64> {
        let all = self.chunks_of(stripe);
        let each = all.end.saturating_sub(all.start).div_ceil(self.data.max(1));
        let first = all
            .start
            .saturating_add(each.saturating_mul(wide(index)))
            .min(all.end);
        first..first.saturating_add(each).min(all.end)
    }

    /// Bytes that the code works on in a stripe: the longest piece, made even.
    pub(crate) fn coded_bytes(&self, stripe: u64) -> u64 {
        span(&self.chunks.sealed_range(&self.piece_chunks(stripe, 0))).next_multiple_of(2)
    }

    /// Bytes of shard `index`'s piece of a stripe, without its check.
    pub(crate) fn piece_bytes(&self, stripe: u64, index: usize) -> u64 {
        if wide(index) < self.data {
            span(&self.chunks.sealed_range(&self.piece_chunks(stripe, index)))
        } else {
            self.coded_bytes(stripe)
        }
    }

    /// Where shard `index`'s piece of a stripe begins, after the header.
    pub(crate) fn piece_at(&self, stripe: u64, index: usize) -> u64 {
        // Every stripe before the last one is full, so its pieces are all of one size.
        let each = self.piece_bytes(0, index).saturating_add(CHECK_BYTES);
        stripe.saturating_mul(each)
    }

    /// Bytes of shard `index` after its header.
    pub(crate) fn body_bytes(&self, index: usize) -> u64 {
        let last = self.stripes().saturating_sub(1);
        self.piece_at(last, index)
            .saturating_add(self.piece_bytes(last, index))
            .saturating_add(CHECK_BYTES)
    }
}

/// How many data shards there are: none hold no object, whoever says so.
fn some(data: usize) -> Result<u64> {
    match data {
        0 => Err(Error::Invalid("an object without data shards".to_owned())),
        _ => Ok(wide(data)),
    }
}

/// Lengths and counts in one width.
pub(crate) fn wide(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}

/// A length that must be in memory anyway.
pub(crate) fn narrow(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

/// The length of a range.
pub(crate) const fn span(range: &Range<u64>) -> u64 {
    range.end.saturating_sub(range.start)
}

#[cfg(test)]
mod tests;
