//! Calls that change what is known of people: subscriptions, numbers, devices.

use expect_test::expect;
use model::Clock as _;
use std::time::Duration;

use super::harness::{CONTROL_WRITES, JOURNAL_WRITES, NOTHING, Room};

async fn room() -> Room {
    let room = Room::new().await;
    room.upload(&[
        r#"{"type":"profile","identity":"u1","profileData":{"Email":"Ann@Example.com","Phone":"+14155551234"}}"#,
        r#"{"type":"profile","identity":"u2","profileData":{"Email":"ann@example.com"}}"#,
        r#"{"type":"profile","identity":"u3","profileData":{"Phone":"+14155551234"}}"#,
        r#"{"type":"profile","identity":"u1","objectId":"__g9e75c0d1ab","profileData":{}}"#,
        r#"{"type":"event","objectId":"__g9e75c0d1ab","evtName":"Viewed"}"#,
    ])
    .await;
    room.clock.advance(Duration::from_secs(10));
    room
}

async fn profile(room: &Room, identity: &str) -> serde_json::Value {
    let answer = room
        .get(&format!("/1/profile.json?identity={identity}"))
        .await;
    answer.json()["record"].clone()
}

#[tokio::test]
async fn a_wish_reaches_everybody_who_has_the_address() {
    let room = room().await;
    let body = r#"{"d":[{"type":"email","value":"ANN@example.com","status":"Unsubscribe"},
        {"type":"phone","value":"+1 (415) 555-1234","status":"Unsubscribe"},
        {"type":"whatsapp","value":14155551234,"status":"Resubscribe"},
        {"type":"email","value":"nobody@example.com","status":"Unsubscribe"},
        {"type":"fax","value":"1","status":"Unsubscribe"},
        {"type":"email","value":"x","status":"Unsubscribe"},
        {"type":"phone","value":"12","status":"Resubscribe"},
        {"type":"phone","value":"+14155551234","status":"Later"}]}"#;
    let answer = room.post("/1/subscribe", body).await;
    let answer = answer.json();
    assert_eq!(answer["status"], "partial");
    assert_eq!(answer["processed"], 4);
    let refused: Vec<_> = answer["unprocessed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| format!("{} {}", it["code"], it["error"].as_str().unwrap()))
        .collect();
    expect![[r"
        512 Record is incorrect. ErrorCode: 512 - type, value and status need to be known ones. Skipped record number : 5
        515 Profile data is incorrect. Email is not valid.Skipped record number : 6
        516 Profile data is incorrect. Phone number is not valid.Skipped record number : 7
        512 Record is incorrect. ErrorCode: 512 - type, value and status need to be known ones. Skipped record number : 8"]]
    .assert_eq(&refused.join("\n"));
    let kept = room.quarantined().await.into_iter();
    let kept: Vec<_> = kept
        .map(|(code, reason, body)| format!("{code} {reason} {body}"))
        .collect();
    expect![[r#"
        512 subscription_invalid {"type":"fax","value":"1","status":"Unsubscribe"}
        515 email_invalid {"type":"email","value":"x","status":"Unsubscribe"}
        516 phone_invalid {"type":"phone","value":"12","status":"Resubscribe"}
        512 subscription_invalid {"type":"phone","value":"+14155551234","status":"Later"}"#]]
    .assert_eq(&kept.join("\n"));
    let flags = |person: serde_json::Value| person["profileData"].to_string();
    assert_eq!(
        flags(profile(&room, "u1").await),
        r#"{"MSG-dndEmail":true,"MSG-dndPhone":true,"MSG-whatsapp":true}"#
    );
    assert_eq!(
        flags(profile(&room, "u2").await),
        r#"{"MSG-dndEmail":true}"#
    );
    room.clock.advance(Duration::from_secs(1));
    let back = r#"{"d":{"type":"email","value":"ann@example.com","status":"Resubscribe"}}"#;
    assert_eq!(
        room.post("/1/subscribe/", back).await.json()["status"],
        "success"
    );
    assert_eq!(
        flags(profile(&room, "u2").await),
        r#"{"MSG-dndEmail":false}"#
    );
}

#[tokio::test]
async fn a_number_is_taken_from_everybody_who_has_it() {
    let room = room().await;
    let body = r#"{"d":[{"type":"phone","value":"+14155551234"},{"type":"email","value":"ann@example.com"}]}"#;
    let answer = room.post("/1/disassociate/", body).await.json();
    assert_eq!(answer["processed"], 1);
    for identity in ["u1", "u3"] {
        assert!(
            profile(&room, identity).await.get("phone").is_none(),
            "{identity}"
        );
    }
    assert_eq!(profile(&room, "u1").await["email"], "Ann@Example.com");
    let refused = String::from(r#"{"type":"email","value":"ann@example.com"}"#);
    let reason = String::from("subscription_invalid");
    assert_eq!(room.quarantined().await, [(512, reason, refused)]);
}

#[tokio::test]
async fn a_demerged_device_belongs_to_nobody_until_it_is_named_again() {
    let room = room().await;
    assert_eq!(profile(&room, "u1").await["events"]["Viewed"]["count"], 1);
    let body = r#"{"identities":["u1"]}"#;
    let answer = room.post("/1/demerge/profiles.json", body).await;
    assert_eq!(answer.text(), r#"200 {"status":"success"}"#);
    room.clock.advance(Duration::from_secs(1));
    room.upload(&[r#"{"type":"event","objectId":"__g9e75c0d1ab","evtName":"Viewed"}"#])
        .await;
    assert_eq!(profile(&room, "u1").await["events"]["Viewed"]["count"], 1);
    let device = room
        .get("/1/profile.json?objectId=__g9e75c0d1ab")
        .await
        .json();
    assert_eq!(device["record"].get("identity"), None, "{device}");
    assert_eq!(device["record"]["events"]["Viewed"]["count"], 1);
    assert_eq!(device["record"]["events"]["Identity Reset"]["count"], 1);
    room.clock.advance(Duration::from_secs(1));
    room.upload(&[
        r#"{"type":"event","identity":"u1","objectId":"__g9e75c0d1ab","evtName":"Viewed"}"#,
    ])
    .await;
    let again = room
        .get("/1/profile.json?objectId=__g9e75c0d1ab")
        .await
        .json();
    assert_eq!(again["record"]["identity"], "u1");
}

#[tokio::test]
async fn a_device_that_changed_hands_is_its_newest_owner_s_alone() {
    const DEVICE: &str = "__g9e75c0d1ab";
    let room = room().await;
    let next = async |record: &str| {
        room.clock.advance(Duration::from_secs(10));
        room.upload(&[&record.replace("DEVICE", DEVICE)]).await;
    };
    next(r#"{"type":"token","objectId":"DEVICE","tokenData":{"id":"tok-1","type":"fcm"}}"#).await;
    assert_eq!(
        profile(&room, "u1").await["platformInfo"][0]["push_token"],
        "tok-1"
    );
    next(r#"{"type":"event","identity":"u2","objectId":"DEVICE","evtName":"Viewed"}"#).await;
    assert_eq!(profile(&room, "u2").await["objectId"], DEVICE);
    let before = profile(&room, "u1").await.to_string();
    assert!(
        !before.contains(DEVICE) && !before.contains("tok-1"),
        "{before}"
    );

    room.clock.advance(Duration::from_secs(10));
    room.post("/1/demerge/profiles.json", r#"{"identities":"u2"}"#)
        .await;
    next(r#"{"type":"profile","objectId":"DEVICE","profileData":{"Phone":"+14155550000"}}"#).await;
    let own = room
        .get(&format!("/1/profile.json?objectId={DEVICE}"))
        .await
        .json();
    assert_eq!(own["record"].get("identity"), None, "{own}");
    assert_eq!(own["record"]["objectId"], DEVICE, "{own}");
    assert_eq!(own["record"]["phone"], "+14155550000", "{own}");

    // What the device has said as nobody's stays with it, and nothing else goes.
    next(r#"{"type":"event","identity":"u3","objectId":"DEVICE","evtName":"Viewed"}"#).await;
    room.clock.advance(Duration::from_secs(10));
    let body = r#"{"d":[{"type":"phone","value":"+14155550000"}]}"#;
    assert_eq!(
        room.post("/1/disassociate", body).await.json()["processed"],
        1
    );
    assert_eq!(profile(&room, "u3").await["phone"], "+14155551234");
    let counted = room.get("/1/profile.json?identity=u3").await.json();
    assert_eq!(counted["record"]["objectId"], DEVICE, "{counted}");
}

#[tokio::test]
async fn what_a_clock_that_is_ahead_has_told_does_not_outlast_a_change() {
    const DEVICE: &str = "__g9e75c0d1ab";
    let room = Room::new().await;
    let ahead = room.clock.now().seconds() + 600;
    let told = [
        format!(
            r#"{{"type":"profile","identity":"u1","ts":{ahead},"profileData":{{"Phone":"+14155551234"}}}}"#
        ),
        format!(
            r#"{{"type":"event","identity":"u1","objectId":"{DEVICE}","ts":{ahead},"evtName":"Viewed"}}"#
        ),
    ];
    room.upload(&[&told[0], &told[1]]).await;
    room.clock.advance(Duration::from_secs(1));
    let number = r#"{"d":[{"type":"phone","value":"+14155551234"}]}"#;
    let answer = room.post("/1/disassociate", number).await.json();
    assert_eq!(answer["processed"], 1);
    assert_eq!(profile(&room, "u1").await.get("phone"), None);

    room.post("/1/demerge/profiles.json", r#"{"identities":"u1"}"#)
        .await;
    for seconds in [1, 1_200] {
        room.clock.advance(Duration::from_secs(seconds));
        room.upload(&[&format!(
            r#"{{"type":"event","objectId":"{DEVICE}","evtName":"Alone"}}"#
        )])
        .await;
    }
    let device = format!("/1/profile.json?objectId={DEVICE}");
    let device = room.get(&device).await.json();
    assert_eq!(device["record"].get("identity"), None, "{device}");
    assert_eq!(device["record"]["events"]["Alone"]["count"], 2, "{device}");
}

#[tokio::test]
async fn what_cannot_be_kept_or_written_down_is_not_confirmed() {
    let room = room().await;
    let calls = [
        (
            "/1/subscribe",
            r#"{"d":[{"type":"email","value":"ann@example.com","status":"Unsubscribe"}]}"#,
        ),
        (
            "/1/disassociate",
            r#"{"d":[{"type":"phone","value":"+14155551234"}]}"#,
        ),
        ("/1/demerge/profiles.json", r#"{"identities":"u1"}"#),
    ];
    let before = room.get("/1/profile.json?identity=u1").await.body;
    for writes in [CONTROL_WRITES, JOURNAL_WRITES] {
        room.store.refuse(writes);
        for (path, body) in calls {
            assert_eq!(room.post(path, body).await.status, 503, "{path}");
        }
        room.store.refuse(NOTHING);
    }
    assert_eq!(room.get("/1/profile.json?identity=u1").await.body, before);
    for (path, body) in calls {
        assert_eq!(room.post(path, body).await.status, 200, "{path}");
    }
    for (path, _) in calls {
        for body in ["", "{}", "[]", "{", r#"{"d":7}"#, r#"{"identities":[]}"#] {
            assert_eq!(room.post(path, body).await.status, 400, "{path} {body}");
        }
    }
}
