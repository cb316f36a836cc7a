//! One connection: handshake, then HTTP/1.1 or HTTP/2 until it ends.
//!
//! No byte of ours leaves but as an answer of a router (and what HTTP/2 needs to say about the
//! connection itself): what the HTTP libraries would refuse in words of their own is refused below
//! them, by [`Strict`] and [`Frames`].

use axum::Router;
use axum::body::Body;
use collect::Refused;
use governance::Network;
use http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use model::limit;
use model::record::Plane;
use rustls::ProtocolVersion;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::address::Names;
use super::body::{Left, Timed};
use super::busy::{Busy, Idle, Token};
use super::crowd::Crowd;
use super::frames::Frames;
use super::heads::{self, Heads};
use super::hello::{ALERT_TOO_OLD, BYTES, HANDSHAKE_RECORD, Hello, rest_of_record};
use super::proxies;
use super::report::{Report, TOO_MANY_STREAMS};
use super::stream::{Patient, discard};
use super::streams::Streams;
use super::strict::Strict;
use super::{Listener, Shared};

/// Streams at a time on one HTTP/2 connection.
const STREAMS_MAX: u32 = 128;
/// Streams that a peer has reset and we have not yet looked at (CVE-2023-44487).
const RESET_STREAMS_MAX: usize = 64;
/// Streams that we have reset for the peer's faults (CVE-2025-8671).
const FAULTY_STREAMS_MAX: usize = 64;
/// Bytes of one stream that a peer may send before we take them.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
/// Bytes of one connection that a peer may send before we take them.
const CONNECTION_WINDOW_BYTES: u32 = 2 * 1024 * 1024;
/// Bytes of one stream's answers that wait to be written.
const SEND_BUFFER_BYTES: usize = 256 * 1024;
/// How often an idle HTTP/2 peer is asked whether it is there.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// What the library may hold beyond a head: bytes that came with it.
const READ_AHEAD_BYTES: usize = 16 * 1024;

/// Serves a connection to its end.
pub(super) async fn serve(
    tcp: TcpStream,
    peer: SocketAddr,
    listener: &Listener,
    shared: &Shared,
    commons: Commons,
    stop: CancellationToken,
) {
    // Answers are small and complete: waiting to fill packets only delays them.
    if tcp.set_nodelay(true).is_err() {
        return;
    }
    let Some(tls) = secure(tcp, peer, listener, shared).await else {
        return;
    };
    let (_, session) = tls.get_ref();
    let tls_version = match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => "1.2",
        _ => "1.3",
    };
    if session.alpn_protocol() == Some(crate::tls::acme::PROTOCOL) {
        // A validating authority has seen what it wanted to see.
        return;
    }
    let is_http2 = session.alpn_protocol() == Some(b"h2");
    let names = Names {
        asked: session
            .server_name()
            .map(|name| name.to_ascii_lowercase().into_boxed_str()),
        covered: listener.certificates.names(listener.plane),
    };
    metrics::counter!(
        "strongroom_handshakes_total",
        "plane" => listener.plane.as_str(), "tls_version" => tls_version
    )
    .increment(1);
    let about = collect::Connection {
        peer,
        tls_version,
        plane: listener.plane,
    };
    let requests = Requests {
        router: listener.router.clone(),
        names,
        report: Report::new(about, shared.drops.clone()),
        busy: Busy::default(),
        commons,
        is_proxied: shared.is_proxy(peer.ip()),
        proxies: Arc::from(shared.proxies.as_slice()),
        stall: shared.limits.stall_timeout(),
    };
    if is_http2 {
        serve_http2(tls, requests, shared, stop).await;
    } else {
        serve_http1(tls, requests, shared, stop).await;
    }
}

/// What the connections of one plane share. A cheap handle.
#[derive(Debug, Clone, Default)]
pub(super) struct Commons {
    heads: Heads,
    crowd: Crowd,
}

