//! Which objects there are: path to writes, in memory.
//!
//! Built from the volumes' listings at start, kept by every write and deletion. It is what decides
//! which write of a path is the object; a volume that comes back is compared with it.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::volume::{Header, ShardName};
use crate::{Error, Result};

/// One write of one object.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) path: Arc<str>,
    pub(crate) version: u64,
    pub(crate) write_id: [u8; 16],
    pub(crate) length: u64,
    pub(crate) created_ms: i64,
    /// The volumes that hold its shard, a bit each.
    present: AtomicU32,
    /// Puts of its shards that have not come back: one may still arrive after a deletion.
    pending: AtomicUsize,
    /// Replaced, deleted or taken back: its shards may go at once. What was only found incomplete
    /// is kept for a while.
    doomed: AtomicBool,
    /// What the header says; known once a header was read or written.
    pub(crate) header: OnceLock<Arc<Header>>,
}

impl Object {
    pub(crate) fn named(name: &ShardName) -> Self {
        Self {
            path: name.path.as_str().into(),
            version: name.version,
            write_id: name.write_id,
            length: name.length,
            created_ms: name.created_ms,
            present: AtomicU32::new(0),
            pending: AtomicUsize::new(0),
            doomed: AtomicBool::new(false),
            header: OnceLock::new(),
        }
    }

    pub(crate) fn with_header(header: Header) -> Self {
        let object = Self {
            path: header.path.as_str().into(),
            version: header.version,
            write_id: header.write_id,
            length: header.length,
            created_ms: header.created_ms,
            present: AtomicU32::new(0),
            pending: AtomicUsize::new(0),
            doomed: AtomicBool::new(false),
            header: OnceLock::new(),
        };
        object.header.get_or_init(|| Arc::new(header));
        object
    }

    /// The name of its shard on volume `index`.
    pub(crate) fn name(&self, index: usize) -> ShardName {
        ShardName {
            path: self.path.to_string(),
            version: self.version,
            write_id: self.write_id,
            length: self.length,
            created_ms: self.created_ms,
            index,
        }
    }

    /// Whether this is the same write under the same name.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.write_id == other.write_id
            && self.version == other.version
            && self.length == other.length
            && self.created_ms == other.created_ms
            && self.path == other.path
    }

    pub(crate) fn is_on(&self, index: usize) -> bool {
        self.present.load(Ordering::Acquire) & bit(index) != 0
    }

    pub(crate) fn set_on(&self, index: usize) {
        self.present.fetch_or(bit(index), Ordering::AcqRel);
    }

    pub(crate) fn set_off(&self, index: usize) {
        self.present.fetch_and(!bit(index), Ordering::AcqRel);
    }

    /// Counts a put of one of its shards until the guard is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> Pending {
        self.pending.fetch_add(1, Ordering::AcqRel);
        Pending(Arc::clone(self))
    }

    pub(crate) fn is_pending(&self) -> bool {
        self.pending.load(Ordering::Acquire) > 0
    }

    pub(crate) fn doom(&self) {
        self.doomed.store(true, Ordering::Release);
    }

    pub(crate) fn is_doomed(&self) -> bool {
        self.doomed.load(Ordering::Acquire)
    }

    /// What changes with every write of the path.
    pub(crate) fn e_tag(&self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.write_id))
    }
}

/// A put under way.
#[derive(Debug)]
pub(crate) struct Pending(Arc<Object>);

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.pending.fetch_sub(1, Ordering::AcqRel);
    }
}

fn bit(index: usize) -> u32 {
    u32::try_from(index)
        .ok()
        .and_then(|index| 1_u32.checked_shl(index))
        .unwrap_or(0)
}

/// The writes of one path.
#[derive(Debug, Default, Clone)]
pub(crate) struct Entry {
    /// The object, when there is one.
    pub(crate) current: Option<Arc<Object>>,
    /// Writes that were replaced, deleted or never completed; their shards are still to be removed.
    pub(crate) garbage: Vec<Arc<Object>>,
}

/// All objects of a store.
#[derive(Debug, Default)]
pub(crate) struct Index {
    entries: Mutex<BTreeMap<Arc<str>, Entry>>,
    /// The last one that was used.
    version: Mutex<u64>,
}

impl Index {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_version(&self) -> MutexGuard<'_, u64> {
        self.version.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A version above all that were ever used.
    ///
    /// # Errors
    /// [`model::ErrorKind::Internal`] when there is none: never from below again, where a write would
    /// lose against those before it.
    pub(crate) fn next_version(&self) -> Result<u64> {
        let mut version = self.lock_version();
        let next = version
            .checked_add(1)
            .ok_or_else(|| Error::Internal("all versions of objects have been used".into()))?;
        *version = next;
        Ok(next)
    }

