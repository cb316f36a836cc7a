//! Keys are made ahead of time, so that no acknowledgement waits for one; copies of the keyring that were
//! away follow.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::compose::Installation;

/// Makes the next hour's journal key and some data keys to spare, ends a deletion's change of keys that
/// failed half-way, and writes the copies of the keyring that could not be written before.
pub(super) async fn run(installation: &Installation) -> Result<Value> {
    let keys = installation.keys();
    keys.prepare()
        .await
        .context("failed to make keys ahead of time")?;
    keys.finish_rotation()
        .await
        .context("failed to end a deletion's change of keys")?;
    let keyring = &installation.attention().keyring;
    if !keyring.away().is_empty() {
        let followed = keyring.follow().await;
        followed.context("failed to write the copies of the keyring")?;
    }
    Ok(json!({"prepared": true, "copies_away": keyring.away().len()}))
}
