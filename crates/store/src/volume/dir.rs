//! A volume that is a directory on one disk.
//!
//! A shard is written beside its place, synced, renamed, and its directory synced: one that is
//! listed is whole. Before each write the label's file is looked at: when it is not the one that
//! was read or written last, the volume was removed or exchanged and nothing is written. The
//! volume's own directory is made by [`Place::make`] only, never on the way.
//!
//! Nothing outside of the volume is ever changed through it: its folders are directories of its own
//! or it is refused, and a file is never opened to be written where there is one already.
//!
//! Its lock is an advisory one on the volume's own directory: no file of it can be deleted or taken
//! for something else, a full or read-only disk has it too, and it moves with the directory.

use async_trait::async_trait;
use bytes::Bytes;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::collections::{BTreeSet, HashSet};
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::layout::{narrow, span};
use crate::volume::label::LABEL_BYTES_MAX;
use crate::volume::name::NAME_ROOT;
use crate::{Place, Shard};

const LABEL: &str = "label";
const FRESH: &str = "fresh";
/// What a file system that was just made has in its root.
const LOST_AND_FOUND: &str = "lost+found";
/// A pipe in the place of a file would hold up the thread that opens it.
const NONBLOCK: i32 = OFlags::NONBLOCK.bits().cast_signed();
/// Names that are tried for a file that is being written, when others are there of a program that
/// ended.
const FRESH_NAMES_MAX: usize = 64;
/// Up to here a shard is gathered and written with one call.
const GATHER_BYTES_MAX: usize = 2 * 1024 * 1024;

/// A directory volume. All its files have mode 0600, its directories 0700.
#[derive(Debug, Clone)]
pub struct DirPlace {
    shared: Arc<Shared>,
}

/// Device and inode.
type FileId = (u64, u64);

/// A directory that is locked for as long as it is open here.
#[derive(Debug)]
struct Held {
    _dir: File,
    id: FileId,
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    /// The directory that was at the root when it was locked.
    held: Mutex<Option<Held>>,
    /// The label that this place is bound to.
    bound: Mutex<Option<FileId>>,
    /// Directories that are known to be there.
    made: Mutex<HashSet<PathBuf>>,
    fresh: AtomicU64,
}

impl DirPlace {
    /// The volume in the directory `root`, which need not be there.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let shared = Shared {
            root: root.into(),
            held: Mutex::new(None),
            bound: Mutex::new(None),
            made: Mutex::new(HashSet::new()),
            fresh: AtomicU64::new(0),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || work(&shared))
            .await
            .map_err(io::Error::other)?
    }
}

#[async_trait]
impl Place for DirPlace {
    fn name(&self) -> String {
        self.shared.root.display().to_string()
    }

    async fn lock(&self) -> io::Result<bool> {
        self.run(Shared::lock).await
    }

    fn unlock(&self) {
        *self.shared.held() = None;
    }

    async fn put(&self, name: &str, shard: &Shard) -> io::Result<()> {
        let (name, shard) = (name.to_owned(), shard.clone());
        self.run(move |shared| shared.put(&name, &shard)).await
    }

    async fn get(&self, name: &str, range: Range<u64>) -> io::Result<Bytes> {
        let name = name.to_owned();
        self.run(move |shared| shared.get(&name, &range)).await
    }

    async fn list(&self) -> io::Result<Vec<String>> {
        self.run(Shared::list).await
    }

    async fn delete(&self, names: &[String]) -> io::Result<()> {
        let names = names.to_vec();
        self.run(move |shared| shared.delete(&names)).await
    }

    async fn read_label(&self) -> io::Result<Option<Bytes>> {
        self.run(Shared::read_label).await
    }

    async fn write_label(&self, label: &[u8]) -> io::Result<()> {
        let label = label.to_vec();
        self.run(move |shared| shared.write_label(&label)).await
    }

    async fn clear_unfinished(&self) -> io::Result<()> {
        self.run(Shared::clear_fresh).await
    }

    async fn is_vacant(&self) -> io::Result<bool> {
        self.run(Shared::is_vacant).await
    }

    async fn make(&self) -> io::Result<()> {
        self.run(|shared| {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&shared.root)?;
            sync_dir(shared.root.parent().unwrap_or(&shared.root))
        })
        .await
    }
}

