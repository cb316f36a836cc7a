//! `[audit]`: where the audit log is streamed to.

use super::within;
use crate::outbound::Host;
use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// One place outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sink {
    /// Its name: the position that is kept goes by it.
    pub(crate) name: String,
    /// Where: `https://HOST/PATH`, `tls://HOST:PORT`, `tcp://HOST:PORT`, `udp://HOST:PORT`.
    pub(crate) address: String,
    /// Whether acts are refused while it is too far behind.
    #[serde(default)]
    pub(crate) required: bool,
    /// How long one step may take, milliseconds.
    #[serde(default = "timeout_ms")]
    pub(crate) timeout_ms: u32,
    /// Entries that may wait for it.
    #[serde(default = "waiting_max")]
    pub(crate) waiting_max: u32,
    /// Whether what goes there may go unencrypted to another machine.
    #[serde(default)]
    pub(crate) plain: bool,
    /// The authority of its certificate, PEM; the system's when empty (`tls://` needs one).
    #[serde(default)]
    pub(crate) ca: PathBuf,
    /// A file with the bearer token for an `https://` sink; none when empty.
    #[serde(default)]
    pub(crate) token_file: PathBuf,
}

const fn timeout_ms() -> u32 {
    5_000
}

const fn waiting_max() -> u32 {
    10_000
}

section! {
    /// Where the audit log is streamed to, besides its own place. Each sink gets every entry at least
    /// once, in order for each account. A required one that is too far behind stops everything that is
    /// audited; an optional one loses the oldest, counted.
    struct Audit {
        /// The sinks, for example `[{ name = "siem", address = "https://siem.example/strongroom",
        /// required = true, waiting_max = 10000, timeout_ms = 5000, token_file = "siem.token" },
        /// { name = "syslog", address = "tls://logs.example:6514", ca = "logs-ca.pem" }]`. `tcp://` and
        /// `udp://` to another machine need `plain = true`.
        sinks: Vec<Sink> = Vec::new(),
    }
}

/// How a sink is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Way {
    /// POST of JSON Lines.
    Http(String),
    /// Syslog, RFC 5424, in datagrams.
    Udp(u16),
    /// Syslog on a connection, octet-counted.
    Tcp(u16),
    /// The same under TLS.
    Tls(u16),
}

impl Sink {
    /// How long one step may take.
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.into())
    }

    /// Where it is, and how it is spoken to.
    ///
    /// # Errors
    /// When the address is none of the four.
    pub(crate) fn way(&self) -> Result<(Host, Way)> {
        let wrong = || {
            format!(
                "`audit.sinks` has `{}` at `{}`: an address begins with https://, tls://, tcp:// or \
                 udp://, and names a host, and a port where it is syslog",
                self.name, self.address
            )
        };
        let (scheme, rest) = self.address.split_once("://").with_context(wrong)?;
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let parsed: http::uri::Authority = authority.parse().with_context(wrong)?;
        ensure!(!authority.contains('@'), wrong());
        let host = Host::new(parsed.host());
        let port = || parsed.port_u16().with_context(wrong);
        let way = match scheme {
            "https" | "http" => Way::Http(self.address.clone()),
            "udp" => Way::Udp(port()?),
            "tcp" => Way::Tcp(port()?),
            "tls" => Way::Tls(port()?),
            _ => bail!(wrong()),
        };
        Ok((host, way))
    }

    fn check(&self) -> Result<()> {
        let named = |what: &str| format!("`audit.sinks` has `{}`: {what}", self.name);
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        ensure!(
            (1..=40).contains(&self.name.len()) && self.name.chars().all(is_name),
            named("a name is 1 to 40 letters, digits, dots, dashes")
        );
        let (host, way) = self.way()?;
        let is_plain = match &way {
            Way::Http(url) => url.starts_with("http://"),
            Way::Udp(_) | Way::Tcp(_) => true,
            Way::Tls(_) => {
                ensure!(
                    !self.ca.as_os_str().is_empty(),
                    named("`tls://` needs `ca`, the authority of the receiver's certificate")
                );
                false
            }
        };
        ensure!(
            !is_plain || host.is_local || self.plain,
            named("it would go unencrypted to another machine: say `plain = true` if it may")
        );
        ensure!(
            !(self.required && matches!(way, Way::Udp(_))),
            named("a datagram may be lost: a required sink is https://, tls:// or tcp://")
        );
        within(
            "audit.sinks.timeout_ms",
            self.timeout_ms.into(),
            100..=60_000,
        )?;
        within(
            "audit.sinks.waiting_max",
            self.waiting_max.into(),
            1..=1_000_000,
        )
    }
}

impl Audit {
    /// Whether the values are within their bounds.
    pub(crate) fn check(&self) -> Result<()> {
        ensure!(self.sinks.len() <= 8, "`audit.sinks` has more than 8 sinks");
        for (number, sink) in self.sinks.iter().enumerate() {
            sink.check()?;
            let is_new = !self
                .sinks
                .iter()
                .take(number)
                .any(|it| it.name == sink.name);
            ensure!(is_new, "`audit.sinks` has `{}` twice", sink.name);
        }
        Ok(())
    }
}
