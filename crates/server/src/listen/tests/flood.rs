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

/// Pushes all of `bytes`.
fn push(inbound: &mut Inbound, mut bytes: &[u8], now: Instant) -> Result<(), Fault> {
    while !bytes.is_empty() {
        inbound.push(&mut bytes, now)?;
    }
    Ok(())
}

/// After how many of these frames the connection is cut, and why.
fn flood(frame: &[u8], most: usize) -> Option<(usize, &'static str)> {
    let now = Instant::now();
    let mut inbound = Inbound::new(now);
    push(&mut inbound, PREFACE, now).unwrap();
    (1..=most).find_map(|count| {
        let fault = push(&mut inbound, frame, now).err()?;
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
        // Of a stream that is open it is at most the end of a body.
        (open, Some((1_002, "http2_flood"))),
        (frame(9, 0, 1, b"x"), Some((11, "http2_continuation"))),
        (frame(9, 0, 1, &[0; 16_384]), Some((9, "head_too_large"))),
        (frame(0, 0, 1, b"x"), None),
    ];
    for (bytes, expected) in cases {
        assert_eq!(flood(&bytes, 5_000), expected, "{:?}", &bytes[..9]);
    }
}

#[test]
fn a_stream_is_unended_until_its_end_or_its_reset() {
    let now = Instant::now();
    let mut inbound = Inbound::new(now);
    push(&mut inbound, PREFACE, now).unwrap();
    let mut unended = |kind: u8, flags: u8, stream: u32| {
        push(&mut inbound, &frame(kind, flags, stream, &[0; 4]), now).unwrap();
        inbound.unended()
    };
    let (end, head) = (1, 4);
    assert_eq!(unended(1, end | head, 1), 0, "it has no body");
    assert_eq!(
        [unended(1, head, 3), unended(0, 0, 3), unended(0, end, 3)],
        [1, 1, 0]
    );
    assert_eq!(
        [unended(1, head, 5), unended(1, end | head, 5)],
        [1, 0],
        "trailers"
    );
    assert_eq!([unended(1, head, 7), unended(3, 0, 7)], [1, 0], "given up");
    assert_eq!([unended(1, head, 9), unended(1, 0, 11)], [1, 2]);
    inbound.closed(9);
    assert_eq!(inbound.unended(), 1, "reset by us");
}

#[test]
fn streams_that_we_must_reset_are_paid_for_however_many_are_opened() {
    let now = Instant::now();
    let mut inbound = Inbound::new(now);
    push(&mut inbound, PREFACE, now).unwrap();
    let mut reset = |number: u32, peer: bool| {
        let stream = number * 2 + 1;
        push(&mut inbound, &frame(1, 4, stream, b"xx"), now).unwrap();
        push(&mut inbound, &frame(8, 0, stream, &[255; 4]), now).unwrap();
        if peer {
            push(&mut inbound, &frame(3, 0, stream, &[0; 4]), now)
        } else {
            inbound.reset(now)
        }
    };
    // The peer's own count with them.
    for number in 0..100 {
        reset(number, number % 2 == 0).unwrap();
    }
    assert_eq!(reset(100, false), Err(Fault::Http2Resets));
    assert_eq!(reset(101, true), Err(Fault::Http2Resets));
}

#[test]
fn what_honest_clients_do_goes_on_for_ever() {
    let mut now = Instant::now();
    let mut inbound = Inbound::new(now);
    push(&mut inbound, PREFACE, now).unwrap();
    for number in 0..100_000 {
        // A request with a body, the window for its answer, a cancelled one now and then.
        let stream = number * 2 + 1;
        for bytes in [
            frame(1, 4, stream, b"xx"),
            frame(0, 1, stream, b"body"),
            frame(8, 0, 0, &[0, 0, 0, 1]),
            frame(8, 0, stream, &[0, 0, 0, 1]),
            frame(3, 0, stream, &[0; 4]),
        ] {
            push(&mut inbound, &bytes, now).unwrap();
        }
        inbound.answered();
    }
    for _ in 0..100_000 {
        now += Duration::from_secs(10);
        push(&mut inbound, &frame(6, 0, 0, &[0; 8]), now).unwrap();
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
            push(&mut inbound, piece, now).unwrap();
        }
        assert_eq!(inbound.is_in_head(), expected, "{pieces:?}");
    }
}

#[test]
fn no_more_is_taken_than_one_head_at_a_time() {
    /// Of each piece that is taken, how long it is and which stream it opens.
    type Taken = [(usize, Option<u32>)];
    let now = Instant::now();
    let head = frame(1, 4, 1, b"xx");
    let cut = [frame(1, 0, 1, b"head"), frame(9, 4, 1, b"more")].concat();
    let data = frame(0, 1, 1, b"body");
    let trailers = frame(1, 5, 1, b"x");
    let empty = frame(1, 5, 3, b"");
    let reset = frame(3, 0, 1, &[0; 4]);
    let cases: [(&[&[u8]], &Taken); 7] = [
        (&[&head, &data], &[(11, Some(1)), (13, None)]),
        (&[&cut, &data], &[(26, Some(1)), (13, None)]),
        (&[&head, &data, &trailers], &[(11, Some(1)), (23, None)]),
        (&[&head, &empty], &[(11, Some(1)), (9, Some(3))]),
        // What is given up at once, and what may yet be.
        (&[&head, &reset, &empty], &[(24, Some(1)), (9, Some(3))]),
        (&[&head, &reset[..12]], &[(11, Some(1)), (12, None)]),
        (&[&empty, &reset], &[(9, Some(3)), (13, None)]),
    ];
    for (frames, expected) in cases {
        let bytes = frames.concat();
        let mut inbound = Inbound::new(now);
        push(&mut inbound, PREFACE, now).unwrap();
        let (mut rest, mut taken) = (bytes.as_slice(), Vec::new());
        while !rest.is_empty() {
            let before = rest.len();
            let opened = inbound.push(&mut rest, now).unwrap();
            taken.push((before - rest.len(), opened));
        }
        assert_eq!(taken, expected, "{frames:?}");
    }
}

#[test]
fn another_preface_is_a_fault() {
    let now = Instant::now();
    let outcome = push(&mut Inbound::new(now), b"GET / HTTP/1.1\r\n", now);
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
    let expected = [
        Out::Head(1),
        Out::Data(6),
        Out::Reset { stream: 3, code: 1 },
        Out::GoAway(11),
    ];
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
