//! B: what an HTTP parser might forgive. Collect says nothing, the other planes a status and nothing more.

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{expect, is_alive, phone_head, reasons};
use crate::harness::{Account, Installation, text};
use crate::hostile::head;
use crate::raw::{
    CONTINUATION, Door, Frame, GOAWAY, HEADERS, Http2, RST_STREAM, SETTINGS, WINDOW_UPDATE, block,
    kinds, rest,
};

const HOST: &str = "Host: localhost\r\n";

fn post(headers: &str, body: &str) -> String {
    format!("POST /1/upload HTTP/1.1\r\n{HOST}{headers}\r\n{body}")
}

/// What api and console say to HTTP/1 that is not sound.
fn told(reason: &str) -> &'static str {
    match reason {
        "http_version" | "target" | "too_many_parameters" => "",
        "head_too_large" | "too_many_headers" => "431 Request Header Fields Too Large",
        "uri_too_long" => "414 URI Too Long",
        _ => "400 Bad Request",
    }
}

/// Whether an answer is that status alone, and the end.
fn is_told(said: &str, status: &str) -> bool {
    match status {
        "" => said.is_empty(),
        _ => said == format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"),
    }
}

/// Sends each request to each plane; each is dropped for its reason.
async fn check(cases: &[(String, &str)]) {
    let room = Installation::new();
    let server = room.serve();
    let mut expected = std::collections::BTreeMap::new();
    for plane in ["collect", "api", "console"] {
        let door = Door::of(&room, &server, plane);
        for (bytes, reason) in cases {
            let start: String = bytes.chars().take(120).collect();
            let status = if plane == "collect" { "" } else { told(reason) };
            let said = text(&door.say(bytes).await);
            assert!(is_told(&said, status), "{plane} {start:?} {said}");
            *expected.entry((*reason).to_owned()).or_insert(0) += 1;
        }
    }
    assert_eq!(reasons(&room), expected);
    assert!(is_alive(&server));
}

#[tokio::test]
async fn b01_smuggled_requests_go_nowhere() {
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let ambiguous = [
        format!(
            "Content-Length: {}\r\nTransfer-Encoding: chunked\r\n",
            smuggled.len() + 5
        ),
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n".to_owned(),
        "Content-Length: 5\r\nContent-Length: 6\r\n".to_owned(),
        "Content-Length: 5\r\nContent-Length: 5\r\n".to_owned(),
    ];
    let encodings = [
        "xchunked",
        "chunked, identity",
        "identity, chunked",
        "gzip, chunked",
        "chunked, chunked",
    ];
    let lengths = ["+5", "5 5", "-5", "0x5", "5,5", "99999999999999999999"];
    let body = format!("0\r\n\r\n{smuggled}");
    let cases: Vec<_> = ambiguous
        .iter()
        .map(|headers| (post(headers, &body), "length_ambiguous"))
        .chain(encodings.map(|it| {
            let headers = format!("Transfer-Encoding: {it}\r\n");
            (post(&headers, &body), "transfer_encoding")
        }))
        .chain(lengths.map(|it| {
            let headers = format!("Content-Length: {it}\r\n");
            (post(&headers, &body), "content_length")
        }))
        .chain([(
            format!("POST / HTTP/1.0\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n{body}"),
            "transfer_encoding",
        )])
        .collect();
    check(&cases).await;
}

#[tokio::test]
async fn b03_what_is_not_exactly_http_goes_nowhere() {
    let get = |rest: &str| format!("GET / HTTP/1.1\r\n{rest}");
    let cases = [
        ("GET / HTTP/1.1\nHost: localhost\n\n".to_owned(), "bare_lf"),
        (get("Host: localhost\nX: y\r\n\r\n"), "bare_lf"),
        (get("Host: localhost\rX: y\r\n\r\n"), "bare_cr"),
        (
            get("Host: localhost\r\nX: a\r\n b\r\n\r\n"),
            "header_folded",
        ),
        (get("Host: localhost\r\nX: a\0b\r\n\r\n"), "header"),
        (get("Host: localhost\r\nX : a\r\n\r\n"), "header"),
        (get("Host: localhost\r\nX\r\n\r\n"), "header"),
        (get("X: a\r\n\r\n"), "host"),
        (get("Host: localhost\r\nHost: localhost\r\n\r\n"), "host"),
        ("GET /\r\n".to_owned(), "http_version"),
        ("GET / HTTP/3.0\r\n\r\n".to_owned(), "http_version"),
        (
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
            "http_version",
        ),
        ("\0\u{1}\u{2}".to_owned(), "request_line"),
    ];
    check(&cases).await;
}

