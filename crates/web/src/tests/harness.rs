//! One installation in memory, with one account.

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use control::{Actor, Control, KeyTable, SharedKeyring};
use futures::stream::BoxStream;
use governance::AccountRules;
use http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use journal::Journal;
use model::record::{Entry, Outcome, Peer, Plane, Record, RequestLine};
use model::{
    AccountId, Clock, CommitId, ManualClock, Random, RecordId, RecordIds, SystemRandom, Timestamp,
};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use query::{Engine, Tail};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;
use tower::ServiceExt as _;

use crate::{
    Concern, Ground, Heads, Parts, Settings, Sink, State, Volume, Volumes, api_router,
    console_router,
};

/// 2026-09-21T14:13:20Z.
pub(super) const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000);

/// What the routers stand on, and what a test looks at.
pub(super) struct Room {
    pub(super) control: Control,
    pub(super) clock: Arc<ManualClock>,
    pub(super) store: Arc<Failing>,
    pub(super) account: AccountId,
    pub(super) collect: collect::State,
    pub(super) state: State,
    pub(super) heads: Arc<Published>,
    passcode: String,
    journal: Journal,
    api: Router,
    console: Router,
    _reached: mpsc::Receiver<collect::Reached>,
    _folder: tempfile::TempDir,
}

/// What came back; `status` is 0 in silence.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Answer {
    /// Status and body, for snapshots.
    pub(super) fn text(&self) -> String {
        format!("{} {}", self.status, self.body)
    }

    pub(super) fn json(&self) -> serde_json::Value {
        match serde_json::from_str(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("{error} in {self:?}"),
        }
    }
}

