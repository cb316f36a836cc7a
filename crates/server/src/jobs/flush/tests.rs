//! How much one publication takes.

use model::PersonKey;

use super::{flush_round, newest};
use crate::jobs::tests::{append, event, opened};

#[tokio::test]
async fn a_round_ends_where_decoded_entries_fill_their_memory() {
    let (folder, installation, account) = opened().await;
    let mut decoded_bytes = 0_usize;
    for first in [1, 1_001, 2_001] {
        // They differ in nothing but their ids.
        let event = |number| event(&folder, account, number, PersonKey([7; 16]));
        let entries: Vec<_> = (first..first + 1_000).map(event).collect();
        decoded_bytes = entries.iter().map(journal::size_bytes).sum();
        append(&installation, entries).await;
    }
    let live = installation.journal().live();
    let stored_bytes: u64 = live.iter().map(|it| it.size_bytes).sum();
    assert!(stored_bytes < 64 * 1024, "they compress well");

    let last = newest(&installation);
    let mut rows = Vec::new();
    // One commit is not enough, two are.
    let round = || Box::pin(flush_round(&installation, &last, decoded_bytes + 1));
    while let Some(report) = round().await.unwrap() {
        rows.push(report.rows);
    }
    assert_eq!(rows, [2_000, 1_000]);
}
