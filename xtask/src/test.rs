//! `cargo xtask test`: lints, then every test, after installing what they need.

use std::ffi::OsString;
use std::num::NonZero;

use crate::check::lint;
use crate::command::{cargo, run as execute};
use crate::peers;

/// What the test harness is told by.
const THREADS: &str = "RUST_TEST_THREADS";

/// Lints, prepares the published clients and scanners, then runs all tests of the workspace.
///
/// # Errors
/// The first step that fails; when something cannot be installed, which command installs it.
pub(crate) fn run() -> anyhow::Result<()> {
    lint()?;
    let peers = peers::prepare()?;
    execute(
        cargo(&["test", "--release", "--workspace", "--no-fail-fast"])
            .env("STRONGROOM_PEERS", peers)
            .env(THREADS, threads()),
    )
}

/// How many tests run at a time: two for each processor, since most wait for another process or for a
/// time to pass. Whoever says another number gets that.
fn threads() -> OsString {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::env::var_os(THREADS).unwrap_or_else(|| (2 * processors).to_string().into())
}
