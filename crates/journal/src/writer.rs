//! The owner task: gathers what is waiting, writes it as one commit, answers.
//!
//! One commit is in flight at a time, so that only the last one can be incomplete after a crash. A
//! number is never used twice: a commit that failed may yet be found, and the next one names its
//! number as skipped. The owner never waits while somebody waits for it, but for a few milliseconds
//! of gathering: at the end of a quiet time, and after a commit, for those who were answered and are
//! likely to come again. What a commit costs hardly depends on its size, so that few large ones are
//! cheaper than many small ones: `docs/decisions/0022-what-an-upload-costs.md`.

use bytes::Bytes;
use model::{CommitId, limit};
use object_store::{PutMode, PutPayload};
use std::collections::VecDeque;
use std::mem;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::batch::{Batch, Frame};
use crate::codec::{self, Digest, Header};
use crate::error::{Error, Result};
use crate::handle::{INLINE_BYTES_MAX, Shared};
use crate::live::Live;
use crate::name::Name;

/// Lines that get a commit of their own without further waiting.
const LINES_A_COMMIT: usize = 4_096;
/// How long a commit waits, at most, for those whom the one before it answered: as many times what
/// one waits that ends a quiet time.
const GATHERS_FOR_COMPANY: u32 = 5;
/// The same without regard to settings, unless they ask for more.
const COMPANY_WAIT_MAX: Duration = Duration::from_millis(10);

/// One append that waits.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) batch: Batch,
    pub(crate) answer: oneshot::Sender<Result<()>>,
    /// Its share of the queue's bytes; given back when it is answered.
    pub(crate) permit: OwnedSemaphorePermit,
}

/// The owner of the journal: [`Writer::run`] it in a task of its own.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    appends: mpsc::Receiver<Pending>,
    lines: mpsc::Receiver<Batch>,
    /// An append that did not fit the commit being filled.
    next: Option<Pending>,
    filling: Vec<Pending>,
    filling_bytes: usize,
    /// Lines that go with the next commit, oldest first.
    riding: VecDeque<Batch>,
    number: u64,
    previous: u64,
    previous_digest: Digest,
    /// Appends that the commit which was just written answered.
    answered: usize,
}

/// Why [`Writer::fill`] returned.
#[derive(Debug, PartialEq, Eq)]
enum Wake {
    Commit,
    Finished,
}

impl Writer {
    pub(crate) const fn new(
        shared: Arc<Shared>,
        appends: mpsc::Receiver<Pending>,
        lines: mpsc::Receiver<Batch>,
    ) -> Self {
        Self {
            shared,
            appends,
            lines,
            next: None,
            filling: Vec::new(),
            filling_bytes: 0,
            riding: VecDeque::new(),
            number: 0,
            previous: 0,
            previous_digest: [0; codec::DIGEST_BYTES],
            answered: 0,
        }
    }

    /// Writes commits until `shutdown` is ready or every handle is gone; then takes no more, writes
    /// or answers everything that was taken, and returns.
    ///
    /// # Errors
    /// Conflict when another process writes under the same id: nothing more can be written then.
    pub async fn run(mut self, shutdown: impl Future<Output = ()> + Send) -> Result<()> {
        let mut shutdown = pin!(shutdown);
        let mut closing = false;
        loop {
            let wake = if closing {
                self.fill().await
            } else {
                tokio::select! {
                    biased;
                    () = &mut shutdown => {
                        closing = true;
                        self.close();
                        continue;
                    }
                    wake = self.fill() => wake,
                }
            };
            if wake == Wake::Finished {
                return Ok(());
            }
            let written = self.write().await;
            match written {
                Ok(()) => {}
                Err(error @ Error::WriterUsed { .. }) => {
                    self.close();
                    return Err(error);
                }
                Err(_) if closing || self.appends.is_closed() => self.drop_lines(),
                Err(_) => tokio::time::sleep(self.shared.settings.failure_pause).await,
            }
        }
    }

    fn close(&mut self) {
        self.shared.waiting.close();
        self.appends.close();
        self.lines.close();
    }

    /// Waits until there is something to commit. Safe to cancel: what was received stays.
    async fn fill(&mut self) -> Wake {
        let answered = mem::take(&mut self.answered);
        self.take_waiting();
        // Who waits already, and who was answered and may come again: all who are around.
        let around = self.filling.len().saturating_add(answered);
        if self.filling.is_empty() && self.first().await == Wake::Finished {
            return Wake::Finished;
        }
        let gather = self.shared.settings.gather;
        if answered == 0 {
            self.gather(gather, usize::MAX).await;
        } else {
            let most = gather.saturating_mul(GATHERS_FOR_COMPANY);
            self.gather(most.min(gather.max(COMPANY_WAIT_MAX)), around)
                .await;
        }
        self.take_lines();
        Wake::Commit
    }