/// What the requests of one connection share.
#[derive(Debug, Clone)]
struct Requests {
    router: Router,
    names: Names,
    report: Report,
    busy: Busy,
    commons: Commons,
    /// Whether the other end is a proxy whose word is taken.
    is_proxied: bool,
    proxies: Arc<[Network]>,
    stall: Duration,
}

impl Requests {
    async fn answer(
        self,
        request: Request<Incoming>,
        token: Token,
    ) -> Result<Response<Body>, NotAnswered> {
        let mut room = self.commons.heads.room();
        let has_room = room.set(heads::bytes_of(&request));
        let judged = self.names.judge(&request);
        let judged = judged.or_else(|| (!has_room).then_some("head_too_large"));
        let preset = judged.map(collect::Preset);
        let left = Left::default();
        let version = request.version();
        let timed = |body| Body::new(Timed::new(body, version, left.clone(), self.stall));
        let mut request = request.map(timed);
        let mut about = self.report.about().clone();
        if self.is_proxied
            && let Some(client) = proxies::client(request.headers(), &self.proxies)
        {
            about.peer.set_ip(client);
        }
        let extensions = request.extensions_mut();
        extensions.insert(about);
        extensions.insert(self.report.voice());
        if let Some(preset) = preset {
            extensions.insert(preset);
        }
        let Ok(response) = self.router.oneshot(request).await;
        if response.extensions().get::<collect::Silence>().is_some() {
            return Err(NotAnswered::Silenced);
        }
        self.report.answer();
        // Of HTTP/1, what is left is read when the connection is closed for it.
        let left = if version == Version::HTTP_2 {
            left
        } else {
            Left::default()
        };
        Ok(response.map(|body| token.hold(body, left)))
    }

    /// Begins a request that may not be the only one of its connection.
    ///
    /// # Errors
    /// There is no place for it; nothing of it was looked at, and whoever sent it may send it again.
    fn begin(&self, request: &Request<Incoming>) -> Result<Token, NotAnswered> {
        if self.busy.in_progress() == 0 {
            return Ok(self.busy.begin(None));
        }
        let peer = self.report.about().peer.ip();
        let place = self.commons.crowd.enter(peer, self.is_proxied);
        if place.is_none() {
            let method = request.method().as_str().into();
            let path = collect::cleaned_path(request.uri().path());
            self.report.refuse_head(TOO_MANY_STREAMS, 0, method, path);
            let refused = h2::Error::from(h2::Reason::REFUSED_STREAM);
            return Err(NotAnswered::Refused(refused));
        }
        Ok(self.busy.begin(place))
    }
}

/// Makes the HTTP library close the connection, or reset the stream, without a byte.
#[derive(Debug, thiserror::Error)]
enum NotAnswered {
    #[error("dropped in silence")]
    Silenced,
    /// The library resets the stream with the reason that it finds here.
    #[error("one request too many")]
    Refused(#[source] h2::Error),
}

// Errors of a connection are the peer's: it went away, was too slow or broke the protocol. What was
// dropped has its line already.

async fn serve_http1(
    tls: TlsStream<Patient>,
    requests: Requests,
    shared: &Shared,
    stop: CancellationToken,
) {
    let (report, busy) = (requests.report.clone(), requests.busy.clone());
    let io = TokioIo::new(Strict::new(
        tls,
        requests.commons.heads.room(),
        busy.clone(),
        report.clone(),
    ));
    let service = service_fn(|request| requests.clone().answer(request, busy.begin(None)));
    let mut connection = std::pin::pin!(http1(shared).serve_connection(io, service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection => ended,
                () = busy.quiet() => Ok(()),
            }
        }
    };
    if ended.is_err_and(|error| error.is_timeout()) && report.is_in_head() {
        report.refuse("head_timeout");
    }
}

