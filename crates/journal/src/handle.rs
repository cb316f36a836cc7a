//! The handle that everybody holds: append, offer, read, retire.
//!
//! It encodes in the caller's task and waits for the owner's answer; it never writes a commit
//! itself.

use bytes::Bytes;
use futures::{StreamExt, stream};
use model::record::Entry;
use model::{Clock, CommitId, WriterId, limit};
use object_store::{ObjectStore, ObjectStoreExt};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::batch::{Batch, Compressors, encode};
use crate::block::size_bytes;
use crate::cache::{Cache, Entries};
use crate::codec;
use crate::error::{Error, Result};
use crate::live::{Live, LiveCommit, State, Status};
use crate::name::{Name, ROOT};
use crate::recovery::{self, Recovery};
use crate::settings::Settings;
use crate::tail::Tail;
use crate::writer::{Pending, Writer};

/// Appends that wait in the queue; the bytes are bounded apart from this.
const APPENDS_WAITING_MAX: usize = 4_096;
/// Above this size, bytes are compressed on a thread that may block.
pub(crate) const INLINE_BYTES_MAX: usize = 1024 * 1024;
/// Above this size, they are decoded on one: they come to several times as many.
const INLINE_DECODED_BYTES_MAX: usize = 256 * 1024;
/// Objects that are read or deleted at a time.
pub(crate) const PARALLEL: usize = 8;

/// The journal, as everybody but its owner sees it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Journal {
    pub(crate) shared: Arc<Shared>,
    appends: mpsc::Sender<Pending>,
    lines: mpsc::Sender<Batch>,
}

/// What handle, owner and readers share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) writer: WriterId,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) compressors: Compressors,
    pub(crate) waiting: Arc<Semaphore>,
    pub(crate) counters: Counters,
    state: Mutex<State>,
    cache: Mutex<Cache>,
}

/// What is counted since the start.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) commits: AtomicU64,
    pub(crate) commits_failed: AtomicU64,
    pub(crate) entries: AtomicU64,
    pub(crate) lines_dropped: AtomicU64,
}

/// Whether a reader's commit may push others out of the cache.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Keep {
    Always,
    IfRoom,
}

impl Journal {
    /// Opens the journal as `writer`: verifies what earlier writers left above `watermarks`, settles
    /// where each of them ended, and deletes what is neither live nor needed.
    ///
    /// `writer` must be fresh: an id that is given once, durably, for each attempt to open.
    /// `watermarks` are the catalog's: for each writer the last commit that is in parts.
    ///
    /// # Errors
    /// Corrupt when a live commit is missing, unreadable or does not fit its chain; Unavailable
    /// when the store cannot say, or does not take the settlement; Conflict when `writer`, or a
    /// later start of its node, has written before. Nothing was decided then: a later attempt
    /// starts afresh.
    pub async fn open(
        settings: Settings,
        store: Arc<dyn ObjectStore>,
        writer: WriterId,
        watermarks: &[(WriterId, u64)],
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, Writer, Recovery)> {
        let recovered = recovery::recover(&store, writer, settings.other_nodes, watermarks).await?;
        let mut state = State::default();
        for live in recovered.live {
            let writer = live.header.id.writer;
            let watermark = watermarks
                .iter()
                .find(|(of, _)| *of == writer)
                .map_or(0, |it| it.1);
            state.start_from(writer, watermark);
            state.add(live);
        }
        let shared = Arc::new(Shared {
            waiting: Arc::new(Semaphore::new(settings.waiting_bytes_max)),
            cache: Mutex::new(Cache::new(settings.cache_bytes_max)),
            state: Mutex::new(state),
            counters: Counters::default(),
            compressors: Compressors::default(),
            settings,
            store,
            writer,
            clock,
        });
        let (appends, appends_taken) = mpsc::channel(APPENDS_WAITING_MAX);
        let (lines, lines_taken) = mpsc::channel(limit::REQUEST_LINES_WAITING_MAX);
        let owner = Writer::new(Arc::clone(&shared), appends_taken, lines_taken);
        Ok((
            Self {
                shared,
                appends,
                lines,
            },
            owner,
            recovered.recovery,
        ))
    }

    /// Takes `entries` and returns once they are durable: in one commit, in this order, unless they
    /// are more than one can hold (then in neighbouring ones).
    ///
    /// Dropping the future does not take the entries back.
    ///
    /// # Errors
    /// Unavailable: the journal is full or closed (nothing was taken), or the commit failed (the
    /// outcome is unknown). Invalid: an entry is larger than a commit.
    pub async fn append(&self, entries: Vec<Entry>) -> Result<()> {
        self.append_telling(entries, || {}).await
    }

