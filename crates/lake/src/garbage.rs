//! Removes what no reader can want any more: parts replaced long ago, and objects of acts that
//! never published.
//!
//! It must never delete an object that the list of parts names as live, or that an act under way
//! may still publish.

use futures::TryStreamExt;
use model::Timestamp;
use model::catalog::PartMeta;
use model::record::Table;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use std::collections::HashSet;
use std::sync::Arc;

use crate::part::ROOT;
use crate::{Error, Lake, Result};

/// Later than everything.
const END: Timestamp = Timestamp::from_ms(i64::MAX);

/// What the collector did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GarbageReport {
    /// Replaced parts whose objects and rows are gone.
    pub collected: usize,
    /// Objects that no list named.
    pub orphans: usize,
    /// Paths of everything deleted: their data keys are of no more use.
    pub paths: Vec<String>,
}

impl Lake {
    /// Deletes the objects of parts that were replaced before `before`, then their rows; and
    /// objects of the lake that no list names and that are older than
    /// [`crate::Settings::orphan_age_min`]. Choose `before` so that no query still reads those
    /// parts.
    ///
    /// # Errors
    /// `Unavailable` from the store or the catalog; calling again goes on.
    pub async fn collect_garbage(&self, before: Timestamp) -> Result<GarbageReport> {
        let youngest = self.clock.now().minus(self.settings.orphan_age_min);
        self.collect(before, youngest).await
    }

    /// Deletes every object of the lake that is no live part's, whenever it was replaced or written:
    /// a clock that was ahead has no say. To be called only while no act of this lake is under way.
    ///
    /// # Errors
    /// As [`Lake::collect_garbage`].
    pub async fn collect_everything(&self) -> Result<GarbageReport> {
        self.collect(END, END).await
    }

    async fn collect(&self, before: Timestamp, youngest: Timestamp) -> Result<GarbageReport> {
        let mut report = GarbageReport::default();
        let replaced = self.catalog.garbage(before).await;
        let replaced = replaced.map_err(Error::catalog("read the list of replaced parts"))?;
        // Objects first: a crash in between leaves rows, and deleting again does no harm.
        for part in &replaced {
            self.delete(&Path::from(part.path.as_str())).await?;
            report.paths.push(part.path.clone());
        }
        if !replaced.is_empty() {
            let ids: Vec<_> = replaced.iter().map(|it| it.id).collect();
            let forgotten = self.catalog.forget(&ids).await;
            forgotten.map_err(Error::catalog("forget collected parts"))?;
        }
        report.collected = replaced.len();
        self.collect_orphans(youngest, &mut report).await?;
        Ok(report)
    }

    async fn collect_orphans(&self, youngest: Timestamp, report: &mut GarbageReport) -> Result<()> {
        let old = |it: &ObjectMeta| it.last_modified.timestamp_millis() < youngest.ms();
        // The listing comes before the list of parts: what is published in between is then known.
        let listed = self.store.list(Some(&Path::from(ROOT)));
        let listed: Vec<Path> = listed
            .try_filter_map(|it| std::future::ready(Ok(old(&it).then_some(it.location))))
            .try_collect()
            .await
            .map_err(|source| Error::Store {
                what: "list",
                path: ROOT.to_owned(),
                source,
            })?;
        if listed.is_empty() {
            return Ok(());
        }
        let live = self.catalog.view(None, &Table::ALL).await;
        let live = live
            .map_err(Error::catalog("read the list of parts"))?
            .parts;
        // Replaced parts that are not yet due are named too.
        let replaced = self.catalog.garbage(END).await;
        let replaced = replaced.map_err(Error::catalog("read the list of replaced parts"))?;
        let path = |it: &Arc<PartMeta>| it.path.clone();
        let named: HashSet<String> = live.iter().chain(&replaced).map(path).collect();
        for orphan in listed.into_iter().filter(|it| !named.contains(it.as_ref())) {
            self.delete(&orphan).await?;
            report.orphans += 1;
            report.paths.push(orphan.to_string());
        }
        Ok(())
    }

    async fn delete(&self, path: &Path) -> Result<()> {
        match self.store.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(Error::Store {
                what: "delete",
                path: path.to_string(),
                source,
            }),
        }
    }
}
