//! Sinks that go away and come back, on real listeners and a real installation.

mod heads;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use control::{Action, AuditFilter};
use http::{HeaderMap, StatusCode};
use model::{AccountId, ErrorKind};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::compose::Installation;
use crate::config::Sink;
use crate::testing::{Folder, operator};

async fn open(folder: &Folder, sinks: &[Sink]) -> Installation {
    let sinks = sinks.to_vec();
    folder.open(|config| config.audit.sinks = sinks).await
}

fn sink(name: &str, address: String) -> Sink {
    Sink {
        name: name.to_owned(),
        address,
        required: false,
        timeout_ms: 5_000,
        waiting_max: 10_000,
        plain: false,
        ca: std::path::PathBuf::new(),
        token_file: std::path::PathBuf::new(),
    }
}

/// What an HTTP receiver was sent, and what it answers.
#[derive(Debug, Default)]
struct Receiver {
    status: AtomicU16,
    lines: Mutex<Vec<Value>>,
    heads: Mutex<Vec<HeaderMap>>,
    /// Told of each batch that it has taken.
    took: Notify,
    /// Whether it answers only when it is let.
    is_slow: AtomicBool,
    /// Told of each batch that such a one is sent.
    asked: Notify,
    /// Lets it answer.
    answers: Notify,
}

impl Receiver {
    async fn start() -> (Arc<Self>, String) {
        let receiver = Arc::new(Self {
            status: AtomicU16::new(200),
            ..Self::default()
        });
        let take = |State(it): State<Arc<Self>>, headers: HeaderMap, body: Bytes| async move {
            if it.is_slow.load(Ordering::SeqCst) {
                it.asked.notify_one();
                it.answers.notified().await;
            }
            let status = StatusCode::from_u16(it.status.load(Ordering::SeqCst)).unwrap();
            if status.is_success() {
                let lines = body
                    .split(|byte| *byte == b'\n')
                    .filter(|it| !it.is_empty());
                let lines = lines.map(|line| serde_json::from_slice(line).unwrap());
                it.lines.lock().unwrap().extend(lines);
                it.heads.lock().unwrap().push(headers);
                it.took.notify_one();
            }
            (status, [("location", "http://127.0.0.1:9/elsewhere")])
        };
        let router = Router::new()
            .route("/in", post(take))
            .with_state(Arc::clone(&receiver));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(tokio::spawn(async move {
            axum::serve(listener, router).await.unwrap();
        }));
        (receiver, format!("http://{address}/in"))
    }

    async fn slow() -> (Arc<Self>, String) {
        let (receiver, url) = Self::start().await;
        receiver.is_slow.store(true, Ordering::SeqCst);
        (receiver, url)
    }

    /// Returns when it has an account's entry of that number.
    async fn has(&self, account: AccountId, sequence: u64) {
        let last = || self.sequences().get(account.as_str())?.last().copied();
        while last() < Some(sequence) {
            self.took.notified().await;
        }
    }

    fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// The numbers of the entries that came, by account, in their order.
    fn sequences(&self) -> BTreeMap<String, Vec<u64>> {
        let mut found: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for line in self.lines.lock().unwrap().iter() {
            if line["kind"] == "entry" {
                let account = line["account"].as_str().unwrap().to_owned();
                let sequence = line["sequence"].as_u64().unwrap();
                found.entry(account).or_default().push(sequence);
            }
        }
        found
    }
}

/// Something that leaves one entry.
async fn act(installation: &Installation, account: AccountId) -> control::Result<()> {
    let filter = AuditFilter {
        limit: 1,
        ..AuditFilter::default()
    };
    let read = installation
        .control()
        .audit_log(operator(), account, &filter);
    read.await.map(drop)
}

async fn account(installation: &Installation) -> AccountId {
    let made = installation
        .control()
        .create_account(operator(), "a", "UTC");
    made.await.unwrap().account_id
}

