//! B: streams of HTTP/2 that are not sound, each one drop, and no word of the library's own.

use serde_json::json;
use std::collections::BTreeMap;

use super::{event, expect, reasons};
use crate::harness::{Account, Installation};
use crate::raw::{
    DATA, Door, Frame, HEADERS, Http2, PING, RST_STREAM, SETTINGS, WHOLE, WINDOW_UPDATE, block,
    configure, kinds,
};

/// The head of an upload, with more headers; its body is still to come.
pub(super) fn upload(account: &Account, more: &[(&str, &str)]) -> Frame {
    let fields = [&head(account, "POST", "/1/upload")[..], more].concat();
    Frame::new(HEADERS, 4, 1, block(&fields))
}

fn head<'a>(account: &'a Account, method: &'a str, path: &'a str) -> [(&'a str, &'a str); 6] {
    [
        (":method", method),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", path),
        ("x-clevertap-account-id", &account.id),
        ("x-clevertap-passcode", &account.passcode),
    ]
}

#[tokio::test]
async fn b06_an_answer_that_nobody_takes_does_not_let_the_library_speak() {
    let room = Installation::new();
    let server = room.serve();
    let door = Door::of(&room, &server, "collect");
    let (scheme, host) = ((":scheme", "https"), (":authority", "localhost"));
    let preflight = block(&[
        (":method", "OPTIONS"),
        scheme,
        host,
        (":path", "/a"),
        ("origin", "https://shop.example"),
        ("access-control-request-method", "GET"),
    ]);
    // A head that unpacks to 160,000 bytes, from a table.
    let mut bomb = block(&[(":method", "GET"), scheme, host, (":path", "/")]);
    bomb.extend([0x40, 1, b'x', 127, 0x81, 0x1e]);
    bomb.extend(vec![b'v'; 127 + 1 + 0x1e * 128]);
    bomb.extend(vec![0xbe; 40]);
    let mut http2 = Http2::open(&door).await;
    let given_up = [
        Frame::new(HEADERS, WHOLE, 1, preflight),
        Frame::new(RST_STREAM, 0, 1, [0, 0, 0, 8]),
    ];
    assert!(http2.send(&given_up).await);
    // What comes behind it has been refused, so it has been answered.
    http2.ask(&[Frame::get(3, "GET", "/x")]).await;
    http2.send(&[Frame::new(HEADERS, WHOLE, 5, bomb)]).await;
    let back = http2.rest().await;
    assert!(!kinds(&back).contains(&HEADERS), "{back:?}");
    assert_eq!(
        reasons(&room),
        expect([("head_too_large", 1), ("unknown_url", 1)])
    );
}

/// The plane bears 4,096 requests beside the first of each connection, and half of that of one peer.
#[tokio::test]
async fn b05_of_answers_that_nobody_takes_a_peer_has_only_so_many() {
    const CONNECTIONS: usize = 20;
    const STREAMS: usize = 128;
    const OF_ONE_PEER: usize = 2_048;
    let room = Installation::new();
    let account = room.account("crowd");
    configure(&room, "stall_timeout_ms", 120_000);
    let server = room.serve();
    let door = Door::of(&room, &server, "api");
    let no_window = Frame::new(SETTINGS, 0, 0, [0, 4, 0, 0, 0, 0]);
    let requests = (0..STREAMS as u32).map(|it| Frame::get(it * 2 + 1, "GET", "/1/now.json"));
    let ping = Frame::new(PING, 0, 0, [0; 8]);
    let requests: Vec<Frame> = [no_window]
        .into_iter()
        .chain(requests)
        .chain([ping])
        .collect();
    let (mut held, mut answered, mut refused) = (Vec::new(), 0, 0);
    for _ in 0..CONNECTIONS {
        let mut http2 = Http2::open(&door).await;
        assert!(http2.send(&requests).await);
        let (mut left, mut is_read) = (STREAMS, false);
        while left > 0 || !is_read {
            let frame = http2.next().await.expect("the connection goes on");
            match (frame.kind, &frame.payload[..]) {
                (HEADERS, _) => answered += 1,
                // REFUSED_STREAM: one after the other, each before anything else is read.
                (RST_STREAM, [0, 0, 0, 7]) => {
                    assert!(!is_read, "refusals are held");
                    refused += 1;
                }
                (RST_STREAM | DATA, other) => panic!("{} {other:?}", frame.kind),
                (PING, _) => {
                    is_read = true;
                    continue;
                }
                _ => continue,
            }
            left -= 1;
        }
        held.push(http2);
    }
    let most = CONNECTIONS + OF_ONE_PEER;
    assert_eq!([answered, refused], [most, CONNECTIONS * STREAMS - most]);
    // One request at a time is served all the same.
    server.client(&account).upload(vec![event("u")]).await;
    let counted = expect([("http2_too_many_streams", refused as u64)]);
    assert_eq!(reasons(&room), counted);
    // Until here nobody has gone away.
    drop(held);
}

