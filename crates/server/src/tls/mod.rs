//! TLS for the three planes: versions 1.2 and 1.3, aws-lc-rs, certificates that are swapped while
//! the server runs.
//!
//! A plane shows the operator's own certificates or, without any, the local authority's. The RSA
//! and the ECDSA certificate of a plane are offered by what the client can verify. A pair that
//! breaks a rule of [`check`] stops the start; when one breaks later, the old one stays in place.

pub(crate) mod acme;
pub(crate) mod authority;
mod check;
mod resolver;
#[cfg(test)]
mod tests;

use anyhow::{Context as _, Result, bail};
use model::Timestamp;
use model::record::Plane;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::config::{Loaded, Pair};
use acme::{Acme, Challenges};
use check::Kind;
use resolver::{Chains, Resolver};

/// The planes that speak TLS.
pub(crate) const PLANES: [Plane; 3] = [Plane::Collect, Plane::Api, Plane::Console];

/// The certificates of every plane, and how they are renewed and read again.
#[derive(Debug)]
pub(crate) struct Certificates {
    planes: Vec<PlaneCertificates>,
    /// The local authority's folder and names; none when no plane uses it.
    authority: Option<(PathBuf, Vec<String>)>,
    /// The public authority; none when it is off.
    acme: Option<Acme>,
    folder: PathBuf,
    poll_interval: Duration,
}

#[derive(Debug)]
struct PlaneCertificates {
    plane: Plane,
    /// The operator's own files.
    own: Vec<Pair>,
    resolver: Arc<Resolver>,
    /// What the files held when they were last looked at: their digest.
    seen: Mutex<blake3::Hash>,
}

impl Certificates {
    /// Reads and checks the certificates of every plane, renewing the local authority's first.
    ///
    /// # Errors
    /// When a file cannot be read or a certificate breaks a rule; says which file and which rule.
    pub(crate) fn open(loaded: &Loaded, now: Timestamp) -> Result<Self> {
        let tls = &loaded.config.tls;
        let folder = loaded.resolve(&tls.folder);
        let needed = PLANES.iter().any(|plane| tls.pairs(*plane).is_empty());
        let authority = needed.then(|| (folder.clone(), tls.names.clone()));
        if let Some((folder, names)) = &authority {
            authority::renew_if_due(folder, names, now)?;
        }
        let challenges = Arc::new(Challenges::default());
        let acme = Acme::new(loaded, Arc::clone(&challenges));
        let resolved = |pair: &Pair| Pair {
            certificate: loaded.resolve(&pair.certificate),
            key: loaded.resolve(&pair.key),
        };
        let mut planes = Vec::new();
        for plane in PLANES {
            let own: Vec<Pair> = tls.pairs(plane).iter().map(resolved).collect();
            let pairs = sources(&own, acme.as_ref(), &folder);
            let seen = digest(&pairs);
            let chains = load(&pairs, now).with_context(|| {
                format!("refusing the certificates of the {} plane", plane.as_str())
            })?;
            let resolver = Arc::new(Resolver::new(chains, Arc::clone(&challenges)));
            planes.push(PlaneCertificates {
                plane,
                own,
                resolver,
                seen: Mutex::new(seen),
            });
        }
        let poll_interval = Duration::from_millis(tls.poll_interval_ms.into());
        Ok(Self {
            planes,
            authority,
            acme,
            folder,
            poll_interval,
        })
    }

    /// How often the files are looked at.
    pub(crate) const fn poll_interval(&self) -> Duration {
        self.poll_interval
    }

    /// Makes the local authority's certificates anew where that is due, and orders those of the
    /// public one.
    ///
    /// # Errors
    /// When files cannot be read or written, or the authority refuses; the old certificates stay in
    /// place.
    pub(crate) async fn renew(&self, now: Timestamp) -> Result<()> {
        if let Some((folder, names)) = &self.authority {
            authority::renew_if_due(folder, names, now)
                .context("failed to renew the local authority's certificates")?;
        }
        if let Some(acme) = &self.acme {
            acme.renew(now)
                .await
                .context("failed to renew certificates by ACME")?;
        }
        Ok(())
    }

    /// The names and addresses that a plane's certificates are for, in lower case.
    pub(crate) fn names(&self, plane: Plane) -> Arc<[Box<str>]> {
        let found = self.planes.iter().find(|it| it.plane == plane);
        found.map_or_else(Arc::default, |it| it.resolver.chains().names)
    }

    /// When the certificates of each plane end.
    pub(crate) fn ends(&self) -> Vec<(Plane, Timestamp)> {
        let ends = self.planes.iter();
        ends.filter_map(|it| Some((it.plane, it.resolver.chains().ends_at?)))
            .collect()
    }

