//! B: streams that a peer makes the server reset ("made you reset", CVE-2025-8671), in every way that RFC 9113
//! knows. Each ends its connection after a bounded number of requests, however many streams are opened
//! meanwhile; a frame that is the connection's fault ends it at once.

use std::ops::Range;

use super::b_floods::{ENHANCE_YOUR_CALM, goaway};
use super::{event, is_alive, metric, reasons};
use crate::harness::{Account, Installation};
use crate::raw::{
    DATA, Door, Frame, HEADERS, Http2, PRIORITY, RST_STREAM, SETTINGS, WHOLE, WINDOW_UPDATE, block,
};

const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE_ERROR: u32 = 6;
/// The largest step of a window.
const LARGEST: [u8; 4] = [0x7f, 0xff, 0xff, 0xff];
/// Turns of a flood: more than any bound, in one record of TLS or two.
const TURNS: u32 = 70;
/// Requests that one connection may begin with it.
const REQUESTS_MAX: u32 = 150;

/// What is done to one stream after the other.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// A window that grows by nothing.
    EmptyWindow,
    /// A window that overflows.
    LargeWindow,
    /// The connection's window, which overflows.
    LargeConnectionWindow,
    /// Data on a stream whose peer has ended it: half closed (remote).
    DataBehindEnd,
    /// A head on such a stream.
    HeadBehindEnd,
    /// Another end on such a stream.
    EndBehindEnd,
    /// Heads on one and the same such stream.
    HeadsOfOneStream,
    /// A PRIORITY of four bytes instead of five.
    ShortPriority,
    /// Two streams that the peer resets for each that it makes the server reset: neither count alone is
    /// beyond its bound.
    Both,
}

impl Fault {
    const ALL: [Self; 9] = [
        Self::EmptyWindow,
        Self::LargeWindow,
        Self::LargeConnectionWindow,
        Self::DataBehindEnd,
        Self::HeadBehindEnd,
        Self::EndBehindEnd,
        Self::HeadsOfOneStream,
        Self::ShortPriority,
        Self::Both,
    ];

    /// What the connection may be ended with.
    const fn codes(self) -> &'static [u32] {
        match self {
            Self::LargeWindow | Self::HeadBehindEnd | Self::Both => &[ENHANCE_YOUR_CALM],
            Self::LargeConnectionWindow => &[FLOW_CONTROL_ERROR],
            Self::EmptyWindow | Self::HeadsOfOneStream => &[PROTOCOL_ERROR, ENHANCE_YOUR_CALM],
            Self::DataBehindEnd | Self::EndBehindEnd => {
                &[PROTOCOL_ERROR, STREAM_CLOSED, ENHANCE_YOUR_CALM]
            }
            Self::ShortPriority => &[PROTOCOL_ERROR, FRAME_SIZE_ERROR, ENHANCE_YOUR_CALM],
        }
    }

    /// The frames of a turn.
    fn frames(self, by: &Attacker<'_>, turn: u32) -> Vec<Frame> {
        let stream = turn * 2 + 1;
        let grown = |stream: u32, step: [u8; 4]| Frame::new(WINDOW_UPDATE, 0, stream, step);
        let full = |stream: u32| {
            let step = grown(stream, LARGEST);
            [by.sending(stream), step.clone(), step]
        };
        let behind_end = |frame: Frame| vec![by.asked(stream), frame];
        let head = |flags: u8| Frame::new(HEADERS, flags, stream, block(&[("x", "y")]));
        match self {
            Self::EmptyWindow => behind_end(grown(stream, [0; 4])),
            Self::LargeWindow => full(stream).into(),
            Self::LargeConnectionWindow => behind_end(grown(0, LARGEST)),
            Self::DataBehindEnd => behind_end(Frame::new(DATA, 0, stream, *b"x")),
            Self::HeadBehindEnd => behind_end(head(4)),
            Self::EndBehindEnd => behind_end(head(WHOLE)),
            Self::HeadsOfOneStream => {
                let asked = (turn == 0).then(|| by.asked(1));
                let heads = vec![Frame::new(HEADERS, 4, 1, []); 32];
                asked.into_iter().chain(heads).collect()
            }
            Self::ShortPriority => behind_end(Frame::new(PRIORITY, 0, stream, [0; 4])),
            Self::Both => {
                let first = turn * 6 + 1;
                let reset = |stream: u32| {
                    let reset = Frame::new(RST_STREAM, 0, stream, [0, 0, 0, 8]);
                    [Frame::get(stream, "GET", "/x"), reset]
                };
                [
                    &reset(first)[..],
                    &reset(first + 2)[..],
                    &full(first + 4)[..],
                ]
                .concat()
            }
        }
    }
}

