//! The objects of the shipped control database: `control/<generation>/<n>`, the pieces of a
//! snapshot and then stretches of the write-ahead log. Drawn in `docs/formats/control-shipping.md`.

use bytes::Bytes;

use crate::{Error, Result};

const MAGIC: &[u8; 8] = b"SRCTLSHP";
const VERSION: u16 = 1;
const DIGEST_BYTES: usize = 32;

/// What an object holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A stretch of the database file; more follow.
    SnapshotPiece,
    /// The last stretch of the database file: the generation is complete.
    SnapshotEnd,
    /// A stretch of the write-ahead log, up to a commit frame.
    Log,
}

/// A point in the history of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Point {
    /// Counts transactions.
    pub(crate) sequence: u64,
    /// Random for each transaction: two histories differ in it.
    pub(crate) tag: [u8; 16],
}

/// An object's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// What it holds.
    pub(crate) kind: Kind,
    /// Its generation.
    pub(crate) generation: u64,
    /// Its number in the generation.
    pub(crate) number: u64,
    /// The digest of the object before; zeros for number 0.
    pub(crate) previous: [u8; 32],
    /// The last transaction that a database restored up to here holds.
    pub(crate) point: Point,
    /// Where the bytes belong in the file: the database for snapshots, the log otherwise.
    pub(crate) offset: u64,
}

/// The object, and its digest.
pub(crate) fn encode(header: &Header, body: &[u8]) -> (Bytes, [u8; 32]) {
    let length = u64::try_from(body.len()).unwrap_or(u64::MAX);
    let mut out = Vec::with_capacity(body.len().saturating_add(160));
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.push(match header.kind {
        Kind::SnapshotPiece => 1,
        Kind::SnapshotEnd => 2,
        Kind::Log => 3,
    });
    out.push(0);
    out.extend_from_slice(&header.generation.to_le_bytes());
    out.extend_from_slice(&header.number.to_le_bytes());
    out.extend_from_slice(&header.previous);
    out.extend_from_slice(&header.point.sequence.to_le_bytes());
    out.extend_from_slice(&header.point.tag);
    out.extend_from_slice(&header.offset.to_le_bytes());
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(body);
    let digest = *blake3::hash(&out).as_bytes();
    out.extend_from_slice(&digest);
    (Bytes::from(out), digest)
}

/// A decoded object.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// Its header.
    pub(crate) header: Header,
    /// The file's bytes.
    pub(crate) body: Bytes,
    /// The digest that the next object names.
    pub(crate) digest: [u8; 32],
}

/// Reads an object.
///
/// # Errors
/// [`model::ErrorKind::Corrupt`] when the bytes are not what was written as `generation`/`number`.
pub(crate) fn decode(bytes: &Bytes, generation: u64, number: u64) -> Result<Chunk> {
    let damaged =
        |reason: &str| Error::damaged(format!("control/{generation:016x}/{number:016x}"), reason);
    let cut = || damaged("it is cut short");
    let (content, digest) = bytes.split_last_chunk::<DIGEST_BYTES>().ok_or_else(cut)?;
    if blake3::hash(content).as_bytes() != digest {
        return Err(damaged("its digest does not match"));
    }
    let mut rest = content;
    if take::<8>(&mut rest).ok_or_else(cut)? != *MAGIC {
        return Err(damaged("it is not a piece of a control database"));
    }
    if u16::from_le_bytes(take(&mut rest).ok_or_else(cut)?) != VERSION {
        return Err(damaged(
            "its version is unknown: it was written by a newer program",
        ));
    }
    let [kind, _] = take(&mut rest).ok_or_else(cut)?;
    let header = Header {
        kind: match kind {
            1 => Kind::SnapshotPiece,
            2 => Kind::SnapshotEnd,
            3 => Kind::Log,
            _ => return Err(damaged("its kind is unknown")),
        },
        generation: u64::from_le_bytes(take(&mut rest).ok_or_else(cut)?),
        number: u64::from_le_bytes(take(&mut rest).ok_or_else(cut)?),
        previous: take(&mut rest).ok_or_else(cut)?,
        point: Point {
            sequence: u64::from_le_bytes(take(&mut rest).ok_or_else(cut)?),
            tag: take(&mut rest).ok_or_else(cut)?,
        },
        offset: u64::from_le_bytes(take(&mut rest).ok_or_else(cut)?),
    };
    let length = u64::from_le_bytes(take(&mut rest).ok_or_else(cut)?);
    if (header.generation, header.number) != (generation, number) {
        return Err(damaged("it was written for another place"));
    }
    if usize::try_from(length) != Ok(rest.len()) {
        return Err(damaged("its length does not match"));
    }
    Ok(Chunk {
        header,
        body: bytes.slice_ref(rest),
        digest: *digest,
    })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*taken)
}
