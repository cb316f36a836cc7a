//! Writing and deleting: durable on every volume in service, or not acknowledged.

use bytes::Bytes;
use futures::future::join_all;
use model::Secret;
use seal::{KeyRef, ObjectKey};
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use crate::index::Object;
use crate::layout::{Layout, wide};
use crate::open::Inner;
use crate::site::Serving;
use crate::volume::{Header, Shard, check_path};
use crate::{Error, Result};

/// Above this the work of sealing and coding leaves the executor's threads.
const INLINE_BYTES_MAX: usize = 512 * 1024;

/// When a write may happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Always.
    Always,
    /// When there is no such object.
    Absent,
    /// When the object has this tag.
    Unchanged(String),
}

impl Inner {
    /// Writes an object and answers its tag once it is durable.
    pub(crate) async fn write(
        self: Arc<Self>,
        path: String,
        payload: Bytes,
        condition: Condition,
    ) -> Result<String> {
        check_path(&path)?;
        self.check_condition(&path, &condition)?;
        if !self.slots.is_ready() {
            return Err(self.slots.too_few(&[]));
        }
        // Before any lock: the key table may have to write and delete objects of its own through
        // this store to make a key, and those wait for the same locks.
        let key = self
            .keys
            .key_for_write(&path)
            .await
            .map_err(Error::sealing(&path))?;
        let _path = self.lock_path(&path).await;
        let _gate = Arc::clone(&self.gate).read_owned().await;
        self.check_condition(&path, &condition)?;
        let (header, shards) = self.make_shards(&path, payload, key).await?;
        let object = Arc::new(Object::with_header(header));
        let members = self.slots.serving();
        let failed = self.put_shards(&object, &members, &shards).await;
        let held = members.len().saturating_sub(failed.len());
        let marked = if held < self.geometry.data {
            Err(self.slots.too_few(&failed))
        } else {
            self.slots.mark_out(&failed, self.index.version()).await
        };
        if let Err(error) = marked {
            self.withdraw(object).await;
            return Err(error);
        }
        let tag = object.e_tag();
        let replaced = self.index.replace(Arc::clone(&object));
        for old in replaced {
            // What cannot be removed now is removed later; the new write hides it.
            let _left: Vec<(usize, String)> = self.remove(&[old]).await;
        }
        Ok(tag)
    }

    fn check_condition(&self, path: &str, condition: &Condition) -> Result<()> {
        let current = self.index.current(path);
        match (condition, current) {
            (Condition::Always, _) | (Condition::Absent, None) => Ok(()),
            (Condition::Absent, Some(_)) => Err(Error::Exists(path.to_owned())),
            (Condition::Unchanged(tag), Some(object)) if object.e_tag() == *tag => Ok(()),
            (Condition::Unchanged(_), _) => Err(Error::Changed(path.to_owned())),
        }
    }

    async fn make_shards(
        self: &Arc<Self>,
        path: &str,
        payload: Bytes,
        (key, secret): (KeyRef, Secret<[u8; 32]>),
    ) -> Result<(Header, Vec<Shard>)> {
        let length = wide(payload.len());
        let layout = Layout::new(length, self.geometry.data)?;
        let header = Header {
            path: path.to_owned(),
            version: self.index.next_version()?,
            write_id: self.random.bytes16(),
            geometry: self.geometry,
            key,
            length,
            chunk: u32::try_from(layout.chunks.chunk())
                .map_err(|_| Error::Internal("a chunk is too large".into()))?,
            created_ms: self.clock.now().ms().max(0),
        };
        let inner = Arc::clone(self);
        let size = payload.len();
        let work = move || {
            let object_key = ObjectKey::new(&secret, &header.path, header.write_id)
                .map_err(Error::sealing(&header.path))?;
            let sealed = object_key
                .seal(&layout.chunks, &payload)
                .map_err(Error::sealing(&header.path))?;
            let shards = Shard::encode(&inner.shard_key, &inner.code, &header, &sealed)?;
            Ok((header, shards))
        };
        off_executor(size, work).await
    }

