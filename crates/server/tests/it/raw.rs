//! Connections that send exactly the bytes that a test says, over TLS, and see every byte that
//! comes back.

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::harness::{Installation, Server};

/// How long a peer may take to say or end something.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How to reach one plane.
#[derive(Clone)]
pub(crate) struct Door {
    address: std::net::SocketAddr,
    roots: Arc<RootCertStore>,
}

impl Door {
    pub(crate) fn of(room: &Installation, server: &Server, plane: &str) -> Self {
        Self {
            address: server.address(plane),
            roots: roots(&room.ca()),
        }
    }

    /// A TCP connection.
    pub(crate) async fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// A TLS connection to `name` (an address sends no name) that speaks `protocol`.
    pub(crate) async fn tls(&self, name: &str, protocol: &[u8]) -> TlsStream<TcpStream> {
        self.try_tls(name, protocol).await.unwrap()
    }

    /// As `tls`; fails when the server does not want it.
    pub(crate) async fn try_tls(
        &self,
        name: &str,
        protocol: &[u8],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut config = ClientConfig::builder()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyName(verifier(&self.roots))))
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let tcp = TcpStream::connect(self.address).await?;
        TlsConnector::from(Arc::new(config))
            .connect(name, tcp)
            .await
    }

    /// Sends bytes on a connection of their own and returns everything that comes back until the
    /// connection ends.
    pub(crate) async fn say(&self, bytes: impl AsRef<[u8]>) -> Vec<u8> {
        let mut tls = self.tls("localhost", b"http/1.1").await;
        // A server that has seen enough does not take the rest.
        drop(tls.write_all(bytes.as_ref()).await);
        drop(tls.flush().await);
        rest(&mut tls).await
    }

    /// Sends a head and the pieces of a body, and reads at the same time, until the server ends the
    /// connection: what it said, and how many bytes of the body went out.
    pub(crate) async fn converse(
        &self,
        head: &str,
        body: impl IntoIterator<Item = Vec<u8>>,
    ) -> (Vec<u8>, usize) {
        let tls = self.tls("localhost", b"http/1.1").await;
        let (mut reader, mut writer) = tokio::io::split(tls);
        let write = async {
            let mut sent = 0;
            let mut is_taken = writer.write_all(head.as_bytes()).await.is_ok();
            for piece in body {
                is_taken = is_taken && writer.write_all(&piece).await.is_ok();
                if !is_taken {
                    break;
                }
                sent += piece.len();
            }
            drop(writer.flush().await);
            sent
        };
        let read = async {
            let mut all = Vec::new();
            // Ended well or not: what matters is what came.
            drop(reader.read_to_end(&mut all).await);
            all
        };
        let both = async { tokio::join!(read, write) };
        let both = tokio::time::timeout(PATIENCE, both).await;
        both.expect("the connection ends")
    }
}

/// Everything that comes until the connection ends.
pub(crate) async fn rest(tls: &mut TlsStream<TcpStream>) -> Vec<u8> {
    let mut all = Vec::new();
    // Ended well or not: what matters is what came.
    let read = tokio::time::timeout(PATIENCE, tls.read_to_end(&mut all)).await;
    drop(read.expect("the connection ends"));
    all
}

fn roots(ca: &Path) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    Arc::new(roots)
}

type Verifier = Arc<rustls::client::WebPkiServerVerifier>;

fn verifier(roots: &Arc<RootCertStore>) -> Verifier {
    rustls::client::WebPkiServerVerifier::builder(Arc::clone(roots))
        .build()
        .unwrap()
}

/// Trusts the installation's authority whatever name was asked for: attackers do not mind.
#[derive(Debug)]
struct AnyName(Verifier);

impl rustls::client::danger::ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        ocsp: &[u8],
        now: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        let name = ServerName::try_from("localhost").unwrap();
        self.0
            .verify_server_cert(end_entity, intermediates, &name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// A frame of HTTP/2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
/// Both flags.
pub(crate) const WHOLE: u8 = END_STREAM | END_HEADERS;

impl Frame {
    pub(crate) fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Self {
        let payload = payload.into();
        Self {
            kind,
            flags,
            stream,
            payload,
        }
    }

    /// A request without a body.
    pub(crate) fn get(stream: u32, method: &str, path: &str) -> Self {
        let fields = [
            (":method", method),
            (":scheme", "https"),
            (":authority", "localhost"),
            (":path", path),
        ];
        Self::new(HEADERS, WHOLE, stream, block(&fields))
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len()).unwrap().to_be_bytes();
        let mut bytes = length[1..].to_vec();
        bytes.extend([self.kind, self.flags]);
        bytes.extend(self.stream.to_be_bytes());
        bytes.extend(&self.payload);
        bytes
    }
}

