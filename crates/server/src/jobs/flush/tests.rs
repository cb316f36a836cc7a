//! How much one publication takes.

use model::record::{Entry, Event, Record, Source};
use model::{AccountId, Clock as _, PersonKey, RawJson, RecordId};

use super::{flush_round, newest};
use crate::testing::{Folder, operator};

/// Events that differ in nothing but their ids.
fn events(folder: &Folder, account: AccountId, first: u128) -> Vec<Entry> {
    let now = folder.clock.now();
    let event = |number: u128| Event {
        id: RecordId(number.to_be_bytes()),
        person: PersonKey([7; 16]),
        name: "Charged".into(),
        ts: now,
        received_at: now,
        ts_sent: None,
        source: Source::Rest,
        session: None,
        properties: RawJson::empty_object(),
        context: None,
    };
    let entry = |number| Entry {
        account,
        record: Record::Event(event(number)),
    };
    (first..first + 1_000).map(entry).collect()
}

#[tokio::test]
async fn a_round_ends_where_decoded_entries_fill_their_memory() {
    let folder = Folder::new().await;
    let installation = folder.open(|_| {}).await;
    let made = installation
        .control()
        .create_account(operator(), "a", "UTC");
    let account = made.await.unwrap().account_id;
    let mut decoded_bytes = 0_usize;
    for first in [1, 1_001, 2_001] {
        let entries = events(&folder, account, first);
        decoded_bytes = entries.iter().map(journal::size_bytes).sum();
        installation.journal().append(entries).await.unwrap();
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
