//! What SDKs had sent before this start.
//!
//! A server that was killed may have stored a batch and never answered: its sender will send it
//! again. So the newest commits of the journal are looked through before anybody is let in. It must
//! never keep a server from starting.

use futures::StreamExt as _;
use std::cmp::Reverse;

use crate::compose::Installation;

/// Commits that are looked through.
const COMMITS_MAX: usize = 512;
/// Bytes of them.
const COMMIT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Commits that are read at a time.
const PARALLEL: usize = 8;

/// Looks through the newest commits, the newest first.
pub(crate) async fn recall(installation: &Installation) {
    let journal = installation.journal();
    let mut commits = journal.live();
    commits.sort_by_key(|it| Reverse((it.written_at, it.id)));
    let mut bytes = 0;
    let newest = commits.into_iter().take(COMMITS_MAX).take_while(|it| {
        bytes += it.size_bytes;
        bytes <= COMMIT_BYTES_MAX
    });
    let mut read = futures::stream::iter(newest)
        .map(|commit| journal.read(commit.id))
        .buffered(PARALLEL);
    while let Some(entries) = read.next().await {
        match entries {
            Ok(entries) => {
                if !installation.recall(&entries) {
                    return;
                }
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "failed to look through a commit for what SDKs sent");
            }
        }
    }
}
