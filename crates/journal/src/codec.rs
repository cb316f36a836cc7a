//! The bytes of a commit: `docs/formats/commit.md`.
//!
//! Pure: bytes in, commit out. What it reads may come from anywhere, so lengths are checked before
//! anything is allocated, and a commit is either whole or refused: never a prefix of it.

use model::record::Entry;
use model::{CommitId, Timestamp, WriterId, limit};

use crate::block::{self, Layout};

/// The first bytes of a commit.
const MAGIC: [u8; 8] = *b"SRCOMMIT";
/// The version that is written: the body holds blocks.
pub(crate) const VERSION: u16 = 3;
/// The version before it: the body holds blocks whose values stand in the rows.
const VERSION_INLINE: u16 = 2;
/// The first version: the body holds entries in postcard, one after the other.
const VERSION_POSTCARD: u16 = 1;
/// Bytes of the header.
pub(crate) const HEADER_BYTES: usize = 88;
/// Bytes of the digest at the end.
pub(crate) const DIGEST_BYTES: usize = 32;
/// Bytes of one entry: a quarantined body of the largest size, and what is said of it.
pub(crate) const ENTRY_BYTES_MAX: usize = limit::COMMIT_BYTES_MAX.saturating_add(64 * 1024);
/// Bytes of the body: entries that zstd cannot shrink are a little longer compressed.
const BODY_BYTES_MAX: usize = ENTRY_BYTES_MAX.saturating_add(1024 * 1024);

/// A BLAKE3 digest.
pub(crate) type Digest = [u8; DIGEST_BYTES];

/// What a commit says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// How its body is to be read.
    pub(crate) version: u16,
    /// Writer and number.
    pub(crate) id: CommitId,
    /// The number of the commit before it; 0 for the first. The numbers between were answered
    /// 'outcome unknown' and are skipped.
    pub(crate) previous: u64,
    /// The digest of the commit before it; zeros for the first.
    pub(crate) previous_digest: Digest,
    /// When it was written, by the writer's clock.
    pub(crate) written_at: Timestamp,
    /// Entries in it.
    pub(crate) entries: u32,
    /// Bytes of the entries before compression.
    pub(crate) plain_bytes: u32,
    /// Bytes of the body, which is the entries compressed.
    pub(crate) body_bytes: u32,
}

/// A commit that has been read, with its digest checked.
#[derive(Debug)]
pub(crate) struct Parsed<'a> {
    pub(crate) header: Header,
    pub(crate) body: &'a [u8],
    pub(crate) digest: Digest,
}

/// A decoded commit.
#[derive(Debug, PartialEq, Eq)]
pub struct Commit {
    /// Writer and number.
    pub id: CommitId,
    /// The number of the commit before it; 0 for the first.
    pub previous: u64,
    /// When it was written, by the writer's clock.
    pub written_at: Timestamp,
    /// The entries, in the order in which they were appended.
    pub entries: Vec<Entry>,
}

/// Why bytes are not a commit (or a settlement).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The first bytes are others.
    #[error("the magic is wrong")]
    Magic,
    /// Written by a version that this one does not know.
    #[error("version {0} is unknown")]
    Version(u16),
    /// Too short, or too long.
    #[error("the length is wrong")]
    Length,
    /// The digest does not fit the bytes.
    #[error("the digest is wrong")]
    Digest,
    /// A field has a value that no writer writes.
    #[error("the field `{0}` is out of range")]
    Field(&'static str),
    /// The body does not decompress to what the header says.
    #[error("the body does not decompress")]
    Compression,
    /// An entry cannot be decoded.
    #[error("entry {0} is malformed")]
    Entry(u32),
}

/// Decodes a whole commit.
///
/// # Errors
/// [`Malformed`] when `bytes` are not exactly one commit: nothing of it is given then.
pub fn decode(bytes: &[u8]) -> Result<Commit, Malformed> {
    let parsed = parse(bytes)?;
    let entries = entries(&parsed.header, parsed.body)?;
    let Header {
        id,
        previous,
        written_at,
        ..
    } = parsed.header;
    Ok(Commit {
        id,
        previous,
        written_at,
        entries,
    })
}

/// The bytes of `header`.
pub(crate) fn encode_header(header: &Header) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES);
    out.extend(MAGIC);
    out.extend(header.version.to_le_bytes());
    out.extend([0; 2]);
    out.extend(header.id.writer.node.to_le_bytes());
    out.extend(header.id.writer.start.to_le_bytes());
    out.extend(header.id.number.to_le_bytes());
    out.extend(header.previous.to_le_bytes());
    out.extend(header.written_at.ms().to_le_bytes());
    out.extend(header.entries.to_le_bytes());
    out.extend(header.plain_bytes.to_le_bytes());
    out.extend(header.body_bytes.to_le_bytes());
    out.extend(header.previous_digest);
    out
}

