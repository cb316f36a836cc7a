//! Single events as the web SDK sends them: one GET each over 64 keep-alive connections, each
//! answered when it is sealed, coded and fsynced on six directories.

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::attack::addresses;
use super::ingest::{output, text};
use super::process::Measured;
use super::{Options, build};
use crate::command::target_directory;

/// Events that a second of one core must be enough for.
const EVENTS_PER_CPU_SECOND_MIN: f64 = 3_000.0;
/// What an event may wait for its answer, at the 99th percentile.
const P99_MS_MAX: f64 = 100.0;

/// # Errors
/// When something cannot be built or started, an event is not read back, or a bar is missed.
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "its output is its result, and how far it is"
)]
pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    let built = build(options, &["web_load"])?;
    let mut runs = Vec::new();
    let folder = target_directory()?.join("bench").join("web");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    for round in 0..options.runs {
        eprintln!(
            "run {} of {}: {} events over 64 connections",
            round + 1,
            options.runs,
            options.events
        );
        runs.push(one(options, &built, &folder, round)?);
    }
    fs::remove_dir_all(&folder)?;
    let number = |run: &Value, field: &str| {
        let found = run.get(field).and_then(Value::as_f64);
        found.with_context(|| format!("no `{field}`"))
    };
    runs.sort_by(|a, b| {
        let of = |run| number(run, "events_per_cpu_s").unwrap_or(0.0);
        of(a).total_cmp(&of(b))
    });
    let median = runs.get(runs.len() / 2).context("nothing was measured")?;
    if options.json {
        println!("{median:#}");
    } else {
        println!("{}", table(median));
    }
    let (rate, p99_ms) = (
        number(median, "events_per_cpu_s")?,
        number(median, "p99_ms")?,
    );
    if rate < EVENTS_PER_CPU_SECOND_MIN || p99_ms >= P99_MS_MAX {
        bail!("a bar is missed: {rate:.0} events a CPU-second, p99 {p99_ms:.1} ms");
    }
    Ok(())
}

fn one(options: &Options, built: &Path, folder: &Path, round: usize) -> anyhow::Result<Value> {
    let program = built.join("strongroom");
    let room = folder.join(round.to_string());
    let listen = ["--collect", "--api", "--console", "--ops"];
    let made = output(
        Command::new(&program)
            .arg("init")
            .arg(&room)
            .args(listen.iter().flat_map(|plane| [*plane, "127.0.0.1:0"]))
            .arg("--json"),
    )?;
    let config = text(&made, "config")?;
    let words = ["account", "create", "web", "--json", "--config", &config];
    let account = text(&output(Command::new(&program).args(words))?, "account_id")?;
    let mut server = Command::new(&program);
    server
        .args(["serve", "--config", &config])
        .stdout(Stdio::piped());
    let mut server = Measured(server.spawn().context("failed to start strongroom")?);
    let [collect] = addresses(&mut server, ["collect"])?;

    let before = server.cpu_seconds()?;
    let mut load = Command::new(built.join("examples/web_load"));
    load.args(["--collect", &collect, "--account", &account]);
    load.args(["--ca", &text(&made, "ca")?]);
    load.args(["--events", &options.events.to_string()]);
    load.args(["--seed", &(round + 1).to_string()]);
    let seen = output(&mut load)?;
    let cpu_s = server.cpu_seconds()? - before;
    let peak_memory_bytes = server.peak_memory_bytes()?;

    let sql = "SELECT count(*) AS events FROM events";
    let words = ["query", "--config", &config, "--account", &account];
    let rows = output(Command::new(&program).args(words).args(["--json", sql]))?;
    let read_back = rows.pointer("/0/events").and_then(Value::as_u64);
    drop(server);
    let sent = seen.get("events_sent").and_then(Value::as_u64);
    if sent.is_none() || sent != read_back {
        bail!("sent {sent:?} events and read {read_back:?} back");
    }
    let number = |field: &str| {
        let found = seen.get(field).and_then(Value::as_f64);
        found.with_context(|| format!("no `{field}`"))
    };
    let count = number("events_sent")?;
    Ok(json!({
        "events_per_cpu_s": count / cpu_s,
        "events_per_s": count / number("wall_s")?,
        "p50_ms": number("p50_ms")?,
        "p99_ms": number("p99_ms")?,
        "events_sent": sent,
        "events_read_back": read_back,
        "peak_memory_bytes": peak_memory_bytes,
        "connections": 64,
        "runs": options.runs,
        "profile": options.profile,
    }))
}

fn table(seen: &Value) -> String {
    let number = |field: &str| seen.get(field).and_then(Value::as_f64).unwrap_or(0.0);
    format!(
        "| events a second of one core | events a second | p50, ms | p99, ms | peak memory, MiB |\n\
         | --- | --- | --- | --- | --- |\n| {:.0} | {:.0} | {:.1} | {:.1} | {:.0} |\n",
        number("events_per_cpu_s"),
        number("events_per_s"),
        number("p50_ms"),
        number("p99_ms"),
        number("peak_memory_bytes") / 1_048_576.0,
    )
}
