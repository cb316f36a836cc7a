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
    // Before it is read: a disk may hang.
    tracing::info!(keyring.file = %file.display(), "the keyring is read");
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
        tracing::info!(keyring.copy = %copy.display(), "a copy of the keyring is read");
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;
    use tracing::subscriber::with_default;

    use super::open;
    use crate::config::Loaded;
    use crate::testing::{Folder, Log};

    #[tokio::test]
    async fn every_file_that_is_read_is_named_also_where_none_opens() {
        let folder = Folder::new().await;
        let mut loaded = Loaded::read(&folder.path("strongroom.toml")).unwrap();
        loaded.config.keyring.copies = vec![PathBuf::from("copy")];
        let files = ["keyring", "copy"].map(|name| folder.path(name).display().to_string());
        for is_there in [true, false] {
            if !is_there {
                fs::remove_file(&files[0]).unwrap();
            }
            let log = Log::default();
            let opened = with_default(log.clone().subscriber(), || open(&loaded));
            assert_eq!(opened.is_ok(), is_there);
            let logged = log.text();
            for file in &files {
                assert!(logged.contains(file), "{file}: {logged}");
            }
        }
    }
}