#[tokio::test]
async fn b03_a_head_that_breaks_off_is_counted_however_the_peer_closes() {
    let room = Installation::new();
    let server = room.serve();
    let door = Door::of(&room, &server, "collect");
    let start = b"GET /half HTTP/1.1\r\nHost: loc";
    for says_so in [true, false] {
        let mut tls = door.tls("localhost", b"http/1.1").await;
        tls.write_all(start).await.unwrap();
        tls.flush().await.unwrap();
        if says_so {
            tls.shutdown().await.unwrap();
        } else {
            // No notice of TLS before.
            tls.get_mut().0.shutdown().await.unwrap();
        }
        assert_eq!(text(&rest(&mut tls).await), "");
    }
    // Half a block of headers, which says that it is the last one.
    let half = Frame::get(1, "GET", "/half").bytes();
    let mut tls = door.tls("localhost", b"h2").await;
    tls.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .unwrap();
    tls.write_all(&Frame::new(SETTINGS, 0, 0, []).bytes())
        .await
        .unwrap();
    tls.write_all(&half[..half.len() - 3]).await.unwrap();
    tls.flush().await.unwrap();
    tls.get_mut().0.shutdown().await.unwrap();
    rest(&mut tls).await;
    assert_eq!(reasons(&room), expect([("head_broken", 3)]));
}

#[tokio::test]
async fn b03_an_empty_line_behind_a_request_is_no_head() {
    let room = Installation::new();
    let account = room.account("line");
    let server = room.serve();
    let door = Door::of(&room, &server, "collect");
    let hello = format!("GET /hello?z={} HTTP/1.1\r\n{HOST}\r\n\r\n", account.id);
    let mut tls = door.tls("localhost", b"http/1.1").await;
    tls.write_all(hello.as_bytes()).await.unwrap();
    tls.flush().await.unwrap();
    let mut start = [0; 12];
    tls.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 200");
    tls.shutdown().await.unwrap();
    rest(&mut tls).await;
    assert_eq!(reasons(&room), expect([]));
}

#[tokio::test]
async fn what_was_sound_is_answered_and_nobody_is_told_of_what_is_not_behind_it() {
    let room = Installation::new();
    let account = room.account("before");
    let server = room.serve();
    let page = format!("GET /sign-in HTTP/1.1\r\n{HOST}\r\n");
    let hello = format!("GET /hello?z={} HTTP/1.1\r\n{HOST}\r\n", account.id);
    let body =
        json!({"d":[{"type":"event","identity":"u","evtName":"E","evtData":{}}]}).to_string();
    let length = format!("Content-Length: {}", body.len());
    let upload = head(&account, &length) + &body;
    let cases = [
        ("console", page, "</html>"),
        ("collect", hello, ""),
        ("api", upload.clone(), "\"unprocessed\":[]}"),
    ];
    for (plane, good, end) in cases {
        let door = Door::of(&room, &server, plane);
        for count in [1, 3] {
            let bad = "GET / HTTP/1.1\nHost: localhost\n\n";
            let said = text(&door.say(format!("{}{bad}", good.repeat(count))).await);
            assert_eq!(said.matches("HTTP/1.1 ").count(), count, "{plane} {said}");
            assert_eq!(
                said.matches("HTTP/1.1 200 OK").count(),
                count,
                "{plane} {said}"
            );
            assert!(said.ends_with(end), "{plane} {said}");
        }
    }
    // A fault in a body is told of by its own request.
    let chunks = upload.replace(&length, "Transfer-Encoding: chunked");
    let chunks = chunks.replace(&body, "zz\r\n");
    let door = Door::of(&room, &server, "api");
    let said = text(&door.say(format!("{upload}{upload}{chunks}")).await);
    assert_eq!(said.matches("HTTP/1.1 200 OK").count(), 2, "{said}");
    assert_eq!(room.count(&account, "SELECT count(*) FROM events"), 6);
    assert_eq!(reasons(&room), expect([("bare_lf", 6), ("body_broken", 1)]));
}

