//! When credentials were used last is written down: in a batch, behind the requests.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::compose::Installation;

/// Writes down what was noted since the last time. What cannot be written is kept for the next.
pub(crate) async fn run(installation: &Installation) -> Result<Value> {
    let uses = installation.collect().take_uses();
    if uses.is_empty() {
        return Ok(json!({"credentials": 0}));
    }
    let credentials = uses.len();
    let written = installation.control().note_uses(uses.clone()).await;
    if written.is_err() {
        installation.collect().put_back_uses(uses);
    }
    written.context("failed to write down when credentials were used")?;
    Ok(json!({"credentials": credentials}))
}
