//! Every request leaves one line, with nothing secret in it.

use axum::body::Body;
use futures::stream;
use http::Method;
use model::Secret;
use model::record::{Outcome, Peer};
use std::sync::atomic::Ordering;

use super::harness::Room;
use crate::hashed_peer;

#[tokio::test]
async fn what_is_dropped_is_logged_without_its_query_string() {
    let room = Room::new().await;
    let request = Room::anonymous("GET", "/wp-admin/%2e%2e/x?token=secret-1");
    assert_eq!(room.send(request.body(Body::empty()).unwrap()).await, None);
    let lines = room.not_served().await;
    let (account, line) = &lines[0];
    assert_eq!(account, "0");
    assert_eq!((&*line.path, line.status), ("/wp-admin/%2e%2e/x", 0));
    assert_eq!(
        (line.outcome, &*line.reason),
        (Outcome::Dropped, "unknown_url")
    );
    assert_eq!(line.peer, Peer::Address("203.0.113.9".parse().unwrap()));
    assert!(!format!("{lines:?}").contains("secret-1"));
    assert!(!format!("{lines:?}").contains(&room.passcode));
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
