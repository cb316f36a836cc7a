//! Parts of a day are kept few.

#[cfg(test)]
mod tests;

use anyhow::{Context as _, Result};
use model::AccountId;
use model::catalog::Catalog as _;
use model::record::Table;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

use super::flush::is_conflict;
use super::together;
use crate::compose::{Installation, Visible};

/// Merges of one table at one turn: the rest waits for the next.
const STEPS_MAX: u32 = 64;

/// Merges what is worth it, table by table. One that fails does not keep the others from being merged.
pub(super) async fn run(installation: &Installation) -> Result<Value> {
    let (mut merged, mut parts) = (0, 0);
    let mut failures = Vec::new();
    for (account, table) in tables(installation).await? {
        for _ in 0..STEPS_MAX {
            let keep = Visible::by(installation.rules());
            let step = installation
                .lake()
                .compact(account, table, keep as Arc<_>)
                .await;
            let report = match step.map_err(anyhow::Error::from) {
                Ok(report) => report,
                // A deletion came in between: the next step takes the new rules.
                Err(error) if is_conflict(&error) => continue,
                Err(error) => {
                    failures.push(error.context(format!(
                        "failed to merge parts of {} of account {account}",
                        table.as_str()
                    )));
                    break;
                }
            };
            if report.merged == 0 {
                break;
            }
            merged += report.merged;
            parts += report.parts;
        }
    }
    together(failures)?;
    Ok(json!({"merged": merged, "parts": parts}))
}

/// Every account's tables that have parts.
async fn tables(installation: &Installation) -> Result<BTreeSet<(AccountId, Table)>> {
    let view = installation
        .control()
        .view(None, &Table::ALL)
        .await
        .context("failed to read the list of parts")?;
    Ok(view
        .parts
        .iter()
        .map(|part| (part.account, part.table))
        .collect())
}
