//! `GET /e`, with the parameters that the SDK sends from a page about subscriptions.

use axum::body::Body;
use http::Request;
use model::record::{Outcome, Record, Source};
use std::time::Duration;

use super::web::{envelope, get};
use super::{Answer, kept, send};
use crate::tests::harness::Room;

/// What the page's link said of whom it was for, and what the SDK sends on of it.
const OF_THE_LINK: &str = "&e=YUBiLmNj&p=eyJwIjoxfQ%3D%3D&page_type=global";
/// What the SDK packs.
const MESSAGE: &str = r#"{"id":"TEST-1","unsubGroups":[{"name":"News","isUnsubscribed":true}]}"#;
const NO_GROUPS: &str = "$WZRK_WR.setSubscriptionGroups([]);";
const NOTHING: &str = "$WZRK_WR.tr({});";
const WISH: &str = "quarantined 0 somebody's wish about e-mails, to be carried out by hand";

/// The query string of a request.
fn query(message: &str, parameters: &str) -> String {
    let packed = lz_str::compress_to_base64(message);
    let packed = packed
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D");
    format!("r=1{parameters}&d={packed}&gc=abc&tries=1&useIP=false&r=1790000000000")
}

fn request(message: &str, parameters: &str) -> http::request::Builder {
    get(&format!("/e?{}", query(message, parameters)))
}

async fn ask(room: &Room, request: http::request::Builder) -> Option<Answer> {
    send(room, request.body(Body::empty()).unwrap()).await
}

/// What is in the quarantine, as it was sent.
async fn wishes(room: &Room) -> Vec<String> {
    let entries = room.entries().await.into_iter();
    let body = |record: Record| match record {
        Record::Quarantined(it) if it.source == Source::Web => String::from_utf8(it.body).ok(),
        _ => None,
    };
    entries.filter_map(|it| body(it.record)).collect()
}

