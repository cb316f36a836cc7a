//! The audit log for the operator: lists, downloads, the key that signs.

use anyhow::{Context as _, Result};
use control::{Action, Actor, AuditFilter, DownloadFormat};
use jiff::tz::TimeZone;
use model::AccountId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::execute::{account_id, day_start, rules, send};
use super::{Frame, Progress};
use crate::compose::Installation;
use crate::failure::{Failure, Kind};

/// What an operator can ask of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AuditRequest {
    /// Lists entries of one account's log.
    List {
        /// Whose; `0` for the installation.
        account: String,
        /// Which.
        wanted: AuditWanted,
        /// Numbered above this one.
        after: Option<u64>,
        /// At most so many.
        limit: u32,
    },
    /// Writes logs out. The data is the file.
    Export {
        /// Whose; all when none.
        account: Option<String>,
        /// Which entries.
        wanted: AuditWanted,
        /// How they are written.
        format: AuditFormat,
    },
    /// Shows the key that checks signatures.
    Key,
    /// Shows where the log is streamed to.
    Sinks,
}

/// Which entries are wanted, as written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AuditWanted {
    /// From the start of this day in the account's time zone.
    pub(crate) from: Option<String>,
    /// To the end of this day.
    pub(crate) to: Option<String>,
    /// By one of these, by email or name.
    pub(crate) actors: Vec<String>,
    /// One of these actions.
    pub(crate) actions: Vec<String>,
}

/// How an audit log is written out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AuditFormat {
    /// One JSON object a line, with proofs and signatures: it can be verified.
    Jsonl,
    /// For spreadsheets; it cannot be verified.
    Csv,
}

/// Carries out a request.
///
/// # Errors
/// What it failed with, or that the reader of `out` has gone.
pub(super) async fn execute(
    installation: &Installation,
    actor: &Actor,
    request: AuditRequest,
    out: mpsc::Sender<Frame>,
) -> Result<Value> {
    match request {
        AuditRequest::List {
            account,
            wanted,
            after,
            limit,
        } => {
            let (id, _) = rules(installation, &account)?;
            let filter = AuditFilter {
                after,
                limit,
                ..wanted.filter(&zone(installation, Some(id)))?
            };
            list(installation, actor, id, &filter).await
        }
        AuditRequest::Export {
            account,
            wanted,
            format,
        } => {
            let id = account.as_deref().map(account_id).transpose()?;
            let filter = wanted.filter(&zone(installation, id))?;
            export(installation, actor, id, filter, format, out).await
        }
        AuditRequest::Sinks => sinks(installation).await,
        AuditRequest::Key => Ok(json!({"key": installation.control().audit_key()?})),
    }
}

async fn sinks(installation: &Installation) -> Result<Value> {
    installation.sinks().look().await?;
    let views = installation.sinks().views().into_iter().map(|view| {
        let mut value = serde_json::to_value(&view).context("failed to show a sink")?;
        if let Some(members) = value.as_object_mut() {
            for (key, at) in [("down_since", view.down_since), ("taken_at", view.taken_at)] {
                members.insert(key.to_owned(), json!(at.map(|at| at.to_string())));
            }
        }
        Ok(value)
    });
    views.collect()
}

/// The zone in which the account's days begin.
fn zone(installation: &Installation, account: Option<AccountId>) -> TimeZone {
    account
        .and_then(|id| installation.rules().account(id).cloned())
        .map_or(TimeZone::UTC, |rules| rules.time_zone.clone())
}

impl AuditWanted {
    fn filter(self, zone: &TimeZone) -> Result<AuditFilter> {
        let action = |name: &String| {
            let known = || {
                Action::ALL
                    .iter()
                    .map(|it| it.as_str())
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            Action::from_name(name).ok_or_else(|| {
                let text = format!("there is no action `{name}`; there are {}", known());
                Failure::new(Kind::Invalid, text)
            })
        };
        let start = |text: &str| day_start(text, false, zone);
        let end = |text: &str| day_start(text, true, zone);
        Ok(AuditFilter {
            from: self.from.as_deref().map(start).transpose()?,
            to: self.to.as_deref().map(end).transpose()?,
            actions: self.actions.iter().map(action).collect::<Result<_, _>>()?,
            actors: self.actors,
            ..AuditFilter::default()
        })
    }
}

async fn list(
    installation: &Installation,
    actor: &Actor,
    account: AccountId,
    filter: &AuditFilter,
) -> Result<Value> {
    let entries = installation
        .control()
        .audit_log(actor, account, filter)
        .await
        .context("failed to read the audit log")?;
    let shown = entries.iter().map(|entry| {
        let mut value = serde_json::to_value(entry).context("failed to show an audit entry")?;
        if let Some(members) = value.as_object_mut() {
            members.insert("at".to_owned(), json!(entry.at.to_string()));
        }
        Ok(value)
    });
    shown.collect()
}

async fn export(
    installation: &Installation,
    actor: &Actor,
    account: Option<AccountId>,
    filter: AuditFilter,
    format: AuditFormat,
    out: mpsc::Sender<Frame>,
) -> Result<Value> {
    let filtered = filter.restricts();
    // No head is signed of a log that does not continue what was published.
    installation.heads().publish_all().await?;
    let format = match format {
        AuditFormat::Jsonl => DownloadFormat::JsonLines,
        AuditFormat::Csv => DownloadFormat::Csv,
    };
    let mut download = installation
        .control()
        .download_audit(actor, account, filter, format)
        .await
        .context("failed to download the audit log")?;
    while let Some(piece) = download
        .next_piece()
        .await
        .context("failed to go on with the download of the audit log")?
    {
        // Progress that finds no room is out of date anyway.
        drop(out.try_send(Frame::Progress(Progress {
            done: download.entries(),
            total: None,
        })));
        if !piece.is_empty() {
            send(&out, piece).await?;
        }
    }
    // The heads that were signed are published, so that somebody can keep them.
    for (account, note) in download.checkpoints() {
        installation.heads().keep(*account, note).await?;
    }
    Ok(json!({"entries": download.entries(), "filtered": filtered}))
}