    pub(crate) fn raise_version(&self, floor: u64) {
        let mut version = self.lock_version();
        *version = floor.max(*version);
    }

    pub(crate) fn version(&self) -> u64 {
        *self.lock_version()
    }

    pub(crate) fn insert(&self, path: Arc<str>, entry: Entry) {
        self.lock().insert(path, entry);
    }

    pub(crate) fn current(&self, path: &str) -> Option<Arc<Object>> {
        self.lock()
            .get(path)
            .and_then(|entry| entry.current.clone())
    }

    /// All writes of a path, the object first.
    pub(crate) fn all(&self, path: &str) -> Vec<Arc<Object>> {
        self.lock().get(path).map_or_else(Vec::new, |entry| {
            entry
                .current
                .iter()
                .chain(&entry.garbage)
                .cloned()
                .collect()
        })
    }

    /// Makes a new write the object; the one before becomes garbage, which is given back.
    pub(crate) fn replace(&self, object: Arc<Object>) -> Vec<Arc<Object>> {
        let mut entries = self.lock();
        let entry = entries.entry(Arc::clone(&object.path)).or_default();
        if let Some(before) = entry.current.replace(object) {
            entry.garbage.push(before);
        }
        entry.garbage.iter().for_each(|object| object.doom());
        entry.garbage.clone()
    }

    /// Hides the object: all its writes become garbage.
    pub(crate) fn hide(&self, path: &str) {
        if let Some(entry) = self.lock().get_mut(path) {
            entry.garbage.extend(entry.current.take());
            entry.garbage.iter().for_each(|object| object.doom());
        }
    }

    /// Makes a write that was found incomplete the object after all; the one before becomes garbage.
    pub(crate) fn restore(&self, object: &Arc<Object>) {
        if let Some(entry) = self.lock().get_mut(&object.path) {
            entry.garbage.retain(|other| !other.is(object));
            entry
                .garbage
                .extend(entry.current.replace(Arc::clone(object)));
        }
    }

    /// Remembers a write whose shards are to be removed.
    pub(crate) fn add_garbage(&self, object: Arc<Object>) {
        object.doom();
        self.lock()
            .entry(Arc::clone(&object.path))
            .or_default()
            .garbage
            .push(object);
    }

    /// Forgets garbage whose shards have been removed.
    pub(crate) fn forget(&self, object: &Object) {
        let mut entries = self.lock();
        if let Some(entry) = entries.get_mut(&object.path) {
            entry.garbage.retain(|other| !other.is(object));
            if entry.current.is_none() && entry.garbage.is_empty() {
                entries.remove(&object.path);
            }
        }
    }

    /// Whether this write is still the object at its path.
    pub(crate) fn is_current(&self, object: &Object) -> bool {
        self.current(&object.path).is_some_and(|now| now.is(object))
    }

    /// Whether this write is known, as an object or as garbage.
    pub(crate) fn knows(&self, name: &ShardName) -> bool {
        self.all(&name.path)
            .iter()
            .any(|object| object.name(name.index) == *name)
    }

    /// The objects below a prefix (all of them when it is empty), by path.
    pub(crate) fn below(&self, prefix: &str) -> Vec<Arc<Object>> {
        let entries = self.lock();
        let current = |entry: &Entry| entry.current.clone();
        if prefix.is_empty() {
            return entries.values().filter_map(current).collect();
        }
        // '0' is the character after '/'.
        let (from, to) = (format!("{prefix}/"), format!("{prefix}0"));
        let bounds = (Bound::Included(from.as_str()), Bound::Excluded(to.as_str()));
        entries
            .range::<str, _>(bounds)
            .filter_map(|(_, entry)| current(entry))
            .collect()
    }

    /// The first object after a path: how the scrubber walks.
    pub(crate) fn after(&self, path: &str) -> Option<Arc<Object>> {
        self.lock()
            .range::<str, _>((Bound::Excluded(path), Bound::Unbounded))
            .find_map(|(_, entry)| entry.current.clone())
    }

    /// The garbage that nobody has replaced, deleted or taken back: a volume that is away may hold
    /// what completes it.
    pub(crate) fn undecided(&self) -> Vec<Arc<Object>> {
        let mut garbage = self.garbage();
        garbage.retain(|object| !object.is_doomed());
        garbage
    }

    pub(crate) fn garbage(&self) -> Vec<Arc<Object>> {
        self.lock()
            .values()
            .flat_map(|entry| entry.garbage.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests;
