//! B: what costs the server more than it costs the attacker.

use serde_json::json;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;

use super::{event, expect, is_alive, reasons};
use crate::client::Client;
use crate::harness::{Installation, json as parsed};
use crate::hostile::head;
use crate::raw::{
    DATA, Door, Frame, HEADERS, Http2, PING, RST_STREAM, SETTINGS, WINDOW_UPDATE, block, configure,
    kinds, rest,
};

/// A thousand at a time are measured by `cargo xtask bench attack`.
#[tokio::test]
async fn b05_slow_heads_and_bodies_end_and_good_clients_are_served_meanwhile() {
    let room = Installation::new();
    for key in [
        "handshake_timeout_ms",
        "head_timeout_ms",
        "stall_timeout_ms",
    ] {
        configure(&room, key, 400);
    }
    let account = room.account("slow");
    let server = room.serve();
    let client = server.client(&account);
    let door = Door::of(&room, &server, "api");
    let head = head(&account, "Content-Length: 1000");
    // Each begins and then says nothing: a handshake, a head, a body, a block of headers.
    let mut slow = Vec::new();
    let mut waiting = Vec::new();
    for _ in 0..5 {
        waiting.push(door.tcp().await);
        for start in [
            "GET / HT",
            "GET / HTTP/1.1\r\nHost: localhost\r\nX: y\r\n",
            &head,
        ] {
            let mut tls = door.tls("localhost", b"http/1.1").await;
            tls.write_all(start.as_bytes()).await.unwrap();
            slow.push(tls);
        }
    }
    let mut http2 = Http2::open(&door).await;
    assert!(http2.send(&[Frame::new(HEADERS, 0, 1, *b"\x82")]).await);
    client.upload(vec![event("meanwhile")]).await;
    for mut tls in slow {
        assert_eq!(rest(&mut tls).await, b"");
    }
    assert!(!kinds(&http2.rest().await).contains(&HEADERS));
    drop(waiting);
    let dropped = reasons(&room);
    assert_eq!(dropped["head_timeout"], 11, "{dropped:?}");
    assert_eq!(dropped["body_too_slow"], 5, "{dropped:?}");
    assert_eq!(room.count(&account, "SELECT count(*) FROM events"), 1);
}

#[tokio::test]
async fn b05_a_connection_without_requests_ends() {
    let room = Installation::new();
    for key in ["head_timeout_ms", "stall_timeout_ms"] {
        configure(&room, key, 300);
    }
    let server = room.serve();
    let door = Door::of(&room, &server, "collect");
    let mut http1 = door.tls("localhost", b"http/1.1").await;
    let mut http2 = Http2::open(&door).await;
    assert_eq!(rest(&mut http1).await, b"");
    assert!(!kinds(&http2.rest().await).contains(&HEADERS));
    // Nothing was asked, so nothing was dropped.
    assert_eq!(reasons(&room), expect([]));
}

#[tokio::test]
async fn b05_whoever_takes_no_answer_is_cut_off() {
    let room = Installation::new();
    configure(&room, "stall_timeout_ms", 400);
    let account = room.account("slow");
    let server = room.serve();
    let door = Door::of(&room, &server, "console");
    // Asks for more than the system's buffers hold, and reads nothing.
    let padding = "y".repeat(4_000);
    let page = format!("GET /sign-in HTTP/1.1\r\nHost: localhost\r\nX: {padding}\r\n\r\n");
    let pages = page.repeat(16);
    let mut http1 = door.tls("localhost", b"http/1.1").await;
    let cut_off = async { while http1.write_all(pages.as_bytes()).await.is_ok() {} };
    let cut_off = tokio::time::timeout(Duration::from_secs(60), cut_off).await;
    cut_off.expect("the connection ends");
    // Has a window of no bytes, and is cut off before it is asked whether it is there.
    let mut http2 = Http2::open(&door).await;
    let window = Frame::new(SETTINGS, 0, 0, [0, 4, 0, 0, 0, 0]);
    let page = Frame::get(1, "GET", "/sign-in");
    assert!(http2.send(&[window, page]).await);
    let seen = kinds(&http2.rest().await);
    assert!(seen.contains(&HEADERS) && !seen.contains(&DATA), "{seen:?}");
    assert!(!seen.contains(&PING), "{seen:?}");
    server.client(&account).upload(vec![event("after")]).await;
    assert!(is_alive(&server));
}

