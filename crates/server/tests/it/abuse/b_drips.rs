//! B05: clients that drip. Whoever sends or takes a byte now and then is cut off like whoever falls
//! silent, and good clients are served meanwhile. A thousand at a time are measured by
//! `cargo xtask bench attack`.

use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::b_streams::upload;
use super::{event, expect, is_alive, phone_head, reasons};
use crate::client::Client;
use crate::harness::Installation;
use crate::hostile::head;
use crate::raw::{DATA, Door, Frame, Http2, PATIENCE, PING, SETTINGS, WINDOW_UPDATE, configure};

/// What each client has for a handshake, a head, or a body's beginning: enough for a good one, also where
/// the machine has much else to do.
const TIMEOUT_MS: u32 = 2_000;
/// What lies between two pieces of whoever drips: each keeps a connection that any progress keeps.
const MOMENT: Duration = Duration::from_millis(25);
/// So many pieces take more than ten times as long as that.
const PIECES: usize = 1_000;

/// Sends pieces, a moment apart, until the server ends the connection: how many went out, and what it
/// said.
async fn drip<S>(stream: S, pieces: Vec<Vec<u8>>) -> (usize, Vec<u8>)
where
    S: AsyncRead + AsyncWrite,
{
    let (mut reader, mut writer) = tokio::io::split(stream);
    let (mut sent, mut said) = (0, Vec::new());
    let send = async {
        for piece in &pieces {
            tokio::time::sleep(MOMENT).await;
            if writer.write_all(piece).await.is_err() || writer.flush().await.is_err() {
                break;
            }
            sent += 1;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        // Ended well or not: what matters is that it has.
        ended = reader.read_to_end(&mut said) => drop(ended),
        () = send => {}
    }
    (sent, said)
}

/// What a good client does meanwhile.
async fn uploads(client: &Client) {
    for _ in 0..10 {
        client.upload(vec![event("meanwhile")]).await;
    }
}

/// Bytes, one by one.
fn one_by_one(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes.iter().map(|byte| vec![*byte]).collect()
}

#[tokio::test]
async fn b05_heads_and_bodies_that_drip_end_and_good_clients_are_served_meanwhile() {
    let room = Installation::new();
    for key in [
        "handshake_timeout_ms",
        "head_timeout_ms",
        "stall_timeout_ms",
    ] {
        configure(&room, key, TIMEOUT_MS);
    }
    let account = room.account("drips");
    let server = room.serve();
    let client = server.client(&account);
    // Each start comes at once, and then a byte at a time.
    let in_head = "GET / HTTP/1.1\r\nHost: localhost\r\nX: ";
    let length = format!("Content-Length: {PIECES}");
    let chunked = head(&account, "Transfer-Encoding: chunked");
    let http1 = [
        ("collect", in_head.to_owned()),
        ("api", in_head.to_owned()),
        ("console", in_head.to_owned()),
        ("collect", phone_head(&account, &length)),
        ("api", head(&account, &length)),
        // In a chunk, in its extension, in a trailer.
        ("api", format!("{chunked}{PIECES:x}\r\n")),
        ("api", format!("{chunked}1;")),
        ("api", format!("{chunked}1\r\n \r\n0\r\nX: ")),
    ];
    let mut slow = Vec::new();
    for (plane, start) in http1 {
        let door = Door::of(&room, &server, plane);
        let mut tls = door.tls("localhost", b"http/1.1").await;
        tls.write_all(start.as_bytes()).await.unwrap();
        tls.flush().await.unwrap();
        slow.push((start, tls, one_by_one(&[b'y'; PIECES])));
    }
    let silent = slow.len();
    // A block of headers, of which enough is there to be one; a body; and what is no request.
    let door = Door::of(&room, &server, "api");
    let block = Frame::get(1, "GET", &format!("/{}", "y".repeat(PIECES))).bytes();
    let (start, rest) = block.split_at(12);
    let mut tls = Http2::open(&door).await.into_stream();
    tls.write_all(start).await.unwrap();
    tls.flush().await.unwrap();
    slow.push(("HEADERS".to_owned(), tls, one_by_one(rest)));
    let mut http2 = Http2::open(&door).await;
    assert!(http2.send(&[upload(&account, &[])]).await);
    let data = Frame::new(DATA, 0, 1, *b" ").bytes();
    let pieces = vec![data; PIECES];
    slow.push(("DATA".to_owned(), http2.into_stream(), pieces));
    let tls = Http2::open(&door).await.into_stream();
    let ping = Frame::new(PING, 0, 0, [0; 8]).bytes();
    slow.push(("PING".to_owned(), tls, vec![ping; PIECES]));
    // A hello of 512 bytes.
    let mut hello = vec![22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3];
    hello.resize(PIECES, 0);
    let hello = drip(door.tcp().await, one_by_one(&hello));

    let slow = slow.into_iter().map(|(start, tls, pieces)| async move {
        let (sent, said) = drip(tls, pieces).await;
        assert!(sent < PIECES, "{start:?} was not cut off");
        said
    });
    let slow = futures::future::join_all(slow);
    let all = async { tokio::join!(slow, hello, uploads(&client)) };
    let all = tokio::time::timeout(PATIENCE, all).await;
    let (said, (_, alert), ()) = all.expect("every connection ends");
    // Over HTTP/1 nothing is said on any plane.
    assert_eq!(said[..silent], vec![Vec::<u8>::new(); silent]);
    assert_eq!(alert, b"");
    let expected = [
        ("body_too_slow", 6),
        ("handshake_timeout", 1),
        ("head_timeout", 4),
    ];
    assert_eq!(reasons(&room), expect(expected));
    assert_eq!(room.count(&account, "SELECT count(*) FROM events"), 10);
}

#[tokio::test]
async fn b05_whoever_opens_a_window_a_byte_at_a_time_is_cut_off() {
    let room = Installation::new();
    for key in ["head_timeout_ms", "stall_timeout_ms"] {
        configure(&room, key, TIMEOUT_MS);
    }
    let account = room.account("sips");
    let server = room.serve();
    let client = server.client(&account);
    let mut http2 = Http2::open(&Door::of(&room, &server, "console")).await;
    let window = Frame::new(SETTINGS, 0, 0, [0, 4, 0, 0, 0, 0]);
    let file = Frame::get(1, "GET", "/console.css");
    assert!(http2.send(&[window, file]).await);
    let byte = Frame::new(WINDOW_UPDATE, 0, 1, [0, 0, 0, 1]).bytes();
    let sips = drip(http2.into_stream(), vec![byte; PIECES]);
    let both = async { tokio::join!(sips, uploads(&client)) };
    let both = tokio::time::timeout(PATIENCE, both).await;
    let ((sent, _), ()) = both.expect("the connection ends");
    assert!(sent < PIECES, "it was not cut off");
    // It was answered, so it is no drop.
    assert_eq!(reasons(&room), expect([]));
}

#[tokio::test]
async fn b05_whoever_asks_for_much_and_reads_little_is_cut_off() {
    let room = Installation::new();
    configure(&room, "stall_timeout_ms", TIMEOUT_MS);
    let account = room.account("sips");
    let server = room.serve();
    let client = server.client(&account);
    let door = Door::of(&room, &server, "console");
    let files = "GET /console.css HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(64);
    let (mut reader, mut writer) = tokio::io::split(door.tls("localhost", b"http/1.1").await);
    let ask = async { while writer.write_all(files.as_bytes()).await.is_ok() {} };
    let sip = async {
        while matches!(reader.read(&mut [0; 64]).await, Ok(1..)) {
            tokio::time::sleep(MOMENT).await;
        }
        std::future::pending::<()>().await;
    };
    let cut_off = async {
        tokio::select! {
            () = ask => {}
            () = sip => {}
        }
    };
    let both = async { tokio::join!(cut_off, uploads(&client)) };
    let both = tokio::time::timeout(PATIENCE, both).await;
    both.expect("the connection ends");
    assert!(is_alive(&server));
}
