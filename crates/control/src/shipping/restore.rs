//! Rebuilds the database file from the volumes, and decides whether a local file may be used.
//!
//! What is on the volumes is everything that was ever acknowledged. A local file may continue it or
//! be behind it; it must never silently take another way.

use object_store::ObjectStore;
use object_store::path::Path as ObjectPath;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::PREFIX;
use super::chunk::{self, Chunk, Kind, Point};
use crate::database::Session;
use crate::{Error, Result, objects};

/// The end of the newest complete generation on the volumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tail {
    pub(crate) generation: u64,
    pub(crate) number: u64,
    pub(crate) point: Point,
}

/// What the volumes hold.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Shipped {
    /// The highest generation that has any object: a new one must be higher.
    pub(crate) last_generation: u64,
    /// The state that was acknowledged last; none when nothing ever was.
    pub(crate) tail: Option<Tail>,
}

/// Looks for the newest complete generation.
///
/// # Errors
/// [`model::ErrorKind::Corrupt`] when an object is damaged or missing: an older generation is no
/// answer then, it lacks what was acknowledged since.
pub(crate) async fn find(store: &dyn ObjectStore) -> Result<Shipped> {
    let generations = objects::list(store, PREFIX).await?;
    let last_generation = generations
        .last_key_value()
        .map_or(0, |(generation, _)| *generation);
    for (generation, numbers) in generations.iter().rev() {
        let last = match numbers.last() {
            Some(last) => *last,
            None => continue,
        };
        // Only the newest object of a writer can be incomplete: it was never acknowledged.
        let mut end = read(store, *generation, last).await?;
        if end.is_none() && last > 0 {
            end = read(store, *generation, last.saturating_sub(1)).await?;
            if end.is_none() {
                return Err(missing(*generation, last.saturating_sub(1)));
            }
        }
        let Some(end) = end else { continue };
        let header = end.header;
        match header.kind {
            Kind::SnapshotPiece => {}
            Kind::SnapshotEnd | Kind::Log => {
                let (number, point) = (header.number, header.point);
                let tail = Some(Tail {
                    generation: *generation,
                    number,
                    point,
                });
                return Ok(Shipped {
                    last_generation,
                    tail,
                });
            }
        }
    }
    Ok(Shipped {
        last_generation,
        tail: None,
    })
}

/// Builds the database of `tail` at `target`, which must not be in use.
///
/// # Errors
/// [`model::ErrorKind::Corrupt`] when a piece is missing, damaged or out of its order, or the result
/// is not the state that was acknowledged; `target` is untouched then.
pub(crate) async fn restore(store: &dyn ObjectStore, tail: Tail, target: &Path) -> Result<()> {
    let draft = beside(target, ".restore");
    let log = beside(&draft, "-wal");
    for path in [&draft, &log, &beside(&draft, "-shm")] {
        remove(path)?;
    }
    write_files(store, tail, &draft, &log).await?;
    let mut session = Session::open(&draft).await?;
    let found = session.point().await?;
    let sound = session.is_sound().await?;
    session.close().await?;
    if found != Some(tail.point) || !sound {
        let what = objects::path(PREFIX, tail.generation, tail.number).to_string();
        return Err(Error::damaged(
            what,
            "the database restored up to it is not the one shipped",
        ));
    }
    for path in [beside(target, "-wal"), beside(target, "-shm")] {
        remove(&path)?;
    }
    fs::rename(&draft, target).map_err(Error::file("write", target))?;
    sync_folder(target)
}

/// Puts the local file aside, where an operator finds it; an earlier one goes.
pub(crate) fn set_aside(target: &Path) -> Result<PathBuf> {
    let aside = beside(target, ".aside");
    for ending in ["-wal", "-shm", ""] {
        let from = beside(target, ending);
        match fs::rename(&from, beside(&aside, ending)) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                remove(&beside(&aside, ending))?;
            }
            Err(error) => return Err(Error::file("move away", &from)(error)),
        }
    }
    sync_folder(target)?;
    Ok(aside)
}

async fn write_files(store: &dyn ObjectStore, tail: Tail, draft: &Path, log: &Path) -> Result<()> {
    let mut database = File::create(draft).map_err(Error::file("create", draft))?;
    let mut log_file: Option<File> = None;
    let (mut database_end, mut log_end) = (0_u64, 0_u64);
    let mut previous = [0; 32];
    let mut complete = false;
    for number in 0..=tail.number {
        let piece = read(store, tail.generation, number)
            .await?
            .ok_or_else(|| missing(tail.generation, number))?;
        let out_of_order = || {
            let what = objects::path(PREFIX, tail.generation, number).to_string();
            Error::damaged(what, "it does not follow the piece before it")
        };
        let length = u64::try_from(piece.body.len()).unwrap_or(u64::MAX);
        let expected = match piece.header.kind {
            Kind::SnapshotPiece | Kind::SnapshotEnd => &mut database_end,
            Kind::Log => &mut log_end,
        };
        if piece.header.previous != previous
            || piece.header.offset != *expected
            || complete != (piece.header.kind == Kind::Log)
        {
            return Err(out_of_order());
        }
        *expected = expected.saturating_add(length);
        let written = match piece.header.kind {
            Kind::SnapshotPiece | Kind::SnapshotEnd => database.write_all(&piece.body),
            Kind::Log => {
                let file = match &mut log_file {
                    Some(file) => file,
                    None => log_file.insert(File::create(log).map_err(Error::file("create", log))?),
                };
                file.write_all(&piece.body)
            }
        };
        written.map_err(Error::file("write", draft))?;
        complete |= piece.header.kind == Kind::SnapshotEnd;
        previous = piece.digest;
    }
    database.sync_all().map_err(Error::file("sync", draft))?;
    if let Some(file) = log_file {
        file.sync_all().map_err(Error::file("sync", log))?;
    }
    Ok(())
}

async fn read(store: &dyn ObjectStore, generation: u64, number: u64) -> Result<Option<Chunk>> {
    let path: ObjectPath = objects::path(PREFIX, generation, number);
    match objects::get(store, &path).await? {
        Some(bytes) => chunk::decode(&bytes, generation, number).map(Some),
        None => Ok(None),
    }
}

fn missing(generation: u64, number: u64) -> Error {
    Error::damaged(
        objects::path(PREFIX, generation, number).to_string(),
        "it is missing",
    )
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::file("remove", path)(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn sync_folder(path: &Path) -> Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    File::open(folder)
        .and_then(|dir| dir.sync_all())
        .map_err(Error::file("sync", folder))
}