/// Reads a commit's header and finds its body, with the digest checked.
pub(crate) fn parse(bytes: &[u8]) -> Result<Parsed<'_>, Malformed> {
    let (signed, digest) = split_digest(bytes)?;
    let mut rest = signed;
    let header = header(&mut rest)?;
    if u32::try_from(rest.len()) != Ok(header.body_bytes) {
        return Err(Malformed::Length);
    }
    if *blake3::hash(signed).as_bytes() != digest {
        return Err(Malformed::Digest);
    }
    Ok(Parsed {
        header,
        body: rest,
        digest,
    })
}

/// The entries of a commit.
pub(crate) fn entries(header: &Header, body: &[u8]) -> Result<Vec<Entry>, Malformed> {
    let plain_bytes = usize::try_from(header.plain_bytes).map_err(|_| Malformed::Length)?;
    // Bounded by the header's check; the body may be several frames, which zstd reads as one.
    let plain = zstd::bulk::decompress(body, plain_bytes).map_err(|_| Malformed::Compression)?;
    if plain.len() != plain_bytes {
        return Err(Malformed::Compression);
    }
    match header.version {
        VERSION_POSTCARD => in_postcard(&plain, header.entries),
        VERSION_INLINE => block::decode(&plain, header.entries, Layout::Inline),
        _ => block::decode(&plain, header.entries, Layout::Apart),
    }
}

/// The entries of a body of the first version.
fn in_postcard(plain: &[u8], count: u32) -> Result<Vec<Entry>, Malformed> {
    // An honest entry has some 50 bytes and more; a count that lies must not make us allocate.
    let likely = usize::try_from(count).unwrap_or(0).min(plain.len() / 48);
    let mut entries = Vec::with_capacity(likely);
    let mut rest = plain;
    for index in 0..count {
        let (entry, after) =
            postcard::take_from_bytes(rest).map_err(|_| Malformed::Entry(index))?;
        entries.push(entry);
        rest = after;
    }
    if rest.is_empty() {
        Ok(entries)
    } else {
        Err(Malformed::Length)
    }
}

/// Splits the digest off the end.
pub(crate) fn split_digest(bytes: &[u8]) -> Result<(&[u8], Digest), Malformed> {
    let (signed, digest) = bytes.split_last_chunk().ok_or(Malformed::Length)?;
    Ok((signed, *digest))
}

/// Checks magic, version and the two reserved bytes; gives the version, one of `known`.
pub(crate) fn prologue(rest: &mut &[u8], magic: [u8; 8], known: &[u16]) -> Result<u16, Malformed> {
    if take::<8>(rest)? != magic {
        return Err(Malformed::Magic);
    }
    let found = u16::from_le_bytes(take(rest)?);
    if !known.contains(&found) {
        return Err(Malformed::Version(found));
    }
    if take::<2>(rest)? != [0; 2] {
        return Err(Malformed::Field("reserved"));
    }
    Ok(found)
}

/// The next `N` bytes.
pub(crate) fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Malformed> {
    let (taken, after) = rest.split_first_chunk().ok_or(Malformed::Length)?;
    *rest = after;
    Ok(*taken)
}

/// The next writer id.
pub(crate) fn take_writer(rest: &mut &[u8]) -> Result<WriterId, Malformed> {
    let node = u32::from_le_bytes(take(rest)?);
    Ok(WriterId {
        node,
        start: u32::from_le_bytes(take(rest)?),
    })
}

fn header(rest: &mut &[u8]) -> Result<Header, Malformed> {
    let version = prologue(rest, MAGIC, &[VERSION_POSTCARD, VERSION_INLINE, VERSION])?;
    let writer = take_writer(rest)?;
    let number = u64::from_le_bytes(take(rest)?);
    let previous = u64::from_le_bytes(take(rest)?);
    let written_at = Timestamp::from_ms(i64::from_le_bytes(take(rest)?));
    let entries = u32::from_le_bytes(take(rest)?);
    let plain_bytes = u32::from_le_bytes(take(rest)?);
    let body_bytes = u32::from_le_bytes(take(rest)?);
    let previous_digest = take(rest)?;
    let within = |bytes: u32, max| usize::try_from(bytes).is_ok_and(|bytes| bytes <= max);
    if previous >= number {
        return Err(Malformed::Field("previous"));
    }
    if (previous == 0) != (previous_digest == [0; DIGEST_BYTES]) {
        return Err(Malformed::Field("previous digest"));
    }
    if !within(plain_bytes, ENTRY_BYTES_MAX) {
        return Err(Malformed::Field("plain bytes"));
    }
    if entries == 0 || entries > plain_bytes {
        return Err(Malformed::Field("entries"));
    }
    if !within(body_bytes, BODY_BYTES_MAX) {
        return Err(Malformed::Field("body bytes"));
    }
    let id = CommitId { writer, number };
    Ok(Header {
        version,
        id,
        previous,
        previous_digest,
        written_at,
        entries,
        plain_bytes,
        body_bytes,
    })
}

#[cfg(test)]
mod tests;
