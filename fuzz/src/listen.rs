//! What stands below the HTTP library on every plane. Both files of the server stand alone, so that
//! nothing else of it has to be built.

use httparse::{EMPTY_HEADER, Status};
use model::limit;
use tokio::time::Instant;

#[expect(dead_code, reason = "a file of another crate, of which a part is used")]
#[path = "../../crates/server/src/listen/flood.rs"]
mod flood;
#[expect(dead_code, reason = "a file of another crate, of which a part is used")]
#[path = "../../crates/server/src/listen/framing.rs"]
mod framing;

use flood::{Inbound, Outbound};
use framing::{Fault, Framing};

/// In whatever pieces the bytes of HTTP/1 come, the same of them passes and the same is a fault. What
/// passes is the start of what came, and another reader finds sound requests in it, each where the one
/// before ends. The first byte is the length of the pieces.
pub(crate) fn framing(input: &[u8]) {
    let Some((size, bytes)) = input.split_first() else {
        return;
    };
    let whole = passed(bytes, bytes.len());
    assert_eq!(whole, passed(bytes, usize::from(*size)));
    assert!(bytes.starts_with(&whole.0));
    read_again(&whole.0);
}

/// What passes of bytes that come in pieces, and the fault that ends them.
fn passed(bytes: &[u8], size: usize) -> (Vec<u8>, Option<Fault>) {
    let (mut framing, mut out) = (Framing::default(), Vec::new());
    for piece in bytes.chunks(size.max(1)) {
        if framing.pass(piece) {
            out.extend_from_slice(piece);
        } else if let Err(fault) = framing.push(piece, &mut out) {
            return (out, Some(fault));
        }
    }
    (out, None)
}

/// Reads requests with the library's parser, bodies by what their heads say. The last body may be cut.
fn read_again(mut rest: &[u8]) {
    while !rest.is_empty() {
        let mut headers = [EMPTY_HEADER; limit::HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        let Ok(Status::Complete(head)) = request.parse(rest) else {
            unreachable!("what passed as a head is none");
        };
        let of = |name: &str| {
            let found = request.headers.iter();
            let found = found.filter(|it| it.name.eq_ignore_ascii_case(name));
            found.map(|it| it.value).collect::<Vec<_>>()
        };
        let (lengths, codings) = (of("content-length"), of("transfer-encoding"));
        rest = &rest[head..];
        let end = match (lengths.as_slice(), codings.as_slice()) {
            ([], []) => Some(0),
            ([length], []) => Some(number(length)),
            ([], [_]) => end_of_chunks(rest),
            _ => unreachable!("a head says twice where its body ends"),
        };
        let Some(next) = end.and_then(|end| rest.get(end..)) else {
            return;
        };
        rest = next;
    }
}

/// A length that passed.
fn number(digits: &[u8]) -> usize {
    let number = std::str::from_utf8(digits).map(str::parse);
    let Ok(Ok(number)) = number else {
        unreachable!("what passed as a length is none");
    };
    number
}

/// Where a body in chunks ends; none when it is cut.
fn end_of_chunks(body: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let (line, size) = match httparse::parse_chunk_size(&body[at..]) {
            Ok(Status::Complete(found)) => found,
            Ok(Status::Partial) => return None,
            Err(_) => unreachable!("what passed as a chunk is none"),
        };
        at += line;
        if size == 0 {
            break;
        }
        at = at.checked_add(usize::try_from(size).ok()?)?;
        let end = body.get(at..at.checked_add(2)?)?;
        assert_eq!(end, b"\r\n", "a chunk ends where it says");
        at += 2;
    }
    // Trailers, to the first empty line.
    loop {
        let line = body[at..].windows(2).position(|it| it == b"\r\n")?;
        at += line + 2;
        if line == 0 {
            return Some(at);
        }
    }
}

/// In whatever pieces the frames of HTTP/2 come, and go, the same is seen in them. No block of headers
/// is larger than a head may be. The first byte is the length of the pieces.
pub(crate) fn frames(input: &[u8]) {
    let Some((size, bytes)) = input.split_first() else {
        return;
    };
    let now = Instant::now();
    let came = |size: usize| {
        let (mut inbound, mut opened) = (Inbound::new(now), Vec::new());
        let mut pieces = bytes.chunks(size.max(1));
        let outcome = pieces.try_for_each(|mut piece| -> Result<(), Fault> {
            while !piece.is_empty() {
                opened.extend(inbound.push(&mut piece, now)?);
            }
            Ok(())
        });
        assert!(outcome.is_err() || inbound.block_bytes() <= limit::HEAD_BYTES_MAX);
        let outcome = outcome.map(|()| opened);
        (outcome, inbound.is_in_head(), inbound.block_bytes())
    };
    assert_eq!(came(bytes.len()), came(usize::from(*size)));
    let went = |size: usize| {
        let (mut outbound, mut seen) = (Outbound::default(), Vec::new());
        for piece in bytes.chunks(size.max(1)) {
            outbound.push(piece, |out| seen.push(out));
        }
        (seen, outbound.is_between_frames())
    };
    assert_eq!(went(bytes.len()), went(usize::from(*size)));
}
