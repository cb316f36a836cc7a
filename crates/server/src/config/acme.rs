//! `[acme]`: certificates from a public authority.

use super::within;
use anyhow::{Result, bail};
use std::path::PathBuf;

section! {
    /// Certificates from a public authority by ACME (RFC 8555, challenge tls-alpn-01), for the planes
    /// that have no files of their own. One plane must be reached at port 443 of every name. Until the
    /// first certificate is there, the local authority's is shown.
    struct Acme {
        /// The authority's directory, an https address, for example Let's Encrypt's
        /// `https://acme-v02.api.letsencrypt.org/directory`; no ACME when empty. To name it here is to
        /// agree to the authority's terms of service.
        directory: String = String::new(),
        /// The names in the certificate.
        names: Vec<String> = Vec::new(),
        /// Addresses that the authority may write to, for example mailto:ops@example.com.
        contacts: Vec<String> = Vec::new(),
        /// A PEM file with the root that the authority's own certificate is checked with; the system's
        /// roots when empty.
        root: PathBuf = PathBuf::new(),
        /// Where account and certificates are kept, mode 0600.
        folder: PathBuf = PathBuf::from("tls/acme"),
        /// How long before its end a certificate is renewed, days. 1 to 60.
        renew_before_days: u32 = 30,
    }
}

impl Acme {
    /// Whether it is to be used.
    pub(crate) const fn is_on(&self) -> bool {
        !self.directory.is_empty()
    }

    /// Whether the values fit together.
    pub(super) fn check(&self) -> Result<()> {
        if self.is_on() && !self.directory.starts_with("https://") {
            bail!("`acme.directory` is not an https address");
        }
        if self.is_on() && self.names.is_empty() {
            bail!("`acme.names` is empty: a certificate needs at least one name");
        }
        within(
            "acme.renew_before_days",
            self.renew_before_days.into(),
            1..=60,
        )
    }
}
