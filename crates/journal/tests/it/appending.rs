//! Appending: grouping, order, failure, bounds, and the orderly end.

use super::fault_store::{FaultStore, Put};
use super::{Running, entry, hasty, number_of};
use futures::future::join_all;
use journal::Settings;
use model::record::{Entry, Outcome, Peer, Plane, Record, RequestLine};
use model::{ErrorKind, Timestamp};
use object_store::ObjectStore;
use std::sync::Arc;
use std::time::Duration;

fn store() -> (Arc<FaultStore>, Arc<dyn ObjectStore>) {
    let store = Arc::new(FaultStore::default());
    let dynamic: Arc<dyn ObjectStore> = Arc::<FaultStore>::clone(&store);
    (store, dynamic)
}

#[tokio::test]
async fn appended_entries_are_live_and_in_order() {
    let (_, store) = store();
    let running = Running::start(&store, 1).await;
    for number in 0..5 {
        running
            .journal
            .append(vec![entry(number * 2), entry(number * 2 + 1)])
            .await
            .unwrap();
    }
    assert_eq!(running.numbers().await, (0..10).collect::<Vec<_>>());
    let live = running.journal.live();
    assert_eq!(live.len(), 5);
    assert_eq!(live[4].path, "journal/00000001-00000001/0000000000000005");
    running.stop().await;
}

#[tokio::test]
async fn while_one_commit_is_written_the_next_fills() {
    let (faults, store) = store();
    let running = Running::start(&store, 1).await;
    let gate = faults.close_gate();
    let first = tokio::spawn({
        let journal = running.journal.clone();
        async move { journal.append(vec![entry(0)]).await }
    });
    faults.arrived.notified().await;
    faults.arrived.notified().await;
    let rest: Vec<_> = (1..50)
        .map(|number| {
            let journal = running.journal.clone();
            tokio::spawn(async move { journal.append(vec![entry(number)]).await })
        })
        .collect();
    while running.journal.status().waiting_bytes < 50 * 40 {
        tokio::task::yield_now().await;
    }
    faults.open_gate();
    gate.notify_one();
    first.await.unwrap().unwrap();
    for outcome in join_all(rest).await {
        outcome.unwrap().unwrap();
    }
    let live = running.journal.live();
    assert_eq!(
        live.iter().map(|commit| commit.entries).collect::<Vec<_>>(),
        [1, 49]
    );
    assert_eq!(running.numbers().await, (0..50).collect::<Vec<_>>());
    assert_eq!(running.journal.status().waiting_bytes, 0);
    running.stop().await;
}

/// Settings that wait for company as the product does.
fn gathering() -> Settings {
    Settings {
        gather: Duration::from_millis(2),
        ..hasty()
    }
}

/// Each sender waits for its answer, and comes again that many milliseconds later.
async fn rounds(running: &Running, count: u64, pauses_ms: &[u64]) {
    let senders = pauses_ms.iter().map(|pause_ms| async {
        for number in 0..count {
            running.journal.append(vec![entry(number)]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(*pause_ms)).await;
        }
    });
    join_all(senders).await;
}

