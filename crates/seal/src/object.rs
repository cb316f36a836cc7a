//! Sealing of objects in chunks, so that a small range is opened alone.
//!
//! Each attempt to write an object has a random write id. The key is derived from the object's
//! data key, its path and its write id; the nonce is the chunk's number; the associated data are
//! format, path, write id, chunk number and whether it is the last chunk. So a chunk opens only
//! at its own place of its own object, and a cut object does not open. Drawn in
//! `docs/formats/object.md`.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use bytes::Bytes;
use model::{Secret, limit};
use std::fmt;
use std::ops::Range;

use crate::{Error, Result, derive};

/// Bytes that sealing adds to each chunk.
pub const TAG_BYTES: usize = 16;
const FORMAT: &[u8] = b"SRO1";
const PURPOSE: &str = "strongroom object v1";

/// Sealed bytes: the only ones that may reach a volume. Only this crate makes them.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Bytes);

impl Sealed {
    /// The ciphertext: chunks with their tags, one after the other.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.0
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

/// How an object is cut in chunks: all of `chunk` plaintext bytes, the last one shorter. An empty
/// object has one empty chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunks {
    length: u64,
    chunk: u64,
}

impl Chunks {
    /// Chunks of `chunk` bytes (1 to 64 KiB) for an object of `length` bytes.
    ///
    /// # Errors
    /// [`model::ErrorKind::Invalid`] for a chunk size out of these bounds.
    pub fn new(length: u64, chunk: u32) -> Result<Self> {
        let most = u32::try_from(limit::CHUNK_BYTES).unwrap_or(u32::MAX);
        if chunk == 0 || chunk > most || length > u64::MAX >> 8 {
            return Err(Error::TooLarge("a chunk"));
        }
        Ok(Self {
            length,
            chunk: u64::from(chunk),
        })
    }

    /// Plaintext bytes of the object.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Chunks in the object, at least one.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.length.div_ceil(self.chunk).max(1)
    }

    /// Plaintext bytes of a chunk that is not the last.
    #[must_use]
    pub const fn chunk(&self) -> u64 {
        self.chunk
    }

    /// Sealed bytes of a chunk that is not the last.
    #[must_use]
    pub const fn sealed_chunk(&self) -> u64 {
        self.chunk.saturating_add(16)
    }

    /// Sealed bytes of the whole object.
    #[must_use]
    pub fn sealed_length(&self) -> u64 {
        self.length.saturating_add(self.count().saturating_mul(16))
    }

    /// Where the sealed bytes of the chunks in `range` lie in the sealed object.
    #[must_use]
    pub fn sealed_range(&self, range: &Range<u64>) -> Range<u64> {
        let at = |chunk: u64| {
            chunk
                .saturating_mul(self.sealed_chunk())
                .min(self.sealed_length())
        };
        at(range.start)..at(range.end)
    }

    /// The chunks that hold the plaintext bytes in `range`.
    #[must_use]
    pub fn holding(&self, range: &Range<u64>) -> Range<u64> {
        let first = range.start.checked_div(self.chunk).unwrap_or(0);
        first..range.end.div_ceil(self.chunk).min(self.count()).max(first)
    }

    /// Plaintext bytes of chunk `number`.
    fn plain_length(&self, number: u64) -> u64 {
        self.length
            .saturating_sub(number.saturating_mul(self.chunk))
            .min(self.chunk)
    }
}

/// The key of one attempt to write one object.
pub struct ObjectKey {
    key: LessSafeKey,
    path: Box<str>,
    write_id: [u8; 16],
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectKey")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl ObjectKey {
    /// Derives the key. A `write_id` must be random and new for each attempt to write.
    ///
    /// # Errors
    /// [`model::ErrorKind::Invalid`] for a path larger than 64 KiB.
    pub fn new(data_key: &Secret<[u8; 32]>, path: &str, write_id: [u8; 16]) -> Result<Self> {
        let key = derive(data_key, PURPOSE, &[path.as_bytes(), &write_id])?;
        let key = UnboundKey::new(&AES_256_GCM, key.expose())
            .map_err(|_| Error::Library("take a key"))?;
        Ok(Self {
            key: LessSafeKey::new(key),
            path: path.into(),
            write_id,
        })
    }