impl Shared {
    fn held(&self) -> MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> io::Result<bool> {
        let found = self.open_root();
        let mut held = self.held();
        if let (Ok((_, id)), Some(known)) = (&found, held.as_ref())
            && *id == known.id
        {
            return Ok(true);
        }
        // What was held is elsewhere now, or gone: whoever finds it there may take it.
        *held = None;
        let (dir, id) = found?;
        match dir.try_lock() {
            Ok(()) => {
                *held = Some(Held { _dir: dir, id });
                Ok(true)
            }
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) if knows_no_locks(&error) => {
                tracing::warn!(
                    volume.place = %self.root.display(),
                    %error,
                    "a volume's file system locks no directories: nothing keeps another process out"
                );
                *held = Some(Held { _dir: dir, id });
                Ok(true)
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn open_root(&self) -> io::Result<(File, FileId)> {
        // Nothing else than a directory can be a volume.
        fs::read_dir(&self.root)?;
        let dir = open(&self.root)?;
        let id = id_of(&dir.metadata()?);
        Ok((dir, id))
    }

    fn put(&self, name: &str, shard: &Shard) -> io::Result<()> {
        self.check_bound()?;
        let to = self.root.join(name);
        let dir = to.parent().unwrap_or(&self.root);
        let fresh = self.fresh_file(|file| {
            if shard.size() <= GATHER_BYTES_MAX {
                file.write_all(&shard.parts().concat())
            } else {
                shard
                    .parts()
                    .iter()
                    .try_for_each(|part| file.write_all(part))
            }
        })?;
        let moved = self
            .make_dirs(dir)
            .and_then(|()| match fs::rename(&fresh, &to) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    // The directory has gone since it was made.
                    self.forget_dirs();
                    self.make_dirs(dir)?;
                    fs::rename(&fresh, &to)
                }
                done => done,
            });
        if moved.is_err() {
            forget(&fresh);
        }
        moved?;
        sync_dir(dir)
    }

    fn get(&self, name: &str, range: &Range<u64>) -> io::Result<Bytes> {
        let mut file = match open_file(&self.root.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.is_there() => {
                return Err(io::Error::other("the volume is not there"));
            }
            file => file?,
        };
        let length = file.metadata()?.len();
        let wanted = span(&(range.start.min(length)..range.end.min(length)));
        if range.start > 0 {
            file.seek(SeekFrom::Start(range.start))?;
        }
        let mut out = Vec::with_capacity(narrow(wanted));
        file.take(wanted).read_to_end(&mut out)?;
        Ok(out.into())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.check_folders()?;
        let mut names = Vec::new();
        let mut waiting = vec![NAME_ROOT.to_owned()];
        while let Some(folder) = waiting.pop() {
            let entries = match fs::read_dir(self.root.join(&folder)) {
                // A volume without a shard has no such folder yet; one that is gone has no root.
                Err(error)
                    if error.kind() == io::ErrorKind::NotFound
                        && folder == NAME_ROOT
                        && self.root.is_dir() =>
                {
                    continue;
                }
                entries => entries?,
            };
            for entry in entries {
                let entry = entry?;
                let Ok(name) = entry.file_name().into_string() else {
                    continue;
                };
                let path = format!("{folder}/{name}");
                if entry.file_type()?.is_dir() {
                    waiting.push(path);
                } else {
                    names.push(path);
                }
            }
        }
        Ok(names)
    }

