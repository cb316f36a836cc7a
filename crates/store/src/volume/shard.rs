//! A shard's bytes: a header that says which object, write, and index it is, then one piece a
//! stripe, each with a keyed hash over the header's hash and itself. Drawn in
//! `docs/formats/object.md`.

use bytes::Bytes;
use model::{KeyId, Secret};
use seal::{KeyRef, Sealed};
use std::fmt;

use crate::layout::{CHECK_BYTES, Layout, narrow, wide};
use crate::volume::Code;
use crate::volume::name::{PATH_BYTES_MAX, ShardName};
use crate::{Error, Geometry, Result};

const MAGIC: &[u8; 8] = b"SRSHARD1";
const VERSION: u16 = 1;
/// Everything but the path.
const FIXED_BYTES: usize = 8 + 2 + 2 + 16 + 16 + 8 + 1 + 1 + 1 + 1 + 16 + 8 + 4 + 8 + 2 + 32;

/// Authenticates the shards of one store.
#[derive(Debug, Clone)]
pub(crate) struct ShardKey {
    key: Secret<[u8; 32]>,
    store_id: [u8; 16],
}

impl ShardKey {
    pub(crate) const fn new(key: Secret<[u8; 32]>, store_id: [u8; 16]) -> Self {
        Self { key, store_id }
    }

    fn check(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(self.key.expose());
        for part in parts {
            hasher.update(part);
        }
        *hasher.finalize().as_bytes()
    }

    /// The hash of one piece.
    pub(crate) fn piece_check(&self, header: &[u8; 32], stripe: u64, piece: &[u8]) -> [u8; 32] {
        self.check(&[header, &stripe.to_le_bytes(), piece])
    }
}

/// What all shards of one write have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) path: String,
    pub(crate) version: u64,
    pub(crate) write_id: [u8; 16],
    pub(crate) geometry: Geometry,
    pub(crate) key: KeyRef,
    pub(crate) length: u64,
    pub(crate) chunk: u32,
    pub(crate) created_ms: i64,
}

/// Bytes of the longest header.
pub(crate) const HEADER_BYTES_MAX: u64 = header_bytes_of(PATH_BYTES_MAX);

/// Bytes of the header of a shard of the object at `path`.
pub(crate) const fn header_bytes(path: &str) -> u64 {
    header_bytes_of(path.len())
}

const fn header_bytes_of(path_bytes: usize) -> u64 {
    // A path has at most 1,024 bytes.
    #[expect(clippy::as_conversions, reason = "widening in a constant function")]
    let bytes = path_bytes.saturating_add(FIXED_BYTES) as u64;
    bytes
}

impl Header {
    /// The header's bytes for shard `index`, and their hash, which are their last 32 bytes.
    pub(crate) fn encode(&self, keys: &ShardKey, index: usize) -> (Vec<u8>, [u8; 32]) {
        let small = |size: usize| u8::try_from(size).unwrap_or(u8::MAX);
        let (kind, id) = match self.key {
            KeyRef::Root => (0, [0; 16]),
            KeyRef::Epoch(number) => {
                let mut id = [0; 16];
                for (to, from) in id.iter_mut().zip(number.to_le_bytes()) {
                    *to = from;
                }
                (1, id)
            }
            KeyRef::Data(id) => (2, id.0),
        };
        let length = narrow(header_bytes(&self.path));
        let mut out = Vec::with_capacity(length);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes());
        out.extend_from_slice(&keys.store_id);
        out.extend_from_slice(&self.write_id);
        out.extend_from_slice(&self.version.to_le_bytes());
        out.push(small(index));
        out.push(small(self.geometry.data));
        out.push(small(self.geometry.parity));
        out.push(kind);
        out.extend_from_slice(&id);
        out.extend_from_slice(&self.length.to_le_bytes());
        out.extend_from_slice(&self.chunk.to_le_bytes());
        out.extend_from_slice(&self.created_ms.to_le_bytes());
        out.extend_from_slice(
            &u16::try_from(self.path.len())
                .unwrap_or(u16::MAX)
                .to_le_bytes(),
        );
        out.extend_from_slice(self.path.as_bytes());
        let check = keys.check(&[&out]);
        out.extend_from_slice(&check);
        (out, check)
    }

    /// Reads a header: the shard's index, what it says, and its hash. None when it is not a header
    /// that this store wrote.
    pub(crate) fn decode(keys: &ShardKey, bytes: &[u8]) -> Option<(usize, Self, [u8; 32])> {
        let (body, check) = bytes.split_last_chunk::<32>()?;
        if !seal::same(&keys.check(&[body]), check) {
            return None;
        }
        let rest = body.strip_prefix(MAGIC.as_slice())?;
        let (version, rest) = rest.split_first_chunk::<2>()?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let (store_id, rest) = rest.split_first_chunk::<16>()?;
        if u16::from_le_bytes(*version) != VERSION
            || usize::from(u16::from_le_bytes(*length)) != bytes.len()
            || *store_id != keys.store_id
        {
            return None;
        }
        let (write_id, rest) = rest.split_first_chunk::<16>()?;
        let (version, rest) = rest.split_first_chunk::<8>()?;
        let (&[index, data, parity, kind], rest) = rest.split_first_chunk::<4>()?;
        let (id, rest) = rest.split_first_chunk::<16>()?;
        let (length, rest) = rest.split_first_chunk::<8>()?;
        let (chunk, rest) = rest.split_first_chunk::<4>()?;
        let (created_ms, rest) = rest.split_first_chunk::<8>()?;
        let (path_length, path) = rest.split_first_chunk::<2>()?;
        if usize::from(u16::from_le_bytes(*path_length)) != path.len() {
            return None;
        }
        let key = match kind {
            0 => KeyRef::Root,
            1 => KeyRef::Epoch(u32::from_le_bytes(*id.first_chunk::<4>()?)),
            2 => KeyRef::Data(KeyId(*id)),
            _ => return None,
        };
        let header = Self {
            path: std::str::from_utf8(path).ok()?.to_owned(),
            version: u64::from_le_bytes(*version),
            write_id: *write_id,
            geometry: Geometry {
                data: usize::from(data),
                parity: usize::from(parity),
            },
            key,
            length: u64::from_le_bytes(*length),
            chunk: u32::from_le_bytes(*chunk),
            created_ms: i64::from_le_bytes(*created_ms),
        };
        Some((usize::from(index), header, *check))
    }

    /// Reads the header that a file begins with, whatever its name says: the shard's index and the
    /// geometry of its store. None when no header of this store is there.
    pub(crate) fn at_start(keys: &ShardKey, bytes: &[u8]) -> Option<(usize, Geometry)> {
        let length = bytes
            .get(MAGIC.len().saturating_add(2)..)?
            .first_chunk::<2>()?;
        let header = bytes.get(..usize::from(u16::from_le_bytes(*length)))?;
        let (index, header, _check) = Self::decode(keys, header)?;
        Some((index, header.geometry))
    }

    /// Whether this is the header of the shards with that name.
    pub(crate) fn belongs_to(&self, name: &ShardName) -> bool {
        self.path == name.path
            && self.version == name.version
            && self.write_id == name.write_id
            && self.length == name.length
            && self.created_ms == name.created_ms
    }

    pub(crate) fn layout(&self) -> Result<Layout> {
        Layout::read(self.length, self.chunk, self.geometry.data)
    }
}

