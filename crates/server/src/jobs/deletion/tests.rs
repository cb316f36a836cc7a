//! What a deletion reaches and leaves behind, and what keeps it from its end.

use control::{Actor, Deletion, DeletionState, LedgerKey};
use model::catalog::Catalog as _;
use model::record::{Entry, Link, LinkKind, Record, Table};
use model::{AccountId, Clock as _, IdentityKind, PersonKey, RecordId};
use object_store::ObjectStoreExt as _;
use object_store::path::Path;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::attention::Kind;
use crate::compose::Installation;
use crate::jobs::tests::{account, append, event, lose_part, opened};
use crate::jobs::{self, Job, Turn};
use crate::testing::{Folder, operator};

const PERSON: PersonKey = PersonKey([7; 16]);

fn link(
    folder: &Folder,
    account: AccountId,
    (from, from_kind): (PersonKey, IdentityKind),
    (to, kind): (PersonKey, LinkKind),
    seconds: u64,
) -> Entry {
    let ts = folder.clock.now().plus(Duration::from_secs(seconds));
    let link = Link {
        id: RecordId([from.0[0], to.0[0]].repeat(8).try_into().unwrap()),
        from,
        to,
        ts,
        received_at: ts,
        from_kind,
        kind,
    };
    Entry {
        account,
        record: Record::Link(link),
    }
}

async fn order(installation: &Installation, account: AccountId) {
    let keys = vec![LedgerKey::whole(PERSON)];
    installation
        .control()
        .request_deletion(operator(), account, keys, "a test")
        .await
        .unwrap();
}

async fn deletion(installation: &Installation, account: AccountId) -> Deletion {
    let deletions = installation.control().deletions(operator(), account).await;
    deletions.unwrap().remove(0)
}

/// Events in parts.
async fn rows(installation: &Installation, account: AccountId) -> u64 {
    let control = installation.control();
    let view = control.view(Some(account), &[Table::Events]).await.unwrap();
    view.parts.iter().map(|it| it.rows).sum()
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
    jobs::run(&installation, Job::Flush).await.unwrap();
    lose_part(&folder, &installation, broken, Table::Events).await;

    for account in [broken, sound] {
        order(&installation, account).await;
    }
    // It is flushed although nobody can say whether it is in the part.
    append(&installation, vec![event(&folder, broken, 1, PERSON)]).await;
    let error = jobs::run(&installation, Job::Deletion).await.unwrap_err();
    let said = format!("{error:#}");
    assert!(said.contains(broken.as_str()), "{said}");
    let kept = deletion(&installation, broken).await;
    assert_eq!(kept.state, DeletionState::Running, "it comes again");
    let done = deletion(&installation, sound).await;
    assert_eq!(done.state, DeletionState::Done);
}

#[tokio::test]
async fn a_live_part_without_a_key_holds_up_every_deletion_and_no_flush() {
    let folder = Folder::new().await;
    let installation = folder.open(|_| {}).await;
    let (broken, sound) = (
        account(&installation, "broken").await,
        account(&installation, "sound").await,
    );
    let events = [broken, sound].map(|account| event(&folder, account, 1, PERSON));
    append(&installation, events.to_vec()).await;
    jobs::run(&installation, Job::Flush).await.unwrap();
    let control = installation.control();
    let view = control.view(Some(broken), &[Table::Events]).await.unwrap();
    let paths = [view.parts[0].path.clone()];
    installation.keys().objects_deleted(&paths).await.unwrap();

    append(&installation, vec![event(&folder, broken, 1, PERSON)]).await;
    jobs::run(&installation, Job::Flush).await.unwrap();
    assert_eq!(rows(&installation, broken).await, 2);
    order(&installation, sound).await;
    let error = jobs::run(&installation, Job::Deletion).await.unwrap_err();
    let said = format!("{error:#}");
    assert!(said.contains(&paths[0]), "{said}");
    let kept = deletion(&installation, sound).await;
    assert_eq!(kept.state, DeletionState::Running, "it comes again");
}

#[tokio::test]
async fn a_link_that_was_under_way_when_it_was_ordered_is_followed() {
    let (folder, installation, account) = opened().await;
    order(&installation, account).await;
    let other = PersonKey([8; 16]);
    let from = (other, IdentityKind::Identity);
    let entries = vec![
        event(&folder, account, 1, PERSON),
        event(&folder, account, 2, other),
        event(&folder, account, 3, PersonKey([9; 16])),
        link(&folder, account, from, (PERSON, LinkKind::Alias), 0),
    ];
    append(&installation, entries).await;
    jobs::run(&installation, Job::Deletion).await.unwrap();
    let done = deletion(&installation, account).await;
    assert_eq!(done.state, DeletionState::Done);
    assert_eq!(done.keys, [PERSON, other].map(LedgerKey::whole));
    assert_eq!(rows(&installation, account).await, 1);
}

