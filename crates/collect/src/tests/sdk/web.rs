//! `GET /a`.

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Request;
use model::Secret;
use model::record::{Outcome, Peer};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

use super::{Answer, kept, send};
use crate::tests::harness::{ACCOUNT, Room};

pub(super) const EVENT: &str = r#"{"type":"event","evtName":"Viewed","evtData":{"n":1.50},"id":"TEST-1","g":"abc","s":1789999000}"#;

/// The URL of a message.
pub(super) fn url(message: &str, parameters: &str) -> String {
    let packed = lz_str::compress_to_base64(message);
    let packed = packed
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D");
    format!("/a?t=96&d={packed}&rn=3&i=1789999990&sn=0{parameters}")
}

pub(super) fn get(url: &str) -> http::request::Builder {
    Request::builder().method("GET").uri(url)
}

/// As a script.
pub(super) async fn script(room: &Room, message: &str, parameters: &str) -> Option<Answer> {
    send(
        room,
        get(&url(message, parameters)).body(Body::empty()).unwrap(),
    )
    .await
}

/// As a script, of a message of another second than the others.
pub(super) async fn script_at(room: &Room, second: u32, message: &str, parameters: &str) -> Answer {
    let url = url(message, parameters).replace("i=1789999990", &format!("i={second}"));
    let request = get(&url).body(Body::empty()).unwrap();
    send(room, request).await.unwrap()
}

