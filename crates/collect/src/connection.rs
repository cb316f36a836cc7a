//! What the listener tells of a connection, and what the routers tell the listener.

use model::record::Plane;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is known of the connection that a request came on. The listener puts one in the extensions
/// of every request.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The other end of the TCP connection.
    pub peer: SocketAddr,
    /// The version of TLS: `1.2` or `1.3`.
    pub tls_version: &'static str,
    /// Which listener.
    pub plane: Plane,
}

/// In a response's extensions: send nothing of it. The listener closes the connection without a
/// byte (HTTP/1.1) or resets the stream (HTTP/2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence;

/// In a request's extensions: whether a client that wants to be asked for its body is asked. Until a
/// handler knows who calls, it is not: not even that much is said to strangers.
#[derive(Debug, Clone, Default)]
pub struct Voice(Arc<AtomicBool>);

impl Voice {
    /// The caller is known: it is asked for its body.
    pub fn allow(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// The next request begins: who sends it is not known.
    pub fn withhold(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// Whether it is asked.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
