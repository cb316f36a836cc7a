//! Events and people by cursor, and counts.

use axum::body::Body;
use expect_test::expect;
use serde_json::json;
use std::time::Duration;

use super::harness::{Answer, CONTROL_WRITES, JOURNAL_WRITES, NOTHING, Room};

/// The day of the records, in the account's zone.
const DAY: &str = r#"{"event_name":"Viewed","from":20260921,"to":20260921}"#;
const MALFORMED: &str = r#"400 {"status":"fail","error":"Malformed request","code":400}"#;

/// Three views by two people, something else, and a view on the day after in Kolkata that is on the
/// same day in Greenwich.
async fn room() -> Room {
    let room = Room::new().await;
    room.upload(&[
        r#"{"type":"profile","identity":"u1","ts":1789990000,
            "profileData":{"Name":"Ann","Email":"ann@example.com","Plan":"gold"}}"#,
        r#"{"type":"event","identity":"u1","ts":1790000000,"evtName":"Viewed",
            "evtData":{"Price":59.90,"n":1}}"#,
        r#"{"type":"event","identity":"u1","ts":1790000001,"evtName":"Viewed","evtData":{"n":2}}"#,
        r#"{"type":"event","identity":"u2","ts":1790000002,"evtName":"Viewed","evtData":{"n":"3"}}"#,
        r#"{"type":"event","identity":"u2","ts":1790000003,"evtName":"Left"}"#,
        r#"{"type":"event","identity":"u2","ts":1790015400,"evtName":"Viewed","evtData":{"n":4}}"#,
    ])
    .await;
    room
}

async fn cursor(room: &Room, path: &str, question: &str) -> String {
    let answer = room.post(path, question.to_owned()).await;
    let body = answer.json();
    assert_eq!(
        (answer.status, &body["status"]),
        (200, &json!("success")),
        "{answer:?}"
    );
    let cursor = body["cursor"].as_str().unwrap().to_owned();
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    assert!(cursor.bytes().all(is_safe), "{cursor}");
    cursor
}

/// Every record after a cursor, with how many pages there were.
async fn pages(room: &Room, path: &str, first: String) -> (Vec<serde_json::Value>, usize) {
    let (mut records, mut count) = (Vec::new(), 0);
    let mut next = Some(first);
    while let Some(cursor) = next {
        // Pages are had by either verb.
        let url = format!("{path}?cursor={cursor}");
        let answer = if count % 2 == 0 {
            room.get(&url).await
        } else {
            room.post(&url, "").await
        };
        let body = answer.json();
        assert_eq!(body["status"], "success", "{answer:?}");
        records.extend(body["records"].as_array().unwrap().iter().cloned());
        next = body["next_cursor"].as_str().map(str::to_owned);
        count += 1;
    }
    (records, count)
}

fn numbers(records: &[serde_json::Value]) -> Vec<String> {
    let mut numbers: Vec<_> = records
        .iter()
        .map(|record| record["event_props"]["n"].to_string())
        .collect();
    numbers.sort_unstable();
    numbers
}

