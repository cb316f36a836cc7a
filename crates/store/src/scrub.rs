//! Scrubbing: reading every shard, at a bounded rate, to find what rots before it is needed.

use serde::Serialize;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

use crate::index::Object;
use crate::open::{Inner, Store};
use crate::read::Fault;
use crate::status::volume_number;

/// How long a round of [`Store::maintain`] goes on to the next object: upkeep must not wait for one
/// slow volume.
const ROUND_MAX: Duration = Duration::from_secs(30);

/// What a scrub found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ScrubReport {
    /// Objects read.
    pub objects: u64,
    /// Shards that were looked at.
    pub shards: u64,
    /// Shards that were not: their volumes did not answer in time, and nothing is known of them.
    pub unread: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Shards that were missing or not what was written.
    pub bad: Vec<BadShard>,
    /// How many of them have been rebuilt.
    pub rebuilt: u64,
}

/// A shard that was missing or not what was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct BadShard {
    /// The object.
    pub path: String,
    /// On which volume, by number.
    pub volume: usize,
    /// What was wrong.
    pub fault: String,
}

impl Store {
    /// Reads every shard on the volumes in service, rebuilds the bad ones, and renews the labels.
    /// At most `bytes_per_second`; as fast as it goes when none is given. Upkeep may go on between
    /// two objects.
    pub async fn scrub_all(&self, bytes_per_second: Option<u64>) -> ScrubReport {
        let mut report = ScrubReport::default();
        let mut at = String::new();
        while let Some(object) = self.inner.index.after(&at) {
            let before = report.bytes;
            let one_at_a_time = self.inner.upkeep.lock().await;
            self.inner.scrub_object(&object, &mut report).await;
            drop(one_at_a_time);
            at = object.path.to_string();
            if let Some(rate) = bytes_per_second {
                let read = report.bytes.saturating_sub(before);
                let pause = read.saturating_mul(1_000).checked_div(rate).unwrap_or(0);
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
        }
        let _one_at_a_time = self.inner.upkeep.lock().await;
        self.inner.finish_scrub().await;
        report
    }
}

impl Inner {
    /// Scrubs the next few objects; rests after the last one, then starts over.
    pub(crate) async fn scrub_slice(self: &Arc<Self>) {
        let now = self.clock.now();
        if now
            < *self
                .scrub_again
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        {
            return;
        }
        let began = Instant::now();
        let mut report = ScrubReport::default();
        while report.bytes < self.settings.scrub_bytes_per_round && began.elapsed() < ROUND_MAX {
            let at = self
                .scrubbed
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            let next = self.index.after(&at);
            let path = next
                .as_ref()
                .map(|object| object.path.to_string())
                .unwrap_or_default();
            if let Some(object) = &next {
                self.scrub_object(object, &mut report).await;
            }
            *self.scrubbed.lock().unwrap_or_else(PoisonError::into_inner) = path;
            if next.is_none() {
                self.finish_scrub().await;
                *self
                    .scrub_again
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner) = now.plus(self.settings.scrub_rest);
                break;
            }
        }
        if report.unread > 0 {
            let shards = report.unread;
            tracing::warn!(
                shards,
                "volumes did not answer, and shards were not scrubbed"
            );
        }
    }

    async fn scrub_object(self: &Arc<Self>, object: &Arc<Object>, report: &mut ScrubReport) {
        report.objects = report.objects.saturating_add(1);
        for serving in self.slots.serving() {
            let fault = match self.fetch_whole(object, serving.index).await {
                Ok(bytes) => {
                    report.shards = report.shards.saturating_add(1);
                    report.bytes = report.bytes.saturating_add(bytes);
                    continue;
                }
                Err(Fault::Unreachable(_)) => {
                    report.unread = report.unread.saturating_add(1);
                    continue;
                }
                Err(Fault::Wrong(fault) | Fault::Failed(fault)) => fault,
            };
            report.shards = report.shards.saturating_add(1);
            // Not one that was deleted or replaced while it was read.
            if !self.index.is_current(object) || !self.slots.is_serving(serving.index) {
                continue;
            }
            tracing::warn!(
                object.path = &*object.path,
                volume.number = volume_number(serving.index),
                volume.place = serving.place_name(),
                fault,
                "a bad shard was found"
            );
            metrics::counter!("store_bad_shards_total").increment(1);
            self.want(object, serving.index);
            let path = object.path.to_string();
            report.bad.push(BadShard {
                path,
                volume: volume_number(serving.index),
                fault,
            });
        }
        let repaired = self.repair_wanted(Some(&object.path)).await;
        report.rebuilt = report.rebuilt.saturating_add(repaired.rebuilt);
    }

    /// Renews the labels, so that a volume that is rolled back to before this scrub is known by it.
    async fn finish_scrub(&self) {
        self.slots.renew();
        if let Err(error) = self.slots.mark_out(&[], self.index.version()).await {
            tracing::warn!(%error, "the volumes' labels could not be renewed");
        }
    }
}
