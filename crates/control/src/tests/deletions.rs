//! Deletions: hidden at once, reopened when they reach further, whole after a restart.

use model::catalog::{Catalog as _, Publication};
use model::{ErrorKind, LedgerPosition, PersonKey, Timestamp};
use std::sync::Arc;

use super::support::{Faulty, World, operator};
use crate::{Actor, DeletionState, LastTurn, LedgerKey};

pub(super) const JOB: Actor = Actor::system("deletion");

pub(super) fn person(byte: u8) -> PersonKey {
    PersonKey([byte; 16])
}

/// What a job says of its last turn.
pub(super) fn last_turn() -> LastTurn {
    LastTurn {
        tables: vec!["events".to_owned(), "links".to_owned()],
        parts: 12,
        journal: "all of it".to_owned(),
        not_searched: vec!["what cannot be read".to_owned()],
        objects_removed: 3,
        keys_destroyed: 4,
        epoch: 2,
    }
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_ms(ms)
}

#[tokio::test]
async fn a_deletion_hides_at_once_and_runs_to_its_receipt() {
    let world = World::new(40);
    let store = Faulty::new();
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), store.clone()).await.unwrap();
    let id = control
        .create_account(&operator(), "Shop", "UTC")
        .await
        .unwrap()
        .account_id;
    let other = control
        .create_account(&operator(), "Other", "UTC")
        .await
        .unwrap()
        .account_id;
    let device = LedgerKey {
        person: person(2),
        from: Some(at(10)),
        to: Some(at(20)),
    };
    let keys = vec![LedgerKey::whole(person(1)), device];
    let deletion = control
        .request_deletion(&operator(), id, keys.clone(), "asked")
        .await
        .unwrap();

    let suppressed = control
        .rules()
        .borrow()
        .account(id)
        .unwrap()
        .suppressed
        .clone();
    assert!(suppressed.hides(person(1), at(5)) && suppressed.hides_whole(person(1)));
    assert!(suppressed.hides(person(2), at(10)) && !suppressed.hides(person(2), at(20)));
    assert_eq!(suppressed.position, LedgerPosition(2));
    assert!(
        control
            .rules()
            .borrow()
            .account(other)
            .unwrap()
            .suppressed
            .is_empty()
    );
    assert_eq!(control.ledger(), LedgerPosition(0), "the lake waits");
    assert_eq!(
        control.deletion_of(id, person(1)).await.unwrap(),
        Some(deletion)
    );
    assert_eq!(
        control.deletion_of(id, person(2)).await.unwrap(),
        None,
        "only a stretch"
    );
    assert_eq!(control.deletion_of(other, person(1)).await.unwrap(), None);

    let early = control
        .complete_deletion(&JOB, deletion, 1, last_turn())
        .await
        .unwrap_err();
    assert_eq!(early.kind(), ErrorKind::Conflict);
    let running = control.start_deletion(&JOB, deletion, 1).await.unwrap();
    assert_eq!(
        (running.state, running.revision),
        (DeletionState::Running, 1)
    );
    assert_eq!(control.ledger(), LedgerPosition(2));
    assert_eq!(
        control.start_deletion(&JOB, deletion, 1).await.unwrap(),
        running,
        "resumes"
    );
    control
        .complete_deletion(&JOB, deletion, 1, last_turn())
        .await
        .unwrap();
    assert!(control.pending_deletions().await.unwrap().is_empty());
    assert_eq!(
        control
            .start_deletion(&JOB, deletion, 1)
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::Conflict
    );

    let wanted = control.deletion(&operator(), deletion).await.unwrap();
    assert_eq!(wanted.state, DeletionState::Done);
    assert!(wanted.receipt.is_some() && wanted.signed_receipt.is_some());
    assert_eq!(wanted.keys, keys);
    drop(control);
    let empty = tempfile::tempdir().unwrap();
    let (control, _) = world.open(empty.path(), store).await.unwrap();
    assert_eq!(control.deletions(&operator(), id).await.unwrap(), [wanted]);
    assert_eq!(
        control.rules().borrow().account(id).unwrap().suppressed,
        suppressed
    );
}