#[tokio::test]
async fn the_three_forms_of_the_question_are_one() {
    let room = room().await;
    let url_encoded = DAY
        .replace('"', "%22")
        .replace('{', "%7B")
        .replace('}', "%7D");
    let asked = room
        .get(&format!("/1/events.json?batch_size=50&query={url_encoded}"))
        .await;
    let by_query = asked.json()["cursor"].as_str().unwrap().to_owned();
    let by_body = cursor(&room, "/1/events.json?batch_size=500", DAY).await;
    for first in [by_query, by_body.clone()] {
        let (records, pages) = pages(&room, "/1/events.json", first).await;
        assert_eq!(
            (numbers(&records), pages),
            (vec!["\"3\"".into(), "1".into(), "2".into()], 1)
        );
    }
    // A cursor in the body.
    let answer = room
        .post("/1/events.json", format!(r#"{{"cursor":"{by_body}"}}"#))
        .await;
    assert_eq!(answer.json()["records"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn pages_neither_repeat_nor_lose_a_record() {
    let room = room().await;
    let first = cursor(&room, "/1/events.json?batch_size=1", DAY).await;
    let once = room.get(&format!("/1/events.json?cursor={first}")).await;
    // What comes later is not part of the answer.
    let late = r#"{"type":"event","identity":"u0","ts":1790000000,"evtName":"Viewed",
                   "evtData":{"n":9}}"#;
    room.clock.advance(Duration::from_secs(1));
    room.upload(&[late]).await;
    let twice = room.get(&format!("/1/events.json?cursor={first}")).await;
    assert_eq!(once.json()["records"], twice.json()["records"]);
    let (records, count) = pages(&room, "/1/events.json", first).await;
    assert_eq!(
        (numbers(&records), count),
        (vec!["\"3\"".into(), "1".into(), "2".into()], 3)
    );
}

#[tokio::test]
async fn an_event_s_record_is_what_was_sent_in_the_account_s_time() {
    let room = room().await;
    let question = r#"{"event_name":"Viewed","from":20260921,"to":20260921,
        "event_properties":[{"name":"Price","operator":"greaterThan","value":50}]}"#;
    let first = cursor(&room, "/1/events.json", question).await;
    let page = room.get(&format!("/1/events.json?cursor={first}")).await;
    expect![[r#"200 {"status":"success","records":[{"profile":{"identity":"u1","name":"Ann","email":"ann@example.com","profileData":{"Plan":"gold"},"events":{"Viewed":{"count":2,"first_seen":1790000000,"last_seen":1790000001}}},"ts":20260921194320,"event_props":{"Price":59.90,"n":1},"session_props":{}}]}"#]]
    .assert_eq(&page.text());
    let less = cursor(
        &room,
        "/1/events.json?events=false&profile=false&app=false",
        question,
    )
    .await;
    let page = room.get(&format!("/1/events.json?cursor={less}")).await;
    expect![[r#"200 {"status":"success","records":[{"profile":{"identity":"u1","name":"Ann","email":"ann@example.com"},"ts":20260921194320,"event_props":{"Price":59.90,"n":1},"session_props":{}}]}"#]]
    .assert_eq(&page.text());
}

#[tokio::test]
async fn conditions_may_ask_for_absence_and_for_any_of_several() {
    let room = room().await;
    for (condition, count) in [
        (r#"{"name":"Price","operator":"exists"}"#, 1),
        (r#"{"name":"Price","operator":"notExists"}"#, 2),
        (r#"{"name":"n","operator":"contains","value":3}"#, 1),
        (r#"{"name":"n","operator":"notContains","value":3}"#, 2),
        (
            r#"{"name":"Price","operator":"notContains","value":"9"}"#,
            2,
        ),
        (r#"{"name":"n","operator":"equals","value":["3",1]}"#, 2),
        (r#"{"name":"n","operator":"not_equals","value":["3",1]}"#, 1),
        (r#"{"name":"n","operator":"greater_than","value":1}"#, 2),
        (r#"{"name":"n","operator":"lte","value":1}"#, 1),
        (r#"{"name":"Price","operator":"does_not_exist"}"#, 2),
    ] {
        let question = DAY.replace('}', &format!(r#","event_properties":[{condition}]}}"#));
        let counted = room.post("/1/counts/events.json", question.clone()).await;
        assert_eq!(counted.json()["count"], count, "{condition}");
        let first = cursor(&room, "/1/events.json", &question).await;
        let (records, _) = pages(&room, "/1/events.json", first).await;
        assert_eq!(records.len(), count, "{condition}");
    }
}

#[tokio::test]
async fn conditions_may_be_on_the_person() {
    let room = room().await;
    for (condition, events, people) in [
        (
            r#"{"name":"Plan","operator":"equals","value":"gold"}"#,
            2,
            1,
        ),
        (
            r#"{"name":"Plan","operator":"not_equals","value":"gold"}"#,
            1,
            1,
        ),
        (
            r#"{"name":"Email","operator":"contains","value":"@EXAMPLE"}"#,
            2,
            1,
        ),
        (r#"{"name":"Plan","value":"tin"}"#, 0, 0),
    ] {
        let more = format!(r#","common_profile_properties":{{"profile_fields":[{condition}]}}}}"#);
        let question = DAY.replace('}', &more);
        let counted = room.post("/1/counts/events.json", question.clone()).await;
        assert_eq!(counted.json()["count"], events, "{condition}");
        let counted = room.post("/1/counts/profiles.json", question.clone()).await;
        assert_eq!(counted.json()["count"], people, "{condition}");
        for (path, count) in [("/1/events.json", events), ("/1/profiles.json", people)] {
            let first = cursor(&room, &format!("{path}?batch_size=1"), &question).await;
            let (records, _) = pages(&room, path, first).await;
            assert_eq!(records.len(), count, "{path} {condition}");
        }
        let groups = r#","groups":{"g":{"property_type":"event_properties","name":"n"}}}"#;
        let asked = question.replace("]}}", &format!("]}}{groups}"));
        let top = room.post("/1/counts/top.json", asked).await.json();
        let values = top["g"].as_object().unwrap().values();
        let sum = values.flat_map(|it| it.as_object().unwrap().values());
        assert_eq!(
            sum.map(|it| it.as_u64().unwrap()).sum::<u64>(),
            events as u64,
            "{top}"
        );
        let groups = r#","groups":{"g":{"trend_type":"daily"}}}"#;
        let asked = question.replace("]}}", &format!("]}}{groups}"));
        let trend = room.post("/1/counts/trends.json", asked).await.json();
        assert_eq!(trend["g"]["20260921"], events, "{trend}");
    }
    // Who comes to have it later is not part of the answer.
    let gold = r#","profile_fields":[{"name":"Plan","value":"gold"}]}"#;
    let question = DAY.replace('}', gold);
    let first = cursor(&room, "/1/events.json", &question).await;
    room.clock.advance(Duration::from_secs(1));
    let late = r#"{"type":"profile","identity":"u2","profileData":{"Plan":"gold"}}"#;
    room.upload(&[late]).await;
    let (records, _) = pages(&room, "/1/events.json", first).await;
    assert_eq!(records.len(), 2, "{records:?}");
    let counted = room.post("/1/counts/events.json", question).await;
    assert_eq!(counted.json()["count"], 3);
}

#[tokio::test]
async fn people_come_by_what_they_did() {
    let room = room().await;
    let first = cursor(&room, "/1/profiles.json?batch_size=1", DAY).await;
    let (records, count) = pages(&room, "/1/profiles.json", first).await;
    let mut names: Vec<_> = records
        .iter()
        .map(|it| it["identity"].to_string())
        .collect();
    names.sort_unstable();
    assert_eq!((names, count), (vec!["\"u1\"".into(), "\"u2\"".into()], 2));
    // Who comes later is not part of the answer, on the first page neither.
    let first = cursor(&room, "/1/profiles.json", DAY).await;
    room.clock.advance(Duration::from_secs(1));
    let late = r#"{"type":"event","identity":"u0","ts":1790000000,"evtName":"Viewed"}"#;
    room.upload(&[late]).await;
    let (records, _) = pages(&room, "/1/profiles.json", first).await;
    assert_eq!(records.len(), 2, "{records:?}");
    // A cursor is good for its own call and account.
    let other = cursor(&room, "/1/events.json", DAY).await;
    let answer = room.get(&format!("/1/profiles.json?cursor={other}")).await;
    assert_eq!(
        answer.text(),
        r#"200 {"status":"fail","error":"Incorrect Usage","code":3}"#
    );
}

#[tokio::test]
async fn an_empty_range_is_an_empty_last_page() {
    let room = room().await;
    let question = r#"{"event_name":"Viewed","from":20240101,"to":20240102}"#;
    let first = cursor(&room, "/1/events.json", question).await;
    let page = room.get(&format!("/1/events.json?cursor={first}")).await;
    assert_eq!(page.text(), r#"200 {"status":"success","records":[]}"#);
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_in_the_protocol_s_words() {
    let room = room().await;
    let notification = r#"{"event_name":"Notification Sent","from":20260921,"to":20260921}"#;
    let dates =
        |from: &str, to: &str| format!(r#"{{"event_name":"Viewed","from":{from},"to":{to}}}"#);
    let not_allowed =
        r#"400 {"status":"fail","error":"Export not allowed for this event","code":400}"#;
    let invalid_dates = r#"400 {"status":"fail","error":"Invalid date range","code":4002}"#;
    let cases = [
        (notification.to_owned(), not_allowed),
        (dates("20260922", "20260921"), invalid_dates),
        (dates("\"2026-09-21\"", "20260921"), invalid_dates),
        (dates("20261301", "20261302"), invalid_dates),
        (r#"{"from":20260921,"to":20260921}"#.to_owned(), MALFORMED),
        (r#"{"event_name":"Viewed"}"#.to_owned(), MALFORMED),
        ("[".repeat(100_000), MALFORMED),
        (String::from("nonsense"), MALFORMED),
    ];
    for (question, expected) in cases {
        for path in ["/1/events.json", "/1/profiles.json"] {
            let answer = room.post(path, question.clone()).await;
            assert_eq!(
                answer.text(),
                expected,
                "{path} {}",
                &question[..question.len().min(80)]
            );
        }
    }
    for cursor in ["nonsense", "", "AAAA%3D"] {
        let answer = room.get(&format!("/1/events.json?cursor={cursor}")).await;
        assert_eq!(
            answer.text(),
            r#"200 {"status":"fail","error":"Incorrect Usage","code":3}"#
        );
    }
}

#[tokio::test]
async fn a_cursor_dies_of_age() {
    let room = room().await;
    let first = cursor(&room, "/1/events.json", DAY).await;
    room.clock.advance(Duration::from_secs(3_601));
    let answer = room.get(&format!("/1/events.json?cursor={first}")).await;
    let expected = r#"200 {"status":"fail","error":"Invalid cursor","code":"CURSOR_INVALIDATED"}"#;
    assert_eq!(answer.text(), expected);
}

#[tokio::test]
async fn each_page_s_cursor_has_an_hour_of_its_own() {
    let room = room().await;
    let mut next = cursor(&room, "/1/events.json?batch_size=1", DAY).await;
    for _ in 0..2 {
        room.clock.advance(Duration::from_secs(3_500));
        let page = room.get(&format!("/1/events.json?cursor={next}")).await;
        next = page.json()["next_cursor"].as_str().unwrap().to_owned();
    }
    room.clock.advance(Duration::from_secs(3_601));
    let late = room.get(&format!("/1/events.json?cursor={next}")).await;
    assert_eq!(late.json()["code"], "CURSOR_INVALIDATED");
}

#[tokio::test]
async fn counts_are_answered_at_once() {
    let room = room().await;
    let both = |answer: &Answer| answer.text();
    for (path, count) in [("/1/counts/events.json", 3), ("/1/counts/profiles.json", 2)] {
        let expected = format!(r#"200 {{"count":{count},"status":"success"}}"#);
        assert_eq!(both(&room.post(path, DAY).await), expected);
        let answer = room.get(&format!("{path}?req_id=384649162721759")).await;
        let expected = r#"400 {"status":"fail","error":"Invalid request id","code":400}"#;
        assert_eq!(both(&answer), expected);
        let unknown = DAY.replace("Viewed", "Nothing");
        let expected =
            r#"200 {"status":"fail","error":"[\"Invalid event : Nothing\"]","code":400}"#;
        assert_eq!(both(&room.post(path, unknown).await), expected);
        // The system's events are known to everybody, those whose records are not given out among them.
        for name in ["App Launched", "Charged", "Notification Sent"] {
            let question = DAY.replace("Viewed", name);
            assert_eq!(
                both(&room.post(path, question).await),
                r#"200 {"count":0,"status":"success"}"#
            );
        }
        let other_days = DAY.replace("2026", "2024");
        assert_eq!(
            both(&room.post(path, other_days).await),
            r#"200 {"count":0,"status":"success"}"#
        );
        assert_eq!(both(&room.post(path, "{}").await), MALFORMED);
    }
}

#[tokio::test]
async fn now_counts_who_was_active_within_five_minutes() {
    let room = room().await;
    let count = |count: u64| format!(r#"200 {{"count":{count},"status":"success"}}"#);
    assert_eq!(
        room.post("/1/now.json", r#"{"user_type":true}"#)
            .await
            .text(),
        count(2)
    );
    assert_eq!(room.get("/1/now.json").await.text(), count(2));
    // As .NET writes it.
    let marked = room.post("/1/now.json", "\u{feff}{}").await;
    assert_eq!(marked.text(), count(2));
    assert_eq!(room.post("/1/now.json", "[]").await.text(), MALFORMED);
}

#[tokio::test]
async fn a_page_is_in_both_logs_before_it_goes_out() {
    let room = room().await;
    let first = cursor(&room, "/1/events.json", DAY).await;
    let page = format!("/1/events.json?cursor={first}");
    for what in [CONTROL_WRITES, JOURNAL_WRITES] {
        room.store.refuse(what);
        let answer = room.get(&page).await;
        room.store.refuse(NOTHING);
        let expected = r#"503 {"status":"fail","error":"Service unavailable","code":503}"#;
        assert_eq!(answer.text(), expected);
        assert_eq!(answer.headers["retry-after"], "2");
    }
    assert_eq!(room.get(&page).await.status, 200);
    let lines = room.lines().await;
    let served = lines
        .iter()
        .any(|line| (&*line.path, &*line.method, line.status) == ("/1/events.json", "GET", 200));
    assert!(served, "{lines:?}");
    let operator = control::Actor::os_user("tester");
    let filter = control::AuditFilter {
        actions: vec![control::Action::EventsRead],
        ..control::AuditFilter::default()
    };
    let entries = room
        .control
        .audit_log(&operator, room.account, &filter)
        .await
        .unwrap();
    let entry = entries.last().unwrap();
    expect!["`Viewed` from 2026-09-21 to 2026-09-21: 3 records of 2 people"]
        .assert_eq(&entry.description);
    assert_eq!(
        (entry.actor_kind.as_str(), entry.role.as_str()),
        ("passcode", "program")
    );
    assert_eq!(entry.peer, Some("203.0.113.9".parse().unwrap()));
}

#[tokio::test]
async fn three_calls_of_a_path_at_a_time() {
    let room = room().await;
    let held = room.collect.ceilings();
    let permits: Vec<_> = (0..3)
        .map(|_| held.enter(room.account, "/1/now.json", 3).unwrap())
        .collect();
    let answer = room.get("/1/now.json").await;
    let expected = r#"429 {"status":"fail","error":"Too many concurrent requests","code":429}"#;
    assert_eq!(answer.text(), expected);
    // Each path by itself, and uploads apart.
    assert_eq!(room.post("/1/counts/events.json", DAY).await.status, 200);
    assert_eq!(room.post("/1/upload", r#"{"d":[]}"#).await.status, 200);
    drop(permits);
    assert_eq!(room.get("/1/now.json").await.status, 200);
}

#[tokio::test]
async fn a_large_question_is_refused_before_it_is_read() {
    let room = Room::new().await;
    for path in [
        "/1/events.json",
        "/1/counts/events.json",
        "/1/delete/profiles.json",
    ] {
        let answer = room.post(path, Body::from(vec![b' '; 17 << 20])).await;
        assert_eq!(answer.status, 413, "{path}");
    }
}
