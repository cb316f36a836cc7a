//! A: TLS and transport.

use std::io::Write as _;
use std::process::{Command, Stdio};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{expect, is_alive, reasons};
use crate::harness::{Installation, text};
use crate::raw::{Door, Frame, HEADERS, Http2, configure, kinds};

/// What `openssl s_client` says when it is given `input`.
fn openssl(address: std::net::SocketAddr, arguments: &[&str], input: &[u8]) -> String {
    let mut child = Command::new("openssl")
        .args(["s_client", "-connect", &address.to_string()])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdin.take().unwrap().write_all(input));
    let output = child.wait_with_output().unwrap();
    text(&output.stdout) + &text(&output.stderr)
}

#[test]
fn a01_old_versions_are_told_so_and_logged() {
    let room = Installation::new();
    let server = room.serve();
    for version in ["-tls1", "-tls1_1"] {
        let arguments = [version, "-cipher", "ALL:@SECLEVEL=0"];
        let said = openssl(server.address("collect"), &arguments, b"");
        assert!(said.contains("alert protocol version"), "{said}");
    }
    assert_eq!(reasons(&room), expect([("tls_version", 2)]));
}

#[test]
fn a02_weak_suites_are_refused() {
    let room = Installation::new();
    let server = room.serve();
    for suites in [
        "AES128-SHA:@SECLEVEL=0",
        "aNULL:NULL:@SECLEVEL=0",
        "ECDHE-RSA-AES128-SHA",
    ] {
        let arguments = ["-tls1_2", "-cipher", suites];
        let said = openssl(server.address("collect"), &arguments, b"");
        let is_refused = said.contains("alert handshake failure") || said.contains("no cipher");
        assert!(is_refused, "{suites}: {said}");
    }
    let dropped = reasons(&room);
    assert!(dropped["cipher_suites"] >= 2, "{dropped:?}");
}

#[test]
fn a03_a_weak_certificate_stops_the_start() {
    let weak = [
        (["rsa:1024", "-sha256"], "key size"),
        (["rsa:2048", "-sha1"], "signature"),
    ];
    for ([key, hash], rule) in weak {
        let room = Installation::new();
        let path = |name: &str| room.root().join(name).to_str().unwrap().to_owned();
        let (certificate, key_file) = (path("weak.pem"), path("weak.key"));
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-nodes",
                "-days",
                "30",
                "-subj",
                "/CN=localhost",
            ])
            .args([
                "-newkey",
                key,
                hash,
                "-out",
                &certificate,
                "-keyout",
                &key_file,
            ])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", text(&made.stderr));
        let pair = format!("[{{ certificate = \"{certificate}\", key = \"{key_file}\" }}]");
        let config = std::fs::read_to_string(room.config()).unwrap();
        let config = config.replace("\n# collect = []", &format!("\ncollect = {pair}"));
        assert!(config.contains(&pair), "{config}");
        std::fs::write(room.config(), config).unwrap();
        let output = room.run(&["serve"]);
        assert!(!output.status.success());
        let complaint = text(&output.stderr);
        assert!(complaint.contains(rule), "{complaint}");
    }
}

#[test]
fn a04_a_downgrade_shows() {
    let room = Installation::new();
    let server = room.serve();
    let arguments = ["-tls1_2", "-fallback_scsv", "-msg"];
    let said = openssl(server.address("collect"), &arguments, b"Q\n");
    // `DOWNGRD` and 1 at the end of the server's random (RFC 8446 §4.1.3), wherever lines break.
    let digits: String = said.split_whitespace().collect::<Vec<_>>().join("");
    let sentinel = digits.contains("444f574e47524401");
    assert!(
        sentinel || said.contains("inappropriate fallback"),
        "{said}"
    );
}

#[test]
fn a05_renegotiation_and_compression_are_refused() {
    let room = Installation::new();
    let server = room.serve();
    let said = openssl(server.address("collect"), &["-tls1_2"], b"R\n");
    assert!(said.contains("Compression: NONE"), "{said}");
    let is_refused = [
        "no renegotiation",
        "unexpected message",
        "unexpected eof",
        "closed",
        "alert",
    ]
    .iter()
    .any(|it| said.contains(it));
    assert!(is_refused, "{said}");
    assert!(is_alive(&server));
}

