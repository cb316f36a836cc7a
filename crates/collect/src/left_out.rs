//! Properties that an account's dictionary has taken out of events, counted in memory until a job
//! writes the counts down. Only accounts that want that pay for it.

use model::learned::LeftOut;
use model::record::Source;
use model::{AccountId, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Properties that are counted apart; more of them are not counted until the next writing-down.
const PROPERTIES_MAX: usize = 10_000;

/// The counts.
#[derive(Debug, Default)]
pub(crate) struct LeftOutCounts(Mutex<BTreeMap<Key, LeftOut>>);

type Key = (AccountId, Source, Box<str>, Box<str>);

impl LeftOutCounts {
    /// Counts events and properties of one request.
    pub(crate) fn count(
        &self,
        account: AccountId,
        (source, at): (Source, Timestamp),
        left_out: &[(Box<str>, Box<str>)],
    ) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (event, property) in left_out {
            let key = (account, source, event.clone(), property.clone());
            if let Some(known) = counts.get_mut(&key) {
                known.count = known.count.saturating_add(1);
                known.first_seen = known.first_seen.min(at);
                known.last_seen = known.last_seen.max(at);
            } else if counts.len() < PROPERTIES_MAX {
                let first = LeftOut {
                    account,
                    source,
                    event: event.clone(),
                    property: property.clone(),
                    count: 1,
                    first_seen: at,
                    last_seen: at,
                };
                counts.insert(key, first);
            } else {
                metrics::counter!("strongroom_left_out_lost_total").increment(1);
            }
        }
    }

    /// Takes everything away.
    pub(crate) fn take(&self) -> Vec<LeftOut> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *counts).into_values().collect()
    }
}
