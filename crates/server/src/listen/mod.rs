//! The listeners of the three planes, and what happens to each connection.
//!
//! A plane is one TCP listener, one TLS configuration and one router. [`run`] accepts until it is
//! told to stop, then lets what is in progress end. No request is looked at here: the routers
//! decide, and a response with [`collect::Silence`] becomes a close without a byte (HTTP/1.1) or a
//! reset of the stream (HTTP/2).

mod address;
mod body;
mod busy;
mod connection;
mod crowd;
mod descriptors;
mod flood;
mod frames;
mod framing;
mod heads;
mod hello;
mod ops;
mod pace;
mod peers;
mod proxies;
mod report;
mod stream;
mod streams;
mod strict;
#[cfg(test)]
mod tests;

use anyhow::{Context as _, Result};
use axum::Router;
use collect::{Drops, Refused};
use governance::Network;
use model::record::Plane;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Listen;
use crate::tls::Certificates;
use connection::Commons;
pub(crate) use descriptors::connections_max;
#[cfg(test)]
pub(crate) use ops::ROUTES as OPS_ROUTES;
pub(crate) use ops::{Health, run as run_ops};
use peers::Peers;

/// One plane, ready to accept.
pub(crate) struct Listener {
    /// Which one.
    pub(crate) plane: Plane,
    /// Where it listens.
    pub(crate) socket: TcpListener,
    /// Its TLS.
    pub(crate) acceptor: TlsAcceptor,
    /// The certificates that it shows.
    pub(crate) certificates: Arc<Certificates>,
    /// What answers.
    pub(crate) router: Router,
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener")
            .field("plane", &self.plane)
            .finish_non_exhaustive()
    }
}

/// What every connection needs.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Limits.
    pub(crate) limits: Listen,
    /// Where what is refused is logged.
    pub(crate) drops: Drops,
    /// Proxies whose word on where a client is is taken.
    pub(crate) proxies: Vec<Network>,
    /// Connections at a time on one plane that the system's limit of open files allows.
    pub(crate) connections_max: u32,
}

impl Shared {
    /// Whether a peer is a proxy whose word is taken.
    fn is_proxy(&self, peer: IpAddr) -> bool {
        self.proxies.iter().any(|it| it.contains(peer))
    }

    /// Connections at a time of one peer on one plane. A proxy stands for many.
    fn connections_of(&self, peer: IpAddr) -> u32 {
        let most = self.limits.connections_per_peer_max;
        if self.is_proxy(peer) {
            most
        } else {
            peers::share(most, self.connections_max)
        }
    }
}

/// Opens a listening socket.
///
/// # Errors
/// When the address is taken or may not be used; names it and the plane.
pub(crate) async fn bind(name: &str, address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("failed to listen on {address} for {name} (another address: `listen.{name}`)")
    })
}

/// Accepts connections until `stop`, then waits until those in progress have ended, at most for
/// the drain time.
pub(crate) async fn run(listener: Listener, shared: Arc<Shared>, stop: CancellationToken) {
    let connections = TaskTracker::new();
    let slots = Arc::new(Semaphore::new(
        usize::try_from(shared.connections_max).unwrap_or(usize::MAX >> 4),
    ));
    let (peers, commons) = (Peers::default(), Commons::default());
    let listener = Arc::new(listener);
    let plane = listener.plane.as_str();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener.socket, &slots) => accepted,
        };
        let Some((tcp, peer, slot)) = accepted else {
            // Out of file descriptors, most likely: they come back when connections end.
            metrics::counter!("strongroom_accept_failures_total", "plane" => plane).increment(1);
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        metrics::counter!("strongroom_connections_total", "plane" => plane).increment(1);
        let most = shared.connections_of(peer.ip());
        let Some(counted) = peers.enter(peer.ip(), most) else {
            shared
                .drops
                .refuse(too_many_connections(listener.plane, peer));
            continue;
        };
        let (listener, shared, stop) = (Arc::clone(&listener), Arc::clone(&shared), stop.clone());
        let commons = commons.clone();
        connections.spawn(async move {
            let open = metrics::gauge!("strongroom_connections_open", "plane" => plane);
            open.increment(1.0);
            connection::serve(tcp, peer, &listener, &shared, commons, stop).await;
            open.decrement(1.0);
            drop((slot, counted));
        });
    }
    connections.close();
    if tokio::time::timeout(shared.limits.drain_timeout(), connections.wait())
        .await
        .is_err()
    {
        tracing::warn!(
            plane,
            connections.open = connections.len(),
            "requests were still in progress when the time to drain was over"
        );
    }
}

fn too_many_connections(plane: Plane, peer: SocketAddr) -> Refused {
    Refused {
        plane,
        peer: peer.ip(),
        tls_version: "",
        method: "-".into(),
        path: Box::default(),
        status: 0,
        reason: "too_many_connections",
        size_bytes: 0,
    }
}

/// The next connection, once there is a slot for it.
async fn accept(
    socket: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(
    tokio::net::TcpStream,
    SocketAddr,
    tokio::sync::OwnedSemaphorePermit,
)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    let (tcp, peer) = socket.accept().await.ok()?;
    Some((tcp, peer, slot))
}
