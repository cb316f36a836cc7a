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
    pub(crate) fn keep(&self, account: AccountId, rows: &[Arc<EventRow>]) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let deleted = held.deleted.get(&account).map(Arc::clone);
        for row in rows {
            let is_gone = |it: &Arc<Suppressions>| it.hides(row.key, row.ts);
            if !deleted.as_ref().is_some_and(is_gone) {
                held.insert((account, (row.ts, row.record, row.key)), row);
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
    pub(crate) fn people(&self) -> std::collections::BTreeSet<model::PersonKey> {
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

fn bytes(row: &EventRow) -> usize {
    let context = row.context.as_ref().map_or(0, |it| it.as_str().len());
    row.properties.as_str().len() + context + row.name.len() + 384
}
