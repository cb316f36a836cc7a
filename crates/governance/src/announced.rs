//! What this process has already written into the journal about who is called what.
//!
//! The plain identity of a person is kept once, as a change of their profile, not with each event.
//! This cache remembers for whom that was done, so that it is not done again for every record. It
//! may forget (then the identity is written once more, which the fold ignores) but must never
//! remember what is not durable: [`Announced::remember`] is called after the commit, not before.

use model::PersonKey;
use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

/// Keys in one generation; two generations are held. 32 bytes a key and table space.
const GENERATION_KEYS_MAX: usize = 500_000;

/// The keys whose identity or alias is in the journal. One for the whole process: person keys of
/// different accounts never coincide.
#[derive(Debug)]
pub struct Announced {
    generations: RwLock<Generations>,
    keys_max: usize,
}

/// What an upload announces, to be remembered once it is durable.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
#[must_use = "pass them to `Announced::remember` after the commit"]
pub struct Announcements(pub(crate) Vec<[u8; 16]>);

#[derive(Debug, Default)]
pub(crate) struct Generations {
    young: KeySet,
    old: KeySet,
}

impl Default for Announced {
    fn default() -> Self {
        Self::with_capacity(GENERATION_KEYS_MAX)
    }
}

impl Announced {
    /// A cache that remembers at least the last `keys_max` keys and at most twice as many.
    #[must_use]
    pub fn with_capacity(keys_max: usize) -> Self {
        Self {
            generations: RwLock::default(),
            keys_max: keys_max.max(1),
        }
    }

    /// Remembers what an upload announced. Call it only when the commit that holds the upload's
    /// entries is durable.
    pub fn remember(&self, announcements: Announcements) {
        if announcements.0.is_empty() {
            return;
        }
        let mut generations = self
            .generations
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        for key in announcements.0 {
            if generations.young.len() >= self.keys_max {
                generations.old = std::mem::take(&mut generations.young);
            }
            generations.young.insert(key);
        }
    }

    /// Keys remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        let generations = self.read();
        generations
            .young
            .len()
            .saturating_add(generations.old.len())
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Generations> {
        self.generations
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    pub(crate) fn contains(&self, key: &[u8; 16]) -> bool {
        self.young.contains(key) || self.old.contains(key)
    }
}

/// A key for two keys that name one person, in the same space as person keys.
pub(crate) fn pair(from: PersonKey, to: PersonKey) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&from.0).update(&to.0);
    let mut key = [0; 16];
    hasher.finalize_xof().fill(&mut key);
    key
}

/// A set of keys that are hashes already: their own bytes serve as the hash.
pub(crate) type KeySet = HashSet<[u8; 16], BuildHasherDefault<FirstBytes>>;

/// Takes the first eight bytes of a key as its hash. Keys are keyed hashes: a sender cannot choose
/// them.
#[derive(Debug, Default)]
pub(crate) struct FirstBytes(u64);

impl Hasher for FirstBytes {
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
