//! Which records are in parts already: the rule by which no part ever holds a record twice.
//!
//! A sender that is not sure sends again, under the same record id. [`crate::Lake::flush`] asks here
//! before it writes, and a query before it shows rows of the journal, so that parts stay free of
//! doubles and a query over parts needs no further care. An answer costs next to nothing for ids
//! that a server counted up (they lie outside of every part's range), and one look into a filter
//! in memory for others; only what the filter lets through is compared, page by page.
//!
//! It must never call a record stored that is not: that would lose it.

use arrow::array::{Array, FixedSizeBinaryArray};
use futures::StreamExt;
use model::catalog::PartMeta;
use model::record::{Record, Table};
use model::{PartId, PersonKey, RecordId, Timestamp, WriterId, limit};
use object_store::ObjectStore;
use object_store::path::Path;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, RowSelection};
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::bloom_filter::Sbbf;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::filter::read_failed;
use crate::part;
use crate::part_reader::PartReader;
use crate::schema::{PERSON_KEY, RECORD_ID};
use crate::{Error, Result};

/// Filters and bounds of parts held in memory, bytes.
const CACHE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Ids that a server counts up share their first half while it runs. A part with more first halves
/// than this has ids of another kind, and a filter over them.
pub(crate) const COUNTED_MAX: usize = 64;

/// How far the time of a change may lie from the second that it names: one that names the second of
/// its receipt is placed by its receipt, and by that second when it comes again.
const NAMED_WITHIN: Duration = Duration::from_secs(1);
/// How far apart the receipts of one record may lie, where it has its id from its upload.
const RECEIVED_WITHIN: Duration = Duration::from_millis(limit::UPLOAD_REPEATED_MS_MAX);

/// A record, as it is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// Its id.
    pub id: RecordId,
    /// Whom it is about.
    pub person: Option<PersonKey>,
    /// The first and the last time that the same record may have; none when it may have any.
    pub times: Option<(Timestamp, Timestamp)>,
}

impl Probe {
    /// The probe for a record in a commit of `writer`.
    #[must_use]
    pub fn of(record: &Record, writer: WriterId) -> Self {
        let id = record.id();
        let times = |ts, received_at| Some(Self::times(writer, id, ts, received_at));
        let (person, times) = match record {
            // One that was ahead of the clock may come again when it is not any more.
            Record::Event(it) if it.ts_sent.is_some() => (Some(it.person), None),
            Record::Event(it) => (Some(it.person), times(it.ts, it.received_at)),
            Record::ProfileChange(it) => (Some(it.person), times(it.ts, it.received_at)),
            Record::Link(it) => (Some(it.from), times(it.ts, it.received_at)),
            Record::Request(it) => (None, times(it.at, it.at)),
            // By its receipt.
            Record::Quarantined(it) => (it.person, None),
        };
        Self { id, person, times }
    }

    /// The first and the last time that a record may have which came at `ts`, was received at
    /// `received_at` and stands in a commit of `writer`.
    ///
    /// Where nobody named a time it is that of the receipt, which is another when the upload comes again.
    /// The ids that the writer counted up are of this receipt alone.
    #[must_use]
    pub fn times(
        writer: WriterId,
        id: RecordId,
        ts: Timestamp,
        received_at: Timestamp,
    ) -> (Timestamp, Timestamp) {
        let within = if ts == received_at && !writer.has_counted(id) {
            RECEIVED_WITHIN
        } else {
            NAMED_WITHIN
        };
        (ts.minus(within), ts.plus(within))
    }
}

/// Whether records of `table` may come twice: those of the request log are numbered by ourselves.
#[must_use]
pub const fn may_come_twice(table: Table) -> bool {
    match table {
        Table::Events | Table::ProfileChanges | Table::Links | Table::Quarantine => true,
        Table::Requests => false,
    }
}

/// Finds records in parts; keeps what it learned of recent parts, which never change.
#[derive(Debug)]
pub struct RecordIndex {
    store: Arc<dyn ObjectStore>,
    cache: Mutex<Cache>,
}

