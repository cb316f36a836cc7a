//! C: the short list of URLs, and the log of everything else.

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::TcpListener;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{event, expect, groups, is_alive, metric, reasons};
use crate::canary::assert_none;
use crate::harness::{Installation, text};
use crate::hostile;
use crate::raw::{
    DATA, Door, END_HEADERS, END_STREAM, Frame, HEADERS, Http2, RST_STREAM, block, kinds, rest,
};

#[tokio::test]
async fn c01_a_thousand_unknown_urls_are_a_thousand_drops_and_not_one_byte() {
    let room = Installation::new();
    let server = room.serve();
    let door = Door::of(&room, &server, "collect");
    let paths: Vec<String> = (0..1_000).map(|number| format!("/word-{number}")).collect();
    let (some, others) = paths.split_at(100);
    for path in some {
        let said = door
            .say(format!(
                "GET {path}?q=1 HTTP/1.1\r\nHost: localhost\r\n\r\n"
            ))
            .await;
        assert_eq!(text(&said), "", "{path}");
    }
    let mut http2 = Http2::open(&door).await;
    let requests: Vec<Frame> = (0..)
        .zip(others)
        .map(|(number, path)| Frame::get(number * 2 + 1, "GET", &format!("{path}?q=1")))
        .collect();
    let frames = http2.ask(&requests).await;
    assert!(!kinds(&frames).contains(&HEADERS));
    let resets = frames.iter().filter(|it| it.kind == RST_STREAM).count();
    assert_eq!(resets, 900);

    let listed = groups(&room);
    assert_eq!(listed.len(), 1_000);
    let seen: BTreeSet<&str> = listed
        .iter()
        .map(|it| it["path"].as_str().unwrap())
        .collect();
    assert_eq!(seen, paths.iter().map(String::as_str).collect());
    for group in &listed {
        assert_eq!(
            (&group["reason"], &group["count"]),
            (&"unknown_url".into(), &1.into())
        );
        assert!(group["first_seen"].is_string() && group["last_seen"] == group["first_seen"]);
    }
    assert_eq!(
        metric(&server, "strongroom_drops_total", &["collect"]),
        1_000.0
    );
    // They are there after any crash.
    server.kill();
    assert_eq!(reasons(&room), expect([("unknown_url", 1_000)]));
}

#[tokio::test]
async fn c01_whoever_asks_and_ends_in_one_breath_is_dropped_or_answered_like_others() {
    const TIMES: u32 = 20;
    let room = Installation::new();
    let account = room.account("hasty");
    let server = room.serve();
    let upload = json!({"d": [event("hasty")]}).to_string();
    let length = format!("Content-Length: {}", upload.len());
    let upload_1 = hostile::head(&account, &length) + &upload;
    let fields = [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", "/1/upload"),
        ("x-clevertap-account-id", &account.id),
        ("x-clevertap-passcode", &account.passcode),
    ];
    let upload_2 = [
        Frame::new(HEADERS, END_HEADERS, 1, block(&fields)),
        Frame::new(DATA, END_STREAM, 1, upload),
    ];
    for plane in ["collect", "api"] {
        let door = Door::of(&room, &server, plane);
        for _ in 0..TIMES {
            // The end comes with the request, by TLS and by TCP.
            let mut tls = door.tls("localhost", b"http/1.1").await;
            let unknown = b"GET /scan HTTP/1.1\r\nHost: localhost\r\n\r\n";
            tls.write_all(unknown).await.unwrap();
            tls.shutdown().await.unwrap();
            assert_eq!(text(&rest(&mut tls).await), "", "{plane}");
            let mut http2 = Http2::open(&door).await;
            assert!(http2.send(&[Frame::get(1, "GET", "/scan")]).await);
            let mut tls = http2.into_stream();
            tls.shutdown().await.unwrap();
            rest(&mut tls).await;
        }
    }
    let door = Door::of(&room, &server, "api");
    for _ in 0..TIMES {
        let mut tls = door.tls("localhost", b"http/1.1").await;
        tls.write_all(upload_1.as_bytes()).await.unwrap();
        tls.shutdown().await.unwrap();
        let said = text(&rest(&mut tls).await);
        assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
        let mut http2 = Http2::open(&door).await;
        assert!(http2.send(&upload_2).await);
        let mut tls = http2.into_stream();
        tls.shutdown().await.unwrap();
        rest(&mut tls).await;
    }
    let scans = u64::from(4 * TIMES);
    assert_eq!(reasons(&room), expect([("unknown_url", scans)]));
    let kept = room.count(&account, "SELECT count(*) FROM events");
    assert_eq!(kept, u64::from(2 * TIMES));
}

