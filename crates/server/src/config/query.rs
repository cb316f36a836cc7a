//! `[query]`: what one query may cost.

use super::within;
use anyhow::Result;
use std::time::Duration;

section! {
    /// Bounds of queries. Nothing is spilled to disk: it would be plain text.
    struct Query {
        /// Memory of all queries together, bytes. 16777216 to 1099511627776. One query gathers half of it
        /// at most, 64 bytes for each person whom it counts or exports and 120 in SQL's `people`: about
        /// 2,000,000 people by default, and 1,100,000 in SQL.
        memory_bytes_max: u64 = 256 * 1024 * 1024,
        /// Time of one query, milliseconds. 100 to 86400000.
        time_ms_max: u64 = 300_000,
        /// Rows of one query's result. 1 to 1000000000.
        rows_max: u64 = 10_000_000,
    }
}

impl Query {
    /// Whether the values are within their bounds.
    pub(super) fn check(&self) -> Result<()> {
        within(
            "query.memory_bytes_max",
            self.memory_bytes_max,
            (16 << 20)..=(1 << 40),
        )?;
        within("query.time_ms_max", self.time_ms_max, 100..=86_400_000)?;
        within("query.rows_max", self.rows_max, 1..=1_000_000_000)
    }

    /// Time of one query.
    pub(crate) fn time_max(&self) -> Duration {
        Duration::from_millis(self.time_ms_max)
    }
}
