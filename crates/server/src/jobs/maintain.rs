//! The volumes' upkeep: bring back, repair, scrub a little further.

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::compose::Installation;

/// One round.
pub(super) async fn run(installation: &Installation) -> Result<Value> {
    let report = installation.store().maintain().await;
    serde_json::to_value(report).context("failed to show the report")
}
