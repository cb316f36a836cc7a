//! What is answered to an upload is what is durable, and nothing else.

use axum::body::Body;
use expect_test::{Expect, expect};
use governance::{Limits, Stretch, Suppressions};
use model::record::{Outcome, Record};
use model::{IdentityKind, LedgerPosition};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::harness::{Answer, Room};

const EVENT: &str = r#"{"type":"event","identity":"u1","evtName":"Viewed","evtData":{"a":1}}"#;

fn check(answer: Option<Answer>, expected: &Expect) {
    let text = answer.map_or_else(
        || String::from("silence"),
        |it| format!("{} {}", it.status, it.body),
    );
    expected.assert_eq(&text);
}

#[tokio::test]
async fn records_rejections_and_the_line_are_one_commit() {
    let room = Room::new().await;
    let reserved = r#"{"type":"event","identity":"u2","evtName":"App Launched"}"#;
    let answer = room
        .upload(format!(r#"{{"d":[{EVENT},{reserved}]}}"#))
        .await
        .unwrap();
    assert_eq!(answer.status, 200);
    let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(body["status"], "partial");
    assert_eq!(body["processed"], 1);
    assert_eq!(body["unprocessed"][0]["code"], 513);
    assert_eq!(body["unprocessed"][0]["record"]["identity"], "u2");

    let entries = room.entries().await;
    let mut events = 0;
    let mut quarantined = 0;
    for entry in &entries {
        match &entry.record {
            Record::Event(event) => {
                events += 1;
                assert_eq!(
                    (&*event.name, event.properties.as_str()),
                    ("Viewed", r#"{"a":1}"#)
                );
            }
            Record::Quarantined(it) => {
                quarantined += 1;
                assert_eq!(it.code, 513);
            }
            Record::ProfileChange(_) | Record::Link(_) | Record::Request(_) => {}
        }
    }
    assert_eq!((events, quarantined), (1, 1));
    let lines = room.lines().await;
    let [(account, line)] = &lines[..] else {
        panic!("one line, not {lines:?}")
    };
    assert_eq!(
        (account.as_str(), line.status, line.outcome),
        ("TEST-1", 200, Outcome::Answered)
    );
    assert_eq!(
        (&*line.path, &*line.method, &*line.tls_version),
        ("/1/upload", "POST", "1.3")
    );
    assert_eq!((line.accepted, line.rejected, &*line.reason), (1, 1, ""));
}

#[tokio::test]
async fn a_dry_run_keeps_the_line_alone() {
    for (query, entries) in [
        ("dryRun=1", 1),
        ("dryRun=True", 1),
        ("dryRun=%31", 1),
        ("x=1&dryrun=1", 1),
        ("dryRun=0", 3),
    ] {
        let room = Room::new().await;
        let request = room.request("POST", &format!("/1/upload?{query}"));
        let body = format!(r#"{{"d":[{EVENT}]}}"#);
        let answer = room.send(request.body(Body::from(body)).unwrap()).await;
        check(
            answer,
            &expect![[r#"200 {"status":"success","processed":1,"unprocessed":[]}"#]],
        );
        assert_eq!(room.entries().await.len(), entries, "{query}");
        assert_eq!(room.lines().await.len(), 1, "{query}");
    }
}

#[tokio::test]
async fn a_dry_run_of_what_cannot_be_decoded_keeps_the_line_alone() {
    for encoding in ["identity", "gzip"] {
        let room = Room::new().await;
        let request = room
            .request("POST", "/1/upload?dryRun=1")
            .header("Content-Encoding", encoding);
        let request = request.body(Body::from("{\"d\":")).unwrap();
        let answer = room.send(request).await.unwrap();
        assert_eq!(answer.status, 400, "{encoding}");
        assert_eq!(room.entries().await.len(), 1, "{encoding}");
        assert_eq!(room.lines().await.len(), 1, "{encoding}");
    }
}

#[tokio::test]
async fn an_undecodable_body_is_refused_and_kept_for_review() {
    let room = Room::new().await;
    let answer = room.upload("{\"d\":").await;
    check(
        answer,
        &expect![[r#"400 {"status":"fail","error":"Malformed request","code":400}"#]],
    );
    let entries = room.entries().await;
    let kept = entries.iter().find_map(|entry| match &entry.record {
        Record::Quarantined(it) => Some((it.code, it.body.clone())),
        _ => None,
    });
    assert_eq!(kept, Some((0, b"{\"d\":".to_vec())));
    assert_eq!(room.lines().await[0].1.outcome, Outcome::Refused);
}

#[tokio::test]
async fn nothing_is_acknowledged_while_the_store_fails() {
    let room = Room::new().await;
    room.store.is_failing.store(true, Ordering::Relaxed);
    for body in [format!(r#"{{"d":[{EVENT}]}}"#), String::from("{")] {
        let answer = room.upload(body).await;
        let expected =
            expect![[r#"503 {"status":"fail","error":"Service unavailable","code":503}"#]];
        check(answer, &expected);
    }
    room.store.is_failing.store(false, Ordering::Relaxed);
    assert_eq!(room.not_served().await.len(), 2);
    let entries = room.entries().await;
    let kept = entries
        .iter()
        .filter(|entry| !matches!(entry.record, Record::Request(_)))
        .count();
    assert_eq!(kept, 0, "{entries:?}");
    // The identity of what was not kept is not taken for known either.
    let answer = room.upload(format!(r#"{{"d":[{EVENT}]}}"#)).await.unwrap();
    assert_eq!(answer.status, 200);
    let entries = room.entries().await;
    assert!(
        entries
            .iter()
            .any(|entry| matches!(entry.record, Record::ProfileChange(_)))
    );
}

#[tokio::test]
async fn the_ceiling_of_uploads_is_the_account_s() {
    let room = Room::with(|rules| {
        rules.limits = Limits {
            uploads: 0,
            calls: 3,
        }
    })
    .await;
    let answer = room.upload(r#"{"d":[]}"#).await;
    let expected =
        expect![[r#"429 {"status":"fail","error":"Too many concurrent requests","code":429}"#]];
    check(answer, &expected);
}

#[tokio::test]
async fn a_deleted_person_s_records_look_accepted_and_are_not_kept() {
    let mut room = Room::with(|rules| {
        let mut suppressed = Suppressions::default();
        let key = rules.person_key(IdentityKind::Identity, "u1");
        suppressed.insert(key, Stretch::WHOLE, LedgerPosition(1));
        rules.suppressed = Arc::new(suppressed);
    })
    .await;
    let renamed =
        r#"{"type":"profile","identity":"u1","profileData":{"identity":"u9","Name":"x"}}"#;
    let answer = room.upload(format!(r#"{{"d":[{EVENT},{renamed}]}}"#)).await;
    check(
        answer,
        &expect![[r#"200 {"status":"success","processed":2,"unprocessed":[]}"#]],
    );
    let entries = room.entries().await;
    assert!(
        entries
            .iter()
            .all(|entry| matches!(entry.record, Record::Request(_))),
        "{entries:?}"
    );
    let reached = room.reached.try_recv().unwrap();
    assert_eq!(reached.account.as_str(), "TEST-1");
    assert_eq!(reached.reach.kind, IdentityKind::Identity);
}
