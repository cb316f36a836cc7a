//! Where the keyring is read: its file, or a copy that has followed a deletion since.
//!
//! It only reads; the copies are written once the keyring has opened the data.

use anyhow::{Context as _, Result};
use control::SharedKeyring;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::Loaded;

/// Opens the keyring: the newest of its file and of the copies.
///
/// # Errors
/// When a rule forbids it, or there is no keyring where the configuration says; then it says what to do.
pub(super) fn open(loaded: &Loaded) -> Result<Arc<SharedKeyring>> {
    let settings = &loaded.config.keyring;
    let files: Vec<PathBuf> = std::iter::once(&settings.file)
        .chain(&settings.copies)
        .map(|file| loaded.resolve(file))
        .collect();
    for volume in &loaded.config.store.volumes {
        let volume = loaded.resolve(volume);
        if let Some(file) = files.iter().find(|file| file.starts_with(&volume)) {
            anyhow::bail!(
                "the keyring `{}` lies on a volume: rule `keys apart from data`",
                file.display()
            );
        }
    }
    let file = loaded.resolve(&settings.file);
    let keyring = seal::Keyring::load(&file).with_context(|| {
        if file.exists() {
            format!("failed to open the keyring `{}`", file.display())
        } else {
            instead_of(&file, &files)
        }
    })?;
    let keyring =
        SharedKeyring::open(keyring, files).context("failed to read the copies of the keyring")?;
    Ok(Arc::new(keyring))
}

/// What to do where there is no keyring. Nothing is done without being told: the file may be on a disk
/// that is not there.
fn instead_of(file: &Path, files: &[PathBuf]) -> String {
    let copies = files.iter().filter_map(|copy| {
        let keyring = seal::Keyring::load(copy).ok()?;
        Some((keyring.epoch(), copy))
    });
    let newest = copies.max_by_key(|(epoch, _)| *epoch);
    let (file, newest) = (file.display(), newest.map(|(_, copy)| copy.display()));
    match newest {
        Some(copy) => format!(
            "the keyring `{file}` is not there, and its newest copy is: bring its disk back, or put the \
             copy in its place with `cp -p {copy} {file}`"
        ),
        None => format!(
            "the keyring `{file}` is not there, and no copy that `keyring.copies` names can be read: put \
             a copy of it in its place, with mode 0600"
        ),
    }
}
