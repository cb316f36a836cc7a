//! Keys are made ahead of time, so that no acknowledgement waits for one.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::compose::Installation;

/// Makes the next hour's journal key and some data keys to spare.
pub(super) async fn run(installation: &Installation) -> Result<Value> {
    installation
        .keys()
        .prepare()
        .await
        .context("failed to make keys ahead of time")?;
    Ok(json!({"prepared": true}))
}