async fn serve_http2(
    tls: TlsStream<Patient>,
    requests: Requests,
    shared: &Shared,
    stop: CancellationToken,
) {
    let (report, busy) = (requests.report.clone(), requests.busy.clone());
    let streams = Streams::default();
    let io = TokioIo::new(Frames::new(
        tls,
        requests.commons.heads.room(),
        busy.clone(),
        report.clone(),
        streams.clone(),
    ));
    let service = service_fn(|request| {
        let stream = streams.begin();
        let begun = requests.begin(&request);
        if let (Some(stream), Err(_)) = (stream, &begun) {
            streams.refuse(stream);
        }
        let requests = requests.clone();
        async move { requests.answer(request, begun?).await }
    });
    let mut connection = std::pin::pin!(http2(shared).serve_connection(io, service));
    let sent = || report.sent();
    tokio::select! {
        () = served(connection.as_mut(), &streams, &report) => {}
        idle = busy.idle(shared.limits.head_timeout(), shared.limits.stall_timeout(), sent) => {
            if idle == Idle::Nothing && report.is_in_head() {
                report.refuse("head_timeout");
            }
        }
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection => drop(ended),
                () = busy.quiet() => {}
            }
        }
    }
}

/// Returns when a connection over HTTP/2 has ended. At a CONNECT that announces a body the library
/// returns as well, without a word and with requests in progress. That is one drop; the library goes
/// on when it is asked to.
async fn served(
    mut connection: Pin<&mut impl Future<Output = hyper::Result<()>>>,
    streams: &Streams,
    report: &Report,
) {
    while connection.as_mut().await.is_ok() && streams.settle() {
        report.refuse_head("unknown_url", 0, "CONNECT".into(), Box::default());
    }
}

fn http1(shared: &Shared) -> hyper::server::conn::http1::Builder {
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(shared.limits.head_timeout())
        .max_buf_size(limit::HEAD_BYTES_MAX + READ_AHEAD_BYTES)
        .max_headers(limit::HEADERS_MAX);
    builder
}

fn http2(shared: &Shared) -> hyper::server::conn::http2::Builder<TokioExecutor> {
    let head_bytes = u32::try_from(limit::HEAD_BYTES_MAX).unwrap_or(u32::MAX);
    let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_pending_accept_reset_streams(RESET_STREAMS_MAX)
        .max_local_error_reset_streams(FAULTY_STREAMS_MAX)
        .max_header_list_size(head_bytes)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(shared.limits.stall_timeout());
    builder
}

/// Why a connection did not come to HTTP.
#[derive(Debug)]
struct Refusal {
    /// A stable word for the request log and the metrics.
    reason: &'static str,
    /// The version of TLS that was offered, where that is known.
    offered: &'static str,
}

/// The handshake, in its time; none when the connection was refused. That is counted before the socket
/// is closed: whoever has seen the close finds the drop.
async fn secure(
    tcp: TcpStream,
    peer: SocketAddr,
    listener: &Listener,
    shared: &Shared,
) -> Option<TlsStream<Patient>> {
    let limit = shared.limits.handshake_timeout();
    let mut handshake = std::pin::pin!(handshake(tcp, peer, listener, shared));
    if let Ok(tls) = tokio::time::timeout(limit, handshake.as_mut()).await {
        return tls;
    }
    let refusal = Refusal {
        reason: "handshake_timeout",
        offered: "",
    };
    refuse(&refusal, peer, listener.plane, shared);
    None
}

async fn handshake(
    mut tcp: TcpStream,
    peer: SocketAddr,
    listener: &Listener,
    shared: &Shared,
) -> Option<TlsStream<Patient>> {
    let refuse = |reason, offered| {
        refuse(&Refusal { reason, offered }, peer, listener.plane, shared);
    };
    let first = match first_bytes(&mut tcp).await {
        Ok(first) => first,
        Err(reason) => {
            refuse(reason, "");
            discard(&tcp);
            return None;
        }
    };
    let hello = Hello::read(&first);
    let offered = hello.version();
    if hello == Hello::NotTls {
        // Not even an alert: whoever does not speak TLS learns nothing.
        refuse("not_tls", offered);
        discard(&tcp);
        return None;
    }
    if hello.is_too_old() {
        // The library would first miss extensions that such clients do not know, and say that.
        let is_read = read_rest(&mut tcp, &first).await.is_ok();
        refuse("tls_version", offered);
        if is_read {
            turn_away(&mut tcp).await;
        }
        return None;
    }
    let stream = Patient::new(tcp, first, shared.limits.stall_timeout());
    let accepted = listener.acceptor.accept(stream).into_fallible().await;
    accepted
        .map_err(|(error, stream)| {
            refuse(reason(&error), offered);
            drop(stream);
        })
        .ok()
}