#[tokio::test]
async fn a_large_answer_is_whole_and_a_body_that_was_announced_is_answered_whatever_comes_behind() {
    let room = Installation::new();
    let account = room.account("large");
    let server = room.serve();
    let client = server.client(&account);
    let large = json!({"type":"event","identity":"u","ts":1_790_000_000,"evtName":"Large",
                       "evtData":{"t":"x".repeat(6_000_000)}});
    client.upload(vec![large.clone()]).await;
    client.upload(vec![large]).await;
    let question = json!({"event_name":"Large","from":20_260_920,"to":20_260_922});
    let cursor = client.post("/1/events.json", question).await.body["cursor"].clone();
    let door = Door::of(&room, &server, "api");
    let keys = format!(
        "{HOST}X-CleverTap-Account-Id: {}\r\nX-CleverTap-Passcode: {}\r\n",
        account.id, account.passcode
    );
    let page = format!(
        "GET /1/events.json?cursor={} HTTP/1.1\r\n{keys}\r\nGET / HTTP/1.1\n\n",
        cursor.as_str().unwrap()
    );
    // Read only after the server could write no more.
    let said = door.say(page).await;
    assert!(said.starts_with(b"HTTP/1.1 200 OK"));
    let end = b"\"session_props\":{}}]}";
    assert!(
        said.len() > 12_000_000 && said.ends_with(end),
        "{}",
        said.len()
    );
    let body = json!({"d":[{"type":"event","identity":"u","evtName":"E"}]}).to_string();
    let announced = format!(
        "POST /1/upload HTTP/1.1\r\n{keys}Content-Length: {}\r\nExpect: 100-continue\r\n\r\n{body}GET / HTTP/1.1\n",
        body.len()
    );
    let said = text(&door.say(announced).await);
    assert!(said.ends_with("\"unprocessed\":[]}"), "{said}");
    assert_eq!(reasons(&room), expect([("bare_lf", 2)]));
}

#[tokio::test]
async fn nobody_is_asked_for_a_body_for_what_somebody_else_has_sent_before() {
    let room = Installation::new();
    let account = room.account("asked");
    let server = room.serve();
    let door = Door::of(&room, &server, "collect");
    let known = format!("GET /hello?z={} HTTP/1.1\r\n{HOST}\r\n", account.id);
    let stranger = format!(
        "POST /a1?z=TEST-000 HTTP/1.1\r\n{HOST}Content-Length: 2\r\nExpect: 100-continue\r\n\r\n[]"
    );
    let said = text(&door.say(format!("{known}{stranger}")).await);
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    assert_eq!(said.matches("HTTP/1.1").count(), 1, "{said}");
    assert_eq!(reasons(&room).values().sum::<u64>(), 1);
}

