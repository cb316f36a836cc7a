//! An installation in a folder of its own, and the server process that runs on it.

use serde_json::Value;
use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::client::Client;

/// How long a step that should take moments may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The binary under test.
pub(crate) fn strongroom() -> Command {
    Command::new(env!("CARGO_BIN_EXE_strongroom"))
}

/// The binary under test, as the last words of another command; alone when there are none.
fn started_by(words: &[String]) -> Command {
    let Some((program, arguments)) = words.split_first() else {
        return strongroom();
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .arg(env!("CARGO_BIN_EXE_strongroom"));
    command
}

/// A folder made by `strongroom init`.
pub(crate) struct Installation {
    folder: tempfile::TempDir,
    /// What every command is started by: a program and its arguments, or nothing.
    within: Vec<String>,
    /// What `init --json` printed.
    pub(crate) printed: Value,
}

/// What `account create --json` printed.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) passcode: String,
    pub(crate) sdk_token: String,
}

impl Installation {
    /// Six volumes, 4 + 2.
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    /// As `new`, with more arguments to `init`.
    pub(crate) fn with(arguments: &[&str]) -> Self {
        Self::within(Vec::new(), arguments)
    }

    /// As `with`, where every command is started by another one, which runs what follows it.
    pub(crate) fn within(within: Vec<String>, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("room");
        let listen = ["--collect", "--api", "--console", "--ops"];
        let output = started_by(&within)
            .arg("init")
            .arg(&target)
            .args(listen.iter().flat_map(|plane| [*plane, "127.0.0.1:0"]))
            .args(arguments)
            .arg("--json")
            .output()
            .unwrap();
        let printed = json(&output);
        Self {
            folder,
            within,
            printed,
        }
    }

    /// The folder that `init` filled.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("room")
    }

    /// The configuration file.
    pub(crate) fn config(&self) -> PathBuf {
        PathBuf::from(self.printed["config"].as_str().unwrap())
    }

    /// The certificate of the local authority.
    pub(crate) fn ca(&self) -> PathBuf {
        PathBuf::from(self.printed["ca"].as_str().unwrap())
    }

    /// The volumes, in order.
    pub(crate) fn volumes(&self) -> Vec<PathBuf> {
        let volumes = self.printed["volumes"].as_array().unwrap();
        volumes
            .iter()
            .map(|path| PathBuf::from(path.as_str().unwrap()))
            .collect()
    }

    /// Runs `strongroom WORDS… --config FILE`.
    pub(crate) fn run(&self, words: &[&str]) -> Output {
        started_by(&self.within)
            .args(words)
            .arg("--config")
            .arg(self.config())
            .output()
            .unwrap()
    }

    /// Runs a command that must succeed and print JSON.
    pub(crate) fn json(&self, words: &[&str]) -> Value {
        json(&self.run(&[words, &["--json"]].concat()))
    }

    /// Rows of a query.
    pub(crate) fn query(&self, account: &Account, sql: &str) -> Vec<Value> {
        match self.json(&["query", "--account", &account.id, sql]) {
            Value::Array(rows) => rows,
            other => panic!("a query prints an array, not {other}"),
        }
    }

    /// The one number of a query that counts.
    pub(crate) fn count(&self, account: &Account, sql: &str) -> u64 {
        let rows = self.query(account, sql);
        assert_eq!(rows.len(), 1, "{rows:?}");
        rows[0]
            .as_object()
            .unwrap()
            .values()
            .next()
            .unwrap()
            .as_u64()
            .unwrap()
    }

    /// A new account.
    pub(crate) fn account(&self, name: &str) -> Account {
        let made = self.json(&["account", "create", name]);
        let text = |field: &str| made[field].as_str().unwrap().to_owned();
        Account {
            id: text("account_id"),
            passcode: text("passcode"),
            sdk_token: text("sdk_token"),
        }
    }

    /// Starts the server and waits until it listens everywhere.
    pub(crate) fn serve(&self) -> Server {
        let mut command = started_by(&self.within);
        command.arg("serve").arg("--config").arg(self.config());
        match Server::start(&mut command, self.ca()) {
            Ok(server) => server,
            Err(status) => panic!("the server ended before it listened: {status}"),
        }
    }

    /// As `serve`, started by another command; how it ended when it did before it listened.
    pub(crate) fn serve_by(&self, program: &[&str]) -> Result<Server, ExitStatus> {
        let mut words = self.within.clone();
        words.extend(program.iter().map(|word| (*word).to_owned()));
        let mut command = started_by(&words);
        command.arg("serve").arg("--config").arg(self.config());
        Server::start(&mut command, self.ca())
    }
}

