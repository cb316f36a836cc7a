//! One consistent sight of an account's tables: parts of the lake and rows of the journal.
//!
//! The rule: list the journal first, then take the catalog's view, then read the commits above the
//! view's watermarks. A commit that was acknowledged before the listing is either in the list or
//! was retired before it, so it is in the view's parts. One that is in the list and in the parts is
//! at or below the watermark and is skipped. One that is retired between listing and reading cannot
//! be read; then everything is taken anew. So no acknowledged record is missing and none doubled.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, new_null_array};
use arrow::datatypes::{Schema, SchemaRef, TimestampMillisecondType};
use lake::schema::{OVERFLOW, PropertyColumn, PropertyColumns, TS};
use model::catalog::{Catalog, PartMeta};
use model::record::Table;
use model::{AccountId, CommitId, PartId, WriterId};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use crate::{Error, Result, Tail};

/// How often a snapshot is taken anew because a flush retired a commit under it.
const ATTEMPTS_MAX: usize = 16;

/// What one query sees.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) account: AccountId,
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
}

/// Rows of the journal.
#[derive(Debug, Clone)]
pub(crate) enum TailRows {
    /// Few: all of them, each batch with its own property columns.
    Memory(Vec<RecordBatch>),
    /// Many: the commits, to be read again while the query runs.
    Streamed(Vec<CommitId>),
}

impl TableRows {
    /// The same table without the journal's rows.
    pub(crate) fn parts_alone(&self) -> Self {
        Self {
            table: self.table,
            account: self.account,
            parts: self.parts.clone(),
            tail: TailRows::Memory(Vec::new()),
            tail_times: None,
            columns: self.columns.clone(),
        }
    }

    /// The same table without its parts.
    pub(crate) fn tail_alone(&self) -> Self {
        Self {
            table: self.table,
            account: self.account,
            parts: Vec::new(),
            tail: self.tail.clone(),
            tail_times: self.tail_times,
            columns: self.columns.clone(),
        }
    }

    /// Identifies the parts: two views with the same key have the same parts.
    pub(crate) fn parts_key(&self) -> Vec<PartId> {
        let mut ids: Vec<_> = self.parts.iter().map(|it| it.id).collect();
        ids.sort_unstable();
        ids
    }
}

/// Takes snapshots; keeps the Arrow rows of recent commits.
#[derive(Debug)]
pub(crate) struct Snapshots {
    catalog: Arc<dyn Catalog>,
    pub(crate) tail: Arc<dyn Tail>,
    /// Above so many bytes of rows a table's tail is streamed.
    tail_bytes_max: usize,
    cache: Mutex<Cache>,
}

impl Snapshots {
    pub(crate) fn new(
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
                .tail_rows(*table, account, &commits, &mut columns)
                .await?;
            let table_rows = TableRows {
                table: *table,
                account,
                parts,
                tail,
                tail_times,
                columns,
            };
            rows.insert(*table, Arc::new(table_rows));
        }
        Ok(Snapshot {
            account,
            tables: rows,
        })
    }

    async fn tail_rows(
        &self,
        table: Table,
        account: AccountId,
        commits: &[CommitId],
        columns: &mut PropertyColumns,
    ) -> Result<(TailRows, Option<(i64, i64)>)> {
        let mut times = None;
        let mut batches = Vec::new();
        let mut bytes = 0_usize;
        for commit in commits {
            let rows = self.commit_rows(table, account, *commit).await?;
            for batch in rows.iter() {
                add_columns(columns, batch);
                widen(&mut times, batch);
                bytes = bytes.saturating_add(batch.get_array_memory_size());
                if bytes <= self.tail_bytes_max {
                    batches.push(batch.clone());
                }
            }
            if bytes > self.tail_bytes_max {
                batches.clear();
            }
        }
        if bytes > self.tail_bytes_max {
            return Ok((TailRows::Streamed(commits.to_vec()), times));
        }
        Ok((TailRows::Memory(batches), times))
    }

    /// The rows that one commit adds to a table.
    pub(crate) async fn commit_rows(
        &self,
        table: Table,
        account: AccountId,
        commit: CommitId,
    ) -> Result<Arc<[RecordBatch]>> {
        let key = (commit, account, table);
        if let Some(rows) = self.cache().rows.get(&key) {
            return Ok(Arc::clone(rows));
        }
        let entries = self.tail.read(commit).await?;
        let rows = lake::tail_batches(table, account, entries.iter()).map_err(Error::Lake)?;
        let rows: Arc<[RecordBatch]> = rows.into();
        self.cache().insert(key, &rows);
        Ok(rows)
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

/// Adds the property columns of journal rows, and overflow only where a row has one: the journal's
/// schema always names it.
fn add_columns(columns: &mut PropertyColumns, batch: &RecordBatch) {
    for (field, array) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        let name = field.name();
        if PropertyColumn::parse(name).is_some()
            || (name == OVERFLOW && array.null_count() < array.len())
        {
            columns.add(name);
        }
    }
}

fn widen(times: &mut Option<(i64, i64)>, batch: &RecordBatch) {
    let column = batch.column_by_name(TS);
    let Some(column) = column.and_then(|it| it.as_primitive_opt::<TimestampMillisecondType>())
    else {
        return;
    };
    for ts in column.values() {
        let (min, max) = times.unwrap_or((*ts, *ts));
        *times = Some((min.min(*ts), max.max(*ts)));
    }
}

/// `batch` with the columns of `schema`: those that it lacks are null.
pub(crate) fn adapt(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns: Vec<ArrayRef> = schema
        .fields()
        .iter()
        .map(|field| column(batch, field))
        .collect();
    RecordBatch::try_new(Arc::clone(schema), columns)
        .map_err(|_| Error::Internal("fit rows of the journal to the table"))
}

fn column(batch: &RecordBatch, field: &arrow::datatypes::Field) -> ArrayRef {
    match batch.column_by_name(field.name()) {
        Some(array) => Arc::clone(array),
        None => new_null_array(field.data_type(), batch.num_rows()),
    }
}

/// The physical columns of a table as a query scans them. JSON columns are marked.
pub(crate) fn scan_schema(rows: &TableRows) -> SchemaRef {
    let schema = lake::schema::part_schema(rows.table, &rows.columns.physical());
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
