//! The demo: an installation, a server, a shop's traffic over TLS by the public protocol, and the
//! story of what became of it.
//!
//! What is told is read back from the product; nothing here knows the answer beforehand but where
//! it says so and compares.

mod client;
mod shop;
mod story;

use anyhow::{Context as _, Result, bail, ensure};
use model::{Clock as _, SystemClock};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::admin::{self, AccountRequest, Frame, Request, Whom};
use crate::config::{Listen, Loaded};
use crate::init::{self, Made, Options, Volumes};
use crate::jobs::Job;
use crate::serve::{self, Server};
use client::Client;
use shop::Shop;
use story::Story;

/// The shop is the same in every run.
const SEED: u64 = 20_260_901;

/// Runs the demo in `folder`, or in a temporary one; ends after the summary when `once`.
///
/// # Errors
/// When a step fails, or does not show what it should.
pub(crate) async fn run(folder: Option<PathBuf>, once: bool) -> Result<()> {
    crate::logging::start(&crate::config::Log {
        filter: "off".to_owned(),
        ..Default::default()
    })?;
    let temporary = match &folder {
        Some(_) => None,
        None => Some(Temporary::create()?),
    };
    let target = folder
        .or_else(|| temporary.as_ref().map(|it| it.0.join("room")))
        .context("failed to choose a folder")?;
    let outcome = Box::pin(show(&target, once)).await;
    drop(temporary);
    outcome
}

async fn show(target: &Path, once: bool) -> Result<()> {
    let clock = SystemClock::new();
    let mut story = Story::begin()?;
    let made = init::create(Options {
        folder: target.to_path_buf(),
        volumes: Volumes::Number(6),
        data: None,
        parity: None,
        listen: free_addresses(),
        names: Vec::new(),
    })
    .await?;
    let loaded = Loaded::read(&made.config)?;
    let server = serve::start(&loaded).await?;
    story.installed(&made, server.addresses())?;
    let told = Box::pin(tell(&mut story, &server, &made, &clock)).await;
    let account = match told {
        Ok(account) => account,
        Err(error) => {
            server.stop().await?;
            return Err(error);
        }
    };
    if !once {
        let links = invite(&server, &account).await?;
        story.stays_up(&made, &account, &links)?;
        let mut terminate =
            signal(SignalKind::terminate()).context("failed to listen for signals")?;
        tokio::select! {
            pressed = tokio::signal::ctrl_c() => pressed.context("failed to wait for the end")?,
            _ = terminate.recv() => {}
        }
    }
    server.stop().await?;
    story.ended(clock.monotonic())
}

/// Links into the console, each for one person, once.
#[derive(Debug)]
struct Links {
    /// For the shop's first Admin.
    admin: String,
    /// For the installation's first Operator.
    operator: String,
}

/// Makes links at the port where the console really listens.
async fn invite(server: &Server, account: &Account) -> Result<Links> {
    let port = server
        .addresses()
        .iter()
        .find(|(plane, _)| *plane == "console")
        .map(|(_, address)| address.port())
        .context("the console does not listen")?;
    let actor = control::Actor::os_user("demo");
    let link = async |id: model::AccountId| -> Result<String> {
        let control = server.installation().control();
        let link = control.create_setup_link(&actor, id).await;
        let link = link.context("failed to make a link into the console")?;
        Ok(format!("https://localhost:{port}/link/{}", link.expose()))
    };
    let id = account.id.parse().context("the account has no id")?;
    Ok(Links {
        admin: link(id).await?,
        operator: link(model::AccountId::installation()).await?,
    })
}

/// An account and its credentials.
#[derive(Debug, Clone)]
struct Account {
    id: String,
    passcode: String,
}

async fn tell(
    story: &mut Story,
    server: &Server,
    made: &Made,
    clock: &SystemClock,
) -> Result<Account> {
    let create = AccountRequest::Create {
        name: "Demo shop".to_owned(),
        time_zone: "UTC".to_owned(),
    };
    let created = ask(server, Request::Account(create)).await?.0;
    let account = Account {
        id: text(&created, "account_id"),
        passcode: text(&created, "passcode"),
    };
    let address = |plane: &str| {
        let found = server.addresses().iter().find(|(name, _)| *name == plane);
        found
            .map(|(_, address)| *address)
            .context("a plane does not listen")
    };
    let client = Client::new(&made.ca, address("api")?, address("collect")?, &account)?;

    // A shop's fortnight.
    let shop = Shop::open(SEED, clock.now());
    let began = clock.monotonic();
    let sent = client.send_all(&shop).await?;
    story.sent(&shop, &sent, clock.monotonic().saturating_sub(began))?;

    let requests = drops(server, sent.silent).await?;
    let own = rows(server, &account.id, REQUESTS).await?;
    let rejected = rows(server, &account.id, REJECTED).await?;
    story.requests(&[own, requests].concat(), &rejected)?;

    let by_day = rows(server, &account.id, BY_DAY).await?;
    let by_name = rows(server, &account.id, BY_NAME).await?;
    story.days(&by_day, &by_name)?;
    let events = count(server, &account.id).await?;
    ensure!(
        events == shop.events(),
        "{events} events are held, and {} were sent",
        shop.events()
    );

    let hero = shop.hero();
    let show = |identity: &str| Request::PersonShow {
        account: account.id.clone(),
        whom: Whom::Identity(identity.to_owned()),
    };
    let (_, portrait) = ask(server, show(hero)).await?;
    story.person(&serde_json::from_slice(&portrait)?)?;

    let flushed = ask(server, Request::JobRun { job: Job::Flush }).await?.0;
    story.volumes(&ask(server, Request::VolumeStatus).await?.0, &flushed)?;
    lose_a_volume(story, server, made, &account, events).await?;

    // One person goes, by the API that a company would use.
    let leaving = shop.leaving();
    let theirs = shop.events_of(leaving);
    client.delete(leaving).await?;
    let left = count(server, &account.id).await?;
    let job = ask(server, Request::JobRun { job: Job::Deletion }).await?.0;
    let looked_up = client.lookup(leaving).await?;
    ensure!(
        left + theirs == events,
        "{left} events are left of {events} after one person's {theirs}"
    );
    ensure!(
        looked_up.is_null(),
        "a deleted person can still be looked up"
    );
    story.deleted(leaving, theirs, left, &job)?;
    Ok(account)
}

