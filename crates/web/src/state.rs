//! What every handler needs.

use control::Control;
use model::{Clock, Secret};
use query::Engine;
use std::sync::Arc;

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
    /// What the operator says of the installation.
    pub settings: Settings,
}

/// What the operator says of the installation, for `/.well-known/security.txt` (RFC 9116).
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
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            security_contact: String::from("mailto:security@localhost"),
            security_policy: None,
            security_canonical: None,
            preferred_languages: String::from("en"),
        }
    }
}

/// What every handler needs; a cheap handle.
#[derive(Debug, Clone)]
pub struct State(Arc<Parts>);

impl State {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    pub(crate) fn collect(&self) -> &collect::State {
        &self.0.collect
    }

    pub(crate) fn control(&self) -> &Control {
        &self.0.control
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    pub(crate) fn cursor_key(&self) -> &Secret<[u8; 32]> {
        &self.0.cursor_key
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.0.clock
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }
}
