//! Certificates from a public authority: ordered, proved by tls-alpn-01 (RFC 8737) on our own
//! listeners, and renewed.
//!
//! Account key and certificates are files of mode 0600. A certificate and its key are one file, so
//! that a swap is one rename. What the authority hands out is judged like any other certificate
//! before it is shown.

use anyhow::{Context as _, Result, bail};
use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, ChallengeType, Identifier, NewAccount,
    NewOrder, OrderStatus, RetryPolicy,
};
use model::Timestamp;
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use super::authority::{self, FLAVOURS, Flavour};
use crate::config::{self, Pair};
use crate::files::{create_folder, write_private};

/// The protocol that a validating authority asks for.
pub(crate) const PROTOCOL: &[u8] = b"acme-tls/1";

/// How long one order may take.
const ORDER_TIMEOUT: Duration = Duration::from_secs(300);

/// Certificates that answer challenges, by name.
#[derive(Debug, Default)]
pub(super) struct Challenges(RwLock<HashMap<String, Arc<CertifiedKey>>>);

impl Challenges {
    /// The certificate that proves that `name` is ours, while an order is under way.
    pub(super) fn find(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
    }

    fn insert(&self, name: String, proof: CertifiedKey) {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name, Arc::new(proof));
    }

    fn clear(&self) {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

/// One authority and what is asked of it.
#[derive(Debug)]
pub(super) struct Acme {
    settings: config::Acme,
    /// The root of the authority's own certificate; the system's when none.
    root: Option<PathBuf>,
    folder: PathBuf,
    challenges: Arc<Challenges>,
}

impl Acme {
    /// As configured; none when it is off.
    pub(super) fn new(loaded: &config::Loaded, challenges: Arc<Challenges>) -> Option<Self> {
        let settings = loaded.config.acme.clone();
        settings.is_on().then(|| Self {
            root: (!settings.root.as_os_str().is_empty()).then(|| loaded.resolve(&settings.root)),
            folder: loaded.resolve(&settings.folder),
            settings,
            challenges,
        })
    }

    /// The files, once there are both kinds of them.
    pub(super) fn pairs(&self) -> Option<Vec<Pair>> {
        let files = FLAVOURS.map(|flavour| self.folder.join(flavour.leaf));
        files.iter().all(|file| file.exists()).then(|| {
            files
                .map(|file| Pair {
                    certificate: file.clone(),
                    key: file,
                })
                .to_vec()
        })
    }

    /// Orders what is missing, ends soon, or is for other names.
    ///
    /// # Errors
    /// When the authority refuses or cannot be reached; what is there stays.
    pub(super) async fn renew(&self, now: Timestamp) -> Result<bool> {
        let before = Duration::from_secs(86_400) * self.settings.renew_before_days;
        let mut due = Vec::new();
        for flavour in FLAVOURS {
            let file = self.folder.join(flavour.leaf);
            if authority::is_due(&file, &self.settings.names, now, before)? {
                due.push(flavour);
            }
        }
        if due.is_empty() {
            return Ok(false);
        }
        create_folder(&self.folder)?;
        let account = self.account().await.context("failed to open the account")?;
        for flavour in due {
            let ordered = tokio::time::timeout(ORDER_TIMEOUT, self.order(&account, flavour)).await;
            self.challenges.clear();
            ordered
                .context("the authority took too long")?
                .with_context(|| format!("failed to order an {} certificate", flavour.name))?;
            tracing::info!(kind = flavour.name, "the authority made a new certificate");
        }
        Ok(true)
    }

    /// The account of before, or a new one.
    async fn account(&self) -> Result<Account> {
        let builder = match &self.root {
            Some(root) => Account::builder_with_root(root),
            None => Account::builder(),
        };
        let builder = builder.context("failed to make a client")?;
        let file = self.folder.join("account.key");
        if file.exists() {
            let fail = || format!("failed to read `{}`", file.display());
            let text = std::fs::read_to_string(&file).with_context(fail)?;
            let credentials: AccountCredentials = serde_json::from_str(&text).with_context(fail)?;
            return Ok(builder.from_credentials(credentials).await?);
        }
        let contact: Vec<&str> = self.settings.contacts.iter().map(String::as_str).collect();
        let new = NewAccount {
            contact: &contact,
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let (account, credentials) = builder
            .create(&new, self.settings.directory.clone(), None)
            .await?;
        let text = serde_json::to_vec(&credentials).context("failed to write the account's key")?;
        write_private(&file, &text)?;
        Ok(account)
    }

    async fn order(&self, account: &Account, flavour: Flavour) -> Result<()> {
        let names = &self.settings.names;
        let identifiers: Vec<_> = names.iter().cloned().map(Identifier::Dns).collect();
        let mut order = account.new_order(&NewOrder::new(&identifiers)).await?;
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            match authorization.status {
                AuthorizationStatus::Pending => {}
                AuthorizationStatus::Valid => continue,
                other => bail!("the authority says of a name that it is {other:?}"),
            }
            let mut challenge = authorization
                .challenge(ChallengeType::TlsAlpn01)
                .context("the authority does not offer the challenge tls-alpn-01")?;
            let Identifier::Dns(name) = challenge.identifier().identifier.clone() else {
                bail!("the authority asks for a proof of something that is no name");
            };
            let digest = challenge.key_authorization().digest();
            self.challenges
                .insert(name.to_lowercase(), proof(&name, digest.as_ref())?);
            challenge.set_ready().await?;
        }
        let status = order.poll_ready(&RetryPolicy::default()).await?;
        if status != OrderStatus::Ready {
            bail!("the authority did not accept the proof: the order is {status:?}");
        }
        let key = flavour.make_key()?;
        let request = CertificateParams::new(names.clone())
            .and_then(|params| params.serialize_request(&key))
            .context("failed to make the request")?;
        order.finalize_csr(request.der()).await?;
        let chain = order.poll_certificate(&RetryPolicy::default()).await?;
        let content = format!("{}{chain}", key.serialize_pem());
        write_private(&self.folder.join(flavour.leaf), content.as_bytes())
    }
}

/// The certificate that answers a challenge: for the name, with the digest of what only the account
/// can know.
fn proof(name: &str, digest: &[u8]) -> Result<CertifiedKey> {
    if digest.len() != 32 {
        bail!("the digest of a proof has {} bytes", digest.len());
    }
    let key = KeyPair::generate().context("failed to make a key")?;
    let mut params =
        CertificateParams::new(vec![name.to_owned()]).context("failed to use a name")?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let certificate = params.self_signed(&key).context("failed to sign a proof")?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let signer = any_supported_type(&key).context("failed to use the key of a proof")?;
    Ok(CertifiedKey::new(vec![certificate.der().clone()], signer))
}

#[cfg(test)]
mod tests;
