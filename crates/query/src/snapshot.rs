//! One consistent sight of an account's tables: parts of the lake and rows of the journal.
//!
//! The rule: list the journal first, then take the catalog's view, then read the commits above the
//! view's watermarks. A commit that was acknowledged before the listing is either in the list or
//! was retired before it, so it is in the view's parts. One that is in the list and in the parts is
//! at or below the watermark and is skipped. The commits are held before they are listed, so that they
//! can be read as long as the snapshot lives; one that came in between and is gone again cannot be,
//! and then everything is taken anew. So no acknowledged record is missing and none doubled.
//! A record that was sent twice is shown once: see [`crate::tail_index`].

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use lake::RecordIndex;
use lake::schema::{PROPERTY_PREFIX, PropertyColumns};
use model::catalog::{Catalog, PartMeta};
use model::record::Table;
use model::{AccountId, CommitId, PersonKey, Timestamp, WriterId};
use object_store::ObjectStore;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};

use crate::scan::Columns;
use crate::tail_index::{CommitFacts, TailIndexes};
use crate::{Error, Held, Result, Tail};

/// How often a snapshot is taken anew because a flush retired a commit under it.
const ATTEMPTS_MAX: usize = 16;

/// Columns of properties that are read together. Reading events whole would otherwise cost by every
/// property that any event ever had, and whoever sends events can invent properties.
const COLUMNS_TOGETHER: usize = 512;

/// What one query sees.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    tables: BTreeMap<Table, Arc<TableRows>>,
}

impl Snapshot {
    /// What the query sees of `table`, which it asked for.
    pub(crate) fn table(&self, table: Table) -> Result<&Arc<TableRows>> {
        self.tables
            .get(&table)
            .ok_or(Error::Internal("find a table in the snapshot"))
    }
}

/// What one query sees of one table.
#[derive(Debug)]
pub(crate) struct TableRows {
    pub(crate) table: Table,
    pub(crate) account: AccountId,
    pub(crate) parts: Vec<Arc<PartMeta>>,
    pub(crate) tail: TailRows,
    /// The earliest and the latest row of the journal, milliseconds; none when it has none.
    pub(crate) tail_times: Option<(i64, i64)>,
    /// The properties of parts and journal together.
    pub(crate) columns: PropertyColumns,
    /// Keeps the commits of the tail readable.
    held: Held,
}

/// Rows of the journal.
#[derive(Debug, Clone)]
pub(crate) enum TailRows {
    /// Few: all of them, each batch with its own property columns.
    Memory(Vec<RecordBatch>),
    /// Many: the commits, to be read again while the query runs.
    Streamed(Vec<(CommitId, Arc<CommitFacts>)>),
}

impl TableRows {
    /// One part of it.
    pub(crate) fn part_alone(&self, part: &Arc<PartMeta>) -> Self {
        self.parts_alone(vec![Arc::clone(part)])
    }

    /// Some parts of it.
    pub(crate) fn parts_alone(&self, parts: Vec<Arc<PartMeta>>) -> Self {
        Self {
            table: self.table,
            account: self.account,
            tail: TailRows::Memory(Vec::new()),
            tail_times: None,
            columns: PropertyColumns::of_parts(parts.iter().map(AsRef::as_ref)),
            parts,
            held: self.held.clone(),
        }
    }

    /// Whether it has neither parts nor rows in the journal.
    pub(crate) fn is_empty(&self) -> bool {
        let has_tail = match &self.tail {
            TailRows::Memory(batches) => !batches.is_empty(),
            TailRows::Streamed(commits) => !commits.is_empty(),
        };
        self.parts.is_empty() && !has_tail
    }

    /// The same table without its parts.
    pub(crate) fn tail_alone(&self) -> Self {
        self.of_tail(self.tail.clone())
    }

    /// Some rows of the journal alone.
    fn of_tail(&self, tail: TailRows) -> Self {
        let mut columns = PropertyColumns::default();
        match &tail {
            TailRows::Memory(batches) => {
                batches
                    .iter()
                    .for_each(|it| columns.add_schema(&it.schema()));
            }
            TailRows::Streamed(commits) => {
                commits
                    .iter()
                    .for_each(|(_, it)| it.add_columns(&mut columns));
            }
        }
        Self {
            table: self.table,
            account: self.account,
            parts: Vec::new(),
            tail,
            tail_times: self.tail_times,
            columns,
            held: self.held.clone(),
        }
    }

