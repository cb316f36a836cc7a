//! `cargo xtask screenshots`: pictures of every page of the console.

use anyhow::Context as _;
use std::fs;
use std::io::Write as _;

use crate::command::{cargo, run as execute, target_directory};
use crate::peers;

/// Opens every page as the end-to-end test does, and keeps the pictures in `screenshots/` of the
/// target directory: desk and phone, light and dark.
///
/// # Errors
/// The first step that fails, and what is wrong with a page.
pub(crate) fn run() -> anyhow::Result<()> {
    let peers = peers::prepare()?;
    let folder = target_directory()?.join("screenshots");
    fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
    let test = [
        "test",
        "--release",
        "--workspace",
        "--test",
        "it",
        "pages::",
    ];
    execute(
        cargo(&test)
            .env("STRONGROOM_PEERS", peers)
            .env("STRONGROOM_SCREENSHOTS", &folder),
    )?;
    writeln!(std::io::stdout(), "{}", folder.display()).context("failed to say where they are")
}
