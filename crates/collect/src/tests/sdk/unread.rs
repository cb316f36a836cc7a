//! What of a known phone's batch cannot be read, or is too much, takes nothing else with it.

use axum::body::Body;
use http::Request;
use model::record::Record;
use serde_json::{Value, json};

use super::mobile::{PHONE, TAKEN, android, bare, batch};
use super::{kept, send};
use crate::tests::bodies::{gzip, in_pieces};
use crate::tests::harness::{ACCOUNT, Room};
use crate::{Replayed, replay};

/// Bytes of a body that are kept for review.
const KEPT_MAX: usize = 256 * 1024;
const UNREAD: &str = "quarantined 0 the message cannot be read";

fn count(kept: &[String], what: &str) -> usize {
    kept.iter().filter(|it| it.contains(what)).count()
}

/// The bytes in quarantine, record by record.
async fn quarantined(room: &Room) -> Vec<Vec<u8>> {
    let entries = room.entries().await.into_iter();
    let bodies = entries.filter_map(|it| match it.record {
        Record::Quarantined(it) => Some(it.body),
        _ => None,
    });
    bodies.collect()
}

#[tokio::test]
async fn an_element_that_is_none_is_refused_alone() {
    let mut with_null: Value = serde_json::from_str(&batch("")).unwrap();
    with_null.as_array_mut().unwrap().insert(1, Value::Null);
    let told_twice = batch("").replacen("\"af\":", "\"af\":{},\"af\":", 1);
    let cases = [
        (with_null.to_string(), "quarantined 524 type_unknown"),
        (told_twice, "quarantined 512 key_twice"),
    ];
    for (body, refused) in cases {
        let room = Room::new().await;
        for _ in 0..2 {
            let request = android(&room).body(body.clone().into()).unwrap();
            let answer = send(&room, request).await.unwrap();
            assert_eq!((answer.status, answer.body.as_str()), (200, TAKEN));
        }
        let kept = kept(&room).await;
        let told = ["Tap", "u1 incr n 2", refused, "quarantined"].map(|it| count(&kept, it));
        assert_eq!(told, [2, 1, 1, 1], "{kept:?}");
        let (_, line) = &room.lines().await[0];
        assert_eq!((line.accepted, line.rejected), (3, 1));
    }
}

#[tokio::test]
async fn a_replay_does_not_store_again_what_was_kept_of_a_profile() {
    let room = Room::new().await;
    let mut body: Value = serde_json::from_str(&batch("")).unwrap();
    body[3]["profile"]["p"] = json!({"a": {"b": {"c": {"d": 1}}}});
    let request = android(&room).body(body.to_string().into()).unwrap();
    assert_eq!(send(&room, request).await.unwrap().status, 200);
    let before = kept(&room).await;
    let why = "nested_too_deep";
    let told = ["u1 incr n 2", &format!("quarantined 512 {why}")].map(|it| count(&before, it));
    assert_eq!(told, [1, 1], "{before:?}");

    let mut entries = room.entries().await.into_iter();
    let refused = entries.find_map(|it| match it.record {
        Record::Quarantined(it) => Some(it),
        _ => None,
    });
    let account = ACCOUNT.parse().unwrap();
    let replayed = replay(&room.state, account, &refused.unwrap()).await;
    assert_eq!(replayed.unwrap(), Replayed::Refused(512, why.to_owned()));
    assert_eq!(kept(&room).await, before);
}

