//! B: floods of HTTP/2. Each ends its connection after a bounded number of frames, and is told to calm
//! down. How long others wait meanwhile is measured by `cargo xtask bench attack`.

use serde_json::json;
use std::collections::BTreeMap;
use std::ops::Range;

use super::{is_alive, metric, reasons};
use crate::harness::Installation;
use crate::raw::{
    CONTINUATION, Door, Frame, GOAWAY, HEADERS, Http2, PING, PRIORITY, RST_STREAM, SETTINGS, block,
    kinds,
};

pub(super) const ENHANCE_YOUR_CALM: u32 = 11;
/// Streams that a rapid reset may begin.
const STREAMS_MAX: u32 = 1_000;

/// What the last GOAWAY says: its error code, and how many streams were begun.
pub(super) fn goaway(frames: &[Frame]) -> Option<(u32, u32)> {
    let said = frames.iter().rfind(|it| it.kind == GOAWAY)?;
    let number = |at: usize| u32::from_be_bytes(said.payload[at..at + 4].try_into().unwrap());
    Some((number(4), number(0).div_ceil(2)))
}

/// Streams that are opened and given up at once.
fn resets(numbers: Range<u32>) -> Vec<Frame> {
    let reset = |number: u32| {
        let stream = number * 2 + 1;
        let reset = Frame::new(RST_STREAM, 0, stream, [0, 0, 0, 8]);
        [Frame::get(stream, "GET", "/x"), reset]
    };
    numbers.flat_map(reset).collect()
}

#[tokio::test]
async fn b16_a_rapid_reset_is_told_to_calm_down() {
    let room = Installation::new();
    let account = room.account("beside");
    let server = room.serve();
    let client = server.client(&account);
    for plane in ["collect", "api"] {
        let door = Door::of(&room, &server, plane);
        // One record of TLS: all of it has come when the connection is closed, so the GOAWAY arrives.
        let mut http2 = Http2::open(&door).await;
        http2.send(&resets(0..150)).await;
        let back = http2.rest().await;
        let (code, begun) = goaway(&back).expect("a GOAWAY");
        assert_eq!(code, ENHANCE_YOUR_CALM, "{plane} {back:?}");
        assert!(begun <= STREAMS_MAX, "{plane} {begun}");

        // 20,000 on one connection, while others are served.
        let flood = async {
            let mut http2 = Http2::open(&door).await;
            for batch in 0..100 {
                if !http2.send(&resets(batch * 200..batch * 200 + 200)).await {
                    break;
                }
            }
            http2.rest().await
        };
        let uploads = async {
            for _ in 0..10 {
                let event = json!({"type":"event","identity":"u","evtName":"E"});
                client.upload(vec![event]).await;
            }
        };
        let (back, ()) = tokio::join!(flood, uploads);
        assert!(!kinds(&back).contains(&HEADERS), "{plane} {back:?}");
        // A peer that goes on sending may lose what was said last.
        let said = goaway(&back);
        let is_calmed =
            |(code, begun): (u32, u32)| code == ENHANCE_YOUR_CALM && begun <= STREAMS_MAX;
        assert!(said.is_none_or(is_calmed), "{plane} {said:?}");
        // What the 20,150 streams came to.
        let label = format!("plane=\"{plane}\"");
        let labels = [label.as_str(), "outcome=\"dropped\""];
        let requests = metric(&server, "strongroom_requests_total", &labels);
        assert!(requests <= 2.0 * f64::from(STREAMS_MAX), "{requests}");
    }
    let dropped = reasons(&room);
    let of = |reason: &str| dropped.get(reason).copied().unwrap_or(0);
    assert_eq!(of("http2_resets") + of("http2_flood"), 4, "{dropped:?}");
    assert_eq!(room.count(&account, "SELECT count(*) FROM events"), 20);
    assert!(is_alive(&server));
}

struct Flood {
    /// Frames that are still taken.
    taken: Vec<Frame>,
    /// Frames that end the connection, in one record of TLS: none is unread when it is closed.
    beyond: Vec<Frame>,
    /// Why it is dropped.
    reason: &'static str,
}

fn floods() -> [Flood; 5] {
    let fields = [(":method", "GET"), (":scheme", "https"), (":path", "/")];
    let head = Frame::new(HEADERS, 1, 1, block(&fields));
    let value = "v".repeat(16_000);
    let piece = Frame::new(CONTINUATION, 0, 1, block(&[("x", &value)]));
    let empty = Frame::new(CONTINUATION, 0, 1, []);
    let ping = Frame::new(PING, 0, 0, [0; 8]);
    // The library resets a stream that depends on itself (RFC 7540 §5.3.1).
    let made_you_reset = |number: u32| {
        let stream = number * 2 + 1;
        let [a, b, c, d] = stream.to_be_bytes();
        let priority = Frame::new(PRIORITY, 0, stream, [a, b, c, d, 0]);
        [Frame::get(stream, "GET", "/x"), priority]
    };
    let flood = |beyond: Vec<Frame>, reason| Flood {
        taken: Vec::new(),
        beyond,
        reason,
    };
    [
        // CVE-2024-27316: a head without end in frames, and in bytes.
        flood(
            [vec![head.clone()], vec![empty; 11]].concat(),
            "http2_continuation",
        ),
        Flood {
            taken: [vec![head], vec![piece.clone(); 8]].concat(),
            beyond: vec![piece],
            reason: "head_too_large",
        },
        Flood {
            taken: vec![ping.clone(); 900],
            beyond: vec![ping; 900],
            reason: "http2_flood",
        },
        flood(vec![Frame::new(SETTINGS, 0, 0, []); 1_800], "http2_flood"),
        // CVE-2025-8671.
        flood((0..100).flat_map(made_you_reset).collect(), "http2_flood"),
    ]
}

#[tokio::test]
async fn b17_floods_of_frames_end_the_connection() {
    let room = Installation::new();
    let server = room.serve();
    let before = server.peak_memory_bytes();
    let mut expected = BTreeMap::new();
    for plane in ["collect", "api"] {
        let door = Door::of(&room, &server, plane);
        for flood in floods() {
            let what = format!("{plane} {}", flood.reason);
            let mut http2 = Http2::open(&door).await;
            http2.send(&flood.taken).await;
            http2.send(&flood.beyond).await;
            let back = http2.rest().await;
            assert!(!kinds(&back).contains(&HEADERS), "{what} {back:?}");
            let code = goaway(&back).map(|(code, _)| code);
            assert_eq!(code, Some(ENHANCE_YOUR_CALM), "{what} {back:?}");

            // The same, and 20,000 more of its last frame.
            let last = flood.beyond.last().unwrap();
            let more = vec![last.clone(); 100];
            let mut http2 = Http2::open(&door).await;
            let mut is_open = http2.send(&flood.taken).await && http2.send(&flood.beyond).await;
            for _ in 0..200 {
                is_open = is_open && http2.send(&more).await;
            }
            let back = http2.rest().await;
            assert!(!kinds(&back).contains(&HEADERS), "{what} {back:?}");
            *expected.entry(flood.reason.to_owned()).or_insert(0) += 2;
        }
    }
    let grown = server.peak_memory_bytes().saturating_sub(before);
    assert!(grown < 64 << 20, "memory grew by {grown} bytes");
    let mut dropped = reasons(&room);
    // Of streams that were requests before they were reset.
    dropped.remove("unknown_url");
    assert_eq!(dropped, expected);
    assert!(is_alive(&server));
}
