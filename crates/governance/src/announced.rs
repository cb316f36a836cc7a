//! What this process has already written into the journal about who is called what.
//!
//! The plain identity of a person is kept once, as a change of their profile, not with each event.
//! This cache remembers for whom that was done, so that it is not done again for every record. It
//! may forget (then the identity is written once more, which the fold ignores) but must never
//! remember what is not durable: [`Announced::remember`] is called after the commit, not before.

use model::{OwnBytes, PersonKey};
use std::collections::HashSet;
use std::hash::BuildHasherDefault;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

/// Keys that are held: 16 bytes each, no more.
const KEYS_MAX: usize = 1 << 20;
/// Keys in one bucket, which is one line of the processor's cache.
const WAYS: usize = 4;
/// Buckets of a table that is new.
const BUCKETS_FIRST: usize = 1 << 10;

/// The keys whose identity or alias is in the journal. One for the whole process: person keys of
/// different accounts never coincide.
#[derive(Debug)]
pub struct Announced {
    table: RwLock<Table>,
    buckets_max: usize,
}

/// What an upload announces, to be remembered once it is durable.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
#[must_use = "pass them to `Announced::remember` after the commit"]
pub struct Announcements(pub(crate) Vec<[u8; 16]>);

/// A key can be in one bucket only, so that asking for it touches one line of memory. Where a bucket
/// is full, the key that came first gives way.
#[derive(Debug)]
pub(crate) struct Table {
    /// A power of two of them.
    buckets: Vec<Bucket>,
    keys: usize,
}

/// Zeros stand where no key is yet: no person has that key, and it is never remembered.
#[derive(Debug, Clone, Copy, Default)]
#[repr(align(64))]
struct Bucket([[u8; 16]; WAYS]);

impl Default for Announced {
    fn default() -> Self {
        Self::with_capacity(KEYS_MAX)
    }
}

impl Announced {
    /// A cache that remembers about the last `keys_max` keys: room for fewer than twice as many, and
    /// for four at least.
    #[must_use]
    pub fn with_capacity(keys_max: usize) -> Self {
        let buckets_max = keys_max.div_ceil(WAYS).next_power_of_two();
        Self {
            table: RwLock::new(Table::with_buckets(BUCKETS_FIRST.min(buckets_max))),
            buckets_max,
        }
    }

    /// Remembers what an upload announced. Call it only when the commit that holds the upload's
    /// entries is durable.
    pub fn remember(&self, announcements: Announcements) {
        if announcements.0.is_empty() {
            return;
        }
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        for key in announcements.0 {
            table.insert(key);
            if table.is_half_full() && table.buckets.len() < self.buckets_max {
                table.grow();
            }
        }
    }

    /// Keys remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read().keys
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Hold it briefly: who remembers waits for it.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn with_buckets(count: usize) -> Self {
        Self {
            buckets: vec![Bucket::default(); count],
            keys: 0,
        }
    }

    pub(crate) fn contains(&self, key: &[u8; 16]) -> bool {
        let bucket = self.buckets.get(self.place(key));
        bucket.is_some_and(|it| it.0.contains(key)) && *key != [0; 16]
    }

    /// Keys are keyed hashes: a sender cannot choose them, and their own bytes serve as the hash.
    fn place(&self, key: &[u8; 16]) -> usize {
        let [first, ..] = key.as_chunks::<8>().0 else {
            return 0;
        };
        let hash = usize::try_from(u64::from_le_bytes(*first) & 0xffff_ffff).unwrap_or(0);
        hash & self.buckets.len().wrapping_sub(1)
    }

    fn insert(&mut self, key: [u8; 16]) {
        let place = self.place(&key);
        let Some(Bucket(keys)) = self.buckets.get_mut(place) else {
            return;
        };
        if key == [0; 16] || keys.contains(&key) {
            return;
        }
        if let Some(free) = keys.iter_mut().find(|it| **it == [0; 16]) {
            *free = key;
            self.keys = self.keys.saturating_add(1);
        } else {
            keys.rotate_left(1);
            if let Some(last) = keys.last_mut() {
                *last = key;
            }
        }
    }

    const fn is_half_full(&self) -> bool {
        self.keys > self.buckets.len().saturating_mul(WAYS / 2)
    }

    /// Twice as many buckets. What was in one is divided between two, so no key is lost.
    fn grow(&mut self) {
        let mut larger = Self::with_buckets(self.buckets.len().saturating_mul(2));
        for Bucket(keys) in &self.buckets {
            for key in keys {
                larger.insert(*key);
            }
        }
        *self = larger;
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
pub(crate) type KeySet = HashSet<[u8; 16], BuildHasherDefault<OwnBytes>>;
