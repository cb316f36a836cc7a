//! A: TLS and transport.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{expect, is_alive, reasons};
use crate::harness::{Installation, text};
use crate::raw::{Door, Frame, HEADERS, Http2, configure, kinds};

/// How long a peer may take to say or end something.
const PATIENCE: Duration = Duration::from_secs(60);
const TLS_1_2: [u8; 2] = [3, 3];
/// TLS 1.2 as it is spoken here: ECDHE with RSA and with ECDSA, AES-128-GCM.
const STRONG: [u16; 2] = [0xc02f, 0xc02b];

/// What `openssl s_client` says when it is given `input`, which does not end before it does.
fn openssl(address: SocketAddr, arguments: &[&str], input: &[u8]) -> String {
    let mut child = Command::new("timeout")
        .arg(PATIENCE.as_secs().to_string())
        .args(["openssl", "s_client", "-connect", &address.to_string()])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    drop(stdin.write_all(input));
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    text(&output.stdout) + &text(&output.stderr)
}

/// A client hello as a record (RFC 5246 §7.4.1.2), of a client that knows nothing newer than `version`.
fn hello(version: [u8; 2], suites: &[u16], compressions: &[u8]) -> Vec<u8> {
    // supported_groups: x25519, secp256r1; signature_algorithms: ECDSA, PSS and PKCS #1, with SHA-256.
    const EXTENSIONS: [u8; 22] = [
        0, 10, 0, 6, 0, 4, 0, 0x1d, 0, 0x17, 0, 13, 0, 8, 0, 6, 4, 3, 8, 4, 4, 1,
    ];
    let length = |bytes: usize| u16::try_from(bytes).unwrap().to_be_bytes();
    let mut body = version.to_vec();
    // The random, and no session.
    body.extend([7_u8; 32]);
    body.push(0);
    body.extend(length(suites.len() * 2));
    body.extend(suites.iter().flat_map(|it| it.to_be_bytes()));
    body.push(u8::try_from(compressions.len()).unwrap());
    body.extend(compressions);
    body.extend(length(EXTENSIONS.len()));
    body.extend(EXTENSIONS);
    let mut record = vec![22_u8, 3, 0];
    record.extend(length(body.len() + 4));
    record.extend([1_u8, 0]);
    record.extend(length(body.len()));
    record.extend(body);
    record
}

/// What a hello is answered, up to what a server hello chooses.
fn answer(address: SocketAddr, hello: &[u8]) -> Vec<u8> {
    let mut tcp = TcpStream::connect(address).unwrap();
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    tcp.write_all(hello).unwrap();
    let mut said = Vec::new();
    // Ended well or not: what matters is what came.
    drop(tcp.take(80).read_to_end(&mut said));
    said
}

/// The code of a fatal alert, where an answer is that and nothing more.
fn alert(said: &[u8]) -> Option<u8> {
    match said {
        [21, 3, _, 0, 2, 2, code] => Some(*code),
        _ => None,
    }
}

/// The suite and the compression that a server hello chooses (RFC 5246 §7.4.1.3).
fn chosen(said: &[u8]) -> (u16, u8) {
    assert!(
        said.len() == 80 && said[0] == 22 && said[5] == 2,
        "{said:?}"
    );
    // Behind the heads, the version, the random, and the session with its length.
    let rest = &said[44 + usize::from(said[43])..];
    (u16::from_be_bytes([rest[0], rest[1]]), rest[2])
}

#[test]
fn a01_old_versions_are_told_so_and_logged() {
    let room = Installation::new();
    let server = room.serve();
    for plane in ["collect", "api", "console"] {
        let address = server.address(plane);
        for version in ["-tls1", "-tls1_1"] {
            let arguments = [version, "-cipher", "ALL:@SECLEVEL=0"];
            let said = openssl(address, &arguments, b"");
            assert!(said.contains("alert protocol version"), "{plane} {said}");
        }
        // SSL 3.0, which `openssl` does not speak any more.
        let said = answer(address, &hello([3, 0], &STRONG, &[0]));
        assert_eq!(alert(&said), Some(70), "{plane} {said:?}");
    }
    assert_eq!(reasons(&room), expect([("tls_version", 9)]));
}

#[test]
fn a02_weak_suites_are_refused() {
    // With RSA as key exchange: no encryption, RC4, 3DES, CBC, and GCM. Anonymous: DH and ECDH. Then
    // ECDHE with 3DES, and with CBC by SHA-1 and by SHA-256.
    const WEAK: [u16; 10] = [
        0x0002, 0x0005, 0x000a, 0x002f, 0x009c, 0x0034, 0xc018, 0xc012, 0xc013, 0xc027,
    ];
    let room = Installation::new();
    let server = room.serve();
    let address = server.address("collect");
    for suites in WEAK.chunks(1).chain([&WEAK[..]]) {
        let said = answer(address, &hello(TLS_1_2, suites, &[0]));
        assert_eq!(alert(&said), Some(40), "{suites:x?} {said:?}");
    }
    assert_eq!(reasons(&room), expect([("cipher_suites", 11)]));
    // A strong one among them is the one.
    let suites = [&WEAK[..], &STRONG].concat();
    let (suite, _) = chosen(&answer(address, &hello(TLS_1_2, &suites, &[0])));
    assert!(STRONG.contains(&suite), "{suite:x}");
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
    let address = server.address("collect");
    let said = openssl(address, &["-tls1_2"], b"R\n");
    assert!(said.contains("no renegotiation"), "{said}");
    // Deflate before nothing, and alone.
    let (_, compression) = chosen(&answer(address, &hello(TLS_1_2, &STRONG, &[1, 0])));
    assert_eq!(compression, 0);
    let said = answer(address, &hello(TLS_1_2, &STRONG, &[1]));
    assert_eq!(alert(&said), Some(47), "{said:?}");
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