#[tokio::test]
async fn b04_chunks_that_are_not_sound_end_the_connection() {
    let room = Installation::new();
    let account = room.account("chunks");
    let server = room.serve();
    let before = server.peak_memory_bytes();
    let bodies = [
        format!("8;{}", "x".repeat(1 << 20)),
        "-8\r\n{\"d\":[]}\r\n0\r\n\r\n".to_owned(),
        "fffffffffffffffff\r\n".to_owned(),
        "8\n{\"d\":[]}\n0\n\n".to_owned(),
        "7\r\n{\"d\":[]}\r\n0\r\n\r\n".to_owned(),
        // No line end after a chunk, and none after the last one but the next request.
        "8\r\n{\"d\":[]}0\r\n\r\n".to_owned(),
        "8\r\n{\"d\":[]}\r\n0\r\n\rGET /x HTTP/1.1\r\n\r\n".to_owned(),
        format!(
            "8\r\n{{\"d\":[]}}\r\n0\r\n{}\r\n",
            "X: y\r\n".repeat(10_000)
        ),
        // No size, and what is no trailer.
        "\r\n{\"d\":[]}\r\n0\r\n\r\n".to_owned(),
        "8\r\n{\"d\":[]}\r\n\r\n0\r\n\r\n".to_owned(),
        "8\r\n{\"d\":[]}\r\n0\r\nX y\r\n\r\n".to_owned(),
        "8\r\n{\"d\":[]}\r\n0\r\nX : y\r\n\r\n".to_owned(),
        "8\r\n{\"d\":[]}\r\n0\r\nX: y\r\n z\r\n\r\n".to_owned(),
        "8\r\n{\"d\":[]}\r\n0\r\n: y\r\n\r\n".to_owned(),
    ];
    let chunked = "Transfer-Encoding: chunked";
    let nobody = Account {
        sdk_token: "wrong".to_owned(),
        ..account.clone()
    };
    // Collect says nothing, whoever it is.
    let heads = [
        ("api", head(&account, chunked), told("chunk")),
        ("collect", phone_head(&account, chunked), ""),
        ("collect", phone_head(&nobody, chunked), ""),
    ];
    for (plane, head, status) in &heads {
        let door = Door::of(&room, &server, plane);
        for body in &bodies {
            let start: String = body.chars().take(40).collect();
            let said = text(&door.say(format!("{head}{body}")).await);
            assert!(is_told(&said, status), "{plane} {start:?} {said}");
        }
    }
    // The same in order is taken, of who is known.
    let good = "8\r\n{\"d\":[]}\r\n0\r\nX: y\r\n\r\n";
    for (plane, head, _) in heads.iter().take(2) {
        let door = Door::of(&room, &server, plane);
        let close = head.replace("Transfer", "Connection: close\r\nTransfer");
        let said = text(&door.say(format!("{close}{good}")).await);
        assert!(said.starts_with("HTTP/1.1 200"), "{plane} {said}");
    }
    let count = heads.len() * bodies.len();
    assert_eq!(reasons(&room), expect([("body_broken", count as u64)]));
    assert!(server.peak_memory_bytes().saturating_sub(before) < 64 << 20);
}

#[tokio::test]
async fn b06_floods_of_headers_go_nowhere() {
    let flood = |count: usize| "X: y\r\n".repeat(count);
    let cases = [
        (
            format!("GET / HTTP/1.1\r\n{HOST}{}\r\n", flood(5_000)),
            "too_many_headers",
        ),
        (
            format!("GET / HTTP/1.1\r\n{HOST}X: {}\r\n\r\n", "y".repeat(1 << 20)),
            "head_too_large",
        ),
        (
            format!(
                "GET / HTTP/1.1\r\n{HOST}Cookie: {}\r\n\r\n",
                "name=value; ".repeat(11_000)
            ),
            "head_too_large",
        ),
    ];
    check(&cases).await;
}

#[tokio::test]
async fn b06_floods_of_headers_are_not_answered_by_http2() {
    let room = Installation::new();
    let server = room.serve();
    let door = Door::of(&room, &server, "collect");
    let fields = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", "/"),
    ];
    let large = "v".repeat(15_000);
    // 200 headers, within every size.
    let mut many = fields.to_vec();
    many.extend([("x", "y"); 200]);
    let mut http2 = Http2::open(&door).await;
    let frames = http2.ask(&[Frame::new(HEADERS, 5, 1, block(&many))]).await;
    assert!(!kinds(&frames).contains(&HEADERS), "{frames:?}");

    // A head of 150,000 bytes, and two that unpack to 160,000 and 800,000 from a table.
    let piece = block(&[("x", &large)]);
    let mut frames = vec![Frame::new(HEADERS, 1, 1, block(&fields))];
    frames.extend((0..10).map(|_| Frame::new(CONTINUATION, 0, 1, piece.clone())));
    let mut indexed = block(&fields);
    indexed.extend([0x40, 1, b'x', 127, 0x81, 0x1e]);
    indexed.extend(vec![b'v'; 127 + 1 + 0x1e * 128]);
    let bomb = |times: usize| {
        let block = [indexed.as_slice(), &vec![0xbe; times]].concat();
        vec![Frame::new(HEADERS, 5, 1, block)]
    };
    for frames in [frames, bomb(40), bomb(200)] {
        let mut http2 = Http2::open(&door).await;
        http2.send(&frames).await;
        let back = http2.rest().await;
        assert!(!kinds(&back).contains(&HEADERS), "{back:?}");
    }
    // Where the library counts first, it calls it a flood.
    let dropped = reasons(&room);
    let of = |reason: &str| dropped.get(reason).copied().unwrap_or(0);
    assert_eq!(of("head_too_large") + of("http2_flood"), 3, "{dropped:?}");
    assert_eq!(of("too_many_headers"), 1, "{dropped:?}");
}

