//! Sets and maps by person key, and what they hash by.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use crate::PersonKey;

/// People.
pub type PersonSet = HashSet<PersonKey, BuildHasherDefault<OwnBytes>>;

/// Something of each person.
pub type PersonMap<V> = HashMap<PersonKey, V, BuildHasherDefault<OwnBytes>>;

/// Takes the first eight bytes of a key as its hash. Such keys are keyed hashes: a sender cannot
/// choose them.
#[derive(Debug, Default)]
pub struct OwnBytes(u64);

impl Hasher for OwnBytes {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes
            .first_chunk()
            .map_or(0, |first| u64::from_le_bytes(*first));
    }

    /// The length of a key, which is always the same.
    fn write_usize(&mut self, _length: usize) {}
}
