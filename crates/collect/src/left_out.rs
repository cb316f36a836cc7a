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
        let left_out = left_out.iter().map(|it| LeftOut {
            account,
            source,
            name: it.name.clone(),
            reason: it.reason,
            count: 1,
            first_seen: at,
            last_seen: at,
        });
        self.add(left_out);
    }

    /// Takes everything away.
    pub(crate) fn take(&self) -> Vec<LeftOut> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *counts).into_values().collect()
    }

    /// Puts back what could not be written down, beside what was counted since then.
    pub(crate) fn put_back(&self, left_out: Vec<LeftOut>) {
        self.add(left_out);
    }

    fn add(&self, left_out: impl IntoIterator<Item = LeftOut>) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for more in left_out {
            let key = (more.account, more.source, more.reason, more.name.clone());
            if let Some(known) = counts.get_mut(&key) {
                known.count = known.count.saturating_add(more.count);
                known.first_seen = known.first_seen.min(more.first_seen);
                known.last_seen = known.last_seen.max(more.last_seen);
            } else if counts.len() < PROPERTIES_MAX {
                counts.insert(key, more);
            } else {
                metrics::counter!("strongroom_left_out_lost_total").increment(more.count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::LeftOutCounts;
    use governance::LeftOutProperty;
    use model::Timestamp;
    use model::learned::{LeftOutReason, Name};
    use model::record::Source;

    #[test]
    fn what_is_put_back_is_added_to_what_was_counted_since() {
        let account = "AAA-AAA-AAAZ".parse().unwrap();
        let (counts, at) = (LeftOutCounts::default(), Timestamp::from_ms);
        let property = |name: &str| LeftOutProperty {
            name: Name::ProfileProperty(name.into()),
            reason: LeftOutReason::Undefined,
        };
        let both = [property("a"), property("b")];
        counts.count(account, (Source::Web, at(5)), &both);
        let taken = counts.take();
        assert_eq!(taken.len(), 2);
        assert_eq!(counts.take(), []);
        counts.count(account, (Source::Web, at(9)), &both[..1]);
        counts.put_back(taken);
        let counted = counts.take();
        let times: Vec<_> = counted
            .iter()
            .map(|it| (it.count, it.first_seen, it.last_seen))
            .collect();
        assert_eq!(times, [(2, at(5), at(9)), (1, at(5), at(5))]);
    }
}