#[tokio::test(start_paused = true)]
async fn senders_who_come_again_share_every_commit() {
    let (_, store) = store();
    let running = Running::open(&store, gathering(), 1, &[]).await.unwrap();
    rounds(&running, 20, &[0, 1, 2, 3, 5, 7]).await;
    assert_eq!(running.journal.status().commits, 20);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_sender_who_is_alone_waits_for_company_once() {
    let (_, store) = store();
    let running = Running::open(&store, gathering(), 1, &[]).await.unwrap();
    let started = tokio::time::Instant::now();
    rounds(&running, 20, &[0]).await;
    assert!(started.elapsed() < Duration::from_millis(4 + 20));
    assert_eq!(running.journal.status().commits, 20);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_long_for_one_who_does_not_come_again() {
    let (_, store) = store();
    let running = Running::open(&store, gathering(), 1, &[]).await.unwrap();
    rounds(&running, 1, &[0, 0, 0]).await;
    let started = tokio::time::Instant::now();
    running.journal.append(vec![entry(9)]).await.unwrap();
    assert!(started.elapsed() <= Duration::from_millis(11));
    running.stop().await;
}

#[tokio::test]
async fn a_failed_commit_is_answered_unavailable_and_skipped() {
    for fault in [Put::Lost, Put::Landed, Put::Hidden] {
        let (faults, store) = store();
        let running = Running::start(&store, 1).await;
        running.journal.append(vec![entry(0)]).await.unwrap();
        faults.plan([fault, fault]);
        for number in [1, 2] {
            let error = running
                .journal
                .append(vec![entry(number)])
                .await
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable);
        }
        running.journal.append(vec![entry(3)]).await.unwrap();
        assert_eq!(running.numbers().await, [0, 3]);
        assert_eq!(running.journal.status().commits_failed, 2);
        running.crash().await;
        faults.reveal().await;
        let running = Running::start(&store, 2).await;
        assert_eq!(running.numbers().await, [0, 3], "{fault:?}");
        running.stop().await;
    }
}

#[tokio::test]
async fn a_second_process_under_the_same_id_ends_the_writer() {
    let (_, store) = store();
    let one = Running::start(&store, 1).await;
    one.journal.append(vec![entry(0)]).await.unwrap();
    let path = "journal/00000001-00000001/0000000000000002".into();
    object_store::ObjectStoreExt::put(&store, &path, "other".into())
        .await
        .unwrap();
    let error = one.journal.append(vec![entry(1)]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let ended = one.owner.await.unwrap().unwrap_err();
    assert_eq!(ended.kind(), ErrorKind::Conflict);
    assert_eq!(
        one.journal.append(vec![entry(2)]).await.unwrap_err().kind(),
        ErrorKind::Unavailable
    );
}

#[tokio::test]
async fn the_end_writes_or_answers_everything_that_was_taken() {
    let (faults, store) = store();
    let running = Running::start(&store, 1).await;
    let gate = faults.close_gate();
    let appends: Vec<_> = (0..20)
        .map(|number| {
            let journal = running.journal.clone();
            tokio::spawn(async move { journal.append(vec![entry(number)]).await })
        })
        .collect();
    faults.arrived.notified().await;
    faults.arrived.notified().await;
    while running.journal.status().waiting_bytes < 20 * 40 {
        tokio::task::yield_now().await;
    }
    assert!(running.journal.offer(&entry(20)));
    running.shutdown.send(()).unwrap();
    faults.open_gate();
    gate.notify_one();
    running.owner.await.unwrap().unwrap();
    for outcome in join_all(appends).await {
        outcome.unwrap().unwrap();
    }
    assert_eq!(
        running
            .journal
            .append(vec![entry(99)])
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::Unavailable
    );
    assert!(!running.journal.offer(&entry(99)));
    let running = Running::start(&store, 2).await;
    assert_eq!(running.numbers().await, (0..=20).collect::<Vec<_>>());
    running.stop().await;
}

#[tokio::test]
async fn a_full_journal_refuses_until_something_is_retired() {
    let (_, store) = store();
    let settings = Settings {
        journal_bytes_max: 300,
        ..hasty()
    };
    let running = Running::open(&store, settings, 1, &[]).await.unwrap();
    let mut taken = 0;
    while running.journal.append(vec![entry(taken)]).await.is_ok() {
        taken += 1;
    }
    assert!(taken > 0);
    assert!(!running.journal.offer(&entry(9)));
    assert_eq!(running.journal.status().lines_dropped, 1);
    let last = running.journal.live().pop().unwrap().id;
    running
        .journal
        .retire(&[(last.writer, last.number)])
        .await
        .unwrap();
    running.journal.append(vec![entry(taken)]).await.unwrap();
    assert_eq!(running.numbers().await, [taken]);
    running.stop().await;
}

#[tokio::test]
async fn appends_wait_their_turn_when_the_queue_is_full() {
    let (_, store) = store();
    let settings = Settings {
        waiting_bytes_max: 200,
        ..hasty()
    };
    let running = Running::open(&store, settings, 1, &[]).await.unwrap();
    let many = (0..200).map(|number| running.journal.append(vec![entry(number)]));
    for outcome in join_all(many).await {
        outcome.unwrap();
    }
    assert_eq!(running.numbers().await, (0..200).collect::<Vec<_>>());
    // More than the whole queue holds, in one append.
    running
        .journal
        .append((200..300).map(entry).collect())
        .await
        .unwrap();
    running.stop().await;
}

#[tokio::test]
async fn lines_ride_with_the_next_commit_or_get_their_own() {
    let (faults, store) = store();
    let settings = Settings {
        lines_wait: Duration::from_secs(3_600),
        ..hasty()
    };
    let running = Running::open(&store, settings, 1, &[]).await.unwrap();
    for number in 0..10 {
        assert!(running.journal.offer(&entry(number)));
    }
    // A commit that fails keeps its lines for the next one.
    faults.plan([Put::Landed]);
    running.journal.append(vec![entry(50)]).await.unwrap_err();
    running.journal.append(vec![entry(51)]).await.unwrap();
    let mut expected = vec![51];
    expected.extend(0..10);
    assert_eq!(running.numbers().await, expected);
    running.stop().await;

    let running = Running::open(&store, hasty(), 2, &[]).await.unwrap();
    assert!(running.journal.offer(&entry(60)));
    while running.journal.status().commits == 0 {
        tokio::task::yield_now().await;
    }
    expected.push(60);
    assert_eq!(running.numbers().await, expected);
    running.stop().await;
}

#[tokio::test]
async fn lines_beyond_the_bound_are_counted_and_refused() {
    let (faults, store) = store();
    let running = Running::start(&store, 1).await;
    let gate = faults.close_gate();
    let append = running.journal.append(vec![entry(0)]);
    let offering = async {
        faults.arrived.notified().await;
        faults.arrived.notified().await;
        let offered = 20_000;
        let taken = (0..offered)
            .filter(|number| running.journal.offer(&entry(*number)))
            .count();
        assert_eq!(taken, model::limit::REQUEST_LINES_WAITING_MAX);
        let dropped = running.journal.status().lines_dropped;
        assert_eq!(dropped, offered - taken as u64);
        faults.open_gate();
        gate.notify_one();
    };
    let (outcome, ()) = tokio::join!(append, offering);
    outcome.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn a_line_that_is_lost_with_nobody_waiting_is_counted() {
    let (faults, store) = store();
    let running = Running::start(&store, 1).await;
    let status = || running.journal.status();
    // Nobody waits when the commit fails.
    faults.plan([Put::Lost]);
    let mut append = Box::pin(running.journal.append(vec![entry(0), line(1)]));
    assert!(futures::poll!(append.as_mut()).is_pending());
    drop(append);
    while status().commits_failed < 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(status().lines_dropped, 1);
    // Nobody hears the answer, which had come.
    faults.plan([Put::Lost]);
    let mut append = Box::pin(running.journal.append(vec![entry(2), line(3)]));
    assert!(futures::poll!(append.as_mut()).is_pending());
    while status().commits_failed < 2 {
        tokio::task::yield_now().await;
    }
    drop(append);
    assert_eq!(status().lines_dropped, 2);
    // Who hears it sees to the line.
    faults.plan([Put::Lost]);
    let heard = running.journal.append(vec![line(4)]).await;
    assert_eq!(heard.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(status().lines_dropped, 2);
    running.stop().await;
}

/// A line of the request log.
fn line(number: u64) -> Entry {
    let mut line = entry(number);
    line.record = Record::Request(Box::new(RequestLine {
        id: line.record.id(),
        at: Timestamp::from_ms(1),
        plane: Plane::Api,
        peer: Peer::Unknown,
        tls_version: "".into(),
        method: "POST".into(),
        path: "/1/upload".into(),
        status: 200,
        outcome: Outcome::Answered,
        reason: "".into(),
        size_bytes: 0,
        accepted: 0,
        rejected: 0,
        duration_us: 0,
    }));
    line
}

#[tokio::test]
async fn large_appends_are_split_and_all_of_them_are_durable() {
    use model::record::{Quarantined, Source};
    let (_, store) = store();
    let running = Running::start(&store, 1).await;
    let large = |number| {
        let mut large = entry(number);
        large.record = Record::Quarantined(Box::new(Quarantined {
            id: large.record.id(),
            received_at: Timestamp::from_ms(1),
            source: Source::Rest,
            person: None,
            code: 0,
            error: "undecodable".into(),
            body: vec![b'x'; 9 * 1024 * 1024],
        }));
        large
    };
    running
        .journal
        .append((0..3).map(large).collect())
        .await
        .unwrap();
    assert_eq!(running.journal.live().len(), 3);
    let first = running.journal.live()[0].id;
    assert_eq!(
        running
            .journal
            .read(first)
            .await
            .unwrap()
            .iter()
            .map(number_of)
            .collect::<Vec<_>>(),
        [0]
    );
    running.stop().await;
}

#[tokio::test]
async fn lines_stay_bounded_while_commits_fail() {
    let (faults, store) = store();
    let running = Running::start(&store, 1).await;
    faults.plan(std::iter::repeat_n(Put::Lost, 1_000_000));
    let bound = 2 * model::limit::REQUEST_LINES_WAITING_MAX;
    let mut taken = 0;
    for number in 0..200 {
        for line in 0..1_000 {
            taken += usize::from(running.journal.offer(&entry(line)));
        }
        running
            .journal
            .append(vec![entry(number)])
            .await
            .unwrap_err();
    }
    assert!(taken <= bound, "{taken} lines are held");
    assert_eq!(
        running.journal.status().lines_dropped,
        200_000 - taken as u64
    );
    running.crash().await;
}
