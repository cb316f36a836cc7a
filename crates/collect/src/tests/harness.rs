//! A journal in memory, one account, and the upload route behind the log layer.

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::middleware::{from_fn, from_fn_with_state};
use futures::stream::BoxStream;
use governance::{AccountRules, NewPasscode, PasscodeHash, PasscodeRule, PasscodeTerms, Rules};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use jiff::tz::TimeZone;
use journal::Journal;
use model::record::{Entry, Outcome, Plane, Record, RequestLine};
use model::{AccountId, Clock, ManualClock, RecordIds, Secret, SystemRandom, Timestamp, WriterId};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::{mpsc, watch};
use tower::ServiceExt as _;

use crate::{
    Connection, Parts, Reached, Silence, State, Stored, Unreadable, encrypt_answers, log_requests,
    router, unknown_url, upload_route, wrong_method,
};

/// 2026-09-21T14:13:20Z.
pub(super) const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000);
pub(super) const ACCOUNT: &str = "TEST-1";

/// What the routers need, and what a test looks at afterwards.
pub(super) struct Room {
    pub(super) state: State,
    pub(super) passcode: String,
    pub(super) store: Arc<Failing>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) reached: mpsc::Receiver<Reached>,
    pub(super) before: Arc<Before>,
    journal: Journal,
    api: Router,
    collect: Router,
    rules: watch::Sender<Arc<Rules>>,
}

/// What came back; none in silence.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

impl Room {
    pub(super) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// A room whose account's rules are changed first.
    pub(super) async fn with(change: impl FnOnce(&mut AccountRules)) -> Self {
        Self::start(NOW, change).await
    }

    /// The room as it is opened at `now` after another one.
    pub(super) async fn after(other: &Self, now: Timestamp) -> Self {
        let room = Self::start(now, |_| {}).await;
        let entries = other.entries().await;
        room.before.entries.lock().unwrap().extend(entries);
        room
    }

    async fn start(now: Timestamp, change: impl FnOnce(&mut AccountRules)) -> Self {
        let passcode = NewPasscode::generate(&SystemRandom);
        let id: AccountId = ACCOUNT.parse().unwrap();
        let secret = Secret::new([7; 32]);
        let mut rules = AccountRules::new(id, "test", TimeZone::UTC, secret, passcode.hash);
        rules.passcodes.push(PasscodeRule {
            name: "first".into(),
            hash: passcode.hash,
            terms: PasscodeTerms::default(),
        });
        change(&mut rules);
        let accounts = [(id, Arc::new(rules))].into_iter().collect();
        let (sender, rules) = watch::channel(Arc::new(Rules {
            accounts,
            version: 1,
            ..Rules::default()
        }));
        let store = Arc::new(Failing::default());
        let manual = Arc::new(ManualClock::new(now));
        let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(&manual);
        let writer = WriterId { node: 1, start: 1 };
        let settings = journal::Settings::default();
        let as_store: Arc<dyn ObjectStore> = Arc::<Failing>::clone(&store);
        let opened = Journal::open(settings, as_store, writer, &[], Arc::clone(&clock)).await;
        let (journal, owner, _) = opened.unwrap();
        drop(tokio::spawn(owner.run(std::future::pending())));
        let record_ids = Arc::new(RecordIds::new(writer));
        let (reached, reached_here) = mpsc::channel(16);
        let before = Arc::new(Before::default());
        let state = State::new(Parts {
            rules,
            journal: journal.clone(),
            clock,
            record_ids,
            reached,
            stored: Arc::<Before>::clone(&before),
        });
        let api = Router::new()
            .route("/1/upload", upload_route().fallback(wrong_method))
            .fallback(unknown_url)
            .with_state(state.clone())
            .layer(from_fn(encrypt_answers))
            .layer(from_fn_with_state(
                (state.clone(), Plane::Api),
                log_requests,
            ));
        Self {
            collect: router(&state),
            passcode: passcode.text.expose().clone(),
            reached: reached_here,
            before,
            rules: sender,
            state,
            store,
            clock: manual,
            journal,
            api,
        }
    }

    /// Adds an account whose SDK token is the other one's.
    pub(super) fn add_account(&self, id: &str) {
        let id: AccountId = id.parse().unwrap();
        let token = PasscodeHash::of(&self.passcode);
        let rules = AccountRules::new(id, "another", TimeZone::UTC, Secret::new([8; 32]), token);
        self.rules.send_modify(|all| {
            Arc::make_mut(all).accounts.insert(id, Arc::new(rules));
        });
    }

