//! `GET /hello` and `POST /a1`.

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use governance::{PasscodeHash, SdkTokenRule};
use http::Request;
use model::record::{Peer, Record};
use model::{Credential, CredentialUse, Secret, Timestamp};
use serde_json::{Value, json};

use super::{kept, send};
use crate::tests::harness::{ACCOUNT, NOW, Room};

pub(super) const PHONE: &str = "__0123456789abcdef0123456789abcdef";
/// The answer to a batch where the account wants every event.
pub(super) const TAKEN: &str = r#"{"arp":{"d_e":[]}}"#;

/// A batch of two taps of one second and a profile.
pub(super) fn batch(token: &str) -> String {
    let tap = json!({"type":"event","evtName":"Tap","evtData":{"n":1},"s":1_789_999_000,"ep":1_789_999_990});
    let profile =
        json!({"type":"profile","profile":{"Identity":"u1","n":{"$incr":2}},"ep":1_789_999_991});
    let meta = json!({"type":"meta","g":PHONE,"id":ACCOUNT,"tk":token,"af":{"OS":"Android","useIP":false}});
    json!([meta, tap, tap, profile]).to_string()
}

/// The vendor's header names and query string.
pub(super) fn android(room: &Room) -> http::request::Builder {
    Request::builder()
        .method("POST")
        .uri("/a1?os=Android&t=70500&z=TEST-1&ts=1790000000")
        .header("Content-Type", "application/json; charset=utf-8")
        .header("X-CleverTap-Account-ID", ACCOUNT)
        .header("X-CleverTap-Token", &room.passcode)
}

pub(super) fn bare(uri: &str) -> http::request::Builder {
    Request::builder().method("POST").uri(uri)
}

#[tokio::test]
async fn a_batch_is_taken_and_answered_so_that_it_is_not_sent_again() {
    let room = Room::new().await;
    let answer = send(&room, android(&room).body(batch("").into()).unwrap())
        .await
        .unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, TAKEN));
    assert!(!answer.headers.contains_key("x-wzrk-rd"));
    let identify = format!("{PHONE} identify objectId \"{PHONE}\"");
    let tap = format!("android {PHONE} Tap {{\"n\":1}}");
    let link = format!("{PHONE} is u1");
    let expected = [
        &*identify,
        &tap,
        &tap,
        "u1 identify identity \"u1\"",
        // In the time of its owner, too.
        &identify,
        "u1 incr n 2",
        &link,
    ];
    assert_eq!(kept(&room).await, expected);
    let (account, line) = &room.lines().await[0];
    assert_eq!(
        (account.as_str(), &*line.path, line.accepted),
        (ACCOUNT, "/a1", 3)
    );
    assert!(matches!(&line.peer, Peer::Hashed { .. }));
}

#[tokio::test]
async fn the_body_alone_can_say_who_it_is() {
    let room = Room::new().await;
    let body = batch(&room.passcode)
        .replace("Android", "iOS")
        .replace("false", "true");
    let answer = send(&room, bare("/a1?os=iOS").body(body.into()).unwrap())
        .await
        .unwrap();
    assert_eq!(answer.status, 200);
    assert!(
        kept(&room)
            .await
            .contains(&format!("ios {PHONE} Tap {{\"n\":1}}"))
    );
    let (_, line) = &room.lines().await[0];
    assert_eq!(line.peer, Peer::Address("203.0.113.9".parse().unwrap()));
}

#[tokio::test]
async fn headers_that_stand_twice_must_say_the_same() {
    let room = Room::new().await;
    let cases = [
        ("X-CleverTap-Account-Id", ACCOUNT, true),
        ("X-CleverTap-Token", &*room.passcode, true),
        ("X-CleverTap-Account-Id", "OTHER-1", false),
        ("X-CleverTap-Token", "wrong", false),
    ];
    for (name, value, is_taken) in cases {
        let request = android(&room).header(name, value);
        // The body shows the token as well.
        let request = request.body(batch(&room.passcode).into()).unwrap();
        let answer = send(&room, request).await;
        assert_eq!(answer.is_some(), is_taken, "{name}: {value}");
    }
}

#[tokio::test]
async fn a_batch_that_is_sent_again_is_stored_once_and_two_taps_stay_two() {
    let room = Room::new().await;
    for _ in 0..2 {
        let answer = send(&room, android(&room).body(batch("").into()).unwrap())
            .await
            .unwrap();
        assert_eq!(answer.status, 200);
    }
    let kept = kept(&room).await;
    assert_eq!(
        kept.iter().filter(|it| it.contains("Tap")).count(),
        2,
        "{kept:?}"
    );
    assert_eq!(
        kept.iter().filter(|it| it.contains("incr")).count(),
        1,
        "{kept:?}"
    );
}

