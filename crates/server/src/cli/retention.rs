//! `strongroom account retention`.

use anyhow::Result;
use control::RequestRetention;
use model::limit::{RETENTION_DAYS_MAX, RETENTION_DAYS_MIN};

use super::account::show;
use super::confirm::confirm;
use super::{Format, Installation, block_on};
use crate::admin::{AccountRequest, Request, call};
use crate::failure::{Failure, Kind};

/// How long things are kept.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The account's id
    account: String,
    /// How many days events are kept
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u32)
            .range(i64::from(RETENTION_DAYS_MIN)..=i64::from(RETENTION_DAYS_MAX))
    )]
    days: Option<u32>,
    /// How many days the request log is kept
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=i64::from(RETENTION_DAYS_MAX))
    )]
    requests_days: Option<u32>,
    /// Keep the request log as long as `jobs.requests_retention_days` says
    #[arg(long, conflicts_with = "requests_days")]
    requests_as_configured: bool,
    /// Do not ask before less is kept
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    installation: Installation,
    #[command(flatten)]
    format: Format,
}

impl Arguments {
    pub(super) fn run(self) -> Result<()> {
        // What is confirmed is done to the installation that was asked.
        let loaded = self.installation.read()?;
        let requests = match self.requests_as_configured {
            true => Some(RequestRetention::AsConfigured),
            false => self.requests_days.map(RequestRetention::Days),
        };
        let ask = |may_shorten| {
            let request = AccountRequest::Retention {
                account: self.account.clone(),
                days: self.days,
                requests,
                may_shorten,
            };
            block_on(call(&loaded, Request::Account(request), |_| Ok(())))
        };
        let said = match ask(self.yes) {
            Err(error) if Failure::of(&error).kind == Kind::Unconfirmed => {
                confirm(
                    "less would be kept, and what is removed does not come back",
                    "nothing was set",
                )?;
                ask(true)
            }
            said => said,
        };
        show(&said?, &self.format)
    }
}
