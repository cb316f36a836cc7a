//! The sweeper: what is past its retention is removed, and it is written down what was.
//!
//! Whatever grows old is one [`Swept`]: it says what it removed, and each removal is an entry in the
//! audit log of the account. A kind that fails does not keep the others from being swept.

#[cfg(test)]
mod tests;

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use control::{Action, Actor, AuditOutcome};
use model::catalog::Catalog as _;
use model::record::Table;
use model::{AccountId, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

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
const SWEPT: [&dyn Swept; 3] = [&Rows, &AuditLogs, &SignIns];

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

/// The tables of every account, and what operators noted about rows that are gone.
struct Rows;

#[async_trait]
impl Swept for Rows {
    async fn sweep(&self, installation: &Installation, actor: &Actor) -> Result<u64> {
        let accounts = installation.control().accounts(actor).await;
        let accounts = accounts.context("failed to read the accounts' retention")?;
        let own_days: BTreeMap<AccountId, u32> = accounts
            .iter()
            .filter_map(|account| Some((account.id, account.request_retention_days?)))
            .collect();
        let mut removed = 0;
        let mut failure = None;
        for ((account, table), oldest) in oldest(installation).await? {
            let days = own_days.get(&account).copied();
            let days = days.unwrap_or_else(|| installation.settings().requests_retention_days);
            let before = kept_since(installation, account, table, days);
            let Some(before) = before.filter(|before| oldest < *before) else {
                continue;
            };
            let purge = Purge {
                installation,
                actor,
                account,
                table,
                before,
            };
            match purge.run().await {
                Ok(rows) => removed += rows,
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        match failure {
            // A mark outlives its row: what was deleted or replayed must not wait again.
            Some(error) => Err(error),
            None => Ok(removed + forget_marks(installation, actor).await?),
        }
    }
}

/// Every account's tables that have parts, and when the oldest row is from.
async fn oldest(installation: &Installation) -> Result<BTreeMap<(AccountId, Table), Timestamp>> {
    let view = installation
        .control()
        .view(None, &Table::ALL)
        .await
        .context("failed to read the list of parts")?;
    let mut oldest = BTreeMap::new();
    for part in &view.parts {
        let place = (part.account, part.table);
        let since = oldest.entry(place).or_insert(part.ts_min);
        *since = part.ts_min.min(*since);
    }
    Ok(oldest)
}

/// The removal of a table's rows from before a time.
struct Purge<'a> {
    installation: &'a Installation,
    actor: &'a Actor,
    account: AccountId,
    table: Table,
    before: Timestamp,
}

impl Purge<'_> {
    /// Removes them; how many. It is written down before the first goes, since a stop may end it
    /// anywhere, and at its end how many went, also when it failed.
    async fn run(&self) -> Result<u64> {
        let words = format!("rows from before {}", self.before);
        self.note(&words, AuditOutcome::Begun).await?;
        let mut removed = 0;
        let expired = self.expire(&mut removed).await;
        let outcome = match &expired {
            Ok(()) => AuditOutcome::Done,
            Err(_) => AuditOutcome::Failed,
        };
        let noted = self.note(&format!("{removed} {words}"), outcome).await;
        expired.and(noted).map(|()| removed)
    }

    async fn note(&self, words: &str, outcome: AuditOutcome) -> Result<()> {
        let (action, table) = (Action::Purged, self.table.as_str());
        let noted = self
            .installation
            .control()
            .audit(self.actor, self.account, action, table, words, outcome)
            .await;
        noted.context("failed to write down what is removed")
    }

    /// Adds what it removes to `removed` as it goes.
    async fn expire(&self, removed: &mut u64) -> Result<()> {
        let (account, table) = (self.account, self.table);
        let mut attempts = 0;
        loop {
            let keep = Visible::by(self.installation.rules());
            let expired = self
                .installation
                .lake()
                .expire(account, table, self.before, keep as Arc<_>)
                .await;
            match expired.map_err(anyhow::Error::from) {
                Ok(report) => {
                    *removed += report.rows_removed;
                    if report.complete {
                        return Ok(());
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

/// Forgets what operators noted about rows that are gone.
async fn forget_marks(installation: &Installation, actor: &Actor) -> Result<u64> {
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
