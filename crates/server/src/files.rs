//! Files and folders that an installation is made of: written whole, synced, with the right mode.

use anyhow::{Context as _, Result};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Makes a folder, and those above it, for its owner alone (mode 0700).
///
/// # Errors
/// The system's, naming the folder.
pub(crate) fn create_folder(path: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("failed to make the folder `{}`", path.display()))
}

/// Writes a secret: mode 0600 from its first byte on.
///
/// # Errors
/// The system's, naming the file; the old content is then still there.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    write(path, content, 0o600)
}

/// Writes what everybody may read.
///
/// # Errors
/// As [`write_private`].
pub(crate) fn write_public(path: &Path, content: &[u8]) -> Result<()> {
    write(path, content, 0o644)
}

fn write(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    let fail = || format!("failed to write `{}`", path.display());
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temporary = path.with_file_name(name);
    // Left behind by a crash; its mode may be another one.
    if temporary.exists() {
        std::fs::remove_file(&temporary).with_context(fail)?;
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&temporary)
        .with_context(fail)?;
    file.write_all(content)
        .and_then(|()| file.sync_all())
        .with_context(fail)?;
    std::fs::rename(&temporary, path).with_context(fail)?;
    let folder = path.parent().unwrap_or_else(|| Path::new("/"));
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .with_context(fail)
}