#[tokio::test]
async fn c02_detours_to_known_urls_and_files_are_dropped() {
    let paths = [
        "/../",
        "/../../etc/passwd",
        "/%2e%2e/",
        "/%252e%252e/",
        "/..;/",
        "//1/upload",
        "/1/upload/",
        "/1/UPLOAD",
        "/1/upload%00",
        "/1/upload;x",
        "/1\\upload",
        "/./1/upload",
        "/1/%75pload",
        "/a/../1/upload",
        "/1/upload%2f",
        "/A",
        "/a/",
        "//a",
        "/a%00",
    ];
    let room = Installation::new();
    let server = room.serve();
    for plane in ["collect", "api"] {
        let door = Door::of(&room, &server, plane);
        for path in paths {
            let request =
                format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
            assert_eq!(text(&door.say(request).await), "", "{plane} {path}");
        }
    }
    let count: u64 = reasons(&room).values().sum();
    assert_eq!(count, 2 * paths.len() as u64);
}

#[tokio::test]
async fn c03_odd_methods_and_proxy_requests_are_dropped() {
    let lines = [
        "TRACE / HTTP/1.1",
        "CONNECT internal:80 HTTP/1.1",
        "PUT / HTTP/1.1",
        "OPTIONS / HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "BREW /pot HTTP/1.1",
        "GET http://169.254.169.254/ HTTP/1.1",
        "GET /",
        "DELETE /1/upload HTTP/1.1",
        "GET http://localhost/1/upload HTTP/1.1",
    ];
    let room = Installation::new();
    let account = room.account("proxied");
    let server = room.serve();
    // Somebody to whom a proxy would connect.
    let inside = TcpListener::bind("127.0.0.1:0").unwrap();
    inside.set_nonblocking(true).unwrap();
    let address = inside.local_addr().unwrap();
    let asked = [
        format!("CONNECT {address} HTTP/1.1"),
        format!("GET http://{address}/ HTTP/1.1"),
        // Not even what would be answered without its scheme and host.
        format!("GET https://localhost/hello?z={} HTTP/1.1", account.id),
    ];
    let lines = lines.into_iter().chain(asked.iter().map(String::as_str));
    for plane in ["collect", "api"] {
        let door = Door::of(&room, &server, plane);
        for line in lines.clone() {
            let said = door.say(format!("{line}\r\nHost: localhost\r\n\r\n")).await;
            assert_eq!(text(&said), "", "{plane} {line}");
        }
    }
    // The console says that it does not take the method, and nothing of what was asked.
    let door = Door::of(&room, &server, "console");
    let is_dropped = |line: &str| {
        let is_proxying = line.starts_with("CONNECT ") || line.contains("://");
        is_proxying || !line.ends_with(" HTTP/1.1")
    };
    for line in lines.clone() {
        let request = format!("{line}\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let said = text(&door.say(request).await);
        if is_dropped(line) {
            assert_eq!(said, "", "{line}");
        } else {
            let is_refused = said.starts_with("HTTP/1.1 405 ") && said.ends_with("\r\n\r\n");
            assert!(is_refused, "{line} {said}");
        }
    }
    let count: u64 = reasons(&room).values().sum();
    let by_console = lines.clone().filter(|it| is_dropped(it)).count();
    assert_eq!(count, (2 * lines.count() + by_console) as u64);
    let connected = inside.accept().map_err(|error| error.kind());
    assert_eq!(connected.unwrap_err(), ErrorKind::WouldBlock);
    assert!(is_alive(&server));
}

#[tokio::test]
async fn c05_what_is_logged_stays_one_object_a_line() {
    let room = Installation::new();
    let server = room.serve();
    let door = Door::of(&room, &server, "collect");
    let paths = [
        "/a%0d%0aGET%20/b",
        "/\"},{\"",
        "/%1b[2J",
        "/\u{2028}",
        "/\u{202e}txt",
        "/'<script>",
    ];
    for path in paths {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: \u{1b}[2J\"}},{{\"\r\n\r\n"
        );
        assert_eq!(text(&door.say(request).await), "");
    }
    let mut http2 = Http2::open(&door).await;
    let requests: Vec<_> = (0..)
        .zip(paths)
        .map(|(number, path)| Frame::get(number * 2 + 1, "GET", path))
        .collect();
    let frames = http2.ask(&requests).await;
    assert!(!kinds(&frames).contains(&HEADERS));
    let listed = groups(&room);
    let count: u64 = listed.iter().filter_map(|it| it["count"].as_u64()).sum();
    assert_eq!(count, 2 * paths.len() as u64, "{listed:?}");
    for group in &listed {
        let path = group["path"].as_str().unwrap();
        assert!(path.bytes().all(|byte| byte.is_ascii_graphic()), "{path:?}");
    }
    let output = room.run(&["drops", "list"]);
    let printed = text(&output.stdout);
    assert!(
        !printed.chars().any(|it| it.is_control() && it != '\n'),
        "{printed:?}"
    );
    let search = room.run(&["requests", "search", "--json"]);
    let found: Vec<Value> = serde_json::from_slice(&search.stdout).unwrap();
    assert_eq!(found.len(), 2 * paths.len());
}

#[tokio::test]
async fn c06_no_secret_reaches_the_log_or_the_disk() {
    let canary = "canary-7d1f0e5a";
    let room = Installation::new();
    let account = room.account("secrets");
    let server = room.serve();
    // Of calls that are served neither the person is there nor the passcode.
    let client = server.client(&account);
    let event = json!({"type":"event","identity":canary,"evtName":"E"});
    client.upload(vec![event]).await;
    let shown = client
        .get(&format!("/1/profile.json?identity={canary}"))
        .await;
    assert_eq!(shown.body["record"]["identity"], canary, "{shown:?}");
    let secrets = [canary, account.passcode.as_str()];
    for plane in ["collect", "api", "console"] {
        let door = Door::of(&room, &server, plane);
        let requests = [
            format!("GET /reset?token={canary} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            format!(
                "POST /saml HTTP/1.1\r\nHost: localhost\r\nCookie: session={canary}\r\n\
                 Authorization: Bearer {canary}\r\nX-CleverTap-Account-Id: {}\r\n\
                 X-CleverTap-Passcode: {canary}\r\nContent-Length: 28\r\nConnection: close\r\n\r\n\
                 SAMLResponse={canary}",
                account.id
            ),
            format!("GET /x HTTP/1.1\r\nHost: localhost\r\nX-Secret: {canary}\n\r\n"),
            format!("GET /x#{canary} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            format!("GET /x;session={canary} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            format!("GET /x%3Ftoken%3D{canary} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            format!("GET /x%253Ftoken%253D{canary} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            format!("GET /link/{canary}/ HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            format!("GET /link/{canary} HTTP/1.1\r\nHost: localhost\r\nX: y\n\r\n"),
            format!("GET /@{canary}@localhost HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            format!("GET http://u:{canary}@localhost/x HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            format!("GET http://u:{canary}@localhost/x HTTP/1.1\r\nHost: localhost\n\r\n"),
        ];
        for request in requests {
            let mut tls = door.tls("localhost", b"http/1.1").await;
            tls.write_all(request.as_bytes()).await.unwrap();
            if plane == "console" {
                tls.shutdown().await.unwrap();
            }
            let said = text(&rest(&mut tls).await);
            assert!(!said.contains(canary), "{said}");
        }
    }
    let listed = room.run(&["drops", "list", "--json"]);
    let found = room.run(&["requests", "search", "--json"]);
    for output in [listed, found] {
        assert!(output.status.success(), "{}", text(&output.stderr));
        let printed = text(&output.stdout);
        assert!(!secrets.iter().any(|it| printed.contains(*it)), "{printed}");
    }
    assert!(server.stop().success());
    assert_none(&room, &secrets, "after the end");
}

/// A million are counted in `crates/collect/src/tests/log.rs`.
#[tokio::test]
async fn c07_a_flood_of_garbage_is_counted_exactly_and_kept_small() {
    const CONNECTIONS: u32 = 3;
    const URLS: u32 = 10_000;
    const UNSOUND: u32 = 100;
    const NOT_TLS: u32 = 500;
    let room = Installation::new();
    let account = room.account("flood");
    let server = room.serve();
    let client = server.client(&account);
    let door = &Door::of(&room, &server, "collect");
    let urls = |connection: u32| async move {
        let request = |number: u32| {
            let path = format!("/garbage/{connection}/{number}");
            Frame::get(number * 2 + 1, "GET", &path)
        };
        let requests: Vec<Frame> = (0..URLS).map(request).collect();
        let frames = Http2::open(door).await.ask(&requests).await;
        assert!(!kinds(&frames).contains(&HEADERS));
    };
    let unsound = async {
        for _ in 0..UNSOUND {
            assert_eq!(door.say("GET / HTTP/1.1\nHost: x\n\n").await, b"");
        }
    };
    let not_tls = async {
        for _ in 0..NOT_TLS {
            let mut tcp = door.tcp().await;
            tcp.write_all(b"GET /garbage HTTP/1.1\r\n").await.unwrap();
            let mut all = Vec::new();
            drop(tcp.read_to_end(&mut all).await);
            assert_eq!(all, b"");
        }
    };
    // Good clients are served meanwhile.
    let uploads = async {
        for _ in 0..20 {
            let event = json!({"type":"event","identity":"u","evtName":"E"});
            client.upload(vec![event]).await;
        }
    };
    let urls = futures::future::join_all((0..CONNECTIONS).map(urls));
    tokio::join!(urls, unsound, not_tls, uploads);
    assert_eq!(
        metric(&server, "strongroom_drops_total", &["collect"]),
        f64::from(CONNECTIONS * URLS + UNSOUND + NOT_TLS)
    );
    let expected = expect([
        ("bare_lf", UNSOUND.into()),
        ("not_tls", NOT_TLS.into()),
        ("unknown_url", (CONNECTIONS * URLS).into()),
    ]);
    assert_eq!(reasons(&room), expected);
    let rows = room.json(&[
        "query",
        "--account",
        "0",
        "SELECT count(*) AS n FROM requests",
    ]);
    assert!(rows[0]["n"].as_u64().unwrap() < 6_000, "{rows}");
    let others = groups(&room).iter().any(|it| it["path"] == "(other)");
    assert!(others, "paths beyond the limit are one group");
    assert!(server.stop().success());
    assert_eq!(reasons(&room), expected);
    assert_eq!(room.count(&account, "SELECT count(*) FROM events"), 20);
}