    /// As [`Journal::append`]; `taken` is called as soon as the last entry is taken. If the future is
    /// dropped before, the last entry is not written. If it is dropped afterwards and the commit fails,
    /// the lines of the request log among the entries are counted as dropped.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub async fn append_telling(
        &self,
        entries: Vec<Entry>,
        taken: impl FnOnce() + Send,
    ) -> Result<()> {
        self.shared.check_room()?;
        let mut answers = Vec::with_capacity(1);
        for batch in self.shared.encode(entries).await? {
            let cost = batch.size_bytes.min(self.shared.settings.waiting_bytes_max);
            let permit = Arc::clone(&self.shared.waiting)
                .acquire_many_owned(u32::try_from(cost).unwrap_or(u32::MAX))
                .await
                .map_err(|_| Error::Closed)?;
            let lines = batch.lines;
            let (answer, answered) = oneshot::channel();
            let pending = Pending {
                batch,
                answer,
                permit,
            };
            self.appends
                .send(pending)
                .await
                .map_err(|_| Error::Closed)?;
            answers.push(Awaited {
                answered,
                lines,
                is_heard: false,
                shared: Arc::clone(&self.shared),
            });
        }
        taken();
        let mut outcome = Ok(());
        for awaited in answers {
            // All are heard: what becomes of each line is the caller's to say then.
            outcome = outcome.and(awaited.hear().await);
        }
        outcome
    }

    /// Leaves a line that nobody waits for; it goes with the next commit. False, and counted, when
    /// too many are waiting or the journal is full.
    pub fn offer(&self, entry: &Entry) -> bool {
        let taken = self.shared.check_room().is_ok()
            && encode(std::slice::from_ref(entry))
                .ok()
                .and_then(|mut batches| batches.pop())
                .is_some_and(|batch| self.lines.try_send(batch).is_ok());
        if !taken {
            self.shared.lines_dropped(1);
        }
        taken
    }

    /// The durable commits that are not yet retired: by writer, then by number.
    #[must_use]
    pub fn live(&self) -> Vec<LiveCommit> {
        self.shared
            .state()
            .live()
            .values()
            .map(Live::commit)
            .collect()
    }

    /// The entries of a commit that is live, or held by a [`Tail`].
    ///
    /// # Errors
    /// `NotFound` when it is neither; Corrupt when it is not what was written; Unavailable when the
    /// store cannot give it.
    pub async fn read(&self, id: CommitId) -> Result<Arc<Vec<Entry>>> {
        self.read_keeping(id, Keep::Always).await
    }

    /// As [`Journal::read`], for who looks through many commits once: nothing that was read before is
    /// forgotten for them.
    ///
    /// # Errors
    /// As [`Journal::read`].
    pub async fn read_once(&self, id: CommitId) -> Result<Arc<Vec<Entry>>> {
        self.read_keeping(id, Keep::IfRoom).await
    }

    async fn read_keeping(&self, id: CommitId, keep: Keep) -> Result<Arc<Vec<Entry>>> {
        let live = self
            .shared
            .state()
            .find(id)
            .cloned()
            .ok_or(Error::NotLive(id))?;
        match self.shared.read(live, keep).await {
            // It was retired while it was being read.
            Err(_) if !self.shared.state().live().contains_key(&id) => Err(Error::NotLive(id)),
            read => read,
        }
    }

    /// Everything that is live above the watermarks `after`, held so that it can be read even when
    /// it is retired meanwhile.
    ///
    /// `after` must come from the same view of the catalog as the list of parts that is read with
    /// it: then each record is in exactly one of the two.
    ///
    /// # Errors
    /// Conflict when commits above `after` have been retired: the view is old, take a fresh one.
    pub fn tail(&self, after: &[(WriterId, u64)]) -> Result<Tail> {
        let held = self.shared.state().pin(after)?;
        Ok(Tail::new(Arc::clone(&self.shared), held))
    }

    /// Everything that is live now, held so that [`Journal::read`] finds it until the tail is dropped.
    #[must_use]
    pub fn hold(&self) -> Tail {
        let held = self.shared.state().pin_all();
        Tail::new(Arc::clone(&self.shared), held)
    }

    /// Retires the commits at or below `watermarks`, which are in parts now, and deletes their
    /// objects; those that a [`Tail`] holds are deleted by a later call. Gives the number of commits
    /// deleted. Calling it again does no harm.
    ///
    /// # Errors
    /// Unavailable when an object could not be deleted; a later call tries again.
    pub async fn retire(&self, watermarks: &[(WriterId, u64)]) -> Result<usize> {
        let doomed = self.shared.state().retire(watermarks);
        self.shared.gauge();
        let outcomes: Vec<Result<()>> = stream::iter(doomed)
            .map(|live| self.shared.delete(live))
            .buffer_unordered(PARALLEL)
            .collect()
            .await;
        let deleted = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        outcomes.into_iter().collect::<Result<Vec<()>>>()?;
        Ok(deleted)
    }

    /// How the journal is doing.
    #[must_use]
    pub fn status(&self) -> Status {
        let shared = &self.shared;
        let cache_bytes = shared.cache().bytes();
        let counted = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let waiting = shared.settings.waiting_bytes_max;
        let now = shared.clock.now();
        let state = shared.state();
        let oldest = state
            .live()
            .values()
            .map(|live| live.header.written_at)
            .min();
        let age_ms = |at| u64::try_from(now.since(at).as_millis()).unwrap_or(u64::MAX);
        Status {
            live_commits: state.live().len(),
            live_bytes: state.live_bytes(),
            live_bytes_max: shared.settings.journal_bytes_max,
            oldest_age_ms: oldest.map(age_ms),
            doomed_commits: state.doomed_count(),
            waiting_bytes: waiting.saturating_sub(shared.waiting.available_permits()),
            waiting_lines: self
                .lines
                .max_capacity()
                .saturating_sub(self.lines.capacity()),
            cache_bytes,
            commits: counted(&shared.counters.commits),
            commits_failed: counted(&shared.counters.commits_failed),
            entries: counted(&shared.counters.entries),
            lines_dropped: counted(&shared.counters.lines_dropped),
        }
    }
}

