//! Uploads over TLS: Strongroom, which parses, seals, codes and fsyncs on six volumes before it
//! answers, beside nginx, which writes the same bodies to its log and does nothing else.

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::process::Measured;
use super::{Options, build};
use crate::command::{root, target_directory};
use crate::peers;

/// More than connections ÷ the account's ceiling of 15 uploads at a time, so that none is met.
const ACCOUNTS: usize = 4;

/// One run of one server.
#[derive(Debug, Clone)]
struct Run {
    cpu_s_per_million: f64,
    events_per_s: f64,
    p99_ms: f64,
    records_sent: u64,
    records_read_back: u64,
    peak_memory_bytes: u64,
}

/// # Errors
/// See [`super::run`].
#[expect(clippy::print_stdout, reason = "its output is its result")]
pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    let built = build(options, &["load"])?;
    let programs = Programs {
        strongroom: built.join("strongroom"),
        load: built.join("examples/load"),
    };
    let folder = target_directory()?.join("bench").join("ingest");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    peers::programs(&[("nginx", "nginx-light")])?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..options.runs {
        ours.push(strongroom(&programs, &folder, options, round)?);
        theirs.push(nginx(&programs, &folder, options, round)?);
    }
    // What the runs have written goes after the last one only: ext4 looks over the inodes that were freed
    // in the last minutes whenever it makes a file, and the next run would pay for that.
    fs::remove_dir_all(&folder)?;
    let (ours, theirs) = (median(&ours)?, median(&theirs)?);
    let result = json!({
        "cpu_ratio_to_nginx": ours.cpu_s_per_million / theirs.cpu_s_per_million,
        "cpu_s_per_million": ours.cpu_s_per_million,
        "nginx_cpu_s_per_million": theirs.cpu_s_per_million,
        "events_per_s": ours.events_per_s,
        "nginx_events_per_s": theirs.events_per_s,
        "p99_ms": ours.p99_ms,
        "nginx_p99_ms": theirs.p99_ms,
        "records_sent": ours.records_sent,
        "records_read_back": ours.records_read_back,
        "peak_memory_bytes": ours.peak_memory_bytes,
        "events_a_body": options.batch,
        "runs": options.runs,
        "profile": options.profile,
    });
    if options.json {
        println!("{result:#}");
        return Ok(());
    }
    let page = root().join("docs/benchmarks.md");
    let text = fs::read_to_string(&page).with_context(|| format!("failed to read {page:?}"))?;
    fs::write(&page, replace_table(&text, &table(&result))?)?;
    println!("{}", table(&result));
    Ok(())
}

/// The programs of the measurement.
#[derive(Debug)]
struct Programs {
    strongroom: PathBuf,
    load: PathBuf,
}

fn strongroom(
    programs: &Programs,
    folder: &Path,
    options: &Options,
    round: usize,
) -> anyhow::Result<Run> {
    let room = folder.join(format!("strongroom-{round}"));
    fs::create_dir_all(folder)?;
    let listen = ["--collect", "--api", "--console", "--ops"];
    let made = output(
        Command::new(&programs.strongroom)
            .arg("init")
            .arg(&room)
            .args(listen.iter().flat_map(|plane| [*plane, "127.0.0.1:0"]))
            .arg("--json"),
    )?;
    let config = text(&made, "config")?;
    let ca = text(&made, "ca")?;
    let mut accounts = Vec::new();
    for number in 0..ACCOUNTS {
        let name = format!("bench {number}");
        let words = ["account", "create", &name, "--json", "--config", &config];
        let account = output(Command::new(&programs.strongroom).args(words))?;
        accounts.push((text(&account, "account_id")?, text(&account, "passcode")?));
    }
    let mut server = Command::new(&programs.strongroom);
    server
        .args(["serve", "--config", &config])
        .stdout(Stdio::piped());
    let mut server = Measured(server.spawn().context("failed to start strongroom")?);
    let url = format!("{}/1/upload", api_url(&mut server)?);

    let before = server.cpu_seconds()?;
    let seen = load(programs, &url, &ca, &accounts, options, round)?;
    let cpu = server.cpu_seconds()? - before;
    let peak_memory_bytes = server.peak_memory_bytes()?;

    let mut read_back = 0;
    for (account, _) in &accounts {
        let sql = "SELECT count(*) AS events FROM events";
        let words = [
            "query",
            "--config",
            &config,
            "--account",
            account,
            "--json",
            sql,
        ];
        let rows = output(Command::new(&programs.strongroom).args(words))?;
        read_back += rows
            .pointer("/0/events")
            .and_then(Value::as_u64)
            .unwrap_or(0);
    }
    Run::new(&seen, cpu, read_back, peak_memory_bytes)
}

