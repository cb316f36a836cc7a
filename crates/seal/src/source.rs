//! Which key an object is sealed with, and who can find it.

use async_trait::async_trait;
use model::{KeyId, Secret};
use serde::{Deserialize, Serialize};
use std::fmt::Debug;

use crate::Result;

/// Names the key of an object; written in each shard's header, so that the object can be opened
/// from its path, its header and the keys alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum KeyRef {
    /// A key derived from the root key: the shipped control database.
    Root,
    /// The epoch key of that number: the shipped key table.
    Epoch(u32),
    /// A row of the key table: everything else.
    Data(KeyId),
}

/// Finds keys. `control` implements it over the key table and the keyring.
#[async_trait]
pub trait KeySource: Debug + Send + Sync {
    /// The key to seal a new object at `path` with. Which kind follows from the path: `control/`
    /// the root key, `keys/` the epoch key, `journal/` the hourly journal key, anything else a
    /// fresh random key. The key is durable before this returns: nothing is written under a key
    /// that could be lost.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when no key can be made durable now.
    async fn key_for_write(&self, path: &str) -> Result<(KeyRef, Secret<[u8; 32]>)>;

    /// The key that `key` names.
    ///
    /// # Errors
    /// [`model::ErrorKind::NotFound`] when it was destroyed or never was;
    /// [`model::ErrorKind::Unavailable`] when it cannot be read now.
    async fn key(&self, key: KeyRef) -> Result<Secret<[u8; 32]>>;
}