impl Room {
    /// The account's days begin in Kolkata, five and a half hours before Greenwich's.
    pub(super) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Failing::default());
        let as_store: Arc<dyn ObjectStore> = Arc::<Failing>::clone(&store);
        let clock = Arc::new(ManualClock::new(NOW));
        let as_clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
        let random: Arc<dyn Random> = Arc::new(SystemRandom);

        let keyring = seal::Keyring::create(&*random);
        let keyring = Arc::new(SharedKeyring::new(keyring, Vec::new()));
        let keys = KeyTable::open(
            Arc::clone(&keyring),
            Arc::clone(&as_clock),
            Arc::clone(&random),
        );
        keys.attach(Arc::clone(&as_store)).await.unwrap();
        let settings = control::Settings::new(folder.path().to_path_buf());
        let opened = Control::open(
            settings,
            keyring,
            Arc::clone(&as_store),
            keys,
            Arc::clone(&as_clock),
            random,
        );
        let (control, _) = opened.await.unwrap();
        let operator = Actor::os_user("tester");
        let made = control
            .create_account(&operator, "test", "Asia/Kolkata")
            .await
            .unwrap();

        let writer = control.next_writer().await.unwrap();
        let settings = journal::Settings::default();
        let clock_here = Arc::clone(&as_clock);
        let opened = Journal::open(settings, Arc::clone(&as_store), writer, &[], clock_here)
            .await
            .unwrap();
        let (journal, owner, _) = opened;
        drop(tokio::spawn(owner.run(std::future::pending())));

        let catalog = Arc::new(control.clone());
        let tail = Arc::new(OfJournal(journal.clone()));
        let settings = query::Settings::default();
        let engine = Engine::new(as_store, catalog, tail, Arc::clone(&as_clock), settings).unwrap();
        let (reached, reached_here) = mpsc::channel(16);
        let collect = collect::State::new(collect::Parts {
            rules: control.rules(),
            journal: journal.clone(),
            clock: Arc::clone(&as_clock),
            record_ids: Arc::new(RecordIds::new(writer)),
            reached,
            stored: Arc::new(Nothing),
        });
        let heads = Arc::new(Published::default());
        let state = State::new(Parts {
            collect: collect.clone(),
            cursor_key: control.secret("cursors"),
            control: control.clone(),
            engine,
            clock: as_clock,
            volumes: Arc::new(TwoVolumes),
            heads: Arc::<Published>::clone(&heads),
            settings: Settings {
                security_contact: String::from("mailto:security@example.com"),
                security_policy: Some(String::from("https://example.com/policy")),
                ..Settings::default()
            },
        });
        Self {
            api: api_router(&state),
            console: console_router(&state),
            state,
            heads,
            account: made.account_id,
            passcode: made.passcode.expose().clone(),
            collect,
            control,
            clock,
            store,
            journal,
            _reached: reached_here,
            _folder: folder,
        }
    }

    /// A request with the account's credentials.
    pub(super) fn request(&self, method: &str, path: &str) -> http::request::Builder {
        Request::builder()
            .method(method)
            .uri(path)
            .header("X-CleverTap-Account-Id", self.account.as_str())
            .header("X-CleverTap-Passcode", &self.passcode)
    }

    pub(super) async fn post(&self, path: &str, body: impl Into<Body>) -> Answer {
        self.send(self.request("POST", path).body(body.into()).unwrap())
            .await
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send(self.request("GET", path).body(Body::empty()).unwrap())
            .await
    }

    /// Uploads records that must all be taken.
    pub(super) async fn upload(&self, records: &[&str]) {
        let answer = self
            .post("/1/upload", format!(r#"{{"d":[{}]}}"#, records.join(",")))
            .await;
        assert_eq!(answer.json()["status"], "success", "{answer:?}");
    }

    /// A request log of four days, one line a day: a call and a read that are served, a call that is refused, and
    /// a page's that is dropped and comes from 198.51.100.7.
    pub(super) async fn four_days_of_requests(&self) {
        const DAY: Duration = Duration::from_secs(86_400);
        self.upload(&[r#"{"type":"event","identity":"u","evtName":"E"}"#])
            .await;
        self.clock.advance(DAY);
        self.get("/1/profile.json?identity=u").await;
        self.clock.advance(DAY);
        assert_eq!(self.post("/1/upload", "{").await.status, 400);
        self.clock.advance(DAY);
        let line = RequestLine {
            id: RecordId([7; 16]),
            at: self.clock.now(),
            plane: Plane::Collect,
            peer: Peer::Address("198.51.100.7".parse().unwrap()),
            tls_version: Box::from("1.3"),
            method: Box::from("GET"),
            path: Box::from("/a"),
            status: 0,
            outcome: Outcome::Dropped,
            reason: Box::from("foreign_page"),
            size_bytes: 0,
            accepted: 0,
            rejected: 0,
            duration_us: 0,
        };
        let (account, record) = (self.account, Record::Request(Box::new(line)));
        let appended = self.journal.append(vec![Entry { account, record }]);
        appended.await.unwrap();
    }

    /// Sends to the api plane, from 203.0.113.9.
    pub(super) async fn send(&self, mut request: Request<Body>) -> Answer {
        let peer = "203.0.113.9:4711".parse().unwrap();
        let connection = collect::Connection {
            peer,
            tls_version: "1.3",
            plane: Plane::Api,
        };
        request.extensions_mut().insert(connection);
        answer(self.api.clone(), request).await
    }

    /// Sends to the console plane.
    pub(super) async fn send_to_console(&self, request: Request<Body>) -> Answer {
        answer(self.console.clone(), request).await
    }

    /// The request log as it is durable.
    pub(super) async fn lines(&self) -> Vec<RequestLine> {
        let mut lines = Vec::new();
        for commit in self.journal.live() {
            for entry in self.journal.read(commit.id).await.unwrap().iter() {
                if let Record::Request(line) = &entry.record {
                    lines.push((**line).clone());
                }
            }
        }
        lines
    }

    /// Code, reason and content of every record in the quarantine.
    pub(super) async fn quarantined(&self) -> Vec<(u16, String, String)> {
        let mut quarantined = Vec::new();
        for commit in self.journal.live() {
            for entry in self.journal.read(commit.id).await.unwrap().iter() {
                if let Record::Quarantined(it) = &entry.record {
                    let body = String::from_utf8(it.body.clone()).unwrap();
                    quarantined.push((it.code, it.error.to_string(), body));
                }
            }
        }
        quarantined
    }
}

pub(super) async fn answer(router: Router, request: Request<Body>) -> Answer {
    let response = router.oneshot(request).await.unwrap();
    let is_silent = response.extensions().get::<collect::Silence>().is_some();
    let status = if is_silent {
        0
    } else {
        response.status().as_u16()
    };
    let headers = response.headers().clone();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    Answer {
        status,
        headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

/// Two volumes, of which one is out of service.
#[derive(Debug)]
struct TwoVolumes;

/// Heads that were published, in memory.
#[derive(Debug, Default)]
pub(super) struct Published {
    pub(super) kept: Mutex<Vec<(AccountId, String)>>,
    /// How often the head as it is was asked for.
    pub(super) asked: AtomicU8,
    /// Whether nothing can be written.
    pub(super) is_broken: AtomicBool,
}

#[async_trait]
impl Heads for Published {
    async fn publish(&self, _: AccountId) -> Result<(), String> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match self.is_broken.load(Ordering::Relaxed) {
            true => Err(String::from("the disk is full")),
            false => Ok(()),
        }
    }

    async fn keep(&self, account: AccountId, note: &str) -> Result<(), String> {
        self.kept.lock().unwrap().push((account, note.to_owned()));
        Ok(())
    }
}

impl Ground for TwoVolumes {
    fn concerns(&self) -> Vec<Concern> {
        vec![Concern {
            account: AccountId::installation(),
            text: String::from("Volume 2 is out of service"),
            words: String::from("it does not answer"),
            page: Some("storage"),
        }]
    }

    fn sinks(&self) -> Vec<Sink> {
        vec![Sink {
            name: String::from("siem"),
            address: String::from("https://siem.example/in"),
            is_required: true,
            waiting: 12,
            waiting_max: 10_000,
            dropped: 0,
            down: Some((String::from("it answered 503"), NOW)),
            taken_at: None,
        }]
    }

    fn volumes(&self) -> Volumes {
        let volume = |number, out| Volume {
            number,
            place: format!("/volumes/{number}"),
            out,
            objects: 7,
            bytes: 4_096,
        };
        Volumes {
            data: 1,
            parity: 1,
            healthy: 1,
            ready: true,
            objects: 7,
            object_bytes: 4_096,
            shards_wanted: 3,
            volumes: vec![
                volume(1, None),
                volume(2, Some((String::from("it does not answer"), NOW))),
            ],
        }
    }
}

/// Nothing was stored before this start.
#[derive(Debug)]
struct Nothing;

#[async_trait]
impl collect::Stored for Nothing {
    async fn received_after(
        &self,
        _: &AccountRules,
        _: &[Entry],
        _: Timestamp,
    ) -> Result<Option<Timestamp>, collect::Unreadable> {
        Ok(None)
    }
}

#[derive(Debug)]
struct OfJournal(Journal);

#[async_trait]
impl Tail for OfJournal {
    async fn live(&self) -> query::Result<Vec<CommitId>> {
        Ok(self.0.live().into_iter().map(|commit| commit.id).collect())
    }

    fn hold(&self) -> query::Held {
        query::Held::by(self.0.hold())
    }

    async fn read(&self, id: CommitId) -> query::Result<Arc<Vec<Entry>>> {
        let read = self.0.read(id).await;
        read.map_err(|error| query::Error::unavailable("read a commit", error))
    }
}

/// What a [`Failing`] store refuses.
pub(super) const NOTHING: u8 = 0;
pub(super) const JOURNAL_WRITES: u8 = 1;
pub(super) const CONTROL_WRITES: u8 = 2;

/// A store in memory that refuses what it is told to.
#[derive(Debug, Default)]
pub(super) struct Failing {
    inner: InMemory,
    refuses: AtomicU8,
}

impl Failing {
    pub(super) fn refuse(&self, what: u8) {
        self.refuses.store(what, Ordering::Relaxed);
    }
}

impl fmt::Display for Failing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failing")
    }
}

#[async_trait]
impl ObjectStore for Failing {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        let prefix = match self.refuses.load(Ordering::Relaxed) {
            JOURNAL_WRITES => "journal/",
            CONTROL_WRITES => "control/",
            _ => return self.inner.put_opts(location, payload, options).await,
        };
        if location.as_ref().starts_with(prefix) {
            return Err(object_store::Error::Generic {
                store: "failing",
                source: "told to".into(),
            });
        }
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(
        &self,
        location: &Path,
        options: GetOptions,
    ) -> object_store::Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(
        &self,
        from: &Path,
        to: &Path,
        options: CopyOptions,
    ) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
