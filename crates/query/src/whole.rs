//! Whole events: those of a page, and those that were read lately.
//!
//! A page knows which events are on it before any of them is read whole. They are read out of one part
//! after the other, each with its own columns, as far as there is room for them.
//!
//! In a part rows stand by person, so that the newest ones are all over it, and reading a page of them
//! whole reads most of the part. It is read once: a record never changes, and whole events that were read
//! lately are kept in memory. Who may see a row, and what of it, is the business of whoever asks for it:
//! rows are kept as they were sent.

use arrow::array::RecordBatch;
use datafusion::logical_expr::Expr;
use futures::StreamExt;
use governance::Suppressions;
use lake::schema::{PERSON_KEY, RECORD_ID, TS};
use model::limit::PAGE_BYTES_MAX;
use model::{AccountId, PersonKey, Timestamp};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};

use crate::events::{self, EventRow};
use crate::newest::Rank;
use crate::reads::{self, Read};
use crate::scan::Order;
use crate::snapshot::TableRows;
use crate::tables::{self, column};
use crate::{Engine, Error, ReadPolicy, Result};

/// The events of a page, by their places on it: as many of the first ones as there is room for.
#[derive(Debug)]
pub(crate) struct Gathered<P> {
    /// Those that are not there yet.
    wanted: BTreeMap<Rank, P>,
    rows: BTreeMap<P, Arc<EventRow>>,
    bytes: usize,
    /// Whether there was no room for all.
    is_cut: bool,
}

impl<P: Ord + Copy> Gathered<P> {
    /// None yet of a page of these.
    pub(crate) fn of(events: impl Iterator<Item = (Rank, P)>) -> Self {
        Self {
            wanted: events.collect(),
            rows: BTreeMap::new(),
            bytes: 0,
            is_cut: false,
        }
    }

    /// Whether nothing is wanted any more.
    pub(crate) fn is_complete(&self) -> bool {
        self.wanted.is_empty()
    }

    /// Takes an event, if it is wanted. What there is no room for is not wanted any more.
    pub(crate) fn add(&mut self, row: Arc<EventRow>) {
        let Some(place) = self.wanted.remove(&rank(&row)) else {
            return;
        };
        self.bytes += bytes(&row);
        self.rows.insert(place, row);
        while self.bytes > PAGE_BYTES_MAX
            && self.rows.len() > 1
            && let Some((last, row)) = self.rows.pop_last()
        {
            self.bytes -= bytes(&row);
            self.is_cut = true;
            self.wanted.retain(|_, place| *place < last);
        }
    }

    /// The events that are there, in the order of the page.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &Arc<EventRow>> {
        self.rows.values()
    }

    /// The events in the order of the page, and whether it ends before the last one that was wanted.
    ///
    /// # Errors
    /// `Internal` when one was not found.
    pub(crate) fn finish(self) -> Result<(Vec<Arc<EventRow>>, bool)> {
        match self.is_complete() {
            true => Ok((self.rows.into_values().collect(), self.is_cut)),
            false => Err(Error::Internal("find an event of a page")),
        }
    }

    /// Between which times and which keys those are that are wanted; none when nothing is.
    fn bounds(&self) -> Option<(RangeInclusive<Timestamp>, RangeInclusive<PersonKey>)> {
        let (first, ..) = self.wanted.keys().next()?;
        let (last, ..) = self.wanted.keys().next_back()?;
        let keys = || self.wanted.keys().map(|(.., key)| *key);
        Some((*first..=*last, keys().min()?..=keys().max()?))
    }

    /// What lets those through that are wanted, and hardly any others; none when nothing is.
    fn filter(&self) -> Option<Expr> {
        let (times, keys) = self.bounds()?;
        let within = column(TS)
            .gt_eq(tables::time(*times.start()))
            .and(column(TS).lt_eq(tables::time(*times.end())))
            .and(column(PERSON_KEY).gt_eq(tables::key(*keys.start())))
            .and(column(PERSON_KEY).lt_eq(tables::key(*keys.end())));
        let times: BTreeSet<Timestamp> = self.wanted.keys().map(|(ts, ..)| *ts).collect();
        let times = times.into_iter().map(tables::time).collect();
        let ids = self.wanted.keys().map(|(_, id, _)| tables::record(*id));
        let ids = column(RECORD_ID).in_list(ids.collect(), false);
        Some(within.and(column(TS).in_list(times, false)).and(ids))
    }

    /// Takes what is wanted of some rows.
    fn take(&mut self, batch: &RecordBatch, shown: &ReadPolicy) -> Result<()> {
        let (keys, times) = (reads::keys(batch, PERSON_KEY)?, reads::times(batch, TS)?);
        let ids = reads::keys(batch, RECORD_ID)?;
        let properties = events::property_reader(batch)?;
        for row in 0..batch.num_rows() {
            let (ts, record) = (reads::time(times, row), reads::record(ids, row));
            let rank = (ts, record, reads::person(keys, row));
            if self.wanted.contains_key(&rank) {
                let event = events::event_row(batch, row, &properties, shown)?;
                self.add(Arc::new(event));
            }
        }
        Ok(())
    }
}

