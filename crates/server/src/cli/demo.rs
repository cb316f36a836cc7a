//! `strongroom demo`.

use anyhow::Result;
use std::path::PathBuf;

use super::block_on;

/// Shows the product doing its main job: collects a shop's traffic and tells what became of it
///
/// Makes an installation, serves it, sends a believable shop's events over TLS by the public
/// protocol, and shows what was accepted, dropped, kept, lost and deleted. Then it stays up.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// End after the summary
    #[arg(long)]
    once: bool,
    /// Where to make the installation (an empty folder); a temporary one when not said
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Arguments {
    pub(super) fn run(self) -> Result<()> {
        block_on(Box::pin(crate::demo::run(self.dir, self.once)))
    }
}
