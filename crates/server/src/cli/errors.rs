//! `strongroom errors list`.

use anyhow::Result;

use super::listed::print_list;
use super::{Format, Installation};
use crate::admin::Request;

/// What can be done with what was wrong with records.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Lists what was wrong with an account's records, the most frequent first
    ///
    /// What was refused is in the quarantine under the id of its sample; everything else was kept, or
    /// kept without the property that is named.
    List {
        /// The account's id
        #[arg(long)]
        account: String,
        #[command(flatten)]
        installation: Installation,
        #[command(flatten)]
        format: Format,
    },
}

impl Command {
    pub(super) fn run(self) -> Result<()> {
        let Self::List {
            account,
            installation,
            format,
        } = self;
        let columns = [
            ("ERROR", "error"),
            ("COUNT", "count"),
            ("SOURCE", "source"),
            ("EVENT", "event"),
            ("PROPERTY", "property"),
            ("LAST SEEN", "last_seen"),
            ("SAMPLE", "sample"),
        ];
        let loaded = installation.read()?;
        print_list(&loaded, Request::Errors { account }, format.json, &columns)?;
        Ok(())
    }
}
