//! The console's pages, and the headers that go with them.

use axum::body::Body;
use expect_test::expect;
use http::Request;

use super::harness::Room;

async fn send(room: &Room, method: &str, path: &str) -> super::harness::Answer {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("Host", "evil.example");
    room.send_to_console(request.body(Body::empty()).unwrap())
        .await
}

#[tokio::test]
async fn the_first_page_names_the_product() {
    let room = Room::new().await;
    let answer = send(&room, "GET", "/").await;
    assert_eq!(answer.status, 303);
    assert_eq!(answer.headers["location"], "/sign-in?next=%2F");
    let answer = send(&room, "GET", "/sign-in").await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("<title>Sign in · Strongroom</title>"));
    assert!(!answer.body.contains("style="));
    let style = send(&room, "GET", "/console.css").await;
    assert_eq!(style.status, 200);
    assert!(
        !style.body.contains("url("),
        "nothing is fetched from elsewhere"
    );
}

#[tokio::test]
async fn security_txt_has_its_fields_and_an_end() {
    let room = Room::new().await;
    let answer = send(&room, "GET", "/.well-known/security.txt").await;
    expect![[r"
        Contact: mailto:security@example.com
        Expires: 2027-03-20T00:00:00Z
        Preferred-Languages: en
        Policy: https://example.com/policy
    "]]
    .assert_eq(&answer.body);
    assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
}

#[tokio::test]
async fn other_urls_are_one_page_whatever_was_asked() {
    let room = Room::new().await;
    let paths = [
        "/admin",
        "/%2e%2e/etc/passwd",
        "//",
        "/console.css/x",
        "/1/events.json",
    ];
    let first = send(&room, "GET", "/nothing").await;
    assert_eq!(first.status, 404);
    for path in paths {
        let answer = send(&room, "GET", path).await;
        assert_eq!((answer.status, &answer.body), (404, &first.body), "{path}");
    }
    for method in ["PUT", "DELETE", "TRACE", "OPTIONS", "BREW"] {
        for path in ["/", "/nothing"] {
            let answer = send(&room, method, path).await;
            assert_eq!(
                (answer.status, answer.body.as_str()),
                (405, ""),
                "{method} {path}"
            );
        }
    }
    assert_eq!(send(&room, "POST", "/").await.status, 405);
    // Nothing is fetched for anybody.
    assert_eq!(send(&room, "GET", "http://10.0.0.1/").await.status, 0);
}

#[tokio::test]
async fn every_page_carries_the_headers_that_keep_it_safe() {
    let room = Room::new().await;
    for path in ["/", "/nothing", "/console.css", "/.well-known/security.txt"] {
        let answer = send(&room, "GET", path).await;
        let header = |name: &str| answer.headers[name].to_str().unwrap().to_owned();
        let policy = header("content-security-policy");
        for part in [
            "default-src 'none'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"));
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("referrer-policy"), "same-origin");
        assert!(header("strict-transport-security").starts_with("max-age="));
        assert!(
            !answer
                .headers
                .values()
                .any(|value| { value.to_str().unwrap().contains("evil.example") })
        );
    }
    assert_eq!(
        send(&room, "GET", "/").await.headers["cache-control"],
        "no-store"
    );
}
