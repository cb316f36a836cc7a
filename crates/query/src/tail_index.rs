//! Which rows of the journal are shown: a record that is in a part, or in an earlier commit, is not
//! shown again.
//!
//! Parts never hold a record twice (see [`lake::RecordIndex`]), so only rows of the journal need
//! looking at, and each commit once: what comes before a commit never changes afterwards, it only
//! moves from the journal into parts. So the index grows by the commits that came since the last
//! query, and a query over an unchanged journal costs nothing here.

use arrow::array::{Array, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use lake::schema::{OVERFLOW, PERSON_KEY, PropertyColumn, PropertyColumns, RECORD_ID, TS};
use lake::{Probe, RecordIndex};
use model::catalog::PartMeta;
use model::record::Table;
use model::{AccountId, CommitId, RecordId, WriterId};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use crate::reads;
use crate::{Error, Result};

/// Record ids of one table of one account that are in the journal: 17 to 34 bytes each. The flush
/// keeps them far fewer.
const IDS_MAX: usize = 7_000_000;

/// What is known of the rows that one commit adds to one table of one account.
#[derive(Debug, Default)]
pub(crate) struct CommitFacts {
    /// Rows that are shown.
    pub(crate) rows: u64,
    /// Their bytes in memory.
    pub(crate) bytes: usize,
    /// The earliest and the latest of them, milliseconds.
    pub(crate) times: Option<(i64, i64)>,
    /// Their property columns, and overflow where a row has one.
    columns: Vec<Box<str>>,
    /// The rows that are not shown, by their number among all of the commit, in order.
    doubles: Vec<usize>,
}

impl CommitFacts {
    /// Their property columns, by their physical names, and overflow where a row has one.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|it| &**it)
    }

    /// Adds the property columns to those of a table.
    pub(crate) fn add_columns(&self, columns: &mut PropertyColumns) {
        self.columns().for_each(|name| columns.add(name));
    }

    fn of(batches: &[RecordBatch], doubles: Vec<usize>) -> Result<(Self, Vec<RecordBatch>)> {
        let mut facts = Self {
            doubles,
            ..Self::default()
        };
        let shown = facts.shown(batches)?;
        let mut columns: BTreeSet<Box<str>> = BTreeSet::new();
        for batch in &shown {
            facts.rows += batch.num_rows() as u64;
            facts.bytes = facts.bytes.saturating_add(batch.get_array_memory_size());
            for ts in reads::times(batch, TS)?.values() {
                let (min, max) = facts.times.unwrap_or((*ts, *ts));
                facts.times = Some((min.min(*ts), max.max(*ts)));
            }
            // The journal's schema always names overflow; it counts where a row has one.
            for (field, array) in batch.schema_ref().fields().iter().zip(batch.columns()) {
                let name = field.name();
                let counts = PropertyColumn::parse(name).is_some()
                    || (name == OVERFLOW && array.null_count() < array.len());
                if counts && !columns.contains(name.as_str()) {
                    columns.insert(Box::from(name.as_str()));
                }
            }
        }
        facts.columns = columns.into_iter().collect();
        Ok((facts, shown))
    }

    /// The batches of the commit without its doubles.
    pub(crate) fn shown(&self, batches: &[RecordBatch]) -> Result<Vec<RecordBatch>> {
        if self.doubles.is_empty() {
            return Ok(batches.to_vec());
        }
        let mut doubles = self.doubles.iter().copied().peekable();
        let mut first = 0;
        let mut shown = Vec::with_capacity(batches.len());
        for batch in batches {
            let rows = first..first + batch.num_rows();
            first = rows.end;
            let mask: BooleanArray = rows
                .map(|row| Some(doubles.next_if_eq(&row).is_none()))
                .collect();
            let batch = filter_record_batch(batch, &mask)
                .map_err(|_| Error::Internal("leave out rows of the journal"))?;
            if batch.num_rows() > 0 {
                shown.push(batch);
            }
        }
        Ok(shown)
    }
}

/// The index of one table of one account.
#[derive(Debug, Default)]
pub(crate) struct Indexed {
    /// Every record in the commits below, and perhaps some that are in parts by now.
    ids: HashSet<RecordId>,
    commits: BTreeMap<CommitId, Arc<CommitFacts>>,
    /// The last commit whose records are among the ids.
    last: Option<CommitId>,
}

impl Indexed {
    /// Makes the index one that `live` continues: what is not known yet must come after all that
    /// was ever taken, or a record would be taken for its own double. If it does not, or if most ids
    /// are of commits that left the journal, everything is read anew.
    pub(crate) fn prepare(&mut self, live: &[CommitId]) {
        let unknown = live.iter().find(|it| !self.commits.contains_key(it));
        let out_of_order = unknown.is_some_and(|it| Some(*it) <= self.last);
        let known = live.iter().filter_map(|it| self.commits.get(it));
        let held: u64 = known.map(|it| it.rows).sum();
        let stale = (self.ids.len() as u64).saturating_sub(held);
        if out_of_order || (unknown.is_some() && stale > held.max(100_000)) {
            *self = Self::default();
        }
        if let Some(first) = live.first() {
            self.commits = self.commits.split_off(first);
        }
    }