impl RecordIndex {
    /// An index over the parts in `store`.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self {
            store,
            cache: Mutex::default(),
        }
    }

    /// Those of `probes` that are in `parts`, which are all of one account and table.
    ///
    /// # Errors
    /// `Unavailable` when the store does not answer, `Corrupt` when a part cannot be read.
    pub async fn stored(
        &self,
        parts: &[Arc<PartMeta>],
        probes: &[Probe],
    ) -> Result<HashSet<RecordId>> {
        self.stored_in_readable(parts, probes, |_| false).await
    }

    /// As [`RecordIndex::stored`], without the parts whose errors `is_lost` calls final: a record that
    /// is written again is then a double of a row that nobody can read.
    pub(crate) async fn stored_in_readable(
        &self,
        parts: &[Arc<PartMeta>],
        probes: &[Probe],
        is_lost: impl Fn(&Error) -> bool,
    ) -> Result<HashSet<RecordId>> {
        let mut found = HashSet::new();
        let ids = probes.iter().map(|it| it.id);
        let (Some(first), Some(last)) = (ids.clone().min(), ids.max()) else {
            return Ok(found);
        };
        for part in parts.iter().filter(|it| it.rows > 0) {
            match self.find(part, probes, (first, last), &mut found).await {
                Err(error) if is_lost(&error) => self.note_lost(part, &error),
                done => done?,
            }
        }
        Ok(found)
    }

    /// Adds to `found` those of `probes` that are in `part`; `first` and `last` are their bounds.
    async fn find(
        &self,
        part: &PartMeta,
        probes: &[Probe],
        (first, last): (RecordId, RecordId),
        found: &mut HashSet<RecordId>,
    ) -> Result<()> {
        let facts = self.facts(part).await?;
        let within = |it: &Group| it.ids.is_none_or(|(min, max)| first <= max && min <= last);
        if !facts.groups.iter().any(within) {
            return Ok(());
        }
        let mut candidates: HashMap<RecordId, Option<PersonKey>> = HashMap::new();
        for (number, group) in facts.groups.iter().enumerate() {
            let fits = |it: &&Probe| facts.may_hold(part, group, it);
            let mut fitting = probes.iter().filter(fits).peekable();
            if fitting.peek().is_none() {
                continue;
            }
            let filter = if group.filtered {
                self.filter(part, number).await?
            } else {
                None
            };
            let passing =
                fitting.filter(|it| filter.as_ref().is_none_or(|set| set.check(&it.id.0[..])));
            candidates.extend(passing.map(|it| (it.id, it.person)));
        }
        candidates.retain(|id, _| !found.contains(id));
        if !candidates.is_empty() {
            found.extend(self.compare(part, &candidates).await?);
        }
        Ok(())
    }

    /// Counts a part that cannot be read, and warns of it once.
    fn note_lost(&self, part: &PartMeta, error: &Error) {
        metrics::counter!("lake_parts_unreadable_total").increment(1);
        if self.cache().lost.insert(part.id) {
            tracing::warn!(
                part.path,
                error = error as &dyn std::error::Error,
                "a part cannot be read: records that come again are not compared with its rows"
            );
        }
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reader(&self, part: &PartMeta) -> PartReader {
        PartReader {
            store: Arc::clone(&self.store),
            path: Path::from(part.path.as_str()),
            size_bytes: part.size_bytes,
        }
    }

    async fn open(
        &self,
        part: &PartMeta,
        options: ArrowReaderOptions,
    ) -> Result<ParquetRecordBatchStreamBuilder<PartReader>> {
        let opened =
            ParquetRecordBatchStreamBuilder::new_with_options(self.reader(part), options).await;
        let opened = opened.map_err(|error| read_failed(part, error))?;
        part::check_version(&part.path, opened.metadata())?;
        Ok(opened)
    }

    async fn facts(&self, part: &PartMeta) -> Result<Arc<Facts>> {
        if let Some(facts) = self.cache().facts.get(&part.id) {
            return Ok(Arc::clone(facts));
        }
        let opened = self.open(part, ArrowReaderOptions::new()).await?;
        let facts = Arc::new(Facts::of(opened.metadata()));
        self.cache().insert_facts(part.id, &facts);
        Ok(facts)
    }

    /// The filter over the record ids of a row group; none when it has none.
    async fn filter(&self, part: &PartMeta, group: usize) -> Result<Option<Arc<Sbbf>>> {
        let key = (part.id, group);
        if let Some(filter) = self.cache().filters.get(&key) {
            return Ok(Some(Arc::clone(filter)));
        }
        let mut opened = self.open(part, ArrowReaderOptions::new()).await?;
        let Some(column) = column(opened.metadata(), RECORD_ID) else {
            return Ok(None);
        };
        let filter = opened
            .get_row_group_column_bloom_filter(group, column)
            .await;
        let filter = filter.map_err(|error| read_failed(part, error))?;
        let filter = filter.map(Arc::new);
        if let Some(filter) = &filter {
            self.cache().insert_filter(key, filter);
        }
        Ok(filter)
    }

    /// Those of `candidates` that are rows of `part`.
    async fn compare(
        &self,
        part: &PartMeta,
        candidates: &HashMap<RecordId, Option<PersonKey>>,
    ) -> Result<HashSet<RecordId>> {
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
        let opened = self.open(part, options).await?;
        let persons: Option<BTreeSet<PersonKey>> = candidates.values().copied().collect();
        let ranges = persons.and_then(|it| pages_of(opened.metadata(), &it));
        let mask = ProjectionMask::columns(opened.parquet_schema(), [PERSON_KEY, RECORD_ID]);
        let opened = match ranges {
            Some((ranges, rows)) => opened.with_row_selection(
                RowSelection::from_consecutive_ranges(ranges.into_iter(), rows),
            ),
            None => opened,
        };
        let rows = opened.with_projection(mask).build();
        let mut rows = rows.map_err(|error| read_failed(part, error))?;
        let mut found = HashSet::new();
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(|error| read_failed(part, error))?;
            let (Some(ids), persons) = (
                part::keys(&batch, RECORD_ID)?,
                part::keys(&batch, PERSON_KEY)?,
            ) else {
                return Err(Error::Internal {
                    what: "find the record ids of a part",
                });
            };
            for row in 0..batch.num_rows() {
                let id = RecordId(part::key_at(ids, row).0);
                let person = persons.and_then(|it| person_at(it, row));
                if candidates.get(&id).is_some_and(|it| *it == person) {
                    found.insert(id);
                }
            }
        }
        Ok(found)
    }
}