/// The bytes of one shard. Made only from sealed bytes, and the only thing that a place takes.
#[derive(Clone)]
pub struct Shard {
    parts: Vec<Bytes>,
}

impl fmt::Debug for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shard({} bytes)", self.size())
    }
}

impl Shard {
    /// The bytes, in parts that follow one another.
    #[must_use]
    pub fn parts(&self) -> &[Bytes] {
        &self.parts
    }

    /// Bytes in all.
    #[must_use]
    pub fn size(&self) -> usize {
        self.parts
            .iter()
            .map(Bytes::len)
            .fold(0, usize::saturating_add)
    }

    /// All shards of an object.
    pub(crate) fn encode(
        keys: &ShardKey,
        code: &Code,
        header: &Header,
        sealed: &Sealed,
    ) -> Result<Vec<Self>> {
        let layout = header.layout()?;
        let mut writers: Vec<ShardWriter> = (0..header.geometry.volumes())
            .map(|index| ShardWriter::new(keys, header, index))
            .collect();
        let bytes = sealed.bytes();
        for stripe in 0..layout.stripes() {
            let mut data = Vec::with_capacity(header.geometry.data);
            for index in 0..header.geometry.data {
                let range = layout
                    .chunks
                    .sealed_range(&layout.piece_chunks(stripe, index));
                let range = narrow(range.start)..narrow(range.end);
                if range.end > bytes.len() {
                    return Err(Error::Internal(
                        "a sealed object is shorter than planned".into(),
                    ));
                }
                data.push(bytes.slice(range));
            }
            let parity = code.parity(&data, narrow(layout.coded_bytes(stripe)))?;
            for (writer, piece) in writers.iter_mut().zip(data.into_iter().chain(parity)) {
                writer.piece(keys, stripe, piece);
            }
        }
        Ok(writers.into_iter().map(ShardWriter::finish).collect())
    }
}

/// Builds one shard, stripe after stripe. The pieces come from [`Sealed`] bytes or from other
/// shards, so they are sealed too.
pub(crate) struct ShardWriter {
    check: [u8; 32],
    parts: Vec<Bytes>,
}

impl ShardWriter {
    pub(crate) fn new(keys: &ShardKey, header: &Header, index: usize) -> Self {
        let (bytes, check) = header.encode(keys, index);
        Self {
            check,
            parts: vec![bytes.into()],
        }
    }

    pub(crate) fn piece(&mut self, keys: &ShardKey, stripe: u64, piece: Bytes) {
        let check = keys.piece_check(&self.check, stripe, &piece);
        self.parts.push(piece);
        self.parts.push(Bytes::copy_from_slice(&check));
    }

    pub(crate) fn finish(self) -> Shard {
        Shard { parts: self.parts }
    }
}

/// Checks a whole shard: its header, that it is shard `index` of what `name` says, and the hash of
/// every piece. Gives the header back, or what is wrong in words.
pub(crate) fn check_whole(
    keys: &ShardKey,
    name: &ShardName,
    bytes: &[u8],
) -> std::result::Result<Header, &'static str> {
    let head = narrow(header_bytes(&name.path));
    let (head, mut rest) = bytes.split_at_checked(head).ok_or("it is cut short")?;
    let (index, header, check) =
        Header::decode(keys, head).ok_or("its header is not what was written")?;
    if index != name.index || !header.belongs_to(name) {
        return Err("it is another shard");
    }
    let layout = header.layout().map_err(|_| "its header makes no sense")?;
    if wide(rest.len()) != layout.body_bytes(index) {
        return Err("its length is wrong");
    }
    for stripe in 0..layout.stripes() {
        let cut = narrow(layout.piece_bytes(stripe, index));
        let (piece, after) = rest.split_at_checked(cut).ok_or("it is cut short")?;
        let (found, after) = after
            .split_at_checked(narrow(CHECK_BYTES))
            .ok_or("it is cut short")?;
        if !seal::same(&keys.piece_check(&check, stripe, piece), found) {
            return Err("its bytes are not what was written");
        }
        rest = after;
    }
    Ok(header)
}

#[cfg(test)]
mod tests;
