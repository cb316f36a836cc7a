//! Records that were taken lately: an SDK that has missed an answer sends again.
//!
//! It may forget (then the record is stored twice under one id, and merging parts keeps one) but must
//! never remember what is not durable. Of two copies that come at the same time the second waits for
//! what becomes of the first.

use model::RecordId;
use model::record::{ChangeOp, Entry, Record};
use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Ids in one generation; two generations are held. About 32 bytes each.
const GENERATION_IDS_MAX: usize = 200_000;

/// The ids of records that are in the journal already, or on their way.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    ids: Mutex<Ids>,
    /// Told whenever a claim has ended.
    ended: Notify,
}

#[derive(Debug, Default)]
struct Ids {
    young: HashSet<RecordId>,
    old: HashSet<RecordId>,
    claimed: HashSet<RecordId>,
}

/// Records that one request is about to make durable. Dropped without [`Claim::durable`], they may
/// come again.
#[derive(Debug)]
pub(super) struct Claim<'s> {
    seen: &'s Seen,
    ids: Vec<RecordId>,
}

impl Seen {
    /// Takes out what has been stored before, and claims what is left. Waits as long as another
    /// request is storing one of the records.
    pub(super) async fn claim(&self, entries: &mut Vec<Entry>) -> Claim<'_> {
        loop {
            // Before looking, so that an end in between is not missed.
            let mut ended = std::pin::pin!(self.ended.notified());
            ended.as_mut().enable();
            let claimed = self.lock().claim(entries);
            if let Some(ids) = claimed {
                return Claim { seen: self, ids };
            }
            ended.await;
        }
    }

    /// Remembers records that are durable, in a start's first moments; whether there is room for more.
    pub(crate) fn recall(&self, entries: &[Entry]) -> bool {
        let mut ids = self.lock();
        for entry in entries.iter().filter(|it| follows_from_content(&it.record)) {
            if ids.young.len() >= GENERATION_IDS_MAX {
                return false;
            }
            ids.young.insert(entry.record.id());
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, Ids> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ids {
    /// None when one of the records is another request's.
    fn claim(&mut self, entries: &mut Vec<Entry>) -> Option<Vec<RecordId>> {
        let is_claimed = |entry: &Entry| self.claimed.contains(&entry.record.id());
        if entries.iter().any(is_claimed) {
            return None;
        }
        let (young, old) = (&self.young, &self.old);
        entries.retain(|entry| {
            let id = entry.record.id();
            !young.contains(&id) && !old.contains(&id)
        });
        let own = entries.iter().map(|it| &it.record);
        let ids: Vec<_> = own
            .filter(|it| follows_from_content(it))
            .map(Record::id)
            .collect();
        self.claimed.extend(&ids);
        Some(ids)
    }

    fn remember(&mut self, id: RecordId) {
        if self.young.len() >= GENERATION_IDS_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(id);
    }
}

impl Claim<'_> {
    /// The records are in the journal.
    pub(super) fn durable(self) {
        let mut ids = self.seen.lock();
        for id in &self.ids {
            ids.remember(*id);
        }
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut ids = self.seen.lock();
        for id in &self.ids {
            ids.claimed.remove(id);
        }
        drop(ids);
        self.seen.ended.notify_waiters();
    }
}

/// Whether the id of a record says what is in it. Links, names and request lines have fresh ones, and
/// so has whatever did not come from an SDK.
pub(super) fn follows_from_content(record: &Record) -> bool {
    match record {
        Record::Event(it) => it.source.is_sdk(),
        Record::Quarantined(it) => it.source.is_sdk(),
        Record::ProfileChange(it) => {
            it.source.is_sdk() && !it.changes.iter().all(|it| it.op == ChangeOp::Identify)
        }
        Record::Link(_) | Record::Request(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::Seen;
    use futures::FutureExt as _;
    use model::record::{Entry, Quarantined, Record, Source};
    use model::{AccountId, RecordId, Timestamp};

    fn entries(ids: &[u8]) -> Vec<Entry> {
        let entry = |id: &u8| Entry {
            account: AccountId::installation(),
            record: Record::Quarantined(Box::new(Quarantined {
                id: RecordId([*id; 16]),
                received_at: Timestamp::from_seconds(1),
                source: Source::Web,
                person: None,
                code: 0,
                error: "".into(),
                body: Vec::new(),
            })),
        };
        ids.iter().map(entry).collect()
    }

    #[tokio::test]
    async fn what_is_durable_is_not_taken_again() {
        let seen = Seen::default();
        seen.claim(&mut entries(&[1, 2])).await.durable();
        assert!(seen.recall(&entries(&[3])));
        let mut again = entries(&[1, 2, 3, 4]);
        drop(seen.claim(&mut again).await);
        assert_eq!(again, entries(&[4]));
        let mut failed = entries(&[4]);
        drop(seen.claim(&mut failed).await);
        assert_eq!(failed, entries(&[4]), "it never became durable");
    }

    #[tokio::test]
    async fn a_copy_waits_for_what_becomes_of_the_first() {
        let seen = Seen::default();
        let first = seen.claim(&mut entries(&[1])).await;
        let mut copy = entries(&[1, 2]);
        let mut waiting = Box::pin(seen.claim(&mut copy));
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(seen.claim(&mut entries(&[3])).await);
        assert!(waiting.as_mut().now_or_never().is_none());
        first.durable();
        waiting.await.durable();
        assert_eq!(copy, entries(&[2]));
        assert!(seen.lock().claimed.is_empty());
    }
}
