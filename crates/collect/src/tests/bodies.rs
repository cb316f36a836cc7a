//! Bodies that are too large, packed, or packed to do harm.

use axum::body::Body;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use futures::stream::{self, StreamExt as _};
use http::Request;
use model::record::Record;
use std::io::Write as _;

use super::harness::Room;

const UPLOAD: &[u8] = br#"{"d":[{"type":"event","identity":"u1","evtName":"Viewed"}]}"#;

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// `count` pieces of `size` spaces each: no length is announced.
fn endless(count: usize, size: usize) -> Body {
    let piece = move || Ok::<_, std::io::Error>(vec![b' '; size]);
    Body::from_stream(stream::iter((0..count).map(move |_| piece())))
}

/// In small pieces: no length is announced.
pub(super) fn in_pieces(bytes: &[u8]) -> Body {
    let piece = |piece: &[u8]| Ok::<_, std::io::Error>(piece.to_vec());
    let pieces: Vec<_> = bytes.chunks(1_000).map(piece).collect();
    Body::from_stream(stream::iter(pieces))
}

/// Whoever has mistyped a passcode.
fn mistyped() -> http::request::Builder {
    Request::post("/1/upload")
        .header("x-clevertap-account-id", "TEST-1")
        .header("x-clevertap-passcode", "wrong")
}

#[tokio::test]
async fn one_encoding_is_undone_and_no_other() {
    let room = Room::new().await;
    let two_members = [gzip(&UPLOAD[..20]), gzip(&UPLOAD[20..])].concat();
    let cut = gzip(UPLOAD);
    let cases: [(&str, Vec<u8>, u16); 14] = [
        ("gzip", gzip(UPLOAD), 200),
        ("GZIP", gzip(UPLOAD), 200),
        ("x-gzip", gzip(UPLOAD), 200),
        ("gzip", two_members, 200),
        ("deflate", deflate(UPLOAD), 200),
        ("identity", UPLOAD.to_vec(), 200),
        ("gzip", cut[..cut.len() - 9].to_vec(), 400),
        ("gzip", UPLOAD.to_vec(), 400),
        ("gzip", Vec::new(), 400),
        ("gzip", gzip(&gzip(UPLOAD)), 400),
        ("gzip, gzip", gzip(&gzip(UPLOAD)), 415),
        ("identity, gzip", gzip(UPLOAD), 415),
        ("br", UPLOAD.to_vec(), 415),
        ("zstd", UPLOAD.to_vec(), 415),
    ];
    for (encoding, body, status) in cases {
        let request = room
            .request("POST", "/1/upload")
            .header("Content-Encoding", encoding);
        let answer = room
            .send(request.body(Body::from(body)).unwrap())
            .await
            .unwrap();
        assert_eq!(answer.status, status, "{encoding}: {answer:?}");
    }
    let twice = room
        .request("POST", "/1/upload")
        .header("Content-Encoding", "gzip")
        .header("Content-Encoding", "gzip");
    let answer = room
        .send(twice.body(Body::from(gzip(UPLOAD))).unwrap())
        .await
        .unwrap();
    assert_eq!(answer.status, 415);
}

#[tokio::test]
async fn an_upload_that_does_not_unpack_is_kept_as_it_came() {
    let room = Room::new().await;
    let request = room
        .request("POST", "/1/upload")
        .header("Content-Encoding", "gzip");
    let pieces = ["not ", "gzip"].map(Ok::<_, std::io::Error>);
    let body = Body::from_stream(stream::iter(pieces));
    let answer = room.send(request.body(body).unwrap()).await.unwrap();
    assert_eq!(answer.status, 400);
    let mut kept = room.entries().await.into_iter();
    let kept = kept.find_map(|entry| match entry.record {
        Record::Quarantined(it) => Some(it.body),
        _ => None,
    });
    assert_eq!(kept.as_deref(), Some(&b"not gzip"[..]));
    assert_eq!(room.state.api_bodies().bytes_held(), 0);
}

