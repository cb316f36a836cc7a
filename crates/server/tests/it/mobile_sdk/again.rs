//! What a phone sends again is stored once; what is another's, or of another session, is another.

use serde_json::{Value, json};

use super::{ANDROID, START, accepted, android, batch, counts, phone};
use crate::harness::{Account, Installation, Server};

/// Everything that `batch` holds, once.
fn all() -> Value {
    json!({"App Launched": 1, "Charged": 1, "Product Viewed": 1, "Tap": 2})
}

async fn send(room: &Installation, server: &Server, account: &Account, body: &Value) {
    let phone = phone(room, server, account);
    accepted(android(&phone, account).body(body.to_string())).await;
}

/// How far the batch's person has come: an increment that counts twice would show.
async fn score(server: &Server, account: &Account) -> Value {
    let client = server.client(account);
    let ana = client.get("/1/profile.json?identity=u-1").await;
    ana.body["record"]["profileData"]["score"].clone()
}

#[tokio::test]
async fn a_batch_that_is_sent_again_is_stored_once_even_by_a_server_that_was_killed() {
    let room = Installation::new();
    let account = room.account("again");
    let server = room.serve();
    let body = batch(&account);
    // Two copies at a time.
    tokio::join!(
        send(&room, &server, &account, &body),
        send(&room, &server, &account, &body)
    );
    assert_eq!(counts(&room, &account).await, all());
    server.kill();

    let server = room.serve();
    send(&room, &server, &account, &body).await;
    assert_eq!(counts(&room, &account).await, all());
    assert_eq!(score(&server, &account).await, 3);
}

#[tokio::test]
async fn a_batch_that_is_sent_again_after_flushes_and_restarts_is_stored_once() {
    let room = Installation::new();
    let account = room.account("flushed");
    let body = batch(&account);
    let server = room.serve();
    send(&room, &server, &account, &body).await;
    // In parts, and the journal has forgotten it.
    assert!(room.run(&["job", "run", "flush"]).status.success());
    server.kill();
    let server = room.serve();
    send(&room, &server, &account, &body).await;
    assert_eq!(counts(&room, &account).await, all());
    assert_eq!(score(&server, &account).await, 3);
    // The copy meets the first one in a flush.
    assert!(room.run(&["job", "run", "flush"]).status.success());
    assert_eq!(counts(&room, &account).await, all());
    assert!(server.stop().success());
    let server = room.serve();
    send(&room, &server, &account, &body).await;
    assert_eq!(counts(&room, &account).await, all());
    assert_eq!(score(&server, &account).await, 3);
    assert_eq!(room.count(&account, "SELECT count(*) FROM quarantine"), 0);
}

#[tokio::test]
async fn equal_items_of_two_sessions_and_of_two_devices_stay_two() {
    let room = Installation::new();
    let account = room.account("equals");
    let server = room.serve();
    // The same in everything but the device and the session.
    let tap = |session: u64| {
        json!({
            "type": "event", "evtName": "Tap", "evtData": {"button": "buy"}, "ep": START + 1, "s": session,
        })
    };
    let batch = |device: &str, sessions: &[u64]| {
        let meta = json!({"type": "meta", "g": device, "id": account.id, "af": {"OS": "Android"}});
        let taps = sessions.iter().map(|session| tap(*session));
        Value::Array(std::iter::once(meta).chain(taps).collect())
    };
    let (here, there) = (ANDROID, "__fedcba9876543210fedcba9876543210");
    let batches = [
        (batch(here, &[START]), 1),
        // Of another session, in a batch of its own.
        (batch(here, &[START - 9]), 2),
        // Of both sessions once more, and of a third one, in one batch.
        (batch(here, &[START, START - 9, START - 99]), 3),
        // Of another device in the same session.
        (batch(there, &[START]), 4),
    ];
    for (body, taps) in &batches {
        send(&room, &server, &account, body).await;
        assert_eq!(counts(&room, &account).await, json!({"Tap": taps}));
    }
    // Each of them again, and none is stored again.
    for (body, _) in &batches {
        send(&room, &server, &account, body).await;
    }
    assert_eq!(counts(&room, &account).await, json!({"Tap": 4}));
    assert!(room.run(&["job", "run", "flush"]).status.success());
    for (body, _) in &batches {
        send(&room, &server, &account, body).await;
    }
    assert_eq!(counts(&room, &account).await, json!({"Tap": 4}));
    for (column, number) in [("person_key", 2), ("\"session\"", 3)] {
        let sql = format!("SELECT DISTINCT {column} FROM events");
        assert_eq!(room.query(&account, &sql).len(), number, "{column}");
    }
}