fn view(installation: &Installation, number: usize) -> super::View {
    installation.sinks().views().remove(number)
}

fn is_gapless(sequences: &[u64]) -> bool {
    sequences.windows(2).all(|pair| pair[1] == pair[0] + 1)
}

#[tokio::test]
async fn an_outage_and_a_restart_lose_nothing_and_keep_the_order() {
    let folder = Folder::new().await;
    let (receiver, url) = Receiver::start().await;
    std::fs::write(folder.path("siem.token"), "secret-token\n").unwrap();
    let siem = Sink {
        token_file: "siem.token".into(),
        ..sink("siem", url)
    };
    let sinks = [siem];
    let installation = open(&folder, &sinks).await;
    let account = account(&installation).await;
    for _ in 0..3 {
        act(&installation, account).await.unwrap();
    }
    installation.sinks().turn().await.unwrap();
    // Who it is, who asks, and what was done: as in a download.
    let first = receiver.lines.lock().unwrap()[0].clone();
    for field in [
        "account", "at", "actor", "action", "leaf", "salt", "outcome",
    ] {
        assert!(!first[field].as_str().unwrap().is_empty(), "{first}");
    }
    let headers = receiver.heads.lock().unwrap()[0].clone();
    assert_eq!(headers["authorization"], "Bearer secret-token");
    assert_eq!(view(&installation, 0).state, "up");
    assert_eq!(view(&installation, 0).progress.waiting, 0);

    for status in [503, 307, 404] {
        receiver.answer(status);
        for _ in 0..2 {
            act(&installation, account).await.unwrap();
        }
        installation.sinks().turn().await.unwrap();
        assert_eq!(view(&installation, 0).state, "down", "{status}");
    }
    assert_eq!(view(&installation, 0).progress.waiting, 6);
    installation.close().await.unwrap();
    drop(installation);

    let installation = open(&folder, &sinks).await;
    receiver.answer(200);
    for _ in 0..600 {
        act(&installation, account).await.unwrap();
    }
    installation.sinks().turn().await.unwrap();
    let after = view(&installation, 0);
    assert_eq!(
        (after.state, after.progress.waiting),
        ("up", 0),
        "{after:?}"
    );
    let found = receiver.sequences();
    let own = &found[account.as_str()];
    assert!(own.len() > 600 && own[0] == 1 && is_gapless(own), "{own:?}");
    assert!(is_gapless(&found["0"]), "{:?}", found["0"]);
    // The heads that were published follow.
    installation.heads().publish_all().await.unwrap();
    installation.sinks().turn().await.unwrap();
    let lines = receiver.lines.lock().unwrap().clone();
    let head = lines.iter().rfind(|it| it["kind"] == "log").unwrap();
    let note = head["checkpoint"].as_str().unwrap();
    assert!(note.contains("/audit/0\n"), "{note}");
    assert!(
        lines
            .iter()
            .all(|it| it["proof"].as_array().is_none_or(Vec::is_empty))
    );
}

#[tokio::test]
async fn a_required_sink_that_is_too_far_behind_holds_up_what_is_audited_and_nothing_is_lost() {
    let folder = Folder::new().await;
    let (receiver, url) = Receiver::start().await;
    let required = Sink {
        required: true,
        waiting_max: 5,
        ..sink("siem", url)
    };
    let sinks = [required];
    let installation = open(&folder, &sinks).await;
    let account = account(&installation).await;
    installation.sinks().turn().await.unwrap();
    receiver.answer(500);
    let mut done = 0;
    let refused = loop {
        match act(&installation, account).await {
            Ok(()) => done += 1,
            Err(error) => break error,
        }
        assert!(done < 100, "the bound is reached");
    };
    assert_eq!(done, 5);
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert!(
        refused.to_string().contains("`siem` is 5 entries behind"),
        "{refused}"
    );
    installation.sinks().turn().await.unwrap();
    act(&installation, account).await.unwrap_err();
    let refused = installation
        .control()
        .create_account(operator(), "b", "UTC")
        .await;
    refused.unwrap_err();
    // A start of the node is not refused, or nothing could ever bring the sink back.
    installation.close().await.unwrap();
    drop(installation);
    let installation = open(&folder, &sinks).await;
    act(&installation, account).await.unwrap_err();
    let ran = crate::jobs::run(&installation, crate::jobs::Job::Sinks).await;
    ran.unwrap();
    receiver.answer(200);
    installation.sinks().turn().await.unwrap();
    act(&installation, account).await.unwrap();
    installation.sinks().turn().await.unwrap();
    let found = receiver.sequences();
    let own = &found[account.as_str()];
    assert!(own[0] == 1 && is_gapless(own), "{own:?}");
    assert_eq!(
        own.len(),
        done + 1 + 1,
        "what was made, what was done, and the last"
    );
}