/// The answer to one append. Where nobody hears it, what was lost is counted: here if it had come,
/// by the owner if it comes later.
struct Awaited {
    answered: oneshot::Receiver<Result<()>>,
    /// Lines of the request log that it is about.
    lines: u64,
    is_heard: bool,
    shared: Arc<Shared>,
}

impl Awaited {
    async fn hear(mut self) -> Result<()> {
        let heard = (&mut self.answered).await;
        self.is_heard = true;
        heard.map_err(|_| Error::Closed)?
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        if self.is_heard {
            return;
        }
        // From here on the owner's answer fails.
        self.answered.close();
        if matches!(self.answered.try_recv(), Ok(Err(_))) {
            self.shared.lines_dropped(self.lines);
        }
    }
}

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn lines_dropped(&self, count: u64) {
        self.counters
            .lines_dropped
            .fetch_add(count, Ordering::Relaxed);
        metrics::counter!("journal_lines_dropped_total").increment(count);
    }

    /// Says how much is live.
    pub(crate) fn gauge(&self) {
        let (commits, bytes) = {
            let state = self.state();
            (state.live().len(), state.live_bytes())
        };
        // Gauges are floating-point; kibibytes fit one exactly, and are near enough.
        let kibibytes = f64::from(u32::try_from(bytes / 1024).unwrap_or(u32::MAX));
        metrics::gauge!("journal_live_commits")
            .set(f64::from(u32::try_from(commits).unwrap_or(u32::MAX)));
        metrics::gauge!("journal_live_bytes").set(kibibytes * 1024.0);
    }

    /// The entries of a commit, from the cache or the store.
    pub(crate) async fn read(&self, live: Live, keep: Keep) -> Result<Entries> {
        let id = live.header.id;
        if let Some(entries) = self.cache().find(id) {
            return Ok(entries);
        }
        let plain_bytes = usize::try_from(live.header.plain_bytes).unwrap_or(usize::MAX);
        let bytes = self.fetch(&live).await?;
        let entries = if plain_bytes > INLINE_DECODED_BYTES_MAX {
            tokio::task::spawn_blocking(move || decode(&bytes, &live))
                .await
                .map_err(|source| Error::Encode {
                    reason: source.to_string(),
                })??
        } else {
            decode(&bytes, &live)?
        };
        let cost = entries
            .iter()
            .map(size_bytes)
            .fold(0, usize::saturating_add);
        let entries = Arc::new(entries);
        let mut cache = self.cache();
        match keep {
            Keep::Always => cache.insert(id, &entries, cost),
            Keep::IfRoom => cache.insert_if_room(id, &entries, cost),
        }
        Ok(entries)
    }

    /// A commit's bytes: from its object or, where there is one, from its copy.
    async fn fetch(&self, live: &Live) -> Result<Bytes> {
        let mut failure = None;
        for name in live.names() {
            let path = name.path();
            let read = async { self.store.get(&path).await?.bytes().await };
            match read.await {
                Ok(bytes) if codec::parse(&bytes).is_ok_and(|it| it.digest == live.digest) => {
                    return Ok(bytes);
                }
                Ok(bytes) => {
                    let path = path.to_string();
                    let error = match codec::parse(&bytes) {
                        Ok(_) => Error::Chain {
                            path,
                            reason: "it is another commit",
                        },
                        Err(source) => Error::Decode { path, source },
                    };
                    failure.get_or_insert(error);
                }
                Err(source) => {
                    let (path, source) = (path.to_string(), Arc::new(source));
                    failure.get_or_insert(Error::Read { path, source });
                }
            }
        }
        Err(failure.unwrap_or(Error::NotLive(live.header.id)))
    }

    /// Deletes the objects of a retired commit, and of the attempts before it that failed.
    async fn delete(&self, live: Live) -> Result<()> {
        let id = live.header.id;
        self.cache().remove(id);
        for name in live.names() {
            delete(self.store.as_ref(), name).await?;
        }
        let skipped = id.number.saturating_sub(live.header.previous) > 1;
        if skipped && id.writer == self.writer {
            for name in list(self.store.as_ref()).await?.into_keys() {
                let Name::Commit(found) = name else { continue };
                if found.writer == id.writer
                    && found.number > live.header.previous
                    && found.number < id.number
                {
                    delete(self.store.as_ref(), name).await?;
                }
            }
        }
        self.state().deleted(id);
        Ok(())
    }

    fn check_room(&self) -> Result<()> {
        let (live_bytes, bytes_max) = (self.state().live_bytes(), self.settings.journal_bytes_max);
        if live_bytes < bytes_max {
            Ok(())
        } else {
            Err(Error::Full {
                live_bytes,
                bytes_max,
            })
        }
    }

    /// Encodes and, when there is much, compresses: on the caller's time, not on the owner's.
    async fn encode(self: &Arc<Self>, entries: Vec<Entry>) -> Result<Vec<Batch>> {
        let mut batches = encode(&entries)?;
        drop(entries);
        let large = batches
            .iter()
            .any(|batch| batch.plain_bytes > INLINE_BYTES_MAX);
        if large {
            let shared = Arc::clone(self);
            return tokio::task::spawn_blocking(move || {
                batches
                    .iter_mut()
                    .try_for_each(|batch| shared.compressors.compress_large(batch))?;
                Ok(batches)
            })
            .await
            .map_err(|source| Error::Encode {
                reason: source.to_string(),
            })?;
        }
        batches
            .iter_mut()
            .try_for_each(|batch| self.compressors.compress_large(batch))?;
        Ok(batches)
    }
}

