//! The whole storage path under injected faults: uploads, flushes, compactions, deletions, crashes and
//! restarts on simulated volumes, judged by a reference model.
//!
//! Everything but the volumes is the product itself: requests go through the api plane's router, jobs
//! are the server's. Each history has a seed, which repeats its choices. What is slow is slow in
//! simulated time, which costs next to no real time.

mod model;
#[cfg(test)]
mod tests;
mod time;

use ::model::record::Plane;
use ::model::{Clock, ManualClock, Random, SeededRandom, Timestamp};
use anyhow::{Context as _, Result, bail, ensure};
use axum::body::Body;
use control::{Actor, SharedKeyring};
use futures::future::LocalBoxFuture;
use http::Request as HttpRequest;
use http_body_util::BodyExt as _;
use seal::Keyring;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use store::simulated::{Fault, SimVolumes};
use store::{Geometry, Store};
use tokio::sync::mpsc;
use tower::ServiceExt as _;

use crate::admin::{self, AccountRequest, Frame, Request};
use crate::compose::{self, Ground, Installation};
use crate::config::{Config, Loaded};
use crate::jobs::{self, Job};
use model::{Model, PEOPLE};
pub use time::Advance;

const GEOMETRY: Geometry = Geometry { data: 4, parity: 2 };
/// Breakings and healings in one history.
const ROUNDS: u64 = 4;
/// Operations in one round.
const OPERATIONS: u64 = 20;
/// An operation that takes longer than this, in simulated time, hangs.
const PATIENCE: Duration = Duration::from_secs(120);
/// What goes wrong with single operations.
const FAULTS: [Fault; 11] = [
    Fault::Slow,
    Fault::BitFlip,
    Fault::Stale,
    Fault::Misdirected,
    Fault::ReadError,
    Fault::WriteError,
    Fault::Dead,
    Fault::NoSpace,
    Fault::LostWrite,
    Fault::TornWrite,
    Fault::Crash,
];
/// How long a simulated volume may take before it counts as failing.
const GRACE: Duration = Duration::from_millis(200);
/// How late a slow answer comes.
const LATE: Duration = Duration::from_secs(2);
/// How often upkeep may run, half a second apart, until healed volumes must all serve.
const UPKEEPS_MAX: usize = 12;

/// What histories showed.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Faults that happened, by kind.
    pub kinds: BTreeMap<String, u64>,
    /// Operations that succeeded.
    pub survived: u64,
    /// Operations that were refused with a clear error.
    pub refused: u64,
    /// Reads that showed what was never sent, or twice, and stores that did not heal.
    pub wrong: u64,
    /// Operations that did not end.
    pub hung: u64,
    /// Acknowledged records that were missing.
    pub lost_ack: u64,
    /// Deleted people that were shown.
    pub deleted_visible: u64,
}

impl Tally {
    /// Faults that happened.
    #[must_use]
    pub fn fired(&self) -> u64 {
        self.kinds.values().sum()
    }

    /// Whether nothing went wrong.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.wrong == 0 && self.hung == 0 && self.lost_ack == 0 && self.deleted_visible == 0
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        for (kind, count) in other.kinds {
            *self.kinds.entry(kind).or_default() += count;
        }
        self.survived += other.survived;
        self.refused += other.refused;
        self.wrong += other.wrong;
        self.hung += other.hung;
        self.lost_ack += other.lost_ack;
        self.deleted_visible += other.deleted_visible;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "fired: {} survived: {} refused: {} WRONG: {} HUNG: {} LOST-ACK: {} DELETED-VISIBLE: {}",
            self.fired(),
            self.survived,
            self.refused,
            self.wrong,
            self.hung,
            self.lost_ack,
            self.deleted_visible
        )
    }
}

