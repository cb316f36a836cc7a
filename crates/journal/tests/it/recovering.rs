//! Recovery: what earlier writers left is adopted, set aside or refused, and stays so.

use super::fault_store::{FaultStore, Put};
use super::{Running, entry, hasty, writer};
use journal::{OtherNodes, Settings};
use model::{CommitId, ErrorKind, WriterId};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use std::sync::Arc;

fn store() -> (Arc<FaultStore>, Arc<dyn ObjectStore>) {
    let store = Arc::new(FaultStore::default());
    let dynamic: Arc<dyn ObjectStore> = Arc::<FaultStore>::clone(&store);
    (store, dynamic)
}

fn commit_path(start: u32, number: u64) -> Path {
    Path::from(format!("journal/{}/{number:016x}", writer(start)))
}

async fn exists(store: &Arc<dyn ObjectStore>, path: &Path) -> bool {
    store.head(path).await.is_ok()
}

/// Start 1 writes `acknowledged` commits and dies in the middle of the next one.
async fn died(
    faults: &Arc<FaultStore>,
    store: &Arc<dyn ObjectStore>,
    last: Put,
    acknowledged: u64,
) {
    let running = Running::start(store, 1).await;
    for number in 1..=acknowledged {
        running.journal.append(vec![entry(number)]).await.unwrap();
    }
    faults.plan([last]);
    let journal = running.journal.clone();
    let append = tokio::spawn(async move { journal.append(vec![entry(acknowledged + 1)]).await });
    for _ in 0..acknowledged + 2 {
        // One for the settlement, one for each commit; permits may have been joined.
        if append.is_finished() {
            break;
        }
        tokio::task::yield_now().await;
    }
    while !append.is_finished() && running.journal.status().waiting_bytes == 0 {
        tokio::task::yield_now().await;
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    running.crash().await;
}

#[tokio::test]
async fn a_last_commit_that_is_there_is_adopted_for_good() {
    let (faults, store) = store();
    died(&faults, &store, Put::HangsLanded, 2).await;
    let running = Running::start(&store, 2).await;
    let last = CommitId {
        writer: writer(1),
        number: 3,
    };
    assert_eq!(running.recovery.adopted, [last]);
    assert_eq!(running.numbers().await, [1, 2, 3]);
    running.crash().await;
    // The original turns out not to have been durable: the copy is.
    store.delete(&commit_path(1, 3)).await.unwrap();
    let running = Running::start(&store, 3).await;
    assert_eq!(running.recovery.adopted, []);
    assert_eq!(running.numbers().await, [1, 2, 3]);
    assert_eq!(running.journal.retire(&[(writer(1), 3)]).await.unwrap(), 3);
    running.crash().await;
    let running = Running::open(&store, hasty(), 4, &[(writer(1), 3)])
        .await
        .unwrap();
    assert_eq!(running.numbers().await, [] as [u64; 0]);
    assert!(
        !exists(
            &store,
            &Path::from(format!("{}-{}", commit_path(1, 3), writer(2)))
        )
        .await
    );
}

#[tokio::test]
async fn a_last_commit_that_is_not_there_never_comes_back() {
    for acknowledged in [0, 2] {
        let (faults, store) = store();
        died(&faults, &store, Put::HangsHidden, acknowledged).await;
        let expected: Vec<u64> = (1..=acknowledged).collect();
        let running = Running::start(&store, 2).await;
        assert_eq!(running.numbers().await, expected);
        running.crash().await;
        faults.reveal().await;
        assert!(exists(&store, &commit_path(1, acknowledged + 1)).await);
        for start in 3..6 {
            let running = Running::start(&store, start).await;
            assert_eq!(running.numbers().await, expected);
            if start == 3 {
                let late = CommitId {
                    writer: writer(1),
                    number: acknowledged + 1,
                };
                assert_eq!(running.recovery.set_aside, [late]);
            }
            assert!(!exists(&store, &commit_path(1, acknowledged + 1)).await);
            running.crash().await;
        }
    }
}

#[tokio::test]
async fn a_start_that_failed_has_decided_nothing_that_a_later_one_contradicts() {
    // The settlement of start 2 lands late: start 3 decides with another view of the volumes.
    let (faults, store) = store();
    died(&faults, &store, Put::HangsHidden, 2).await;
    faults.plan([Put::Works, Put::Lost]);
    let error = Running::open(&store, hasty(), 2, &[]).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    faults.reveal().await;
    let running = Running::start(&store, 3).await;
    assert_eq!(running.numbers().await, [1, 2, 3]);
    running.crash().await;
    let running = Running::start(&store, 4).await;
    assert_eq!(running.numbers().await, [1, 2, 3]);
}

#[tokio::test]
async fn a_settlement_that_lands_late_does_not_undo_a_later_one() {
    let (faults, store) = store();
    died(&faults, &store, Put::HangsLanded, 2).await;
    // Start 2 adopts 3, and its settlement is hidden: it does not open.
    faults.plan([Put::Works, Put::Hidden]);
    assert!(Running::open(&store, hasty(), 2, &[]).await.is_err());
    // Start 3 does not see number 3 any more, and sets it aside.
    store.delete(&commit_path(1, 3)).await.unwrap();
    let running = Running::start(&store, 3).await;
    assert_eq!(running.numbers().await, [1, 2]);
    running.journal.append(vec![entry(9)]).await.unwrap();
    running.crash().await;
    faults.reveal().await;
    for start in 4..6 {
        let running = Running::start(&store, start).await;
        assert_eq!(running.numbers().await, [1, 2, 9]);
        running.crash().await;
    }
}

#[tokio::test]
async fn a_missing_or_unreadable_middle_commit_refuses_the_start() {
    let (faults, store) = store();
    died(&faults, &store, Put::Lost, 4).await;
    let path = commit_path(1, 2);
    faults.make_unreadable(Some(path.clone()));
    let error = Running::open(&store, hasty(), 2, &[]).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains(path.as_ref()));
    faults.make_unreadable(None);

    let bytes = store.get(&path).await.unwrap().bytes().await.unwrap();
    store
        .put(&path, bytes.slice(..bytes.len() - 1).into())
        .await
        .unwrap();
    let error = Running::open(&store, hasty(), 3, &[]).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains(path.as_ref()));

    store.delete(&path).await.unwrap();
    let error = Running::open(&store, hasty(), 4, &[]).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains(path.as_ref()));

    store.put(&path, bytes.into()).await.unwrap();
    assert_eq!(
        Running::start(&store, 5).await.numbers().await,
        [1, 2, 3, 4]
    );
}