    /// Puts a shard on each volume, all at a time; answers which failed, and why.
    async fn put_shards(
        &self,
        object: &Arc<Object>,
        members: &[Serving],
        shards: &[Shard],
    ) -> Vec<(usize, String)> {
        let grace = self.settings.write_grace;
        let puts = members.iter().filter_map(|serving| {
            let shard = shards.get(serving.index)?.clone();
            let name = object.name(serving.index).encode();
            let object = Arc::clone(object);
            let pending = object.begin();
            Some(async move {
                let put = serving
                    .run(grace, move |place| async move {
                        let done = place.put(&name, &shard).await;
                        drop(pending);
                        done
                    })
                    .await;
                match put {
                    Ok(()) => {
                        object.set_on(serving.index);
                        None
                    }
                    Err(error) => Some((serving.index, format!("a write: {error}"))),
                }
            })
        });
        join_all(puts).await.into_iter().flatten().collect()
    }

    /// Takes back a write that was not acknowledged, as far as that is possible: its outcome is
    /// unknown, and in this process it never happened.
    async fn withdraw(&self, object: Arc<Object>) {
        self.index.add_garbage(Arc::clone(&object));
        let _left: Vec<(usize, String)> = self.remove(&[object]).await;
    }

    /// Removes the shards of writes from every volume in service, and forgets those that are gone
    /// from all of them. Answers which volumes failed, and why.
    pub(crate) async fn remove(&self, objects: &[Arc<Object>]) -> Vec<(usize, String)> {
        let grace = self.settings.write_grace;
        let members = self.slots.serving();
        let deletes = members.iter().map(|serving| {
            let names: Vec<String> = objects
                .iter()
                .map(|object| object.name(serving.index).encode())
                .collect();
            async move {
                let deleted = serving
                    .run(
                        grace,
                        move |place| async move { place.delete(&names).await },
                    )
                    .await;
                match deleted {
                    Ok(()) => {
                        for object in objects {
                            object.set_off(serving.index);
                        }
                        None
                    }
                    Err(error) => Some((serving.index, format!("a deletion: {error}"))),
                }
            }
        });
        let failed: Vec<(usize, String)> = join_all(deletes).await.into_iter().flatten().collect();
        if failed.is_empty() {
            self.forget_all(objects);
        }
        failed
    }

    /// Deletes objects: once this answers, their shards are gone from every volume in service, and
    /// volumes that are out lose theirs before they come back. Objects that do not exist count as
    /// deleted.
    pub(crate) async fn delete(self: Arc<Self>, paths: Vec<String>) -> Result<()> {
        let _paths = self.lock_paths(&paths).await;
        let _gate = Arc::clone(&self.gate).read_owned().await;
        if !self.slots.is_ready() {
            return Err(self.slots.too_few(&[]));
        }
        let distinct: BTreeSet<&String> = paths.iter().collect();
        let mut objects: Vec<Arc<Object>> = Vec::new();
        for path in distinct {
            self.index.hide(path);
            objects.extend(self.index.all(path));
        }
        if objects.is_empty() {
            return Ok(());
        }
        let failed = self.remove(&objects).await;
        self.slots.mark_out(&failed, self.index.version()).await?;
        self.forget_all(&objects);
        Ok(())
    }

    /// Forgets what has been removed, but for writes of which a put may still arrive.
    fn forget_all(&self, objects: &[Arc<Object>]) {
        for object in objects.iter().filter(|object| !object.is_pending()) {
            self.index.forget(object);
        }
    }

    fn path_lock(&self, path: &str) -> usize {
        let mut hasher = DefaultHasher::new();
        path.hash(&mut hasher);
        let locks = wide(self.paths.len()).max(1);
        crate::layout::narrow(hasher.finish().checked_rem(locks).unwrap_or(0))
    }

    pub(crate) async fn lock_path(&self, path: &str) -> Vec<tokio::sync::OwnedMutexGuard<()>> {
        self.lock_all(BTreeSet::from([self.path_lock(path)])).await
    }

    async fn lock_paths(&self, paths: &[String]) -> Vec<tokio::sync::OwnedMutexGuard<()>> {
        self.lock_all(paths.iter().map(|path| self.path_lock(path)).collect())
            .await
    }

    /// In the order of their numbers, so that two callers never wait for each other.
    async fn lock_all(&self, locks: BTreeSet<usize>) -> Vec<tokio::sync::OwnedMutexGuard<()>> {
        let mut held = Vec::with_capacity(locks.len());
        for lock in locks.iter().filter_map(|number| self.paths.get(*number)) {
            held.push(Arc::clone(lock).lock_owned().await);
        }
        held
    }
}

/// Runs work on that many bytes, on a thread of its own when it takes the processor for long.
pub(crate) async fn off_executor<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    if bytes <= INLINE_BYTES_MAX {
        return work();
    }
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|stopped| Error::Internal(format!("work on an object stopped: {stopped}")))?
}
