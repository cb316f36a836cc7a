//! The promise of shipping: what was answered is on the volumes, exactly, whatever happens.

use model::catalog::{Catalog as _, Publication};
use model::record::Table;
use model::{AccountId, ErrorKind, Timestamp};
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt as _};
use std::sync::Arc;

use super::parts::part;
use super::support::{Fault, Faulty, World, copy_disk, dump, dump_restored, operator};
use crate::{Action, AuditFilter, AuditOutcome, Control, Origin, objects};

/// One small transaction that says `text`.
async fn say(control: &Control, text: &str) -> crate::Result<()> {
    let (account, action) = (AccountId::installation(), Action::QueryRun);
    control
        .audit(&operator(), account, action, "q", text, AuditOutcome::Begun)
        .await
}

/// Everything that was said.
async fn said(control: &Control) -> Vec<String> {
    let filter = AuditFilter {
        actions: vec![Action::QueryRun],
        ..AuditFilter::default()
    };
    let entries = control
        .audit_log(&operator(), AccountId::installation(), &filter)
        .await
        .unwrap();
    entries.into_iter().map(|entry| entry.description).collect()
}

#[tokio::test]
async fn after_each_of_200_commits_a_restore_gives_exactly_that_commit() {
    let world = World::new(1);
    let store = Faulty::new();
    let dir = tempfile::tempdir().unwrap();
    let (control, report) = world.open(dir.path(), store.clone()).await.unwrap();
    assert_eq!(report.origin, Origin::Created);
    for number in 0..200 {
        say(&control, &format!("{number} {}", "x".repeat(number * 7)))
            .await
            .unwrap();
        let wanted = dump(&control).await;
        assert_eq!(
            dump_restored(store.inner.as_ref()).await,
            wanted,
            "commit {number}"
        );
    }
    let status = control.status().await;
    assert_eq!(status.committed, status.shipped);
    assert!(
        status.generation > 2,
        "{status:?}: the snapshots were tried too"
    );
    let generations = objects::list(store.as_ref(), "control").await.unwrap();
    assert_eq!(generations.len(), 1, "old generations go");
}

#[tokio::test]
async fn a_lost_file_is_rebuilt_with_everything() {
    let world = World::new(2);
    let store = Faulty::new();
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), store.clone()).await.unwrap();
    let account = control
        .create_account(&operator(), "Shop", "Europe/Berlin")
        .await
        .unwrap();
    for number in 0..20 {
        say(&control, &number.to_string()).await.unwrap();
    }
    let wanted = dump(&control).await;
    drop(control);

    let other = tempfile::tempdir().unwrap();
    let (control, report) = world.open(other.path(), store).await.unwrap();
    assert_eq!(report.origin, Origin::Restored);
    assert_eq!(dump(&control).await, wanted);
    let rules = control.rules().borrow().clone();
    let rules = rules.account(account.account_id).unwrap();
    assert!(rules.verify_passcode(account.passcode.expose()).is_some());
    let token = account.sdk_token.expose();
    assert_eq!(
        rules.verify_sdk_token(token, Timestamp::from_ms(0)),
        Some(1)
    );
}

/// Says things while the `good`-th put and all after it fail; returns what was acknowledged.
async fn run_until_failure(
    world: &World,
    store: Arc<Faulty>,
    dir: &std::path::Path,
) -> Vec<String> {
    let mut acknowledged = Vec::new();
    let Ok((control, _)) = world.open(dir, store).await else {
        return acknowledged;
    };
    for number in 0..12 {
        let text = format!("{number} {}", "y".repeat(900));
        match say(&control, &text).await {
            Ok(()) => acknowledged.push(text),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
                // Still nothing is answered.
                assert!(control.accounts(&operator()).await.is_err());
            }
        }
    }
    acknowledged
}

async fn check_crash(good: i64, fault: Fault) -> bool {
    let world = World::new(3);
    let store = Faulty::new();
    let dir = tempfile::tempdir().unwrap();
    // A first run makes the installation.
    drop(world.open(dir.path(), store.clone()).await.unwrap());
    let work = tempfile::tempdir().unwrap();
    copy_disk(dir.path(), work.path());

    store.fail_after(good, fault);
    let acknowledged = run_until_failure(&world, store.clone(), work.path()).await;
    store.heal();
    let crashed = tempfile::tempdir().unwrap();
    copy_disk(work.path(), crashed.path());

    // With the disk gone.
    let volumes: Arc<dyn ObjectStore> = Arc::new(store.inner.fork());
    let empty = tempfile::tempdir().unwrap();
    let (control, _) = world.open(empty.path(), volumes).await.unwrap();
    let found = said(&control).await;
    assert!(
        found.starts_with(&acknowledged),
        "good {good} {fault:?}: {found:?}"
    );

    // With what the crash left on the disk.
    let volumes = Arc::new(store.inner.fork());
    let (control, _) = world.open(crashed.path(), volumes.clone()).await.unwrap();
    let found = said(&control).await;
    assert!(
        found.starts_with(&acknowledged),
        "good {good} {fault:?}: {found:?}"
    );
    say(&control, "afterwards").await.unwrap();
    let wanted = dump(&control).await;
    assert_eq!(
        dump_restored(volumes.as_ref()).await,
        wanted,
        "good {good} {fault:?}"
    );
    acknowledged.len() == 12
}