/// The first bytes of a connection, or why there are none: whatever is not TLS is known by its first
/// byte, and need not send more.
async fn first_bytes(tcp: &mut TcpStream) -> Result<[u8; BYTES], &'static str> {
    let mut first = [0; BYTES];
    let mut come = 0;
    while let Some(rest) = first.get_mut(come..).filter(|rest| !rest.is_empty()) {
        match tcp.read(rest).await {
            Ok(count) if count > 0 => come += count,
            Ok(_) | Err(_) if come == 0 => return Err("closed"),
            Ok(_) | Err(_) => return Err("malformed"),
        }
        if first.first() != Some(&HANDSHAKE_RECORD) {
            return Err("not_tls");
        }
    }
    Ok(first)
}

/// Reads a client's hello to its end: closing with bytes unread would reset the connection, and what
/// is said last with it.
async fn read_rest(tcp: &mut TcpStream, first: &[u8; BYTES]) -> std::io::Result<usize> {
    let mut rest = tcp.take(rest_of_record(first));
    rest.read_to_end(&mut Vec::new()).await
}

/// Tells a client that its version of TLS is too old.
async fn turn_away(tcp: &mut TcpStream) {
    if tcp.write_all(&ALERT_TOO_OLD).await.is_ok() {
        // Whoever has gone meanwhile does not hear it.
        drop(tcp.shutdown().await);
    }
}

/// What the TLS library said, as one of our words.
fn reason(error: &std::io::Error) -> &'static str {
    use rustls::{Error, PeerIncompatible as P};
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        Some(Error::PeerIncompatible(
            P::Tls12NotOffered
            | P::Tls12NotOfferedOrEnabled
            | P::ServerTlsVersionIsDisabledByOurConfig
            | P::SupportedVersionsExtensionRequired,
        )) => "tls_version",
        Some(Error::PeerIncompatible(P::NoCipherSuitesInCommon)) => "cipher_suites",
        Some(Error::PeerIncompatible(
            P::NoSignatureSchemesInCommon | P::SignatureAlgorithmsExtensionRequired,
        )) => "signature_schemes",
        Some(Error::PeerIncompatible(P::NoKxGroupsInCommon | P::NamedGroupsExtensionRequired)) => {
            "groups"
        }
        Some(Error::PeerIncompatible(_)) => "incompatible",
        Some(Error::General(_)) => "no_certificate",
        Some(Error::AlertReceived(_)) => "alert_received",
        Some(Error::NoApplicationProtocol) => "protocol",
        // Whoever said something and then nothing more has broken off.
        Some(_) | None => "malformed",
    }
}

/// Counts and logs a connection that was not served. Who came and went without a word is counted
/// only: load balancers do that every second.
fn refuse(refusal: &Refusal, peer: SocketAddr, plane: Plane, shared: &Shared) {
    metrics::counter!(
        "strongroom_handshakes_refused_total",
        "plane" => plane.as_str(), "reason" => refusal.reason, "offered" => refusal.offered
    )
    .increment(1);
    if refusal.reason == "closed" {
        return;
    }
    shared.drops.refuse(Refused {
        plane,
        peer: peer.ip(),
        tls_version: refusal.offered,
        method: "-".into(),
        path: Box::default(),
        status: 0,
        reason: refusal.reason,
        size_bytes: 0,
    });
}
