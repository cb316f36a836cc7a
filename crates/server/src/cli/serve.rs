//! `strongroom serve`.

use anyhow::Result;

use super::{Installation, block_on};
use crate::config::Loaded;

/// Runs the server until it is told to stop (SIGTERM or SIGINT)
///
/// Prints one line for each place where it listens, then serves. SIGHUP reads the certificates again.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    installation: Installation,
}

impl Arguments {
    pub(super) fn run(self) -> Result<()> {
        let loaded = Loaded::read(&self.installation.config)?;
        crate::logging::start(&loaded.config.log)?;
        block_on(Box::pin(crate::serve::until_signal(&loaded)))
    }
}
