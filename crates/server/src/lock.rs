//! One process at a time on an installation: an advisory lock that ends with the process.

use anyhow::{Context as _, Result};
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

/// The lock; given back when dropped, or by the system when the process ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// How often a lock that is held is tried again.
const PAUSE: Duration = Duration::from_millis(50);

impl Lock {
    /// Takes the lock of the installation in `folder`; `None` while another process holds it.
    ///
    /// # Errors
    /// When the lock file cannot be opened.
    pub(crate) fn try_take(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join("lock");
        let fail = || format!("failed to take the lock `{}`", path.display());
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .with_context(fail)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).with_context(fail),
        }
    }

    /// Takes the lock, waiting at most `patience` for another process to end.
    ///
    /// # Errors
    /// As [`Lock::try_take`].
    pub(crate) async fn take(folder: &Path, patience: Duration) -> Result<Option<Self>> {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            if let Some(lock) = Self::try_take(folder)? {
                return Ok(Some(lock));
            }
            if tokio::time::Instant::now() >= deadline {
                return Ok(None);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
