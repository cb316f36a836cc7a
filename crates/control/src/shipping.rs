//! Brings every committed change of the control database to the volumes before it is answered.
//!
//! A generation is a snapshot of the database file followed by the stretches of the write-ahead log
//! that were committed since, each up to a commit frame, chained by digest. It must never ship half
//! a transaction, never put other bytes where an outcome is unknown, and never delete a generation
//! before its successor is complete.

pub(crate) mod chunk;
pub(crate) mod restore;
pub(crate) mod wal;

use bytes::Bytes;
use object_store::ObjectStore;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use self::chunk::{Header, Kind, Point};
use self::wal::Follower;
use crate::{Error, Result, objects};

pub(crate) const PREFIX: &str = "control";
/// Bytes of the database file in one object of a snapshot.
const PIECE_BYTES: u64 = 4 * 1024 * 1024;

/// What has been committed locally.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Committed {
    /// The last transaction.
    pub(crate) point: Point,
    /// Where it ends in the log; none when the log does not continue what was read before, so that
    /// only a snapshot will do.
    pub(crate) log_end: Option<u64>,
}

/// Where shipping stands.
#[derive(Debug)]
enum Stage {
    /// The log must be emptied into the database file, and a generation begun.
    Begin,
    /// A snapshot is under way. The database file stands still: only this code empties the log.
    Snapshot {
        point: Point,
        size: u64,
        offset: u64,
    },
    /// The log is shipped as it grows.
    Log { shipped_to: u64 },
}

/// The object whose outcome is unknown, and what holds once it is there.
#[derive(Debug)]
struct Pending {
    bytes: Bytes,
    digest: [u8; 32],
    then: Stage,
    /// What is durable then; none while a snapshot is incomplete.
    point: Option<Point>,
}

/// Ships one database.
#[derive(Debug)]
pub(crate) struct Shipper {
    store: Arc<dyn ObjectStore>,
    database: PathBuf,
    /// Held open: closing any handle on the file would drop the process's locks on it.
    file: Option<File>,
    log: Follower,
    generation: u64,
    number: u64,
    previous: [u8; 32],
    stage: Stage,
    pending: Option<Pending>,
    shipped: Point,
}

impl Shipper {
    /// Ships the database at `database`, in generations after `last_generation`.
    pub(crate) fn new(
        store: Arc<dyn ObjectStore>,
        database: PathBuf,
        last_generation: u64,
    ) -> Self {
        Self {
            store,
            file: None,
            log: Follower::of(&database),
            database,
            generation: last_generation,
            number: 0,
            previous: [0; 32],
            stage: Stage::Begin,
            pending: None,
            shipped: Point {
                sequence: 0,
                tag: [0; 16],
            },
        }
    }

    /// The last transaction that is on the volumes.
    pub(crate) const fn shipped(&self) -> Point {
        self.shipped
    }

    /// The generation that is being written.
    pub(crate) const fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether the log must be emptied before anything else can be shipped.
    pub(crate) const fn must_begin(&self) -> bool {
        matches!(self.stage, Stage::Begin) && self.pending.is_none()
    }

    /// Bytes of log in this generation.
    pub(crate) const fn log_bytes(&self) -> u64 {
        match self.stage {
            Stage::Log { shipped_to } => shipped_to,
            Stage::Begin | Stage::Snapshot { .. } => 0,
        }
    }

    /// Has the next step be a new generation.
    pub(crate) fn demand_snapshot(&mut self) {
        self.stage = Stage::Begin;
    }

    /// Begins a generation: the log has just been emptied into the database file, which holds
    /// `point`, and the writer is held still. Returns the file's size in bytes.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when the file cannot be read.
    pub(crate) fn begin(&mut self, point: Point) -> Result<u64> {
        let size = self
            .file()?
            .metadata()
            .map_err(Error::file("read", &self.database))?
            .len();
        self.generation = self.generation.saturating_add(1);
        self.number = 0;
        self.previous = [0; 32];
        self.log.restart();
        self.stage = Stage::Snapshot {
            point,
            size,
            offset: 0,
        };
        Ok(size)
    }

    /// Ships until `target` is on the volumes, or until [`Shipper::must_begin`].
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when the volumes do not take it: call again, the same bytes
    /// go first.
    pub(crate) async fn run(&mut self, target: u64, committed: Committed) -> Result<()> {
        loop {
            self.settle().await?;
            if self.shipped.sequence >= target && matches!(self.stage, Stage::Log { .. }) {
                return Ok(());
            }
            let (kind, point, offset, bytes, then) = match self.stage {
                Stage::Begin => return Ok(()),
                Stage::Snapshot {
                    point,
                    size,
                    offset,
                } => {
                    let end = size.min(offset.saturating_add(PIECE_BYTES));
                    let length = usize::try_from(end.saturating_sub(offset)).unwrap_or(0);
                    let mut bytes = vec![0; length];
                    self.file()?
                        .read_exact_at(&mut bytes, offset)
                        .map_err(Error::file("read", &self.database))?;
                    if end < size {
                        let then = Stage::Snapshot {
                            point,
                            size,
                            offset: end,
                        };
                        (Kind::SnapshotPiece, point, offset, bytes, then)
                    } else {
                        let then = Stage::Log { shipped_to: 0 };
                        (Kind::SnapshotEnd, point, offset, bytes, then)
                    }
                }
                Stage::Log { shipped_to } => match committed.log_end {
                    Some(end) if end > shipped_to => {
                        let bytes = self.log.read(shipped_to, end)?;
                        let then = Stage::Log { shipped_to: end };
                        (Kind::Log, committed.point, shipped_to, bytes, then)
                    }
                    Some(_) | None => {
                        self.stage = Stage::Begin;
                        return Ok(());
                    }
                },
            };
            let header = Header {
                kind,
                generation: self.generation,
                number: self.number,
                previous: self.previous,
                point,
                offset,
            };
            let (bytes, digest) = chunk::encode(&header, &bytes);
            let durable = match kind {
                Kind::SnapshotPiece => None,
                Kind::SnapshotEnd | Kind::Log => Some(point),
            };
            self.pending = Some(Pending {
                bytes,
                digest,
                then,
                point: durable,
            });
        }
    }

    /// Deletes what the newest generation replaces. What stays is deleted the next time.
    pub(crate) async fn tidy(&self) {
        if let Err(error) =
            objects::delete_before(self.store.as_ref(), PREFIX, self.generation).await
        {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                control.generation = self.generation,
                "failed to delete old generations of the control database"
            );
        }
    }

    async fn settle(&mut self) -> Result<()> {
        let Some(pending) = &self.pending else {
            return Ok(());
        };
        let path = objects::path(PREFIX, self.generation, self.number);
        objects::put(self.store.as_ref(), &path, &pending.bytes).await?;
        if let Some(pending) = self.pending.take() {
            self.number = self.number.saturating_add(1);
            self.previous = pending.digest;
            self.stage = pending.then;
            self.shipped = pending.point.unwrap_or(self.shipped);
        }
        Ok(())
    }

    fn file(&mut self) -> Result<&File> {
        let file = match self.file.take() {
            Some(file) => file,
            None => File::open(&self.database).map_err(Error::file("open", &self.database))?,
        };
        Ok(self.file.insert(file))
    }
}