#[tokio::test]
async fn a_crash_between_any_two_puts_loses_no_acknowledged_commit() {
    for fault in [Fault::Before, Fault::After] {
        let mut good = 0;
        while !check_crash(good, fault).await {
            good += 1;
            assert!(good < 100, "the workload ends");
        }
        assert!(good > 12, "{good} puts failed in their turn");
    }
}

#[tokio::test]
async fn after_a_failed_put_the_same_process_goes_on_where_it_was() {
    for fault in [Fault::Before, Fault::After] {
        let world = World::new(4);
        let store = Faulty::new();
        let dir = tempfile::tempdir().unwrap();
        let (control, _) = world.open(dir.path(), store.clone()).await.unwrap();
        for number in 0..60 {
            store.fail_after(0, fault);
            assert!(
                say(&control, &format!("lost {number} {}", "z".repeat(400)))
                    .await
                    .is_err()
            );
            assert!(
                control.pending_deletions().await.is_err(),
                "nothing is answered"
            );
            store.heal();
            say(&control, &format!("kept {number}")).await.unwrap();
            let wanted = dump(&control).await;
            assert_eq!(
                dump_restored(store.inner.as_ref()).await,
                wanted,
                "{number} {fault:?}"
            );
        }
        let kept = said(&control).await;
        assert_eq!(
            kept.iter().filter(|text| text.starts_with("kept")).count(),
            60
        );
    }
}

#[tokio::test]
async fn a_change_that_was_not_shipped_is_shipped_at_the_next_start() {
    let world = World::new(5);
    let store = Faulty::new();
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), store.clone()).await.unwrap();
    store.fail_after(0, Fault::Before);
    assert!(say(&control, "unshipped").await.is_err());
    let crashed = tempfile::tempdir().unwrap();
    copy_disk(dir.path(), crashed.path());
    store.heal();

    let volumes = Arc::new(store.inner.fork());
    let (control, report) = world.open(crashed.path(), volumes.clone()).await.unwrap();
    assert_eq!(report.origin, Origin::Local);
    assert_eq!(dump_restored(volumes.as_ref()).await, dump(&control).await);
    assert_eq!(said(&control).await, ["unshipped"]);
}

#[tokio::test]
async fn an_older_file_from_a_backup_is_replaced_by_what_was_shipped() {
    let world = World::new(6);
    let store = Faulty::new();
    let dir = tempfile::tempdir().unwrap();
    let backup = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), store.clone()).await.unwrap();
    for number in 0..10 {
        say(&control, &number.to_string()).await.unwrap();
        if number == 4 {
            copy_disk(dir.path(), backup.path());
        }
    }
    let wanted = dump(&control).await;
    drop(control);
    let (control, report) = world.open(backup.path(), store).await.unwrap();
    assert_eq!(report.origin, Origin::Replaced);
    assert_eq!(dump(&control).await, wanted);
    assert!(backup.path().join("control.db.aside").exists());
}

#[tokio::test]
async fn a_damaged_file_is_replaced_by_what_was_shipped() {
    let world = World::new(7);
    let store = Faulty::new();
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), store.clone()).await.unwrap();
    say(&control, "kept").await.unwrap();
    drop(control);
    let broken = tempfile::tempdir().unwrap();
    std::fs::write(broken.path().join("control.db"), vec![7; 8_192]).unwrap();
    let (control, report) = world.open(broken.path(), store).await.unwrap();
    assert_eq!(report.origin, Origin::Replaced);
    assert_eq!(said(&control).await, ["kept"]);
}

#[tokio::test]
async fn a_file_that_took_another_way_is_refused_when_it_is_ahead() {
    let world = World::new(8);
    let store = Faulty::new();
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), store.clone()).await.unwrap();
    say(&control, "common").await.unwrap();
    let other = tempfile::tempdir().unwrap();
    copy_disk(dir.path(), other.path());
    let apart = Faulty::over(store.inner.fork());
    say(&control, "here").await.unwrap();
    let (elsewhere, _) = world.open(other.path(), apart).await.unwrap();
    for number in 0..5 {
        say(&elsewhere, &format!("elsewhere {number}"))
            .await
            .unwrap();
    }
    drop(control);
    let ahead = tempfile::tempdir().unwrap();
    copy_disk(other.path(), ahead.path());
    let error = world.open(ahead.path(), store).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
}