#[tokio::test]
async fn what_is_too_large_of_a_known_sender_is_kept_in_part_and_answered_as_a_success() {
    // Cut, it would be a sound batch.
    let large = [batch("").into_bytes(), vec![b' '; 16 << 20]].concat();
    let bomb = gzip(&vec![b' '; 8 << 20]);
    for (encoding, sent) in [("identity", &large), ("br", &large), ("gzip", &bomb)] {
        let room = Room::new().await;
        // Whether the length is announced or not.
        for body in [Body::from(sent.clone()), in_pieces(sent)] {
            let request = android(&room).header("Content-Encoding", encoding);
            let answer = send(&room, request.body(body).unwrap()).await.unwrap();
            assert_eq!((answer.status, answer.body.as_str()), (200, TAKEN));
        }
        assert_eq!(kept(&room).await, [UNREAD], "{encoding}");
        let start = &sent[..sent.len().min(KEPT_MAX)];
        assert!(quarantined(&room).await == [start], "{encoding}");
        let lines = room.lines().await;
        assert_eq!(lines.len(), 2);
        for (account, line) in lines {
            let told = (account.as_str(), line.status, &*line.reason, line.rejected);
            assert_eq!(told, (ACCOUNT, 200, "undecodable", 1), "{encoding}");
            assert!(line.size_bytes > 0 && line.size_bytes <= sent.len() as u64);
        }
        assert_eq!(room.state.collect_bodies().bytes_held(), 0);
    }
    // A stranger's is a stranger's, and so is a page of another domain.
    let room = Room::with(|rules| {
        rules.web_domains.insert("shop.test".into());
    })
    .await;
    let stranger = bare("/a1?z=TEST-1").header("X-CleverTap-Token", "wrong");
    let foreign = android(&room).header("Origin", "https://evil.test");
    for request in [stranger, foreign] {
        let request: Request<Body> = request.body(large.clone().into()).unwrap();
        assert!(send(&room, request).await.is_none());
    }
    assert_eq!(kept(&room).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_batch_that_no_commit_can_hold_is_stored_whole() {
    const EVENTS: usize = 900;
    let room = Room::new().await;
    // What is said of the device stands beside each event.
    let facts = (0..16).map(|it| (format!("k{it}"), json!("x".repeat(240))));
    let facts: serde_json::Map<String, Value> = facts.collect();
    let long = "y".repeat(17_000);
    let event = |n: usize| {
        let data = json!({"n": n, "long": long});
        json!({"type": "event", "evtName": "Tap", "evtData": data, "ep": 1_789_999_990})
    };
    let mut body = vec![json!({"type":"meta","g":PHONE,"id":ACCOUNT,"af":facts})];
    body.extend((0..EVENTS).map(event));
    let body = Value::Array(body).to_string();
    let answer = send(&room, android(&room).body(body.into()).unwrap()).await;
    assert_eq!(answer.unwrap().status, 200);
    assert!(room.state.journal().live().len() > 1);
    assert_eq!(count(&kept(&room).await, "Tap"), EVENTS);
}

#[tokio::test]
async fn what_cannot_be_read_where_nothing_is_asked_for_is_reviewed_all_the_same() {
    let urls = [
        ("/defineVars", "{}"),
        ("/defineTemplates", "{}"),
        ("/content", "{}"),
        ("/inbox/v2/getMessages", r#"{"inbox_notifs_v2":[]}"#),
        ("/inbox/v2/deleteMessages", "{}"),
    ];
    let bodies = [
        ("identity", "{"),
        ("identity", r#"{"itp":"AA==","itk":"AA==","itv":"AA=="}"#),
        ("gzip", "not packed"),
        ("br", "packed in a way that is not undone"),
    ];
    for (path, expect) in urls {
        let room = Room::new().await;
        for (encoding, body) in bodies {
            let request = android(&room)
                .uri(path)
                .header("Content-Encoding", encoding);
            let answer = send(&room, request.body(body.into()).unwrap()).await;
            let answer = answer.unwrap();
            assert_eq!(
                (answer.status, answer.body.as_str()),
                (200, expect),
                "{body}"
            );
            let stranger = bare(path).header("Content-Encoding", encoding);
            assert!(
                send(&room, stranger.body(body.into()).unwrap())
                    .await
                    .is_none()
            );
        }
        let mut kept = quarantined(&room).await;
        kept.sort();
        let mut sent = bodies.map(|(_, body)| body.as_bytes().to_vec());
        sent.sort();
        assert_eq!(kept, sent, "{path}");
    }
}
