//! Decoded commits that readers have asked for lately, bounded by bytes.
//!
//! It must never grow past its bound, and never hold a commit that was retired.

use model::CommitId;
use model::record::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The entries of a commit, shared between readers.
pub(crate) type Entries = Arc<Vec<Entry>>;

/// A cache that drops what was used longest ago.
#[derive(Debug)]
pub(crate) struct Cache {
    bytes_max: usize,
    bytes: usize,
    next_tick: u64,
    held: HashMap<CommitId, Held>,
    by_tick: BTreeMap<u64, CommitId>,
}

#[derive(Debug)]
struct Held {
    entries: Entries,
    bytes: usize,
    tick: u64,
}

impl Cache {
    pub(crate) fn new(bytes_max: usize) -> Self {
        let (held, by_tick) = (HashMap::new(), BTreeMap::new());
        Self {
            bytes_max,
            bytes: 0,
            next_tick: 0,
            held,
            by_tick,
        }
    }

    /// The commit's entries, if they are here; they count as used now.
    pub(crate) fn find(&mut self, id: CommitId) -> Option<Entries> {
        let tick = self.tick();
        let held = self.held.get_mut(&id)?;
        self.by_tick.remove(&held.tick);
        held.tick = tick;
        self.by_tick.insert(tick, id);
        Some(Arc::clone(&held.entries))
    }

    /// Keeps `entries`, which take `bytes`; what was used longest ago makes room.
    pub(crate) fn insert(&mut self, id: CommitId, entries: &Entries, bytes: usize) {
        self.remove(id);
        if bytes > self.bytes_max {
            return;
        }
        while self.bytes.saturating_add(bytes) > self.bytes_max {
            let Some((_, oldest)) = self.by_tick.pop_first() else {
                break;
            };
            if let Some(held) = self.held.remove(&oldest) {
                self.bytes = self.bytes.saturating_sub(held.bytes);
            }
        }
        let tick = self.tick();
        self.bytes = self.bytes.saturating_add(bytes);
        self.by_tick.insert(tick, id);
        self.held.insert(
            id,
            Held {
                entries: Arc::clone(entries),
                bytes,
                tick,
            },
        );
    }

    /// Keeps `entries` only if nothing has to go for them: for readers of a long tail, who would
    /// drive out everything and find nothing of it the next time.
    pub(crate) fn insert_if_room(&mut self, id: CommitId, entries: &Entries, bytes: usize) {
        if self.bytes.saturating_add(bytes) <= self.bytes_max {
            self.insert(id, entries, bytes);
        }
    }

    /// Drops a commit.
    pub(crate) fn remove(&mut self, id: CommitId) {
        if let Some(held) = self.held.remove(&id) {
            self.by_tick.remove(&held.tick);
            self.bytes = self.bytes.saturating_sub(held.bytes);
        }
    }

    /// Bytes held.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    const fn tick(&mut self) -> u64 {
        self.next_tick = self.next_tick.saturating_add(1);
        self.next_tick
    }
}

#[cfg(test)]
mod tests;