#[tokio::test]
async fn an_encrypted_batch_gets_an_encrypted_answer() {
    let room = Room::new().await;
    let key = Secret::new([7; 32]);
    let sealed = seal::transit::seal(&key, [1; 12], batch("").as_bytes()).unwrap();
    let envelope = json!({
        "itp": STANDARD.encode(sealed), "itk": STANDARD.encode([7; 32]), "itv": STANDARD.encode([1; 12]),
    });
    let request = android(&room).header("X-CleverTap-Encryption-Enabled", "true");
    let answer = send(&room, request.body(envelope.to_string().into()).unwrap())
        .await
        .unwrap();
    assert_eq!(answer.headers["x-clevertap-encryption-enabled"], "true");
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    let bytes = |key: &str| STANDARD.decode(body[key].as_str().unwrap()).unwrap();
    let opened =
        seal::transit::open(&key, bytes("itv").try_into().unwrap(), &bytes("itp")).unwrap();
    assert_eq!(opened, TAKEN.as_bytes());
    assert_eq!(
        kept(&room)
            .await
            .iter()
            .filter(|it| it.contains("Tap"))
            .count(),
        2
    );
}

#[tokio::test]
async fn what_cannot_be_read_of_a_known_sender_is_kept_and_answered_as_a_success() {
    for body in [
        "",
        "{",
        "[7]",
        "\u{0}",
        r#"{"itp":"AAAA","itk":"AAAA","itv":"AAAA"}"#,
    ] {
        let room = Room::new().await;
        let answer = send(&room, android(&room).body(body.into()).unwrap())
            .await
            .unwrap();
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, TAKEN),
            "{body}"
        );
        assert_eq!(
            kept(&room).await,
            ["quarantined 0 the message cannot be read"],
            "{body}"
        );
    }
}

#[tokio::test]
async fn what_does_not_unpack_of_a_known_sender_is_kept_as_it_came() {
    let cases: [(&str, Vec<u8>); 6] = [
        ("gzip", Vec::new()),
        ("gzip", b"no gzip".to_vec()),
        ("gzip", b"\x1f\x8b\x08".to_vec()),
        ("deflate", b"no zlib".to_vec()),
        ("br", b"\x0b\x01".to_vec()),
        ("gzip, gzip", vec![0x1f; 300_000]),
    ];
    for (encoding, body) in cases {
        let room = Room::new().await;
        let request = android(&room).header("Content-Encoding", encoding);
        let answer = send(&room, request.body(body.into()).unwrap())
            .await
            .unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, TAKEN));
        let expected = ["quarantined 0 the message cannot be read"];
        assert_eq!(kept(&room).await, expected, "{encoding}");
        // A stranger's is a stranger's.
        let request = bare("/a1?z=TEST-1").header("Content-Encoding", encoding);
        let answer = send(&room, request.body("no gzip".into()).unwrap()).await;
        assert!(answer.is_none(), "{encoding}");
    }
}

#[tokio::test]
async fn what_strangers_send_takes_no_memory_from_known_senders() {
    let room = Room::new().await;
    let mib = 1 << 20;
    let waiting = (0..40).map(|_| {
        // Nearly all of a body, and then nothing more.
        let piece = stream::iter([Ok::<_, std::io::Error>(vec![b' '; mib - 1])]);
        let body = Body::from_stream(piece.chain(stream::pending()));
        send(&room, bare("/a1?z=TEST-2").body(body).unwrap())
    });
    let mut waiting = std::pin::pin!(futures::future::join_all(waiting));
    tokio::select! {
        biased;
        _ = &mut waiting => panic!("most wait for the rest"),
        () = std::future::ready(()) => {}
    }
    assert_eq!(room.state.collect_bodies().bytes_held(), 0);
    let held = room.state.strangers().bytes_held();
    assert!((15 * mib..17 * mib).contains(&held), "{held}");
    let answer = send(&room, android(&room).body(batch("").into()).unwrap()).await;
    assert_eq!(answer.unwrap().status, 200);
}

