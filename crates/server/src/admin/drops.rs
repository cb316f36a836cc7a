//! Drops for the operator: their groups, samples of them, their review. The work itself is
//! `web::operate`'s, so that the console does the same.

use anyhow::{Context as _, Result};
use control::Actor;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use web::operate::drops;

use super::Frame;
use super::rows::send_array;
use crate::compose::Installation;

/// An operator's act on drops.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DropsRequest {
    /// Lists the groups. The data is a JSON array.
    List,
    /// Shows samples of a group. The data is a JSON array.
    Show {
        /// Its reason.
        reason: String,
        /// Its path; all of the reason when none.
        path: Option<String>,
        /// How many.
        limit: u32,
    },
    /// Marks groups as reviewed.
    Review {
        /// Their reason; all reasons when none.
        reason: Option<String>,
        /// Their path; all of the reason when none.
        path: Option<String>,
    },
}

/// Carries an act out.
pub(super) async fn execute(
    installation: &Installation,
    actor: &Actor,
    request: DropsRequest,
    out: mpsc::Sender<Frame>,
) -> Result<Value> {
    let state = installation.web();
    match request {
        DropsRequest::List => {
            let groups = drops::groups(state, actor).await;
            let groups = groups.context("failed to list the drops")?;
            let values = groups.iter().map(serde_json::to_value);
            let values: Vec<Value> = values
                .collect::<Result<_, _>>()
                .context("failed to show the drops")?;
            send_array(&out, &values).await?;
            let count: u64 = groups.iter().map(|it| it.count).sum();
            Ok(json!({"groups": groups.len(), "count": count}))
        }
        DropsRequest::Show {
            reason,
            path,
            limit,
        } => {
            let found = drops::samples(state, actor, &reason, path.as_deref(), limit).await;
            let found = found.context("failed to show drops: nothing was read")?;
            let values: Vec<Value> = found.into_iter().map(Value::Object).collect();
            send_array(&out, &values).await?;
            Ok(json!({"samples": values.len()}))
        }
        DropsRequest::Review { reason, path } => {
            let reviewed = drops::review(state, actor, reason.as_deref(), path.as_deref()).await;
            let reviewed = reviewed.context("failed to write the review: nothing was marked")?;
            Ok(json!({"groups": reviewed.groups, "count": reviewed.count}))
        }
    }
}