#[tokio::test]
async fn a_question_is_answered_that_there_are_no_groups_and_nothing_is_kept() {
    let room = Room::new().await;
    for (parameters, told) in [
        ("&fetchGroups=true&encoded=true", NO_GROUPS),
        ("&fetchGroups=true", NO_GROUPS),
        // What one is, without its groups.
        ("&encoded=true", NOTHING),
        ("&fetchGroups=false", NOTHING),
        ("", NOTHING),
    ] {
        let asked = request(MESSAGE, &format!("{parameters}{OF_THE_LINK}"));
        let answer = ask(&room, asked).await.unwrap();
        assert_eq!((answer.status, &*answer.body), (200, told), "{parameters}");
        let kind = &answer.headers["content-type"];
        assert_eq!(kind, "application/javascript;charset=utf-8");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    }
    assert_eq!(kept(&room).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_wish_is_kept_whole_once_and_answered_as_a_success() {
    let room = Room::new().await;
    let mut sent = Vec::new();
    // Nothing any more, everything again, and by groups.
    for sub in ["0", "1", "2"] {
        let parameters = format!("&encoded=true{OF_THE_LINK}&sub={sub}");
        for _ in 0..2 {
            let answer = ask(&room, request(MESSAGE, &parameters)).await.unwrap();
            assert_eq!((answer.status, &*answer.body), (200, NOTHING), "{sub}");
            room.clock.advance(Duration::from_secs(1));
        }
        sent.push(query(MESSAGE, &parameters));
        assert_eq!(wishes(&room).await, sent, "{sub}");
    }
    assert_eq!(kept(&room).await, [WISH; 3]);
    // What is encrypted in transit stays so: its key stands in it.
    let sealed = envelope(MESSAGE);
    let parameters = format!("{OF_THE_LINK}&sub=1");
    let answer = ask(&room, request(&sealed, &parameters)).await.unwrap();
    assert_eq!(answer.status, 200);
    sent.push(query(&sealed, &parameters));
    assert_eq!(wishes(&room).await, sent);
}

#[tokio::test]
async fn who_reads_json_is_answered_in_json_that_any_origin_may_read() {
    let room = Room::new().await;
    for (name, value) in [
        ("Accept", "application/json"),
        ("X-CleverTap-Encryption-Enabled", "true"),
    ] {
        for parameters in ["&fetchGroups=true", "&sub=1"] {
            let asked = request(MESSAGE, &format!("{OF_THE_LINK}{parameters}"));
            let asked = asked.header(name, value);
            let answer = ask(&room, asked.header("Origin", "https://shop.test")).await;
            let answer = answer.unwrap();
            assert_eq!(
                (answer.status, &*answer.body),
                (200, "{\"tr\":{}}"),
                "{name}"
            );
            assert_eq!(answer.headers["access-control-allow-origin"], "*");
        }
    }
    assert_eq!(kept(&room).await, [WISH]);
    let preflight = Request::builder()
        .method("OPTIONS")
        .uri("/e?r=1")
        .header("Origin", "https://shop.test")
        .header("Access-Control-Request-Method", "GET");
    assert_eq!(ask(&room, preflight).await.unwrap().status, 204);
}

#[tokio::test]
async fn what_is_no_question_and_no_wish_is_dropped() {
    let room = Room::new().await;
    let whole = query(MESSAGE, &format!("{OF_THE_LINK}&sub=1"));
    let without = |name: &str| {
        let parts = whole.split('&').filter(|it| !it.starts_with(name));
        parts.collect::<Vec<_>>().join("&")
    };
    let stranger = MESSAGE.replace("TEST-1", "TEST-2");
    let nobody = MESSAGE.replace("\"id\"", "\"account\"");
    let cases = [
        (without("e="), "undecodable"),
        (whole.replace("e=YUBiLmNj", "e="), "undecodable"),
        (without("d="), "undecodable"),
        (without("d=") + "&d=%21", "undecodable"),
        (query("[]", "&e=YUBiLmNj"), "undecodable"),
        (query(&stranger, "&e=YUBiLmNj"), "unknown_account"),
        (query(&nobody, "&e=YUBiLmNj"), "unknown_account"),
    ];
    for (query, _) in &cases {
        let answer = ask(&room, get(&format!("/e?{query}"))).await;
        assert!(answer.is_none(), "{query}: {answer:?}");
    }
    for method in ["HEAD", "POST", "PUT"] {
        let asked = Request::builder().method(method);
        let answer = ask(&room, asked.uri(format!("/e?{whole}"))).await;
        assert!(answer.is_none(), "{method}: {answer:?}");
    }
    assert_eq!(kept(&room).await, Vec::<String>::new());
    let lines = room.not_served().await;
    let told: Vec<_> = lines
        .iter()
        .map(|(_, it)| (&*it.path, it.outcome, &*it.reason))
        .collect();
    let reasons = cases.iter().map(|(_, reason)| *reason);
    let reasons = reasons.chain(["unknown_method"; 3]);
    let expected: Vec<_> = reasons
        .map(|reason| ("/e", Outcome::Dropped, reason))
        .collect();
    assert_eq!(told, expected);
}

#[tokio::test]
async fn pages_of_other_domains_are_dropped_once_there_is_a_list() {
    let room = Room::with(|rules| {
        rules.web_domains.insert("shop.test".into());
    })
    .await;
    let wish = || request(MESSAGE, &format!("{OF_THE_LINK}&sub=1"));
    assert!(ask(&room, wish()).await.is_none(), "no page at all");
    let foreign = wish().header("Referer", "https://evil.test/e");
    assert!(ask(&room, foreign).await.is_none());
    let foreign = wish().header("Origin", "https://evil.test");
    let foreign = foreign.header("Referer", "https://shop.test/e");
    assert!(ask(&room, foreign).await.is_none(), "the origin decides");
    assert_eq!(kept(&room).await, Vec::<String>::new());
    let own = wish().header("Referer", "https://www.shop.test/e");
    assert_eq!(ask(&room, own).await.unwrap().body, NOTHING);
    assert_eq!(kept(&room).await, [WISH]);
    let lines = room.not_served().await;
    let reasons: Vec<_> = lines.iter().map(|(_, it)| &*it.reason).collect();
    assert_eq!(reasons, ["foreign_page"; 3]);
}