#[tokio::test]
async fn b05_running_out_of_files_is_survived() {
    let room = Installation::new();
    let account = room.account("files");
    let server = room.serve_by(&["prlimit", "--nofile=160:160"]).unwrap();
    let client = server.client(&account);
    client.upload(vec![event("before")]).await;
    {
        let mut held = Vec::new();
        for plane in ["collect", "api", "console"] {
            for _ in 0..100 {
                let connect = tokio::net::TcpStream::connect(server.address(plane));
                held.push(tokio::time::timeout(Duration::from_secs(20), connect).await);
            }
        }
        assert!(is_alive(&server));
    }
    client.upload(vec![event("after")]).await;
    assert_eq!(room.count(&account, "SELECT count(*) FROM events"), 2);
    let status = room.json(&["volume", "status"]);
    assert_eq!(status["healthy"], 6, "{status}");
}

#[tokio::test]
async fn b08_an_answer_that_comes_early_is_not_taken_back() {
    let room = Installation::new();
    let account = room.account("early");
    let server = room.serve();
    let mut http2 = Http2::open(&Door::of(&room, &server, "api")).await;
    let fields = [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", "/1/upload"),
        ("content-encoding", "br"),
        ("x-clevertap-account-id", &account.id),
        ("x-clevertap-passcode", &account.passcode),
    ];
    let head = Frame::new(HEADERS, 4, 1, block(&fields));
    let piece = |flags: u8| Frame::new(DATA, flags, 1, vec![b' '; 10_000]);
    assert!(http2.send(&[head, piece(0)]).await);
    // Who is still sending is answered, and its stream goes on.
    let mut seen = Vec::new();
    while !seen.contains(&DATA) {
        let frame = http2.next().await.unwrap();
        assert!(frame.stream == 0 || frame.flags & 1 == 0, "{frame:?}");
        seen.push(frame.kind);
    }
    assert!(seen.contains(&HEADERS) && !seen.contains(&RST_STREAM));
    assert!(http2.send(&[piece(0), piece(1)]).await);
    let end = loop {
        let frame = http2.next().await.unwrap();
        if frame.stream == 1 && frame.kind != WINDOW_UPDATE {
            break frame;
        }
    };
    assert_eq!((end.kind, end.flags & 1), (DATA, 1), "{end:?}");
}

#[tokio::test]
async fn b21_expensive_questions_end_soon_and_keep_no_other_account_waiting() {
    let room = Installation::new();
    let account = room.account("expensive");
    let beside = room.account("beside");
    let server = room.serve();
    let client = server.client(&account);
    let other = server.client(&beside);
    client.upload(vec![event("u")]).await;
    let filters: Vec<_> = (0..10_000)
        .map(
            |number| json!({"name": format!("p{number}"), "operator": "equals", "value": "(a+)+$"}),
        )
        .collect();
    let questions = [
        json!({"event_name":"E","from":19_700_101,"to":99_991_231}),
        json!({"event_name":"E","from":20_260_101,"to":20_261_231,"event_properties":filters}),
        json!({"event_name":"E","from":20_260_101,"to":20_261_231,
               "event_properties":[{"name":"p","operator":"contains","value":"(a+)+$"}]}),
    ];
    for question in &questions {
        let asked = client.post("/1/events.json", question.clone());
        let answer = tokio::time::timeout(Duration::from_secs(10), asked).await;
        let answer = answer.expect("in time");
        assert!(matches!(answer.status, 200 | 400), "{answer:?}");
    }
    // Each of them many times at once, which is more than an account may have under way.
    let flood = questions.iter().flat_map(|it| vec![it.to_string(); 8]);
    let flood = flood.map(|question| {
        let asked = client.request("POST", "/1/events.json").body(question);
        async move {
            let answer = Client::send(asked).await.unwrap();
            assert!(matches!(answer.status, 200 | 400 | 429), "{answer:?}");
        }
    });
    let served = async {
        for number in 0..10 {
            let identity = format!("u{number}");
            other.upload(vec![event(&identity)]).await;
            let path = format!("/1/profile.json?identity={identity}");
            let shown = other.get(&path).await;
            assert_eq!(shown.body["record"]["identity"], identity, "{shown:?}");
        }
    };
    tokio::join!(futures::future::join_all(flood), served);
    let clauses = vec!["1=1"; 10_000].join(" OR ");
    let output = room.run(&[
        "query",
        "--account",
        &account.id,
        "--json",
        &format!("SELECT count(*) FROM events WHERE {clauses}"),
    ]);
    assert!(!output.status.success());
    let sql = "SELECT count(*) AS n FROM events WHERE ts < to_timestamp_millis(253370764800000)";
    let rows = parsed(&room.run(&["query", "--account", &account.id, "--json", sql]));
    assert_eq!(rows[0]["n"], 1);
}
