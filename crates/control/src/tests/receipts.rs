//! Receipts of deletions: whole however many turns there were, and signed.

use model::catalog::{Catalog as _, LeftOut, Publication};
use model::record::Table;
use model::{AccountId, ErrorKind, LedgerPosition, PersonKey};
use serde_json::{Value, json};
use std::sync::Arc;

use super::deletions::{JOB, last_turn, person};
use super::parts::part;
use super::support::{Faulty, World, operator};
use crate::{Action, AuditFilter, Control, DeletionId, LedgerKey, verify_receipt};

async fn account(control: &Control) -> AccountId {
    let made = control.create_account(&operator(), "Shop", "UTC").await;
    made.unwrap().account_id
}

/// An order for some people, with which the job has begun.
async fn started(control: &Control, account: AccountId, people: &[PersonKey]) -> DeletionId {
    let keys = people.iter().map(|it| LedgerKey::whole(*it)).collect();
    let operator = operator();
    let ordered = control.request_deletion(&operator, account, keys, "asked");
    let id = ordered.await.unwrap();
    control.start_deletion(&JOB, id, 1).await.unwrap();
    id
}

/// Rows that name these people, in parts of these numbers, or in the journal.
fn rows(
    account: AccountId,
    table: Table,
    named: [Option<PersonKey>; 2],
    count: u64,
    parts: &[u8],
) -> LeftOut {
    LeftOut {
        account,
        table,
        rows: [(named, count)].into(),
        parts: parts.iter().map(|it| Arc::new(part(*it))).collect(),
    }
}

async fn publish(
    control: &Control,
    ledger: LedgerPosition,
    left_out: Vec<LeftOut>,
) -> Result<(), ErrorKind> {
    let publication = Publication {
        ledger,
        left_out,
        ..Publication::default()
    };
    control.publish(publication).await.map_err(|it| it.kind)
}

/// The receipt of a deletion that is done: its content, and as it is signed.
async fn receipt(control: &Control, id: DeletionId) -> (Value, String) {
    let done = control.deletion(&operator(), id).await.unwrap();
    let content = done.receipt.unwrap();
    let content = serde_json::from_str(content.as_str()).unwrap();
    (content, done.signed_receipt.unwrap())
}

#[tokio::test]
async fn a_receipt_names_every_part_where_many_deletions_share_many() {
    let world = World::new(83);
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), Faulty::new()).await.unwrap();
    let shop = account(&control).await;
    let mut ids = Vec::new();
    for number in 1..=3 {
        ids.push(started(&control, shop, &[person(number)]).await);
    }
    let parts: Vec<u8> = (1..=150).collect();
    let named = [Some(person(1)), None];
    let mut left_out = rows(shop, Table::Events, named, 5, &parts);
    for number in 2..=3 {
        left_out.rows.insert([Some(person(number)), None], 5);
    }
    let published = publish(&control, control.ledger(), vec![left_out]).await;
    assert_eq!(published, Ok(()));
    for id in ids {
        control
            .complete_deletion(&JOB, id, 1, last_turn())
            .await
            .unwrap();
        let (content, _) = receipt(&control, id).await;
        assert_eq!(content["found"], json!({"events": 5}));
        assert_eq!(content["replaced"].as_array().unwrap().len(), 150);
    }
}

