//! `strongroom account create|list|show`.

use anyhow::Result;
use serde_json::Value;

use super::output::{note, print, print_json};
use super::table::{Table, cell};
use super::{Format, Installation, Paint, block_on};
use crate::admin::{Request, call};

/// What can be done with accounts.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Makes an account and shows its credentials, once
    Create {
        /// Its name, for people
        name: String,
        /// Its time zone: days of reports and exports begin at its midnight
        #[arg(long, value_name = "TZ", default_value = "UTC")]
        time_zone: String,
        #[command(flatten)]
        installation: Installation,
        #[command(flatten)]
        format: Format,
    },
    /// Lists the accounts
    List {
        #[command(flatten)]
        installation: Installation,
        #[command(flatten)]
        format: Format,
    },
    /// Shows one account
    Show {
        /// Its id
        account: String,
        #[command(flatten)]
        installation: Installation,
        #[command(flatten)]
        format: Format,
    },
}

impl Command {
    pub(super) fn run(self) -> Result<()> {
        match self {
            Self::Create {
                name,
                time_zone,
                installation,
                format,
            } => {
                let made = ask(&installation, Request::AccountCreate { name, time_zone })?;
                if format.json {
                    return print_json(&made);
                }
                print(fields(&made))?;
                note("The passcode and the SDK token are shown this once: keep them.");
                Ok(())
            }
            Self::List {
                installation,
                format,
            } => {
                let list = ask(&installation, Request::AccountList)?;
                if format.json {
                    return print_json(&list);
                }
                let mut table = Table::new(["ACCOUNT", "NAME", "TIME ZONE", "MADE AT"]);
                for account in list.as_array().into_iter().flatten() {
                    let keys = ["account_id", "name", "time_zone", "created_at"];
                    table.push(keys.map(|key| cell(account.get(key).unwrap_or(&Value::Null))));
                }
                print(table.render(Paint::stdout()))
            }
            Self::Show {
                account,
                installation,
                format,
            } => {
                let shown = ask(&installation, Request::AccountShow { account })?;
                if format.json {
                    print_json(&shown)
                } else {
                    print(fields(&shown))
                }
            }
        }
    }
}

fn ask(installation: &Installation, request: Request) -> Result<Value> {
    let loaded = installation.read()?;
    block_on(call(&loaded, request, |_| Ok(())))
}

/// An object's members, one a line.
pub(super) fn fields(value: &Value) -> String {
    let members = value.as_object();
    let width = members
        .into_iter()
        .flatten()
        .map(|(name, _)| name.chars().count())
        .max();
    let width = width.unwrap_or(0);
    let paint = Paint::stdout();
    members
        .into_iter()
        .flatten()
        .map(|(name, value)| {
            format!(
                "{}  {}\n",
                paint.dim(&format!("{name:<width$}")),
                cell(value)
            )
        })
        .collect()
}
