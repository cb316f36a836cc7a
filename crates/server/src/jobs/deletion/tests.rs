//! What a deletion reaches, and what keeps it from its end.

use control::{DeletionState, LedgerKey};
use model::catalog::Catalog as _;
use model::record::{Entry, Event, Record, Source, Table};
use model::{AccountId, Clock as _, PersonKey, RawJson, RecordId};
use std::fs;
use std::path::Path;

use crate::compose::Installation;
use crate::jobs::{self, Job};
use crate::testing::{Folder, operator};

const PERSON: PersonKey = PersonKey([7; 16]);

async fn account(installation: &Installation, name: &str) -> AccountId {
    let made = installation
        .control()
        .create_account(operator(), name, "UTC");
    made.await.unwrap().account_id
}

fn event(folder: &Folder, account: AccountId, number: u8, person: PersonKey) -> Entry {
    let now = folder.clock.now();
    let event = Event {
        id: RecordId([number; 16]),
        person,
        name: "Charged".into(),
        ts: now,
        received_at: now,
        ts_sent: None,
        source: Source::Rest,
        session: None,
        properties: RawJson::empty_object(),
        context: None,
    };
    Entry {
        account,
        record: Record::Event(event),
    }
}

async fn append(installation: &Installation, entries: Vec<Entry>) {
    installation.journal().append(entries).await.unwrap();
}

async fn order(installation: &Installation, account: AccountId) {
    let key = LedgerKey {
        person: PERSON,
        from: None,
        to: None,
    };
    installation
        .control()
        .request_deletion(operator(), account, vec![key], "a test")
        .await
        .unwrap();
}

async fn state(installation: &Installation, account: AccountId) -> DeletionState {
    let deletions = installation.control().deletions(operator(), account).await;
    deletions.unwrap()[0].state
}

/// Removes the files whose names hold `name`; how many.
fn lose(folder: &Path, name: &str) -> usize {
    let mut lost = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            lost += lose(&path, name);
        } else if path.to_string_lossy().contains(name) {
            fs::remove_file(path).unwrap();
            lost += 1;
        }
    }
    lost
}

#[tokio::test]
async fn a_part_that_is_lost_keeps_the_deletions_of_its_account_alone() {
    let folder = Folder::new().await;
    let installation = folder.open(|_| {}).await;
    let (broken, sound) = (
        account(&installation, "broken").await,
        account(&installation, "sound").await,
    );
    let events = [broken, sound].map(|account| event(&folder, account, 1, PERSON));
    append(&installation, events.to_vec()).await;
    Box::pin(jobs::run(&installation, Job::Flush))
        .await
        .unwrap();
    let view = installation
        .control()
        .view(Some(broken), &[Table::Events])
        .await
        .unwrap();
    let part = view.parts[0].id.to_string();
    assert_eq!(lose(&folder.path(""), &part), 1);

    for account in [broken, sound] {
        order(&installation, account).await;
    }
    // It is flushed although nobody can say whether it is in the part.
    append(&installation, vec![event(&folder, broken, 1, PERSON)]).await;
    let error = Box::pin(jobs::run(&installation, Job::Deletion))
        .await
        .unwrap_err();
    let said = format!("{error:#}");
    assert!(said.contains(broken.as_str()), "{said}");
    assert_eq!(
        state(&installation, broken).await,
        DeletionState::Running,
        "it comes again"
    );
    assert_eq!(state(&installation, sound).await, DeletionState::Done);
}