fn nginx(
    programs: &Programs,
    folder: &Path,
    options: &Options,
    round: usize,
) -> anyhow::Result<Run> {
    let folder = folder.join(format!("nginx-{round}"));
    fs::create_dir_all(&folder)?;
    // A certificate of the same kind, from the same program.
    let room = folder.join("room");
    let made = output(
        Command::new(&programs.strongroom)
            .arg("init")
            .arg(&room)
            .arg("--json"),
    )?;
    let ca = text(&made, "ca")?;
    let port = free_port()?;
    let config = folder.join("nginx.conf");
    fs::write(&config, nginx_config(&folder, &room, port))?;
    let mut server = Command::new("nginx");
    server
        .arg("-p")
        .arg(&folder)
        .arg("-c")
        .arg(&config)
        .arg("-e")
        .arg(folder.join("error.log"));
    let server = Measured(server.spawn().context("failed to start nginx")?);
    wait_for_port(port)?;

    let before = server.cpu_seconds()?;
    let url = format!("https://localhost:{port}/1/upload");
    let seen = load(programs, &url, &ca, &[], options, round)?;
    let sent = seen
        .get("body_bytes")
        .and_then(Value::as_u64)
        .unwrap_or(u64::MAX);
    wait_for_log(&folder.join("bodies.log"), sent)?;
    let cpu = server.cpu_seconds()? - before;
    let peak_memory_bytes = server.peak_memory_bytes()?;
    Run::new(&seen, cpu, 0, peak_memory_bytes)
}

/// One worker, keep-alive, the whole body in the log. nginx reads a body only when it passes the
/// request on, so it passes it, without the body, to a listener of its own that answers at once.
fn nginx_config(folder: &Path, room: &Path, port: u16) -> String {
    let tls = room.join("tls");
    let (certificate, key) = (tls.join("server-ecdsa.pem"), tls.join("server-ecdsa.key"));
    let (folder, certificate, key) = (folder.display(), certificate.display(), key.display());
    format!(
        "daemon off;\nmaster_process off;\nworker_processes 1;\npid {folder}/nginx.pid;\n\
         events {{ worker_connections 512; }}\n\
         http {{\n\
           log_format bodies escape=none '$request_body';\n\
           access_log off;\n\
           client_max_body_size 32m;\n\
           client_body_buffer_size 8m;\n\
           client_body_in_single_buffer on;\n\
           client_body_temp_path {folder}/body;\n\
           proxy_temp_path {folder}/proxy;\n\
           fastcgi_temp_path {folder}/fastcgi;\n\
           uwsgi_temp_path {folder}/uwsgi;\n\
           scgi_temp_path {folder}/scgi;\n\
           keepalive_requests 1000000;\n\
           server {{\n\
             listen 127.0.0.1:{port} ssl;\n\
             listen [::1]:{port} ssl;\n\
             ssl_certificate {certificate};\n\
             ssl_certificate_key {key};\n\
             ssl_protocols TLSv1.3;\n\
             location / {{\n\
               access_log {folder}/bodies.log bodies;\n\
               proxy_pass http://unix:{folder}/answer.sock;\n\
               proxy_pass_request_body off;\n\
               proxy_set_header Content-Length \"\";\n\
             }}\n\
           }}\n\
           server {{ listen unix:{folder}/answer.sock; location / {{ return 200 '{{}}'; }} }}\n\
         }}\n"
    )
}

fn load(
    programs: &Programs,
    url: &str,
    ca: &str,
    accounts: &[(String, String)],
    options: &Options,
    round: usize,
) -> anyhow::Result<Value> {
    let mut load = Command::new(&programs.load);
    load.args(["--url", url, "--ca", ca]);
    load.args([
        "--events",
        &options.events.to_string(),
        "--batch",
        &options.batch.to_string(),
    ]);
    load.args(["--seed", &(round * 100 + 1).to_string()]);
    for (id, passcode) in accounts {
        load.arg("--account").arg(format!("{id}:{passcode}"));
    }
    output(&mut load)
}

impl Run {
    fn new(seen: &Value, cpu: f64, read_back: u64, memory: u64) -> anyhow::Result<Self> {
        let number = |field: &str| {
            seen.get(field)
                .and_then(Value::as_f64)
                .with_context(|| format!("no `{field}`"))
        };
        let sent = seen
            .get("records_sent")
            .and_then(Value::as_u64)
            .context("no `records_sent`")?;
        let sent_count = number("records_sent")?;
        Ok(Self {
            cpu_s_per_million: cpu / sent_count * 1e6,
            events_per_s: sent_count / number("wall_s")?,
            p99_ms: number("p99_ms")?,
            records_sent: sent,
            records_read_back: read_back,
            peak_memory_bytes: memory,
        })
    }
}

