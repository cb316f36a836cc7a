//! `[listen]`: where clients and operators connect, and what one connection may cost.

use super::within;
use anyhow::{Result, bail};
use governance::Network;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

section! {
    /// Where clients and operators connect. Port 0 takes a free port; the real one is printed.
    struct Listen {
        /// SDK endpoints (TLS).
        collect: SocketAddr = loopback(8441),
        /// The name by which apps reach the SDK endpoints, with the port unless that is 443: /hello tells
        /// it to phones, whatever name they came by. When empty, the first of `acme.names`, then of
        /// `tls.names`, that stands in the certificate of `tls.collect`; else the first host in it that
        /// has no wildcard beneath it; else one of those names that it is for by a wildcard; else any host
        /// in it (a warning where none is surely meant). Without such a file, or a host in it, the first of
        /// `acme.names`, or else of `tls.names`; each with the port listened on.
        collect_name: String = String::new(),
        /// The REST API (TLS).
        api: SocketAddr = loopback(8442),
        /// The console's pages (TLS).
        console: SocketAddr = loopback(8443),
        /// /metrics, /healthz and /readyz, in plain text: must be a loopback address.
        ops: SocketAddr = loopback(8440),
        /// Proxies whose `X-Forwarded-For` is believed, as networks: the client is the last address in
        /// it that is not one of theirs. Everybody else's is ignored.
        trusted_proxies: Vec<String> = Vec::new(),
        /// Connections at a time on one plane; more wait in the system's queue. 1 to 100000.
        connections_max: u32 = 4_096,
        /// Connections at a time of one peer (one IPv4 address, one IPv6 /64) on one plane; more are
        /// closed. Whoever is no trusted proxy has half of the plane's at most: where the system's
        /// limit of open files is low, these are fewer than `connections_max`. 1 to 100000.
        connections_per_peer_max: u32 = 2_048,
        /// Time for a TLS handshake, milliseconds. 100 to 60000.
        handshake_timeout_ms: u32 = 10_000,
        /// Time for a request's head to arrive, and for a kept connection to be idle, milliseconds.
        /// 100 to 600000.
        head_timeout_ms: u32 = 15_000,
        /// How long a peer may take none of our bytes, or send none of a body, milliseconds. 100 to
        /// 600000. A body must also arrive, and an answer be taken, at 16 KiB a second, after this much
        /// time to begin.
        stall_timeout_ms: u32 = 15_000,
        /// How long requests in progress may go on after SIGTERM, milliseconds. 0 to 600000.
        drain_timeout_ms: u32 = 20_000,
    }
}

impl Listen {
    /// The proxies whose word is taken.
    ///
    /// # Errors
    /// When one is not a network.
    pub(crate) fn proxies(&self) -> Result<Vec<Network>> {
        let networks = self.trusted_proxies.iter().map(|text| {
            text.parse().map_err(|error| {
                anyhow::anyhow!("`listen.trusted_proxies` holds `{text}`, which is {error}")
            })
        });
        networks.collect()
    }

    /// Whether the values are within their bounds.
    pub(super) fn check(&self) -> Result<()> {
        if !self.collect_name.is_empty()
            && wire::mobile_sdk::authority(&self.collect_name).is_none()
        {
            bail!("`listen.collect_name` is not a host's name or address");
        }
        if !self.ops.ip().is_loopback() {
            bail!(
                "`listen.ops` is {}: it speaks plainly, so it must be a loopback address",
                self.ops
            );
        }
        self.proxies()?;
        within(
            "listen.connections_max",
            self.connections_max.into(),
            1..=100_000,
        )?;
        within(
            "listen.connections_per_peer_max",
            self.connections_per_peer_max.into(),
            1..=100_000,
        )?;
        within(
            "listen.handshake_timeout_ms",
            self.handshake_timeout_ms.into(),
            100..=60_000,
        )?;
        within(
            "listen.head_timeout_ms",
            self.head_timeout_ms.into(),
            100..=600_000,
        )?;
        within(
            "listen.stall_timeout_ms",
            self.stall_timeout_ms.into(),
            100..=600_000,
        )?;
        within(
            "listen.drain_timeout_ms",
            self.drain_timeout_ms.into(),
            0..=600_000,
        )
    }

    /// Time for a handshake.
    pub(crate) fn handshake_timeout(&self) -> Duration {
        Duration::from_millis(self.handshake_timeout_ms.into())
    }

    /// Time for a head.
    pub(crate) fn head_timeout(&self) -> Duration {
        Duration::from_millis(self.head_timeout_ms.into())
    }

    /// Time without progress.
    pub(crate) fn stall_timeout(&self) -> Duration {
        Duration::from_millis(self.stall_timeout_ms.into())
    }

    /// Time for requests in progress after SIGTERM.
    pub(crate) fn drain_timeout(&self) -> Duration {
        Duration::from_millis(self.drain_timeout_ms.into())
    }
}
