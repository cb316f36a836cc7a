//! Entries as bytes: made in the caller's task, so that the owner of the journal only joins them.
//!
//! A large batch is compressed here as a zstd frame of its own; small ones wait to be joined, and the
//! owner compresses them together. It must never see the store.

use bytes::Bytes;
use model::limit;
use model::record::Entry;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use crate::codec::ENTRY_BYTES_MAX;
use crate::error::{Error, Result};

/// From this size on, a batch is compressed in its caller's task.
const FRAME_BYTES_MIN: usize = 64 * 1024;
/// The zstd level: what more would save is not worth the processor's time.
const LEVEL: i32 = 1;
/// Compressors that are kept for the next caller.
const COMPRESSORS_KEPT_MAX: usize = 8;

/// Some entries that go into one commit together.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) entries: u32,
    pub(crate) plain_bytes: usize,
    pub(crate) frame: Frame,
}

/// A batch's bytes.
#[derive(Debug)]
pub(crate) enum Frame {
    /// Entries one after the other.
    Plain(Vec<u8>),
    /// The same, as one zstd frame.
    Compressed(Bytes),
}

impl Batch {
    const fn plain(bytes: Vec<u8>, entries: u32) -> Self {
        Self {
            entries,
            plain_bytes: bytes.len(),
            frame: Frame::Plain(bytes),
        }
    }
}

/// Encodes `entries` into as few batches as commits can hold: nearly always one.
///
/// # Errors
/// [`Error::EntryTooLarge`] when no commit can hold one of them.
pub(crate) fn encode(entries: &[Entry]) -> Result<Vec<Batch>> {
    let mut batches = Vec::new();
    let mut bytes = Vec::with_capacity(entries.len().saturating_mul(352).min(FRAME_BYTES_MIN * 8));
    let mut count = 0_u32;
    for entry in entries {
        let start = bytes.len();
        bytes = postcard::to_extend(entry, bytes).map_err(|source| Error::Encode {
            reason: source.to_string(),
        })?;
        let size_bytes = bytes.len().saturating_sub(start);
        if size_bytes > ENTRY_BYTES_MAX {
            return Err(Error::EntryTooLarge { size_bytes });
        }
        if count > 0 && bytes.len() > limit::COMMIT_BYTES_MAX {
            let tail = bytes.split_off(start);
            batches.push(Batch::plain(bytes, count));
            (bytes, count) = (tail, 0);
        }
        count = count.saturating_add(1);
    }
    if count > 0 {
        batches.push(Batch::plain(bytes, count));
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

    /// Compresses the batch if it is large enough to be a frame of its own.
    ///
    /// # Errors
    /// As [`Compressors::compress`].
    pub(crate) fn compress_large(&self, batch: &mut Batch) -> Result<()> {
        if let Frame::Plain(plain) = &batch.frame
            && plain.len() >= FRAME_BYTES_MIN
        {
            batch.frame = Frame::Compressed(self.compress(plain)?);
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
                Frame::Plain(plain) if run.is_empty() => run = plain,
                Frame::Plain(plain) => run.extend_from_slice(&plain),
                Frame::Compressed(frame) => {
                    if !run.is_empty() {
                        frames.push(self.compress(&run)?);
                        run.clear();
                    }
                    frames.push(frame);
                }
            }
        }
        if !run.is_empty() {
            frames.push(self.compress(&run)?);
        }
        Ok(frames)
    }
}