fn person_at(persons: &FixedSizeBinaryArray, row: usize) -> Option<PersonKey> {
    persons.is_valid(row).then(|| part::key_at(persons, row))
}

/// What a part's footer says of its record ids.
#[derive(Debug)]
struct Facts {
    groups: Vec<Group>,
    /// Whether some row has another time than its sender said: it may come again under that.
    shifted: bool,
}

/// One row group.
#[derive(Debug)]
struct Group {
    /// The smallest and the largest id; none when the footer does not say.
    ids: Option<(RecordId, RecordId)>,
    /// Whether there is a filter.
    filtered: bool,
}

impl Facts {
    fn of(metadata: &ParquetMetaData) -> Self {
        let id = |bytes: Option<&[u8]>| Some(RecordId(<[u8; 16]>::try_from(bytes?).ok()?));
        let (ids, sent) = (column(metadata, RECORD_ID), column(metadata, "ts_sent"));
        let mut shifted = false;
        let mut groups = Vec::new();
        for group in metadata.row_groups() {
            let chunk = ids.and_then(|it| group.columns().get(it));
            let bounds = chunk
                .and_then(|it| it.statistics())
                .and_then(|it| Some((id(it.min_bytes_opt())?, id(it.max_bytes_opt())?)));
            groups.push(Group {
                ids: bounds,
                filtered: chunk.is_some_and(|it| it.bloom_filter_offset().is_some()),
            });
            let sent = sent.and_then(|it| group.columns().get(it));
            if let Some(sent) = sent {
                let nulls = sent.statistics().and_then(|it| it.null_count_opt());
                shifted |= nulls != u64::try_from(group.num_rows()).ok();
            }
        }
        Self { groups, shifted }
    }

