//! `strongroom user list|invite|resend|grant|withdraw|revoke|disable|enable|unlock|reset-factors|
//! setup-link|outbox`.

use anyhow::Result;
use serde_json::Value;

use super::account::fields;
use super::listed::print_rows;
use super::output::{print, print_json};
use super::{Format, Installation, block_on};
use crate::admin::{AccessAct, AccessRequest, Request, call};

/// What can be done with users.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Lists the users of an account and their roles
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Gives somebody, who may be new, a role in an account
    Invite {
        #[command(flatten)]
        whom: Whom,
        /// The person's name
        #[arg(long, value_name = "NAME", default_value = "")]
        name: String,
        #[command(flatten)]
        role: Role,
        #[command(flatten)]
        place: Place,
    },
    /// Gives a user another role
    Grant {
        #[command(flatten)]
        whom: Whom,
        #[command(flatten)]
        role: Role,
        #[command(flatten)]
        place: Place,
    },
    /// Takes a role from a user; refused for the last Admin
    Withdraw {
        #[command(flatten)]
        whom: Whom,
        /// The role
        #[arg(long, value_name = "ROLE")]
        role: String,
        #[command(flatten)]
        place: Place,
    },
    /// Ends a user's access to an account; refused for the last Admin
    Revoke {
        #[command(flatten)]
        whom: Whom,
        #[command(flatten)]
        place: Place,
    },
    /// Sends an invitation that was not accepted again; the link before is dead
    Resend {
        #[command(flatten)]
        whom: Whom,
        #[command(flatten)]
        place: Place,
    },
    /// Lets a user's roles in an account count no more, and ends the sessions; refused for the last Admin
    Disable {
        #[command(flatten)]
        whom: Whom,
        #[command(flatten)]
        place: Place,
    },
    /// Lets a user's roles in an account count again
    Enable {
        #[command(flatten)]
        whom: Whom,
        #[command(flatten)]
        place: Place,
    },
    /// Lets a user sign in again who is paused after failed attempts
    Unlock {
        #[command(flatten)]
        whom: Whom,
        #[command(flatten)]
        place: Place,
    },
    /// Takes a user's second factors away: the next sign-in sets one up
    ResetFactors {
        #[command(flatten)]
        whom: Whom,
        #[command(flatten)]
        place: Place,
    },
    /// Makes a link that lets an Admin in (an Operator with --account 0), once, within 72 hours
    SetupLink {
        #[command(flatten)]
        place: Place,
    },
    /// Shows the mails that were written; those about passwords with --account 0
    Outbox {
        #[command(flatten)]
        place: Place,
    },
}

/// Where, and how it is printed.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Place {
    /// In which account; `0` for the installation
    #[arg(long, value_name = "ACCOUNT")]
    account: String,
    #[command(flatten)]
    installation: Installation,
    #[command(flatten)]
    format: Format,
}

/// Who is meant.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Whom {
    /// The user's email address
    email: String,
}

/// A role to give.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Role {
    /// The role: admin, creator, member, auditor, `privacy_officer`, one of the account's own; operator
    /// for the installation
    #[arg(long, value_name = "ROLE")]
    role: String,
    /// For so many days; for ever when not said
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=3_660))]
    days: Option<u32>,
}

impl Place {
    /// Has an act carried out.
    pub(super) fn ask(&self, act: AccessAct) -> Result<Value> {
        let request = AccessRequest {
            account: self.account.clone(),
            act,
        };
        let loaded = self.installation.read()?;
        block_on(call(&loaded, Request::Access(request), |_| Ok(())))
    }

    /// Prints what was done.
    pub(super) fn show(&self, done: &Value) -> Result<()> {
        if self.format.json {
            return print_json(done);
        }
        print(fields(done))
    }

    /// Prints rows; where there are none, `none` is said instead.
    pub(super) fn list(&self, list: &Value, columns: &[(&str, &str)], none: &str) -> Result<()> {
        match self.format.json {
            true => print_json(list),
            false => print_rows(list, columns, none),
        }
    }
}

impl Command {
    pub(super) fn run(self) -> Result<()> {
        match self {
            Self::List { place } => {
                let list = place.ask(AccessAct::Users)?;
                let columns = [
                    ("EMAIL", "email"),
                    ("NAME", "name"),
                    ("STATE", "state"),
                    ("ROLES", "grants"),
                ];
                let none = "No user yet: `strongroom user setup-link` lets the first one in.";
                place.list(&list, &columns, none)
            }
            Self::Invite {
                whom,
                name,
                role,
                place,
            } => place.show(&place.ask(AccessAct::Invite {
                email: whom.email,
                name,
                role: role.role,
                days: role.days,
            })?),
            Self::Grant { whom, role, place } => place.show(&place.ask(AccessAct::Grant {
                email: whom.email,
                role: role.role,
                days: role.days,
            })?),
            Self::Withdraw { whom, role, place } => {
                place.show(&place.ask(AccessAct::Withdraw {
                    email: whom.email,
                    role,
                })?)
            }
            Self::Revoke { whom, place } => {
                place.show(&place.ask(AccessAct::Revoke { email: whom.email })?)
            }
            Self::Resend { whom, place } => {
                place.show(&place.ask(AccessAct::Resend { email: whom.email })?)
            }
            Self::Disable { whom, place } => {
                place.show(&place.ask(AccessAct::Disable { email: whom.email })?)
            }
            Self::Enable { whom, place } => {
                place.show(&place.ask(AccessAct::Enable { email: whom.email })?)
            }
            Self::Unlock { whom, place } => {
                place.show(&place.ask(AccessAct::Unlock { email: whom.email })?)
            }
            Self::ResetFactors { whom, place } => {
                place.show(&place.ask(AccessAct::ResetFactors { email: whom.email })?)
            }
            Self::SetupLink { place } => place.show(&place.ask(AccessAct::SetupLink)?),
            Self::Outbox { place } => {
                let list = place.ask(AccessAct::Outbox)?;
                let columns = [
                    ("WRITTEN", "created_at"),
                    ("SENT", "sent_at"),
                    ("TO", "to"),
                    ("SUBJECT", "subject"),
                    ("TEXT", "text"),
                ];
                place.list(&list, &columns, "No mail has been written.")
            }
        }
    }
}
