//! `[journal]`: how commits are gathered.

use super::within;
use anyhow::Result;
use std::time::Duration;

section! {
    /// The journal: what was accepted and is not yet in a part.
    struct Journal {
        /// How long a commit gathers requests when there is little load, milliseconds. 0 to 1000.
        gather_ms: u32 = 2,
    }
}

impl Journal {
    /// Whether the values are within their bounds.
    pub(super) fn check(&self) -> Result<()> {
        within("journal.gather_ms", self.gather_ms.into(), 0..=1_000)
    }

    /// How long a commit gathers.
    pub(crate) fn gather(&self) -> Duration {
        Duration::from_millis(self.gather_ms.into())
    }
}