#[tokio::test]
async fn what_one_account_sends_takes_no_memory_from_others_nor_from_the_api() {
    let room = Room::new().await;
    room.add_account("TEST-2");
    let other = || {
        let body = batch(&room.passcode).replace(ACCOUNT, "TEST-2");
        let request = bare("/a1?z=TEST-2").header("X-CleverTap-Token", &room.passcode);
        send(&room, request.body(body.into()).unwrap())
    };
    let mine = || send(&room, android(&room).body(batch("").into()).unwrap());
    let large = Bytes::from(vec![b' '; (16 << 20) - 1]);
    let waiting = (0..12).map(|_| {
        // All but a byte, which does not come.
        let piece = stream::iter([Ok::<_, std::io::Error>(large.clone())]);
        let body = Body::from_stream(piece.chain(stream::pending()));
        send(&room, android(&room).body(body).unwrap())
    });
    let mut waiting = Box::pin(futures::future::join_all(waiting));
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    let held = room.state.collect_bodies().bytes_held();
    assert_eq!(held, 3 * large.len());
    assert_eq!(mine().await.unwrap().status, 503);
    // A page may read that it is to ask again.
    let asks = android(&room).uri("/content").body(batch("").into());
    let answer = send(&room, asks.unwrap()).await.unwrap();
    assert_eq!(answer.status, 503);
    assert_eq!(answer.headers["access-control-allow-origin"], "*");
    assert_eq!(other().await.unwrap().status, 200);
    assert_eq!(room.upload(r#"{"d":[]}"#).await.unwrap().status, 200);
    // Whoever goes away gives its memory back.
    drop(waiting);
    assert_eq!(room.state.collect_bodies().bytes_held(), 0);
    assert_eq!(mine().await.unwrap().status, 200);
}

#[tokio::test]
async fn strangers_are_dropped_in_silence() {
    let room = Room::new().await;
    let good = batch(&room.passcode);
    let uri = "/a1?os=Android&z=TEST-1";
    let requests = [
        bare(uri).body(batch("wrong").into()).unwrap(),
        bare(uri)
            .header("X-CleverTap-Token", "wrong")
            .body(good.clone().into())
            .unwrap(),
        bare("/a1?z=TEST-2").body(good.clone().into()).unwrap(),
        bare("/a1")
            .body(good.replace(ACCOUNT, "TEST-2").into())
            .unwrap(),
        bare("/a1").body("[]".into()).unwrap(),
        bare(uri).body("{".into()).unwrap(),
        bare("/a1").body("{".into()).unwrap(),
        bare(uri).body(vec![b' '; 2_000_000].into()).unwrap(),
        bare("/a1/").body(good.clone().into()).unwrap(),
        bare("/a1?os=Android&z=TEST-2")
            .header("X-CleverTap-Account-ID", ACCOUNT)
            .body(good.clone().into())
            .unwrap(),
        android(&room)
            .header("X-CleverTap-Account-ID", "TEST-2")
            .body(good.clone().into())
            .unwrap(),
        Request::get("/hello?z=TEST-2")
            .header("X-CleverTap-Account-ID", ACCOUNT)
            .body(Body::empty())
            .unwrap(),
        Request::get(uri).body(good.into()).unwrap(),
        Request::get("/hello?os=Android&z=TEST-2")
            .header("Host", "h")
            .body(Body::empty())
            .unwrap(),
        Request::get("/hello")
            .header("Host", "h")
            .body(Body::empty())
            .unwrap(),
        Request::head("/hello?z=TEST-1")
            .header("Host", "h")
            .body(Body::empty())
            .unwrap(),
    ];
    for request in requests {
        let what = format!("{request:?}");
        assert!(send(&room, request).await.is_none(), "{what}");
    }
    assert_eq!(kept(&room).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_phone_is_told_the_public_name_whatever_host_it_names() {
    let room = Room::new().await;
    let early = Request::get("/hello?z=TEST-1").body(Body::empty()).unwrap();
    assert_eq!(send(&room, early).await.unwrap().status, 503);
    room.state.set_public_name("in.test:8443");
    let by_query = Request::get("/hello?os=Android&t=70500&z=TEST-1").header("Host", "evil.test");
    let by_header = Request::get("/hello")
        .header("X-CleverTap-Account-Id", ACCOUNT)
        .header("X-Forwarded-Host", "evil.test");
    for request in [by_query, by_header] {
        let answer = send(&room, request.body(Body::empty()).unwrap())
            .await
            .unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(answer.headers["x-wzrk-rd"], "in.test:8443");
        assert_eq!(answer.headers["x-wzrk-spiky-rd"], "in.test:8443");
    }
}

#[tokio::test]
async fn what_is_encrypted_can_be_refused_so_that_it_comes_plain() {
    let room = Room::with(|rules| rules.takes_encrypted = false).await;
    let sealed = seal::transit::seal(&Secret::new([7; 32]), [1; 12], batch("").as_bytes()).unwrap();
    let envelope = json!({
        "itp": STANDARD.encode(sealed), "itk": STANDARD.encode([7; 32]), "itv": STANDARD.encode([1; 12]),
    });
    let send_it = async |request: http::request::Builder| {
        let body = envelope.to_string();
        send(&room, request.body(body.into()).unwrap()).await
    };
    assert_eq!(send_it(android(&room)).await.unwrap().status, 402);
    assert!(
        send_it(bare("/a1?os=iOS")).await.is_none(),
        "not to strangers"
    );
    assert_eq!(kept(&room).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_batch_of_before_the_start_is_not_stored_again() {
    let (before, after) = (Room::new().await, Room::new().await);
    let body = batch(&before.passcode);
    let request = |body: &str| bare("/a1?os=Android").body(body.to_owned().into()).unwrap();
    send(&before, request(&body)).await.unwrap();
    assert!(after.state.recall(&before.entries().await));
    let again = batch(&after.passcode);
    assert_eq!(send(&after, request(&again)).await.unwrap().status, 200);
    let kept = kept(&after).await;
    assert!(
        !kept
            .iter()
            .any(|it| it.contains("Tap") || it.contains("incr")),
        "{kept:?}"
    );
}

#[tokio::test]
async fn variables_are_taken_from_who_shows_the_token() {
    let room = Room::new().await;
    let body = |token: &str| {
        let meta = json!({"id":ACCOUNT,"tk":token,"type":"meta","g":"abc"});
        let vars = json!({"greet":{"defaultValue":"hi","type":"string"}});
        json!([meta, {"type":"varsPayload","vars":vars}]).to_string()
    };
    let request = |body: String| {
        let request = bare("/defineVars").header("Origin", "https://shop.test");
        request.body(body.into()).unwrap()
    };
    let answer = send(&room, request(body(&room.passcode))).await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, "{}"));
    assert_eq!(answer.headers["access-control-allow-origin"], "*");
    for body in [
        body("wrong"),
        batch(&room.passcode),
        "[]".to_owned(),
        "{".to_owned(),
    ] {
        assert!(send(&room, request(body)).await.is_none());
    }
    assert_eq!(kept(&room).await, Vec::<String>::new());
}

#[tokio::test]
async fn an_advertising_id_that_names_a_device_reaches_no_disk() {
    const AD: &str = "-gEA7583CDA66748BCB80642ECB2B48606";
    let room = Room::new().await;
    let mut body: Value = serde_json::from_str(&batch("").replace(PHONE, AD)).unwrap();
    let items = body.as_array_mut().unwrap();
    items.push(json!({"type":"event"}));
    let body = body.to_string();
    let answer = send(&room, android(&room).body(body.into()).unwrap()).await;
    assert_eq!(answer.unwrap().status, 200);
    let all = format!("{:?} {:?}", room.entries().await, kept(&room).await);
    let bodies = room.entries().await;
    let bodies = bodies.iter().filter_map(|it| match &it.record {
        Record::Quarantined(it) => Some(String::from_utf8(it.body.clone()).unwrap()),
        _ => None,
    });
    let bodies: Vec<_> = bodies.collect();
    assert!(!bodies.is_empty());
    assert!(!all.contains(&AD[2..]) && !bodies.concat().contains(&AD[2..]));
}

#[tokio::test]
async fn an_sdk_that_asks_for_variables_is_told_that_there_are_none() {
    let room = Room::new().await;
    let fetch = json!({"type":"event","evtName":"wzrk_fetch","evtData":{"t":4},"ep":1_790_000_000});
    let meta = json!({"type":"meta","g":PHONE,"id":ACCOUNT});
    let body = json!([meta, fetch]).to_string();
    let answer = send(&room, android(&room).body(body.into()).unwrap()).await;
    assert_eq!(answer.unwrap().body, r#"{"arp":{"d_e":[]},"vars":{}}"#);
}

#[tokio::test]
async fn who_looks_for_what_is_not_there_is_told_so() {
    let room = Room::new().await;
    let templates = json!({"type":"templatePayload","definitions":{"t":{"type":"template"}}});
    let fetch = json!({"type":"event","evtName":"wzrk_fetch","evtData":{"t":7},"ep":1_790_000_000});
    let deleted = json!({"type":"deleteMessages","messages":[{"wzrk_mid":"1"}]});
    let cases = [
        ("/defineTemplates", templates, "{}"),
        ("/content", fetch.clone(), "{}"),
        ("/inbox/v2/getMessages", fetch, r#"{"inbox_notifs_v2":[]}"#),
        ("/inbox/v2/deleteMessages", deleted, "{}"),
    ];
    for (path, item, expect) in cases {
        let request = |token: &str| {
            let meta = json!({"type":"meta","g":PHONE,"id":ACCOUNT,"tk":token});
            let body = json!([meta, item]).to_string();
            bare(&format!("{path}?os=Android&t=70500&z=TEST-1&ts=1790000000"))
                .header("Content-Type", "application/json; charset=utf-8")
                .body(body.into())
                .unwrap()
        };
        let answer = send(&room, request(&room.passcode)).await.unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, expect));
        assert!(send(&room, request("wrong")).await.is_none(), "{path}");
        let read = Request::get(path).body(Body::empty()).unwrap();
        assert!(send(&room, read).await.is_none(), "{path}");
    }
    let variables = bare("/defineTemplates").body(batch(&room.passcode).into());
    assert!(send(&room, variables.unwrap()).await.is_none());
    assert_eq!(kept(&room).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_game_in_a_browser_is_a_phone_that_asks_first() {
    let room = Room::new().await;
    room.state.set_public_name("in.test");
    let origin = |request: http::request::Builder| request.header("Origin", "https://game.test");
    for (path, method) in [("/hello", "GET"), ("/a1?os=WebGL&z=TEST-1", "POST")] {
        let asked = Request::builder().method("OPTIONS").uri(path);
        let asked = origin(asked)
            .header("Access-Control-Request-Method", method)
            .header(
                "Access-Control-Request-Headers",
                "content-type,x-clevertap-account-id,x-clevertap-token",
            );
        let allowed = send(&room, asked.body(Body::empty()).unwrap()).await;
        let allowed = allowed.unwrap();
        assert_eq!(allowed.status, 204, "{path}");
        let headers = &allowed.headers["access-control-allow-headers"];
        let headers = headers.to_str().unwrap();
        for name in [
            "content-type",
            "x-clevertap-account-id",
            "x-clevertap-token",
            // Of whatever traces the page's calls.
            "*",
        ] {
            assert!(headers.split(", ").any(|it| it == name), "{headers}");
        }
    }
    let hello = origin(Request::get("/hello?os=WebGL&z=TEST-1"));
    let hello = send(&room, hello.body(Body::empty()).unwrap())
        .await
        .unwrap();
    let shown = &hello.headers["access-control-expose-headers"];
    assert_eq!(shown, "x-wzrk-rd, x-wzrk-spiky-rd");
    assert_eq!(hello.headers["access-control-allow-origin"], "*");
    let sent = origin(android(&room)).body(batch("").into()).unwrap();
    let sent = send(&room, sent).await.unwrap();
    assert_eq!(sent.status, 200);
    assert_eq!(sent.headers["access-control-allow-origin"], "*");
}

#[tokio::test]
async fn an_old_token_is_accepted_until_its_end_and_its_use_is_noted() {
    for (ends_in_ms, is_taken) in [(1, true), (0, false)] {
        let room = Room::with(|rules| {
            rules.sdk_tokens[0].ends_at = Some(Timestamp::from_ms(NOW.ms() + ends_in_ms));
            rules.sdk_tokens.push(SdkTokenRule {
                number: 2,
                hash: PasscodeHash::of("newer"),
                ends_at: None,
            });
        })
        .await;
        let used = |number| CredentialUse {
            account: ACCOUNT.parse().unwrap(),
            credential: Credential::SdkToken(number),
            at: NOW,
        };
        let old = send(&room, android(&room).body(batch("").into()).unwrap()).await;
        assert_eq!(old.is_some(), is_taken, "{ends_in_ms}");
        let uses = if is_taken { vec![used(1)] } else { Vec::new() };
        assert_eq!(room.state.take_uses(), uses);
        let newer = bare("/a1?os=Android&t=70500&z=TEST-1&ts=1790000000")
            .header("X-CleverTap-Account-ID", ACCOUNT)
            .header("X-CleverTap-Token", "newer");
        let newer = send(&room, newer.body(batch("newer").into()).unwrap()).await;
        assert_eq!(newer.unwrap().status, 200);
        assert_eq!(room.state.take_uses(), [used(2)]);
    }
}