    /// Whether the row group may hold the record, by bounds alone.
    fn may_hold(&self, part: &PartMeta, group: &Group, probe: &Probe) -> bool {
        let in_time = match probe.times {
            Some((min, max)) if !self.shifted => part.ts_min <= max && min <= part.ts_max,
            _ => true,
        };
        let of_person = probe
            .person
            .is_none_or(|it| part.person_min <= it && it <= part.person_max);
        let in_range = group
            .ids
            .is_none_or(|(min, max)| min <= probe.id && probe.id <= max);
        in_time && of_person && in_range
    }
}

fn column(metadata: &ParquetMetaData, name: &str) -> Option<usize> {
    let columns = metadata.file_metadata().schema_descr().columns();
    columns.iter().position(|it| it.name() == name)
}

/// The rows of the pages that may hold `persons`, and how many rows there are; none when the part
/// does not say which.
fn pages_of(
    metadata: &ParquetMetaData,
    persons: &BTreeSet<PersonKey>,
) -> Option<(Vec<Range<usize>>, usize)> {
    let column = column(metadata, PERSON_KEY)?;
    let (bounds, places) = (metadata.column_index()?, metadata.offset_index()?);
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut first = 0_usize;
    for (number, group) in metadata.row_groups().iter().enumerate() {
        let rows = usize::try_from(group.num_rows()).ok()?;
        let ColumnIndexMetaData::FIXED_LEN_BYTE_ARRAY(bounds) = bounds.get(number)?.get(column)?
        else {
            return None;
        };
        let pages = places.get(number)?.get(column)?.page_locations();
        for (page, place) in pages.iter().enumerate() {
            let key = |bytes: Option<&[u8]>| {
                let bytes = bytes.and_then(|it| <[u8; 16]>::try_from(it).ok());
                bytes.map(PersonKey)
            };
            let from = usize::try_from(place.first_row_index).ok()?;
            let to = match pages.get(page + 1) {
                Some(next) => usize::try_from(next.first_row_index).ok()?,
                None => rows,
            };
            let may_hold = match (key(bounds.min_value(page)), key(bounds.max_value(page))) {
                (Some(min), Some(max)) => persons.range(min..=max).next().is_some(),
                _ => true,
            };
            if may_hold && from < to {
                ranges.push(first + from..first + to);
            }
        }
        first += rows;
    }
    Some((ranges, first))
}

/// What was read of parts; the oldest goes first.
#[derive(Debug, Default)]
struct Cache {
    facts: HashMap<PartId, Arc<Facts>>,
    filters: HashMap<(PartId, usize), Arc<Sbbf>>,
    order: VecDeque<(PartId, Option<usize>, usize)>,
    bytes: usize,
    /// Parts that could not be read, of which it was told.
    lost: HashSet<PartId>,
}

impl Cache {
    fn insert_facts(&mut self, part: PartId, facts: &Arc<Facts>) {
        let bytes = 128 + facts.groups.len() * size_of::<Group>();
        if self.facts.insert(part, Arc::clone(facts)).is_none() {
            self.make_room(part, None, bytes);
        }
    }

    fn insert_filter(&mut self, key: (PartId, usize), filter: &Arc<Sbbf>) {
        let bytes = 64 + filter.num_blocks() * 32;
        if self.filters.insert(key, Arc::clone(filter)).is_none() {
            self.make_room(key.0, Some(key.1), bytes);
        }
    }

    fn make_room(&mut self, part: PartId, group: Option<usize>, bytes: usize) {
        self.order.push_back((part, group, bytes));
        self.bytes += bytes;
        while self.bytes > CACHE_BYTES_MAX {
            let Some((part, group, bytes)) = self.order.pop_front() else {
                break;
            };
            match group {
                Some(group) => drop(self.filters.remove(&(part, group))),
                None => drop(self.facts.remove(&part)),
            }
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }
}
