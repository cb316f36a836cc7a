//! Every request leaves one line, with nothing secret in it.

use axum::Router;
use axum::body::Body;
use axum::middleware::from_fn_with_state;
use futures::stream;
use http::Method;
use model::record::{Outcome, Peer, Plane};
use model::{Clock, Secret};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tower::ServiceExt as _;

use super::harness::{ACCOUNT, NOW, Room};
use crate::peer::hashed_peer;
use crate::{Facts, Flush, Refusal, Refused, log_requests};

#[tokio::test]
async fn what_is_dropped_is_logged_without_its_query_string() {
    let room = Room::new().await;
    let request = Room::anonymous("POST", "/wp-admin/%2e%2e/x?token=secret-1");
    let body = Body::from("user=admin");
    assert_eq!(room.send(request.body(body).unwrap()).await, None);
    let lines = room.not_served().await;
    let (account, line) = &lines[0];
    assert_eq!(account, "0");
    assert_eq!((&*line.path, line.status), ("/wp-admin/%2e%2e/x", 0));
    assert_eq!((&*line.method, line.size_bytes), ("POST", 10));
    assert_eq!(
        (line.outcome, &*line.reason),
        (Outcome::Dropped, "unknown_url")
    );
    assert_eq!(line.peer, Peer::Address("203.0.113.9".parse().unwrap()));
    assert!(!format!("{lines:?}").contains("secret-1"));
    assert!(!format!("{lines:?}").contains(&room.passcode));
}

#[tokio::test]
async fn a_slow_request_that_is_dropped_has_the_time_of_its_drop() {
    const SLOW: Duration = Duration::from_secs(600);
    let room = Room::new().await;
    let clock = Arc::clone(&room.clock);
    let layer = from_fn_with_state((room.state.clone(), Plane::Collect), log_requests);
    let slow = Router::new()
        .fallback(move || {
            clock.advance(SLOW);
            std::future::ready(Refusal::UnknownUrl.in_silence(Facts::default()))
        })
        .layer(layer);
    let request = Room::anonymous("GET", "/x").body(Body::empty()).unwrap();
    drop(slow.oneshot(request).await.unwrap());
    let (_, line) = &room.not_served().await[0];
    assert_eq!(line.at, NOW.plus(SLOW));
    assert_eq!(u128::from(line.duration_us), SLOW.as_micros());
}

#[tokio::test]
async fn what_is_dropped_after_a_flush_is_later_than_it_says() {
    let room = Room::new().await;
    let drops = room.state.drops();
    let mut until = drops.flush(Flush::All).await.unwrap();
    // Within one millisecond, and then by a clock that was put back.
    for (seen, put_back) in (1..).zip([false, true]) {
        if put_back {
            room.clock.set(NOW.minus(Duration::from_secs(60)));
        }
        let request = Room::anonymous("GET", "/x").body(Body::empty()).unwrap();
        assert_eq!(room.send(request).await, None);
        let later = drops.flush(Flush::All).await.unwrap();
        let lines = room.lines().await;
        assert_eq!(lines.len(), seen);
        let new = lines.iter().filter(|(_, it)| it.at > until).count();
        assert_eq!(new, 1, "after {until}");
        assert!(lines.iter().all(|(_, it)| it.at <= later));
        until = later;
    }
    assert!(room.clock.now() < until);
}

/// A URL that nobody knows, each another one.
fn garbage(number: u32) -> Refused {
    Refused {
        plane: Plane::Collect,
        peer: "203.0.113.9".parse().unwrap(),
        tls_version: "1.3",
        method: Box::from("GET"),
        path: format!("/{number}").into_boxed_str(),
        status: 0,
        reason: "unknown_url",
        size_bytes: 0,
    }
}

#[tokio::test]
async fn c07_a_million_drops_are_counted_exactly_and_take_little_room() {
    const DROPS: u32 = 1_000_000;
    let room = Room::new().await;
    let drops = room.state.drops();
    // 1,000 a second, and what is due is made durable every ten.
    for number in 0..DROPS {
        if number % 10_000 == 0 {
            room.clock.advance(Duration::from_secs(10));
            drops.flush(Flush::Due).await.unwrap();
        }
        drops.refuse(garbage(number));
    }
    let lines = room.not_served().await;
    let told: u32 = lines.iter().map(|(_, line)| 1 + line.rejected).sum();
    assert_eq!(told, DROPS);
    // 4,096 at once, 8 more a second, and two of each kind that is gathered.
    assert!(lines.len() < 13_000, "{}", lines.len());
}

