//! The label of a volume: whose it is, which one, and what it knows of the others.
//!
//! Authenticated under the root key. Its counter grows with every change and at every start, and
//! each label holds the last counter that every volume is known to have stored: a volume whose own
//! is lower was rolled back. Drawn in `docs/formats/label.md`.

use model::{Secret, Timestamp};

use crate::Geometry;

const MAGIC: &[u8; 8] = b"SRLABEL1";
const VERSION: u16 = 1;
/// Far above 32 volumes.
pub(crate) const LABEL_BYTES_MAX: u64 = 8 * 1024;

/// Authenticates the labels of one store.
#[derive(Debug, Clone)]
pub(crate) struct LabelKey {
    key: Secret<[u8; 32]>,
    store_id: [u8; 16],
}

impl LabelKey {
    pub(crate) const fn new(key: Secret<[u8; 32]>, store_id: [u8; 16]) -> Self {
        Self { key, store_id }
    }
}

/// What one label says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Label {
    /// Which volume carries it.
    pub(crate) index: usize,
    pub(crate) geometry: Geometry,
    /// Grows with every change.
    pub(crate) counter: u64,
    /// Object versions up to here have been used.
    pub(crate) version_floor: u64,
    /// All volumes, by index.
    pub(crate) volumes: Vec<LabelVolume>,
}

/// What a label says of one volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LabelVolume {
    /// Random, new when another directory takes the volume's place.
    pub(crate) id: [u8; 16],
    /// Since when it is out; none while it is in service.
    pub(crate) out_since: Option<Timestamp>,
    /// The last counter that it is known to have stored.
    pub(crate) seen: u64,
}

/// What was found where a label should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reading {
    /// A label of this store.
    Ours(Label),
    /// A label of another store, or of this store under another root key.
    Foreign,
    /// What was a label of this store: it begins as one, but for a few bits, and does not check.
    Damaged,
    /// Bytes that were never a label of this store, as far as anybody can tell.
    Unknown,
}

/// Magic, version and store id: what every label of a store begins with.
const START_BYTES: usize = 8 + 2 + 16;
/// Two random ids differ in about 64 bits; damage is taken to turn no more than these.
const DAMAGED_BITS_MAX: u32 = 16;

impl Label {
    pub(crate) fn encode(&self, key: &LabelKey) -> Vec<u8> {
        let small = |size: usize| u8::try_from(size).unwrap_or(u8::MAX);
        let mut out = Vec::with_capacity(512);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&key.store_id);
        out.push(small(self.index));
        out.push(small(self.geometry.data));
        out.push(small(self.geometry.parity));
        out.extend_from_slice(&self.counter.to_le_bytes());
        out.extend_from_slice(&self.version_floor.to_le_bytes());
        for volume in &self.volumes {
            out.extend_from_slice(&volume.id);
            out.push(u8::from(volume.out_since.is_some()));
            out.extend_from_slice(&volume.out_since.unwrap_or_default().ms().to_le_bytes());
            out.extend_from_slice(&volume.seen.to_le_bytes());
        }
        let check = blake3::keyed_hash(key.key.expose(), &out);
        out.extend_from_slice(check.as_bytes());
        out
    }

    /// Reads what lies where a label should be.
    pub(crate) fn read(key: &LabelKey, bytes: &[u8]) -> Reading {
        // Checked before the rest: a damaged bit must not turn our volume into a stranger's, nor
        // the other way round. A label names its store right after magic and version.
        let authentic = bytes.split_last_chunk::<32>().is_some_and(|(body, check)| {
            blake3::keyed_hash(key.key.expose(), body) == blake3::Hash::from_bytes(*check)
        });
        if authentic {
            return Self::decode(key, bytes).map_or(Reading::Damaged, Reading::Ours);
        }
        let Some(start) = bytes.get(..START_BYTES) else {
            return Reading::Unknown;
        };
        let ours = [MAGIC.as_slice(), &VERSION.to_le_bytes(), &key.store_id].concat();
        if distance(start, &ours) <= DAMAGED_BITS_MAX {
            Reading::Damaged
        } else if bytes.starts_with(MAGIC) {
            Reading::Foreign
        } else {
            Reading::Unknown
        }
    }

    fn decode(key: &LabelKey, bytes: &[u8]) -> Option<Self> {
        let (body, _check) = bytes.split_last_chunk::<32>()?;
        let rest = body.strip_prefix(MAGIC.as_slice())?;
        let (version, rest) = rest.split_first_chunk::<2>()?;
        let (store_id, rest) = rest.split_first_chunk::<16>()?;
        if u16::from_le_bytes(*version) != VERSION || *store_id != key.store_id {
            return None;
        }
        let (&[index, data, parity], rest) = rest.split_first_chunk::<3>()?;
        let (counter, rest) = rest.split_first_chunk::<8>()?;
        let (version_floor, mut rest) = rest.split_first_chunk::<8>()?;
        let geometry = Geometry {
            data: usize::from(data),
            parity: usize::from(parity),
        };
        let geometry = geometry.check().ok()?;
        let mut volumes = Vec::with_capacity(geometry.volumes());
        for _ in 0..geometry.volumes() {
            let (id, after) = rest.split_first_chunk::<16>()?;
            let (&[out], after) = after.split_first_chunk::<1>()?;
            let (since, after) = after.split_first_chunk::<8>()?;
            let (seen, after) = after.split_first_chunk::<8>()?;
            let since = Timestamp::from_ms(i64::from_le_bytes(*since));
            volumes.push(LabelVolume {
                id: *id,
                out_since: (out != 0).then_some(since),
                seen: u64::from_le_bytes(*seen),
            });
            rest = after;
        }
        let index = usize::from(index);
        (rest.is_empty() && index < volumes.len()).then_some(Self {
            index,
            geometry,
            counter: u64::from_le_bytes(*counter),
            version_floor: u64::from_le_bytes(*version_floor),
            volumes,
        })
    }
}

/// Bits in which two strings of bytes differ.
fn distance(a: &[u8], b: &[u8]) -> u32 {
    a.iter()
        .zip(b)
        .map(|(a, b)| (a ^ b).count_ones())
        .fold(0, u32::saturating_add)
}

#[cfg(test)]
mod tests;