#[tokio::test]
async fn a_receipt_counts_what_every_turn_took_out_once() {
    let world = World::new(46);
    let store = Faulty::new();
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), store.clone()).await.unwrap();
    let shop = account(&control).await;
    let [one, two, link] = [
        [Some(person(1)), None],
        [Some(person(2)), None],
        [Some(person(1)), Some(person(3))],
    ];
    let first = started(&control, shop, &[person(1), person(3)]).await;
    let second = started(&control, shop, &[person(2)]).await;
    let stale = LedgerPosition(0);
    let events = |named, count, parts: &[u8]| rows(shop, Table::Events, named, count, parts);

    // A turn; what does not happen is not counted.
    let ledger = control.ledger();
    let turn = vec![events(one, 3, &[1]), events(two, 9, &[2])];
    assert_eq!(publish(&control, ledger, turn.clone()).await, Ok(()));
    let conflict = publish(&control, stale, turn).await;
    assert_eq!(conflict, Err(ErrorKind::Conflict));
    control
        .complete_deletion(&JOB, second, 1, last_turn())
        .await
        .unwrap();

    // A crash, and between two turns a flush; a link that names two of the first one's is one row.
    drop(control);
    let (control, _) = world.open(dir.path(), store).await.unwrap();
    let turn = vec![
        events(one, 2, &[1, 4]),
        events(two, 9, &[4]),
        events(one, 7, &[]),
        rows(shop, Table::Links, link, 1, &[3]),
    ];
    assert_eq!(publish(&control, ledger, turn).await, Ok(()));
    control
        .complete_deletion(&JOB, first, 1, last_turn())
        .await
        .unwrap();
    let (content, _) = receipt(&control, first).await;
    assert_eq!(content["found"], json!({"events": 5, "links": 1}));
    assert_eq!(content["found_in_journal"], json!({"events": 7}));
    let replaced = content["replaced"].as_array().unwrap();
    let parts: Vec<&str> = replaced
        .iter()
        .filter_map(|it| it["part"].as_str())
        .collect();
    assert_eq!(parts, [1, 3, 4].map(|it| part(it).id.to_string()));
    // It was done before the others' rows went.
    let (content, _) = receipt(&control, second).await;
    assert_eq!(content["found"], json!({"events": 9}));

    // It is found to reach further: what was taken out before is still in it.
    let more = vec![LedgerKey::whole(person(4))];
    control.extend_deletion(&JOB, first, more).await.unwrap();
    control.start_deletion(&JOB, first, 2).await.unwrap();
    let turn = vec![events([Some(person(4)), None], 1, &[6])];
    let ledger = control.ledger();
    assert_eq!(publish(&control, ledger, turn).await, Ok(()));
    control
        .complete_deletion(&JOB, first, 2, last_turn())
        .await
        .unwrap();
    let (content, _) = receipt(&control, first).await;
    assert_eq!(content["found"], json!({"events": 6, "links": 1}));
    assert_eq!(content["revision"], 2);
}

#[tokio::test]
async fn whoever_changes_a_receipt_is_found_out() {
    let world = World::new(47);
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), Faulty::new()).await.unwrap();
    let shop = account(&control).await;
    let id = started(&control, shop, &[person(1)]).await;
    let named = [Some(person(1)), None];
    let turn = vec![rows(shop, Table::Events, named, 3, &[2])];
    let published = publish(&control, control.ledger(), turn).await;
    assert_eq!(published, Ok(()));
    control
        .complete_deletion(&JOB, id, 1, last_turn())
        .await
        .unwrap();
    let (content, note) = receipt(&control, id).await;
    assert!(!note.contains(&person(1).to_string()), "nobody is in it");

    let own = control.audit_key().unwrap();
    let stranger = {
        let (dir, world) = (tempfile::tempdir().unwrap(), World::new(48));
        let (control, _) = world.open(dir.path(), Faulty::new()).await.unwrap();
        control.audit_key().unwrap()
    };
    let check = |note: &str, key: Option<&str>, holds: bool| {
        let found = verify_receipt(note, key);
        assert_eq!(found.holds(), holds, "{note}\n{:?}", found.findings);
        assert_eq!(found.signer_checked, key.is_some());
    };
    check(&note, Some(&own), true);
    check(&note, None, true);
    check(&note, Some(&stranger), false);
    check(&note, Some("no key"), false);
    let found = verify_receipt(&note, None).receipt.unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(found.as_str()).unwrap(),
        content
    );
    let edits = [
        ("\"events\":3", "\"events\":2"),
        ("\"events\":3", "\"events\": 3"),
        ("deletion-receipt", "deletion-receipts"),
        ("\"version\":1", "\"version\":2"),
        (own.as_str(), stranger.as_str()),
        ("\n\n", "\n"),
    ];
    for (from, to) in edits {
        assert!(note.contains(from), "{from}");
        check(&note.replacen(from, to, 1), None, false);
    }
    check("", None, false);
    // A head of the audit log has the same signer, and is no receipt.
    let head = control.audit_checkpoint(&JOB, shop, None).await;
    check(&head.unwrap().unwrap(), Some(&own), false);

    // It names the entry that says that it is done.
    let filter = AuditFilter {
        actions: vec![Action::DeletionCompleted],
        ..AuditFilter::default()
    };
    let entries = control.audit_log(&operator(), shop, &filter).await.unwrap();
    assert_eq!(content["audit"]["size"], entries[0].sequence);
}

#[tokio::test]
async fn the_first_version_of_receipts_is_still_verified() {
    let path = "testdata/deletion-receipt-v1.txt";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let world = World::new(49);
        let dir = tempfile::tempdir().unwrap();
        let (control, _) = world.open(dir.path(), Faulty::new()).await.unwrap();
        let shop = account(&control).await;
        let id = started(&control, shop, &[person(1)]).await;
        control
            .complete_deletion(&JOB, id, 1, last_turn())
            .await
            .unwrap();
        std::fs::write(path, receipt(&control, id).await.1).unwrap();
    }
    let note = std::fs::read_to_string(path).unwrap();
    let found = verify_receipt(&note, None);
    assert_eq!(found.findings, Vec::<String>::new());
}
