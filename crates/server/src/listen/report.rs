//! How the layers below the routers say what they refused, and what they may say to the peer.

use collect::{Connection, Drops, Refused, Voice};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Requests that are in progress at a time: more than one connection may have, or than the plane bears.
pub(super) const TOO_MANY_STREAMS: &str = "http2_too_many_streams";

/// What one connection shares between its reading, its writing and its requests.
#[derive(Debug, Clone)]
pub(super) struct Report(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    about: Connection,
    drops: Drops,
    /// Lets an interim answer out, once it is known who sends the request that is being handled.
    voice: Voice,
    /// Something of ours may be written: at least one request has been answered.
    is_answered: AtomicBool,
    /// A head has begun and is not complete.
    is_in_head: AtomicBool,
    /// Bytes of answers that the peer has taken.
    sent: AtomicU64,
}

impl Report {
    pub(super) fn new(about: Connection, drops: Drops) -> Self {
        Self(Arc::new(Inner {
            about,
            drops,
            voice: Voice::default(),
            is_answered: AtomicBool::new(false),
            is_in_head: AtomicBool::new(false),
            sent: AtomicU64::new(0),
        }))
    }

    /// What is known of the connection.
    pub(super) fn about(&self) -> &Connection {
        &self.0.about
    }

    /// What a request of this connection gets, so that its handler can let an interim answer out. One
    /// that came before may have been somebody else's.
    pub(super) fn voice(&self) -> Voice {
        self.0.voice.withhold();
        self.0.voice.clone()
    }

    /// Something was refused of which nothing more is known.
    pub(super) fn refuse(&self, reason: &'static str) {
        self.refuse_head(reason, 0, Box::default(), Box::default());
    }

    /// A head was refused that never became a request: its method and path, as far as they are known.
    /// `status` is what its sender is told, 0 for nothing.
    pub(super) fn refuse_head(
        &self,
        reason: &'static str,
        status: u16,
        method: Box<str>,
        path: Box<str>,
    ) {
        let about = &self.0.about;
        self.0.drops.refuse(Refused {
            plane: about.plane,
            peer: about.peer.ip(),
            tls_version: about.tls_version,
            method: collect::cleaned_method(&method),
            path,
            status,
            reason,
            size_bytes: 0,
        });
    }

    /// A request is answered: its head may be written.
    pub(super) fn answer(&self) {
        self.0.is_answered.store(true, Ordering::Relaxed);
    }

    /// Whether any request has been answered.
    pub(super) fn is_answered(&self) -> bool {
        self.0.is_answered.load(Ordering::Relaxed)
    }

    /// Whether interim answers may be written.
    pub(super) fn may_go_on(&self) -> bool {
        self.0.voice.is_allowed()
    }

    /// So many bytes of answers have been written.
    pub(super) fn moved(&self, bytes: u64) {
        self.0.sent.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes of answers written so far.
    pub(super) fn sent(&self) -> u64 {
        self.0.sent.load(Ordering::Relaxed)
    }

    /// Says whether a head has begun and is not complete.
    pub(super) fn set_in_head(&self, is_in_head: bool) {
        self.0.is_in_head.store(is_in_head, Ordering::Relaxed);
    }

    /// Whether a head has begun and is not complete.
    pub(super) fn is_in_head(&self) -> bool {
        self.0.is_in_head.load(Ordering::Relaxed)
    }
}