    /// The TLS settings of a plane.
    ///
    /// # Errors
    /// When the library refuses the protocol versions, which is a bug of ours.
    pub(crate) fn server_config(&self, plane: Plane) -> Result<ServerConfig> {
        let Some(it) = self.planes.iter().find(|it| it.plane == plane) else {
            bail!("there are no certificates for the {} plane", plane.as_str());
        };
        // The provider's suites are the ones of Mozilla's intermediate profile, nothing else.
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .context("failed to choose the versions of TLS")?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&it.resolver) as _);
        // `http/1.0` too: a client that offers nothing else is refused otherwise.
        let protocols: [&[u8]; 3] = [b"h2", b"http/1.1", b"http/1.0"];
        config.alpn_protocols = protocols.map(<[u8]>::to_vec).to_vec();
        if self.acme.is_some() {
            config.alpn_protocols.push(acme::PROTOCOL.to_vec());
        }
        config.ticketer = aws_lc_rs::Ticketer::new().context("failed to make ticket keys")?;
        Ok(config)
    }

    /// Reads files again where they have changed (or all of them when `even_unchanged`), and swaps
    /// what is sound. What is broken is logged and leaves the old certificates in place.
    pub(crate) fn reload(&self, now: Timestamp, even_unchanged: bool) {
        for it in &self.planes {
            let pairs = sources(&it.own, self.acme.as_ref(), &self.folder);
            let current = digest(&pairs);
            {
                let mut seen = it.seen.lock().unwrap_or_else(PoisonError::into_inner);
                if *seen == current && !even_unchanged {
                    continue;
                }
                *seen = current;
            }
            match load(&pairs, now) {
                Ok(chains) => {
                    it.resolver.swap(chains);
                    tracing::info!(plane = it.plane.as_str(), "certificates were read again");
                }
                Err(error) => tracing::error!(
                    plane = it.plane.as_str(),
                    "the new certificates are refused, the old ones stay in place: {error:#}"
                ),
            }
        }
    }
}

/// Where a plane's certificates come from: its own files, the public authority once it has made
/// some, else the local one.
fn sources(own: &[Pair], acme: Option<&Acme>, folder: &Path) -> Vec<Pair> {
    if own.is_empty() {
        return acme
            .and_then(Acme::pairs)
            .unwrap_or_else(|| authority::pairs(folder));
    }
    own.to_vec()
}

/// A digest of everything in the files; a file that cannot be read counts as its own content.
fn digest(pairs: &[Pair]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for path in pairs.iter().flat_map(|pair| [&pair.certificate, &pair.key]) {
        let content = std::fs::read(path).unwrap_or_else(|error| error.to_string().into_bytes());
        hasher.update(blake3::hash(&content).as_bytes());
    }
    hasher.finalize()
}

/// Reads and checks pairs: at most one of each kind of key.
fn load(pairs: &[Pair], now: Timestamp) -> Result<Chains> {
    let mut chains = Chains::default();
    let mut names = Vec::new();
    for pair in pairs {
        let (kind, chain) = load_pair(&pair.certificate, &pair.key, now)?;
        names.extend(chain.cert.first().into_iter().flat_map(check::names));
        let end = chain.cert.first().and_then(check::end);
        chains.ends_at = chains.ends_at.into_iter().chain(end).min();
        let slot = match kind {
            Kind::Rsa => &mut chains.rsa,
            Kind::Ecdsa => &mut chains.ecdsa,
        };
        if slot.replace(Arc::new(chain)).is_some() {
            bail!(
                "two certificates with {kind} keys: `{}` is one too many",
                pair.certificate.display()
            );
        }
    }
    chains.names = names.into();
    Ok(chains)
}

/// Reads and checks one pair.
fn load_pair(certificate: &Path, key: &Path, now: Timestamp) -> Result<(Kind, CertifiedKey)> {
    let fail =
        |what: &str, path: &PathBuf| format!("failed to read the {what} `{}`", path.display());
    let (certificate, key) = (certificate.to_path_buf(), key.to_path_buf());
    let chain = CertificateDer::pem_file_iter(&certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| fail("certificate", &certificate))?;
    let named = || format!("refusing the certificate `{}`", certificate.display());
    let kind = check::chain(&chain, now).with_context(named)?;
    check::key_file(&key).with_context(|| format!("refusing the key `{}`", key.display()))?;
    let private = PrivateKeyDer::from_pem_file(&key).with_context(|| fail("key", &key))?;
    let signer = aws_lc_rs::sign::any_supported_type(&private)
        .with_context(|| format!("failed to use the key `{}`", key.display()))?;
    let certified = CertifiedKey::new(chain, signer);
    if certified.keys_match().is_err() {
        return Err(check::Weakness::KeyMismatch).with_context(named);
    }
    Ok((kind, certified))
}
