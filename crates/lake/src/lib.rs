//! The lake: immutable Parquet parts of the five tables, and every act that makes or replaces them.
//!
//! Data comes from the journal ([`Lake::flush`]), is merged ([`Lake::compact`]), filtered when a
//! person is deleted ([`Lake::rewrite`]) or grows old ([`Lake::expire`]), and what was replaced is
//! removed at last ([`Lake::collect_garbage`]). Each act writes its parts first and then publishes
//! them in one transaction of the catalog, so that a crash leaves garbage and nothing else.
//!
//! Storage is reached only as an `ObjectStore`, the list of parts only as a [`Catalog`]. This is
//! the only home of the Parquet library. The crate must never read a clock or randomness that it
//! was not given, and never log a value of a customer's.

pub mod schema;

mod error;
mod keep;
mod plan;
mod property;
mod rows;
mod shred;

mod encoder;
mod part;
mod part_reader;
mod record_index;
mod uploads;

mod changes;
mod compact;
mod faults;
mod filter;
mod flush;
mod garbage;
mod learn;
mod merge;

#[cfg(test)]
mod tests;

pub use compact::CompactReport;
pub use error::{Error, Result};
pub use filter::{ExpireReport, RewriteReport};
pub use flush::FlushReport;
pub use garbage::GarbageReport;
pub use keep::Keep;
pub use learn::Lessons;
pub use property::PropertyReader;
pub use record_index::{Probe, RecordIndex, may_come_twice};
pub use rows::tail_batches;
pub use shred::render_float;

use model::catalog::Catalog;
use model::{Clock, Random};
use object_store::ObjectStore;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// The lake of one installation: a handle, cheap to clone.
///
/// Acts on the same account and table should run one at a time; two that meet do no harm, but one
/// of them ends in `Conflict`.
#[derive(Debug, Clone)]
pub struct Lake {
    store: Arc<dyn ObjectStore>,
    catalog: Arc<dyn Catalog>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    settings: Settings,
    records: Arc<RecordIndex>,
    /// Whether the outcome of the last publication is unknown.
    unsettled: Arc<AtomicBool>,
    /// Which of the store's errors mean that an object is lost for good.
    is_object_lost: fn(&object_store::Error) -> bool,
}

impl Lake {
    /// A lake over `store`, whose parts are listed in `catalog`.
    #[must_use]
    pub fn new(
        store: Arc<dyn ObjectStore>,
        catalog: Arc<dyn Catalog>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        settings: Settings,
    ) -> Self {
        let records = Arc::new(RecordIndex::new(Arc::clone(&store)));
        Self {
            store,
            catalog,
            clock,
            random,
            settings,
            records,
            unsettled: Arc::default(),
            is_object_lost: |error| matches!(error, object_store::Error::NotFound { .. }),
        }
    }

    /// The same, told which of the store's errors mean that an object is lost for good: a flush does
    /// not wait for such a part. Without it, one that is not found is.
    #[must_use]
    pub fn knowing_lost(self, is_object_lost: fn(&object_store::Error) -> bool) -> Self {
        Self {
            is_object_lost,
            ..self
        }
    }

    /// Whether `error` says that a part cannot be read, however often it is tried.
    fn is_lost(&self, error: &Error) -> bool {
        match error {
            Error::Store { source, .. } => (self.is_object_lost)(source),
            Error::BadPart { .. } => true,
            // The program that wrote it can read it.
            Error::NewerPart { .. }
            | Error::Catalog { .. }
            | Error::Columns { .. }
            | Error::Parquet { .. }
            | Error::Internal { .. } => false,
        }
    }
}

/// Sizes and thresholds. The defaults are what was measured; tests use small ones.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The zstd level of pages.
    pub zstd_level: i32,
    /// Rows of a row group. Small ones cost size.
    pub row_group_rows: usize,
    /// Rows of a page: what a reader of one person decodes for each column.
    pub page_rows: usize,
    /// How often the filter of person keys says 'perhaps' wrongly.
    pub bloom_fpp: f64,
    /// How often the filter of record ids says 'perhaps' wrongly: each time some pages are read.
    pub record_fpp: f64,
    /// A part ends at about this size, encoded; merges take no more than this together.
    pub part_bytes_max: usize,
    /// A part ends at about this size in memory.
    pub part_raw_bytes_max: usize,
    /// A day with fewer rows shares a mixed part with others.
    pub day_rows_min: u64,
    /// So many parts of about the same size are merged into one.
    pub merge_parts_min: usize,
    /// At most so many parts are merged at a time.
    pub merge_parts_max: usize,
    /// A day whose newest part is older than this has its parts merged whatever their sizes.
    pub quiet: Duration,
    /// A profile change that later ones made say nothing is kept for so long, as history.
    pub superseded_age_min: Duration,
    /// Objects that no list names are spared until they are this old.
    pub orphan_age_min: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            zstd_level: 1,
            row_group_rows: 256 * 1024,
            page_rows: 16 * 1024,
            bloom_fpp: 0.01,
            record_fpp: 0.000_1,
            part_bytes_max: 64 * 1024 * 1024,
            part_raw_bytes_max: 768 * 1024 * 1024,
            day_rows_min: 100_000,
            merge_parts_min: 4,
            merge_parts_max: 16,
            quiet: Duration::from_secs(60 * 60),
            superseded_age_min: Duration::from_hours(30 * 24),
            orphan_age_min: Duration::from_secs(24 * 60 * 60),
        }
    }
}
