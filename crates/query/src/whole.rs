//! Whole events that were read lately, kept in memory: a record never changes.
//!
//! In a part rows stand by person, so that the newest ones are all over it, and reading a page of them
//! whole reads most of the part. It is read once. Who may see a row, and what of it, is the business of
//! whoever asks for it: rows stand here as they were sent.

use governance::Suppressions;
use model::AccountId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::events::EventRow;
use crate::newest::Rank;

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

    /// Keeps events as they were sent. Those of people who were deleted since go.
    pub(crate) fn keep(&self, account: AccountId, rows: &[Arc<EventRow>], deleted: &Suppressions) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_there = |key: &Key| key.0 != account || !deleted.hides(key.1.2, key.1.0);
        if !deleted.is_empty() {
            held.young.retain(|key, _| is_there(key));
            held.old.retain(|key, _| is_there(key));
            held.young_bytes = held.young.values().map(|it| bytes(it)).sum();
        }
        for row in rows {
            held.insert((account, (row.ts, row.record, row.key)), row);
        }
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

fn bytes(row: &EventRow) -> usize {
    let context = row.context.as_ref().map_or(0, |it| it.as_str().len());
    row.properties.as_str().len() + context + row.name.len() + 384
}
