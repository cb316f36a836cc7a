//! Judging: which of the writes that the volumes name is the object at its path, at start and when
//! volumes come back.
//!
//! A write is the object when it is the newest one of which k volumes in service may hold good shards.
//! An acknowledged one must never be passed over because some volumes lie or do not answer: what is
//! not known counts as there, and a read says so.

use futures::future::join_all;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::index::{Entry, Object};
use crate::open::Inner;
use crate::read::Fault;
use crate::volume::ShardName;

/// Under-replicated objects that are examined and repaired before a store is open; the rest waits
/// for [`crate::Store::maintain`].
const REPAIRS_AT_OPEN_MAX: usize = 256;
/// Headers that are read at a time to see whether names were invented.
const HEADERS_AT_ONCE: usize = 32;

impl Inner {
    /// Builds the index of what the volumes in service name.
    pub(crate) async fn build(self: &Arc<Self>, found: BTreeMap<ShardName, Object>) {
        let members: Vec<usize> = self.slots.serving().iter().map(|s| s.index).collect();
        let mut paths: BTreeMap<Arc<str>, Vec<Arc<Object>>> = BTreeMap::new();
        let mut partial: Vec<Arc<Object>> = Vec::new();
        for object in found.into_values() {
            let object = Arc::new(object);
            if members.iter().any(|index| !object.is_on(*index)) {
                partial.push(Arc::clone(&object));
            }
            paths
                .entry(Arc::clone(&object.path))
                .or_default()
                .push(object);
        }
        // A crash leaves the newest ones half-done: these are looked at shard by shard, and so is what
        // may be nothing but names that somebody changed. When nothing else is at their path they are
        // known by the headers: there may be any number of names that somebody made up.
        partial.sort_by_key(|object| std::cmp::Reverse(object.version));
        let (newest, older) = partial.split_at(partial.len().min(REPAIRS_AT_OPEN_MAX));
        let (rivals, alone): (Vec<&Arc<Object>>, Vec<&Arc<Object>>) = older
            .iter()
            .filter(|object| self.may_be_invented(object, &members))
            .partition(|object| paths.get(&object.path).is_some_and(|all| all.len() > 1));
        for object in newest.iter().chain(rivals) {
            self.verify_present(object, &members).await;
        }
        for together in alone.chunks(HEADERS_AT_ONCE) {
            let headers = together.iter();
            join_all(headers.map(|object| self.verify_named(object, &members))).await;
        }
        for (path, writes) in paths {
            self.index.insert(path, self.choose(writes, &members));
        }
        for object in partial
            .iter()
            .filter(|object| self.index.is_current(object))
        {
            let missing = members.iter().filter(|index| !object.is_on(**index));
            missing.for_each(|index| self.want(object, *index));
        }
        let current: Vec<Arc<Object>> = partial
            .into_iter()
            .filter(|object| self.index.is_current(object))
            .take(REPAIRS_AT_OPEN_MAX)
            .collect();
        for object in current {
            self.complete(&object, &members).await;
        }
    }

    /// Whether so few volumes name a write that all of them may lie, and enough to be believed.
    fn may_be_invented(&self, object: &Object, members: &[usize]) -> bool {
        let held = members.iter().filter(|index| object.is_on(**index)).count();
        (self.geometry.data..=self.geometry.parity).contains(&held)
    }

    /// Makes whole what a crash may have cut short. When that fails because shards that were good a
    /// moment ago are not, it is judged again: what is not there k times was never acknowledged.
    async fn complete(self: &Arc<Self>, object: &Arc<Object>, members: &[usize]) {
        self.repair_wanted(Some(&object.path)).await;
        if members.iter().all(|index| object.is_on(*index)) {
            return;
        }
        self.verify_present(object, members).await;
        let mut writes = self.index.all(&object.path);
        writes.sort_by_key(|object| object.version);
        self.index
            .insert(Arc::clone(&object.path), self.choose(writes, members));
    }

    /// Which of the writes of a path, oldest first, is the object: the newest one that may be
    /// complete.
    fn choose(&self, writes: Vec<Arc<Object>>, members: &[usize]) -> Entry {
        let mut entry = Entry::default();
        for object in writes.into_iter().rev() {
            let held = members.iter().filter(|index| object.is_on(**index)).count();
            if entry.current.is_none() && held >= self.geometry.data {
                entry.current = Some(object);
            } else {
                entry.garbage.push(object);
            }
        }
        entry
    }

    /// Looks at every shard of an object and forgets those that are not what they should be. Of one
    /// that its volume does not give now nothing is known: it still counts, and a read says so.
    async fn verify_present(&self, object: &Object, members: &[usize]) {
        for index in members.iter().copied().filter(|index| object.is_on(*index)) {
            match self.fetch_whole(object, index).await {
                Ok(_) | Err(Fault::Unreachable(_) | Fault::Failed(_)) => {}
                Err(Fault::Wrong(_)) => object.set_off(index),
            }
        }
    }

    /// Looks at the headers of an object's shards, and forgets those that are others than their names
    /// say. Who makes up a name cannot make a header: it is authenticated.
    async fn verify_named(&self, object: &Object, members: &[usize]) {
        for index in members.iter().copied().filter(|index| object.is_on(*index)) {
            if let Err(Fault::Wrong(_)) = self.read_header(object, index).await {
                object.set_off(index);
            }
        }
    }

    /// Judges again what was found incomplete at start, without the volumes that have come back.
    pub(crate) async fn judge_again(self: &Arc<Self>) {
        let members: Vec<usize> = self.slots.serving().iter().map(|s| s.index).collect();
        for object in self.index.undecided() {
            if !self.is_newest_complete(&object, &members) {
                continue;
            }
            let _path = self.lock_path(&object.path).await;
            let _gate = Arc::clone(&self.gate).read_owned().await;
            self.verify_present(&object, &members).await;
            self.restore_if_complete(&object, &members);
        }
    }

    /// Makes a write that was found incomplete the object, if it is its newest complete one by now.
    fn restore_if_complete(&self, object: &Arc<Object>, members: &[usize]) {
        if self.is_newest_complete(object, members) {
            self.index.restore(object);
            let missing = members.iter().filter(|index| !object.is_on(**index));
            missing.for_each(|index| self.want(object, *index));
        }
    }

    /// Whether a write that was found incomplete is there k times now, and newer than the object.
    fn is_newest_complete(&self, object: &Object, members: &[usize]) -> bool {
        let held = members.iter().filter(|index| object.is_on(**index)).count();
        let current = self.index.current(&object.path);
        !object.is_doomed()
            && held >= self.geometry.data
            && current.is_none_or(|now| now.version < object.version)
    }

    /// Whether a write that was found incomplete is so for certain: every volume serves, and each has
    /// now said of its shard that it is good or that it is not. One that is complete after all becomes
    /// the object.
    pub(crate) async fn was_never_complete(&self, object: &Arc<Object>) -> bool {
        if !self.slots.is_whole() {
            return false;
        }
        let members: Vec<usize> = (0..self.geometry.volumes()).collect();
        for index in &members {
            match self.fetch_whole(object, *index).await {
                Ok(_) => object.set_on(*index),
                Err(Fault::Wrong(_)) => object.set_off(*index),
                Err(Fault::Unreachable(_) | Fault::Failed(_)) => return false,
            }
        }
        self.restore_if_complete(object, &members);
        !self.index.is_current(object)
    }
}
