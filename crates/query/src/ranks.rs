//! Where events stand, found by what decides that and nothing else: their times, ids and keys, and what
//! conditions look at. An event that is on a page is read whole afterwards: see [`crate::whole`].

use futures::StreamExt;
use lake::PropertyReader;
use lake::schema::{PERSON_KEY, RECORD_ID, TS};
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::conditions::Conditions;
use crate::events::{self, CONTEXT};
use crate::newest::Rank;
use crate::reads::{self, Read};
use crate::scan::Order;
use crate::snapshot::TableRows;
use crate::{Engine, ReadPolicy, Result};

/// The first places on a page that were found, and what stands there: the last one goes when there are
/// too many.
#[derive(Debug)]
pub(crate) struct Places<P, T> {
    pub(crate) found: BTreeMap<P, T>,
    room: usize,
}

impl<P: Ord, T> Places<P, T> {
    pub(crate) const fn new(room: usize) -> Self {
        Self {
            found: BTreeMap::new(),
            room,
        }
    }

    /// The last place of a full page: what comes after it is not on it.
    pub(crate) fn last(&self) -> Option<&P> {
        let last = self.found.keys().next_back();
        last.filter(|_| self.found.len() >= self.room)
    }

    pub(crate) fn may_have(&self, place: &P) -> bool {
        self.last().is_none_or(|last| place < last)
    }

    /// Takes what stands at a place, if that may be on the page.
    pub(crate) fn add(&mut self, place: P, it: impl FnOnce() -> T) {
        if !self.may_have(&place) {
            return;
        }
        self.found.insert(place, it());
        if self.found.len() > self.room {
            self.found.pop_last();
        }
    }
}

/// An event that may be on a page.
#[derive(Debug)]
pub(crate) struct Ranked<'a> {
    pub(crate) rank: Rank,
    /// Its name; empty unless that was read.
    pub(crate) name: &'a str,
    conditions: &'a Conditions<'a>,
    properties: &'a PropertyReader,
    context: Option<&'a str>,
    row: usize,
}

impl Ranked<'_> {
    /// Whether the conditions hold of it.
    pub(crate) fn holds(&self) -> bool {
        self.conditions
            .hold(self.properties, self.context, self.row)
    }
}

impl Engine {
    /// Calls `take` with each event of `rows` that `read` lets through, in its order. The columns that
    /// it takes to find its rank, and to tell whether `conditions` hold of it, are read beside those of
    /// `read`.
    pub(crate) async fn each_rank(
        &self,
        rows: &Arc<TableRows>,
        policy: &ReadPolicy,
        conditions: &Conditions<'_>,
        order: Order,
        mut read: Read,
        mut take: impl FnMut(&Ranked<'_>),
    ) -> Result<()> {
        let mut columns = [PERSON_KEY, RECORD_ID, TS].map(String::from).to_vec();
        columns.extend(events::property_columns(rows, conditions.properties()));
        if conditions.need_context() {
            columns.push(String::from(CONTEXT));
        }
        read.columns.append(&mut columns);
        let state = match conditions.are_none() {
            true => self.reader(order),
            // What conditions look at may be large.
            false => self.whole_reader(order),
        };
        let plan = self.plan_read(rows, policy, order, read)?;
        let mut batches = self.run(state, plan, None).await?.batches;
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            let (keys, times) = (reads::keys(&batch, PERSON_KEY)?, reads::times(&batch, TS)?);
            let ids = reads::keys(&batch, RECORD_ID)?;
            let names = reads::texts(&batch, "name").ok();
            let properties = events::property_reader(&batch)?;
            let contexts = match conditions.need_context() {
                true => Some(reads::texts(&batch, CONTEXT)?),
                false => None,
            };
            for row in 0..batch.num_rows() {
                let (ts, record) = (reads::time(times, row), reads::record(ids, row));
                take(&Ranked {
                    rank: (ts, record, reads::person(keys, row)),
                    name: names.map_or("", |it| it.value(row)),
                    conditions,
                    properties: &properties,
                    context: contexts.and_then(|it| reads::text(it, row)),
                    row,
                });
            }
        }
        Ok(())
    }
}