#[tokio::test]
async fn a_commit_that_was_put_in_the_place_of_another_refuses_the_start() {
    let (faults, store) = store();
    died(&faults, &store, Put::Lost, 3).await;
    let other = store
        .get(&commit_path(1, 1))
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    store.put(&commit_path(1, 2), other.into()).await.unwrap();
    let error = Running::open(&store, hasty(), 2, &[]).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn commits_at_or_below_the_watermark_are_garbage() {
    let (faults, store) = store();
    died(&faults, &store, Put::Lost, 5).await;
    // Retiring was under way: some are gone already.
    store.delete(&commit_path(1, 2)).await.unwrap();
    let running = Running::open(&store, hasty(), 2, &[(writer(1), 3)])
        .await
        .unwrap();
    assert_eq!(running.numbers().await, [4, 5]);
    assert_eq!(
        running.journal.tail(&[]).unwrap_err().kind(),
        ErrorKind::Conflict
    );
    assert!(!exists(&store, &commit_path(1, 1)).await && !exists(&store, &commit_path(1, 3)).await);
    running.journal.retire(&[(writer(1), 5)]).await.unwrap();
    running.stop().await;
    let running = Running::open(&store, hasty(), 3, &[(writer(1), 5)])
        .await
        .unwrap();
    assert_eq!(running.recovery.live_commits, 0);
    assert_eq!(running.journal.tail(&[]).unwrap().commits(), []);
}

#[tokio::test]
async fn a_watermark_that_was_lost_refuses_the_start() {
    let (_, store) = store();
    let running = Running::start(&store, 1).await;
    for number in 1..=3 {
        running.journal.append(vec![entry(number)]).await.unwrap();
    }
    running.journal.retire(&[(writer(1), 2)]).await.unwrap();
    running.stop().await;
    let error = Running::open(&store, hasty(), 2, &[]).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn a_writer_id_is_used_once() {
    let (_, store) = store();
    let running = Running::start(&store, 5).await;
    running.journal.append(vec![entry(1)]).await.unwrap();
    running.stop().await;
    for start in [4, 5] {
        let error = Running::open(&store, hasty(), start, &[])
            .await
            .err()
            .unwrap();
        assert_eq!(error.kind(), ErrorKind::Conflict);
    }
}

#[tokio::test]
async fn other_nodes_are_settled_or_left_alone() {
    let (_, store) = store();
    let clock = || Arc::new(model::ManualClock::new(model::Timestamp::from_ms(1)));
    let other = WriterId { node: 2, start: 1 };
    let (journal, owner, _) =
        journal::Journal::open(hasty(), Arc::clone(&store), other, &[], clock())
            .await
            .unwrap();
    let owner = tokio::spawn(owner.run(std::future::pending()));
    journal.append(vec![entry(1)]).await.unwrap();
    let settings = Settings {
        other_nodes: OtherNodes::Alive,
        ..hasty()
    };
    let running = Running::open(&store, settings, 1, &[]).await.unwrap();
    assert_eq!(running.recovery.live_commits, 0);
    running.stop().await;
    journal.append(vec![entry(2)]).await.unwrap();
    owner.abort();
    let running = Running::start(&store, 2).await;
    assert_eq!(running.numbers().await, [1, 2]);
    running.stop().await;
    assert_eq!(Running::start(&store, 3).await.numbers().await, [1, 2]);
}

#[tokio::test]
async fn the_failed_attempts_of_a_running_writer_go_when_it_retires() {
    let (faults, store) = store();
    let running = Running::start(&store, 1).await;
    faults.plan([Put::Works, Put::Landed, Put::Landed]);
    for number in 1..=4 {
        drop(running.journal.append(vec![entry(number)]).await);
    }
    assert_eq!(running.numbers().await, [1, 4]);
    assert!(exists(&store, &commit_path(1, 2)).await);
    running.journal.retire(&[(writer(1), 4)]).await.unwrap();
    for number in 1..=4 {
        assert!(!exists(&store, &commit_path(1, number)).await);
    }
}