/// What belongs to no account, once the lines of `expected` drops are there: nobody waits for those
/// lines, so they go with the next commit.
async fn drops(server: &Server, expected: u64) -> Result<Vec<Value>> {
    for _ in 0..LINES_ATTEMPTS_MAX {
        let found = rows(server, "0", REQUESTS).await?;
        let dropped = found.iter().filter(|row| text(row, "outcome") == "dropped");
        let times = dropped.filter_map(|row| row.get("times").and_then(Value::as_u64));
        if times.sum::<u64>() >= expected {
            return Ok(found);
        }
        tokio::time::sleep(LINES_PAUSE).await;
    }
    bail!("the lines of {expected} dropped requests did not come")
}

const LINES_ATTEMPTS_MAX: u32 = 100;
const LINES_PAUSE: Duration = Duration::from_millis(100);

const REQUESTS: &str = "SELECT outcome, reason, count(*) AS times FROM requests \
                        WHERE path <> 'deletion' GROUP BY outcome, reason ORDER BY times DESC";
const REJECTED: &str =
    "SELECT code, error, count(*) AS times FROM quarantine GROUP BY code, error ORDER BY code";
const BY_DAY: &str = "SELECT date_trunc('day', ts) AS day, count(*) AS events FROM events \
                      GROUP BY date_trunc('day', ts) ORDER BY day";
const BY_NAME: &str = "SELECT name, count(*) AS times, count(DISTINCT person_key) AS people \
                       FROM events GROUP BY name ORDER BY times DESC";

/// Moves a volume away while the server runs, reads everything, and puts it back.
async fn lose_a_volume(
    story: &Story,
    server: &Server,
    made: &Made,
    account: &Account,
    events: u64,
) -> Result<()> {
    let volume = made.volumes.get(2).context("there is no third volume")?;
    let aside = volume.with_extension("aside");
    std::fs::rename(volume, &aside).context("failed to take a volume away")?;
    let read = count(server, &account.id).await;
    std::fs::rename(&aside, volume).context("failed to put a volume back")?;
    let read = read?;
    ensure!(
        read == events,
        "{read} of {events} events were read with one volume away"
    );
    ask(server, Request::JobRun { job: Job::Maintain }).await?;
    story.volume_lost(volume, read)
}

/// Asks the running server, as the command line does.
async fn ask(server: &Server, request: Request) -> Result<(Value, Vec<u8>)> {
    let (sender, mut frames) = mpsc::channel(8);
    let actor = control::Actor::os_user("demo");
    let work = admin::execute(server.installation(), &actor, request, sender);
    let read = async {
        let mut data = Vec::new();
        while let Some(frame) = frames.recv().await {
            if let Frame::Data(bytes) = frame {
                data.extend_from_slice(&bytes);
            }
        }
        data
    };
    let (value, data) = tokio::join!(Box::pin(work), read);
    Ok((value?, data))
}

async fn rows(server: &Server, account: &str, sql: &str) -> Result<Vec<Value>> {
    let request = Request::Query {
        account: account.to_owned(),
        sql: sql.to_owned(),
    };
    let (_, data) = ask(server, request).await?;
    serde_json::from_slice(&data).context("failed to understand the rows of a query")
}

async fn count(server: &Server, account: &str) -> Result<u64> {
    let rows = rows(server, account, "SELECT count(*) AS events FROM events").await?;
    let first = rows
        .first()
        .and_then(|row| row.get("events"))
        .and_then(Value::as_u64);
    first.context("a count has no number")
}

fn text(value: &Value, key: &str) -> String {
    value
        .get(key)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// The default addresses, with any free port where one is taken.
fn free_addresses() -> Listen {
    let usual = Listen::default();
    let free = |address: SocketAddr| match TcpListener::bind(address) {
        Ok(_) => address,
        Err(_) => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
    };
    Listen {
        collect: free(usual.collect),
        api: free(usual.api),
        console: free(usual.console),
        ops: free(usual.ops),
        ..usual
    }
}

/// A folder that goes when the demo ends.
struct Temporary(PathBuf);

impl Temporary {
    fn create() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("strongroom-demo-{}", std::process::id()));
        crate::files::create_folder(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // What stays behind is sealed, and named after the demo.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// An upload's records as the protocol wants them.
fn envelope(records: &[Value]) -> Value {
    json!({ "d": records })
}