    /// A request with the account's credentials.
    pub(super) fn request(&self, method: &str, path: &str) -> http::request::Builder {
        Self::anonymous(method, path)
            .header("X-CleverTap-Account-Id", ACCOUNT)
            .header("X-CleverTap-Passcode", &self.passcode)
    }

    /// A request without credentials.
    pub(super) fn anonymous(method: &str, path: &str) -> http::request::Builder {
        Request::builder().method(method).uri(path)
    }

    pub(super) async fn upload(&self, body: impl Into<Body>) -> Option<Answer> {
        self.send(self.request("POST", "/1/upload").body(body.into()).unwrap())
            .await
    }

    /// Sends to the api plane, from 203.0.113.9 by TLS 1.3.
    pub(super) async fn send(&self, mut request: Request<Body>) -> Option<Answer> {
        let peer = "203.0.113.9:4711".parse().unwrap();
        let connection = Connection {
            peer,
            tls_version: "1.3",
            plane: Plane::Api,
        };
        request.extensions_mut().insert(connection);
        answer(self.api.clone().oneshot(request).await.unwrap()).await
    }

    /// As `send`; the answer's type and its bytes.
    pub(super) async fn send_raw(&self, request: Request<Body>) -> (String, Vec<u8>) {
        let response = self.api.clone().oneshot(request).await.unwrap();
        let kind = response.headers()[http::header::CONTENT_TYPE].to_str();
        let kind = kind.unwrap().to_owned();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (kind, bytes.to_vec())
    }

    /// Sends to the collect plane.
    pub(super) async fn send_to_collect(&self, request: Request<Body>) -> Option<Answer> {
        answer(self.collect.clone().oneshot(request).await.unwrap()).await
    }

    /// Everything that is durable.
    pub(super) async fn entries(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        for commit in self.journal.live() {
            entries.extend(self.journal.read(commit.id).await.unwrap().iter().cloned());
        }
        entries
    }

    /// The request log as it is durable.
    pub(super) async fn lines(&self) -> Vec<(String, RequestLine)> {
        let line = |entry: Entry| match entry.record {
            Record::Request(line) => Some((entry.account.to_string(), *line)),
            _ => None,
        };
        self.entries().await.into_iter().filter_map(line).collect()
    }

    /// The lines of requests that were not served. Those that nobody waits for are durable once an
    /// upload of nothing has taken them along.
    pub(super) async fn not_served(&self) -> Vec<(String, RequestLine)> {
        let answer = self.upload(r#"{"d":[]}"#).await.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        self.state.drops().flush(crate::Flush::All).await.unwrap();
        let lines = self.lines().await;
        lines
            .into_iter()
            .filter(|(_, line)| line.outcome != Outcome::Answered)
            .collect()
    }
}

async fn answer(response: Response<Body>) -> Option<Answer> {
    if response.extensions().get::<Silence>().is_some() {
        return None;
    }
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    Some(Answer {
        status,
        body: String::from_utf8(body.to_vec()).unwrap(),
    })
}

/// What was stored before the room was opened; it cannot be read when told so.
#[derive(Debug, Default)]
pub(super) struct Before {
    entries: Mutex<Vec<Entry>>,
    pub(super) is_unreadable: AtomicBool,
}

#[async_trait]
impl Stored for Before {
    async fn received_after(
        &self,
        _: &AccountRules,
        entries: &[Entry],
        after: Timestamp,
    ) -> Result<Option<Timestamp>, Unreadable> {
        if self.is_unreadable.load(Ordering::Relaxed) {
            return Err("told to".into());
        }
        let received_at = |stored: &Entry| match &stored.record {
            Record::Event(it) => Some(it.received_at),
            Record::ProfileChange(it) => Some(it.received_at),
            Record::Quarantined(it) => Some(it.received_at),
            Record::Link(_) | Record::Request(_) => None,
        };
        let is_sought = |stored: &&Entry| {
            let id = stored.record.id();
            entries.iter().any(|it| it.record.id() == id)
        };
        let stored = self.entries.lock().unwrap();
        let times = stored.iter().filter(is_sought).filter_map(received_at);
        Ok(times.filter(|it| *it > after).min())
    }
}

/// A store in memory that refuses writes when told to.
#[derive(Debug, Default)]
pub(super) struct Failing {
    inner: InMemory,
    pub(super) is_failing: AtomicBool,
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
        if self.is_failing.load(Ordering::Relaxed) {
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