/// Who attacks a plane. The server's windows are of no bytes for it.
struct Attacker<'a> {
    plane: &'static str,
    account: &'a Account,
}

impl Attacker<'_> {
    async fn open(&self, door: &Door) -> Http2 {
        let mut http2 = Http2::open(door).await;
        let window = Frame::new(SETTINGS, 0, 0, [0, 4, 0, 0, 0, 0]);
        assert!(http2.send(&[window]).await);
        http2
    }

    /// A request that has ended, and whose answer cannot.
    fn asked(&self, stream: u32) -> Frame {
        let path = match self.plane {
            "collect" => format!("/hello?z={}", self.account.id),
            _ => "/1/now.json".to_owned(),
        };
        Frame::get(stream, "GET", &path)
    }

    /// A request whose body is still to come.
    fn sending(&self, stream: u32) -> Frame {
        let (path, name, secret) = match self.plane {
            "collect" => ("/a1", "x-clevertap-token", &self.account.sdk_token),
            _ => ("/1/upload", "x-clevertap-passcode", &self.account.passcode),
        };
        let fields = [
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", "localhost"),
            (":path", path),
            ("x-clevertap-account-id", self.account.id.as_str()),
            (name, secret.as_str()),
        ];
        Frame::new(HEADERS, 4, stream, block(&fields))
    }
}

#[tokio::test]
async fn b17_whatever_makes_the_server_reset_streams_ends_the_connection() {
    let room = Installation::new();
    let account = room.account("resets");
    let beside = room.account("beside");
    let server = room.serve();
    let client = server.client(&beside);
    let mut floods = 0;
    for plane in ["collect", "api"] {
        let by = Attacker {
            plane,
            account: &account,
        };
        let door = Door::of(&room, &server, plane);
        for fault in Fault::ALL {
            let flood = |turns: Range<u32>| -> Vec<Frame> {
                turns.flat_map(|turn| fault.frames(&by, turn)).collect()
            };
            // All of it has come when the connection is closed, so the GOAWAY arrives.
            let mut http2 = by.open(&door).await;
            http2.send(&flood(0..TURNS)).await;
            let said = goaway(&http2.rest().await);
            let is_ended =
                |(code, begun): (u32, u32)| fault.codes().contains(&code) && begun <= REQUESTS_MAX;
            assert!(said.is_some_and(is_ended), "{plane} {fault:?} {said:?}");

            // Who goes on is not listened to.
            let mut http2 = by.open(&door).await;
            for turns in 0..50 {
                if !http2.send(&flood(turns * TURNS..(turns + 1) * TURNS)).await {
                    break;
                }
            }
            http2.rest().await;
            floods += 2;
            client.upload(vec![event("beside")]).await;
        }
        let label = format!("plane=\"{plane}\"");
        let begun = metric(&server, "strongroom_requests_total", &[label.as_str()]);
        let most = REQUESTS_MAX * 2 * u32::try_from(Fault::ALL.len()).unwrap();
        assert!(begun <= f64::from(most), "{plane} {begun}");
    }
    let dropped = reasons(&room);
    let ends = ["http2_flood", "http2_protocol", "http2_resets"];
    let ended: u64 = ends.iter().filter_map(|it| dropped.get(*it)).sum();
    assert_eq!(ended, floods, "{dropped:?}");
    assert!(is_alive(&server));
}