#[tokio::test]
async fn a_url_of_ours_has_its_path_whatever_strangers_have_asked_for() {
    let room = Room::new().await;
    for number in 0..10_000 {
        room.state.drops().refuse(garbage(number));
    }
    for path in ["/a1", "/y"] {
        let request = Room::anonymous("GET", path).body(Body::empty()).unwrap();
        assert_eq!(room.send_to_collect(request).await, None, "{path}");
    }
    let lines = room.not_served().await;
    let count = |path: &str| {
        let of_path = lines.iter().filter(|(_, line)| &*line.path == path);
        of_path.map(|(_, it)| 1 + it.rejected).sum::<u32>()
    };
    assert_eq!((count("/0"), count("/9999")), (1, 0));
    assert_eq!((count("/a1"), count("/y")), (1, 0));
    assert_eq!(count("(other)"), 10_001 - 4_000);
}

#[tokio::test]
async fn what_strangers_are_told_is_counted_exactly_and_takes_little_room() {
    const FLOOD: u32 = 6_000;
    let room = Room::new().await;
    for number in 0..FLOOD {
        let request = Room::anonymous("POST", "/1/upload");
        let request = match number % 2 {
            0 => request,
            _ => request
                .header("X-CleverTap-Account-Id", ACCOUNT)
                .header("X-CleverTap-Passcode", "wrong"),
        };
        let answer = room.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.unwrap().status, 401);
    }
    let fetch = r#"[{"type":"meta","g":"__0123456789abcdef0123456789abcdef","id":"TEST-1"},
        {"type":"event","evtName":"wzrk_fetch","evtData":{"t":7},"ep":1790000000}]"#;
    for _ in 0..10 {
        let stranger = Room::anonymous("OPTIONS", "/a")
            .header("Origin", "https://shop.test")
            .header("Access-Control-Request-Method", "GET")
            .body(Body::empty());
        let phone = Room::anonymous("POST", "/content")
            .header("X-CleverTap-Account-Id", ACCOUNT)
            .header("X-CleverTap-Token", &room.passcode)
            .body(Body::from(fetch));
        for (request, status) in [(stranger, 204), (phone, 200)] {
            let answer = room.send_to_collect(request.unwrap()).await;
            assert_eq!(answer.unwrap().status, status);
        }
    }
    room.not_served().await;
    let lines = room.lines().await;
    assert!(lines.len() < 4_200, "{}", lines.len());
    for (account, reason) in [("0", "unknown_account"), (ACCOUNT, "invalid_credentials")] {
        let of_kind = lines.iter().filter(|(of, _)| of.as_str() == account);
        let of_kind = of_kind.filter(|(_, it)| &*it.reason == reason);
        let mut requests = 0;
        for (_, line) in of_kind {
            assert_eq!((line.status, line.outcome), (401, Outcome::Refused));
            requests += 1 + line.rejected;
        }
        assert_eq!(requests, FLOOD / 2, "{reason}");
    }
    let of_path = |path: &str| -> Vec<(String, String, u32)> {
        let of_path = lines.iter().filter(|(_, it)| &*it.path == path);
        of_path
            .map(|(account, it)| (account.clone(), it.reason.to_string(), it.rejected))
            .collect()
    };
    let line =
        |account: &str, reason: &str, more: u32| (account.to_owned(), reason.to_owned(), more);
    assert_eq!(of_path("/a"), [line("0", "", 0), line("0", "gathered", 8)]);
    // Whoever was let in has a line each.
    assert_eq!(of_path("/content"), vec![line(ACCOUNT, "", 0); 10]);
}