#[tokio::test]
async fn an_optional_sink_that_is_too_far_behind_loses_the_oldest_and_says_so() {
    let folder = Folder::new().await;
    let (receiver, url) = Receiver::start().await;
    let few = Sink {
        waiting_max: 4,
        ..sink("siem", url)
    };
    let installation = open(&folder, &[few]).await;
    let account = account(&installation).await;
    installation.sinks().turn().await.unwrap();
    receiver.answer(500);
    for _ in 0..10 {
        act(&installation, account).await.unwrap();
    }
    installation.sinks().turn().await.unwrap();
    let behind = view(&installation, 0).progress;
    assert_eq!((behind.waiting, behind.dropped), (4, 6), "{behind:?}");
    receiver.answer(200);
    installation.sinks().turn().await.unwrap();
    let found = receiver.sequences();
    let own = &found[account.as_str()];
    assert_eq!(own.split_at(1), (&[1][..], &[8, 9, 10, 11][..]));
}

#[tokio::test]
async fn a_sink_that_is_never_done_keeps_up_no_other() {
    let folder = Folder::new().await;
    let (slow, slow_url) = Receiver::slow().await;
    let (receiver, url) = Receiver::start().await;
    let required = Sink {
        required: true,
        ..sink("siem", url)
    };
    let installation = open(&folder, &[sink("slow", slow_url), required]).await;
    let installation = Arc::new(installation);
    let account = account(&installation).await;
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    crate::jobs::serve_sinks(&tasks, &installation, Duration::ZERO, &stop);
    for sequence in 2..7 {
        slow.asked.notified().await;
        // Before the slow one has taken a batch, there is another.
        act(&installation, account).await.unwrap();
        receiver.has(account, sequence).await;
        slow.answers.notify_one();
    }
    slow.asked.notified().await;
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    installation.sinks().look().await.unwrap();
    for number in 0..2 {
        assert_eq!(view(&installation, number).state, "up", "{number}");
    }
    let own = &receiver.sequences()[account.as_str()];
    assert!(own[0] == 1 && is_gapless(own), "{own:?}");
}

#[tokio::test]
async fn a_turn_ends_though_there_is_always_more() {
    let folder = Folder::new().await;
    let (slow, url) = Receiver::slow().await;
    let installation = open(&folder, &[sink("slow", url)]).await;
    let account = account(&installation).await;
    let meanwhile = async {
        slow.asked.notified().await;
        act(&installation, account).await.unwrap();
        folder.clock.advance(super::TURN_MAX);
        slow.answers.notify_one();
    };
    let (turned, ()) = tokio::join!(installation.sinks().turn(), meanwhile);
    assert!(turned.unwrap() > 0);
    let view = view(&installation, 0);
    assert!(
        view.state == "up" && view.progress.waiting > 0,
        "it is not asked again: {view:?}"
    );
}