/// Header fields as HPACK: literals without indexing (RFC 7541 §6.2.2).
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            let mut length = text.len();
            if length < 127 {
                block.push(u8::try_from(length).unwrap());
            } else {
                block.push(127);
                length -= 127;
                while length >= 128 {
                    block.push(u8::try_from(length % 128).unwrap() | 128);
                    length /= 128;
                }
                block.push(u8::try_from(length).unwrap());
            }
            block.extend(text.as_bytes());
        }
    }
    block
}

/// An HTTP/2 connection.
pub(crate) struct Http2(TlsStream<TcpStream>);

impl Http2 {
    /// Connects, and says the preface and empty settings.
    pub(crate) async fn open(door: &Door) -> Self {
        let mut tls = door.tls("localhost", b"h2").await;
        tls.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .await
            .unwrap();
        let mut http2 = Self(tls);
        assert!(http2.send(&[Frame::new(SETTINGS, 0, 0, [])]).await);
        http2
    }

    /// The connection itself, for whoever sends parts of frames.
    pub(crate) fn into_stream(self) -> TlsStream<TcpStream> {
        self.0
    }

    /// Sends frames; false when the server takes no more.
    pub(crate) async fn send(&mut self, frames: &[Frame]) -> bool {
        let bytes: Vec<u8> = frames.iter().flat_map(Frame::bytes).collect();
        self.0.write_all(&bytes).await.is_ok() && self.0.flush().await.is_ok()
    }

    /// The next frame; none when the connection has ended.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        let read = async {
            let mut head = [0; 9];
            self.0.read_exact(&mut head).await.ok()?;
            let [a, b, c, kind, flags, stream @ ..] = head;
            let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
            self.0.read_exact(&mut payload).await.ok()?;
            Some(Frame {
                kind,
                flags,
                stream: u32::from_be_bytes(stream),
                payload,
            })
        };
        let read = tokio::time::timeout(PATIENCE, read).await;
        read.expect("a frame, or the end")
    }

    /// Everything until the connection ends.
    pub(crate) async fn rest(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.next().await {
            frames.push(frame);
        }
        frames
    }

    /// Sends requests, at most 100 at a time, and waits until each stream has ended. Every frame
    /// that came back.
    pub(crate) async fn ask(&mut self, requests: &[Frame]) -> Vec<Frame> {
        let mut frames = Vec::new();
        for some in requests.chunks(100) {
            assert!(self.send(some).await);
            let mut open: std::collections::BTreeSet<u32> =
                some.iter().map(|it| it.stream).collect();
            while !open.is_empty() {
                let frame = self.next().await.expect("the connection goes on");
                let ends = frame.kind == RST_STREAM
                    || (matches!(frame.kind, DATA | HEADERS) && frame.flags & 1 != 0);
                if ends {
                    open.remove(&frame.stream);
                }
                frames.push(frame);
            }
        }
        frames
    }
}

/// The kinds of frames, each once.
pub(crate) fn kinds(frames: &[Frame]) -> Vec<u8> {
    let mut kinds: Vec<u8> = frames.iter().map(|it| it.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

/// Sets a key of `[section]` in the configuration that `init` wrote.
pub(crate) fn configure(room: &Installation, key: &str, value: impl std::fmt::Display) {
    let text = std::fs::read_to_string(room.config()).unwrap();
    let is_key = |line: &str| {
        line.trim_start_matches("# ")
            .split_once(" = ")
            .is_some_and(|(name, _)| name == key)
    };
    assert_eq!(text.lines().filter(|line| is_key(line)).count(), 1, "{key}");
    let lines = text.lines().map(|line| {
        if is_key(line) {
            format!("{key} = {value}\n")
        } else {
            format!("{line}\n")
        }
    });
    std::fs::write(room.config(), lines.collect::<String>()).unwrap();
}
