//! Entries as bytes: made in the caller's task, so that the owner of the journal only joins them.
//!
//! A large batch is compressed here as a zstd frame of its own; small ones wait to be joined, and the
//! owner compresses them together. It must never see the store.

use bytes::Bytes;
use model::limit;
use model::record::{Entry, Record};
use std::fmt;
use std::mem;
use std::sync::{Mutex, PoisonError};

use crate::block::{Block, Builder, size_bytes};
use crate::codec::ENTRY_BYTES_MAX;
use crate::error::{Error, Result};

/// From this size on, a batch is compressed in its caller's task.
const FRAME_BYTES_MIN: usize = 16 * 1024;
/// The zstd level, a fast one: a block has said once what repeats, and what more would save is not
/// worth the processor's time.
const LEVEL: i32 = -7;
/// Compressors that are kept for the next caller.
const COMPRESSORS_KEPT_MAX: usize = 8;

/// Some entries that go into one commit together.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub(crate) entries: u32,
    /// What its entries count, which is never less than `plain_bytes`: see [`size_bytes`].
    pub(crate) size_bytes: usize,
    /// Its bytes before compression.
    pub(crate) plain_bytes: usize,
    /// Lines of the request log among its entries.
    pub(crate) lines: u64,
    pub(crate) frame: Frame,
}

/// A batch's bytes.
#[derive(Debug, Clone)]
pub(crate) enum Frame {
    Plain(Block),
    /// The same, as zstd frames.
    Compressed(Vec<Bytes>),
}

impl Batch {
    fn plain(block: Builder<'_>, size_bytes: usize, lines: u64) -> Self {
        let entries = block.entries();
        let block = block.finish();
        Self {
            entries,
            size_bytes,
            plain_bytes: block.len(),
            lines,
            frame: Frame::Plain(block),
        }
    }
}

/// Encodes `entries` into as few batches as commits can hold: nearly always one.
///
/// # Errors
/// [`Error::EntryTooLarge`] when no commit can hold one of them.
pub(crate) fn encode(entries: &[Entry]) -> Result<Vec<Batch>> {
    let mut batches = Vec::new();
    let mut block = Builder::with_capacity(entries.len());
    let (mut bytes, mut lines) = (0_usize, 0_u64);
    for entry in entries {
        let size_bytes = size_bytes(entry);
        if size_bytes > ENTRY_BYTES_MAX {
            return Err(Error::EntryTooLarge { size_bytes });
        }
        if block.entries() > 0 && bytes.saturating_add(size_bytes) > limit::COMMIT_BYTES_MAX {
            let full = mem::replace(&mut block, Builder::with_capacity(entries.len()));
            let (bytes, lines) = (mem::take(&mut bytes), mem::take(&mut lines));
            batches.push(Batch::plain(full, bytes, lines));
        }
        block.push(entry)?;
        bytes = bytes.saturating_add(size_bytes);
        if matches!(entry.record, Record::Request(_)) {
            lines = lines.saturating_add(1);
        }
    }
    if block.entries() > 0 {
        batches.push(Batch::plain(block, bytes, lines));
    }
    Ok(batches)
}

/// Compressors, kept because making one costs more than compressing a small batch.
#[derive(Default)]
pub(crate) struct Compressors(Mutex<Vec<zstd::bulk::Compressor<'static>>>);

impl fmt::Debug for Compressors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Compressors")
    }
}

impl Compressors {
    /// One zstd frame of `plain`.
    ///
    /// # Errors
    /// [`Error::Encode`] when the library fails (out of memory).
    pub(crate) fn compress(&self, plain: &[u8]) -> Result<Bytes> {
        let failed = |source: std::io::Error| Error::Encode {
            reason: source.to_string(),
        };
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut compressor = match kept {
            Some(compressor) => compressor,
            None => zstd::bulk::Compressor::new(LEVEL).map_err(failed)?,
        };
        let frame = compressor.compress(plain).map_err(failed)?;
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < COMPRESSORS_KEPT_MAX {
            kept.push(compressor);
        }
        Ok(Bytes::from(frame))
    }

    /// Compresses the batch if it is large enough to be frames of its own: one of its rows and one
    /// of its keys, which are random and would only spoil the other.
    ///
    /// # Errors
    /// As [`Compressors::compress`].
    pub(crate) fn compress_large(&self, batch: &mut Batch) -> Result<()> {
        if let Frame::Plain(block) = &batch.frame
            && block.len() >= FRAME_BYTES_MIN
        {
            let mut frames = vec![self.compress(&block.rows)?];
            if !block.keys.is_empty() {
                frames.push(self.compress(&block.keys)?);
            }
            batch.frame = Frame::Compressed(frames);
        }
        Ok(())
    }

    /// The body of a commit: the frames of `batches` in order, neighbours that are not compressed
    /// yet joined into one.
    ///
    /// # Errors
    /// As [`Compressors::compress`].
    pub(crate) fn body(&self, batches: Vec<Batch>) -> Result<Vec<Bytes>> {
        let mut frames = Vec::new();
        let mut run = Vec::new();
        for batch in batches {
            match batch.frame {
                Frame::Plain(block) => block.append_to(&mut run),
                Frame::Compressed(compressed) => {
                    if !run.is_empty() {
                        frames.push(self.compress(&run)?);
                        run.clear();
                    }
                    frames.extend(compressed);
                }
            }
        }
        if !run.is_empty() {
            frames.push(self.compress(&run)?);
        }
        Ok(frames)
    }
}
