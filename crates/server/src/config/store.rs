//! `[store]`: the volumes.

use super::within;
use anyhow::{Result, bail};
use std::path::PathBuf;
use std::time::Duration;

section! {
    /// The volumes. How data is coded over them is in their labels, made by `init`.
    struct Store {
        /// One directory a volume, best each on a disk of its own; 32 at most. The order does not
        /// matter.
        volumes: Vec<PathBuf> = Vec::new(),
        /// A volume that is slower than this to make a write durable is put out of service,
        /// milliseconds. 10 to 600000.
        write_grace_ms: u32 = 5_000,
    }
}

impl Store {
    /// Whether the values are within their bounds.
    pub(super) fn check(&self) -> Result<()> {
        if self.volumes.is_empty() {
            bail!("`store.volumes` is empty: name at least one volume");
        }
        within(
            "store.volumes (their number)",
            self.volumes.len() as u64,
            1..=::store::VOLUMES_MAX as u64,
        )?;
        within(
            "store.write_grace_ms",
            self.write_grace_ms.into(),
            10..=600_000,
        )
    }

    /// How slow a volume may be.
    pub(crate) fn write_grace(&self) -> Duration {
        Duration::from_millis(self.write_grace_ms.into())
    }
}