    /// Waits for the first append, or until lines have waited long enough.
    async fn first(&mut self) -> Wake {
        if self.riding.is_empty() {
            tokio::select! {
                biased;
                pending = self.appends.recv() => match pending {
                    Some(pending) => {
                        self.push(pending);
                        return Wake::Commit;
                    }
                    None => return self.last_lines(),
                },
                Some(line) = self.lines.recv() => self.riding.push_back(line),
            }
        }
        let mut waited = pin!(tokio::time::sleep(self.shared.settings.lines_wait));
        while self.riding.len() < LINES_A_COMMIT {
            tokio::select! {
                biased;
                pending = self.appends.recv() => {
                    return match pending {
                        Some(pending) => {
                            self.push(pending);
                            Wake::Commit
                        }
                        None => self.last_lines(),
                    };
                }
                Some(line) = self.lines.recv() => self.riding.push_back(line),
                () = &mut waited => break,
            }
        }
        Wake::Commit
    }

    /// Nobody appends any more: the lines that are left make the last commit.
    fn last_lines(&mut self) -> Wake {
        self.take_lines();
        if self.riding.is_empty() {
            Wake::Finished
        } else {
            Wake::Commit
        }
    }

    /// Takes waiting lines, but not without end: while commits fail, they stay here.
    fn take_lines(&mut self) {
        while self.riding.len() < limit::REQUEST_LINES_WAITING_MAX {
            let Ok(line) = self.lines.try_recv() else {
                return;
            };
            self.riding.push_back(line);
        }
    }

    /// Waits a little for company: until there are `enough` appends.
    async fn gather(&mut self, most: Duration, enough: usize) {
        if most.is_zero() || self.filling.is_empty() {
            return;
        }
        let mut waited = pin!(tokio::time::sleep(most));
        while self.next.is_none() && self.filling.len() < enough {
            tokio::select! {
                biased;
                pending = self.appends.recv() => match pending {
                    Some(pending) => self.push(pending),
                    None => return,
                },
                () = &mut waited => return,
            }
        }
    }

    fn take_waiting(&mut self) {
        if let Some(pending) = self.next.take() {
            self.push(pending);
        }
        while self.next.is_none() {
            let Ok(pending) = self.appends.try_recv() else {
                return;
            };
            self.push(pending);
        }
    }

    /// Adds to the commit being filled or, when that is full, keeps for the next.
    fn push(&mut self, pending: Pending) {
        let bytes = self.filling_bytes.saturating_add(pending.batch.size_bytes);
        if bytes > limit::COMMIT_BYTES_MAX && !self.filling.is_empty() {
            self.next = Some(pending);
        } else {
            self.filling_bytes = bytes;
            self.filling.push(pending);
        }
    }

    /// Writes what was gathered, and answers.
    async fn write(&mut self) -> Result<()> {
        let started = self.shared.clock.monotonic();
        let filled = mem::take(&mut self.filling);
        let size_bytes = mem::take(&mut self.filling_bytes);
        let (mut batches, mut answers) = (Vec::new(), Vec::new());
        for Pending {
            batch,
            answer,
            permit,
        } in filled
        {
            answers.push((answer, permit, batch.lines));
            batches.push(batch);
        }
        let riding = self.add_lines(&mut batches, size_bytes);
        let entries = batches
            .iter()
            .map(|it| it.entries)
            .fold(0, u32::saturating_add);
        let plain_bytes = batches
            .iter()
            .map(|it| it.plain_bytes)
            .fold(0, usize::saturating_add);
        if entries == 0 {
            return Ok(());
        }
        let outcome = self.put(batches, entries, plain_bytes).await;
        if outcome.is_ok() {
            self.riding.drain(..riding);
        }
        let took = self.shared.clock.monotonic().saturating_sub(started);
        self.count(&outcome, entries, took);
        self.answered = answers.len();
        let answered = match &outcome {
            // Nothing was taken and nothing will be: to a sender the journal is closed.
            Err(Error::WriterUsed { .. }) => Err(Error::Closed),
            Err(_) | Ok(()) => outcome.clone(),
        };
        for (answer, _permit, lines) in answers {
            // Who does not wait any more does not need an answer, but would have seen to the line.
            if answer.send(answered.clone()).is_err() && answered.is_err() {
                self.shared.lines_dropped(lines);
            }
        }
        outcome
    }

