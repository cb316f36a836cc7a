//! What passes, what does not, and that it does not depend on how the bytes come.

use crate::listen::framing::Framing;
use proptest::prelude::{ProptestConfig, any, prop_assert_eq, proptest};

/// What is handed on, and the fault.
fn feed(pieces: &[&[u8]]) -> (Vec<u8>, Option<&'static str>) {
    let mut framing = Framing::default();
    let mut out = Vec::new();
    for piece in pieces {
        if framing.pass(piece) {
            out.extend_from_slice(piece);
        } else if let Err(fault) = framing.push(piece, &mut out) {
            return (out, Some(fault.reason()));
        }
    }
    (out, None)
}

#[test]
fn sound_requests_pass_unchanged() {
    let cases: [&[u8]; 11] = [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"BREW /pot HTTP/1.1\r\nhOsT: a\r\n\r\n",
        b"POST /1/upload HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: b\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;name=value\r\nabc\r\n00\r\nX: y\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://other/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"CONNECT other:443 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    ];
    for case in cases {
        let text = String::from_utf8_lossy(case);
        assert_eq!(feed(&[case]), (case.to_vec(), None), "{text}");
    }
}

#[test]
fn a_head_begins_behind_the_empty_line_that_old_clients_leave_behind_a_body() {
    let cases = [
        (String::new(), false),
        (post("Content-Length: 3\r\n", "abc"), false),
        (post("Content-Length: 3\r\n", "abc\r\n"), false),
        (post("Content-Length: 3\r\n", "abc\r\nG"), true),
        ("\r\nGET / HTTP/1.1\r\n".to_owned(), true),
        ("GET / HTTP/1.1\r\n".to_owned(), true),
        ("G".to_owned(), true),
    ];
    for (bytes, expected) in cases {
        let mut framing = Framing::default();
        framing.push(bytes.as_bytes(), &mut Vec::new()).unwrap();
        assert_eq!(framing.is_in_head(), expected, "{bytes:?}");
    }
}

/// Each is found, for its reason, and nothing of it is handed on.
fn check(cases: &[(String, &str)]) {
    for (bytes, reason) in cases {
        let start: String = bytes.chars().take(80).collect();
        assert_eq!(
            feed(&[bytes.as_bytes()]),
            (Vec::new(), Some(*reason)),
            "{start:?}"
        );
    }
}

fn post(headers: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{headers}\r\n{body}")
}

#[test]
fn faults_are_found_and_nothing_of_their_head_is_handed_on() {
    let cases = [
        ("GET / HTTP/1.1\nHost: a\r\n\r\n".to_owned(), "bare_lf"),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n".to_owned(), "bare_lf"),
        (
            "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n".to_owned(),
            "bare_cr",
        ),
        ("GET / HTTP/1.1\r\nHost: a\0\r\n\r\n".to_owned(), "header"),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n".to_owned(), "header"),
        ("GET / HTTP/1.1\r\nHost\r\n\r\n".to_owned(), "header"),
        (
            "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n".to_owned(),
            "header_folded",
        ),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), "host"),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n".to_owned(),
            "host",
        ),
        ("GET /\r\n".to_owned(), "http_version"),
        ("GET / HTTP/2.0\r\n".to_owned(), "http_version"),
        (
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
            "http_version",
        ),
        ("GET  / HTTP/1.1\r\n".to_owned(), "request_line"),
        ("GET / HTTP/1.1 x\r\n".to_owned(), "request_line"),
        ("\u{16}\u{3}\u{1}".to_owned(), "request_line"),
        ("\r\n\r\nGET / HTTP/1.1\r\n".to_owned(), "request_line"),
        ("G@T / HTTP/1.1\r\n".to_owned(), "method"),
        ("GET /\u{1b}[2J HTTP/1.1\r\n".to_owned(), "target"),
        ("GET /hello?z=A#x HTTP/1.1\r\n".to_owned(), "target"),
        ("GET /# HTTP/1.1\r\n".to_owned(), "target"),
        ("GET http://a/#x HTTP/1.1\r\n".to_owned(), "target"),
        (
            format!("GET /{} HTTP/1.1\r\n", "a".repeat(65_536)),
            "uri_too_long",
        ),
        (format!("GET /{}", "a".repeat(200_000)), "head_too_large"),
    ];
    check(&cases);
}

#[test]
fn heads_that_say_where_they_end_in_two_ways_are_faults() {
    let many = "X: y\r\n".repeat(101);
    let cases = [
        (post(&many, ""), "too_many_headers"),
        (post("Content-Length: +3\r\n", "abc"), "content_length"),
        (post("Content-Length: 1 3\r\n", "abc"), "content_length"),
        (post("Content-Length: -1\r\n", ""), "content_length"),
        (
            post("Content-Length: 99999999999999999999\r\n", ""),
            "content_length",
        ),
        (
            post("Content-Length: 3\r\nContent-Length: 4\r\n", "abc"),
            "length_ambiguous",
        ),
        (
            post("Content-Length: 3\r\nContent-Length: 3\r\n", "abc"),
            "length_ambiguous",
        ),
        (
            post(
                "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
                "0\r\n\r\n",
            ),
            "length_ambiguous",
        ),
        (
            post(
                "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
                "0\r\n\r\n",
            ),
            "length_ambiguous",
        ),
        (
            post("Transfer-Encoding: xchunked\r\n", ""),
            "transfer_encoding",
        ),
        (
            post("Transfer-Encoding: chunked, identity\r\n", ""),
            "transfer_encoding",
        ),
        (
            post("Transfer-Encoding: gzip, chunked\r\n", ""),
            "transfer_encoding",
        ),
        (
            post(
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                "",
            ),
            "transfer_encoding",
        ),
        (
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
            "transfer_encoding",
        ),
    ];
    check(&cases);
}

#[test]
fn faults_of_chunks_end_the_body() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let cases = [
        "3\nabc\r\n".to_owned(),
        "-3\r\n".to_owned(),
        "0x3\r\n".to_owned(),
        " 3\r\n".to_owned(),
        "\r\n".to_owned(),
        "ffffffffffffffff\r\n".to_owned(),
        "3\r\nabcd\r\n".to_owned(),
        format!("3;{}", "a".repeat(5_000)),
        format!("0\r\n{}", "X: y\r\n".repeat(10_000)),
        format!("0\r\n{}\r\n", "X: y\r\n".repeat(101)),
        "0\r\nX: y\n\r\n".to_owned(),
    ];
    for case in cases {
        let start: String = case.chars().take(40).collect();
        let bytes = format!("{head}{case}");
        let fault = feed(&[bytes.as_bytes()]).1;
        assert_eq!(fault, Some("body_broken"), "{start:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_verdict_does_not_depend_on_how_the_bytes_are_cut(
        start in 0..6_usize,
        noise in proptest::collection::vec(any::<u8>(), 0..24),
        cuts in proptest::collection::vec(1..9_usize, 1..40),
    ) {
        const STARTS: [&[u8]; 6] = [
            b"",
            b"GET / HTTP/1.1\r\nHost: a\r\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12345GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        ];
        let bytes = [STARTS[start], &noise].concat();
        let mut rest = bytes.as_slice();
        let mut pieces = Vec::new();
        for cut in cuts.iter().cycle().take(bytes.len()) {
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        prop_assert_eq!(feed(&[&bytes]), feed(&pieces));
    }
}