/// So nobody has more large answers lying with us than calls that may be in progress.
#[tokio::test]
async fn b05_a_large_answer_that_is_not_taken_is_a_call_in_progress() {
    const CALLS: u32 = 3;
    const BYTES: u32 = 200_000;
    let room = Installation::new();
    let account = room.account("not-taken");
    let server = room.serve();
    let client = server.client(&account);
    let large = json!({"type":"event","identity":"u","ts":1_790_000_000,"evtName":"Large",
                       "evtData":{"t":"x".repeat(BYTES as usize)}});
    client.upload(vec![large]).await;
    let question = json!({"event_name":"Large","from":20_260_920,"to":20_260_922});
    let cursor = client.post("/1/events.json", question).await.body["cursor"].clone();
    let path = format!("/1/events.json?cursor={}", cursor.as_str().unwrap());

    let mut http2 = Http2::open(&Door::of(&room, &server, "api")).await;
    let fields = block(&head(&account, "GET", &path));
    let call = |number: u32| Frame::new(HEADERS, WHOLE, 2 * number + 1, fields.clone());
    let room_for = |bytes: u32| [[0, 4].to_vec(), bytes.to_be_bytes().to_vec()].concat();
    let whole = (8 * BYTES).to_be_bytes();
    let opening = [
        Frame::new(SETTINGS, 0, 0, room_for(0)),
        Frame::new(WINDOW_UPDATE, 0, 0, whole),
    ];
    assert!(http2.send(&opening).await);
    // One after the other: each is in progress when the next one comes.
    for number in 0..=CALLS {
        assert!(http2.send(&[call(number)]).await);
        while http2.next().await.unwrap().kind != HEADERS {}
    }
    let window = Frame::new(SETTINGS, 0, 0, room_for(2 * BYTES));
    assert!(http2.send(&[window]).await);
    let (mut sizes, mut left) = (BTreeMap::new(), CALLS + 1);
    while left > 0 {
        let frame = http2.next().await.expect("the connection goes on");
        if frame.kind == DATA {
            *sizes.entry(frame.stream).or_insert(0) += frame.payload.len();
            left -= u32::from(frame.flags & 1);
        }
    }
    let are_pages: Vec<bool> = sizes.values().map(|it| *it > BYTES as usize).collect();
    assert_eq!(are_pages, [true, true, true, false], "{sizes:?}");
    // What has been taken is over.
    let page = http2.ask(&[call(CALLS + 1)]).await;
    let bytes = page.iter().map(|it| it.payload.len()).sum::<usize>();
    assert!(bytes > BYTES as usize, "{bytes}");
    let requests = room.json(&["requests", "search", "--reason", "too_many_calls"]);
    assert_eq!(requests.as_array().map(Vec::len), Some(1), "{requests}");
}

