//! What was dropped is made durable, a moment after it happened, and what nobody has reviewed is
//! counted.

use anyhow::Result;
use collect::Flush;
use control::Actor;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use web::operate::drops;

use crate::compose::Installation;

/// How long a drop waits, unless there is a flood of them.
const PAUSE: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

/// Writes down what was dropped until `stop`; what is left then goes when the installation closes.
pub(super) async fn write(installation: Arc<Installation>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
        if !installation.drops().is_waiting() {
            continue;
        }
        if let Err(error) = installation.drops().flush(Flush::Due).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "failed to write down what was dropped: it waits"
            );
        }
    }
}

/// Counts the groups of drops that nobody has reviewed, and those that have waited too long for it.
pub(super) async fn count(installation: &Installation) -> Result<Value> {
    let groups = drops::groups(installation.web(), &Actor::system("drops")).await?;
    let days = installation.settings().drops_review_days;
    let overdue_before = installation.clock().now().minus(DAY * days);
    let new = groups.iter().filter(|it| it.new > 0).count();
    let overdue = groups
        .iter()
        .filter_map(|it| it.new_since)
        .filter(|since| *since < overdue_before)
        .count();
    let shown = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    metrics::gauge!("strongroom_drop_groups_unreviewed").set(shown(new));
    metrics::gauge!("strongroom_drop_groups_overdue").set(shown(overdue));
    installation.attention().watch.drops(overdue);
    Ok(json!({"groups": groups.len(), "unreviewed": new, "overdue": overdue}))
}