    /// What may have rows of these times and keys, in pieces that have few columns of properties each:
    /// however many there are in all, a piece has no more than [`COLUMNS_TOGETHER`], or than one part or
    /// one commit has.
    pub(crate) fn pieces(
        &self,
        times: &RangeInclusive<Timestamp>,
        keys: &RangeInclusive<PersonKey>,
    ) -> Vec<Self> {
        let may_have = |part: &&Arc<PartMeta>| {
            part.ts_min <= *times.end()
                && part.ts_max >= *times.start()
                && part.person_min <= *keys.end()
                && part.person_max >= *keys.start()
        };
        let parts = self.parts.iter().filter(may_have);
        let parts = parts.map(|it| (Arc::clone(it), it.columns.iter().map(String::as_str)));
        let parts = together(parts).into_iter();
        let mut pieces: Vec<Self> = parts.map(|it| self.parts_alone(it)).collect();
        match &self.tail {
            TailRows::Memory(batches) => {
                let batches = batches.iter().map(|it| (it.clone(), property_columns(it)));
                let tails = together(batches).into_iter().map(TailRows::Memory);
                pieces.extend(tails.map(|it| self.of_tail(it)));
            }
            TailRows::Streamed(commits) => {
                let may_have = |(_, facts): &&(CommitId, Arc<CommitFacts>)| {
                    let (first, last) = (times.start().ms(), times.end().ms());
                    facts
                        .times
                        .is_none_or(|(min, max)| min <= last && max >= first)
                };
                let commits = commits.iter().filter(may_have);
                let commits = commits.map(|it| (it.clone(), it.1.columns()));
                let tails = together(commits).into_iter().map(TailRows::Streamed);
                pieces.extend(tails.map(|it| self.of_tail(it)));
            }
        }
        pieces
    }
}

/// The physical columns of properties that a batch has.
fn property_columns(batch: &RecordBatch) -> impl Iterator<Item = &str> {
    let names = batch.schema_ref().fields().iter();
    let names = names.map(|it| it.name().as_str());
    names.filter(|it| it.starts_with(PROPERTY_PREFIX))
}

/// Puts what has columns of properties together, in its order, as long as it does not have too many.
fn together<'a, T, C: Iterator<Item = &'a str>>(all: impl Iterator<Item = (T, C)>) -> Vec<Vec<T>> {
    let mut groups: Vec<Vec<T>> = Vec::new();
    let mut columns: BTreeSet<&str> = BTreeSet::new();
    for (one, own) in all {
        let own: BTreeSet<&str> = own.collect();
        let count = columns.union(&own).count();
        match groups.last_mut() {
            Some(group) if count <= COLUMNS_TOGETHER => group.push(one),
            _ => {
                groups.push(vec![one]);
                columns.clear();
            }
        }
        columns.extend(own);
    }
    groups
}

/// Takes snapshots; keeps the Arrow rows of recent commits.
#[derive(Debug)]
pub(crate) struct Snapshots {
    catalog: Arc<dyn Catalog>,
    pub(crate) tail: Arc<dyn Tail>,
    /// Above so many bytes of rows a table's tail is streamed.
    tail_bytes_max: usize,
    records: RecordIndex,
    indexes: TailIndexes,
    cache: Mutex<Cache>,
}

impl Snapshots {
    pub(crate) fn new(
        store: Arc<dyn ObjectStore>,
        catalog: Arc<dyn Catalog>,
        tail: Arc<dyn Tail>,
        tail_bytes_max: usize,
    ) -> Self {
        let cache = Mutex::new(Cache {
            bytes_max: tail_bytes_max,
            ..Cache::default()
        });
        Self {
            catalog,
            tail,
            tail_bytes_max,
            records: RecordIndex::new(store),
            indexes: TailIndexes::default(),
            cache,
        }
    }

    /// A snapshot of `tables` of `account`.
    pub(crate) async fn take(&self, account: AccountId, tables: &[Table]) -> Result<Snapshot> {
        let mut last = Error::Internal("take a snapshot");
        for _ in 0..ATTEMPTS_MAX {
            match self.attempt(account, tables).await {
                Err(retired @ Error::Retired(_)) => last = retired,
                other => return other,
            }
        }
        Err(last)
    }

    async fn attempt(&self, account: AccountId, tables: &[Table]) -> Result<Snapshot> {
        let held = self.tail.hold();
        let live = self.tail.live().await?;
        let view = self
            .catalog
            .view(Some(account), tables)
            .await
            .map_err(Error::Catalog)?;
        let watermarks: HashMap<WriterId, u64> = view.watermarks.into_iter().collect();
        let mut commits = live;
        commits.retain(|id| {
            watermarks
                .get(&id.writer)
                .is_none_or(|mark| id.number > *mark)
        });
        let mut rows = BTreeMap::new();
        for table in tables {
            let belongs =
                |it: &&Arc<PartMeta>| it.table == *table && it.account == account && it.rows > 0;
            let parts: Vec<_> = view.parts.iter().filter(belongs).map(Arc::clone).collect();
            let mut columns = PropertyColumns::of_parts(parts.iter().map(AsRef::as_ref));
            let (tail, tail_times) = self
                .tail_rows(*table, account, &commits, &parts, &mut columns)
                .await?;
            let table_rows = TableRows {
                table: *table,
                account,
                parts,
                tail,
                tail_times,
                columns,
                held: held.clone(),
            };
            rows.insert(*table, Arc::new(table_rows));
        }
        Ok(Snapshot { tables: rows })
    }

