//! `cargo xtask check`: what to run before each commit; it needs no service.

use crate::command::{cargo, run as execute};

/// Formatting, lints, docs, then unit and property tests.
///
/// # Errors
/// The first step that fails.
pub(crate) fn run() -> anyhow::Result<()> {
    lint()?;
    execute(
        cargo(&["doc", "--release", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-Dwarnings"),
    )?;
    execute(&mut cargo(&[
        "test",
        "--release",
        "--workspace",
        "--lib",
        "--bins",
    ]))
}

/// Formatting and lints. The release profile everywhere: one set of compiled dependencies serves
/// lints, tests and demo.
///
/// # Errors
/// The first step that fails.
pub(crate) fn lint() -> anyhow::Result<()> {
    execute(&mut cargo(&["fmt", "--all", "--check"]))?;
    let clippy = [
        "clippy",
        "--release",
        "--workspace",
        "--all-targets",
        "--",
        "-Dwarnings",
    ];
    execute(&mut cargo(&clippy))
}