#[tokio::test]
async fn a06_plain_http_on_a_tls_port_is_closed_without_a_byte() {
    let room = Installation::new();
    let server = room.serve();
    for plane in ["collect", "api", "console"] {
        let door = Door::of(&room, &server, plane);
        for bytes in [
            &b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..],
            b"GET /",
            b"\x80\x2e\x01",
        ] {
            let mut tcp = door.tcp().await;
            tcp.write_all(bytes).await.unwrap();
            let mut all = Vec::new();
            drop(tcp.read_to_end(&mut all).await);
            assert_eq!(all, b"", "{plane} {bytes:?}");
        }
    }
    assert_eq!(reasons(&room), expect([("not_tls", 9)]));
    // And TLS where plain HTTP is spoken: no banner, and the listener lives.
    let said = openssl(server.address("ops"), &[], b"");
    assert!(!said.to_lowercase().contains("server:"), "{said}");
    assert!(is_alive(&server));
}

#[tokio::test]
async fn a09_a_request_for_another_host_is_dropped() {
    let room = Installation::new();
    let account = room.account("phones");
    let server = room.serve();
    let cases = [
        ("localhost", "evil.example"),
        ("evil.example", "localhost"),
        ("127.0.0.1", "evil.example"),
        ("localhost", "localhost.evil.example"),
    ];
    for plane in ["collect", "api", "console"] {
        let door = Door::of(&room, &server, plane);
        for (asked, host) in cases {
            let mut tls = door.tls(asked, b"http/1.1").await;
            let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
            tls.write_all(request.as_bytes()).await.unwrap();
            assert_eq!(
                crate::raw::rest(&mut tls).await,
                b"",
                "{plane} {asked} {host}"
            );
        }
        let mut http2 = Http2::open(&door).await;
        let fields = [
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", "evil.example"),
            (":path", "/"),
        ];
        let request = Frame::new(HEADERS, 5, 1, crate::raw::block(&fields));
        let frames = http2.ask(&[request]).await;
        assert!(!kinds(&frames).contains(&HEADERS), "{plane} {frames:?}");
    }
    assert_eq!(reasons(&room), expect([("host", 15)]));
    // The console's own page is there for those who ask for it, and names no host.
    let door = Door::of(&room, &server, "console");
    for (asked, host) in [("localhost", "localhost"), ("127.0.0.1", "127.0.0.1")] {
        let mut tls = door.tls(asked, b"http/1.1").await;
        let request = format!("GET /sign-in HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        tls.write_all(request.as_bytes()).await.unwrap();
        let page = text(&crate::raw::rest(&mut tls).await);
        assert!(page.starts_with("HTTP/1.1 200"), "{page}");
        assert!(!page.contains(&format!("://{host}")), "{page}");
    }
    // An app is told the configured name, whatever name it has come by.
    let door = Door::of(&room, &server, "collect");
    let port = server.address("collect").port();
    for host in ["127.0.0.1", "eu1.clevertap-prod.com", "localhost"] {
        let mut tls = door.tls("127.0.0.1", b"http/1.1").await;
        let request = format!(
            "GET /hello?z={} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n",
            account.id
        );
        tls.write_all(request.as_bytes()).await.unwrap();
        let answer = text(&crate::raw::rest(&mut tls).await);
        assert!(
            answer.contains(&format!("x-wzrk-rd: localhost:{port}\r\n")),
            "{host}: {answer}"
        );
    }
}

#[tokio::test]
async fn a_peer_cannot_take_every_connection() {
    check_connections("connections_per_peer_max", 3).await;
}

#[tokio::test]
async fn a_peer_cannot_take_every_connection_where_there_are_few() {
    check_connections("connections_max", 6).await;
}

/// With the key set so, a peer has three connections.
async fn check_connections(key: &str, value: u32) {
    let room = Installation::new();
    configure(&room, key, value);
    let server = room.serve();
    let door = Door::of(&room, &server, "collect");
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(door.tls("localhost", b"http/1.1").await);
    }
    assert!(door.try_tls("localhost", b"http/1.1").await.is_err());
    assert_eq!(reasons(&room), expect([("too_many_connections", 1)]));
}
