//! The pages of the console over many events: how long one person waits for each, over TLS, from an
//! account with the events of 93 days, profiles, refusals and drops, all of it sealed and coded 4 + 2
//! on six directories and flushed into parts.

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::SystemTime;

use super::attack::addresses;
use super::ingest::{output, text};
use super::process::Measured;
use super::{Options, build};
use crate::command::target_directory;

/// What a page may take at the 95th percentile, over up to [`PAGES_EVENTS_MAX`] events.
const PAGE_P95_MS_MAX: f64 = 100.0;
const PAGES_EVENTS_MAX: u64 = 1_000_000;
/// What trends over all days may take at any time, the first one included.
const TRENDS_MS_MAX: f64 = 1_000.0;
/// Days that the generator spreads events over.
const DAYS: u64 = 93;
const DAY_S: u64 = 86_400;

/// # Errors
/// When something cannot be built or started, an event is not read back, or a bar is missed.
#[expect(clippy::print_stdout, reason = "its output is its result")]
pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    let built = build(options, &["load", "page_load"])?;
    let room = target_directory()?.join("bench").join("pages");
    if room.exists() {
        fs::remove_dir_all(&room)?;
    }
    let seen = measure(options, &built, &room)?;
    fs::remove_dir_all(&room)?;
    if options.json {
        println!("{seen:#}");
    } else {
        println!("{}", table(&seen));
    }
    let missed = missed(&seen, options.events);
    if !missed.is_empty() {
        bail!("a bar is missed: {}", missed.join(", "));
    }
    Ok(())
}

fn measure(options: &Options, built: &Path, room: &Path) -> anyhow::Result<Value> {
    let program = built.join("strongroom");
    let listen = ["--collect", "--api", "--console", "--ops"];
    let made = output(
        Command::new(&program)
            .arg("init")
            .arg(room)
            .args(listen.iter().flat_map(|plane| [*plane, "127.0.0.1:0"]))
            .arg("--json"),
    )?;
    let (config, ca) = (text(&made, "config")?, text(&made, "ca")?);
    let strongroom = |words: &[&str]| {
        output(
            Command::new(&program)
                .args(words)
                .args(["--config", &config, "--json"]),
        )
    };
    let account = strongroom(&["account", "create", "pages"])?;
    let (id, passcode) = (text(&account, "account_id")?, text(&account, "passcode")?);
    let mut server = Command::new(&program);
    server
        .args(["serve", "--config", &config])
        .stdout(Stdio::piped());
    let mut server = Measured(server.spawn().context("failed to start strongroom")?);
    let planes = addresses(&mut server, ["collect", "api", "console"])?;
    let [collect, api, console] =
        planes.map(|it| format!("https://{}", it.replace("127.0.0.1", "localhost")));

    let today = SystemTime::UNIX_EPOCH.elapsed()?.as_secs() / DAY_S * DAY_S;
    let start = (today - DAYS * DAY_S).to_string();
    let mut load = Command::new(built.join("examples/load"));
    load.args(["--url", &format!("{api}/1/upload"), "--ca", &ca]);
    load.args(["--account", &format!("{id}:{passcode}"), "--start", &start]);
    load.args(["--events", &options.events.to_string()]);
    load.args(["--batch", &options.batch.to_string()]);
    let loaded = output(&mut load)?;
    let pages = || {
        let mut load = Command::new(built.join("examples/page_load"));
        load.args(["--ca", &ca, "--account", &id]);
        load
    };
    let furnished = output(
        pages()
            .args(["furnish", "--api", &api, "--collect", &collect])
            .args(["--passcode", &passcode, "--start", &start]),
    )?;
    strongroom(&["job", "run", "flush"])?;
    strongroom(&["job", "run", "compaction"])?;
    let sql = "SELECT count(*) AS events FROM events";
    let rows = strongroom(&["query", "--account", &id, sql])?;
    let read_back = rows.pointer("/0/events").and_then(Value::as_u64);
    let number = |value: &Value, field: &str| value.get(field).and_then(Value::as_u64);
    let sent = number(&loaded, "records_sent")
        .zip(number(&furnished, "events"))
        .map(|(events, rare)| events + rare);
    if sent.is_none() || sent != read_back {
        bail!("sent {sent:?} events and read {read_back:?} back");
    }
    // A server that has just started holds nothing in memory.
    drop(server);
    let mut server = Command::new(&program);
    server
        .args(["serve", "--config", &config])
        .stdout(Stdio::piped());
    let mut server = Measured(server.spawn().context("failed to start strongroom")?);
    let [console_now] = addresses(&mut server, ["console"])?;
    let console_now = format!("https://{}", console_now.replace("127.0.0.1", "localhost"));
    drop(console);
    let seen = output(
        pages()
            .args(["measure", "--console", &console_now])
            .args(["--link", &text(&account, "setup_url")?])
            .args(["--times", &options.times.to_string()]),
    )?;
    Ok(json!({
        "pages": seen.get("pages").context("no pages were measured")?,
        "times": options.times,
        "events": sent,
        "peak_memory_bytes": server.peak_memory_bytes()?,
        "profile": options.profile,
    }))
}

fn pages(seen: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let pages = seen.get("pages").and_then(Value::as_array);
    pages.into_iter().flatten().map(|page| {
        let name = page.get("page").and_then(Value::as_str);
        (name.unwrap_or("?"), page)
    })
}

fn number(page: &Value, field: &str) -> f64 {
    page.get(field)
        .and_then(Value::as_f64)
        .unwrap_or(f64::INFINITY)
}

/// Which pages are slower than they may be.
fn missed(seen: &Value, events: u64) -> Vec<String> {
    let mut missed = Vec::new();
    for (name, page) in pages(seen) {
        let (p95_ms, max_ms) = (number(page, "p95_ms"), number(page, "max_ms"));
        if events <= PAGES_EVENTS_MAX && p95_ms >= PAGE_P95_MS_MAX {
            missed.push(format!("{name}: p95 {p95_ms:.0} ms"));
        }
        if name.starts_with("/events?days=90") && max_ms >= TRENDS_MS_MAX {
            missed.push(format!("{name}: {max_ms:.0} ms once"));
        }
    }
    missed
}

fn table(seen: &Value) -> String {
    let mut table = String::from(
        "| page | first, ms | p50, ms | p95, ms | max, ms | bytes |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    for (name, page) in pages(seen) {
        let _ = writeln!(
            table,
            "| `{name}` | {:.0} | {:.1} | {:.1} | {:.0} | {:.0} |",
            number(page, "first_ms"),
            number(page, "p50_ms"),
            number(page, "p95_ms"),
            number(page, "max_ms"),
            number(page, "bytes"),
        );
    }
    let memory = number(seen, "peak_memory_bytes") / 1_048_576.0;
    let _ = writeln!(
        table,
        "\n{:.0} events, each page opened {:.0} times. Peak memory: {memory:.0} MiB. Profile `{}`.",
        number(seen, "events"),
        number(seen, "times"),
        seen.get("profile").and_then(Value::as_str).unwrap_or("?"),
    );
    table
}
