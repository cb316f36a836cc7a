//! Properties that an account's dictionary has taken out of events and of changes of people, counted in memory until a job
//! writes the counts down. Only accounts that want that pay for it.

use governance::LeftOutProperty;
use model::learned::{LeftOut, LeftOutReason, Name};
use model::record::Source;
use model::{AccountId, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Properties that are counted apart; more of them are not counted until the next writing-down.
const PROPERTIES_MAX: usize = 10_000;

/// The counts.
#[derive(Debug, Default)]
pub(crate) struct LeftOutCounts(Mutex<BTreeMap<Key, LeftOut>>);

type Key = (AccountId, Source, LeftOutReason, Name);

impl LeftOutCounts {
    /// Counts properties of one request, once for each time.
    pub(crate) fn count(
        &self,
        account: AccountId,
        (source, at): (Source, Timestamp),
        left_out: &[LeftOutProperty],
    ) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for LeftOutProperty { name, reason } in left_out {
            let key = (account, source, *reason, name.clone());
            if let Some(known) = counts.get_mut(&key) {
                known.count = known.count.saturating_add(1);
                known.first_seen = known.first_seen.min(at);
                known.last_seen = known.last_seen.max(at);
            } else if counts.len() < PROPERTIES_MAX {
                let first = LeftOut {
                    account,
                    source,
                    name: name.clone(),
                    reason: *reason,
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