#[tokio::test]
async fn volumes_that_went_back_get_what_the_disk_still_has() {
    let world = World::new(9);
    let store = Faulty::new();
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), store.clone()).await.unwrap();
    say(&control, "first").await.unwrap();
    let older = Faulty::over(store.inner.fork());
    say(&control, "second").await.unwrap();
    let disk = tempfile::tempdir().unwrap();
    copy_disk(dir.path(), disk.path());
    let (control, report) = world.open(disk.path(), older).await.unwrap();
    assert_eq!(report.origin, Origin::Local);
    assert_eq!(said(&control).await, ["first", "second"]);
}

#[tokio::test]
async fn a_missing_or_damaged_piece_is_refused_and_nothing_older_taken_for_it() {
    let world = World::new(10);
    let store = Faulty::new();
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), store.clone()).await.unwrap();
    for number in 0..3 {
        say(&control, &number.to_string()).await.unwrap();
    }
    let generation = control.status().await.generation;
    let path = |number| objects::path("control", generation, number);
    let check = async |damaged: InMemory| {
        let empty = tempfile::tempdir().unwrap();
        let error = world
            .open(empty.path(), Arc::new(damaged))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(!empty.path().join("control.db").exists());
    };
    let lost = store.inner.fork();
    lost.delete(&path(1)).await.unwrap();
    check(lost).await;
    for number in [0, 1] {
        let flipped = store.inner.fork();
        let mut bytes = flipped
            .get(&path(number))
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap()
            .to_vec();
        bytes[200] ^= 1;
        flipped.put(&path(number), bytes.into()).await.unwrap();
        check(flipped).await;
    }
    let swapped = store.inner.fork();
    let bytes = swapped.get(&path(1)).await.unwrap().bytes().await.unwrap();
    swapped.put(&path(2), bytes.into()).await.unwrap();
    check(swapped).await;
}

/// Another process writes what this one would write next; where.
async fn intrude(store: &Faulty) -> ObjectPath {
    let generations = objects::list(store, "control").await.unwrap();
    let (generation, numbers) = generations.last_key_value().unwrap();
    let next = objects::path("control", *generation, numbers.last().unwrap() + 1);
    store
        .inner
        .put(&next, bytes::Bytes::from_static(b"other").into())
        .await
        .unwrap();
    next
}

#[tokio::test]
async fn another_process_on_the_same_volumes_is_noticed() {
    let world = World::new(11);
    let store = Faulty::new();
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), store.clone()).await.unwrap();
    intrude(&store).await;
    let error = say(&control, "one").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("another process"), "{cause}");
    assert!(
        control.pending_deletions().await.is_err(),
        "nothing is answered from here on"
    );
}

#[tokio::test]
async fn a_publication_that_is_in_the_file_is_not_called_a_conflict() {
    let world = World::new(14);
    let store = Faulty::new();
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), store.clone()).await.unwrap();
    let other = intrude(&store).await;
    let publication = || Publication {
        add: vec![part(1)],
        ..Publication::default()
    };
    // Twice: when it meets the other's object, and when it is not begun because of that.
    let first = control.publish(publication()).await.unwrap_err();
    let second = control.publish(publication()).await.unwrap_err();
    for error in [first, second] {
        // The lake deletes the objects of what conflicts.
        assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
    }
    store.inner.delete(&other).await.unwrap();
    let view = control.view(None, &Table::ALL).await.unwrap();
    let live: Vec<_> = view.parts.iter().map(|it| it.id).collect();
    assert_eq!(live, [part(1).id], "it ships with the next call");
}

#[tokio::test]
async fn data_without_a_control_database_is_not_taken_for_a_new_installation() {
    let world = World::new(12);
    let store = InMemory::new();
    let keyring = world.shared_keyring();
    let keys = crate::KeyTable::open(keyring.clone(), world.clock(), Arc::clone(&world.random));
    let store: Arc<dyn ObjectStore> = Arc::new(store);
    keys.attach(Arc::clone(&store)).await.unwrap();
    let path = ObjectPath::from("lake/A/events/mixed/00.parquet");
    store
        .put(&path, bytes::Bytes::from_static(b"rows").into())
        .await
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (random, clock) = (Arc::clone(&world.random), world.clock());
    let settings = World::settings(dir.path());
    let error = Control::open(settings, keyring, store, keys, clock, random)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
}

#[tokio::test]
async fn concurrent_transactions_are_grouped_and_all_kept() {
    let world = World::new(13);
    let store = Faulty::new();
    let dir = tempfile::tempdir().unwrap();
    let (control, _) = world.open(dir.path(), store.clone()).await.unwrap();
    let tasks: Vec<_> = (0..100)
        .map(|number| {
            let control = control.clone();
            tokio::spawn(async move { say(&control, &number.to_string()).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(said(&control).await.len(), 100);
    assert_eq!(
        dump_restored(store.inner.as_ref()).await,
        dump(&control).await
    );
}
