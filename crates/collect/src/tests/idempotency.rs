//! Uploads under an `Idempotency-Key`.

use axum::body::Body;
use model::record::Record;
use model::{Day, RecordId};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::harness::{Answer, NOW, Room};

const BODY: &str = r#"{"d":[{"type":"event","identity":"u1","evtName":"Viewed"},
    {"type":"event","identity":"u1","evtName":"Viewed"},
    {"type":"event","identity":"u1","evtName":"App Launched"}]}"#;

async fn send(room: &Room, key: &str, body: impl Into<Body>) -> Answer {
    let request = room
        .request("POST", "/1/upload")
        .header("Idempotency-Key", key);
    room.send(request.body(body.into()).unwrap()).await.unwrap()
}

async fn events(room: &Room) -> Vec<RecordId> {
    let entries = room.entries().await;
    let event = |record: &Record| match record {
        Record::Event(event) => Some(event.id),
        _ => None,
    };
    entries.iter().filter_map(|it| event(&it.record)).collect()
}

#[tokio::test]
async fn the_same_key_and_body_is_stored_once_and_answered_alike() {
    let room = Room::new().await;
    let first = send(&room, "k1", BODY).await;
    assert_eq!(first.status, 200);
    let again = send(&room, "k1", BODY).await;
    assert_eq!((again.status, &again.body), (200, &first.body));
    assert_eq!(
        events(&room).await.len(),
        2,
        "two that are the same are two"
    );
    let lines = room.lines().await;
    let told: Vec<_> = lines
        .iter()
        .map(|(_, it)| (&*it.reason, it.accepted, it.rejected))
        .collect();
    assert_eq!(told, [("", 2, 1), ("repeated", 2, 1)]);
    // Another key, or none, is another upload.
    send(&room, "k2", BODY).await;
    room.upload(BODY).await;
    room.upload(BODY).await;
    assert_eq!(events(&room).await.len(), 8);
}

#[tokio::test]
async fn a_long_answer_is_made_again_as_of_its_time() {
    let room = Room::new().await;
    // Half an hour younger than the oldest that is kept.
    let oldest = NOW.minus(Duration::from_hours(365 * 24)).ms() / 1_000 + 1_800;
    let body = format!(
        r#"{{"d":[{{"type":"event","identity":"u1","ts":{oldest},"evtName":"Viewed"}},
        {{"type":"event","identity":"u1","evtName":"App Launched","evtData":{{"a":"{}"}}}}]}}"#,
        "x".repeat(50_000)
    );
    let first = send(&room, "k1", body.clone()).await;
    assert!(
        first
            .body
            .starts_with(r#"{"status":"partial","processed":1,"#)
    );
    assert!(first.body.len() > 50_000);
    room.clock.advance(Duration::from_hours(1));
    assert_eq!(send(&room, "k1", body).await, first);
    assert_eq!(send(&room, "k1", BODY).await.status, 422);
    assert_eq!(events(&room).await.len(), 1);
    let lines = room.lines().await;
    let told = lines
        .iter()
        .map(|(_, it)| (&*it.reason, it.accepted, it.rejected));
    assert_eq!(
        told.take(2).collect::<Vec<_>>(),
        [("", 1, 1), ("repeated", 1, 1)]
    );
}

