//! An upload that comes again under its `Idempotency-Key`, before and after kills, flushes and restarts.

use serde_json::{Value, json};

use crate::client::Client;
use crate::harness::{Account, Installation};

/// Two events that are the same, a number that counts up, and a record that is refused.
fn upload() -> Value {
    let event =
        json!({"type": "event", "identity": "u1", "evtName": "Viewed", "evtData": {"n": 1}});
    let visits = json!({"Visits": {"$incr": 5}});
    json!({"d": [
        event,
        event,
        {"type": "profile", "identity": "u1", "profileData": visits},
        {"type": "event", "identity": "u1", "evtName": "App Launched", "evtData": {}},
    ]})
}

/// Status and body of an upload under a key.
async fn send(client: &Client, key: &str, body: &Value) -> (u16, Value) {
    let request = client
        .request("POST", "/1/upload")
        .header("Content-Type", "application/json")
        .header("Idempotency-Key", key);
    let answer = Client::send(request.body(body.to_string())).await.unwrap();
    (answer.status, answer.body)
}

/// How often it is there: events, visits, records in the quarantine.
async fn stored(room: &Installation, client: &Client, account: &Account) -> [u64; 3] {
    let shown = client.get("/1/profile.json?identity=u1").await;
    let visits = shown.body["record"]["profileData"]["Visits"].as_u64();
    let count = |table: &str| room.count(account, &format!("SELECT count(*) FROM {table}"));
    [count("events"), visits.unwrap(), count("quarantine")]
}

#[tokio::test]
async fn an_upload_is_answered_alike_and_stored_once_over_kills_flushes_and_restarts() {
    let room = Installation::new();
    let account = room.account("again");
    let once = [2, 5, 1];
    let server = room.serve();
    let client = server.client(&account);
    // Two at a time are one.
    let body = upload();
    let (first, beside) = tokio::join!(send(&client, "k1", &body), send(&client, "k1", &body));
    assert_eq!(beside, first);
    assert_eq!(
        (first.0, &first.1["processed"]),
        (200, &json!(3)),
        "{first:?}"
    );
    assert_eq!(first.1["unprocessed"][0]["code"], 513, "{first:?}");
    assert_eq!(send(&client, "k1", &body).await, first);
    // Another body is none of this key.
    assert_eq!(send(&client, "k1", &json!({"d": []})).await.0, 422);
    assert_eq!(stored(&room, &client, &account).await, once);

    // The answers are forgotten, and the records lie in the journal.
    server.kill();
    let server = room.serve();
    let client = server.client(&account);
    assert_eq!(send(&client, "k1", &body).await, first);
    assert_eq!(stored(&room, &client, &account).await, once);

    // They lie in parts.
    assert!(room.run(&["job", "run", "flush"]).status.success());
    assert!(server.stop().success());
    let server = room.serve();
    let client = server.client(&account);
    assert_eq!(send(&client, "k1", &body).await, first);
    assert_eq!(stored(&room, &client, &account).await, once);
    assert!(room.run(&["job", "run", "flush"]).status.success());
    assert_eq!(stored(&room, &client, &account).await, once);

    // Another key is another upload.
    assert_eq!(send(&client, "k2", &body).await, first);
    assert_eq!(stored(&room, &client, &account).await, [4, 10, 2]);
}
