//! What is worked out once from all rows of a part, and kept in memory: parts never change.
//!
//! So a question about everything costs what came since the last one, not what there is. Deleted
//! people are left out here as everywhere: a digest says under which suppressions it was made, and
//! before it is used under later ones it is looked whether the part has rows of the people who are new
//! among them; if it has, it is made anew without them. The deletion's job replaces such parts soon.
//!
//! A digest is of all rows that are not hidden. What else a policy narrows (names of events) is the
//! business of whoever reads the digest. It must never be given to a reader who sees some people only.

use arrow::array::RecordBatch;
use datafusion::dataframe::DataFrame;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use governance::Suppressions;
use lake::schema::{PERSON_KEY, TS};
use model::catalog::PartMeta;
use model::{PartId, PersonKey};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinSet;

use crate::reads::{self, Read};
use crate::scan::Order;
use crate::snapshot::TableRows;
use crate::{Engine, Error, ReadPolicy, Result};

/// Memory for the digests of one kind, of all accounts together.
const BYTES_MAX: usize = 64 * 1024 * 1024;

/// Something that is worked out from all rows of a part.
pub(crate) trait Digest: std::fmt::Debug + Default + Send + Sync + 'static {
    /// The columns that it is made of; they are the physical ones.
    const COLUMNS: &'static [&'static str];

    /// Takes rows of [`Self::COLUMNS`], in any order.
    ///
    /// # Errors
    /// `Internal` when a column is not there.
    fn add(&mut self, rows: &RecordBatch) -> Result<()>;

    /// Called once after the last rows.
    fn finish(&mut self) {}

    /// Its size in memory, about.
    fn bytes(&self) -> usize;
}

/// The digests of parts; those that were used longest ago go first.
#[derive(Debug)]
pub(crate) struct Digests<D> {
    held: Mutex<Held<D>>,
    /// Held while digests are made, so that what several readers want is made once.
    making: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Held<D> {
    parts: HashMap<PartId, Kept<D>>,
    bytes: usize,
    reads: u64,
}

#[derive(Debug)]
struct Kept<D> {
    made: Made<D>,
    bytes: usize,
    last: u64,
}

/// A digest, and whom it leaves out.
#[derive(Debug)]
struct Made<D> {
    digest: Arc<D>,
    under: Arc<Suppressions>,
}

impl<D> Clone for Made<D> {
    fn clone(&self) -> Self {
        Self {
            digest: Arc::clone(&self.digest),
            under: Arc::clone(&self.under),
        }
    }
}

impl<D> Default for Digests<D> {
    fn default() -> Self {
        Self {
            held: Mutex::new(Held {
                parts: HashMap::new(),
                bytes: 0,
                reads: 0,
            }),
            making: tokio::sync::Mutex::default(),
        }
    }
}

impl<D: Digest> Digests<D> {
    fn find(&self, part: PartId) -> Option<Made<D>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.reads += 1;
        let now = held.reads;
        let kept = held.parts.get_mut(&part)?;
        kept.last = now;
        Some(kept.made.clone())
    }

    fn keep(&self, part: PartId, made: Made<D>) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let (bytes, last) = (made.digest.bytes().max(256), held.reads);
        let before = held.parts.insert(part, Kept { made, bytes, last });
        held.bytes += bytes;
        held.bytes -= before.map_or(0, |it| it.bytes);
        while held.bytes > BYTES_MAX && held.parts.len() > 1 {
            let oldest = held.parts.iter().min_by_key(|(_, it)| it.last);
            let Some(oldest) = oldest.map(|(part, _)| *part) else {
                break;
            };
            if let Some(gone) = held.parts.remove(&oldest) {
                held.bytes -= gone.bytes;
            }
        }
    }

    /// The digests of all of `parts`, if all are there under these suppressions.
    fn ready(&self, parts: &[Arc<PartMeta>], under: &Arc<Suppressions>) -> Option<Vec<Arc<D>>> {
        // Most were made under one and the same: they are compared once.
        let mut same = Arc::clone(under);
        let found = parts.iter().map(|part| {
            let made = self.find(part.id)?;
            if !Arc::ptr_eq(&made.under, &same) {
                if *made.under != **under {
                    return None;
                }
                same = made.under;
            }
            Some(made.digest)
        });
        found.collect()
    }
}

