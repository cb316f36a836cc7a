//! Floods end, what honest clients do goes on, however the bytes come.

use crate::listen::flood::{Inbound, Out, Outbound, PREFACE};
use crate::listen::framing::Fault;
use std::time::Duration;
use tokio::time::Instant;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// After how many of these frames the connection is cut, and why.
fn flood(frame: &[u8], most: usize) -> Option<(usize, &'static str)> {
    let now = Instant::now();
    let mut inbound = Inbound::new(now);
    inbound.push(PREFACE, now).unwrap();
    (1..=most).find_map(|count| {
        let fault = inbound.push(frame, now).err()?;
        Some((count, fault.reason()))
    })
}

#[test]
fn floods_end_after_a_bounded_number_of_frames() {
    let open = frame(1, 0, 1, b"");
    let rapid_reset = [frame(1, 5, 1, b"x"), frame(3, 0, 1, &[0, 0, 0, 8])].concat();
    let cases = [
        (frame(3, 0, 1, &[0; 4]), Some((101, "http2_resets"))),
        (rapid_reset, Some((101, "http2_resets"))),
        (frame(4, 0, 0, b""), Some((1_001, "http2_flood"))),
        (frame(6, 0, 0, &[0; 8]), Some((1_001, "http2_flood"))),
        (frame(2, 0, 1, &[0; 5]), Some((1_001, "http2_flood"))),
        (frame(8, 0, 0, &[0, 0, 0, 1]), Some((1_001, "http2_flood"))),
        (frame(0, 0, 1, b""), Some((1_001, "http2_flood"))),
        (frame(200, 0, 0, b""), Some((1_001, "http2_flood"))),
        (open, None),
        (frame(9, 0, 1, b"x"), Some((17, "http2_continuation"))),
        (frame(9, 0, 1, &[0; 16_384]), Some((9, "head_too_large"))),
        (frame(0, 0, 1, b"x"), None),
    ];
    for (bytes, expected) in cases {
        assert_eq!(flood(&bytes, 5_000), expected, "{:?}", &bytes[..9]);
    }
}

#[test]
fn what_honest_clients_do_goes_on_for_ever() {
    let mut now = Instant::now();
    let mut inbound = Inbound::new(now);
    inbound.push(PREFACE, now).unwrap();
    for _ in 0..100_000 {
        // A request with a body, the window for its answer, a cancelled one now and then.
        for bytes in [
            frame(1, 4, 1, b"xx"),
            frame(0, 1, 1, b"body"),
            frame(8, 0, 0, &[0, 0, 0, 1]),
            frame(8, 0, 1, &[0, 0, 0, 1]),
            frame(3, 0, 1, &[0; 4]),
        ] {
            inbound.push(&bytes, now).unwrap();
        }
        inbound.answered();
    }
    for _ in 0..100_000 {
        now += Duration::from_secs(10);
        inbound.push(&frame(6, 0, 0, &[0; 8]), now).unwrap();
    }
}

#[test]
fn a_head_is_incomplete_until_its_last_byte() {
    let now = Instant::now();
    let head = frame(1, 4, 1, b"block");
    let cut = frame(1, 0, 1, b"block");
    let cases: [(&[&[u8]], bool); 8] = [
        (&[], false),
        (&[&PREFACE[..3]], true),
        (&[PREFACE], false),
        (&[PREFACE, &head[..11]], true),
        (&[PREFACE, &head], false),
        (&[PREFACE, &cut], true),
        (&[PREFACE, &cut, &frame(9, 4, 1, b"more")], false),
        (&[PREFACE, &frame(0, 0, 1, b"data")[..11]], false),
    ];
    for (pieces, expected) in cases {
        let mut inbound = Inbound::new(now);
        for piece in pieces {
            inbound.push(piece, now).unwrap();
        }
        assert_eq!(inbound.is_in_head(), expected, "{pieces:?}");
    }
}

#[test]
fn another_preface_is_a_fault() {
    let now = Instant::now();
    let outcome = Inbound::new(now).push(b"GET / HTTP/1.1\r\n", now);
    assert_eq!(outcome, Err(Fault::Http2Preface));
}

#[test]
fn what_goes_out_is_known_however_it_is_cut() {
    let bytes = [
        frame(4, 0, 0, &[0; 6]),
        frame(1, 4, 1, b"abc"),
        frame(0, 1, 1, b"abcdef"),
        frame(3, 0, 3, &[0, 0, 0, 1]),
        frame(7, 0, 0, &[0, 0, 0, 5, 0, 0, 0, 11, 9, 9, 9, 9]),
    ]
    .concat();
    let expected = [Out::Head, Out::Data(6), Out::Reset(1), Out::GoAway(11)];
    for size in 1..=bytes.len() {
        let mut outbound = Outbound::default();
        let mut seen = Vec::new();
        for piece in bytes.chunks(size) {
            outbound.push(piece, |out| seen.push(out));
        }
        assert_eq!(seen, expected, "{size}");
        assert!(outbound.is_between_frames());
    }
}
