//! The sweeper: what is past its retention is removed, and it is written down what was.
//!
//! Whatever grows old is one [`Swept`]: it says what it removed, and each removal is an entry in the
//! audit log of the account. A kind that fails does not keep the others from being swept.

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use control::{Action, Actor, AuditOutcome};
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

/// Something that grows old.
#[async_trait]
trait Swept: Sync {
    /// Removes what is past its retention, and writes down what was; how many rows.
    async fn sweep(&self, installation: &Installation, actor: &Actor) -> Result<u64>;
}

/// Everything that is swept, in order.
const SWEPT: [&dyn Swept; 4] = [&Rows, &Marks, &AuditLogs, &SignIns];

/// Removes what is past its retention everywhere.
pub(super) async fn run(installation: &Installation) -> Result<Value> {
    let actor = Actor::system("expiry");
    let mut removed = 0;
    let mut failure = None;
    for swept in SWEPT {
        match swept.sweep(installation, &actor).await {
            Ok(rows) => removed += rows,
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    match failure {
        Some(error) => Err(error),
        None => Ok(json!({"rows_removed": removed})),
    }
}

/// The tables of every account.
struct Rows;

#[async_trait]
impl Swept for Rows {
    async fn sweep(&self, installation: &Installation, actor: &Actor) -> Result<u64> {
        let accounts = installation.control().accounts(actor).await;
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
            let rows = expire(installation, account, table, before).await?;
            if rows > 0 {
                removed += rows;
                let note = format!("{rows} rows from before {before}");
                installation
                    .control()
                    .audit(
                        actor,
                        account,
                        Action::Purged,
                        table.as_str(),
                        &note,
                        AuditOutcome::Done,
                    )
                    .await
                    .context("failed to write down what was removed")?;
            }
        }
        Ok(removed)
    }
}

/// Removes the rows of a table from before a time.
async fn expire(
    installation: &Installation,
    account: AccountId,
    table: Table,
    before: Timestamp,
) -> Result<u64> {
    let mut removed = 0;
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
                    return Ok(removed);
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
        Table::Requests => now.minus(DAY * request_days),
        Table::Quarantine => now.minus(DAY * installation.settings().quarantine_retention_days),
        Table::ProfileChanges | Table::Links => return None,
    };
    Some(since.day().start())
}

/// What operators noted about rows that are gone.
struct Marks;

#[async_trait]
impl Swept for Marks {
    async fn sweep(&self, installation: &Installation, actor: &Actor) -> Result<u64> {
        let settings = installation.settings();
        let now = installation.clock().now();
        // A mark is younger than its record; a day more, since days go as a whole.
        let marks = now.minus(DAY * settings.quarantine_retention_days.saturating_add(1));
        let drops = now.minus(DAY * settings.requests_retention_days.saturating_add(1));
        let (marks, drops) = installation
            .control()
            .forget_marks(actor, marks, drops)
            .await
            .context("failed to forget old marks")?;
        Ok(marks + drops)
    }
}

/// What is left of sign-ins: failures, sessions that are over, old links and mails.
struct SignIns;

#[async_trait]
impl Swept for SignIns {
    async fn sweep(&self, installation: &Installation, _: &Actor) -> Result<u64> {
        let swept = installation.control().sweep_sign_ins().await;
        swept.context("failed to forget old sign-ins")
    }
}

/// Entries of the audit logs; their leaves stay.
struct AuditLogs;

#[async_trait]
impl Swept for AuditLogs {
    async fn sweep(&self, installation: &Installation, actor: &Actor) -> Result<u64> {
        let accounts = installation.control().accounts(actor).await;
        let accounts = accounts.context("failed to list the accounts")?;
        let now = installation.clock().now();
        let before = now.minus(DAY * control::AUDIT_RETENTION_DAYS);
        let mut removed = 0;
        let logs = accounts.iter().map(|account| account.id);
        for account in logs.chain([AccountId::installation()]) {
            loop {
                let purged = installation
                    .control()
                    .purge_audit(actor, account, before)
                    .await
                    .with_context(|| {
                        format!("failed to purge the audit log of account {account}")
                    })?;
                removed += purged;
                if purged == 0 {
                    break;
                }
            }
        }
        Ok(removed)
    }
}
