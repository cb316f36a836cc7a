//! `[tls]`: which certificates the planes show.

use super::within;
use anyhow::{Result, bail};
use model::record::Plane;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A certificate chain and its key, both PEM files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pair {
    /// The chain: the server's own certificate first.
    pub(crate) certificate: PathBuf,
    /// The key of the first certificate; no access for others.
    pub(crate) key: PathBuf,
}

section! {
    /// Certificates. A plane without files of its own shows the local authority's, which no phone
    /// trusts. Files are read again on SIGHUP and when they change; broken ones change nothing.
    struct Tls {
        /// The folder of the local authority and its certificates.
        folder: PathBuf = PathBuf::from("tls"),
        /// Names and addresses in the local authority's certificates.
        names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec(),
        /// Files for the collect plane, at most one RSA and one ECDSA pair, for example
        /// [{ certificate = "rsa.pem", key = "rsa.key" }, { certificate = "ec.pem", key = "ec.key" }].
        collect: Vec<Pair> = Vec::new(),
        /// Files for the api plane.
        api: Vec<Pair> = Vec::new(),
        /// Files for the console plane.
        console: Vec<Pair> = Vec::new(),
        /// How often the files are looked at, milliseconds. 100 to 3600000.
        poll_interval_ms: u32 = 5_000,
    }
}

impl Tls {
    /// Whether the values are within their bounds.
    pub(super) fn check(&self) -> Result<()> {
        if self.names.is_empty() {
            bail!("`tls.names` is empty: a certificate needs at least one name");
        }
        within(
            "tls.poll_interval_ms",
            self.poll_interval_ms.into(),
            100..=3_600_000,
        )
    }

    /// The operator's own files for a plane; empty for the local authority's.
    pub(crate) fn pairs(&self, plane: Plane) -> &[Pair] {
        match plane {
            Plane::Collect => &self.collect,
            Plane::Api => &self.api,
            Plane::Console => &self.console,
        }
    }
}
