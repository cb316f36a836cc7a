//! What a volume's bytes lie on: the boundary to disks (and, later, buckets).

use async_trait::async_trait;
use bytes::Bytes;
use std::fmt::Debug;
use std::io;
use std::ops::Range;

use crate::Shard;

/// One volume's bytes. [`crate::DirPlace`] is a directory; [`crate::simulated`] has one that fails
/// on demand. The place knows nothing of what the bytes mean.
///
/// A place must refuse to put once the volume that it was bound to (by reading or writing its
/// label) is no longer there, so that nothing is ever written beside a volume that was unmounted,
/// removed or exchanged.
#[async_trait]
pub trait Place: Debug + Send + Sync {
    /// Where it is, for operators.
    fn name(&self) -> String;

    /// Takes the volume that is there now for this place alone, in this process and among all others:
    /// until [`Place::unlock`], until the place is dropped, or until this is called when another
    /// volume is there. False while somebody else holds it: then nothing of it may be read, written
    /// or removed. The label is read only after this.
    ///
    /// # Errors
    /// What the operating system says; `NotFound` when the volume itself is missing. Nothing is held
    /// then.
    async fn lock(&self) -> io::Result<bool>;

    /// Gives back what [`Place::lock`] has taken.
    fn unlock(&self);

    /// Stores a shard under `name`. When this returns, it is there after a power cut, whole; before
    /// that it is not listed. Replaces a shard of the same name.
    ///
    /// # Errors
    /// What the operating system says; the shard may or may not be there.
    async fn put(&self, name: &str, shard: &Shard) -> io::Result<()>;

    /// The bytes of a shard in `range`, fewer where the shard ends before.
    ///
    /// # Errors
    /// What the operating system says; `NotFound` when there is no such shard, and only then: not when
    /// the volume is no longer there. `InvalidData` when what has its name can be no shard.
    async fn get(&self, name: &str, range: Range<u64>) -> io::Result<Bytes>;

    /// The names of all shards.
    ///
    /// # Errors
    /// What the operating system says.
    async fn list(&self) -> io::Result<Vec<String>>;

    /// Removes shards; those that are not there count as removed. When this returns, they stay
    /// removed after a power cut.
    ///
    /// # Errors
    /// What the operating system says; any of them may still be there.
    async fn delete(&self, names: &[String]) -> io::Result<()>;

    /// The label; none when there is none. Binds the place to the volume that is there now.
    ///
    /// # Errors
    /// What the operating system says; `NotFound` when the volume itself is missing.
    async fn read_label(&self) -> io::Result<Option<Bytes>>;

    /// Stores the label, as durably as [`Place::put`], and binds the place to the volume.
    ///
    /// # Errors
    /// What the operating system says; the old label is then still whole.
    async fn write_label(&self, label: &[u8]) -> io::Result<()>;

    /// Removes what was being written here when a program ended: nothing else, whatever lies beside
    /// it. For a volume that is known to be this store's, before anything is written to it.
    ///
    /// # Errors
    /// What the operating system says; what stays goes the next time.
    async fn clear_unfinished(&self) -> io::Result<()>;

    /// Whether the volume is there and holds nothing at all, but for what a new file system has of
    /// itself.
    ///
    /// # Errors
    /// What the operating system says.
    async fn is_vacant(&self) -> io::Result<bool>;

    /// Makes the volume, for a new store only. One that is there already is kept as it is.
    ///
    /// # Errors
    /// What the operating system says.
    async fn make(&self) -> io::Result<()>;
}