/// By fetch.
async fn fetch(room: &Room, message: &str, parameters: &str) -> Option<Answer> {
    let request = get(&url(message, parameters))
        .header("Accept", "application/json")
        .header("X-CleverTap-Encryption-Enabled", "true")
        .header("Origin", "https://shop.test");
    send(room, request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn an_event_is_durable_before_the_script_that_answers() {
    let room = Room::new().await;
    let answer = script(&room, EVENT, "&type=push&useIP=false")
        .await
        .unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.headers["content-type"],
        "application/javascript;charset=utf-8"
    );
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    assert_eq!(
        answer.body,
        "$WZRK_WR.tr({\"arp\":{}});$WZRK_WR.s('abc',1789999000,false,3);"
    );
    assert_eq!(
        kept(&room).await,
        [
            "abc identify objectId \"abc\"",
            "web abc Viewed {\"n\":1.50}"
        ]
    );
    let (account, line) = &room.lines().await[0];
    assert_eq!(
        (account.as_str(), &*line.path, line.status, line.accepted),
        (ACCOUNT, "/a", 200, 1)
    );
    assert!(matches!(&line.peer, Peer::Hashed { network, .. } if &**network == "203.0.113.0/24"));
}

#[tokio::test]
async fn the_address_is_kept_when_the_page_says_so() {
    let room = Room::new().await;
    script(&room, EVENT, "&type=push&useIP=true").await.unwrap();
    let (_, line) = &room.lines().await[0];
    assert_eq!(line.peer, Peer::Address("203.0.113.9".parse().unwrap()));
}

#[tokio::test]
async fn fetch_is_answered_in_json_that_any_origin_may_read() {
    let room = Room::new().await;
    let preflight = |origin: bool| {
        let request = Request::builder().method("OPTIONS").uri("/a?t=96&d=x");
        let request = if origin {
            request.header("Origin", "https://shop.test")
        } else {
            request
        };
        request
            .header("Access-Control-Request-Method", "GET")
            .header(
                "Access-Control-Request-Headers",
                "x-clevertap-encryption-enabled",
            )
            .body(Body::empty())
            .unwrap()
    };
    let allowed = send(&room, preflight(true)).await.unwrap();
    assert_eq!((allowed.status, allowed.body.as_str()), (204, ""));
    assert_eq!(allowed.headers["access-control-allow-origin"], "*");
    assert_eq!(
        allowed.headers["access-control-allow-headers"],
        "x-clevertap-encryption-enabled, content-type, x-clevertap-account-id, x-clevertap-token, *"
    );
    assert!(
        !allowed
            .headers
            .contains_key("access-control-allow-credentials")
    );
    assert!(send(&room, preflight(false)).await.is_none());

    let answer = fetch(&room, EVENT, "&type=push").await.unwrap();
    assert_eq!(answer.headers["access-control-allow-origin"], "*");
    let lines = room.lines().await;
    let asked = lines.iter().find(|(_, it)| &*it.method == "OPTIONS");
    assert!(
        matches!(&asked.unwrap().1.peer, Peer::Hashed { hash, .. } if *hash == [0; 8]),
        "{lines:?}"
    );
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    let meta = json!({"g":"abc","sid":1_789_999_000,"rf":false,"rn":"3"});
    assert_eq!(body, json!({"tr":{"arp":{}},"meta":meta}));
}

#[tokio::test]
async fn json_is_for_who_names_it_among_what_it_reads() {
    let room = Room::new().await;
    let is_json = async |accept: &str| {
        let request = get(&url(EVENT, "&type=push")).header("Accept", accept);
        let answer = send(&room, request.body(Body::empty()).unwrap()).await;
        answer.unwrap().body.starts_with('{')
    };
    for accept in [
        "application/json",
        "Application/JSON; q=0.9",
        "application/json, text/plain, */*",
        "*/*,application/json",
    ] {
        assert!(is_json(accept).await, "{accept}");
    }
    for accept in ["*/*", "", "application/javascript", "text/html,*/*;q=0.8"] {
        assert!(!is_json(accept).await, "{accept}");
    }
}

#[tokio::test]
async fn another_person_on_the_browser_gets_another_id() {
    let room = Room::new().await;
    let device = |answer: Option<Answer>| {
        let body = answer.unwrap().body;
        let body: Value = serde_json::from_str(&body).unwrap();
        (
            body["meta"]["g"].as_str().unwrap().to_owned(),
            body["meta"]["rf"].as_bool().unwrap(),
        )
    };
    let login = r#"{"type":"profile","profile":{"Identity":"u2"},"isOUL":true,"id":"TEST-1"}"#;
    let first = device(fetch(&room, r#"{"id":"TEST-1"}"#, "&type=page").await);
    let again = device(fetch(&room, r#"{"id":"TEST-1"}"#, "&type=page").await);
    let other = device(fetch(&room, login, "&type=push").await);
    let back = login
        .replace("\"id\"", "\"g\":\"abc\",\"id\"")
        .replace("u2", "u1");
    assert_eq!(
        device(fetch(&room, &back, "&type=push").await),
        (String::from("abc"), true)
    );
    assert!(
        first.0.len() == 32 && first.0 != again.0 && other.0.len() == 32 && other.1 && !first.1
    );
    let kept = kept(&room).await;
    assert!(kept.contains(&String::from("abc is u1")), "{kept:?}");
    assert!(kept.contains(&String::from("other is u2")), "{kept:?}");
}

#[tokio::test]
async fn opting_out_is_answered_as_asked() {
    let room = Room::new().await;
    let message = r#"{"type":"profile","profile":{"ct_optout":true},"id":"TEST-1","g":"abc"}"#;
    let out = script(&room, message, "&type=push&optOut=true")
        .await
        .unwrap();
    assert!(
        out.body.contains("s('abc:OO',") && out.body.ends_with(",3,true);"),
        "{}",
        out.body
    );
    let back = message
        .replace("true", "false")
        .replace("\"g\":\"abc\"", "\"x\":1");
    // The mark goes, however often it stands there: with one of it left, the browser would stay out.
    for marked in ["abc:OO", "abc:OO:OO"] {
        let parameters = format!("&type=push&optOut=false&gc={marked}");
        let back = script_at(&room, 1_789_999_991, &back, &parameters).await;
        assert!(
            back.body.contains("s('abc',") && back.body.ends_with(",3,false);"),
            "{}",
            back.body
        );
    }
}

#[tokio::test]
async fn discarded_events_are_told_and_refused() {
    let room = Room::with(|rules| {
        rules.discarded_events.insert("Viewed".into());
    })
    .await;
    let answer = script(&room, EVENT, "&type=push").await.unwrap();
    assert!(
        answer.body.contains(r#"tr({"arp":{"d_e":["#),
        "{}",
        answer.body
    );
    assert_eq!(kept(&room).await, ["quarantined 528 event_discarded"]);
}

#[tokio::test]
async fn a_browser_that_remembers_discarded_events_is_told_that_there_are_none() {
    let room = Room::new().await;
    for (remembered, told) in [
        (r#"{"d_e":["GDY2"]}"#, r#"tr({"arp":{"d_e":[]}});"#),
        (
            r#"{"j_n":"x","d_e":["GDY2","R3hQ"]}"#,
            r#"tr({"arp":{"d_e":[]}});"#,
        ),
        (r#"{"d_e":[]}"#, r#"tr({"arp":{}});"#),
        ("{}", r#"tr({"arp":{}});"#),
    ] {
        let packed = lz_str::compress_to_base64(remembered);
        let packed = packed.replace('+', "%2B").replace('=', "%3D");
        let parameters = format!("&type=push&arp={packed}");
        let answer = script(&room, EVENT, &parameters).await.unwrap();
        assert!(answer.body.contains(told), "{remembered} {}", answer.body);
    }
    let answer = script(&room, EVENT, "&type=push&arp=no").await.unwrap();
    assert!(
        answer.body.contains(r#"tr({"arp":{}});"#),
        "{}",
        answer.body
    );
}

#[tokio::test]
async fn a_request_that_is_sent_again_is_answered_and_stored_once() {
    let room = Room::new().await;
    let first = script(&room, EVENT, "&type=push").await.unwrap();
    let again = script(&room, EVENT, "&type=push&tries=2").await.unwrap();
    assert_eq!(first.body, again.body);
    // The next request of the same second says the same: another click.
    let url = url(EVENT, "&type=push").replace("rn=3", "rn=4");
    send(&room, get(&url).body(Body::empty()).unwrap())
        .await
        .unwrap();
    let clicks = kept(&room)
        .await
        .iter()
        .filter(|it| it.contains("Viewed"))
        .count();
    assert_eq!((clicks, room.lines().await.len()), (2, 3));
}

#[tokio::test]
async fn pages_of_one_second_number_their_requests_anew() {
    let room = Room::new().await;
    for page in 1..=2 {
        let message = EVENT.replace("\"id\"", &format!("\"pg\":{page},\"id\""));
        for _ in 0..2 {
            script(&room, &message, "&type=push").await.unwrap();
        }
    }
    let kept = kept(&room).await;
    let views = kept.iter().filter(|it| it.contains("Viewed"));
    assert_eq!(views.count(), 2);
}

#[tokio::test]
async fn a_first_sign_in_that_had_to_wait_is_of_the_anonymous_browser() {
    let room = Room::new().await;
    let login = r#"{"type":"profile","profile":{"Identity":"u1"},"isOUL":true,"id":"TEST-1"}"#;
    let answer = fetch(&room, login, "&type=push&gc=abc&s=1789999000").await;
    let body: Value = serde_json::from_str(&answer.unwrap().body).unwrap();
    assert_eq!(body["meta"]["g"], "abc");
    assert_eq!(body["meta"]["rf"], true);
    assert!(kept(&room).await.contains(&String::from("abc is u1")));
    let other = login
        .replace("u1", "u2")
        .replace("\"isOUL\"", "\"rc\":true,\"isOUL\"");
    let answer = fetch(&room, &other, "&type=push&gc=abc").await;
    let body: Value = serde_json::from_str(&answer.unwrap().body).unwrap();
    assert_ne!(body["meta"]["g"], "abc");
}

#[tokio::test]
async fn a_browser_that_asks_for_variables_is_told_that_there_are_none() {
    let room = Room::new().await;
    let asks =
        r#"{"type":"event","evtName":"wzrk_fetch","evtData":{"t":4},"id":"TEST-1","g":"abc"}"#;
    let answer = script(&room, asks, "&type=push").await.unwrap();
    let told = r#"tr({"arp":{},"vars":{}});"#;
    assert!(answer.body.contains(told), "{}", answer.body);
    let other = script(&room, EVENT, "&type=push").await.unwrap();
    assert!(!other.body.contains("vars"), "{}", other.body);
}

#[tokio::test]
async fn a_copy_that_names_the_session_that_the_first_could_not_is_the_same() {
    let room = Room::new().await;
    let early = EVENT.replace(",\"s\":1789999000", "");
    let refused = early.replace("\"Viewed\"", "\"\"");
    for message in [&early, &refused] {
        for session in ["", "&s=1789999000"] {
            let parameters = format!("&type=push{session}");
            assert!(script(&room, message, &parameters).await.is_some());
        }
        // Another browser that says the same is another.
        let other = message.replace("\"abc\"", "\"abd\"");
        assert!(script(&room, &other, "&type=push").await.is_some());
    }
    let kept = kept(&room).await;
    let count = |what: &str| kept.iter().filter(|it| it.contains(what)).count();
    assert_eq!((count("Viewed"), count("quarantined")), (2, 2), "{kept:?}");
}

/// A message as encryption in transit has it; its key is all sevens.
pub(super) fn envelope(message: &str) -> String {
    let inner = lz_str::compress_to_base64(message);
    let sealed = seal::transit::seal(&Secret::new([7; 32]), [1; 12], inner.as_bytes()).unwrap();
    let (itp, itk) = (STANDARD.encode(sealed), STANDARD.encode([7; 32]));
    let itv = STANDARD.encode([1; 12]);
    json!({"itp":itp,"itk":itk,"itv":itv,"id":"TEST-1","encrypted":true}).to_string()
}

#[tokio::test]
async fn an_encrypted_message_gets_an_encrypted_answer() {
    let room = Room::new().await;
    let answer = fetch(&room, &envelope(EVENT), "&type=push").await.unwrap();
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    let bytes = |key: &str| STANDARD.decode(body[key].as_str().unwrap()).unwrap();
    let nonce = bytes("itv").try_into().unwrap();
    let opened = seal::transit::open(&Secret::new([7; 32]), nonce, &bytes("itp")).unwrap();
    let opened: Value = serde_json::from_slice(&opened).unwrap();
    assert_eq!(
        (&opened["meta"]["g"], &opened["meta"]["rn"]),
        (&json!("abc"), &json!("3"))
    );
    assert!(
        kept(&room)
            .await
            .contains(&String::from("web abc Viewed {\"n\":1.50}"))
    );
}

#[tokio::test]
async fn what_cannot_be_read_of_a_known_account_is_kept_and_answered_as_a_success() {
    let spoiled = envelope(EVENT).replace("\"itk\":\"BwcH", "\"itk\":\"CAgI");
    let elsewhere = envelope(&EVENT.replace("TEST-1", "TEST-2"));
    let twice = envelope(&envelope(EVENT));
    let short = r#"{"id":"TEST-1","encrypted":true,"itp":"AAAA"}"#.to_owned();
    for message in [spoiled, elsewhere, twice, short] {
        let room = Room::new().await;
        let answer = fetch(&room, &message, "&type=push&gc=abc").await.unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(
            kept(&room).await,
            ["quarantined 0 the message cannot be read"],
            "{message}"
        );
    }
    let room = Room::new().await;
    let answer = fetch(&room, r#"{"id":"TEST-1","type":"event"}"#, "")
        .await
        .unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(kept(&room).await, ["quarantined 509 event_name_missing"]);
}

#[tokio::test]
async fn strangers_and_other_formats_are_dropped_in_silence() {
    let room = Room::new().await;
    let good = url(EVENT, "&type=push");
    let urls = [
        String::from("/a"),
        String::from("/a?d=%21"),
        String::from("/a?d=N4IgBg"),
        url("{}", ""),
        url("[]", ""),
        url(r#"{"id":"TEST-2","type":"event","evtName":"E"}"#, ""),
        url(r#"{"id":"TEST-1","id":"TEST-1"}"#, ""),
        url(&format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000)), ""),
        url(&"a".repeat(2_000_000), ""),
        good.replace("/a?", "/a/?"),
        good.replace("/a?", "/A?"),
        good.replace("/a?", "//a?"),
    ];
    for url in urls {
        assert!(
            send(&room, get(&url).body(Body::empty()).unwrap())
                .await
                .is_none(),
            "{url}"
        );
    }
    for method in ["HEAD", "POST", "PUT", "TRACE", "BREW"] {
        let request = Request::builder()
            .method(method)
            .uri(&good)
            .body(Body::empty())
            .unwrap();
        assert!(send(&room, request).await.is_none(), "{method}");
    }
    assert_eq!(kept(&room).await, Vec::<String>::new());
    let lines = room.not_served().await;
    assert!(
        lines
            .iter()
            .all(|(_, line)| line.outcome == Outcome::Dropped)
    );
    assert_eq!(lines.len(), 17);
}

#[tokio::test]
async fn nothing_is_answered_that_is_not_durable() {
    let room = Room::new().await;
    room.store.is_failing.store(true, Ordering::Relaxed);
    let answer = script(&room, EVENT, "&type=push").await.unwrap();
    assert_eq!(answer.status, 503);
    assert!(!answer.body.contains("WZRK"));
}

#[tokio::test]
async fn of_a_browser_that_has_opted_out_nothing_is_kept() {
    let room = Room::new().await;
    let marked = EVENT.replace("\"abc\"", "\"abc:OO\"");
    let sealed = envelope(&marked);
    let cases = [
        (EVENT, "&type=push&gc=abc:OO&useIP=true"),
        (&marked, "&type=push&useIP=true"),
        (&sealed, "&type=push&gc=abc%3AOO&useIP=true"),
        (
            r#"{"id":"TEST-1","encrypted":true,"itp":"AAAA"}"#,
            "&gc=abc:OO",
        ),
    ];
    for (message, parameters) in cases {
        let answer = script(&room, message, parameters).await.unwrap();
        assert!(answer.body.contains("s('abc:OO',"), "{}", answer.body);
        assert!(answer.body.ends_with(",false,3);"), "{}", answer.body);
    }
    assert_eq!(kept(&room).await, Vec::<String>::new());
    let lines = room.lines().await;
    assert_eq!(lines.len(), 4);
    assert!(
        lines
            .iter()
            .all(|(_, it)| matches!(&it.peer, Peer::Hashed { .. }))
    );
}

#[tokio::test]
async fn pages_of_other_domains_are_dropped_once_there_is_a_list() {
    let room = Room::with(|rules| {
        rules.web_domains.insert("shop.test".into());
    })
    .await;
    let from = |name: &str, value: &str| {
        let request = get(&url(EVENT, "&type=push")).header(name, value);
        request.body(Body::empty()).unwrap()
    };
    for (name, value) in [
        ("Origin", "https://evil.test"),
        ("Referer", "https://shop.test.evil/"),
    ] {
        assert!(send(&room, from(name, value)).await.is_none(), "{name}");
    }
    assert!(script(&room, EVENT, "&type=push").await.is_none());
    assert_eq!(kept(&room).await, Vec::<String>::new());
    assert!(
        send(&room, from("Referer", "https://shop.test/a"))
            .await
            .is_some()
    );
    assert!(
        send(&room, from("Origin", "https://www.shop.test"))
            .await
            .is_some()
    );
    let lines = room.not_served().await;
    let dropped = |(account, line): &(String, _)| {
        let line: &model::record::RequestLine = line;
        account == "0" && &*line.reason == "foreign_page" && line.outcome == Outcome::Dropped
    };
    assert_eq!(lines.len(), 3);
    assert!(lines.iter().all(dropped), "{lines:?}");
}

#[tokio::test]
async fn what_is_encrypted_can_be_refused_so_that_it_comes_plain() {
    let room = Room::with(|rules| rules.takes_encrypted = false).await;
    let answer = fetch(&room, &envelope(EVENT), "&type=push").await.unwrap();
    assert_eq!(answer.status, 402);
    assert_eq!(answer.headers["access-control-allow-origin"], "*");
    assert_eq!(kept(&room).await, Vec::<String>::new());
    assert_eq!(
        script(&room, EVENT, "&type=push").await.unwrap().status,
        200
    );
    assert_eq!(kept(&room).await.len(), 2);
}

#[tokio::test]
async fn two_copies_at_the_same_time_are_stored_once() {
    let room = Room::new().await;
    let (first, second) = tokio::join!(
        script(&room, EVENT, "&type=push"),
        script(&room, EVENT, "&type=push&tries=2")
    );
    assert_eq!(first.unwrap().body, second.unwrap().body);
    let kept = kept(&room).await;
    let clicks = kept.iter().filter(|it| it.contains("Viewed")).count();
    assert_eq!(clicks, 1, "{kept:?}");
}

#[tokio::test]
async fn a_ping_is_answered_as_any_message_and_leaves_its_line_alone() {
    let room = Room::new().await;
    let ping = r#"{"af":{"lib":"web-sdk-v2.5.2"},"id":"TEST-1","g":"abc","s":1789999000,"pg":2}"#;
    let answer = script(&room, ping, "&type=ping&gc=abc").await.unwrap();
    let told = "$WZRK_WR.tr({\"arp\":{}});$WZRK_WR.s('abc',1789999000,false,3);";
    assert_eq!((answer.status, answer.body.as_str()), (200, told));
    let answer = fetch(&room, ping, "&type=ping&gc=abc").await.unwrap();
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    let meta = json!({"g":"abc","sid":1_789_999_000,"rf":false,"rn":"3"});
    assert_eq!(body, json!({"tr":{"arp":{}},"meta":meta}));
    assert_eq!(kept(&room).await, Vec::<String>::new());
    let lines = room.lines().await;
    assert_eq!(lines.len(), 2);
    for (account, line) in lines {
        let told = (account.as_str(), &*line.path, line.outcome, &*line.reason);
        assert_eq!(told, (ACCOUNT, "/a", Outcome::Answered, ""));
        assert_eq!((line.accepted, line.rejected), (0, 0));
    }
    // It is one by what the request says of it.
    script(&room, ping, "&gc=abc").await.unwrap();
    assert_eq!(kept(&room).await, ["quarantined 524 type_unknown"]);
}
