//! People who are deleted are gone from every read when the deletion is answered.

use super::harness::{CONTROL_WRITES, NOTHING, Room};

const MALFORMED: &str = r#"400 {"status":"fail","error":"Malformed request","code":400}"#;
const SUCCESS: &str = r#"200 {"status":"success"}"#;
const PATH: &str = "/1/delete/profiles.json";
const DAY: &str = r#"{"event_name":"Viewed","from":20260921,"to":20260921}"#;

async fn room() -> Room {
    let room = Room::new().await;
    room.upload(&[
        r#"{"type":"profile","identity":"u1","ts":1789990000,"profileData":{"Name":"Ann"}}"#,
        r#"{"type":"event","identity":"u1","ts":1790000000,"evtName":"Viewed"}"#,
        r#"{"type":"profile","identity":"old1","profileData":{"identity":"u1"}}"#,
        r#"{"type":"event","identity":"old1","ts":1790000000,"evtName":"Viewed"}"#,
        r#"{"type":"event","identity":"u2","ts":1790000001,"evtName":"Viewed"}"#,
    ])
    .await;
    room
}

async fn count(room: &Room) -> u64 {
    room.post("/1/counts/events.json", DAY).await.json()["count"]
        .as_u64()
        .unwrap()
}

#[tokio::test]
async fn every_name_of_the_person_is_gone_at_once() {
    let room = room().await;
    assert_eq!(count(&room).await, 3);
    assert_eq!(
        room.post(PATH, r#"{"identity":"u1"}"#).await.text(),
        SUCCESS
    );
    assert_eq!(count(&room).await, 1);
    for identity in ["u1", "old1"] {
        let answer = room
            .get(&format!("/1/profile.json?identity={identity}"))
            .await;
        assert_eq!(answer.text(), r#"200 {"status":"success","record":null}"#);
    }
    let operator = control::Actor::os_user("tester");
    let deletions = room
        .control
        .deletions(&operator, room.account)
        .await
        .unwrap();
    assert_eq!(deletions.len(), 1);
    assert_eq!(deletions[0].keys.len(), 2);
    // Later records of theirs look accepted and are not kept.
    room.upload(&[r#"{"type":"event","identity":"u1","ts":1790000002,"evtName":"Viewed"}"#])
        .await;
    assert_eq!(count(&room).await, 1);
}

#[tokio::test]
async fn who_is_not_known_yet_is_deleted_too() {
    let room = room().await;
    assert_eq!(
        room.post(PATH, r#"{"identity":["u7",8]}"#).await.text(),
        SUCCESS
    );
    room.upload(&[r#"{"type":"event","identity":"u7","ts":1790000002,"evtName":"Viewed"}"#])
        .await;
    assert_eq!(count(&room).await, 3);
}

#[tokio::test]
async fn a_deletion_that_is_not_durable_is_not_confirmed() {
    let room = room().await;
    room.store.refuse(CONTROL_WRITES);
    assert_eq!(room.post(PATH, r#"{"identity":"u1"}"#).await.status, 503);
    room.store.refuse(NOTHING);
    assert_eq!(
        room.post(PATH, r#"{"identity":"u1"}"#).await.text(),
        SUCCESS
    );
}

#[tokio::test]
async fn bodies_that_name_nobody_or_too_much_are_refused() {
    let room = room().await;
    let names = |count: usize| format!(r#"{{"identity":[{}]}}"#, vec!["\"a\""; count].join(","));
    let bodies = [
        String::new(),
        String::from("{}"),
        String::from(r#"{"identity":[]}"#),
        String::from(r#"{"identity":""}"#),
        String::from(r#"{"identity":"a","guid":"b"}"#),
        names(101),
    ];
    for body in bodies {
        assert_eq!(
            room.post(PATH, body.clone()).await.text(),
            MALFORMED,
            "{body}"
        );
    }
    assert_eq!(room.post(PATH, names(100)).await.text(), SUCCESS);
    assert_eq!(count(&room).await, 3);
}