/// The run whose CPU is the median.
fn median(runs: &[Run]) -> anyhow::Result<Run> {
    let mut runs = runs.to_vec();
    runs.sort_by(|a, b| a.cpu_s_per_million.total_cmp(&b.cpu_s_per_million));
    runs.get(runs.len() / 2)
        .cloned()
        .context("nothing was measured")
}

fn table(result: &Value) -> String {
    let show = |field: &str, digits: usize| match result.get(field).and_then(Value::as_f64) {
        Some(number) => format!("{number:.digits$}"),
        None => "nginx is not installed".to_owned(),
    };
    let mut table = String::from("| | Strongroom | nginx |\n| --- | --- | --- |\n");
    let rows = [
        (
            "CPU-seconds per million events",
            "cpu_s_per_million",
            "nginx_cpu_s_per_million",
            2,
        ),
        ("events a second", "events_per_s", "nginx_events_per_s", 0),
        ("p99 of an answer, ms", "p99_ms", "nginx_p99_ms", 1),
    ];
    for (name, ours, theirs, digits) in rows {
        let _ = writeln!(
            table,
            "| {name} | {} | {} |",
            show(ours, digits),
            show(theirs, digits)
        );
    }
    let memory = result
        .get("peak_memory_bytes")
        .and_then(Value::as_f64)
        .unwrap_or(0.0);
    let _ = writeln!(
        table,
        "\nCPU ratio to nginx: {}. Records sent and read back: {} and {}. Peak memory: {:.0} MiB. \
         Medians of {} runs in turn, {} events a body, 8 connections, profile `{}`.",
        show("cpu_ratio_to_nginx", 2),
        show("records_sent", 0),
        show("records_read_back", 0),
        memory / 1_048_576.0,
        show("runs", 0),
        show("events_a_body", 0),
        result.get("profile").and_then(Value::as_str).unwrap_or("?"),
    );
    table
}

/// Puts the table between the page's two markers.
fn replace_table(page: &str, table: &str) -> anyhow::Result<String> {
    const START: &str = "<!-- ingest: written by cargo xtask bench -->";
    const END: &str = "<!-- end -->";
    let (head, rest) = page
        .split_once(START)
        .context("the page has no start marker")?;
    let (_, tail) = rest.split_once(END).context("the page has no end marker")?;
    Ok(format!("{head}{START}\n{table}{END}{tail}"))
}

pub(super) fn output(command: &mut Command) -> anyhow::Result<Value> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("failed to start {program}"))?;
    if !output.status.success() {
        bail!("{program} ended with {}", output.status);
    }
    serde_json::from_slice(&output.stdout).with_context(|| format!("{program} printed no JSON"))
}

pub(super) fn text(value: &Value, field: &str) -> anyhow::Result<String> {
    Ok(value
        .get(field)
        .and_then(Value::as_str)
        .context("a field is missing")?
        .to_owned())
}

/// Reads the server's lines until it has said where the api plane listens.
fn api_url(server: &mut Measured) -> anyhow::Result<String> {
    let stdout = server.0.stdout.take().context("the server has no output")?;
    let mut lines = BufReader::new(stdout).lines();
    let mut url = None;
    for line in lines.by_ref() {
        let line = line?;
        let found = line
            .split_whitespace()
            .find(|word| word.starts_with("https://"));
        if line.starts_with("api") {
            url = found.map(|word| word.replace("127.0.0.1", "localhost"));
        }
        if url.is_some() && line.starts_with("ops") {
            break;
        }
    }
    // Keeps the pipe open and drained; the thread ends with the server.
    std::thread::spawn(move || lines.for_each(drop));
    url.context("the server did not say where its api listens")
}

fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .port())
}

/// How often something is tried that may take a moment; each time yields the processor.
const TRIES: usize = 200_000;

/// Connects until somebody listens.
fn wait_for_port(port: u16) -> anyhow::Result<()> {
    for _ in 0..TRIES {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Ok(());
        }
        std::thread::yield_now();
    }
    bail!("nothing listens on port {port}")
}

/// Returns once each byte of each body is in the log: nginx writes a line after it has answered, and
/// without them all it has not done the work that it is measured by.
fn wait_for_log(log: &Path, sent: u64) -> anyhow::Result<()> {
    let mut logged = 0;
    for _ in 0..TRIES {
        logged = fs::metadata(log)?.len();
        if logged >= sent {
            return Ok(());
        }
        std::thread::yield_now();
    }
    bail!("nginx logged {logged} of {sent} bytes")
}