#[tokio::test]
async fn the_links_of_a_name_that_is_found_later_are_there_at_the_next_turn() {
    let (folder, installation, account) = opened().await;
    order(&installation, account).await;
    jobs::run(&installation, Job::Deletion).await.unwrap();
    let [found, linked] = [PersonKey([8; 16]), PersonKey([9; 16])];
    let from = (linked, IdentityKind::Identity);
    let entries = vec![
        event(&folder, account, 1, found),
        event(&folder, account, 2, linked),
        link(&folder, account, from, (found, LinkKind::Alias), 0),
    ];
    append(&installation, entries).await;
    let id = deletion(&installation, account).await.id;
    let more = vec![LedgerKey::whole(found)];
    let job = Actor::system("deletion");
    let extended = installation.control().extend_deletion(&job, id, more);
    assert_eq!(extended.await.unwrap(), 1);
    // Between two turns of the deletion, others have theirs.
    for job in [Job::Flush, Job::Compaction, Job::Deletion] {
        jobs::run(&installation, job).await.unwrap();
    }
    let done = deletion(&installation, account).await;
    assert_eq!(done.state, DeletionState::Done);
    assert_eq!(done.keys, [PERSON, found, linked].map(LedgerKey::whole));
    assert_eq!(rows(&installation, account).await, 0);
}

#[tokio::test]
async fn nothing_is_taken_out_while_links_cannot_be_read() {
    let (folder, installation, account) = opened().await;
    let other = PersonKey([8; 16]);
    let from = (other, IdentityKind::Identity);
    let entries = vec![
        event(&folder, account, 1, PERSON),
        event(&folder, account, 2, other),
        link(&folder, account, from, (PERSON, LinkKind::Alias), 0),
    ];
    append(&installation, entries).await;
    jobs::run(&installation, Job::Flush).await.unwrap();
    let (path, bytes) = lose_part(&folder, &installation, account, Table::Links).await;
    order(&installation, account).await;
    append(&installation, vec![event(&folder, account, 3, PERSON)]).await;
    let commits = installation.journal().status().commits;
    let error = jobs::run(&installation, Job::Deletion).await.unwrap_err();
    let said = format!("{error:#}");
    assert!(said.contains("failed to follow the links"), "{said}");
    let later = installation.journal().status().commits;
    assert_eq!(later, commits, "nor a commit under a new key written");
    // Nor by a flush that comes before the next turn.
    jobs::run(&installation, Job::Flush).await.unwrap();
    let kept = deletion(&installation, account).await;
    assert_eq!(
        (kept.state, kept.has_begun),
        (DeletionState::Pending, false)
    );
    assert_eq!(rows(&installation, account).await, 3);
    installation.close().await.unwrap();
    drop(installation);

    // Its volume is back.
    fs::write(path, bytes).unwrap();
    let installation = folder.open(|_| {}).await;
    jobs::run(&installation, Job::Deletion).await.unwrap();
    let done = deletion(&installation, account).await;
    assert_eq!(done.state, DeletionState::Done);
    assert_eq!(done.keys, [PERSON, other].map(LedgerKey::whole));
    assert_eq!(rows(&installation, account).await, 0);
    installation.close().await.unwrap();
}

#[tokio::test]
async fn nothing_is_begun_with_while_a_copy_of_the_keyring_is_away() {
    let folder = Folder::new().await;
    // A new key table waits for every copy.
    let installation = folder.open(|_| {}).await;
    installation.close().await.unwrap();
    drop(installation);
    let copies = vec![PathBuf::from("away/keyring")];
    let installation = folder.open(|config| config.keyring.copies = copies).await;
    let account = account(&installation, "a").await;
    append(&installation, vec![event(&folder, account, 1, PERSON)]).await;
    order(&installation, account).await;
    let commits = installation.journal().status().commits;
    let error = jobs::run(&installation, Job::Deletion).await.unwrap_err();
    let said = format!("{error:#}");
    assert!(said.contains("away/keyring"), "{said}");
    let kept = deletion(&installation, account).await;
    assert_eq!(
        (kept.state, kept.has_begun),
        (DeletionState::Pending, false)
    );
    let later = installation.journal().status().commits;
    assert_eq!(later, commits, "nothing was written or flushed");

    fs::create_dir(folder.path("away")).unwrap();
    jobs::run(&installation, Job::Deletion).await.unwrap();
    let done = deletion(&installation, account).await;
    assert_eq!(done.state, DeletionState::Done);
    installation.close().await.unwrap();
}