#[tokio::test]
async fn a_deletion_that_reaches_further_runs_again() {
    let world = World::new(41);
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), Faulty::new()).await.unwrap();
    let id = control
        .create_account(&operator(), "Shop", "UTC")
        .await
        .unwrap()
        .account_id;
    let first = vec![LedgerKey::whole(person(1))];
    let deletion = control
        .request_deletion(&operator(), id, first.clone(), "")
        .await
        .unwrap();
    // While it runs: the job that did not know the new key cannot complete it.
    control.start_deletion(&JOB, deletion, 1).await.unwrap();
    let more = vec![LedgerKey::whole(person(1)), LedgerKey::whole(person(3))];
    assert_eq!(
        control
            .extend_deletion(&JOB, deletion, more.clone())
            .await
            .unwrap(),
        1
    );
    let error = control
        .complete_deletion(&JOB, deletion, 1, last_turn())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    // Nor begin again before it has followed that key's links.
    let stale = control.start_deletion(&JOB, deletion, 1).await;
    assert_eq!(stale.unwrap_err().kind(), ErrorKind::Conflict);
    let again = control.start_deletion(&JOB, deletion, 2).await.unwrap();
    assert_eq!((again.revision, again.keys.len()), (2, 2));
    control
        .complete_deletion(&JOB, deletion, 2, last_turn())
        .await
        .unwrap();

    // After it is done: what it has already changes nothing, a new key reopens it.
    assert_eq!(
        control.extend_deletion(&JOB, deletion, more).await.unwrap(),
        0
    );
    assert!(control.pending_deletions().await.unwrap().is_empty());
    let further = vec![LedgerKey::whole(person(4))];
    assert_eq!(
        control
            .extend_deletion(&JOB, deletion, further)
            .await
            .unwrap(),
        1
    );
    let pending = control.pending_deletions().await.unwrap();
    assert_eq!((pending.len(), pending[0].revision), (1, 3));
    assert_eq!(pending[0].state, DeletionState::Pending);
    assert!(
        control
            .rules()
            .borrow()
            .account(id)
            .unwrap()
            .suppressed
            .hides_whole(person(4))
    );
}