impl Engine {
    /// Reads the events of a page that are not there yet: out of `rows`, as `policy` lets these be seen,
    /// with what is masked for `shown` masked.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    pub(crate) async fn gather<P: Ord + Copy>(
        &self,
        rows: &TableRows,
        policy: &ReadPolicy,
        shown: &ReadPolicy,
        page: &mut Gathered<P>,
    ) -> Result<()> {
        let Some((times, keys)) = page.bounds() else {
            return Ok(());
        };
        for piece in rows.pieces(&times, &keys) {
            // Fewer are wanted with every piece.
            let Some(filter) = page.filter() else {
                return Ok(());
            };
            let read = Read {
                filter: Some(filter),
                ..Read::default()
            };
            let plan = self.plan_read(&Arc::new(piece), policy, Order::Any, read)?;
            let rows = self.run(self.whole_reader(Order::Any), plan, None).await?;
            let mut batches = rows.batches;
            while !page.is_complete()
                && let Some(batch) = batches.next().await
            {
                page.take(&batch?, shown)?;
            }
        }
        Ok(())
    }
}

/// Memory for the events of all accounts together.
const BYTES_MAX: usize = 32 * 1024 * 1024;

type Key = (AccountId, Rank);

/// Whole events. Those that nobody asked for in a while go first: what was used since is moved to the
/// young ones, and when these are half of what there is room for, the old ones go.
#[derive(Debug, Default)]
pub(crate) struct Whole(Mutex<Generations>);

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Key, Arc<EventRow>>,
    young_bytes: usize,
    old: HashMap<Key, Arc<EventRow>>,
    /// Whose events are not kept, by account: a page that was begun before they were deleted may still
    /// be reading theirs.
    deleted: HashMap<AccountId, Arc<Suppressions>>,
}

impl Whole {
    /// The event of that rank, if it is here.
    pub(crate) fn find(&self, account: AccountId, rank: Rank) -> Option<Arc<EventRow>> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (account, rank);
        if let Some(row) = held.young.get(&key) {
            return Some(Arc::clone(row));
        }
        let row = held.old.remove(&key)?;
        held.insert(key, &row);
        Some(row)
    }

    /// Keeps events as they were sent.
    pub(crate) fn keep<'r>(
        &self,
        account: AccountId,
        rows: impl Iterator<Item = &'r Arc<EventRow>>,
    ) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let deleted = held.deleted.get(&account).map(Arc::clone);
        for row in rows {
            let is_gone = |it: &Arc<Suppressions>| it.hides(row.key, row.ts);
            if !deleted.as_ref().is_some_and(is_gone) {
                held.insert((account, rank(row)), row);
            }
        }
    }

    /// Lets go of the events of people who were deleted, and of those that are read after this.
    pub(crate) fn forget(&self, account: AccountId, deleted: Arc<Suppressions>) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_there = |key: &Key| key.0 != account || !deleted.hides(key.1.2, key.1.0);
        held.young.retain(|key, _| is_there(key));
        held.old.retain(|key, _| is_there(key));
        held.young_bytes = held.young.values().map(|it| bytes(it)).sum();
        held.deleted.insert(account, deleted);
    }
}

#[cfg(test)]
impl Whole {
    /// Whose events are here.
    pub(crate) fn people(&self) -> BTreeSet<PersonKey> {
        let held = self.0.lock().unwrap();
        let keys = held.young.keys().chain(held.old.keys());
        keys.map(|(_, rank)| rank.2).collect()
    }
}

impl Generations {
    fn insert(&mut self, key: Key, row: &Arc<EventRow>) {
        if self.young.insert(key, Arc::clone(row)).is_none() {
            self.young_bytes += bytes(row);
        }
        if self.young_bytes > BYTES_MAX / 2 {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
    }
}

const fn rank(row: &EventRow) -> Rank {
    (row.ts, row.record, row.key)
}

fn bytes(row: &EventRow) -> usize {
    let context = row.context.as_ref().map_or(0, |it| it.as_str().len());
    row.properties.as_str().len() + context + row.name.len() + 384
}
