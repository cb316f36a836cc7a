//! The keyring as the running program holds it: one value, and every copy of its file.
//!
//! Copies may be on other machines' disks, and one that hangs must hang nothing else: the key table, which
//! waits here for a rotation, makes the journal's keys as well.

use model::{Random, Secret};
use seal::Keyring;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::{Error, Result};

/// How long the copies may take to be read and written, all of them.
const WRITE_TIME_MAX: Duration = Duration::from_secs(30);

/// The keyring in force, and the files that hold it.
///
/// A change reaches every copy before the program works with it, so that a crash never leaves the
/// program with a key that no file holds.
#[derive(Debug)]
pub struct SharedKeyring {
    copies: Vec<PathBuf>,
    current: RwLock<Keyring>,
    /// Held while the copies are written, until that has come back, however late.
    pub(crate) writing: Arc<AsyncMutex<()>>,
}

impl SharedKeyring {
    /// Shares `keyring`, whose files are `copies`. A rotation ends when all of them have followed.
    #[must_use]
    pub fn new(keyring: Keyring, copies: Vec<PathBuf>) -> Self {
        Self {
            copies,
            current: RwLock::new(keyring),
            writing: Arc::default(),
        }
    }

    /// Shares the newest of `keyring` and what its files, `copies`, hold: a file that came back from
    /// a backup is older than the copies that have followed a deletion since.
    ///
    /// # Errors
    /// [`model::ErrorKind::Denied`] when a copy holds the keys of another store;
    /// [`model::ErrorKind::Corrupt`] when one is damaged; [`model::ErrorKind::Unavailable`] when one
    /// cannot be read. Nothing was written.
    pub fn open(keyring: Keyring, copies: Vec<PathBuf>) -> Result<Self> {
        let mut newest = keyring;
        for copy in &copies {
            let Some(held) = held(copy, &newest)? else {
                continue;
            };
            if held.epoch() > newest.epoch() {
                tracing::warn!(
                    keyring.copy = %copy.display(),
                    keyring.epoch = held.epoch(),
                    "a copy of the keyring is newer than the keyring: the copy is used"
                );
                newest = held;
            }
        }
        Ok(Self::new(newest, copies))
    }

    /// The keyring in force.
    #[must_use]
    pub fn current(&self) -> Keyring {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// A secret for one purpose, derived from the root key: the same in every run and epoch.
    #[must_use]
    pub fn secret(&self, purpose: &str) -> Secret<[u8; 32]> {
        self.current().root_derived(purpose)
    }

    /// Adds an epoch, unless a rotation is already under way.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when a copy cannot be written, or does not answer in time: the
    /// old keyring stays in force, and the call can be made again, which is refused as long as a late
    /// copy has not come back. [`model::ErrorKind::Denied`] when a copy is newer or of another store: no
    /// copy was written.
    pub(crate) async fn begin_epoch(&self, random: &dyn Random) -> Result<Keyring> {
        let current = self.current();
        let next = if current.has_old_epochs() {
            current
        } else {
            current.with_new_epoch(random)
        };
        self.replace(next).await
    }

    /// Destroys all epochs but the newest.
    ///
    /// # Errors
    /// As [`SharedKeyring::begin_epoch`]; some copies may have lost the old epoch already.
    pub(crate) async fn end_epoch(&self) -> Result<Keyring> {
        self.replace(self.current().without_old_epochs()).await
    }

    /// Writes the keyring in force to the other copies, if there are any: one that missed the end
    /// of a rotation follows now. To be called once this keyring has opened the key table: a copy
    /// may be the only one that does.
    ///
    /// # Errors
    /// As [`SharedKeyring::begin_epoch`].
    pub(crate) async fn spread(&self) -> Result<()> {
        if self.copies.len() > 1 {
            self.replace(self.current()).await?;
        }
        Ok(())
    }

    /// Whether a rotation was begun and has not ended.
    pub(crate) fn is_rotating(&self) -> bool {
        self.current().has_old_epochs()
    }

    async fn replace(&self, next: Keyring) -> Result<Keyring> {
        let (copies, written) = (self.copies.clone(), next.clone());
        self.within(WRITE_TIME_MAX, move || write(&copies, &written))
            .await?;
        self.current
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .clone_from(&next);
        Ok(next)
    }

    /// Does `work`, which may hang on a disk, on a thread where that hurts nobody, and waits for it at most
    /// `time_max`. What is late goes on, so nothing else is begun before it has come back: of two keyrings
    /// the older must not be written last.
    ///
    /// # Errors
    /// Those of `work`; [`model::ErrorKind::Unavailable`] when it is late, or what came before still is.
    pub(crate) async fn within(
        &self,
        time_max: Duration,
        work: impl FnOnce() -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let Ok(turn) = Arc::clone(&self.writing).try_lock_owned() else {
            return Err(self.late("an earlier attempt has not come back"));
        };
        let working = spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        match timeout(time_max, working).await {
            Ok(Ok(done)) => done,
            Ok(Err(_)) => Err(Error::Internal("the keyring's writer failed".to_owned())),
            Err(_) => Err(self.late("one does not answer in time")),
        }
    }

    fn late(&self, why: &str) -> Error {
        let copies = self.copies.iter().map(|it| it.display().to_string());
        let copies: Vec<String> = copies.collect();
        let copies = copies.join("`, `");
        Error::Keys(seal::Error::Unavailable {
            message: format!("the copies `{copies}` of the keyring are not written: {why}"),
            source: None,
        })
    }
}

/// Writes `next` to all `copies`, unless one of them must not be written over.
fn write(copies: &[PathBuf], next: &Keyring) -> Result<()> {
    for copy in copies {
        if held(copy, next)?.is_some_and(|held| held.epoch() > next.epoch()) {
            return Err(refused(copy, "it is newer than the keyring in force"));
        }
    }
    for copy in copies {
        next.save(copy)?;
    }
    Ok(())
}

/// What `copy` holds, when it is a keyring of the same store as `keyring`; none when it is to be
/// written anew.
fn held(copy: &Path, keyring: &Keyring) -> Result<Option<Keyring>> {
    match Keyring::load(copy) {
        Ok(held) if held.store_id() == keyring.store_id() => Ok(Some(held)),
        Ok(_) => Err(refused(copy, "it holds the keys of another installation")),
        Err(seal::Error::KeyringFile { source, .. }) if source.kind() == ErrorKind::NotFound => {
            Ok(None)
        }
        // Its mode or its owner is wrong, and writing it anew mends that.
        Err(seal::Error::KeyringRefused { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn refused(copy: &Path, reason: &str) -> Error {
    let copy = copy.display();
    Error::Refused(format!(
        "refused to write over the copy `{copy}` of the keyring: {reason}; name another file in \
         `keyring.copies`, or move this one away"
    ))
}

/// What this crate asks a keyring beside its own questions.
trait Epochs {
    /// Whether an epoch older than the newest is still there.
    fn has_old_epochs(&self) -> bool;
}

impl Epochs for Keyring {
    fn has_old_epochs(&self) -> bool {
        // Epochs are numbered without gaps, and only the last rotation's old one can remain.
        self.epoch()
            .checked_sub(1)
            .is_some_and(|older| self.epoch_key(older).is_some())
    }
}