impl Engine {
    /// The digests of `parts`, which are among those of `rows`, in their order. Nobody is in them whom
    /// `suppressed` hides (see [`ReadPolicy::left_out`]).
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    pub(crate) async fn digests<D: Digest>(
        &self,
        memory: &Digests<D>,
        rows: &TableRows,
        parts: &[Arc<PartMeta>],
        suppressed: &Arc<Suppressions>,
    ) -> Result<Vec<Arc<D>>> {
        if let Some(ready) = memory.ready(parts, suppressed) {
            return Ok(ready);
        }
        let _making = memory.making.lock().await;
        let mut made: HashMap<PartId, Made<D>> = HashMap::new();
        let mut missing = Vec::new();
        for part in parts {
            match memory.find(part.id) {
                Some(known) => {
                    made.insert(part.id, known);
                }
                None => missing.push(Arc::clone(part)),
            }
        }
        if !missing.is_empty() {
            self.make(memory, rows, missing, &mut made).await?;
        }
        self.leave_out(memory, rows, parts, suppressed, &mut made)
            .await?;
        let digests = parts.iter().map(|part| {
            let made = made.get(&part.id).map(|it| Arc::clone(&it.digest));
            made.ok_or(Error::Internal("find the digest of a part"))
        });
        digests.collect()
    }

    /// Makes the digests of `parts` of all rows, several at a time.
    async fn make<D: Digest>(
        &self,
        memory: &Digests<D>,
        rows: &TableRows,
        parts: Vec<Arc<PartMeta>>,
        made: &mut HashMap<PartId, Made<D>>,
    ) -> Result<()> {
        let nobody = Arc::<Suppressions>::default();
        let everybody = ReadPolicy::new(rows.account, Arc::clone(&nobody));
        let read = Read {
            columns: columns::<D>(),
            ..Read::default()
        };
        let alone = Arc::new(rows.parts_alone(parts.clone()));
        let plan = self.plan_read(&alone, &everybody, Order::Parts, read)?;
        let mut state = self.reader(Order::Parts);
        // Then each stream is of one part, in their order.
        let options = state.config_mut().options_mut();
        options.optimizer.enable_round_robin_repartition = false;
        let frame = DataFrame::new(state, plan);
        let streams = frame.execute_stream_partitioned().await;
        let streams = streams.map_err(|error| self.engine_error(error))?;
        if streams.len() != parts.len() {
            return Err(Error::Internal("read each part by itself"));
        }
        let memory_bytes_max = self.inner.settings.memory_bytes_max;
        let mut waiting = parts.iter().map(|it| it.id).zip(streams);
        let mut tasks = JoinSet::new();
        loop {
            while tasks.len() < self.inner.settings.threads.max(1)
                && let Some((part, stream)) = waiting.next()
            {
                tasks.spawn(async move { (part, drain::<D>(stream, memory_bytes_max).await) });
            }
            let Some(done) = tasks.join_next().await else {
                return Ok(());
            };
            let (part, digest) = done.map_err(|error| Error::unavailable("read a part", error))?;
            let new = Made {
                digest: Arc::new(digest?),
                under: Arc::clone(&nobody),
            };
            memory.keep(part, new.clone());
            made.insert(part, new);
        }
    }