#[tokio::test]
async fn illegal_deletions_are_refused() {
    let world = World::new(42);
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), Faulty::new()).await.unwrap();
    let id = control
        .create_account(&operator(), "Shop", "UTC")
        .await
        .unwrap()
        .account_id;
    let other = control
        .create_account(&operator(), "Other", "UTC")
        .await
        .unwrap()
        .account_id;
    let keys = || vec![LedgerKey::whole(person(1))];
    let check = async |actor: &Actor, account, keys, reason: &str, expect| {
        let found = control
            .request_deletion(actor, account, keys, reason)
            .await
            .unwrap_err();
        assert_eq!(found.kind(), expect, "{found}");
    };
    let program = Actor::passcode(id, "default");
    check(&operator(), id, vec![], "", ErrorKind::Invalid).await;
    check(
        &operator(),
        id,
        keys(),
        &"r".repeat(1_001),
        ErrorKind::Invalid,
    )
    .await;
    check(&program, other, keys(), "", ErrorKind::Denied).await;
    check(&JOB, id, keys(), "", ErrorKind::Denied).await;
    let unknown = "AAA-AAA-AAAZ".parse().unwrap();
    check(&operator(), unknown, keys(), "", ErrorKind::NotFound).await;
    assert_eq!(control.ledger(), LedgerPosition(0));
    let unknown = "00112233445566778899aabbccddeeff".parse().unwrap();
    let error = control
        .extend_deletion(&JOB, unknown, keys())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_deletion_is_cancelled_until_its_job_begins() {
    let world = World::new(44);
    let store = Faulty::new();
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), store.clone()).await.unwrap();
    let made = control.create_account(&operator(), "Shop", "UTC").await;
    let id = made.unwrap().account_id;
    let order = async |keys: &[PersonKey]| {
        let keys = keys.iter().map(|it| LedgerKey::whole(*it)).collect();
        control
            .request_deletion(&operator(), id, keys, "asked")
            .await
            .unwrap()
    };
    let sets = || {
        let rules = control.rules().borrow().account(id).cloned().unwrap();
        (Arc::clone(&rules.suppressed), Arc::clone(&rules.doomed))
    };
    let first = order(&[person(1), person(2)]).await;
    let second = order(&[person(2), person(3)]).await;
    let (hidden, doomed) = sets();
    assert_eq!((hidden.keys.len(), doomed.keys.len()), (3, 0));

    control.cancel_deletion(&operator(), first).await.unwrap();
    let (hidden, _) = sets();
    assert!(!hidden.hides_whole(person(1)));
    // Who is deleted by another order too stays so.
    assert!(hidden.hides_whole(person(2)) && hidden.hides_whole(person(3)));
    assert_eq!(control.deletion_of(id, person(1)).await.unwrap(), None);
    let found = control.deletion(&operator(), first).await.unwrap();
    assert_eq!(
        (found.state, found.keys.len()),
        (DeletionState::Cancelled, 0)
    );
    let kinds = [
        control.cancel_deletion(&operator(), first).await.map(drop),
        control.start_deletion(&JOB, first, 1).await.map(drop),
        control
            .extend_deletion(&JOB, first, vec![LedgerKey::whole(person(9))])
            .await
            .map(drop),
    ];
    for result in kinds {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Conflict);
    }

    control.start_deletion(&JOB, second, 1).await.unwrap();
    let late = control
        .cancel_deletion(&operator(), second)
        .await
        .unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Conflict);
    let (_, doomed) = sets();
    assert!(doomed.hides_whole(person(2)) && !doomed.hides_whole(person(1)));
    // One that has begun and reaches further begins again, and is not cancelled for that.
    let more = vec![LedgerKey::whole(person(4))];
    control.extend_deletion(&JOB, second, more).await.unwrap();
    let late = control
        .cancel_deletion(&operator(), second)
        .await
        .unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Conflict);
    let (hidden, doomed) = sets();
    assert!(hidden.hides_whole(person(4)) && !doomed.hides_whole(person(4)));
    let position = control.ledger();
    control.start_deletion(&JOB, second, 2).await.unwrap();
    let (_, doomed) = sets();
    assert!(doomed.hides_whole(person(4)));
    assert!(control.ledger() > position, "the lake waits no longer");

    let filter = crate::AuditFilter {
        actions: vec![crate::Action::DeletionCancelled],
        ..crate::AuditFilter::default()
    };
    let entries = control.audit_log(&operator(), id, &filter).await.unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].action_id, first.to_string());
    assert_eq!(entries[0].description, "2 keys seen again");

    // The same after a restart.
    let (before_hidden, before_doomed) = sets();
    let position = control.ledger();
    drop(control);
    let (control, _) = world.open(dir.path(), store.clone()).await.unwrap();
    let rules = control.rules().borrow().account(id).cloned().unwrap();
    assert_eq!(rules.suppressed.keys, before_hidden.keys);
    assert_eq!(rules.doomed.keys, before_doomed.keys);
    assert_eq!(control.ledger(), position);
}

#[tokio::test]
async fn what_was_written_without_a_person_is_not_published_after_the_job_has_begun() {
    let world = World::new(45);
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), Faulty::new()).await.unwrap();
    let made = control.create_account(&operator(), "Shop", "UTC").await;
    let id = made.unwrap().account_id;
    let keys = vec![LedgerKey::whole(person(1))];
    let ordered = control.request_deletion(&operator(), id, keys, "").await;
    let publish = async |ledger| {
        let publication = Publication {
            ledger,
            ..Publication::default()
        };
        control.publish(publication).await.map_err(|it| it.kind)
    };
    let before = control.ledger();
    assert_eq!(publish(before).await, Ok(()));
    control
        .start_deletion(&JOB, ordered.unwrap(), 1)
        .await
        .unwrap();
    assert_eq!(publish(before).await, Err(ErrorKind::Conflict));
    assert_eq!(publish(control.ledger()).await, Ok(()));
}
