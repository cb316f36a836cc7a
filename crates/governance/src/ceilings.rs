//! How many calls of an account are under way, for each kind of call.
//!
//! Counters in memory, one entry for each account and path that has a call under way. A call holds
//! a [`Permit`]; dropping it, however the call ends, gives the place back.

use model::AccountId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

type Counters = Mutex<HashMap<(AccountId, &'static str), u32>>;

/// The counters; a handle, cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Ceilings(Arc<Counters>);

impl Ceilings {
    /// Takes a place for one call of `path` by `account`; none when `most` are under way already.
    /// `path` is the route's pattern, so that the number of counters is bounded.
    #[must_use]
    pub fn enter(&self, account: AccountId, path: &'static str, most: u32) -> Option<Permit> {
        let mut counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let running = counters.entry((account, path)).or_insert(0);
        if *running >= most {
            if *running == 0 {
                counters.remove(&(account, path));
            }
            return None;
        }
        *running = running.saturating_add(1);
        Some(Permit {
            counters: Arc::clone(&self.0),
            account,
            path,
        })
    }

    /// Calls of `path` by `account` that are under way.
    #[must_use]
    pub fn running(&self, account: AccountId, path: &'static str) -> u32 {
        let counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counters.get(&(account, path)).copied().unwrap_or(0)
    }
}

/// A place among the calls under way; given back when dropped.
#[derive(Debug)]
#[must_use = "the call counts only while its permit lives"]
pub struct Permit {
    counters: Arc<Counters>,
    account: AccountId,
    path: &'static str,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (self.account, self.path);
        if let Some(running) = counters.get_mut(&key) {
            *running = running.saturating_sub(1);
            if *running == 0 {
                counters.remove(&key);
            }
        }
    }
}