#[tokio::test]
async fn a_sink_begins_with_the_next_entry_and_is_forgotten_when_it_is_named_no_more() {
    let folder = Folder::new().await;
    let installation = open(&folder, &[]).await;
    let account = account(&installation).await;
    for _ in 0..3 {
        act(&installation, account).await.unwrap();
    }
    installation.close().await.unwrap();
    drop(installation);
    let (receiver, url) = Receiver::start().await;
    let sinks = [sink("siem", url)];
    let installation = open(&folder, &sinks).await;
    act(&installation, account).await.unwrap();
    installation.sinks().turn().await.unwrap();
    assert_eq!(receiver.sequences()[account.as_str()], [5]);
    installation.close().await.unwrap();
    drop(installation);
    let installation = open(&folder, &[]).await;
    let filter = AuditFilter {
        actions: vec![Action::SinksChanged],
        ..AuditFilter::default()
    };
    let nobody = AccountId::installation();
    let noted = installation
        .control()
        .audit_log(operator(), nobody, &filter)
        .await;
    let noted = noted.unwrap();
    assert_eq!(noted.len(), 2, "{noted:?}");
    assert!(installation.control().sinks().await.unwrap().is_empty());
}

/// The messages of one connection, with octets counted, until as many as wanted are there.
async fn messages(stream: &mut (impl tokio::io::AsyncRead + Unpin), wanted: usize) -> Vec<String> {
    let mut found = Vec::new();
    while found.len() < wanted {
        let mut length = String::new();
        loop {
            let byte = stream.read_u8().await.unwrap();
            if byte == b' ' {
                break;
            }
            length.push(char::from(byte));
        }
        let mut message = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut message).await.unwrap();
        found.push(String::from_utf8(message).unwrap());
    }
    found
}

