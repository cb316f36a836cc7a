//! One person, by any of their names.

use expect_test::expect;
use serde_json::{Value, json};

use super::harness::{CONTROL_WRITES, Room};

async fn room() -> Room {
    let room = Room::new().await;
    room.upload(&[
        r#"{"type":"profile","identity":"u+1","ts":1789990000,"profileData":{"Name":"Ann",
            "Email":"ann+shop@example.com","Phone":"+14155551234","tags":{"$add":["a","b"]}}}"#,
        r#"{"type":"event","identity":"u+1","ts":1790000000,"evtName":"Viewed"}"#,
        r#"{"type":"profile","identity":"u+1","objectId":"__g9e75c0d1ab","ts":1789990001,
            "profileData":{"Plan":"gold"}}"#,
        r#"{"type":"token","objectId":"__g9e75c0d1ab","tokenData":{"id":"tok-1","type":"fcm"}}"#,
    ])
    .await;
    room
}

#[tokio::test]
async fn a_person_is_found_by_identity_email_and_object_id() {
    let room = room().await;
    let found = room.get("/1/profile.json?identity=u+1").await;
    expect![[r#"200 {"status":"success","record":{"identity":"u+1","name":"Ann","email":"ann+shop@example.com","phone":"+14155551234","profileData":{"Plan":"gold","tags":["a","b"]},"events":{"Viewed":{"count":1,"first_seen":1790000000,"last_seen":1790000000}},"platformInfo":[{"platform":"Android","push_token":"tok-1","objectId":"__g9e75c0d1ab"}],"objectId":"__g9e75c0d1ab"}}"#]]
    .assert_eq(&found.text());
    let others = [
        "identity=u%2B1",
        "email=ann+shop@example.com",
        "objectId=__g9e75c0d1ab",
    ];
    for other in others {
        let answer = room.get(&format!("/1/profile.json?{other}")).await;
        assert_eq!(answer.text(), found.text(), "{other}");
    }
}

#[tokio::test]
async fn a_device_is_shown_with_whoever_has_it_however_that_was_said() {
    let room = Room::new().await;
    for (ts, owner) in [(1_789_990_000, "a"), (1_789_990_010, "b")] {
        let record = json!({
            "type": "profile", "objectId": "__g9e75c0d1ab", "ts": ts,
            "profileData": {"identity": owner},
        });
        room.upload(&[&record.to_string()]).await;
        for name in [&*format!("identity={owner}"), "objectId=__g9e75c0d1ab"] {
            let found = room.get(&format!("/1/profile.json?{name}")).await;
            let found: Value = serde_json::from_str(&found.body).unwrap();
            assert_eq!(found["record"]["identity"], owner, "{name}");
            assert_eq!(found["record"]["objectId"], "__g9e75c0d1ab", "{name}");
        }
    }
}

#[tokio::test]
async fn a_plus_is_a_space_when_nobody_has_a_plus_there() {
    let room = room().await;
    let named = |identity: &str| {
        let record =
            json!({"type": "profile", "identity": identity, "profileData": {"Name": identity}});
        record.to_string()
    };
    let of = async |query: &str| {
        let found = room.get(&format!("/1/profile.json?identity={query}")).await;
        let found: Value = serde_json::from_str(&found.body).unwrap();
        found["record"]["name"].clone()
    };
    room.upload(&[&named("u 1"), &named("ann b")]).await;
    assert_eq!(of("ann+b").await, "ann b");
    assert_eq!(of("ann%20b").await, "ann b");
    assert_eq!(of("ann%2Bb").await, Value::Null);
    assert_eq!(of("u+1").await, "Ann");
    assert_eq!(of("u%201").await, "u 1");
}

#[tokio::test]
async fn a_person_is_shown_under_the_name_that_aliases_lead_to() {
    let room = room().await;
    let of = async |identity: &str| {
        let found = room
            .get(&format!("/1/profile.json?identity={identity}"))
            .await;
        found.json()["record"]["identity"].clone()
    };
    // One visitor before the name is known, another one after.
    for visitor in ["visitor1", "visitor2"] {
        let event = json!({"type": "event", "identity": visitor, "evtName": "Viewed"});
        let alias =
            json!({"type": "profile", "identity": visitor, "profileData": {"identity": "u7"}});
        room.upload(&[&event.to_string(), &alias.to_string()]).await;
    }
    for name in ["visitor1", "visitor2", "u7"] {
        assert_eq!(of(name).await, "u7", "{name}");
    }
}

#[tokio::test]
async fn nobody_is_null_and_nothing_is_malformed() {
    let room = room().await;
    let answer = room.get("/1/profile.json?identity=u9").await;
    assert_eq!(answer.text(), r#"200 {"status":"success","record":null}"#);
    for query in [
        "",
        "?name=x",
        "?identity=",
        "?identity=a&email=b",
        "?identity=a&identity=b",
    ] {
        let answer = room.get(&format!("/1/profile.json{query}")).await;
        let expected = r#"400 {"status":"fail","error":"Malformed request","code":400}"#;
        assert_eq!(answer.text(), expected, "{query}");
    }
}

#[tokio::test]
async fn a_look_that_cannot_be_audited_shows_nothing() {
    let room = room().await;
    room.store.refuse(CONTROL_WRITES);
    let answer = room.get("/1/profile.json?identity=u+1").await;
    assert_eq!(answer.status, 503);
    assert!(!answer.body.contains("Ann"));
}

#[tokio::test]
async fn the_audit_log_has_the_key_and_never_the_name() {
    let room = room().await;
    for query in ["identity=u+1", "email=ann+shop@example.com", "identity=u9"] {
        assert_eq!(
            room.get(&format!("/1/profile.json?{query}")).await.status,
            200
        );
    }
    let operator = control::Actor::os_user("tester");
    let filter = control::AuditFilter {
        actions: vec![control::Action::PersonShown],
        ..control::AuditFilter::default()
    };
    let entries = room
        .control
        .audit_log(&operator, room.account, &filter)
        .await
        .unwrap();
    let told: Vec<_> = entries.iter().map(|it| it.description.as_str()).collect();
    assert_eq!(told, ["by identity", "by email", "by identity; nobody"]);
    assert_eq!(entries[0].action_id, entries[1].action_id);
    assert_eq!(entries[0].action_id.len(), 32);
    let text = format!("{entries:?}");
    assert!(!text.contains("u+1") && !text.contains("example.com"));
    let log = format!("{:?}", room.lines().await);
    assert!(!log.contains("u+1") && !log.contains("example.com"));
}
