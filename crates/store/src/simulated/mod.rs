//! Volumes that fail on demand, for tests: of this crate, and of what is built on it.
//!
//! A simulated volume keeps two states: what is visible, and what survives a crash. Faults fire on
//! single operations of the volumes that are chosen as faulty, or on whole volumes when told to;
//! each one that fired is counted. The same seed gives the same faults, as long as everything runs
//! on one thread (tokio's current-thread run time, best with paused time).

mod faults;
mod place;
mod world;

pub use faults::Fault;
pub use world::{SimStore, SimVolumes};

use async_trait::async_trait;
use model::{KeyId, Secret};
use seal::{KeyRef, KeySource, Keyring};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Keys in memory, that survive every crash: the key table's stand-in.
#[derive(Debug)]
pub struct MemoryKeys {
    keyring: Keyring,
    rows: Mutex<BTreeMap<[u8; 16], Secret<[u8; 32]>>>,
}

impl MemoryKeys {
    /// Keys for the store of `keyring`.
    #[must_use]
    pub const fn new(keyring: Keyring) -> Self {
        Self {
            keyring,
            rows: Mutex::new(BTreeMap::new()),
        }
    }

    /// Destroys a data key. False when there is none.
    pub fn destroy(&self, key: KeyId) -> bool {
        self.rows
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&key.0)
            .is_some()
    }
}

#[async_trait]
impl KeySource for MemoryKeys {
    async fn key_for_write(&self, path: &str) -> seal::Result<(KeyRef, Secret<[u8; 32]>)> {
        let key = if path.starts_with("control/") {
            KeyRef::Root
        } else if path.starts_with("keys/") {
            KeyRef::Epoch(self.keyring.epoch())
        } else {
            let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
            let number = u128::try_from(rows.len())
                .unwrap_or(u128::MAX)
                .to_le_bytes();
            let secret = self.keyring.root_derived(&format!("simulated {number:?}"));
            rows.insert(number, secret);
            KeyRef::Data(KeyId(number))
        };
        Ok((key, self.key(key).await?))
    }

    async fn key(&self, key: KeyRef) -> seal::Result<Secret<[u8; 32]>> {
        let found = match key {
            KeyRef::Root => Some(self.keyring.root_derived("objects")),
            KeyRef::Epoch(number) => self.keyring.epoch_key(number),
            KeyRef::Data(id) => self
                .rows
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get(&id.0)
                .cloned(),
        };
        found.ok_or_else(|| seal::Error::KeyDestroyed(format!("{key:?}")))
    }
}