#[tokio::test]
async fn a_key_is_not_for_two_bodies_and_not_for_dry_runs() {
    let room = Room::new().await;
    send(&room, "k1", BODY).await;
    let other = send(&room, "k1", r#"{"d":[]}"#).await;
    assert_eq!(other.status, 422, "{}", other.body);
    for key in ["", "caf\u{e9}"] {
        assert_eq!(send(&room, key, BODY).await.status, 400);
    }
    for key in ["k3", "", "caf\u{e9}"] {
        let request = room
            .request("POST", "/1/upload?dryRun=1")
            .header("Idempotency-Key", key);
        let dry = room
            .send(request.body(Body::from(BODY)).unwrap())
            .await
            .unwrap();
        assert_eq!(dry.status, 200, "{key}");
    }
    assert_eq!(events(&room).await.len(), 2);
    send(&room, "k3", BODY).await;
    assert_eq!(events(&room).await.len(), 4);
}

#[tokio::test]
async fn a_key_that_stands_twice_must_say_the_same() {
    let room = Room::new().await;
    let send_twice = async |second: &str| {
        let request = room
            .request("POST", "/1/upload")
            .header("Idempotency-Key", "k1")
            .header("Idempotency-Key", second);
        let answer = room.send(request.body(Body::from(BODY)).unwrap()).await;
        answer.unwrap().status
    };
    assert_eq!(send_twice("k1").await, 200);
    assert_eq!(send(&room, "k1", BODY).await.status, 200);
    assert_eq!(events(&room).await.len(), 2, "it is the same key");
    for other in ["k2", "K1", ""] {
        assert_eq!(send_twice(other).await, 400, "{other}");
    }
    assert_eq!(events(&room).await.len(), 2);
}

#[tokio::test]
async fn what_was_not_durable_is_not_remembered() {
    let room = Room::new().await;
    room.store.is_failing.store(true, Ordering::Relaxed);
    assert_eq!(send(&room, "k1", BODY).await.status, 503);
    room.store.is_failing.store(false, Ordering::Relaxed);
    assert_eq!(send(&room, "k1", BODY).await.status, 200);
    assert!(events(&room).await.len() >= 2);
}

#[tokio::test]
async fn who_has_forgotten_stores_the_same_ids() {
    let (one, other) = (Room::new().await, Room::new().await);
    send(&one, "k1", BODY).await;
    send(&other, "k1", BODY).await;
    let ids: BTreeSet<_> = events(&one).await.into_iter().collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(ids, events(&other).await.into_iter().collect());
}

#[tokio::test]
async fn whose_sender_went_away_has_its_ids_on_the_next_day_too() {
    let room = Room::new().await;
    // A second before midnight.
    room.clock
        .set(NOW.day().start().plus(Duration::from_secs(86_399)));
    {
        let mut first = std::pin::pin!(send(&room, "k1", BODY));
        assert!(futures::poll!(first.as_mut()).is_pending());
    }
    room.clock.advance(Duration::from_secs(3));
    assert_eq!(send(&room, "k1", BODY).await.status, 200);
    let twice = events(&room).await;
    let ids: BTreeSet<_> = twice.iter().copied().collect();
    assert_eq!((twice.len(), ids.len()), (4, 2), "its commit went on");
    // A day later it is a new one.
    room.clock.advance(Duration::from_hours(25));
    assert_eq!(send(&room, "k1", BODY).await.status, 200);
    let ids: BTreeSet<_> = events(&room).await.into_iter().collect();
    assert_eq!(ids.len(), 4);
}

#[tokio::test]
async fn who_has_started_anew_finds_what_came_before_midnight() {
    let one = Room::new().await;
    let midnight = Day(NOW.day().0 + 1).start();
    one.clock.set(midnight.minus(Duration::from_secs(1)));
    let first = send(&one, "k1", BODY).await;
    let ids: BTreeSet<_> = events(&one).await.into_iter().collect();

    let seconds = |after: u64| midnight.plus(Duration::from_secs(after));
    let other = Room::after(&one, seconds(2)).await;
    assert_eq!(send(&other, "k1", BODY).await, first);
    assert_eq!(ids, events(&other).await.into_iter().collect());
    // Another key is another upload.
    send(&other, "k2", BODY).await;
    assert_eq!(events(&other).await.len(), 4);

    // A day after the first it is a new one, and stays that.
    let late = Room::after(&one, seconds(86_399)).await;
    send(&late, "k1", BODY).await;
    let new: BTreeSet<_> = events(&late).await.into_iter().collect();
    assert!(ids.is_disjoint(&new), "{new:?}");
    let later = Room::after(&late, seconds(90_000)).await;
    send(&later, "k1", BODY).await;
    assert_eq!(new, events(&later).await.into_iter().collect());
}

#[tokio::test]
async fn what_may_be_stored_is_not_taken_while_that_cannot_be_read() {
    let one = Room::new().await;
    send(&one, "k1", BODY).await;
    let ids: BTreeSet<_> = events(&one).await.into_iter().collect();
    let room = Room::after(&one, Day(NOW.day().0 + 1).start()).await;
    room.before.is_unreadable.store(true, Ordering::Relaxed);
    for _ in 0..2 {
        assert_eq!(send(&room, "k1", BODY).await.status, 503);
    }
    assert_eq!(events(&room).await, []);
    assert_eq!(room.upload(BODY).await.unwrap().status, 200);
    assert_eq!(events(&room).await.len(), 2, "it has no key");

    room.before.is_unreadable.store(false, Ordering::Relaxed);
    assert_eq!(send(&room, "k1", BODY).await.status, 200);
    let stored: BTreeSet<_> = events(&room).await.into_iter().collect();
    assert!(ids.is_subset(&stored), "{stored:?}");

    // What came in the last day is remembered by then.
    room.clock.advance(Duration::from_hours(24));
    room.before.is_unreadable.store(true, Ordering::Relaxed);
    assert_eq!(send(&room, "k2", BODY).await.status, 200);
}

#[tokio::test]
async fn what_cannot_be_decoded_is_one_record_of_the_quarantine() {
    let room = Room::new().await;
    for key in ["k1", "k1", "k2"] {
        assert_eq!(send(&room, key, "{").await.status, 400);
    }
    let entries = room.entries().await;
    let ids = entries.iter().filter_map(|it| match &it.record {
        Record::Quarantined(it) => Some(it.id),
        _ => None,
    });
    let ids: Vec<_> = ids.collect();
    assert_eq!(ids.len(), 3);
    assert!(ids[0] == ids[1] && ids[1] != ids[2]);
}

#[tokio::test]
async fn two_at_a_time_are_stored_once() {
    let room = Room::new().await;
    let (first, second) = tokio::join!(send(&room, "k1", BODY), send(&room, "k1", BODY));
    assert_eq!((first.status, &first.body), (second.status, &second.body));
    assert_eq!(events(&room).await.len(), 2);
}
