//! The keyring as the running program holds it: one value, and every copy of its file.

use model::{Random, Secret};
use seal::Keyring;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock};

use crate::{Error, Result};

/// The keyring in force, and the files that hold it.
///
/// A change reaches every copy before the program works with it, so that a crash never leaves the
/// program with a key that no file holds, nor with one that a copy lacks which was named then. While
/// nothing changes a copy may be out of reach: it follows when its disk is back.
#[derive(Debug)]
pub struct SharedKeyring {
    /// The keyring's own file, then the others.
    copies: Vec<PathBuf>,
    current: RwLock<Keyring>,
    /// Held by whoever writes files.
    writing: Mutex<()>,
    /// Copies that were out of reach when they were last to be written, and why.
    away: Mutex<Vec<(PathBuf, String)>>,
}

impl SharedKeyring {
    /// Shares `keyring`, whose files are `copies`. A rotation ends when all of them have followed.
    #[must_use]
    pub const fn new(keyring: Keyring, copies: Vec<PathBuf>) -> Self {
        Self {
            copies,
            current: RwLock::new(keyring),
            writing: Mutex::new(()),
            away: Mutex::new(Vec::new()),
        }
    }

    /// Shares the newest of `keyring` and what its files, `copies`, hold: a file that came back from
    /// a backup is older than the copies that have followed a deletion since.
    ///
    /// One that is out of reach is passed over: if it is the newest, the others do not open the data.
    ///
    /// # Errors
    /// [`model::ErrorKind::Denied`] when a copy holds the keys of another store;
    /// [`model::ErrorKind::Corrupt`] when one is damaged. Nothing was written.
    pub fn open(keyring: Keyring, copies: Vec<PathBuf>) -> Result<Self> {
        let mut newest = keyring;
        for copy in &copies {
            let held = match held(copy, &newest) {
                Ok(Some(held)) => held,
                Ok(None) => continue,
                Err(error) => {
                    let why = out_of_reach(&error).ok_or(error)?;
                    tracing::warn!(
                        keyring.copy = %copy.display(),
                        "a copy of the keyring is passed over: {why}"
                    );
                    continue;
                }
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

    /// Copies that do not hold what the others do because they could not be written, and why.
    #[must_use]
    pub fn away(&self) -> Vec<(PathBuf, String)> {
        self.away
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Adds an epoch, unless a rotation is already under way.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when a copy cannot be written: the old keyring stays in
    /// force, and the call can be made again. [`model::ErrorKind::Denied`] when a copy is newer or of
    /// another store: no copy was written.
    pub(crate) fn begin_epoch(&self, random: &dyn Random) -> Result<Keyring> {
        let current = self.current();
        if current.has_old_epochs() {
            return self.replace(current);
        }
        // A copy that is out of reach is found here, before any file holds a key that it lacks.
        self.spread()?;
        self.replace(current.with_new_epoch(random))
    }

    /// Destroys all epochs but the newest.
    ///
    /// # Errors
    /// As [`SharedKeyring::begin_epoch`]; some copies may have lost the old epoch already.
    pub(crate) fn end_epoch(&self) -> Result<Keyring> {
        self.replace(self.current().without_old_epochs())
    }

    /// Writes the keyring in force to the other copies, if there are any: one that missed the end
    /// of a rotation follows now. To be called once this keyring has opened the key table: a copy
    /// may be the only one that does.
    ///
    /// # Errors
    /// As [`SharedKeyring::begin_epoch`].
    pub(crate) fn spread(&self) -> Result<()> {
        if self.copies.len() > 1 {
            self.replace(self.current())?;
        }
        Ok(())
    }

    /// Writes the keyring in force to the other copies, if there are any. Those that are out of reach
    /// are passed over and noted ([`SharedKeyring::away`]), except while a rotation is under way: they
    /// may lack the newest key then. Waits for their disks.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when the keyring's own file cannot be written, or, during a
    /// rotation, a copy; [`model::ErrorKind::Denied`] and [`model::ErrorKind::Corrupt`] when one that
    /// can be read is newer, of another store or damaged: nothing was written.
    pub fn follow(&self) -> Result<()> {
        if self.is_rotating() || self.copies.len() < 2 {
            return self.spread();
        }
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.current();
        let mut away = Vec::new();
        let mut note = |index: usize, copy: &PathBuf, error: Error| {
            let why = out_of_reach(&error).filter(|_| index > 0).ok_or(error)?;
            away.push((copy.clone(), why));
            Ok::<(), Error>(())
        };
        let mut reached = Vec::new();
        for (index, copy) in self.copies.iter().enumerate() {
            match refuse_newer(copy, &current) {
                Ok(()) => reached.push((index, copy)),
                Err(error) => note(index, copy, error)?,
            }
        }
        for (index, copy) in reached {
            if let Err(error) = current.save(copy) {
                note(index, copy, error.into())?;
            }
        }
        self.note_away(away);
        Ok(())
    }

    fn note_away(&self, away: Vec<(PathBuf, String)>) {
        let mut noted = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        for (copy, why) in &away {
            if !noted.iter().any(|(known, _)| known == copy) {
                tracing::error!(
                    keyring.copy = %copy.display(),
                    "a copy of the keyring is out of reach, and follows when it is back: {why}"
                );
            }
        }
        *noted = away;
    }

    /// Whether a rotation was begun and has not ended.
    pub(crate) fn is_rotating(&self) -> bool {
        self.current().has_old_epochs()
    }

    fn replace(&self, next: Keyring) -> Result<Keyring> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        for copy in &self.copies {
            self.reach(copy, refuse_newer(copy, &next))?;
        }
        for copy in &self.copies {
            self.reach(copy, next.save(copy).map_err(Error::from))?;
        }
        self.note_away(Vec::new());
        self.current
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .clone_from(&next);
        Ok(next)
    }

    /// Notes a copy that turns out to be out of reach.
    fn reach(&self, copy: &Path, tried: Result<()>) -> Result<()> {
        if let Some(why) = tried.as_ref().err().and_then(out_of_reach) {
            let mut away = self.away();
            away.retain(|(known, _)| known != copy);
            away.push((copy.to_path_buf(), why));
            self.note_away(away);
        }
        tried
    }
}

/// Fails when `copy` must not be written over with `next`.
fn refuse_newer(copy: &Path, next: &Keyring) -> Result<()> {
    match held(copy, next)? {
        Some(held) if held.epoch() > next.epoch() => {
            Err(refused(copy, "it is newer than the keyring in force"))
        }
        Some(_) | None => Ok(()),
    }
}

/// What the operating system said, when it is the disk of a copy that is away, and not the copy that is
/// wrong.
fn out_of_reach(error: &Error) -> Option<String> {
    match error {
        Error::Keys(seal::Error::KeyringFile { act, source, .. }) => {
            Some(format!("failed to {act} it: {source}"))
        }
        _ => None,
    }
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
