//! Connections that the product itself opens, to places that the operator has named: sinks of the audit
//! log, the receiver of alerts.
//!
//! A name that the operator wrote may lead anywhere by the time that it is looked up. What it leads to is
//! checked at every connection: never a link-local address (clouds keep their secrets there), this
//! machine only where the operator has named this machine. No redirect is followed, no proxy of the
//! environment is asked, and everything ends in time.

use anyhow::{Context as _, Result, bail};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

/// A host and what may be reached by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host {
    /// The name or address, without brackets.
    pub(crate) name: String,
    /// Whether the operator has named this machine.
    pub(crate) is_local: bool,
}

impl Host {
    /// By its name or address.
    pub(crate) fn new(name: &str) -> Self {
        let name = name.trim_matches(['[', ']']).to_owned();
        let is_local = match name.parse::<IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            Err(_) => name.eq_ignore_ascii_case("localhost"),
        };
        Self { name, is_local }
    }

    /// Whether a connection may go to that address.
    fn admits(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(it) if it.is_link_local() || it.is_unspecified() || it.is_broadcast() => {
                false
            }
            IpAddr::V6(it) if it.is_unicast_link_local() || it.is_unspecified() => false,
            it if it.is_multicast() => false,
            it => !it.is_loopback() || self.is_local,
        }
    }

    /// The addresses that the name leads to and that may be reached.
    ///
    /// # Errors
    /// When there are none.
    pub(crate) async fn addresses(&self, port: u16) -> Result<Vec<SocketAddr>> {
        let found = tokio::net::lookup_host((self.name.as_str(), port));
        let found = found
            .await
            .with_context(|| format!("failed to look up `{}`", self.name))?;
        let (may, not): (Vec<SocketAddr>, Vec<SocketAddr>) =
            found.partition(|address| self.admits(address.ip()));
        if may.is_empty() && !not.is_empty() {
            bail!("`{}` leads to an address that is never asked", self.name);
        }
        Ok(may)
    }

    /// A TCP connection.
    ///
    /// # Errors
    /// When none of the addresses takes it.
    pub(crate) async fn connect(&self, port: u16) -> Result<TcpStream> {
        let addresses = self.addresses(port).await?;
        let stream = TcpStream::connect(addresses.as_slice()).await;
        let stream =
            stream.with_context(|| format!("failed to connect to `{}:{port}`", self.name))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

#[derive(Debug)]
struct Guarded(Host);

impl Resolve for Guarded {
    fn resolve(&self, _: Name) -> Resolving {
        let host = self.0.clone();
        Box::pin(async move {
            let found = host.addresses(0).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// A client for one host. With `ca`, its certificate must be of that authority.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn client(host: &Host, ca: Option<&Path>, timeout: Duration) -> Result<reqwest::Client> {
    let address = host.name.parse::<IpAddr>();
    if address.is_ok_and(|address| !host.admits(address)) {
        bail!("`{}` is an address that is never asked", host.name);
    }
    let mut builder = reqwest::Client::builder()
        .timeout(timeout)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .dns_resolver(Arc::new(Guarded(host.clone())));
    if let Some(file) = ca {
        let fail = || format!("failed to read the authority `{}`", file.display());
        let bundle = std::fs::read(file).with_context(fail)?;
        let roots = reqwest::Certificate::from_pem_bundle(&bundle).with_context(fail)?;
        builder = builder.tls_certs_only(roots);
    }
    builder.build().context("failed to make an HTTP client")
}

#[cfg(test)]
mod tests {
    use super::Host;

    #[test]
    fn names_lead_where_the_operator_meant() {
        let cases = [
            ("sink.example", "192.0.2.1", true),
            ("sink.example", "10.0.0.1", true),
            ("sink.example", "127.0.0.1", false),
            ("sink.example", "::1", false),
            ("sink.example", "::ffff:127.0.0.1", false),
            ("sink.example", "169.254.169.254", false),
            ("sink.example", "::ffff:169.254.169.254", false),
            ("sink.example", "fe80::1", false),
            ("sink.example", "0.0.0.0", false),
            ("sink.example", "224.0.0.1", false),
            ("localhost", "127.0.0.1", true),
            ("LOCALHOST", "::1", true),
            ("127.0.0.2", "127.0.0.2", true),
            ("[::1]", "::1", true),
            ("localhost", "169.254.169.254", false),
        ];
        for (name, address, may) in cases {
            let found = Host::new(name).admits(address.parse().unwrap());
            assert_eq!(found, may, "{name} at {address}");
        }
    }
}
