//! How a journal behaves: bounds and times. Values only; it must never hold a component.

use model::limit;
use std::time::Duration;

/// The settings of one journal.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long the first append of a quiet moment waits for company. Under load the next commit
    /// fills while one is being written; then it waits for as many appends as that one answered, five
    /// times as long as this and 10 ms at most (longer only if this is longer).
    pub gather: Duration,
    /// How long offered lines wait for a commit that somebody waits for, before they get their own.
    pub lines_wait: Duration,
    /// The pause after a commit that failed.
    pub failure_pause: Duration,
    /// Encoded bytes that wait for a commit, or are being written; further appends wait their turn.
    pub waiting_bytes_max: usize,
    /// Bytes of live commits, as stored before sealing. From here on appends are refused.
    pub journal_bytes_max: u64,
    /// Bytes of decoded commits that are kept for readers.
    pub cache_bytes_max: usize,
    /// What commits of other nodes mean.
    pub other_nodes: OtherNodes,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            gather: Duration::from_millis(2),
            lines_wait: Duration::from_secs(1),
            failure_pause: Duration::from_millis(50),
            waiting_bytes_max: limit::COMMIT_BYTES_MAX.saturating_mul(4),
            journal_bytes_max: 4 * 1024 * 1024 * 1024,
            cache_bytes_max: limit::JOURNAL_MEMORY_BYTES_MAX,
            other_nodes: OtherNodes::Closed,
        }
    }
}

/// Whether writers of other nodes may be alive while this one opens the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherNodes {
    /// This process is the only one: every other writer has ended, and is settled.
    Closed,
    /// Others may be writing: only earlier starts of this node are settled and read.
    Alive,
}
