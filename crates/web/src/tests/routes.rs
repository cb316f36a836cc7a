//! The table of routes is the whole truth.

use axum::body::Body;
use expect_test::expect_file;
use http::Request;
use model::record::Plane;
use std::collections::BTreeSet;

use super::harness::Room;
use crate::{ROUTES, Route, console_routes, management_routes};

fn all() -> Vec<Route> {
    let of_api = ROUTES.into_iter().chain(management_routes());
    of_api.chain(console_routes()).collect()
}

const METHODS: [&str; 9] = [
    "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "BREW",
];

#[tokio::test]
async fn what_answers_is_what_the_table_lists() {
    let room = Room::new().await;
    let routes = all();
    let patterns: BTreeSet<_> = routes
        .iter()
        .map(|route| (route.plane.as_str(), route.pattern))
        .collect();
    for (plane, pattern) in patterns {
        for method in METHODS {
            let path = pattern.replace(['{', '}'], "");
            let request = room.request(method, &path).body(Body::empty()).unwrap();
            let answer = if plane == "api" {
                room.send(request).await
            } else {
                room.send_to_console(request).await
            };
            let is_listed = routes.iter().any(|route| {
                let is_head = method == "HEAD" && route.method == "GET" && plane == "console";
                route.pattern == pattern && (route.method == method || is_head)
            });
            assert_eq!(
                answer.status != 405,
                is_listed,
                "{method} {pattern}: {answer:?}"
            );
            // What a pattern names is not there; the URL is.
            let is_there = answer.status != 404 || pattern.contains('{');
            assert!(is_there, "{method} {pattern}");
        }
    }
}

#[tokio::test]
async fn every_route_of_the_api_asks_for_credentials() {
    let room = Room::new().await;
    for route in ROUTES.iter().filter(|route| route.plane == Plane::Api) {
        let request = Request::builder().method(route.method).uri(route.pattern);
        let answer = room.send(request.body(Body::from("{}")).unwrap()).await;
        let expected = r#"401 {"status":"fail","error":"Account ID is not valid","code":401}"#;
        assert_eq!(answer.text(), expected, "{route:?}");
        // Its other methods are dropped, and so is what is not JSON.
        let request = Request::builder().method("PUT").uri(route.pattern);
        assert_eq!(
            room.send(request.body(Body::empty()).unwrap()).await.status,
            0
        );
        let request = Request::builder().method(route.method).uri(route.pattern);
        assert_eq!(
            room.send(request.body(Body::from("{")).unwrap())
                .await
                .status,
            0
        );
    }
}

#[tokio::test]
async fn browsers_may_call_the_api_and_never_with_their_credentials() {
    let room = Room::new().await;
    for origin in ["https://shop.example", "null", "https://evil.example"] {
        let request = Request::builder()
            .method("OPTIONS")
            .uri("/1/events.json")
            .header("Origin", origin)
            .header("Access-Control-Request-Method", "POST")
            .header("Access-Control-Request-Headers", "x-clevertap-account-id");
        let preflight = room.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(preflight.status, 204);
        let allowed = "content-encoding, content-type, idempotency-key, x-clevertap-account-id, \
                       x-clevertap-passcode";
        assert_eq!(preflight.headers["access-control-allow-headers"], allowed);
        let called = room.request("POST", "/1/now.json").header("Origin", origin);
        let called = room.send(called.body(Body::empty()).unwrap()).await;
        assert_eq!(called.status, 200, "{called:?}");
        for answer in [preflight, called] {
            assert_eq!(answer.headers["access-control-allow-origin"], "*");
            assert!(
                !answer
                    .headers
                    .contains_key("access-control-allow-credentials")
            );
        }
    }
    // Not a preflight, and not a URL of ours.
    let plain = Request::builder().method("OPTIONS").uri("/1/events.json");
    assert_eq!(
        room.send(plain.body(Body::empty()).unwrap()).await.status,
        0
    );
    let unknown = Request::builder()
        .method("OPTIONS")
        .uri("/1/nothing.json")
        .header("Origin", "https://shop.example")
        .header("Access-Control-Request-Method", "POST");
    assert_eq!(
        room.send(unknown.body(Body::empty()).unwrap()).await.status,
        0
    );
}

#[tokio::test]
async fn nothing_is_fetched_for_anybody() {
    let room = Room::new().await;
    for target in ["http://10.0.0.1/1/now.json", "https://localhost/1/now.json"] {
        assert_eq!(room.get(target).await.status, 0, "{target}");
    }
    let answer = room.send(
        room.request("CONNECT", "10.0.0.1:80")
            .body(Body::empty())
            .unwrap(),
    );
    assert_eq!(answer.await.status, 0);
}

#[test]
fn the_table_of_routes() {
    let lines: Vec<_> = all()
        .iter()
        .map(|route| {
            let audited = if route.audit.is_audited() {
                "audited"
            } else {
                ""
            };
            let plane = route.plane.as_str();
            let line = format!(
                "{plane:8}{:7}{:42}{:9}{audited}",
                route.method,
                route.pattern,
                format!("{:?}", route.access)
            );
            line.trim_end().to_owned()
        })
        .collect();
    expect_file!["routes.txt"].assert_eq(&(lines.join("\n") + "\n"));
}
