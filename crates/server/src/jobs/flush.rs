//! Commits into parts: by age, by size, and by hand.

#[cfg(test)]
mod tests;

use anyhow::{Context as _, Result};
use model::catalog::{Catalog as _, Consumed};
use model::{CommitId, ErrorKind, WriterId};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::compose::{Installation, Visible};

/// How often it is looked whether a flush is due.
pub(super) const POLL: Duration = Duration::from_secs(1);
/// Bytes of commits, as stored, that one publication takes: they are in memory decoded.
const ROUND_BYTES_MAX: u64 = 6 * 1024 * 1024;
/// Bytes of their entries, decoded, from which on it takes no further commit: what repeats itself is a
/// hundred times as large in memory as it is stored.
const ROUND_DECODED_BYTES_MAX: usize = 128 * 1024 * 1024;
/// How long a flush that failed waits at most for its next turn.
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(60);
/// How often a flush that met something is tried again before it is an error.
const ATTEMPTS_MAX: u32 = 5;

/// Whether the journal holds enough, or its oldest commit is old enough.
pub(super) fn is_due(installation: &Installation) -> bool {
    let (settings, status) = (installation.settings(), installation.journal().status());
    let age_max = u64::from(settings.flush_interval_s) * 1_000;
    status.live_bytes >= settings.flush_bytes
        || status.oldest_age_ms.is_some_and(|age| age >= age_max)
}

/// Flushes everything that is in the journal now.
pub(super) async fn run(installation: &Installation) -> Result<Value> {
    let last = newest(installation);
    let (mut parts, mut rows, mut suppressed, mut retired) = (0, 0, 0, 0);
    let mut attempts = 0;
    loop {
        let round = Box::pin(flush_round(installation, &last, ROUND_DECODED_BYTES_MAX)).await;
        match round {
            Ok(None) => break,
            Ok(Some(report)) => {
                attempts = 0;
                parts += report.parts;
                rows += report.rows;
                suppressed += report.suppressed;
            }
            Err(error) if attempts < ATTEMPTS_MAX && is_conflict(&error) => attempts += 1,
            Err(error) => return Err(error).context("failed to flush the journal"),
        }
        retired += retire(installation).await?;
    }
    retired += retire(installation).await?;
    crate::admin::write_left_out(installation).await?;
    Ok(json!({"parts": parts, "rows": rows, "suppressed": suppressed, "commits": retired}))
}

/// The last commit of each writer that is in the journal now.
fn newest(installation: &Installation) -> BTreeMap<WriterId, u64> {
    let mut last: BTreeMap<WriterId, u64> = BTreeMap::new();
    for commit in installation.journal().live() {
        let newest = last.entry(commit.id.writer).or_default();
        *newest = (*newest).max(commit.id.number);
    }
    last
}

/// Flushes some of the oldest commits, up to `last` of each writer; none when there are none left.
/// It ends with the commit by which `decoded_bytes_max` of entries are in memory.
async fn flush_round(
    installation: &Installation,
    last: &BTreeMap<WriterId, u64>,
    decoded_bytes_max: usize,
) -> Result<Option<lake::FlushReport>> {
    let control = installation.control();
    let view = control
        .view(None, &[])
        .await
        .context("failed to read the watermarks")?;
    let watermark = |writer: WriterId| {
        view.watermarks
            .iter()
            .find(|(of, _)| *of == writer)
            .map_or(0, |(_, number)| *number)
    };
    let mut chosen: Vec<CommitId> = Vec::new();
    let mut bytes = 0;
    for commit in installation.journal().live() {
        let CommitId { writer, number } = commit.id;
        if number <= watermark(writer) || last.get(&writer).is_none_or(|last| number > *last) {
            continue;
        }
        if bytes > 0 && bytes + commit.size_bytes > ROUND_BYTES_MAX {
            break;
        }
        bytes += commit.size_bytes;
        chosen.push(commit.id);
    }
    if chosen.is_empty() {
        return Ok(None);
    }
    // Commits come by writer, then by number: what is chosen of a writer has no gap.
    let mut to: BTreeMap<WriterId, u64> = BTreeMap::new();
    let mut commits = Vec::with_capacity(chosen.len());
    let mut decoded_bytes = 0;
    for id in chosen {
        if decoded_bytes >= decoded_bytes_max {
            break;
        }
        let entries = installation.journal().read(id).await.with_context(|| {
            format!(
                "failed to read commit {} of writer {}",
                id.number, id.writer
            )
        })?;
        decoded_bytes = entries
            .iter()
            .map(journal::size_bytes)
            .fold(decoded_bytes, usize::saturating_add);
        to.insert(id.writer, id.number);
        commits.push((id, entries));
    }
    let consumed = to
        .into_iter()
        .map(|(writer, to)| Consumed {
            writer,
            from: watermark(writer),
            to,
        })
        .collect();
    // After the commits: what a deletion hid until now is left out, and what it hides from now on
    // makes the publication conflict.
    let keep = Visible::by(installation.rules());
    let report = installation
        .lake()
        .flush(commits, consumed, keep as Arc<_>)
        .await?;
    Ok(Some(report))
}

/// Retires what is in parts.
pub(super) async fn retire(installation: &Installation) -> Result<usize> {
    let view = installation
        .control()
        .view(None, &[])
        .await
        .context("failed to read the watermarks")?;
    installation
        .journal()
        .retire(&view.watermarks)
        .await
        .context("failed to retire commits that are in parts")
}

/// Whether something moved under the act, so that it can be tried again at once.
pub(super) fn is_conflict(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<lake::Error>())
        .any(|error| error.kind() == ErrorKind::Conflict)
}
