//! Deletions: hidden at once, reopened when they reach further, whole after a restart.

use model::{ErrorKind, LedgerPosition, PersonKey, RawJson, Timestamp};

use super::support::{Faulty, World, operator};
use crate::{Actor, DeletionState, LedgerKey};

const JOB: Actor = Actor::system("deletion");

fn person(byte: u8) -> PersonKey {
    PersonKey([byte; 16])
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
    assert_eq!(control.ledger(), LedgerPosition(2));
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

    let receipt = RawJson::parse(r#"{"found":1}"#).unwrap();
    let early = control
        .complete_deletion(&JOB, deletion, 1, &receipt)
        .await
        .unwrap_err();
    assert_eq!(early.kind(), ErrorKind::Conflict);
    let running = control.start_deletion(&JOB, deletion).await.unwrap();
    assert_eq!(
        (running.state, running.revision),
        (DeletionState::Running, 1)
    );
    assert_eq!(
        control.start_deletion(&JOB, deletion).await.unwrap(),
        running,
        "resumes"
    );
    control
        .complete_deletion(&JOB, deletion, 1, &receipt)
        .await
        .unwrap();
    assert!(control.pending_deletions().await.unwrap().is_empty());
    assert_eq!(
        control
            .start_deletion(&JOB, deletion)
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::Conflict
    );

    let wanted = control.deletion(&operator(), deletion).await.unwrap();
    assert_eq!(
        (wanted.state, &wanted.receipt),
        (DeletionState::Done, &Some(receipt))
    );
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
    let receipt = RawJson::empty_object();

    // While it runs: the job that did not know the new key cannot complete it.
    control.start_deletion(&JOB, deletion).await.unwrap();
    let more = vec![LedgerKey::whole(person(1)), LedgerKey::whole(person(3))];
    assert_eq!(
        control
            .extend_deletion(&JOB, deletion, more.clone())
            .await
            .unwrap(),
        1
    );
    let error = control
        .complete_deletion(&JOB, deletion, 1, &receipt)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let again = control.start_deletion(&JOB, deletion).await.unwrap();
    assert_eq!((again.revision, again.keys.len()), (2, 2));
    control
        .complete_deletion(&JOB, deletion, 2, &receipt)
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