/// Runs the history of one seed, with its local files in `folder`, which must be empty.
///
/// It must run on a runtime of one thread whose time is paused; `advance` moves that time.
///
/// # Errors
/// When the simulation itself cannot go on; what the product did wrong is in the tally.
pub fn run(seed: u64, folder: PathBuf, advance: Advance) -> LocalBoxFuture<'static, Result<Tally>> {
    Box::pin(async move {
        let volumes = SimVolumes::new(seed, GEOMETRY.volumes());
        let history = Box::pin(live(seed, &folder, volumes.clone()));
        time::pass(&volumes, advance, history).await
    })
}

async fn live(seed: u64, folder: &Path, volumes: SimVolumes) -> Result<Tally> {
    let mut history = History::begin(seed, folder, volumes).await?;
    match history.play().await {
        Ok(()) => {}
        Err(error) if error.is::<Hung>() => history.say(&format!("{error:#}")),
        Err(error) => return Err(error),
    }
    for (kind, count) in history.volumes.fired() {
        history.tally.kinds.insert(kind.to_string(), count);
    }
    Ok(history.tally)
}

/// Something did not end: the history is over.
#[derive(Debug, thiserror::Error)]
#[error("{0} does not end")]
struct Hung(&'static str);

struct History {
    seed: u64,
    dice: SeededRandom,
    volumes: SimVolumes,
    loaded: Loaded,
    keyring_file: PathBuf,
    clock: Arc<ManualClock>,
    random: Arc<dyn Random>,
    account: String,
    passcode: String,
    installation: Option<Installation>,
    model: Model,
    tally: Tally,
    /// The volumes that faults meet in this round.
    broken: Vec<usize>,
}

impl History {
    /// A store on healthy volumes, one account, and a device for each person.
    async fn begin(seed: u64, folder: &Path, volumes: SimVolumes) -> Result<Self> {
        let random: Arc<dyn Random> = Arc::new(SeededRandom::new(seed));
        volumes.only(&FAULTS);
        volumes.set_late(LATE);
        let keyring = Keyring::create(random.as_ref());
        let keyring_file = folder.join("keyring");
        keyring
            .save(&keyring_file)
            .context("failed to save the keyring")?;
        Store::create(&volumes.places(), GEOMETRY, &keyring, random.as_ref())
            .await
            .context("failed to make the volumes")?;
        let mut history = Self {
            seed,
            dice: SeededRandom::new(seed ^ 0x5eed),
            volumes,
            loaded: Loaded {
                config: Config::default(),
                file: folder.join("strongroom.toml"),
                folder: folder.to_path_buf(),
            },
            keyring_file,
            clock: Arc::new(ManualClock::new(Timestamp::from_seconds(1_790_000_000))),
            random,
            account: String::new(),
            passcode: String::new(),
            installation: None,
            model: Model::new(),
            tally: Tally::default(),
            broken: Vec::new(),
        };
        history.open().await?;
        let act = AccountRequest::Create {
            name: "simulated".into(),
            time_zone: "UTC".into(),
        };
        let made = history.admin(Request::Account(act)).await?.0;
        let text = |field: &str| made.get(field).and_then(Value::as_str).map(str::to_owned);
        history.account = text("account_id").context("no account was made")?;
        history.passcode = text("passcode").context("no account was made")?;
        let devices = (0..PEOPLE).map(|person| {
            json!({"type":"profile","identity":format!("person-{person}"),
                   "objectId":format!("device-{person}"),"profileData":{"n":person}})
        });
        let records: Vec<Value> = devices.collect();
        ensure!(
            history.post("/1/upload", &json!({"d": records})).await?,
            "the first upload failed"
        );
        Ok(history)
    }

    async fn play(&mut self) -> Result<()> {
        for _ in 0..ROUNDS {
            Box::pin(self.round()).await?;
        }
        Box::pin(self.finish()).await
    }

    async fn open(&mut self) -> Result<()> {
        let keyring = Keyring::load(&self.keyring_file).context("failed to load the keyring")?;
        let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(&self.clock);
        let ground = Ground {
            places: self.volumes.places(),
            keyring: Arc::new(SharedKeyring::new(keyring, vec![self.keyring_file.clone()])),
            store: store::Settings {
                write_grace: GRACE,
                read_grace: GRACE,
                ..store::Settings::default()
            },
            clock,
            random: Arc::clone(&self.random),
            lock: None,
        };
        self.installation = Some(Box::pin(compose::assemble(&self.loaded, ground)).await?);
        Ok(())
    }

    /// Faults on at most as many volumes as parity covers, some work, perhaps a crash; then healing.
    async fn round(&mut self) -> Result<()> {
        let parity = u64::try_from(GEOMETRY.parity)?;
        let broken = self.below(8).clamp(1, parity);
        let chance = 60 + self.below(200);
        self.volumes.snapshot();
        self.broken = self
            .volumes
            .break_some(usize::try_from(broken)?, u32::try_from(chance)?);
        for volume in self.broken.clone() {
            self.harm(volume);
        }
        if self.below(2) == 0 {
            self.volumes.crash_after(40 + self.below(3_000));
        }
        for _ in 0..OPERATIONS {
            if self.volumes.has_crashed() {
                break;
            }
            self.operate().await?;
        }
        if self.volumes.has_crashed() || self.below(2) == 0 {
            self.restart().await?;
            self.read(false).await?;
        }
        self.heal().await
    }

    /// Something may happen to a whole volume.
    fn harm(&self, volume: usize) {
        match self.below(9) {
            0 => self.volumes.lose(volume),
            1 => self.volumes.empty(volume),
            2 => self.volumes.fill(volume),
            3 => drop(self.volumes.flip(volume)),
            4 => drop(self.volumes.spoil_label(volume)),
            _ => {}
        }
    }

    /// Something may happen to a whole volume while nobody looks.
    fn harm_unseen(&self) {
        let which = usize::try_from(self.below(3)).unwrap_or(0);
        let Some(volume) = self.broken.get(which) else {
            return;
        };
        if self.below(4) == 0 {
            self.volumes.roll_back(*volume);
        } else {
            self.harm(*volume);
        }
    }

    /// One operation, chosen by the dice; one that does not end is counted.
    async fn operate(&mut self) -> Result<()> {
        let choice = self.below(100);
        match choice {
            0..54 => self.upload().await?,
            54..62 => self.job(Job::Flush).await?,
            62..66 => self.job(Job::Compaction).await?,
            66..73 => self.delete().await?,
            73..77 => self.job(Job::Deletion).await?,
            77..86 => self.read(false).await?,
            86..96 => self.job(Job::Maintain).await?,
            _ => {
                let minutes = self.below(50);
                self.clock.advance(Duration::from_secs(60 * minutes));
                self.job(Job::Keys).await?;
            }
        }
        Ok(())
    }

    async fn upload(&mut self) -> Result<()> {
        let first = self.model.next();
        let events: Vec<(u64, u64)> = (first..=first + self.below(12))
            .map(|number| (number, self.below(PEOPLE)))
            .collect();
        let records: Vec<Value> = events
            .iter()
            .map(|(number, person)| {
                let (field, name) = match number % 3 {
                    0 => ("objectId", format!("device-{person}")),
                    _ => ("identity", format!("person-{person}")),
                };
                json!({"type":"event", field:name, "evtName":"Simulated",
                       "ts": 1_790_000_000 - i64::try_from(number % 5).unwrap_or(0) * 86_400,
                       "evtData":{"n":number,"v":Model::value(*number)}})
            })
            .collect();
        let acknowledged = self.post("/1/upload", &json!({"d": records})).await?;
        self.model.sent(&events, acknowledged);
        Ok(())
    }

    async fn delete(&mut self) -> Result<()> {
        let person = self.below(PEOPLE);
        let body = json!({"identity": format!("person-{person}")});
        let acknowledged = self.post("/1/delete/profiles.json", &body).await?;
        self.model.deleted(person, acknowledged);
        Ok(())
    }

    /// Reads every event and judges. A refusal is wrong only when `healthy`.
    async fn read(&mut self, healthy: bool) -> Result<()> {
        let sql = r#"SELECT "p:n" AS n, "p:v" AS v FROM events"#;
        let act = Request::Query {
            account: self.account.clone(),
            sql: sql.into(),
        };
        let read = tokio::time::timeout(PATIENCE, self.admin(act)).await;
        self.ensure_ended(read.is_ok(), "a read")?;
        let rows = match read.context("a read does not end")? {
            Err(error) => {
                // While there is no event there is no such column.
                if healthy && self.model.expects_any() {
                    self.tally.wrong += 1;
                    self.say(&format!("a healthy store refused a read: {error:#}"));
                }
                self.tally.refused += 1;
                return Ok(());
            }
            Ok((_, rows)) => rows,
        };
        let rows: Vec<Value> = serde_json::from_slice(&rows).context("a query printed no JSON")?;
        let shown: Vec<(u64, String)> = rows
            .iter()
            .map(|row| {
                let number = row.get("n").and_then(Value::as_u64).unwrap_or(u64::MAX);
                let value = row.get("v").and_then(Value::as_str).unwrap_or_default();
                (number, value.to_owned())
            })
            .collect();
        let verdict = self.model.judge(&shown);
        if verdict != model::Verdict::default() {
            self.say(&format!("{verdict:?} in a read of {} events", shown.len()));
        }
        self.tally.wrong += verdict.wrong;
        self.tally.lost_ack += verdict.lost;
        self.tally.deleted_visible += verdict.deleted_visible;
        self.tally.survived += 1;
        Ok(())
    }

    async fn job(&mut self, job: Job) -> Result<()> {
        let Some(installation) = &self.installation else {
            return Ok(());
        };
        let done = tokio::time::timeout(PATIENCE, Box::pin(jobs::run(installation, job))).await;
        self.ensure_ended(done.is_ok(), job.as_str())?;
        match done {
            Ok(Ok(_)) => self.tally.survived += 1,
            Ok(Err(_)) | Err(_) => self.tally.refused += 1,
        }
        Ok(())
    }

    /// A crash, now if none has happened yet, and a start on what is left: sometimes without the
    /// control database's files.
    async fn restart(&mut self) -> Result<()> {
        self.volumes.crash();
        if let Some(installation) = self.installation.take() {
            // Nothing can be drained any more; this only ends what still runs.
            let closed = tokio::time::timeout(PATIENCE, installation.close()).await;
            self.ensure_ended(closed.is_ok(), "a close after a crash")?;
        }
        self.volumes.restart();
        self.harm_unseen();
        if self.below(3) == 0 {
            let folder = self.loaded.resolve(&self.loaded.config.control.folder);
            std::fs::remove_dir_all(&folder).context("failed to lose the control database")?;
        }
        let opened = tokio::time::timeout(PATIENCE, self.open()).await;
        self.ensure_ended(opened.is_ok(), "a start")?;
        match opened {
            Ok(Ok(())) => self.tally.survived += 1,
            Ok(Err(_)) | Err(_) => {
                self.tally.refused += 1;
                self.volumes.crash();
                self.volumes.restart();
                self.volumes.heal();
                self.open_healthy().await?;
            }
        }
        Ok(())
    }

    /// After an operation that does not end a history cannot go on.
    fn ensure_ended(&mut self, ended: bool, what: &'static str) -> Result<()> {
        if !ended {
            self.tally.hung += 1;
            bail!(Hung(what));
        }
        Ok(())
    }

    async fn open_healthy(&mut self) -> Result<()> {
        let opened = tokio::time::timeout(PATIENCE, self.open()).await;
        self.ensure_ended(opened.is_ok(), "a start on healthy volumes")?;
        if let Ok(Err(error)) = opened {
            self.tally.wrong += 1;
            let seed = self.seed;
            return Err(error.context(format!("seed {seed}: healed volumes cannot be opened")));
        }
        Ok(())
    }

    /// Everything works again: the store must converge by itself, and say what the model says.
    async fn heal(&mut self) -> Result<()> {
        self.volumes.heal();
        self.broken.clear();
        if self.volumes.has_crashed() || self.installation.is_none() {
            self.restart().await?;
        }
        let whole = tokio::time::timeout(PATIENCE, self.upkeep()).await;
        self.ensure_ended(whole.is_ok(), "repair")?;
        if whole != Ok(true)
            && let Some(installation) = &self.installation
        {
            let report = installation.store().repair().await;
            let status = installation.store().status();
            self.tally.wrong += 1;
            self.say(&format!("healed volumes stay out: {report:?}, {status:?}"));
        }
        self.read(true).await
    }

    /// What the server's job does in the background, until nothing is left to do: whether every
    /// volume serves then. Operations that were slow come back meanwhile.
    async fn upkeep(&self) -> bool {
        let Some(installation) = &self.installation else {
            return false;
        };
        let store = installation.store();
        for _ in 0..UPKEEPS_MAX {
            let repaired = store.repair().await;
            let scrubbed = store.scrub_all(None).await;
            let status = store.status();
            if status.healthy == status.volumes.len()
                && repaired.shards_wanted == 0
                && scrubbed.bad.is_empty()
            {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        false
    }

    /// All pending work, a restart, and a last look.
    async fn finish(&mut self) -> Result<()> {
        for job in [Job::Deletion, Job::Flush, Job::Compaction, Job::Garbage] {
            let before = self.tally.refused;
            self.job(job).await?;
            if self.tally.refused > before {
                self.tally.wrong += 1;
                self.say(&format!("{} fails on healthy volumes", job.as_str()));
            }
        }
        self.read(true).await?;
        self.restart().await?;
        self.read(true).await?;
        if let Some(installation) = self.installation.take() {
            let closed = tokio::time::timeout(PATIENCE, installation.close()).await;
            self.ensure_ended(closed.is_ok(), "a close")?;
            closed
                .unwrap_or(Ok(()))
                .context("failed to close a healthy installation")?;
        }
        Ok(())
    }

    /// POSTs to the api plane; whether it was answered with success.
    async fn post(&mut self, path: &str, body: &Value) -> Result<bool> {
        let Some(installation) = &self.installation else {
            return Ok(false);
        };
        let request = HttpRequest::post(path)
            .header("X-CleverTap-Account-Id", &self.account)
            .header("X-CleverTap-Passcode", &self.passcode)
            .body(Body::from(body.to_string()))?;
        let answer = installation.router(Plane::Api).oneshot(request);
        let answer = tokio::time::timeout(PATIENCE, answer).await;
        self.ensure_ended(answer.is_ok(), "a request")?;
        let answer = answer.context("a request does not end")??;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        let success = status.is_success()
            && serde_json::from_slice::<Value>(&body)
                .is_ok_and(|body| body.get("status") == Some(&json!("success")));
        if success {
            self.tally.survived += 1;
        } else {
            self.tally.refused += 1;
        }
        Ok(success)
    }

    /// What an operator's request returned: what was said at the end, and the data.
    async fn admin(&self, act: Request) -> Result<(Value, Vec<u8>)> {
        let installation = self.installation.as_ref().context("nothing is open")?;
        let (sender, mut frames) = mpsc::channel(8);
        let actor = Actor::os_user("simulation");
        let work = admin::execute(installation, &actor, act, sender);
        let read = async {
            let mut data = Vec::new();
            while let Some(frame) = frames.recv().await {
                if let Frame::Data(bytes) = frame {
                    data.extend_from_slice(&bytes);
                }
            }
            data
        };
        let (outcome, data) = tokio::join!(Box::pin(work), read);
        Ok((outcome?, data))
    }

    fn below(&self, bound: u64) -> u64 {
        self.dice.number().checked_rem(bound).unwrap_or(0)
    }

    #[expect(clippy::print_stderr, reason = "a simulation says what it saw")]
    fn say(&self, what: &str) {
        eprintln!("seed {}: {what}", self.seed);
    }
}
