//! `strongroom account limits`.

use anyhow::Result;
use model::limit::CONCURRENT_MAX;

use super::account::{ask, show};
use super::{Format, Installation};
use crate::admin::AccountRequest;

/// How many calls may be under way.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The account's id
    account: String,
    /// Uploads at a time
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=i64::from(CONCURRENT_MAX))
    )]
    uploads: Option<u32>,
    /// Calls of every other path at a time, each path by itself
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=i64::from(CONCURRENT_MAX))
    )]
    calls: Option<u32>,
    #[command(flatten)]
    installation: Installation,
    #[command(flatten)]
    format: Format,
}

impl Arguments {
    pub(super) fn run(self) -> Result<()> {
        let request = AccountRequest::Limits {
            account: self.account,
            uploads: self.uploads,
            calls: self.calls,
        };
        show(&ask(&self.installation, request)?, &self.format)
    }
}