#[tokio::test]
async fn b17_an_upload_that_is_given_up_is_no_upload() {
    let room = Installation::new();
    let account = room.account("given-up");
    let server = room.serve();
    let door = Door::of(&room, &server, "api");
    let event = json!({"type":"event","identity":"u","evtName":"E"});
    let body = json!({"d":[event.clone()]}).to_string();
    let (half, _) = body.as_bytes().split_at(10);
    let length = body.len().to_string();
    let lengths: [&[(&str, &str)]; 2] = [&[], &[("content-length", &length)]];
    for more in lengths {
        // Without an error, and cancelled.
        for code in [0, 8] {
            let mut http2 = Http2::open(&door).await;
            let frames = [
                upload(&account, more),
                Frame::new(DATA, 0, 1, half),
                Frame::new(RST_STREAM, 0, 1, [0, 0, 0, code]),
                Frame::new(PING, 0, 0, [0; 8]),
            ];
            assert!(http2.send(&frames).await);
            while http2.next().await.unwrap().kind != PING {}
        }
    }
    // Whoever reads a body has seen by now how it ends.
    server.client(&account).upload(vec![event]).await;
    assert_eq!(reasons(&room), expect([("body_broken", 4)]));
    assert_eq!(room.count(&account, "SELECT count(*) FROM quarantine"), 0);
    assert_eq!(room.count(&account, "SELECT count(*) FROM events"), 1);
}

#[tokio::test]
async fn b17_a_connect_with_a_body_is_one_drop_and_cuts_nobody_off() {
    let room = Installation::new();
    let account = room.account("beside");
    let server = room.serve();
    let body = json!({"d":[{"type":"event","identity":"u","evtName":"E"}]}).to_string();
    let (half, rest) = body.as_bytes().split_at(10);
    let connect = [
        (":method", "CONNECT"),
        (":authority", "localhost"),
        ("content-length", "5"),
    ];
    let mut http2 = Http2::open(&Door::of(&room, &server, "api")).await;
    let frames = http2
        .ask(&[
            upload(&account, &[]),
            Frame::new(DATA, 0, 1, half),
            Frame::new(HEADERS, 4, 3, block(&connect)),
            Frame::new(DATA, 1, 1, rest),
        ])
        .await;
    let of = |stream: u32| -> Vec<u8> {
        let frames = frames.iter().filter(|it| it.stream == stream);
        frames.map(|it| it.kind).collect()
    };
    assert!(of(1).contains(&HEADERS), "{frames:?}");
    assert_eq!(of(3), [RST_STREAM]);
    assert_eq!(room.count(&account, "SELECT count(*) FROM events"), 1);
    assert_eq!(reasons(&room), expect([("unknown_url", 1)]));
}

#[tokio::test]
async fn b01_a_body_whose_length_is_said_twice_goes_nowhere() {
    let room = Installation::new();
    let account = room.account("lengths");
    let server = room.serve();
    let door = Door::of(&room, &server, "api");
    for second in ["8", "9"] {
        let head = upload(
            &account,
            &[("content-length", "8"), ("content-length", second)],
        );
        let body = Frame::new(DATA, 1, 1, *b"{\"d\":[]}");
        let frames = Http2::open(&door).await.ask(&[head, body]).await;
        assert!(!kinds(&frames).contains(&HEADERS), "{second} {frames:?}");
    }
    assert_eq!(
        reasons(&room),
        expect([("http2_stream", 1), ("length_ambiguous", 1)])
    );
}

#[tokio::test]
async fn b17_a_body_that_is_not_sound_is_one_drop() {
    let room = Installation::new();
    let account = room.account("bodies");
    let server = room.serve();
    let door = Door::of(&room, &server, "api");
    let head = upload(&account, &[("content-length", "10")]);
    let bodies = [
        // More than was announced, less than that, and trailers that are no end.
        Frame::new(DATA, 0, 1, [b' '; 20]),
        Frame::new(DATA, 1, 1, [b' '; 5]),
        Frame::new(HEADERS, 4, 1, block(&[("x", "y")])),
    ];
    for body in bodies {
        let mut http2 = Http2::open(&door).await;
        let frames = http2.ask(&[head.clone(), body]).await;
        assert!(!kinds(&frames).contains(&HEADERS), "{frames:?}");
    }
    // Of a head that is none nobody else tells, whatever comes behind it.
    let frames = [
        upload(&account, &[("connection", "close")]),
        Frame::new(DATA, 1, 1, *b"body"),
    ];
    Http2::open(&door).await.ask(&frames).await;
    // Whoever reads a body has seen by now how it ends.
    let event = json!({"type":"event","identity":"u","evtName":"E"});
    server.client(&account).upload(vec![event]).await;
    assert_eq!(
        reasons(&room),
        expect([("body_broken", 3), ("http2_stream", 1)])
    );
}