#[tokio::test]
async fn a_device_that_others_have_had_leads_to_none_of_them() {
    let (folder, installation, account) = opened().await;
    // The device is hidden whole: nobody else was known to have had it.
    order(&installation, account).await;
    let device = (PERSON, IdentityKind::ObjectId);
    let people = [PersonKey([8; 16]), PersonKey([9; 16])];
    let [first, second] = people.map(|it| (it, LinkKind::Device));
    let entries = vec![
        link(&folder, account, device, first, 0),
        link(&folder, account, device, second, 5),
        event(&folder, account, 1, people[0]),
        event(&folder, account, 2, people[1]),
    ];
    append(&installation, entries).await;
    folder.clock.advance(Duration::from_secs(60));
    jobs::run(&installation, Job::Deletion).await.unwrap();
    assert_eq!(deletion(&installation, account).await.keys.len(), 1);
    assert_eq!(rows(&installation, account).await, 2);
}

#[tokio::test]
async fn a_receipt_is_signed_and_says_what_every_turn_found() {
    let (folder, installation, account) = opened().await;
    for number in 1..=2 {
        append(&installation, vec![event(&folder, account, number, PERSON)]).await;
        jobs::run(&installation, Job::Flush).await.unwrap();
    }
    let (path, bytes) = lose_part(&folder, &installation, account, Table::Events).await;
    order(&installation, account).await;
    let turn = jobs::run(&installation, Job::Deletion).await;
    assert!(turn.is_err(), "one of the two cannot be read");
    installation.close().await.unwrap();
    drop(installation);

    // Its volume is back.
    fs::write(path, bytes).unwrap();
    let installation = folder.open(|_| {}).await;
    jobs::run(&installation, Job::Deletion).await.unwrap();
    let done = deletion(&installation, account).await;
    let receipt: Value = serde_json::from_str(done.receipt.unwrap().as_str()).unwrap();
    assert_eq!(receipt["found"], json!({"events": 2}));
    assert_eq!(receipt["replaced"].as_array().unwrap().len(), 2);
    let key = installation.control().audit_key().unwrap();
    let checked = control::verify_receipt(&done.signed_receipt.unwrap(), Some(&key));
    assert_eq!(checked.findings, Vec::<String>::new());
    installation.close().await.unwrap();
}

#[tokio::test]
async fn objects_that_no_list_names_go_however_young_and_live_ones_open() {
    let (_folder, installation, account) = opened().await;
    let (control, store) = (installation.control(), installation.store());
    // As after a kill between the key's being written down and the publication.
    let orphan = Path::from("lake/orphan");
    store.put(&orphan, "x".into()).await.unwrap();
    installation.keys().record().await.unwrap();

    let keys = vec![LedgerKey::whole(PersonKey([1; 16]))];
    let ordered = control.request_deletion(operator(), account, keys, "a test");
    ordered.await.unwrap();
    let report = jobs::run(&installation, Job::Deletion).await.unwrap();
    assert_eq!(report["completed"], 1, "{report}");
    assert_eq!(report["objects"], 1, "{report}");
    assert!(store.get(&orphan).await.is_err());

    // The line of the request log that the job itself wrote, at least.
    let live = control.view(None, &Table::ALL).await.unwrap().parts;
    assert!(!live.is_empty());
    for part in live {
        let found = store.get(&Path::from(part.path.as_str())).await.unwrap();
        assert!(!found.bytes().await.unwrap().is_empty());
    }
    installation.close().await.unwrap();
}

#[tokio::test]
async fn an_order_of_a_clock_that_has_gone_back_is_overdue_and_waits_its_grace_alone() {
    let (folder, installation, account) = opened().await;
    let overdue = || {
        let found = installation.attention().find();
        found.iter().any(|it| it.kind == Kind::Deletion)
    };
    let turn = async || {
        let done = jobs::run_at(&installation, Job::Deletion, Turn::InTime).await;
        done.unwrap()["completed"].clone()
    };
    order(&installation, account).await;
    assert_eq!(turn().await, 0);
    assert!(!overdue());
    let day = Duration::from_secs(86_400);
    folder.clock.set(folder.clock.now().minus(3 * day));
    assert_eq!(turn().await, 0);
    assert!(overdue());
    let grace = Duration::from_secs(installation.settings().deletion_grace_s.into());
    folder.clock.advance(grace);
    assert_eq!(turn().await, 1);
    assert_eq!(turn().await, 0);
    assert!(!overdue());
    installation.close().await.unwrap();
}
