//! The audit log leaves for the places that the operator has named.

use anyhow::Result;
use serde_json::{Value, json};

use crate::compose::Installation;

/// Gives every sink what waits for it.
pub(super) async fn run(installation: &Installation) -> Result<Value> {
    let taken = installation.sinks().turn().await?;
    Ok(json!({"taken": taken}))
}