/// A running server; killed when dropped.
pub(crate) struct Server {
    child: Child,
    ca: PathBuf,
    addresses: HashMap<String, SocketAddr>,
}

impl Server {
    fn start(command: &mut Command, ca: PathBuf) -> Result<Self, ExitStatus> {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let (sender, lines) = mpsc::channel();
        // The thread ends with the process: its end of the pipe closes.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    // Keep the pipe drained after the addresses are known.
                }
            }
        });
        let mut addresses = HashMap::new();
        while ["collect", "api", "console", "ops"]
            .iter()
            .any(|plane| !addresses.contains_key(*plane))
        {
            let line = match lines.recv_timeout(PATIENCE) {
                Ok(line) => line,
                Err(mpsc::RecvTimeoutError::Disconnected) => return Err(child.wait().unwrap()),
                Err(error) => panic!("the server did not say where it listens ({error})"),
            };
            if let Some((plane, address)) = parse_listening(&line) {
                addresses.insert(plane, address);
            }
        }
        Ok(Self {
            child,
            ca,
            addresses,
        })
    }

    /// Where a plane listens.
    pub(crate) fn address(&self, plane: &str) -> SocketAddr {
        self.addresses[plane]
    }

    /// A client of the REST API that trusts the installation's authority.
    pub(crate) fn client(&self, account: &Account) -> Client {
        Client::new(self.address("api"), &self.ca, account.clone())
    }

    /// The process's id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Peak resident memory, bytes, as the kernel counts it.
    pub(crate) fn peak_memory_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmHWM:"))
            .unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<u64>()
            .unwrap()
            * 1024
    }

    /// SIGTERM, then the exit status once everything is drained.
    pub(crate) fn stop(mut self) -> ExitStatus {
        self.signal("TERM");
        self.child.wait().unwrap()
    }

    /// The exit status, once it has ended by itself.
    pub(crate) fn ended(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// SIGKILL: nothing is drained.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.id().to_string())
            .status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail when the process has ended already, which is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// `collect  https://127.0.0.1:4711`, `console  https://localhost:4712` → the plane and its address.
fn parse_listening(line: &str) -> Option<(String, SocketAddr)> {
    let mut words = line.split_whitespace();
    let plane = words.next()?.trim_end_matches(':').to_owned();
    let url = words.find(|word| word.contains("://"))?;
    let address = url.split("://").nth(1)?.trim_end_matches('/');
    let here = |name: &str| name.replace("localhost", "127.0.0.1");
    Some((plane, here(address).parse().ok()?))
}

/// The JSON that a successful command printed.
pub(crate) fn json(output: &Output) -> Value {
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
    match serde_json::from_str(&out) {
        Ok(value) => value,
        Err(error) => panic!("{error} in\n{out}\n{err}"),
    }
}

/// Bytes as text.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Bytes as a gzip stream.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Says on the terminal, past the test's captured output, what could not be tested here, and why.
pub(crate) fn say_not_tested(what: &str, why: &str) {
    use std::io::Write as _;
    let said = writeln!(std::io::stderr(), "\nNOT TESTED: {what}: {why}");
    said.unwrap();
}

/// Every file below `folder`.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.is_file() {
                found.push(path);
            }
        }
    }
    found
}

/// Where `cargo xtask test` has installed the published programs.
pub(crate) fn peers() -> PathBuf {
    match std::env::var_os("STRONGROOM_PEERS") {
        Some(folder) => PathBuf::from(folder),
        None => panic!("this test runs published programs: run it by `cargo xtask test`"),
    }
}