    fn delete(&self, names: &[String]) -> io::Result<()> {
        self.check_bound()?;
        let mut dirs = BTreeSet::new();
        for name in names {
            let path = self.root.join(name);
            match fs::remove_file(&path) {
                Ok(()) => {
                    dirs.extend(path.parent().map(Path::to_path_buf));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        dirs.iter().try_for_each(|dir| sync_dir(dir))
    }

    fn is_vacant(&self) -> io::Result<bool> {
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            if entry.file_name() != LOST_AND_FOUND || !entry.file_type()?.is_dir() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn read_label(&self) -> io::Result<Option<Bytes>> {
        // Without this a missing volume would look like one without a label.
        fs::read_dir(&self.root)?;
        self.check_folders()?;
        self.forget_dirs();
        let file = match open_file(&self.root.join(LABEL)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                *self.bound.lock().unwrap_or_else(PoisonError::into_inner) = None;
                return Ok(None);
            }
            file => file?,
        };
        self.bind(&file)?;
        let mut bytes = Vec::new();
        file.take(LABEL_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(Some(bytes.into()))
    }

    fn write_label(&self, label: &[u8]) -> io::Result<()> {
        self.check_folders()?;
        // A label that was read or written before must still be the same: else this is another
        // volume, or none.
        if self
            .bound
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
        {
            self.check_bound()?;
        } else if self.root.join(LABEL).try_exists()? {
            return Err(io::Error::other("a volume has appeared in this place"));
        }
        let fresh = self.fresh_file(|file| file.write_all(label))?;
        let to = self.root.join(LABEL);
        if let Err(error) = fs::rename(&fresh, &to) {
            forget(&fresh);
            return Err(error);
        }
        self.bind(&open_file(&to)?)?;
        sync_dir(&self.root)
    }

    fn bind(&self, label: &File) -> io::Result<()> {
        let id = id_of(&label.metadata()?);
        *self.bound.lock().unwrap_or_else(PoisonError::into_inner) = Some(id);
        Ok(())
    }

    /// Refuses when a folder of the volume is something else. Through a link to another volume, or to
    /// the installation's own folder, one would list, write and remove what is there.
    fn check_folders(&self) -> io::Result<()> {
        for folder in [NAME_ROOT, FRESH] {
            match fs::symlink_metadata(self.root.join(folder)) {
                Ok(meta) if meta.is_dir() => {}
                Ok(_) => return Err(not_its_own(Path::new(folder))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Refuses when the label is not the one that this place is bound to.
    fn check_bound(&self) -> io::Result<()> {
        self.check_folders()?;
        let bound = *self.bound.lock().unwrap_or_else(PoisonError::into_inner);
        let meta = fs::metadata(self.root.join(LABEL))?;
        if bound == Some(id_of(&meta)) {
            return Ok(());
        }
        Err(io::Error::other(
            "another volume has taken the place of this one",
        ))
    }

    /// Whether the volume that this place is bound to is there, or any directory when it is to none.
    fn is_there(&self) -> bool {
        let bound = *self.bound.lock().unwrap_or_else(PoisonError::into_inner);
        match bound {
            Some(_) => self.check_bound().is_ok(),
            None => self.root.is_dir(),
        }
    }

    /// Writes and syncs a file that is not in its place yet.
    fn fresh_file(&self, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<PathBuf> {
        let (path, mut file) = self.create_fresh()?;
        let written = write(&mut file).and_then(|()| file.sync_data());
        if written.is_err() {
            forget(&path);
        }
        written.map(|()| path)
    }

    /// Makes a file under a name that nothing has: what has one, a link perhaps, is left alone.
    fn create_fresh(&self) -> io::Result<(PathBuf, File)> {
        let folder = self.root.join(FRESH);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mut tried: usize = 0;
        loop {
            let number = self.fresh.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(fresh_name(number));
            let error = match options.open(&path) {
                Ok(file) => return Ok((path, file)),
                Err(error) => error,
            };
            tried = tried.saturating_add(1);
            match error.kind() {
                io::ErrorKind::AlreadyExists if tried < FRESH_NAMES_MAX => {}
                io::ErrorKind::NotFound if tried < FRESH_NAMES_MAX => {
                    self.forget_dirs();
                    self.make_dirs(&folder)?;
                }
                _ => return Err(error),
            }
        }
    }

    /// Removes what was being written when the program ended, and nothing of other names or kinds.
    fn clear_fresh(&self) -> io::Result<()> {
        self.check_folders()?;
        let entries = match fs::read_dir(self.root.join(FRESH)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            if is_fresh_name(&entry.file_name()) && entry.file_type()?.is_file() {
                forget(&entry.path());
            }
        }
        Ok(())
    }

    fn forget_dirs(&self) {
        self.made
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// Makes the directories from the root down to `dir`, each durable; never the root itself.
    fn make_dirs(&self, dir: &Path) -> io::Result<()> {
        let known = |path: &Path| {
            self.made
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .contains(path)
        };
        if known(dir) {
            return Ok(());
        }
        let below = dir.strip_prefix(&self.root).map_err(io::Error::other)?;
        let mut path = self.root.clone();
        for part in below.components() {
            let parent = path.clone();
            path.push(part);
            if known(&path) {
                continue;
            }
            match DirBuilder::new().mode(0o700).create(&path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                Err(_) if !fs::symlink_metadata(&path)?.is_dir() => return Err(not_its_own(&path)),
                Ok(()) | Err(_) => sync_dir(&parent)?,
            }
            self.made
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(path.clone());
        }
        Ok(())
    }
}

fn not_its_own(folder: &Path) -> io::Error {
    let folder = folder.display();
    io::Error::other(format!("`{folder}` is no directory of the volume's own"))
}

fn fresh_name(number: u64) -> String {
    format!("{number:x}")
}

fn is_fresh_name(name: &OsStr) -> bool {
    let number = name.to_str().map(|name| u64::from_str_radix(name, 16));
    matches!(number, Some(Ok(number)) if name == fresh_name(number).as_str())
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(NONBLOCK);
    options.open(path)
}

/// Opens what must be a file to be read.
fn open_file(path: &Path) -> io::Result<File> {
    let file = open(path)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "it is no file"))
}

/// Whether the file system, one over a network for example, has no lock for a directory that is open for
/// reading.
fn knows_no_locks(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::BADF | Errno::NOLCK | Errno::NOTSUP | Errno::NOSYS | Errno::INVAL)
    )
}

fn id_of(meta: &fs::Metadata) -> FileId {
    (meta.dev(), meta.ino())
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    let dir = if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        dir
    };
    open(dir)?.sync_all()
}

/// Removes a file that nobody will miss; what stays is removed at the next start.
fn forget(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::debug!(%error, "failed to remove an unfinished file");
    }
}
