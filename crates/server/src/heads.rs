//! Signed heads of the audit logs, published as files that somebody keeps elsewhere: at intervals by the
//! job, and with every download, whoever makes it.

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use control::{Actor, Control};
use model::AccountId;
use std::path::{Path, PathBuf};
use tokio::sync::Mutex;

use crate::files::{create_folder, write_public};

/// The published heads of one installation.
#[derive(Debug)]
pub(crate) struct Heads {
    folder: PathBuf,
    control: Control,
    /// Held by whoever publishes.
    publishing: Mutex<()>,
}

impl Heads {
    /// Below the installation's folder, one file a log.
    pub(crate) fn new(installation: &Path, control: &Control) -> Self {
        Self {
            folder: installation.join("audit").join("checkpoints"),
            control: control.clone(),
            publishing: Mutex::new(()),
        }
    }

    /// Publishes the head of each log that has grown: the accounts' first, because their heads are
    /// entries of the installation's. A log that does not continue what was published stops no other.
    /// Says how many were published.
    ///
    /// # Errors
    /// What the last one failed with.
    pub(crate) async fn publish_all(&self) -> Result<u32> {
        let rules = self.control.rules();
        let mut accounts: Vec<AccountId> = rules.borrow().accounts.keys().copied().collect();
        accounts.sort_unstable();
        accounts.push(AccountId::installation());
        let (mut published, mut failed) = (0_u32, None);
        for account in accounts {
            match self.publish(account).await {
                Ok(true) => published = published.saturating_add(1),
                Ok(false) => {}
                Err(error) => {
                    tracing::error!("the audit log of account {account} was not signed: {error:#}");
                    failed = Some(error);
                }
            }
        }
        match failed {
            None => Ok(published),
            Some(error) => Err(error),
        }
    }

    /// Publishes the head of one log if it has grown; says whether.
    ///
    /// # Errors
    /// When the log does not continue what was published, or a file cannot be written.
    pub(crate) async fn publish(&self, account: AccountId) -> Result<bool> {
        let _guard = self.publishing.lock().await;
        let before = self.published(account)?;
        let note = self
            .control
            .audit_checkpoint(&Actor::system("checkpoint"), account, before.as_deref())
            .await
            .with_context(|| {
                format!("failed to sign the head of the audit log of account {account}")
            })?;
        let Some(note) = note else { return Ok(false) };
        self.write(account, &note)?;
        Ok(true)
    }

    /// Publishes a head that was signed for a download, unless a later one is published already.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) async fn keep(&self, account: AccountId, note: &str) -> Result<()> {
        let _guard = self.publishing.lock().await;
        let before = self.published(account)?.unwrap_or_default();
        if Self::size(note) > Self::size(&before) {
            self.write(account, note)?;
        }
        Ok(())
    }

    /// The head that was published last; none when there is none.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn published(&self, account: AccountId) -> Result<Option<String>> {
        let file = self.file(account);
        match std::fs::read_to_string(&file) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => {
                Err(error).with_context(|| format!("failed to read `{}`", file.display()))
            }
        }
    }

    /// How many entries a head speaks of.
    pub(crate) fn size(note: &str) -> u64 {
        let size = note.lines().nth(1).and_then(|line| line.parse().ok());
        size.unwrap_or(0)
    }

    fn file(&self, account: AccountId) -> PathBuf {
        self.folder.join(format!("{account}.txt"))
    }

    fn write(&self, account: AccountId, note: &str) -> Result<()> {
        create_folder(&self.folder)?;
        write_public(&self.file(account), note.as_bytes())
    }
}

#[async_trait]
impl web::Heads for Heads {
    async fn publish(&self, account: AccountId) -> Result<(), String> {
        let published = Self::publish(self, account).await;
        published.map(drop).map_err(|error| format!("{error:#}"))
    }

    async fn keep(&self, account: AccountId, note: &str) -> Result<(), String> {
        let kept = Self::keep(self, account, note).await;
        kept.map_err(|error| format!("{error:#}"))
    }
}
