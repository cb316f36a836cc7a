//! Signed heads of the audit logs, written to files that can be kept elsewhere.

use anyhow::{Context as _, Result};
use control::Actor;
use model::AccountId;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

use crate::compose::Installation;
use crate::files::{create_folder, write_public};

/// Publishes the head of each log that has grown: the accounts' first, because their heads are
/// entries of the installation's. A log that does not continue what was published stops no other.
pub(super) async fn run(installation: &Installation) -> Result<Value> {
    let folder = folder(installation.folder());
    create_folder(&folder)?;
    let mut accounts: Vec<AccountId> = installation.rules().accounts.keys().copied().collect();
    accounts.sort_unstable();
    accounts.push(AccountId::installation());
    let (mut published, mut failed) = (0_u32, None);
    for account in accounts {
        match publish(installation, &folder, account).await {
            Ok(true) => published += 1,
            Ok(false) => {}
            Err(error) => {
                tracing::error!("the audit log of account {account} was not signed: {error:#}");
                failed = Some(error);
            }
        }
    }
    match failed {
        None => Ok(json!({"published": published})),
        Some(error) => Err(error),
    }
}

/// Where checkpoints are, one file a log.
fn folder(installation: &Path) -> PathBuf {
    installation.join("audit").join("checkpoints")
}

/// Publishes a head that was signed for a download, unless a later one is published already.
pub(crate) async fn keep(
    installation: &Installation,
    account: AccountId,
    note: &str,
) -> Result<()> {
    let _guard = installation.guards().audit.lock().await;
    let folder = folder(installation.folder());
    create_folder(&folder)?;
    let file = folder.join(format!("{account}.txt"));
    let size = |note: &str| {
        let size = note
            .lines()
            .nth(1)
            .and_then(|line| line.parse::<u64>().ok());
        size.unwrap_or(0)
    };
    let before = std::fs::read_to_string(&file).unwrap_or_default();
    if size(note) > size(&before) {
        write_public(&file, note.as_bytes())?;
    }
    Ok(())
}

async fn publish(installation: &Installation, folder: &Path, account: AccountId) -> Result<bool> {
    let file = folder.join(format!("{account}.txt"));
    let before = match std::fs::read_to_string(&file) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            return Err(error).with_context(|| format!("failed to read `{}`", file.display()));
        }
    };
    let note = installation
        .control()
        .audit_checkpoint(&Actor::system("checkpoint"), account, before.as_deref())
        .await
        .with_context(|| {
            format!("failed to sign the head of the audit log of account {account}")
        })?;
    let Some(note) = note else { return Ok(false) };
    write_public(&file, note.as_bytes())?;
    Ok(true)
}