#[tokio::test]
async fn b07_long_urls_and_floods_of_parameters_go_nowhere() {
    let parameters = vec!["a=1"; 10_000].join("&");
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\n{HOST}\r\n");
    let cases = [
        (get(&format!("/{}", "a".repeat(65_536))), "uri_too_long"),
        (
            get(&format!("/1/upload?{parameters}")),
            "too_many_parameters",
        ),
    ];
    check(&cases).await;
}

#[tokio::test]
async fn b13_text_that_is_not_text_is_refused_or_kept_exactly() {
    let room = Installation::new();
    let account = room.account("text");
    let server = room.serve();
    let client = server.client(&account);
    let identities = [
        (r"a\u0000b", true),
        (r"\ud800", false),
        (r"\ud83d\ude00", true),
        ("\u{feff}x", true),
        ("é", true),
        (r"a\/b", true),
    ];
    for (identity, is_kept) in identities {
        let record = format!(r#"{{"type":"event","identity":"{identity}","evtName":"E"}}"#);
        let answer = client
            .post_text("/1/upload", format!(r#"{{"d":[{record}]}}"#))
            .await;
        assert!(matches!(answer.status, 200 | 400), "{identity}: {answer:?}");
        let is_success = answer.body["status"] == "success";
        assert_eq!(is_success, is_kept, "{identity}: {answer:?}");
        if is_kept {
            let name: String = serde_json::from_str(&format!("\"{identity}\"")).unwrap();
            let encoded: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
            let shown = client
                .get(&format!("/1/profile.json?identity={encoded}"))
                .await;
            assert_eq!(shown.body["record"]["identity"], json!(name), "{shown:?}");
        }
    }
    // What is no UTF-8 is refused with all that came with it: a stray byte, an overlong form, half of a
    // surrogate pair, and the start of a character.
    let start = r#"{"d":[{"type":"event","identity":"good","evtName":"E"},
        {"type":"event","evtName":"E","identity":"a"#;
    for bytes in [&b"\x80"[..], b"\xc0\xaf", b"\xed\xa0\x80", b"\xe2\x82"] {
        let body = [start.as_bytes(), bytes, br#""}]}"#.as_slice()].concat();
        let answer = client.post_text("/1/upload", body).await;
        assert_eq!(answer.status, 400, "{bytes:x?}: {answer:?}");
    }
    assert_eq!(room.count(&account, "SELECT count(*) FROM events"), 5);
}

#[tokio::test]
async fn b17_http2_that_is_not_sound_is_not_answered() {
    let room = Installation::new();
    let server = room.serve();
    let head = |fields: &[(&str, &str)]| Frame::new(HEADERS, 5, 1, block(fields));
    let (method, scheme, path) = ((":method", "GET"), (":scheme", "https"), (":path", "/"));
    let cases = [
        head(&[method, scheme]),
        head(&[method, scheme, path, ("X-Upper", "y")]),
        head(&[method, scheme, path, ("connection", "close")]),
        head(&[method, scheme, path, ("transfer-encoding", "chunked")]),
        head(&[method, method, scheme, path]),
        Frame::new(HEADERS, 5, 2, block(&[method, scheme, path])),
        Frame::new(0, 1, 5, *b"data"),
        Frame::new(HEADERS, 5, 1, [0xff; 8]),
        Frame::new(RST_STREAM, 0, 0, [0; 4]),
        Frame::new(WINDOW_UPDATE, 0, 0, [0; 4]),
    ];
    for plane in ["collect", "api", "console"] {
        let door = Door::of(&room, &server, plane);
        for frame in &cases {
            let mut http2 = Http2::open(&door).await;
            http2.send(std::slice::from_ref(frame)).await;
            http2.send(&[Frame::new(GOAWAY, 0, 0, [0; 8])]).await;
            let back = http2.rest().await;
            assert!(
                !kinds(&back).contains(&HEADERS),
                "{plane} {frame:?} {back:?}"
            );
        }
    }
    let dropped = reasons(&room);
    let count: u64 = dropped.values().sum();
    assert_eq!(count, 3 * cases.len() as u64, "{dropped:?}");
}
