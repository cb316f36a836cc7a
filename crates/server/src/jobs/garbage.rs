//! Objects that nothing names any more are removed, and the keys that opened them.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use std::time::Duration;

use crate::compose::Installation;

/// Removes what was replaced longer ago than the configured age.
pub(super) async fn run(installation: &Installation) -> Result<Value> {
    let age = Duration::from_secs(installation.settings().garbage_age_s.into());
    let report = installation
        .lake()
        .collect_garbage(installation.clock().now().minus(age))
        .await
        .context("failed to remove replaced parts")?;
    installation
        .keys()
        .objects_deleted(&report.paths)
        .await
        .context("failed to drop the keys of removed objects")?;
    Ok(json!({"parts": report.collected, "orphans": report.orphans}))
}
