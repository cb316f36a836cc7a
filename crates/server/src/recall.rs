//! What SDKs had said before this start: who has opted out, and what may come again.
//!
//! Who has opted out stands in the control database once it was flushed, and until then in the journal
//! alone: all of that is looked through before anybody is let in. A server that was killed may have
//! stored a batch and never answered, and its sender will send it again: the newest commits are
//! remembered for that. A commit that cannot be read must never keep a server from starting.

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use model::opt_out::{Latest, OptOut};
use std::cmp::Reverse;

use crate::compose::Installation;

/// Commits whose records are remembered.
const COMMITS_MAX: usize = 512;
/// Bytes of them.
const COMMIT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Commits that are read at a time.
const PARALLEL: usize = 8;
/// After so many commits it is said how far it is.
const COMMITS_TOLD: usize = 5_000;

/// Looks through the journal, the newest commits first.
///
/// # Errors
/// When the control database does not say who has opted out.
pub(crate) async fn recall(installation: &Installation) -> Result<()> {
    let collect = installation.collect();
    let opted_out = installation.control().opted_out().await;
    collect.remember_opt_outs(&opted_out.context("failed to read who has opted out")?);
    let journal = installation.journal();
    let mut commits = journal.live();
    commits.sort_by_key(|it| Reverse((it.written_at, it.id)));
    let all = commits.len();
    let mut read = futures::stream::iter(commits)
        .map(|commit| async move { (commit.size_bytes, journal.read_once(commit.id).await) })
        .buffered(PARALLEL);
    let mut said = Latest::default();
    let (mut remembered, mut bytes, mut has_room) = (0_usize, 0, true);
    while let Some((size_bytes, entries)) = read.next().await {
        bytes += size_bytes;
        has_room &= remembered < COMMITS_MAX && bytes <= COMMIT_BYTES_MAX;
        remembered += 1;
        if remembered.is_multiple_of(COMMITS_TOLD) {
            tracing::info!(
                commits.read = remembered,
                commits.all = all,
                "looking through the journal"
            );
        }
        match entries {
            Ok(entries) => {
                let mut of_commit = Latest::default();
                of_commit.extend(entries.iter().filter_map(OptOut::of));
                said.extend_with_earlier(of_commit);
                has_room = has_room && collect.recall(&entries);
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "failed to look through a commit for what SDKs sent");
            }
        }
    }
    collect.remember_opt_outs(&said.into_said());
    Ok(())
}
