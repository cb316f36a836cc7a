//! Mail to a real server on a socket: STARTTLS or nothing, the right certificate or nothing, later when
//! it is away; and nothing secret in the log.

use control::OutboxEntry;
use serde_json::json;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::compose::Installation;
use crate::jobs::{self, Job};
use crate::testing::{Folder, Log, operator};

const PASSWORD: &str = "a-secret-of-the-mail-server";
const EMAIL: &str = "bea@example.com";

/// How the server behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It offers STARTTLS and takes what comes.
    Sound,
    /// It offers no STARTTLS.
    Plain,
    /// It refuses every recipient.
    Refusing,
}

/// What the server heard, commands and content, each with whether it came under TLS.
type Heard = Arc<Mutex<Vec<(bool, String)>>>;

/// A mail server that knows enough of RFC 5321, RFC 3207 and RFC 4954.
async fn server(acceptor: TlsAcceptor, kind: Kind) -> (Heard, u16) {
    let heard = Heard::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let all = Arc::clone(&heard);
    drop(tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let (acceptor, all) = (acceptor.clone(), Arc::clone(&all));
            drop(tokio::spawn(async move {
                tcp.write_all(b"220 mail.example\r\n").await.unwrap();
                if talk(&mut tcp, kind, false, &all).await
                    && let Ok(mut tls) = acceptor.accept(tcp).await
                {
                    talk(&mut tls, kind, true, &all).await;
                }
            }));
        }
    }));
    (heard, port)
}

/// One side of the conversation; whether TLS is to begin.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    kind: Kind,
    is_tls: bool,
    heard: &Heard,
) -> bool {
    let mut stream = BufReader::new(stream);
    let mut is_data = false;
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return false;
        }
        let said = line.trim_end().to_owned();
        heard.lock().unwrap().push((is_tls, said.clone()));
        let answer = match said.split(' ').next().unwrap() {
            "." if is_data => {
                is_data = false;
                "250 taken\r\n"
            }
            _ if is_data => continue,
            "EHLO" if is_tls => "250-mail.example\r\n250 AUTH PLAIN\r\n",
            "EHLO" if kind == Kind::Plain => "250 mail.example\r\n",
            "EHLO" => "250-mail.example\r\n250 STARTTLS\r\n",
            "STARTTLS" => {
                stream.write_all(b"220 go on\r\n").await.unwrap();
                return true;
            }
            "AUTH" => "235 welcome\r\n",
            "RCPT" if kind == Kind::Refusing => "550 no such user bea@example.com here\r\n",
            "DATA" => {
                is_data = true;
                "354 go on\r\n"
            }
            "QUIT" => "221 bye\r\n",
            _ => "250 well\r\n",
        };
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return false;
        }
    }
}

async fn open(folder: &Folder, port: u16, ca: PathBuf) -> Installation {
    std::fs::write(folder.path("smtp.password"), PASSWORD).unwrap();
    let change = |config: &mut crate::config::Config| {
        config.mail.smtp_host = "localhost".to_owned();
        config.mail.smtp_port = port;
        config.mail.smtp_user = "strongroom".to_owned();
        config.mail.smtp_password_file = "smtp.password".into();
        config.mail.smtp_ca = ca;
    };
    folder.open(change).await
}

async fn invite(installation: &Installation) {
    let made = installation
        .control()
        .create_account(operator(), "a", "UTC");
    let account = made.await.unwrap().account_id;
    let control = installation.control();
    let invited = control.invite_user(operator(), account, EMAIL, "Bea", "member", None);
    invited.await.unwrap();
}

async fn waiting(installation: &Installation) -> Vec<OutboxEntry> {
    installation.control().unsent_mails().await.unwrap()
}

/// Runs the job; what it did and what was logged.
async fn run(installation: &Installation) -> (serde_json::Value, String) {
    use tracing::instrument::WithSubscriber as _;
    let log = Log::default();
    let ran = jobs::run(installation, Job::Mail)
        .with_subscriber(log.clone().subscriber())
        .await;
    let logged = log.text();
    assert!(
        !logged.contains(PASSWORD) && !logged.contains(EMAIL),
        "{logged}"
    );
    (ran.unwrap(), logged)
}

