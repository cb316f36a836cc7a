//! A question before what cannot be taken back.

use anyhow::{Result, bail};
use std::io::{BufRead as _, IsTerminal as _};

use super::output::note;
use crate::failure::{Failure, Kind};

/// Asks whoever sits at the terminal; where nobody does, `--yes` has to be said.
///
/// # Errors
/// When there is no terminal, with `warning`, and when the answer is not `yes`, with `undone`: nothing may
/// be done then.
pub(super) fn confirm(warning: &str, undone: &str) -> Result<()> {
    if !std::io::stdin().is_terminal() {
        let words = format!("{warning}: say --yes to go on");
        bail!(Failure::new(Kind::Invalid, words));
    }
    note(&format!("{warning}: type `yes` to go on"));
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    if line.trim() == "yes" {
        return Ok(());
    }
    bail!(Failure::new(Kind::Refused, undone))
}