#[tokio::test]
async fn a_body_is_read_to_the_limit_and_no_further() {
    let room = Room::new().await;
    let mib = 1 << 20;
    // Whether the length is announced or not.
    let bodies = [Body::from(vec![b' '; 17 * mib]), endless(1_000, mib)];
    for body in bodies {
        let answer = room.upload(body).await.unwrap();
        assert_eq!(answer.status, 413, "{answer:?}");
    }
    let lines = room.lines().await;
    assert!(
        lines
            .iter()
            .all(|(_, line)| line.size_bytes <= 17 * mib as u64),
        "{lines:?}"
    );
    assert_eq!(room.state.api_bodies().bytes_held(), 0);
}

#[tokio::test]
async fn a_bomb_ends_at_the_limit() {
    let room = Room::new().await;
    let member = gzip(&vec![0; 64 << 20]);
    let bombs = [
        ("gzip", member.repeat(160)),
        // Small on the wire and out of proportion, though below the limit.
        ("gzip", gzip(&vec![b' '; 8 << 20])),
        ("deflate", deflate(&vec![0; 64 << 20])),
    ];
    for (encoding, bomb) in bombs {
        let request = room
            .request("POST", "/1/upload")
            .header("Content-Encoding", encoding);
        let answer = room
            .send(request.body(Body::from(bomb)).unwrap())
            .await
            .unwrap();
        assert_eq!(answer.status, 413, "{answer:?}");
    }
    assert_eq!(room.state.api_bodies().bytes_held(), 0);
}

#[tokio::test]
async fn nesting_and_junk_are_malformed() {
    let room = Room::new().await;
    let bodies: [Vec<u8>; 6] = [
        "[".repeat(100_000).into_bytes(),
        "{\"a\":".repeat(100_000).into_bytes(),
        b"".to_vec(),
        b"\xef\xbb\xbf\xef\xbb\xbf{\"d\":[]}".to_vec(),
        b"{\"d\":[]} x".to_vec(),
        b"{\"d\":[{\"type\":\"event\",\"identity\":\"\xff\"}]}".to_vec(),
    ];
    for body in bodies {
        let start = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
        let answer = room.upload(body).await.unwrap();
        assert_eq!(answer.status, 400, "{start}");
    }
}

