//! `strongroom credential create|list|revoke|rotate-token|end-token`.

use anyhow::Result;
use serde_json::Value;

use super::account::fields;
use super::listed::print_rows;
use super::output::{note, print, print_json};
use super::{Format, Installation, block_on};
use crate::admin::{CredentialRequest, Request, call};

/// What can be done with an account's passcodes.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Makes a passcode and shows it, once
    Create {
        /// Whose
        #[arg(long, value_name = "ACCOUNT")]
        account: String,
        /// The name that people will know it by
        name: String,
        /// Refused after so many days; for ever when not said
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=3_660))]
        days: Option<u32>,
        /// What it may do: upload, read, `personal_information`, delete, and what it may manage, such as
        /// `audit_log=read`, with commas; every scope and nothing to manage when not said
        #[arg(long, value_name = "SCOPES")]
        scopes: Option<String>,
        /// From where it may be used: an address, or a network such as 192.0.2.0/24; several may be
        /// given; from everywhere when not said
        #[arg(long, value_name = "NETWORK")]
        network: Vec<String>,
        #[command(flatten)]
        installation: Installation,
        #[command(flatten)]
        format: Format,
    },
    /// Lists the passcodes, without their text
    List {
        /// Whose
        #[arg(long, value_name = "ACCOUNT")]
        account: String,
        #[command(flatten)]
        installation: Installation,
        #[command(flatten)]
        format: Format,
    },
    /// Makes another token for apps and shows it, once
    ///
    /// Old tokens are in apps that people have installed: give them as many days as it takes until
    /// those have been updated. `account show` says when each was used last.
    RotateToken {
        /// Whose
        #[arg(long, value_name = "ACCOUNT")]
        account: String,
        /// How long the tokens before it are accepted; with 0 they are refused at once
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(0..=3_660))]
        days: u32,
        #[command(flatten)]
        installation: Installation,
        #[command(flatten)]
        format: Format,
    },
    /// Ends a token that apps carried before the newest: it is refused from now on
    EndToken {
        /// Whose
        #[arg(long, value_name = "ACCOUNT")]
        account: String,
        /// Which, as `account show` numbers them
        number: u32,
        #[command(flatten)]
        installation: Installation,
        #[command(flatten)]
        format: Format,
    },
    /// Ends a passcode: it is refused from now on
    Revoke {
        /// Whose
        #[arg(long, value_name = "ACCOUNT")]
        account: String,
        /// Its name
        name: String,
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
                account,
                name,
                days,
                scopes,
                network,
                installation,
                format,
            } => {
                let request = CredentialRequest::Create {
                    account,
                    name,
                    days,
                    scopes,
                    networks: network,
                };
                let made = ask(&installation, request)?;
                if format.json {
                    return print_json(&made);
                }
                print(fields(&made))?;
                note("The passcode is shown this once: keep it.");
                Ok(())
            }
            Self::List {
                account,
                installation,
                format,
            } => {
                let list = ask(&installation, CredentialRequest::List { account })?;
                if format.json {
                    return print_json(&list);
                }
                let columns = [
                    ("NAME", "name"),
                    ("MADE AT", "created_at"),
                    ("EXPIRES AT", "expires_at"),
                    ("REVOKED AT", "revoked_at"),
                    ("USED AT", "used_at"),
                    ("SCOPES", "scopes"),
                    ("NETWORKS", "networks"),
                ];
                print_rows(&list, &columns, "No passcode yet.")
            }
            Self::RotateToken {
                account,
                days,
                installation,
                format,
            } => {
                let request = CredentialRequest::RotateToken { account, days };
                let made = ask(&installation, request)?;
                if format.json {
                    return print_json(&made);
                }
                print(fields(&made))?;
                note("The token is shown this once: put it into the next version of each app.");
                Ok(())
            }
            Self::EndToken {
                account,
                number,
                installation,
                format,
            } => {
                let request = CredentialRequest::EndToken { account, number };
                ended(&ask(&installation, request)?, &format)
            }
            Self::Revoke {
                account,
                name,
                installation,
                format,
            } => {
                let request = CredentialRequest::Revoke { account, name };
                ended(&ask(&installation, request)?, &format)
            }
        }
    }
}

/// Says that one is refused from now on.
fn ended(done: &Value, format: &Format) -> Result<()> {
    if format.json {
        return print_json(done);
    }
    print(fields(done))
}

fn ask(installation: &Installation, request: CredentialRequest) -> Result<Value> {
    let loaded = installation.read()?;
    block_on(call(&loaded, Request::Credential(request), |_| Ok(())))
}
