//! `strongroom job run`.

use anyhow::Result;

use super::output::{print, print_json};
use super::{Format, Installation, block_on};
use crate::admin::{Request, call};
use crate::jobs::Job;

/// What can be done with jobs.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Runs a job now and waits for its end
    Run {
        /// Which
        job: Job,
        #[command(flatten)]
        installation: Installation,
        #[command(flatten)]
        format: Format,
    },
}

impl Command {
    pub(super) fn run(self) -> Result<()> {
        let Self::Run {
            job,
            installation,
            format,
        } = self;
        let loaded = installation.read()?;
        let report = block_on(call(&loaded, Request::JobRun { job }, |_| Ok(())))?;
        if format.json {
            print_json(&report)
        } else {
            print(super::account::fields(&report))
        }
    }
}
