//! What every handler needs.

use async_trait::async_trait;
use control::Control;
use model::{AccountId, Clock, Secret, Timestamp, limit};
use query::Engine;
use std::fmt::Debug;
use std::sync::Arc;
use tokio::sync::Mutex;

use crate::api::{Asked, Strangers};

/// What [`State`] is made of; `server` constructs it.
#[derive(Debug)]
pub struct Parts {
    /// The collection side: it knows callers, and its upload is a route of the API.
    pub collect: collect::State,
    /// Accounts, audit, deletions.
    pub control: Control,
    /// What reads.
    pub engine: Engine,
    /// The key that makes cursors unforgeable; the same on every node.
    pub cursor_key: Secret<[u8; 32]>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How the volumes are.
    pub volumes: Arc<dyn Ground>,
    /// Where signed heads of the audit logs are published.
    pub heads: Arc<dyn Heads>,
    /// What the operator says of the installation.
    pub settings: Settings,
}

/// What the installation stands on: the console shows how it is. This crate does not know the store.
pub trait Ground: Debug + Send + Sync {
    /// How the volumes are at this moment, from what the process knows; reads nothing.
    fn volumes(&self) -> Volumes;

    /// Everything that is red: what the alerts and the metrics tell, too.
    fn concerns(&self) -> Vec<Concern> {
        Vec::new()
    }

    /// Where the audit log is streamed to; none where it is not.
    fn sinks(&self) -> Vec<Sink> {
        Vec::new()
    }
}

/// Something that is red.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concern {
    /// The account that it is about, or the installation.
    pub account: AccountId,
    /// What is wrong.
    pub text: String,
    /// More about it.
    pub words: String,
    /// The page that shows more, below the account's.
    pub page: Option<&'static str>,
}

/// Where signed heads of the audit logs are published, so that somebody can keep them elsewhere.
#[async_trait]
pub trait Heads: Debug + Send + Sync {
    /// Publishes the head of an account's log as it is.
    ///
    /// # Errors
    /// Why nothing is signed: the log does not continue what was published, or nothing can be written.
    async fn publish(&self, account: AccountId) -> Result<(), String>;

    /// Publishes a head that was signed for a download.
    ///
    /// # Errors
    /// Why it cannot be written.
    async fn keep(&self, account: AccountId, note: &str) -> Result<(), String>;
}

/// A place outside that the audit log is streamed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sink {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub address: String,
    /// Whether nothing that is audited is done while it is too far behind.
    pub is_required: bool,
    /// Entries that wait for it.
    pub waiting: u64,
    /// Entries that may wait for it.
    pub waiting_max: u64,
    /// Entries that it will never get.
    pub dropped: u64,
    /// Why it takes nothing and since when; none when it does.
    pub down: Option<(String, Timestamp)>,
    /// When it last took something.
    pub taken_at: Option<Timestamp>,
}

/// How the volumes are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Volumes {
    /// Data shards of a stripe: so many volumes are enough to read.
    pub data: usize,
    /// Parity shards of a stripe: so many volumes may fail.
    pub parity: usize,
    /// Volumes in service.
    pub healthy: usize,
    /// Whether writes are acknowledged.
    pub ready: bool,
    /// Objects.
    pub objects: u64,
    /// Their bytes, before sealing and parity.
    pub object_bytes: u64,
    /// Shards that are known to be missing and wait to be rebuilt.
    pub shards_wanted: u64,
    /// Every volume, by number.
    pub volumes: Vec<Volume>,
}

/// One volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Its number, from 1.
    pub number: usize,
    /// Where it is; empty while it is missing.
    pub place: String,
    /// Why it does not serve and since when; none when it does.
    pub out: Option<(String, Timestamp)>,
    /// Shards on it.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What the operator says of the installation, for `/.well-known/security.txt` (RFC 9116) and for the
/// console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where to report a vulnerability: `mailto:`, `tel:` or `https:`.
    pub security_contact: String,
    /// The policy on reports: an `https:` URL.
    pub security_policy: Option<String>,
    /// Where the file itself is published: an `https:` URL.
    pub security_canonical: Option<String>,
    /// Languages of those who read reports: tags of RFC 5646, with commas.
    pub preferred_languages: String,
    /// The name, and the port unless it is 443, by which SDKs reach the collect plane: for the
    /// snippets that the console shows.
    pub collect_host: String,
    /// The same of the API.
    pub api_host: String,
    /// How long the request log of an account is kept that says nothing of it, days.
    pub request_retention_days: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            security_contact: String::from("mailto:security@localhost"),
            security_policy: None,
            security_canonical: None,
            preferred_languages: String::from("en"),
            collect_host: String::from("localhost:8441"),
            api_host: String::from("localhost:8442"),
            request_retention_days: limit::REQUEST_RETENTION_DAYS_DEFAULT,
        }
    }
}

/// What every handler needs; a cheap handle.
#[derive(Debug, Clone)]
pub struct State(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    parts: Parts,
    /// Held by whoever replays or deletes quarantined records.
    quarantine: Mutex<()>,
    /// Programs that were refused of late.
    strangers: Strangers,
    /// Reports that were asked for of late.
    asked: Asked,
}

impl State {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Inner {
            parts,
            quarantine: Mutex::default(),
            strangers: Strangers::default(),
            asked: Asked::default(),
        }))
    }

    pub(crate) fn collect(&self) -> &collect::State {
        &self.0.parts.collect
    }

    pub(crate) fn control(&self) -> &Control {
        &self.0.parts.control
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.0.parts.engine
    }

    pub(crate) fn cursor_key(&self) -> &Secret<[u8; 32]> {
        &self.0.parts.cursor_key
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.0.parts.clock
    }

    /// The lock of replays and deletions of quarantined records.
    pub(crate) fn quarantine(&self) -> &Mutex<()> {
        &self.0.quarantine
    }

    /// Programs that were refused of late.
    pub(crate) fn strangers(&self) -> &Strangers {
        &self.0.strangers
    }

    /// Reports that were asked for of late.
    pub(crate) fn asked(&self) -> &Asked {
        &self.0.asked
    }

    pub(crate) fn volumes(&self) -> &dyn Ground {
        &*self.0.parts.volumes
    }

    pub(crate) fn heads(&self) -> &dyn Heads {
        &*self.0.parts.heads
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.parts.settings
    }
}