fn sequence(message: &str) -> u64 {
    let (_, rest) = message.split_once("[meta sequenceId=\"").unwrap();
    rest.split('"').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn syslog_on_a_connection_is_sent_again_when_the_connection_broke() {
    let folder = Folder::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let installation = open(&folder, &[sink("log", format!("tcp://{address}"))]).await;
    let account = account(&installation).await;
    let take = async |wanted: usize| -> (TcpStream, Vec<String>) {
        let (mut stream, _) = listener.accept().await.unwrap();
        let found = messages(&mut stream, wanted).await;
        (stream, found)
    };
    // The installation's entries come in one batch, the account's in another: first the most.
    let waiting = |installation: &Installation| view(installation, 0).progress.waiting;
    let (turned, (stream, first)) = tokio::join!(installation.sinks().turn(), take(1));
    turned.unwrap();
    assert!(waiting(&installation) > 0, "written is not taken");
    let pri = format!("<{}>1 ", 10 * 8 + 5);
    assert!(first[0].starts_with(&pri), "{first:?}");
    assert!(first[0].contains(" localhost strongroom - "), "{first:?}");
    let json = first[0].split_once("] \u{feff}").unwrap().1;
    let json: Value = serde_json::from_str(json).unwrap();
    assert_eq!(json["kind"], "entry");
    drop(stream);
    // The connection did not stand: the same comes again on a new one.
    installation.sinks().turn().await.unwrap();
    assert_eq!(view(&installation, 0).state, "down");
    let (turned, (mut stream, again)) = tokio::join!(installation.sinks().turn(), take(1));
    turned.unwrap();
    assert_eq!(again[0], first[0]);
    act(&installation, account).await.unwrap();
    let mut seen: Vec<String> = again;
    while waiting(&installation) > 0 {
        installation.sinks().turn().await.unwrap();
    }
    assert_eq!(view(&installation, 0).state, "up");
    // Everything of the account came, in order.
    let of_account = |all: &[String]| -> Vec<u64> {
        let own = format!("\"account\":\"{account}\"");
        let own = all.iter().filter(|it| it.contains(&own));
        own.map(|it| sequence(it)).collect()
    };
    while of_account(&seen).last() != Some(&2) {
        seen.extend(messages(&mut stream, 1).await);
    }
    assert_eq!(of_account(&seen), [1, 2]);
}

#[tokio::test]
async fn syslog_under_tls_goes_to_the_receiver_that_the_authority_names_and_to_no_other() {
    let folder = Folder::new().await;
    let other = Folder::new().await;
    let acceptor = folder.acceptor();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = async |wanted: usize| {
        let (tcp, _) = listener.accept().await.unwrap();
        let mut tls = acceptor.accept(tcp).await.ok()?;
        let found = messages(&mut tls, wanted).await;
        Some((tls, found))
    };
    let with = |ca: std::path::PathBuf| Sink {
        ca,
        ..sink("log", format!("tls://localhost:{port}"))
    };
    let installation = open(&folder, &[with(other.path("tls/ca.pem"))]).await;
    account(&installation).await;
    let (turned, served) = tokio::join!(installation.sinks().turn(), serve(1));
    turned.unwrap();
    assert!(served.is_none(), "a receiver of another authority");
    assert_eq!(view(&installation, 0).state, "down");
    installation.close().await.unwrap();
    drop(installation);
    let installation = open(&folder, &[with(folder.path("tls/ca.pem"))]).await;
    let (turned, served) = tokio::join!(installation.sinks().turn(), serve(1));
    turned.unwrap();
    let (mut tls, found) = served.unwrap();
    assert!(found[0].contains("strongroom"), "{found:?}");
    tls.shutdown().await.unwrap();
}

#[tokio::test]
async fn syslog_in_datagrams_is_taken_when_it_is_sent() {
    let folder = Folder::new().await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let installation = open(&folder, &[sink("log", format!("udp://{address}"))]).await;
    let account = account(&installation).await;
    installation.sinks().turn().await.unwrap();
    assert_eq!(view(&installation, 0).progress.waiting, 0);
    let mut buffer = vec![0; 65_536];
    let own = format!("\"account\":\"{account}\"");
    loop {
        let (length, _) = socket.recv_from(&mut buffer).await.unwrap();
        let message = std::str::from_utf8(&buffer[..length]).unwrap();
        assert!(message.starts_with('<'), "{message}");
        if message.contains(&own) {
            assert!(message.contains(" account.created ["), "{message}");
            return;
        }
    }
}

#[test]
fn a_sink_that_could_not_be_meant_is_refused() {
    let check = |change: fn(&mut Sink)| {
        let mut it = sink("siem", "https://siem.example/in".to_owned());
        change(&mut it);
        let mut config = crate::config::Config::default();
        config.audit.sinks = vec![it];
        config.audit.check().map_err(|error| format!("{error:#}"))
    };
    check(|_| {}).unwrap();
    check(|it| it.address = "tcp://127.0.0.1:514".to_owned()).unwrap();
    type Spoil = fn(&mut Sink);
    let cases: [(Spoil, &str); 9] = [
        (
            |it| it.address = "http://siem.example/in".to_owned(),
            "unencrypted",
        ),
        (
            |it| it.address = "tcp://siem.example:514".to_owned(),
            "unencrypted",
        ),
        (
            |it| it.address = "udp://10.0.0.1:514".to_owned(),
            "unencrypted",
        ),
        (
            |it| it.address = "tls://siem.example:6514".to_owned(),
            "needs `ca`",
        ),
        (
            |it| it.address = "tcp://127.0.0.1".to_owned(),
            "begins with",
        ),
        (
            |it| it.address = "ftp://siem.example".to_owned(),
            "begins with",
        ),
        (
            |it| it.address = "https://a:b@siem.example/".to_owned(),
            "begins with",
        ),
        (|it| it.name = "a b".to_owned(), "a name is"),
        (
            |it| {
                it.address = "udp://127.0.0.1:514".to_owned();
                it.required = true;
            },
            "may be lost",
        ),
    ];
    for (change, expect) in cases {
        let found = check(change).unwrap_err();
        assert!(found.contains(expect), "{found}");
    }
}