    /// Makes those digests anew that have rows of people whom `suppressed` hides, or that lack rows of
    /// people whom it does not hide any more.
    async fn leave_out<D: Digest>(
        &self,
        memory: &Digests<D>,
        rows: &TableRows,
        parts: &[Arc<PartMeta>],
        suppressed: &Arc<Suppressions>,
        made: &mut HashMap<PartId, Made<D>>,
    ) -> Result<()> {
        // Parts whose digests were made under the same suppressions are looked at together.
        let mut groups: Vec<(Arc<Suppressions>, Vec<Arc<PartMeta>>)> = Vec::new();
        for part in parts {
            let Some(under) = made.get(&part.id).map(|it| &it.under) else {
                continue;
            };
            match groups.iter_mut().find(|(it, _)| Arc::ptr_eq(it, under)) {
                Some((_, some)) => some.push(Arc::clone(part)),
                None => groups.push((Arc::clone(under), vec![Arc::clone(part)])),
            }
        }
        groups.retain(|(under, _)| !Arc::ptr_eq(under, suppressed));
        for (under, parts) in groups {
            let turned = self.turned(rows, &parts, &under, suppressed).await?;
            // A reader who began before the last deletion leaves that reader's digest where it is.
            let is_older = under.position > suppressed.position;
            for part in parts {
                let has = turned.range(part.ts_min.ms()..=part.ts_max.ms()).next();
                let digest = match (has, made.get(&part.id)) {
                    (None, Some(known)) => Arc::clone(&known.digest),
                    _ => Arc::new(self.digest_of::<D>(rows, &part, suppressed).await?),
                };
                let new = Made {
                    digest,
                    under: Arc::clone(suppressed),
                };
                if !is_older {
                    memory.keep(part.id, new.clone());
                }
                made.insert(part.id, new);
            }
        }
        Ok(())
    }

    /// The times, in milliseconds, of rows in `parts` that `now` hides and `before` did not, or the other
    /// way round.
    async fn turned(
        &self,
        rows: &TableRows,
        parts: &[Arc<PartMeta>],
        before: &Suppressions,
        now: &Suppressions,
    ) -> Result<BTreeSet<i64>> {
        let changed = now.keys.keys().chain(before.keys.keys());
        let changed = changed.filter(|key| before.keys.get(*key) != now.keys.get(*key));
        let changed: BTreeSet<PersonKey> = changed.copied().collect();
        let changed: Vec<PersonKey> = changed.into_iter().collect();
        let mut times = BTreeSet::new();
        if changed.is_empty() {
            return Ok(times);
        }
        let read = Read {
            filter: Some(reads::of_persons(PERSON_KEY, &changed)),
            columns: [PERSON_KEY, TS].map(String::from).to_vec(),
            ..Read::default()
        };
        let alone = Arc::new(rows.parts_alone(parts.to_vec()));
        let everybody = ReadPolicy::new(rows.account, Arc::default());
        let found = self.read(&alone, &everybody, Order::Any, read).await?;
        let mut batches = found.batches;
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            let (keys, ts) = (reads::keys(&batch, PERSON_KEY)?, reads::times(&batch, TS)?);
            for row in 0..batch.num_rows() {
                let (person, ts) = (reads::person(keys, row), reads::time(ts, row));
                if now.hides(person, ts) != before.hides(person, ts) {
                    times.insert(ts.ms());
                }
            }
        }
        Ok(times)
    }

    async fn digest_of<D: Digest>(
        &self,
        rows: &TableRows,
        part: &Arc<PartMeta>,
        suppressed: &Arc<Suppressions>,
    ) -> Result<D> {
        let alone = Arc::new(rows.parts_alone(vec![Arc::clone(part)]));
        let policy = ReadPolicy::new(rows.account, Arc::clone(suppressed));
        self.digest_rows(&alone, &policy, None).await
    }

    /// The digest of all rows of a table that `policy` lets be seen and `filter` lets through, which
    /// is made for this once.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    pub(crate) async fn digest_rows<D: Digest>(
        &self,
        rows: &Arc<TableRows>,
        policy: &ReadPolicy,
        filter: Option<datafusion::logical_expr::Expr>,
    ) -> Result<D> {
        let read = Read {
            filter,
            columns: columns::<D>(),
            ..Read::default()
        };
        let mut batches = self.read(rows, policy, Order::Any, read).await?.batches;
        let mut digest = D::default();
        while let Some(batch) = batches.next().await {
            digest.add(&batch?)?;
        }
        digest.finish();
        Ok(digest)
    }
}

fn columns<D: Digest>() -> Vec<String> {
    D::COLUMNS.iter().map(|it| String::from(*it)).collect()
}

async fn drain<D: Digest>(
    mut rows: SendableRecordBatchStream,
    memory_bytes_max: usize,
) -> Result<D> {
    let mut digest = D::default();
    while let Some(batch) = rows.next().await {
        digest.add(&batch.map_err(|error| Error::from_engine(error, memory_bytes_max))?)?;
    }
    digest.finish();
    Ok(digest)
}