fn decode(bytes: &Bytes, live: &Live) -> Result<Vec<Entry>> {
    // The digest was compared when the bytes were fetched; here only the body is opened.
    let body = bytes
        .get(codec::HEADER_BYTES..bytes.len().saturating_sub(codec::DIGEST_BYTES))
        .unwrap_or_default();
    codec::entries(&live.header, body).map_err(|source| Error::Decode {
        path: Name::Commit(live.header.id).path().to_string(),
        source,
    })
}

/// Every object of the journal, with its size; names that are not ours are left alone.
pub(crate) async fn list(store: &dyn ObjectStore) -> Result<std::collections::BTreeMap<Name, u64>> {
    let mut found = std::collections::BTreeMap::new();
    let mut objects = store.list(Some(&object_store::path::Path::from(ROOT)));
    while let Some(object) = objects.next().await {
        let object = object.map_err(|source| Error::Read {
            path: ROOT.to_owned(),
            source: Arc::new(source),
        })?;
        match Name::parse(&object.location) {
            Some(name) => {
                found.insert(name, object.size);
            }
            None => tracing::warn!(path = %object.location, "unknown object in the journal"),
        }
    }
    Ok(found)
}

/// Deletes an object; one that does not exist is deleted already.
pub(crate) async fn delete(store: &dyn ObjectStore, name: Name) -> Result<()> {
    let path = name.path();
    match store.delete(&path).await {
        Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
        Err(source) => Err(Error::Write {
            path: path.to_string(),
            source: Arc::new(source),
        }),
    }
}