    /// Adds the lines that still fit, and says how many they are.
    fn add_lines(&self, batches: &mut Vec<Batch>, mut size_bytes: usize) -> usize {
        let mut count = 0_usize;
        for line in &self.riding {
            let size_after = size_bytes.saturating_add(line.size_bytes);
            if size_after > limit::COMMIT_BYTES_MAX && !batches.is_empty() {
                break;
            }
            size_bytes = size_after;
            batches.push(line.clone());
            count = count.saturating_add(1);
        }
        count
    }

    /// Puts one commit; on success it is live, and the chain goes on from it.
    async fn put(&mut self, batches: Vec<Batch>, entries: u32, plain_bytes: usize) -> Result<()> {
        let body = self.body(batches).await?;
        let body_bytes = body.iter().map(Bytes::len).fold(0, usize::saturating_add);
        self.number = self.number.saturating_add(1);
        let id = CommitId {
            writer: self.shared.writer,
            number: self.number,
        };
        let header = Header {
            version: codec::VERSION,
            id,
            previous: self.previous,
            previous_digest: self.previous_digest,
            written_at: self.shared.clock.now(),
            entries,
            plain_bytes: u32::try_from(plain_bytes).unwrap_or(u32::MAX),
            body_bytes: u32::try_from(body_bytes).unwrap_or(u32::MAX),
        };
        let mut pieces = vec![Bytes::from(codec::encode_header(&header))];
        pieces.extend(body);
        let mut hasher = blake3::Hasher::new();
        for piece in &pieces {
            hasher.update(piece);
        }
        let digest = *hasher.finalize().as_bytes();
        pieces.push(Bytes::copy_from_slice(&digest));
        let payload = PutPayload::from_iter(pieces);
        let size_bytes = u64::try_from(payload.content_length()).unwrap_or(u64::MAX);
        let path = Name::Commit(id).path();
        match self
            .shared
            .store
            .put_opts(&path, payload, PutMode::Create.into())
            .await
        {
            Ok(_) => {
                self.previous = id.number;
                self.previous_digest = digest;
                self.shared.state().add(Live {
                    header,
                    digest,
                    size_bytes,
                    copy: None,
                });
                metrics::counter!("journal_bytes_total").increment(size_bytes);
                Ok(())
            }
            Err(object_store::Error::AlreadyExists { .. }) => {
                // Our numbers are used once: somebody else writes under our id.
                Err(Error::WriterUsed {
                    writer: id.writer,
                    path: path.to_string(),
                })
            }
            Err(source) => {
                let (path, source) = (path.to_string(), Arc::new(source));
                Err(Error::Write { path, source })
            }
        }
    }

    /// The compressed entries; much work is done where it holds nobody up.
    async fn body(&self, batches: Vec<Batch>) -> Result<Vec<Bytes>> {
        let plain = |batch: &Batch| match &batch.frame {
            Frame::Plain(block) => block.len(),
            Frame::Compressed(_) => 0,
        };
        let work = batches.iter().map(plain).fold(0, usize::saturating_add);
        if work <= INLINE_BYTES_MAX {
            return self.shared.compressors.body(batches);
        }
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || shared.compressors.body(batches))
            .await
            .map_err(|source| Error::Encode {
                reason: source.to_string(),
            })?
    }

    fn count(&self, outcome: &Result<()>, entries: u32, took: Duration) {
        let counters = &self.shared.counters;
        match outcome {
            Ok(()) => {
                counters.commits.fetch_add(1, Ordering::Relaxed);
                counters
                    .entries
                    .fetch_add(u64::from(entries), Ordering::Relaxed);
                metrics::counter!("journal_commits_total").increment(1);
                metrics::counter!("journal_entries_total").increment(u64::from(entries));
                metrics::histogram!("journal_commit_seconds").record(took);
                self.shared.gauge();
            }
            Err(error) => {
                counters.commits_failed.fetch_add(1, Ordering::Relaxed);
                metrics::counter!("journal_commits_failed_total").increment(1);
                let source = std::error::Error::source(error).map(ToString::to_string);
                tracing::error!(
                    error = %error,
                    cause = source.unwrap_or_default(),
                    "a commit failed: its senders were answered 'outcome unknown'"
                );
            }
        }
    }

    /// At the end there is no next commit for the lines to go with.
    fn drop_lines(&mut self) {
        self.shared
            .lines_dropped(u64::try_from(self.riding.len()).unwrap_or(u64::MAX));
        self.riding.clear();
    }
}
