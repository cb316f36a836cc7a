//! The load of the ingest benchmark: uploads generated events over keep-alive connections, as fast as
//! they are answered, and prints one JSON object of what it saw.
//!
//! The bodies are made before the clock starts, so that the generator's cost is in no figure.

#![expect(clippy::print_stdout, reason = "its output is its result")]

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::indexing_slicing,
    reason = "shared with the tests, which allow these"
)]
#[path = "../tests/it/generate.rs"]
mod generate;

use anyhow::Context as _;
use bytes::Bytes;
use clap::Parser;
use model::{Clock as _, SystemClock};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug, Parser)]
struct Options {
    /// Where to POST, for example `https://localhost:8442/1/upload`
    #[arg(long)]
    url: String,
    /// Certificates to trust, PEM
    #[arg(long)]
    ca: PathBuf,
    /// `ID:PASSCODE`, once for each account; connections take them in turn
    #[arg(long)]
    account: Vec<String>,
    /// Events in all
    #[arg(long, default_value_t = 1_000_000)]
    events: usize,
    /// Events a body
    #[arg(long, default_value_t = 1_000)]
    batch: usize,
    /// Connections
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Seed of the generated events
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// First second of the generated days
    #[arg(long, default_value_t = 1_785_542_400)]
    start: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let clock = Arc::new(SystemClock::new());
    let roots = reqwest::Certificate::from_pem_bundle(&std::fs::read(&options.ca)?)?;
    let share = options.events / options.connections / options.batch;

    let mut connections = Vec::new();
    for number in 0..options.connections {
        let first = (number * share * options.batch) as u64;
        let mut generator =
            generate::Generator::new(options.seed + number as u64, options.start, first);
        let bodies: Vec<Bytes> = (0..share)
            .map(|_| Bytes::from(generator.body(options.batch, |_| ())))
            .collect();
        let account = options.account.get(number % options.account.len().max(1));
        let (id, passcode) = account
            .and_then(|account| account.split_once(':'))
            .unwrap_or_default();
        let http = reqwest::Client::builder()
            .tls_certs_only(roots.clone())
            .http1_only()
            .pool_max_idle_per_host(1)
            .build()?;
        connections.push((http, bodies, id.to_owned(), passcode.to_owned()));
    }
    let body_bytes: usize = connections
        .iter()
        .flat_map(|(_, bodies, ..)| bodies)
        .map(Bytes::len)
        .sum();

    let started = clock.monotonic();
    let uploads: Vec<_> = connections
        .into_iter()
        .map(|(http, bodies, id, passcode)| {
            let (clock, url) = (Arc::clone(&clock), options.url.clone());
            tokio::spawn(async move {
                let mut latencies = Vec::with_capacity(bodies.len());
                for body in bodies {
                    let sent = clock.monotonic();
                    let request = http
                        .post(&url)
                        .header("X-CleverTap-Account-Id", &id)
                        .header("X-CleverTap-Passcode", &passcode)
                        .body(body);
                    let answer = request.send().await?.error_for_status()?;
                    answer.bytes().await?;
                    latencies.push(clock.monotonic().saturating_sub(sent));
                }
                Ok::<_, reqwest::Error>(latencies)
            })
        })
        .collect();
    let mut latencies: Vec<Duration> = Vec::new();
    for upload in uploads {
        latencies.extend(
            upload
                .await?
                .context("an upload was not answered with success")?,
        );
    }
    let wall = clock.monotonic().saturating_sub(started);

    latencies.sort_unstable();
    let quantile = |share: usize| {
        latencies
            .get(latencies.len() * share / 100)
            .map_or(0.0, |it| it.as_secs_f64() * 1e3)
    };
    let sent = latencies.len() * options.batch;
    println!(
        "{}",
        serde_json::json!({
            "records_sent": sent,
            "body_bytes": body_bytes,
            "wall_s": wall.as_secs_f64(),
            "p50_ms": quantile(50),
            "p99_ms": quantile(99),
        })
    );
    Ok(())
}
