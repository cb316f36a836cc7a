//! The console's pages, and the headers that go with them.

use axum::body::Body;
use expect_test::expect;
use http::Request;
use std::collections::BTreeSet;

use super::browser::{Browser, employed};
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

#[tokio::test]
async fn e11_a_session_is_one_cookie_that_no_script_and_no_other_host_gets() {
    let room = Room::new().await;
    let mut ann = employed(&room, room.account, "admin").await;
    room.clock.advance(std::time::Duration::from_secs(30));
    let mut again = Browser {
        cookie: None,
        csrf: String::new(),
        ..ann.clone()
    };
    let full = again.sign_in(&room, "admin@example.com").await;
    ann.get(&room, "/me").await;
    let out = ann.post(&room, "/sign-out", &[]).await;
    let cookies = [&full, &out].map(|answer| {
        let mut all = answer.headers.get_all("set-cookie").iter();
        let one = all.next().unwrap().to_str().unwrap().to_owned();
        assert!(all.next().is_none(), "one cookie");
        one
    });
    for cookie in &cookies {
        let mut parts = cookie.split("; ");
        let (name, _) = parts.next().unwrap().split_once('=').unwrap();
        assert_eq!(name, "__Host-session");
        let flags: BTreeSet<&str> = parts.filter(|it| !it.starts_with("Max-Age=")).collect();
        let expect = ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"];
        assert_eq!(flags, expect.into(), "{cookie}");
    }
    // The one of the sign-out ends there.
    assert!(cookies[1].contains("__Host-session=;") && cookies[1].contains("Max-Age=0"));
    // Nothing else of a session is in a page: neither the token nor anything that becomes one.
    let token = again.cookie.clone().unwrap();
    for path in ["/me", "/enrol"] {
        let page = again.get(&room, path).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(!page.body.contains(&token), "{path}");
    }
}

#[tokio::test]
async fn changes_and_reads_of_what_was_sent_are_logged_before_their_answer() {
    let room = Room::new().await;
    let is_logged = async |method: &str, path: &str| {
        let lines = room.lines().await;
        let mut lines = lines.iter();
        lines.any(|it| (&*it.method, &*it.path) == (method, path))
    };
    let mut ann = employed(&room, room.account, "admin").await;
    assert!(is_logged("POST", "/link/{token}").await);
    assert!(is_logged("POST", "/enrol/app").await);
    let quarantine = format!("/a/{}/quarantine", room.account);
    let record = format!("{quarantine}/{}", "07".repeat(16));
    let requests = format!("/a/{}/requests", room.account);
    for (path, url) in [
        ("/a/{account}/quarantine", &quarantine),
        ("/a/{account}/quarantine/{record}", &record),
        ("/a/{account}/requests", &requests),
    ] {
        ann.get(&room, url).await;
        assert!(is_logged("GET", path).await, "{path}");
    }
    let security = format!("/a/{}/settings/security", room.account);
    for (path, url) in [
        ("/a/{account}/quarantine", quarantine.as_str()),
        ("/a/{account}/settings/security", security.as_str()),
        ("/sign-out", "/sign-out"),
    ] {
        ann.post(&room, url, &[]).await;
        assert!(is_logged("POST", path).await, "{path}");
    }
}