fn text(heard: &Heard) -> String {
    let lines = heard.lock().unwrap();
    let lines: Vec<&str> = lines.iter().map(|it| it.1.as_str()).collect();
    lines.join("\n")
}

#[tokio::test]
async fn mail_goes_out_under_tls_alone() {
    let folder = Folder::new().await;
    let (heard, port) = server(folder.acceptor(), Kind::Sound).await;
    let installation = open(&folder, port, "tls/ca.pem".into()).await;
    invite(&installation).await;
    assert_eq!(run(&installation).await.0, json!({"sent": 1, "failed": 0}));
    let all = text(&heard);
    assert!(all.contains(&format!("RCPT TO:<{EMAIL}>")), "{all}");
    assert!(all.contains("https://localhost:8443/link/"), "{all}");
    let plain: Vec<String> = heard
        .lock()
        .unwrap()
        .iter()
        .filter(|it| !it.0)
        .map(|it| it.1.split(' ').next().unwrap().to_owned())
        .collect();
    assert_eq!(
        plain,
        ["EHLO", "STARTTLS"],
        "nothing else goes out unencrypted"
    );
    assert!(waiting(&installation).await.is_empty());
    assert_eq!(run(&installation).await.0, json!({"sent": 0, "failed": 0}));
}

#[tokio::test]
async fn a_server_without_starttls_or_of_another_authority_gets_nothing() {
    for (kind, own) in [(Kind::Plain, true), (Kind::Sound, false)] {
        let (folder, other) = (Folder::new().await, Folder::new().await);
        let (heard, port) = server(folder.acceptor(), kind).await;
        let ca = match own {
            true => folder.path("tls/ca.pem"),
            false => other.path("tls/ca.pem"),
        };
        let installation = open(&folder, port, ca).await;
        invite(&installation).await;
        let (report, logged) = run(&installation).await;
        assert_eq!(report, json!({"sent": 0, "failed": 1}), "{kind:?}");
        assert!(logged.contains("a mail was not taken"), "{logged}");
        let all = text(&heard);
        assert!(
            !all.contains("MAIL FROM") && !all.contains("AUTH"),
            "{kind:?}: {all}"
        );
    }
}

#[tokio::test]
async fn an_outage_is_waited_out_and_a_refusal_names_nobody_in_the_log() {
    let folder = Folder::new().await;
    let (_, port) = server(folder.acceptor(), Kind::Refusing).await;
    let installation = open(&folder, port, "tls/ca.pem".into()).await;
    invite(&installation).await;
    let (report, logged) = run(&installation).await;
    assert_eq!(report, json!({"sent": 0, "failed": 1}));
    assert!(logged.contains("550"), "{logged}");
    installation.close().await.unwrap();
    drop(installation);

    // Nobody listens where a server was a moment ago.
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nowhere = gone.local_addr().unwrap().port();
    drop(gone);
    let installation = open(&folder, nowhere, "tls/ca.pem".into()).await;
    assert_eq!(run(&installation).await.0["failed"], 0, "it waits");
    folder.clock.advance(Duration::from_secs(11));
    assert_eq!(run(&installation).await.0, json!({"sent": 0, "failed": 1}));
    // Each pause is longer; the mail is still there, and goes when the server is back.
    folder.clock.advance(Duration::from_secs(11));
    assert_eq!(run(&installation).await.0["failed"], 0, "it waits longer");
    installation.close().await.unwrap();
    drop(installation);
    let (heard, port) = server(folder.acceptor(), Kind::Sound).await;
    let installation = open(&folder, port, "tls/ca.pem".into()).await;
    folder.clock.advance(Duration::from_secs(10));
    assert_eq!(run(&installation).await.0, json!({"sent": 1, "failed": 0}));
    assert!(text(&heard).contains(EMAIL));
}