    /// What is known of a commit.
    pub(crate) fn find(&self, commit: CommitId) -> Option<Arc<CommitFacts>> {
        self.commits.get(&commit).map(Arc::clone)
    }

    /// Takes the rows of the next commit; returns what is known of it and those that are shown.
    pub(crate) async fn add(
        &mut self,
        table: Table,
        commit: CommitId,
        batches: &[RecordBatch],
        parts: &[Arc<PartMeta>],
        records: &RecordIndex,
    ) -> Result<(Arc<CommitFacts>, Vec<RecordBatch>)> {
        let doubles = if lake::may_come_twice(table) {
            self.doubles(table, commit.writer, batches, parts, records)
                .await?
        } else {
            Vec::new()
        };
        let (facts, shown) = CommitFacts::of(batches, doubles)?;
        let facts = Arc::new(facts);
        self.commits.insert(commit, Arc::clone(&facts));
        self.last = Some(commit);
        Ok((facts, shown))
    }

    async fn doubles(
        &mut self,
        table: Table,
        writer: WriterId,
        batches: &[RecordBatch],
        parts: &[Arc<PartMeta>],
        records: &RecordIndex,
    ) -> Result<Vec<usize>> {
        let mut probes: Vec<Probe> = Vec::new();
        // A record of profile changes has several rows; they are shown or not together.
        let mut record_of_row: Vec<usize> = Vec::new();
        for batch in batches {
            let ids = reads::keys(batch, RECORD_ID)?;
            let persons = reads::keys(batch, PERSON_KEY)?;
            let times = reads::times(batch, TS)?;
            // That of a rejected record is its receipt's.
            let received = match table {
                Table::Quarantine | Table::Requests => None,
                Table::Events | Table::ProfileChanges | Table::Links => {
                    Some(reads::times(batch, "received_at")?)
                }
            };
            let sent = match table {
                Table::Events => Some(reads::times(batch, "ts_sent")?),
                _ => None,
            };
            for row in 0..batch.num_rows() {
                let id = reads::record(ids, row);
                let received = received.filter(|_| sent.is_none_or(|it| it.is_null(row)));
                let probe = Probe {
                    id,
                    person: persons.is_valid(row).then(|| reads::person(persons, row)),
                    times: received.map(|it| {
                        Probe::times(writer, id, reads::time(times, row), reads::time(it, row))
                    }),
                };
                let continues = table == Table::ProfileChanges
                    && probes.last().is_some_and(|it| it.id == id)
                    && !starts_record(batch, row)?;
                if !continues {
                    probes.push(probe);
                }
                record_of_row.push(probes.len().saturating_sub(1));
            }
        }
        if self.ids.len().saturating_add(probes.len()) > IDS_MAX {
            return Err(Error::Journal {
                what: "look for records that came twice: the journal is too long",
                kind: model::ErrorKind::Unavailable,
                source: "it has more than 7,000,000 records of one table".into(),
            });
        }
        let stored = records.stored(parts, &probes).await.map_err(Error::Lake)?;
        let is_double: Vec<bool> = probes
            .iter()
            .map(|it| !self.ids.insert(it.id) || stored.contains(&it.id))
            .collect();
        let rows = record_of_row.into_iter().enumerate();
        Ok(rows
            .filter(|(_, record)| is_double.get(*record).copied().unwrap_or(false))
            .map(|(row, _)| row)
            .collect())
    }
}

/// Whether a row of profile changes is the first of its record.
fn starts_record(batch: &RecordBatch, row: usize) -> Result<bool> {
    let ordinals = reads::numbers::<arrow::datatypes::UInt32Type>(batch, lake::schema::ORDINAL)?;
    Ok(ordinals.value(row) == 0)
}

/// The index of every table that was read lately.
#[derive(Debug, Default)]
pub(crate) struct TailIndexes(Mutex<Held>);

type Shared = Arc<tokio::sync::Mutex<Indexed>>;

#[derive(Debug, Default)]
struct Held {
    first_live: Option<CommitId>,
    tables: HashMap<(AccountId, Table), Shared>,
}

impl TailIndexes {
    /// The index of one table. Those of others go when everything that they know of has left the
    /// journal.
    pub(crate) fn of(&self, account: AccountId, table: Table, live: &[CommitId]) -> Shared {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.first_live != live.first().copied() {
            held.first_live = live.first().copied();
            held.tables.retain(|_, it| {
                let Ok(index) = it.try_lock() else {
                    return true;
                };
                live.iter().any(|it| index.commits.contains_key(it))
            });
        }
        Arc::clone(held.tables.entry((account, table)).or_default())
    }
}
