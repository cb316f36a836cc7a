//! Reading and retiring: each record is in exactly one of parts and tail.

use super::fault_store::FaultStore;
use super::{Running, entry, hasty, number_of, writer};
use futures::TryStreamExt;
use journal::{Settings, Tail};
use model::{CommitId, ErrorKind};
use object_store::ObjectStore;
use std::sync::Arc;

async fn numbers(tail: Tail) -> Vec<u64> {
    let commits: Vec<_> = tail.into_stream().try_collect().await.unwrap();
    commits
        .iter()
        .flat_map(|entries| entries.iter().map(number_of))
        .collect()
}

async fn filled(settings: Settings) -> (Arc<FaultStore>, Running) {
    let faults = Arc::new(FaultStore::default());
    let store: Arc<dyn ObjectStore> = Arc::<FaultStore>::clone(&faults);
    let running = Running::open(&store, settings, 1, &[]).await.unwrap();
    for number in 1..=6 {
        running.journal.append(vec![entry(number)]).await.unwrap();
    }
    (faults, running)
}

#[tokio::test]
async fn a_tail_starts_above_the_watermarks() {
    let (_, running) = filled(hasty()).await;
    assert_eq!(
        numbers(running.journal.tail(&[(writer(1), 4)]).unwrap()).await,
        [5, 6]
    );
    assert_eq!(
        numbers(running.journal.tail(&[]).unwrap()).await,
        [1, 2, 3, 4, 5, 6]
    );
}

#[tokio::test]
async fn a_tail_is_readable_after_its_commits_were_retired() {
    let (_, running) = filled(Settings {
        cache_bytes_max: 0,
        ..hasty()
    })
    .await;
    let tail = running.journal.tail(&[(writer(1), 2)]).unwrap();
    assert_eq!(running.journal.retire(&[(writer(1), 5)]).await.unwrap(), 2);
    assert_eq!(running.journal.live().len(), 1);
    assert_eq!(numbers(tail).await, [3, 4, 5, 6]);
    assert_eq!(running.journal.retire(&[(writer(1), 5)]).await.unwrap(), 3);
    assert_eq!(running.journal.retire(&[(writer(1), 5)]).await.unwrap(), 0);
    assert_eq!(running.journal.status().doomed_commits, 0);
}

#[tokio::test]
async fn a_view_older_than_what_was_retired_is_refused() {
    let (_, running) = filled(hasty()).await;
    running.journal.retire(&[(writer(1), 3)]).await.unwrap();
    for old in [vec![], vec![(writer(1), 2)]] {
        assert_eq!(
            running.journal.tail(&old).unwrap_err().kind(),
            ErrorKind::Conflict
        );
    }
    assert_eq!(
        numbers(running.journal.tail(&[(writer(1), 3)]).unwrap()).await,
        [4, 5, 6]
    );
    // A view newer than what was retired is fine.
    assert_eq!(
        numbers(running.journal.tail(&[(writer(1), 5)]).unwrap()).await,
        [6]
    );
}

#[tokio::test]
async fn a_retired_commit_is_not_found() {
    let (_, running) = filled(hasty()).await;
    let id = CommitId {
        writer: writer(1),
        number: 1,
    };
    assert_eq!(running.journal.read(id).await.unwrap().len(), 1);
    running.journal.retire(&[(writer(1), 1)]).await.unwrap();
    assert_eq!(
        running.journal.read(id).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

#[tokio::test]
async fn what_could_not_be_deleted_is_deleted_by_a_later_call() {
    let (faults, running) = filled(hasty()).await;
    faults.fail_deletes(true);
    let error = running.journal.retire(&[(writer(1), 6)]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(running.journal.status().doomed_commits, 6);
    assert!(running.journal.live().is_empty());
    faults.fail_deletes(false);
    assert_eq!(running.journal.retire(&[]).await.unwrap(), 6);
}

#[tokio::test]
async fn a_commit_that_cannot_be_read_is_an_error_and_never_empty() {
    let (faults, running) = filled(Settings {
        cache_bytes_max: 0,
        ..hasty()
    })
    .await;
    let live = running.journal.live();
    faults.make_unreadable(Some(live[2].path.as_str().into()));
    assert_eq!(
        running.journal.read(live[2].id).await.unwrap_err().kind(),
        ErrorKind::Unavailable
    );
    let tail = running.journal.tail(&[]).unwrap();
    assert!(tail.into_stream().try_collect::<Vec<_>>().await.is_err());
}

#[tokio::test]
async fn status_tells_ages_and_sizes() {
    let (_, running) = filled(hasty()).await;
    let status = running.journal.status();
    assert_eq!(
        (status.live_commits, status.commits, status.entries),
        (6, 6, 6)
    );
    assert_eq!(status.oldest_age_ms, Some(0));
    let sizes: u64 = running
        .journal
        .live()
        .iter()
        .map(|commit| commit.size_bytes)
        .sum();
    assert_eq!(status.live_bytes, sizes);
}

#[tokio::test]
async fn a_commit_that_is_retired_while_it_is_read_is_not_found() {
    let (faults, running) = filled(Settings {
        cache_bytes_max: 0,
        ..hasty()
    })
    .await;
    let held = running.journal.tail(&[]).unwrap();
    running.journal.retire(&[(writer(1), 1)]).await.unwrap();
    let commit = &held.commits()[0];
    faults.make_unreadable(Some(commit.path.as_str().into()));
    let error = running.journal.read(commit.id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}