    /// Seals a whole object.
    ///
    /// # Errors
    /// [`model::ErrorKind::Invalid`] when `plaintext` is not as long as `chunks` says.
    pub fn seal(&self, chunks: &Chunks, plaintext: &[u8]) -> Result<Sealed> {
        if u64::try_from(plaintext.len()) != Ok(chunks.length) {
            return Err(Error::TooLarge("an object"));
        }
        let mut sealed = vec![0; size(chunks.sealed_length())?];
        let (mut from, mut to) = (plaintext, sealed.as_mut_slice());
        for number in 0..chunks.count() {
            let length = size(chunks.plain_length(number))?;
            let short = || Error::Library("cut an object");
            let (chunk, from_rest) = from.split_at_checked(length).ok_or_else(short)?;
            let (body, rest) = std::mem::take(&mut to)
                .split_at_mut_checked(length)
                .ok_or_else(short)?;
            let (tag, to_rest) = rest.split_at_mut_checked(TAG_BYTES).ok_or_else(short)?;
            self.key
                .seal_out_of_place_scatter(
                    nonce(number),
                    self.aad(chunks, number),
                    chunk,
                    body,
                    &[],
                    tag,
                )
                .map_err(|_| Error::Library("seal a chunk"))?;
            from = from_rest;
            to = to_rest;
        }
        Ok(Sealed(sealed.into()))
    }

    /// Opens one sealed chunk and appends its plaintext to `out`.
    ///
    /// # Errors
    /// [`model::ErrorKind::Corrupt`] when it is not the chunk that was sealed with this number;
    /// `out` is then as it was.
    pub fn open_chunk(
        &self,
        chunks: &Chunks,
        number: u64,
        sealed: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let refused = || Error::Refused("a chunk");
        let (body, tag) = sealed.split_last_chunk::<TAG_BYTES>().ok_or_else(refused)?;
        if u64::try_from(body.len()) != Ok(chunks.plain_length(number)) {
            return Err(refused());
        }
        let start = out.len();
        out.resize(start.saturating_add(body.len()), 0);
        let opened = out.get_mut(start..).is_some_and(|to| {
            self.key
                .open_separate_gather(nonce(number), self.aad(chunks, number), body, tag, to)
                .is_ok()
        });
        if !opened {
            out.truncate(start);
            return Err(refused());
        }
        Ok(())
    }

    /// Opens the sealed bytes of the chunks in `range`, which must lie one after the other.
    ///
    /// # Errors
    /// [`model::ErrorKind::Corrupt`] when one of them is not what was sealed.
    pub fn open(&self, chunks: &Chunks, range: &Range<u64>, sealed: &[u8]) -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(sealed.len());
        let mut rest = sealed;
        for number in range.clone() {
            let length = size(chunks.plain_length(number))?.saturating_add(TAG_BYTES);
            let (chunk, next) = rest
                .split_at_checked(length)
                .ok_or(Error::Refused("a chunk"))?;
            self.open_chunk(chunks, number, chunk, &mut out)?;
            rest = next;
        }
        if rest.is_empty() {
            Ok(out)
        } else {
            Err(Error::Refused("a chunk"))
        }
    }

    fn aad(&self, chunks: &Chunks, number: u64) -> Aad<Vec<u8>> {
        let last = number.saturating_add(1) == chunks.count();
        let mut aad = Vec::with_capacity(self.path.len().saturating_add(32));
        aad.extend_from_slice(FORMAT);
        aad.extend_from_slice(&self.write_id);
        aad.extend_from_slice(&number.to_le_bytes());
        aad.push(u8::from(last));
        aad.extend_from_slice(self.path.as_bytes());
        Aad::from(aad)
    }
}

/// Seals an object in chunks of 64 KiB.
///
/// # Errors
/// As [`ObjectKey::new`].
pub fn seal_object(
    data_key: &Secret<[u8; 32]>,
    path: &str,
    write_id: [u8; 16],
    plaintext: &[u8],
) -> Result<Sealed> {
    let length = u64::try_from(plaintext.len()).map_err(|_| Error::TooLarge("an object"))?;
    let chunk = u32::try_from(limit::CHUNK_BYTES).map_err(|_| Error::TooLarge("a chunk"))?;
    ObjectKey::new(data_key, path, write_id)?.seal(&Chunks::new(length, chunk)?, plaintext)
}

fn nonce(number: u64) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    for (to, from) in bytes.iter_mut().zip(number.to_le_bytes()) {
        *to = from;
    }
    Nonce::assume_unique_for_key(bytes)
}

fn size(length: u64) -> Result<usize> {
    usize::try_from(length).map_err(|_| Error::TooLarge("an object"))
}