#[tokio::test]
async fn a_byte_order_mark_counts_for_nothing() {
    let room = Room::new().await;
    let marked = [&b"\xef\xbb\xbf"[..], UPLOAD].concat();
    let answer = room.upload(marked.clone()).await;
    assert_eq!(answer, room.upload(UPLOAD).await);
    // A stranger's is a call as well.
    let stranger = Room::anonymous("POST", "/1/upload");
    let answer = room.send(stranger.body(Body::from(marked)).unwrap()).await;
    assert_eq!(answer.unwrap().status, 401);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_dropped_in_silence() {
    let room = Room::new().await;
    let pieces = [Ok(vec![b'{']), Err(std::io::Error::other("gone"))];
    let body = Body::from_stream(stream::iter(pieces));
    assert_eq!(room.upload(body).await, None);
    assert_eq!(&*room.not_served().await[0].1.reason, "body_broken");
}

#[tokio::test]
async fn a_stranger_is_answered_only_what_could_have_been_a_call() {
    let room = Room::new().await;
    let unknown = r#"{"status":"fail","error":"Account ID is not valid","code":401}"#;
    let wrong = r#"{"status":"fail","error":"Invalid Credentials","code":401}"#;
    let stranger = |account: &str| {
        Request::post("/1/upload")
            .header("x-clevertap-account-id", account)
            .header("x-clevertap-passcode", "wrong")
    };
    let anonymous = || Room::anonymous("POST", "/1/upload");
    let long = vec![b' '; 100 * 1024];
    let cases = [
        (anonymous(), UPLOAD.to_vec(), Some(unknown)),
        (anonymous(), Vec::new(), Some(unknown)),
        (anonymous(), long, Some(unknown)),
        (stranger("NO-SUCH"), UPLOAD.to_vec(), Some(unknown)),
        (stranger("not an id"), UPLOAD.to_vec(), Some(unknown)),
        (stranger("TEST-1"), UPLOAD.to_vec(), Some(wrong)),
        (anonymous(), b"{".to_vec(), None),
        (stranger("TEST-1"), "[".repeat(60_000).into_bytes(), None),
        (
            anonymous().header("Content-Encoding", "br"),
            UPLOAD.to_vec(),
            None,
        ),
        (Room::anonymous("PUT", "/1/upload"), UPLOAD.to_vec(), None),
        (Room::anonymous("POST", "/1/upload/"), UPLOAD.to_vec(), None),
        (
            Room::anonymous("POST", "/1/upload%00"),
            UPLOAD.to_vec(),
            None,
        ),
        (Room::anonymous("POST", "//1/upload"), UPLOAD.to_vec(), None),
        (Room::anonymous("POST", "/1/UPLOAD"), UPLOAD.to_vec(), None),
        (Room::anonymous("GET", "/"), Vec::new(), None),
    ];
    for (request, body, expected) in cases {
        let request = request.body(Body::from(body)).unwrap();
        let about = format!("{} {:?}", request.uri(), request.headers());
        let answer = room.send(request).await;
        assert_eq!(answer.map(|it| it.body).as_deref(), expected, "{about}");
    }
    // Two accounts in one request are none.
    let doubled = room
        .request("POST", "/1/upload")
        .header("X-CleverTap-Account-Id", "TEST-2");
    let answer = room
        .send(doubled.body(Body::from(UPLOAD)).unwrap())
        .await
        .unwrap();
    assert_eq!(answer.body, unknown);
}

#[tokio::test]
async fn a_stranger_s_body_that_is_longer_than_is_looked_at_is_read_to_its_end_and_answered() {
    let room = Room::new().await;
    let numbers: Vec<u32> = (0..20_000).collect();
    let long = serde_json::to_vec(&numbers).unwrap();
    // Packed, it is shorter than what is looked at.
    let cases = [
        ("gzip", gzip(&long)),
        ("deflate", deflate(&long)),
        ("identity", long),
    ];
    let mib = 1 << 20;
    let mut bodies = vec![("identity", endless(1_000, mib), 17 * mib)];
    for (encoding, bytes) in cases {
        let size = bytes.len();
        bodies.push((encoding, in_pieces(&bytes), size));
        bodies.push((encoding, Body::from(bytes), size));
    }
    let mut sizes = Vec::new();
    for (encoding, body, size) in bodies {
        let request = mistyped().header("Content-Encoding", encoding);
        let answer = room.send(request.body(body).unwrap()).await.unwrap();
        assert_eq!(answer.status, 401, "{encoding}, {size}: {answer:?}");
        sizes.push(size as u64);
    }
    let lines = room.not_served().await;
    let mut read: Vec<_> = lines.iter().map(|(_, line)| line.size_bytes).collect();
    sizes.sort_unstable();
    read.sort_unstable();
    assert_eq!(read, sizes);
    assert_eq!(room.state.strangers().bytes_held(), 0);
}

#[tokio::test]
async fn a_stranger_s_body_that_does_not_unpack_is_dropped_however_long_it_is() {
    let room = Room::new().await;
    for encoding in ["gzip", "deflate"] {
        for size in [1_500, 100_000] {
            let request = mistyped().header("Content-Encoding", encoding);
            let body = in_pieces(&vec![0xff; size]);
            let answer = room.send(request.body(body).unwrap()).await;
            assert_eq!(answer, None, "{encoding}, {size}");
        }
    }
}

#[tokio::test]
async fn a_stranger_is_answered_while_others_hold_the_memory_for_such_bodies() {
    let room = Room::new().await;
    let mib = 1 << 20;
    let waiting = (0..16).map(|_| {
        // Nearly all of a body, and then nothing more.
        let piece = stream::iter([Ok::<_, std::io::Error>(vec![b' '; mib - 1])]);
        let body = Body::from_stream(piece.chain(stream::pending()));
        room.send_to_collect(Room::anonymous("POST", "/a1").body(body).unwrap())
    });
    let mut waiting = std::pin::pin!(futures::future::join_all(waiting));
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    assert_eq!(room.state.strangers().bytes_held(), 16 * (mib - 1));
    let answer = room
        .send(mistyped().body(Body::from(UPLOAD)).unwrap())
        .await
        .unwrap();
    assert_eq!(answer.status, 401, "{answer:?}");
}