#[tokio::test]
async fn the_collect_plane_answers_nothing_and_logs_everything() {
    let room = Room::new().await;
    for method in [Method::GET, Method::POST, Method::OPTIONS, Method::TRACE] {
        let request = Room::anonymous(method.as_str(), "/1/upload")
            .body(Body::empty())
            .unwrap();
        assert_eq!(room.send_to_collect(request).await, None, "{method}");
    }
    let lines = room.not_served().await;
    assert_eq!(lines.len(), 4);
    for (_, line) in lines {
        assert_eq!(
            (line.plane.as_str(), line.outcome),
            ("collect", Outcome::Dropped)
        );
    }
}

#[tokio::test]
async fn a_known_caller_is_told_what_was_wrong() {
    let room = Room::new().await;
    let cases = [
        (
            "GET",
            "/1/nothing.json",
            r#"{"status":"fail","error":"Not found","code":404}"#,
        ),
        (
            "PUT",
            "/1/upload",
            r#"{"status":"fail","error":"Method not allowed","code":405}"#,
        ),
    ];
    for (method, path, body) in cases {
        let request = room.request(method, path).body(Body::empty()).unwrap();
        assert_eq!(room.send(request).await.unwrap().body, body);
    }
    // In the log before they were answered, under the account's name.
    let lines = room.lines().await;
    let seen: Vec<_> = lines
        .iter()
        .map(|(account, line)| (account.as_str(), line.status))
        .collect();
    assert_eq!(seen, [("TEST-1", 404), ("TEST-1", 405)]);
}

#[tokio::test]
async fn an_answer_that_cannot_be_logged_is_not_given() {
    let room = Room::new().await;
    room.store.is_failing.store(true, Ordering::Relaxed);
    let request = room
        .request("GET", "/1/nothing.json")
        .body(Body::empty())
        .unwrap();
    assert_eq!(room.send(request).await.unwrap().status, 503);
    // What nobody needs to be sure of goes on.
    let request = Room::anonymous("GET", "/1/nothing.json")
        .body(Body::empty())
        .unwrap();
    assert_eq!(room.send(request).await, None);
}

#[tokio::test]
async fn a_request_whose_sender_goes_away_leaves_a_line() {
    let room = Room::new().await;
    let body = Body::from_stream(stream::pending::<Result<Vec<u8>, std::io::Error>>());
    {
        let mut upload = std::pin::pin!(room.upload(body));
        assert!(futures::poll!(upload.as_mut()).is_pending());
    }
    let (_, line) = &room.not_served().await[0];
    assert_eq!(
        (&*line.reason, line.outcome),
        ("peer_gone", Outcome::Dropped)
    );
}

#[tokio::test]
async fn an_upload_whose_sender_goes_away_during_its_commit_leaves_one_line() {
    // A large one is made ready on another thread before the journal takes it.
    for size in [1, 2 * 1024 * 1024] {
        let room = Room::new().await;
        let value = "x".repeat(size);
        let event = r#"{"type":"event","identity":"u1","evtName":"Viewed","evtData""#;
        let body = format!(r#"{{"d":[{event}:{{"a":"{value}"}}}}]}}"#);
        {
            let mut upload = std::pin::pin!(room.upload(body));
            assert!(futures::poll!(upload.as_mut()).is_pending());
        }
        let next = room.upload(r#"{"d":[]}"#).await.unwrap();
        assert_eq!(next.status, 200);
        assert_eq!(room.lines().await.len(), 2, "{size}");
    }
}

#[test]
fn of_a_client_s_address_a_hash_and_the_network_are_kept() {
    let key = Secret::new([1; 32]);
    let of = |address: &str| hashed_peer(&key, address.parse().unwrap());
    let network = |peer: Peer| match peer {
        Peer::Hashed { network, .. } => network.to_string(),
        Peer::Unknown | Peer::Address(_) => panic!("hashed"),
    };
    assert_eq!(network(of("203.0.113.9")), "203.0.113.0/24");
    assert_eq!(network(of("::ffff:203.0.113.9")), "203.0.113.0/24");
    assert_eq!(network(of("2001:db8:1:2::3")), "2001:db8:1::/48");
    assert_eq!(of("203.0.113.9"), of("::ffff:203.0.113.9"));
    assert_ne!(of("203.0.113.9"), of("203.0.113.10"));
    assert!(!format!("{:?}", of("203.0.113.9")).contains("113.9"));
}
