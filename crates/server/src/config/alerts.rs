//! `[alerts]`: who is told that something turned red.

use super::within;
use crate::outbound::Host;
use anyhow::{Context as _, Result, ensure};
use std::path::PathBuf;
use std::time::Duration;

section! {
    /// Who is told when something turns red, and when it is in order again: no write is acknowledged
    /// (`writes`), a volume is lost (`volume`), drops wait too long for review (`drops_overdue`),
    /// what is past its retention is not removed (`purge`), a deletion takes too long
    /// (`deletion_overdue`), a required sink takes nothing (`audit_sink`), a certificate is about to
    /// end (`certificate`), a copy of the keyring is out of reach (`keyring_copy`), the journal is
    /// more than half full (`journal`), another job fails or falls behind (`job`). Operators, and
    /// Admins of the account that it is about, by mail; and a receiver.
    struct Alerts {
        /// Whether mails are written.
        mail: bool = true,
        /// Who is called besides: an `https://` URL, or `http://` on this machine; none when empty.
        webhook_url: String = String::new(),
        /// A file with 64 hexadecimal digits: the key of the signature that each call carries
        /// (`Strongroom-Signature: t=SECONDS,v1=HEX`, HMAC-SHA-256 over SECONDS, a dot and the body).
        webhook_secret_file: PathBuf = PathBuf::new(),
        /// The authority of the receiver's certificate, PEM; the system's when empty.
        webhook_ca: PathBuf = PathBuf::new(),
        /// How long a call may take, milliseconds. 100 to 60000.
        webhook_timeout_ms: u32 = 5_000,
    }
}

impl Alerts {
    /// How long a call may take.
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.webhook_timeout_ms.into())
    }

    /// The receiver's host.
    ///
    /// # Errors
    /// When the URL has none.
    pub(crate) fn host(&self) -> Result<Host> {
        let uri: http::Uri = self
            .webhook_url
            .parse()
            .context("`alerts.webhook_url` is no URL")?;
        let authority = uri.authority();
        let authority = authority.context("`alerts.webhook_url` has no host")?;
        ensure!(
            !authority.as_str().contains('@'),
            "`alerts.webhook_url` has a name or a password in it"
        );
        Ok(Host::new(authority.host()))
    }

    /// Whether the values are within their bounds.
    pub(super) fn check(&self) -> Result<()> {
        within(
            "alerts.webhook_timeout_ms",
            self.webhook_timeout_ms.into(),
            100..=60_000,
        )?;
        if self.webhook_url.is_empty() {
            return Ok(());
        }
        let is_local = self.host()?.is_local;
        let url = &self.webhook_url;
        ensure!(
            url.starts_with("https://") || (url.starts_with("http://") && is_local),
            "`alerts.webhook_url` must begin with https:// (http:// is for this machine only)"
        );
        ensure!(
            !self.webhook_secret_file.as_os_str().is_empty(),
            "`alerts.webhook_url` needs `alerts.webhook_secret_file`"
        );
        Ok(())
    }
}
