//! The load of the web benchmark: browsers that send single events as the web SDK does, one GET each,
//! over keep-alive TLS connections, the next when the one before was answered. Prints one JSON object
//! of what it saw.
//!
//! The requests are made before the clock starts and answers are looked at no further than their
//! end, so that little of the generator's cost is in the figures.

#![expect(clippy::print_stdout, reason = "its output is its result")]

use anyhow::{Context as _, ensure};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use model::{Clock, SystemClock};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// 2026-09-21T14:13:20Z.
const START: usize = 1_790_000_000;
const EVENTS: [&str; 8] = [
    "Product Viewed",
    "Added To Cart",
    "Searched",
    "Page Opened",
    "Category Viewed",
    "Wishlist Changed",
    "Filter Used",
    "Review Read",
];

#[derive(Debug, Parser)]
struct Options {
    /// The collect plane
    #[arg(long)]
    collect: SocketAddr,
    /// Certificates to trust, PEM
    #[arg(long)]
    ca: PathBuf,
    /// The account's id
    #[arg(long)]
    account: String,
    /// Events in all
    #[arg(long, default_value_t = 100_000)]
    events: usize,
    /// Connections
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Seed of the browsers' ids
    #[arg(long, default_value_t = 1)]
    seed: usize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(&options.ca)? {
        roots.add(certificate?)?;
    }
    let mut config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let connector = TlsConnector::from(Arc::new(config));
    let share = options.events / options.connections;
    // Before the first connection: packing takes longer than a server lets one idle.
    let requests: Vec<Vec<Vec<u8>>> = (0..options.connections)
        .map(|number| (0..share).map(|it| request(&options, number, it)).collect())
        .collect();
    let mut browsers = Vec::new();
    for requests in requests {
        let tcp = TcpStream::connect(options.collect).await?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from("localhost")?;
        browsers.push((connector.connect(name, tcp).await?, requests));
    }
    let request_bytes: usize = browsers
        .iter()
        .flat_map(|(_, requests)| requests)
        .map(Vec::len)
        .sum();

    let style =
        ProgressStyle::with_template("{wide_bar} {human_pos}/{human_len} events {per_sec} {eta}")?;
    let bar = ProgressBar::new((share * options.connections) as u64).with_style(style);
    let started = clock.monotonic();
    let sending: Vec<_> = browsers
        .into_iter()
        .map(|(tls, requests)| tokio::spawn(browse(tls, requests, Arc::clone(&clock), bar.clone())))
        .collect();
    let mut latencies: Vec<Duration> = Vec::new();
    for browser in sending {
        latencies.extend(browser.await??);
    }
    let wall = clock.monotonic().saturating_sub(started);
    bar.finish_and_clear();
    latencies.sort_unstable();
    let quantile = |share: usize| {
        latencies
            .get(latencies.len() * share / 100)
            .map_or(0.0, |it| it.as_secs_f64() * 1e3)
    };
    println!(
        "{}",
        serde_json::json!({
            "events_sent": latencies.len(),
            "request_bytes": request_bytes,
            "wall_s": wall.as_secs_f64(),
            "p50_ms": quantile(50),
            "p99_ms": quantile(99),
        })
    );
    Ok(())
}

/// One event of one browser: no two are the same.
fn request(options: &Options, browser: usize, place: usize) -> Vec<u8> {
    let (account, seed) = (&options.account, options.seed);
    let device = format!("{seed:08x}{browser:024x}");
    let name = EVENTS.get(place % EVENTS.len()).unwrap_or(&"Page Opened");
    let message = format!(
        "{{\"type\":\"event\",\"evtName\":\"{name}\",\"evtData\":{{\"n\":{place},\"sku\":\"sku-{}\",\
         \"price\":{}.5,\"currency\":\"EUR\",\"listed\":true,\"rank\":{}}},\"id\":\"{account}\",\
         \"g\":\"{device}\",\"s\":{START},\"pg\":{},\"af\":{{\"lib\":\"web-sdk-v2.5.2\",\
         \"protocol\":\"https\"}}}}",
        place * 7_919 % 1_000,
        place % 300,
        place % 40,
        place / 20 + 1,
    );
    let packed = lz_str::compress_to_base64(message.as_str());
    let packed = packed
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D");
    format!(
        "GET /a?t=96&type=push&rn={}&i={}&sn={}&gc={device}&useIP=false&r={place}&d={packed} HTTP/1.1\r\n\
         Host: localhost\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\n\
         Accept: */*\r\nAccept-Encoding: gzip, deflate, br\r\nAccept-Language: en\r\n\
         Referer: https://shop.example/\r\n\r\n",
        place + 1,
        START + place / 10,
        place % 10,
    )
    .into_bytes()
}

/// Sends one after the other; how long each answer took.
async fn browse(
    mut tls: TlsStream<TcpStream>,
    requests: Vec<Vec<u8>>,
    clock: Arc<dyn Clock>,
    bar: ProgressBar,
) -> anyhow::Result<Vec<Duration>> {
    let mut latencies = Vec::with_capacity(requests.len());
    let mut buffer = vec![0; 16 * 1024];
    for request in requests {
        let sent = clock.monotonic();
        tls.write_all(&request).await?;
        tls.flush().await?;
        let mut filled = 0;
        while !is_whole(buffer.get(..filled).unwrap_or_default())? {
            let room = buffer.get_mut(filled..).unwrap_or_default();
            let read = tls.read(room).await?;
            ensure!(read > 0, "the server closed a connection");
            filled += read;
        }
        latencies.push(clock.monotonic().saturating_sub(sent));
        bar.inc(1);
    }
    Ok(latencies)
}

/// Whether an answer has come to its end; a failure when it is none of success.
fn is_whole(answer: &[u8]) -> anyhow::Result<bool> {
    let Some(end) = memchr::memmem::find(answer, b"\r\n\r\n") else {
        return Ok(false);
    };
    let (head, body) = answer.split_at(end + 4);
    let head = std::str::from_utf8(head)?.to_ascii_lowercase();
    ensure!(
        head.starts_with("http/1.1 200"),
        "not answered with success: {head}"
    );
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .context("an answer without a length")?;
    Ok(body.len() >= length.trim().parse::<usize>()?)
}
