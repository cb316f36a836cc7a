//! The keyring as the running program holds it: one value, and every copy of its file.
//!
//! Copies may be on other machines' disks, and one that hangs must hang nothing else: the key table, which
//! waits here for a rotation, makes the journal's keys as well.

use model::{Random, Secret};
use seal::Keyring;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::{Error, Result};

/// How long the copies may take to be read and written, all of them.
const WRITE_TIME_MAX: Duration = Duration::from_secs(30);
/// How long one change waits for another to end.
const TURN_TIME_MAX: Duration = Duration::from_secs(1);

/// The keyring in force, and the files that hold it.
///
/// A change reaches every copy before the program works with it, so that a crash never leaves the
/// program with a key that no file holds, nor with one that a copy lacks which was named then. While
/// nothing changes a copy may be out of reach: it follows when its disk is back.
#[derive(Debug)]
pub struct SharedKeyring {
    copies: Arc<Copies>,
    /// Held while the copies are written, until that has come back, however late.
    pub(crate) writing: Arc<AsyncMutex<()>>,
}

impl SharedKeyring {
    /// Shares `keyring`, whose files are `copies`. A rotation ends when all of them have followed.
    #[must_use]
    pub fn new(keyring: Keyring, copies: Vec<PathBuf>) -> Self {
        Self {
            copies: Arc::new(Copies {
                current: RwLock::new(keyring),
                begun: Mutex::default(),
                files: copies,
                at: AtomicUsize::new(0),
                away: Mutex::default(),
            }),
            writing: Arc::default(),
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
            // Before it is read: a disk may hang.
            tracing::info!(keyring.copy = %copy.display(), "a copy of the keyring is read");
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
        self.copies.current()
    }

    /// A secret for one purpose, derived from the root key: the same in every run and epoch.
    #[must_use]
    pub fn secret(&self, purpose: &str) -> Secret<[u8; 32]> {
        self.current().root_derived(purpose)
    }

    /// Copies that do not hold what the others do because they could not be written, and why.
    #[must_use]
    pub fn away(&self) -> Vec<(PathBuf, String)> {
        self.copies.away()
    }

    /// Adds an epoch, unless a rotation is already under way.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when a copy cannot be written, or does not answer in time: the
    /// old keyring stays in force, and the call can be made again, which goes on with the same key, and is
    /// refused as long as a late copy has not come back. [`model::ErrorKind::Denied`] when a copy is newer
    /// or of another store: no copy was written.
    pub(crate) async fn begin_epoch(&self, random: &Arc<dyn Random>) -> Result<()> {
        if !self.is_rotating() {
            // A copy that is out of reach is found here, before any file holds a key that it lacks.
            self.spread().await?;
        }
        let random = Arc::clone(random);
        self.replace(move |newest| match newest.has_old_epochs() {
            true => newest,
            false => newest.with_new_epoch(random.as_ref()),
        })
        .await
    }

    /// Destroys all epochs but the newest.
    ///
    /// # Errors
    /// As [`SharedKeyring::begin_epoch`]; some copies may have lost the old epoch already.
    pub(crate) async fn end_epoch(&self) -> Result<()> {
        self.replace(|newest| newest.without_old_epochs()).await
    }

    /// Writes the keyring in force to the other copies, if there are any: one that missed the end
    /// of a rotation follows now. To be called once this keyring has opened the key table: a copy
    /// may be the only one that does.
    ///
    /// # Errors
    /// As [`SharedKeyring::begin_epoch`].
    pub(crate) async fn spread(&self) -> Result<()> {
        if self.copies.files.len() > 1 {
            self.replace(|newest| newest).await?;
        }
        Ok(())
    }

    /// Writes the keyring in force to the other copies, if there are any. Those that are out of reach
    /// are passed over and noted ([`SharedKeyring::away`]), except while a rotation is under way: they
    /// may lack the newest key then. As long as one of them does not answer, nothing is written.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when the keyring's own file cannot be written or does not answer,
    /// or, during a rotation, a copy; [`model::ErrorKind::Denied`] and [`model::ErrorKind::Corrupt`] when
    /// one that can be read is newer, of another store or damaged: nothing was written.
    pub async fn follow(&self) -> Result<()> {
        if self.copies.files.len() < 2 && self.away().is_empty() {
            return Ok(());
        }
        let copies = Arc::clone(&self.copies);
        let is_done = self.within(WRITE_TIME_MAX, move || copies.follow()).await?;
        if is_done || (self.copies.at() > 0 && !self.is_rotating()) {
            return Ok(());
        }
        Err(self.copies.late())
    }

    /// Whether a rotation was begun and has not ended: also when some copies alone have the new epoch.
    pub(crate) fn is_rotating(&self) -> bool {
        self.copies.newest().has_old_epochs()
    }

    /// Writes what `next` makes of the newest keyring to every copy, and puts it in force.
    pub(crate) async fn replace(
        &self,
        next: impl FnOnce(Keyring) -> Keyring + Send + 'static,
    ) -> Result<()> {
        let copies = Arc::clone(&self.copies);
        let is_done = self
            .within(WRITE_TIME_MAX, move || copies.replace(next))
            .await?;
        if is_done {
            return Ok(());
        }
        Err(self.copies.late())
    }

    /// Does `work`, which may hang on a disk, on a thread where that hurts nobody, and waits for it at most
    /// `time_max`: whether it is done by then. What is late goes on, and its copy is noted; nothing else is
    /// begun before it has come back, for of two keyrings the older must not be written last.
    ///
    /// # Errors
    /// Those of `work`.
    pub(crate) async fn within(
        &self,
        time_max: Duration,
        work: impl FnOnce() -> Result<()> + Send + 'static,
    ) -> Result<bool> {
        // Another change mostly ends at once; one whose copy hangs does not.
        let turn = Arc::clone(&self.writing).lock_owned();
        let Ok(turn) = timeout(TURN_TIME_MAX, turn).await else {
            return Ok(false);
        };
        let working = spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        match timeout(time_max, working).await {
            Ok(Ok(done)) => done.map(|()| true),
            Ok(Err(_)) => Err(Error::Internal("the keyring's writer failed".to_owned())),
            Err(_) => {
                self.copies.note_late();
                Ok(false)
            }
        }
    }
}

/// The keyring, its files, and which of them cannot be written. What they do may hang on a disk, and come
/// back when nobody waits for it any more: it is done as a whole, one at a time.
#[derive(Debug)]
struct Copies {
    current: RwLock<Keyring>,
    /// A keyring with a new epoch that was not written to all files: some may hold it, and would not open
    /// what is sealed under another one of the same number.
    begun: Mutex<Option<Keyring>>,
    /// The keyring's own file, then the others.
    files: Vec<PathBuf>,
    /// Which of them is being read or written, or was last.
    at: AtomicUsize,
    /// Files that were out of reach when they were last to be written, and why.
    away: Mutex<Vec<(PathBuf, String)>>,
}

impl Copies {
    fn current(&self) -> Keyring {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What the newest files hold: the keyring in force, or one that it is to be replaced by.
    fn newest(&self) -> Keyring {
        let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.clone().unwrap_or_else(|| self.current())
    }

    /// Writes what `next` makes of the newest keyring to all files, unless one of them must not be written
    /// over, and puts it in force.
    fn replace(&self, next: impl FnOnce(Keyring) -> Keyring) -> Result<()> {
        let next = next(self.newest());
        for (place, file) in self.files.iter().enumerate() {
            self.go_to(place);
            self.reach(file, refuse_newer(file, &next))?;
        }
        if next.epoch() > self.current().epoch() {
            self.note_begun(Some(next.clone()));
        }
        for (place, file) in self.files.iter().enumerate() {
            self.go_to(place);
            self.reach(file, next.save(file).map_err(Error::from))?;
        }
        self.note_away(Vec::new());
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = next;
        self.note_begun(None);
        Ok(())
    }

    /// Writes the keyring in force to its own file and to those of the others that are in reach, unless one
    /// of them must not be written over; during a rotation, to all.
    fn follow(&self) -> Result<()> {
        let newest = self.newest();
        if newest.has_old_epochs() {
            return self.replace(|newest| newest);
        }
        self.write_those_in_reach(&newest)
    }

    fn note_begun(&self, keyring: Option<Keyring>) {
        *self.begun.lock().unwrap_or_else(PoisonError::into_inner) = keyring;
    }

    fn go_to(&self, place: usize) {
        self.at.store(place, Ordering::Relaxed);
    }

    fn at(&self) -> usize {
        self.at.load(Ordering::Relaxed)
    }

    /// Notes the file that does not answer.
    fn note_late(&self) {
        if let Some(file) = self.files.get(self.at()) {
            self.note_out_of_reach(file, "it has not answered".to_owned());
        }
    }

    /// As whoever waits is told of it.
    fn late(&self) -> Error {
        let file = self.files.get(self.at());
        let file = file.map_or_else(String::new, |it| format!(" `{}`", it.display()));
        Error::Keys(seal::Error::Unavailable {
            message: format!("the copy{file} of the keyring has not answered"),
            source: None,
        })
    }

    /// Writes `current` to its own file and to those of the others that are in reach, unless one of them
    /// must not be written over.
    fn write_those_in_reach(&self, current: &Keyring) -> Result<()> {
        let mut away = Vec::new();
        let mut note = |index: usize, file: &PathBuf, error: Error| {
            let why = out_of_reach(&error).filter(|_| index > 0).ok_or(error)?;
            away.push((file.clone(), why));
            Ok::<(), Error>(())
        };
        let mut reached = Vec::new();
        for (index, file) in self.files.iter().enumerate() {
            self.go_to(index);
            match refuse_newer(file, current) {
                Ok(()) => reached.push((index, file)),
                Err(error) => note(index, file, error)?,
            }
        }
        for (index, file) in reached {
            self.go_to(index);
            if let Err(error) = current.save(file) {
                note(index, file, error.into())?;
            }
        }
        self.note_away(away);
        Ok(())
    }

    fn away(&self) -> Vec<(PathBuf, String)> {
        let away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        away.clone()
    }

    /// Notes a file that turns out to be out of reach.
    fn reach(&self, file: &Path, tried: Result<()>) -> Result<()> {
        if let Some(why) = tried.as_ref().err().and_then(out_of_reach) {
            self.note_out_of_reach(file, why);
        }
        tried
    }

    fn note_out_of_reach(&self, file: &Path, why: String) {
        let mut away = self.away();
        away.retain(|(known, _)| known != file);
        away.push((file.to_path_buf(), why));
        self.note_away(away);
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
