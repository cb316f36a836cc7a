//! `cargo xtask test`: lints, then every test, after installing what they need.

use crate::check::lint;
use crate::command::{cargo, run as execute};
use crate::peers;

/// Lints, prepares the published clients and scanners, then runs all tests of the workspace.
///
/// # Errors
/// The first step that fails; when something cannot be installed, which command installs it.
pub(crate) fn run() -> anyhow::Result<()> {
    lint()?;
    let peers = peers::prepare()?;
    execute(
        cargo(&["test", "--release", "--workspace", "--no-fail-fast"])
            .env("STRONGROOM_PEERS", peers),
    )
}
