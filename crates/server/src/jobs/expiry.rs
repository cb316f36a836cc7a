//! What is past its retention is removed, whole days at a time.

use anyhow::{Context as _, Result};
use control::Actor;
use model::record::Table;
use model::{AccountId, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::compaction::tables;
use super::flush::is_conflict;
use crate::compose::{Installation, Visible};

const DAY: Duration = Duration::from_secs(86_400);
/// How often an expiry that met something is tried again at one turn.
const ATTEMPTS_MAX: u32 = 5;

/// Removes expired rows of every account.
pub(super) async fn run(installation: &Installation) -> Result<Value> {
    let actor = Actor::system("expiry");
    let accounts = installation.control().accounts(&actor).await;
    let accounts = accounts.context("failed to read the accounts' retention")?;
    let request_days: BTreeMap<AccountId, u32> = accounts
        .iter()
        .map(|account| (account.id, account.request_retention_days))
        .collect();
    let mut removed = 0;
    for (account, table) in tables(installation).await? {
        let days = request_days.get(&account).copied();
        let days = days.unwrap_or_else(|| installation.settings().requests_retention_days);
        let Some(before) = kept_since(installation, account, table, days) else {
            continue;
        };
        let mut attempts = 0;
        loop {
            let keep = Visible::by(installation.rules());
            let expired = installation
                .lake()
                .expire(account, table, before, keep as Arc<_>)
                .await;
            match expired.map_err(anyhow::Error::from) {
                Ok(report) => {
                    removed += report.rows_removed;
                    if report.complete {
                        break;
                    }
                }
                Err(error) if attempts < ATTEMPTS_MAX && is_conflict(&error) => attempts += 1,
                Err(error) => {
                    return Err(error).with_context(|| {
                        format!("failed to expire {} of account {account}", table.as_str())
                    });
                }
            }
        }
    }
    let purged = purge_audit(installation, &actor, accounts.iter().map(|it| it.id)).await?;
    Ok(json!({"rows_removed": removed, "audit_entries_purged": purged}))
}

/// Removes entries of the audit logs that are past their retention.
async fn purge_audit(
    installation: &Installation,
    actor: &Actor,
    accounts: impl Iterator<Item = AccountId>,
) -> Result<u64> {
    let before = installation
        .clock()
        .now()
        .minus(DAY * control::AUDIT_RETENTION_DAYS);
    let mut removed = 0;
    for account in accounts.chain([AccountId::installation()]) {
        loop {
            let purged = installation
                .control()
                .purge_audit(actor, account, before)
                .await
                .with_context(|| format!("failed to purge the audit log of account {account}"))?;
            removed += purged;
            if purged == 0 {
                break;
            }
        }
    }
    Ok(removed)
}

/// Since when rows of a table are kept: the start of a day. None for what never grows old: who a
/// person is outlives what they did.
fn kept_since(
    installation: &Installation,
    account: AccountId,
    table: Table,
    request_days: u32,
) -> Option<Timestamp> {
    let now = installation.clock().now();
    let since = match table {
        Table::Events => installation.rules().account(account)?.kept_since(now),
        Table::Requests | Table::Quarantine => now.minus(DAY * request_days),
        Table::ProfileChanges | Table::Links => return None,
    };
    Some(since.day().start())
}