    async fn tail_rows(
        &self,
        table: Table,
        account: AccountId,
        commits: &[CommitId],
        parts: &[Arc<PartMeta>],
        columns: &mut PropertyColumns,
    ) -> Result<(TailRows, Option<(i64, i64)>)> {
        let known = self.facts(table, account, commits, parts).await?;
        let mut times: Option<(i64, i64)> = None;
        for (_, facts) in &known {
            facts.add_columns(columns);
            if let Some((min, max)) = facts.times {
                let (first, last) = times.unwrap_or((min, max));
                times = Some((first.min(min), last.max(max)));
            }
        }
        let bytes: usize = known.iter().map(|(_, it)| it.bytes).sum();
        if bytes > self.tail_bytes_max {
            return Ok((TailRows::Streamed(known), times));
        }
        let mut batches = Vec::new();
        for (commit, facts) in &known {
            let rows = self.commit_rows(table, account, *commit, facts).await?;
            batches.extend(rows.iter().cloned());
        }
        Ok((TailRows::Memory(batches), times))
    }

    /// What is known of each of `commits` that has rows to show.
    async fn facts(
        &self,
        table: Table,
        account: AccountId,
        commits: &[CommitId],
        parts: &[Arc<PartMeta>],
    ) -> Result<Vec<(CommitId, Arc<CommitFacts>)>> {
        let index = self.indexes.of(account, table, commits);
        let mut index = index.lock().await;
        index.prepare(commits);
        let mut known = Vec::new();
        for commit in commits {
            let facts = match index.find(*commit) {
                Some(facts) => facts,
                None => {
                    let all = self.decode(table, account, *commit).await?;
                    let added = index
                        .add(table, *commit, &all, parts, &self.records)
                        .await?;
                    let (facts, shown) = added;
                    self.cache()
                        .insert((*commit, account, table), &shown.into());
                    facts
                }
            };
            if facts.rows > 0 {
                known.push((*commit, facts));
            }
        }
        Ok(known)
    }

    /// The rows that one commit adds to a table, without doubles.
    pub(crate) async fn commit_rows(
        &self,
        table: Table,
        account: AccountId,
        commit: CommitId,
        facts: &CommitFacts,
    ) -> Result<Arc<[RecordBatch]>> {
        let key = (commit, account, table);
        if let Some(rows) = self.cache().rows.get(&key) {
            return Ok(Arc::clone(rows));
        }
        let all = self.decode(table, account, commit).await?;
        let rows: Arc<[RecordBatch]> = facts.shown(&all)?.into();
        self.cache().insert(key, &rows);
        Ok(rows)
    }

    async fn decode(
        &self,
        table: Table,
        account: AccountId,
        commit: CommitId,
    ) -> Result<Vec<RecordBatch>> {
        let entries = self.tail.read(commit).await?;
        lake::tail_batches(table, account, entries.iter()).map_err(Error::Lake)
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type CacheKey = (CommitId, AccountId, Table);

/// Rows of commits, the oldest out first. Commits never change, so nothing grows stale.
#[derive(Debug, Default)]
struct Cache {
    rows: HashMap<CacheKey, Arc<[RecordBatch]>>,
    order: VecDeque<(CacheKey, usize)>,
    bytes: usize,
    bytes_max: usize,
}

impl Cache {
    fn insert(&mut self, key: CacheKey, rows: &Arc<[RecordBatch]>) {
        let own = rows
            .iter()
            .map(RecordBatch::get_array_memory_size)
            .sum::<usize>()
            + 256;
        if self.rows.insert(key, Arc::clone(rows)).is_some() {
            return;
        }
        self.order.push_back((key, own));
        self.bytes += own;
        while self.bytes > self.bytes_max {
            let Some((key, bytes)) = self.order.pop_front() else {
                break;
            };
            self.rows.remove(&key);
            self.bytes -= bytes;
        }
    }
}

/// `batch` with the columns of `schema`: those that it lacks are null. However many these are, those of
/// one type are one array.
pub(crate) fn adapt(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let mut nulls: HashMap<&DataType, ArrayRef> = HashMap::new();
    let columns = schema.fields().iter().map(|field| {
        if let Some(array) = batch.column_by_name(field.name()) {
            return Arc::clone(array);
        }
        let kind = field.data_type();
        let none = nulls.entry(kind);
        Arc::clone(none.or_insert_with(|| new_null_array(kind, batch.num_rows())))
    });
    let columns: Vec<ArrayRef> = columns.collect();
    RecordBatch::try_new(Arc::clone(schema), columns)
        .map_err(|_| Error::Internal("fit rows of the journal to the table"))
}

/// The physical columns of a table as a query scans them. JSON columns are marked.
pub(crate) fn scan_schema(rows: &TableRows, asked: Columns<'_>) -> SchemaRef {
    let properties = match asked {
        Columns::All => rows.columns.physical(),
        Columns::Named(names) => rows.columns.named(names.iter().map(String::as_str)),
    };
    let schema = lake::schema::part_schema(rows.table, &properties);
    let fields: Vec<_> = schema
        .fields()
        .iter()
        .map(|field| match (rows.table, field.name().as_str()) {
            (Table::Events, "context") | (Table::ProfileChanges, "value") => {
                Arc::new(crate::json::marked(field.as_ref().clone()))
            }
            _ => Arc::clone(field),
        })
        .collect();
    Arc::new(Schema::new(fields))
}
