//! A good client while others attack: its p99 and the growth of the server's memory during slow clients
//! (silent ones, those that drip, those that read slowly), rapid resets, heads without end, bombs and
//! garbage. What a bomb costs, and that all garbage is among the drops. Everything on loopback,
//! everything ends by itself.

use anyhow::{Context as _, bail};
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use super::ingest::{output, text};
use super::process::Measured;
use super::{Options, build};
use crate::command::target_directory;

/// What a good client may wait, at the 99th percentile.
const P99_MS_MAX: f64 = 1_000.0;
/// How far the server's memory may grow.
const MEMORY_GROWTH_BYTES_MAX: f64 = 64.0 * 1_048_576.0;
/// What a bomb may cost the server's processors.
const BOMB_CPU_MS_MAX: f64 = 1_000.0;

/// # Errors
/// When something cannot be built or started, or a bar is missed.
#[expect(clippy::print_stdout, reason = "its output is its result")]
pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    let built = build(options, &["attack"])?;
    let program = built.join("strongroom");
    let room = target_directory()?.join("bench").join("attacked");
    if room.exists() {
        fs::remove_dir_all(&room)?;
    }
    let listen = ["--collect", "--api", "--console", "--ops"];
    let made = output(
        Command::new(&program)
            .arg("init")
            .arg(&room)
            .args(listen.iter().flat_map(|plane| [*plane, "127.0.0.1:0"]))
            .arg("--json"),
    )?;
    let config = text(&made, "config")?;
    let words = [
        "account", "create", "attacked", "--json", "--config", &config,
    ];
    let account = output(Command::new(&program).args(words))?;
    let mut server = Command::new(&program);
    server
        .args(["serve", "--config", &config])
        .stdout(Stdio::piped());
    let mut server = Measured(server.spawn().context("failed to start strongroom")?);
    let [collect, api] = addresses(&mut server, ["collect", "api"])?;
    let account = format!(
        "{}:{}",
        text(&account, "account_id")?,
        text(&account, "passcode")?
    );
    let mut attack = Command::new(built.join("examples/attack"));
    attack.args(["--collect", &collect, "--api", &api, "--account", &account]);
    attack.args(["--ca", &text(&made, "ca")?]);
    attack.args(["--pid", &server.0.id().to_string()]);
    attack.args(["--seconds", &options.seconds.to_string()]);
    let seen = output(&mut attack)?;
    let words = ["drops", "list", "--json", "--config", &config];
    let drops = output(Command::new(&program).args(words))?;
    drop(server);
    fs::remove_dir_all(&room)?;
    if options.json {
        println!("{seen:#}");
    } else {
        println!("{}", table(&seen));
    }
    let number = |field: &str| seen.get(field).and_then(Value::as_f64).context("no figure");
    let (p99_ms, growth) = (number("p99_ms")?, number("memory_growth_bytes")?);
    if p99_ms >= P99_MS_MAX || growth >= MEMORY_GROWTH_BYTES_MAX {
        bail!("a bar is missed: p99 {p99_ms:.0} ms, memory grew by {growth:.0} bytes");
    }
    let bomb_ms = number("bomb_cpu_ms")?;
    if bomb_ms > BOMB_CPU_MS_MAX {
        bail!("a bar is missed: a bomb took {bomb_ms:.0} ms of the processors");
    }
    compare(&seen, &drops)
}

/// Compares the garbage that was sent with the drops that there are.
///
/// # Errors
/// When they are not as many.
fn compare(seen: &Value, drops: &Value) -> anyhow::Result<()> {
    let garbage = seen.get("garbage").context("no garbage was counted")?;
    let path = text(garbage, "path")?;
    // What is no head has no path.
    for (reason, path) in [("unknown_url", path.as_str()), ("bare_lf", "")] {
        let groups = drops.as_array().into_iter().flatten();
        let groups = groups.filter(|group| {
            let is =
                |field: &str, value: &str| group.get(field).and_then(Value::as_str) == Some(value);
            is("reason", reason) && is("path", path)
        });
        let dropped: u64 = groups.filter_map(|it| it.get("count")?.as_u64()).sum();
        let sent = garbage.get(reason).and_then(Value::as_u64);
        if sent != Some(dropped) {
            bail!("{dropped} drops are `{reason}`, and {sent:?} were sent");
        }
    }
    Ok(())
}

/// Reads the server's lines until it has said where these planes listen.
pub(super) fn addresses<const N: usize>(
    server: &mut Measured,
    planes: [&str; N],
) -> anyhow::Result<[String; N]> {
    let stdout = server.0.stdout.take().context("the server has no output")?;
    let mut lines = BufReader::new(stdout).lines();
    let mut found = planes.map(|_| String::new());
    for line in lines.by_ref() {
        let line = line?;
        for (plane, place) in planes.iter().zip(&mut found) {
            if let Some((name, address)) = line.split_once("https://")
                && name.trim() == *plane
            {
                *place = address.trim().to_owned();
            }
        }
        if line.starts_with("ops") {
            break;
        }
    }
    // Keeps the pipe open and drained; the thread ends with the server.
    std::thread::spawn(move || lines.for_each(drop));
    if found.iter().any(String::is_empty) {
        bail!("the server did not say where it listens");
    }
    Ok(found)
}

fn table(seen: &Value) -> String {
    let mut table = String::from("| flood | uploads | p50, ms | p99, ms | memory growth, MiB |\n");
    table.push_str("| --- | --- | --- | --- | --- |\n");
    let floods = seen.get("floods").and_then(Value::as_array);
    for flood in floods.into_iter().flatten() {
        let number = |field: &str| flood.get(field).and_then(Value::as_f64).unwrap_or(0.0);
        table.push_str(&format!(
            "| {} | {:.0} | {:.1} | {:.1} | {:.1} |\n",
            flood.get("flood").and_then(Value::as_str).unwrap_or("?"),
            number("uploads"),
            number("p50_ms"),
            number("p99_ms"),
            number("memory_growth_bytes") / 1_048_576.0
        ));
    }
    let cost = seen.get("bomb_cpu_ms").and_then(Value::as_u64);
    table.push_str(&format!(
        "\nA bomb costs {} ms of the processors.",
        cost.unwrap_or_default()
    ));
    table
}
