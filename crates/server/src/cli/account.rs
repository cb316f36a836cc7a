//! `strongroom account create|list|show|domains|encryption|sessions|reveals|retention|limits|api-key`.

use anyhow::Result;
use serde_json::Value;

use super::listed::print_rows;
use super::output::{note, print, print_json};
use super::table::{Table, cell, harmless};
use super::{Format, Installation, Paint, block_on};
use crate::admin::{AccountRequest, Request, call};

/// The columns of accounts, of passcodes, and of the tokens that apps carry, each with the member it
/// shows. Of accounts these are so few that a line fits a terminal: `account show` has the rest.
pub(super) const ACCOUNTS: &[(&str, &str)] = &[
    ("ACCOUNT", "account_id"),
    ("NAME", "name"),
    ("TIME ZONE", "time_zone"),
    ("EVENTS, DAYS", "retention_days"),
    ("LOG, DAYS", "request_retention_days"),
];
const PASSCODES: &[(&str, &str)] = &[
    ("PASSCODE", "name"),
    ("MADE AT", "created_at"),
    ("EXPIRES AT", "expires_at"),
    ("REVOKED AT", "revoked_at"),
    ("USED AT", "used_at"),
    ("SCOPES", "scopes"),
    ("NETWORKS", "networks"),
];
const TOKENS: &[(&str, &str)] = &[
    ("SDK TOKEN", "number"),
    ("MADE AT", "created_at"),
    ("ENDS AT", "ends_at"),
    ("USED AT", "used_at"),
];

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
    /// Shows or changes the domains whose web pages may send to an account
    ///
    /// As long as there are none, pages of any domain may. A domain stands for itself and its `www.`.
    Domains {
        /// The account's id
        account: String,
        /// A domain that may from now on; may be given more than once
        #[arg(long, value_name = "DOMAIN")]
        add: Vec<String>,
        /// A domain that may not any more; may be given more than once
        #[arg(long, value_name = "DOMAIN")]
        remove: Vec<String>,
        #[command(flatten)]
        installation: Installation,
        #[command(flatten)]
        format: Format,
    },
    /// Shows or sets whether an account takes what SDKs have encrypted in transit
    ///
    /// It does unless told otherwise. When it does not, SDKs send the same without that layer; TLS
    /// protects it in both cases.
    Encryption {
        /// The account's id
        account: String,
        /// What it does from now on
        #[arg(long, value_enum)]
        set: Option<Encryption>,
        #[command(flatten)]
        installation: Installation,
        #[command(flatten)]
        format: Format,
    },
    /// Shows or sets how long an account's users stay signed in
    ///
    /// It can be made shorter, never longer than an hour without a request and a day at most. Whoever has
    /// roles in several accounts has the shortest of their limits.
    Sessions {
        /// The account's id; `0` for the installation
        account: String,
        /// Without a request, minutes
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(5..=60))]
        idle_minutes: Option<u32>,
        /// At most, hours
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=24))]
        hours: Option<u32>,
        #[command(flatten)]
        installation: Installation,
        #[command(flatten)]
        format: Format,
    },
    /// Shows or sets how often a user may have masked values shown, each time those of one person
    ///
    /// With 0 nobody has any shown.
    Reveals {
        /// The account's id
        account: String,
        /// In any minute
        #[arg(long, value_name = "COUNT")]
        per_minute: Option<u32>,
        /// In any 24 hours
        #[arg(long, value_name = "COUNT")]
        per_day: Option<u32>,
        #[command(flatten)]
        installation: Installation,
        #[command(flatten)]
        format: Format,
    },
    /// Shows or sets how long an account's events and its request log are kept
    ///
    /// What is older goes with the next sweep, for good, and older events are not taken any more. What is
    /// known of people stays.
    Retention(super::retention::Arguments),
    /// Shows or sets how many calls of an account may be under way at a time
    ///
    /// What is beyond that is answered with 429.
    Limits(super::limits::Arguments),
    /// Keys that programs encrypt their calls of the API to, beneath TLS
    #[command(subcommand)]
    ApiKey(super::api_key::Command),
}

/// What an account does with messages that are encrypted in transit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Encryption {
    /// They are taken
    Taken,
    /// They are refused
    Refused,
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
                let made = ask(&installation, AccountRequest::Create { name, time_zone })?;
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
                let list = ask(&installation, AccountRequest::List)?;
                if format.json {
                    return print_json(&list);
                }
                let none = "No account yet: `strongroom account create NAME` makes one.";
                print_rows(&list, ACCOUNTS, none)
            }
            Self::Show {
                account,
                installation,
                format,
            } => {
                let shown = ask(&installation, AccountRequest::Show { account })?;
                if format.json {
                    return print_json(&shown);
                }
                print(with_credentials(shown))
            }
            Self::Domains {
                account,
                add,
                remove,
                installation,
                format,
            } => {
                let request = AccountRequest::Domains {
                    account,
                    add,
                    remove,
                };
                show(&ask(&installation, request)?, &format)
            }
            Self::Encryption {
                account,
                set,
                installation,
                format,
            } => {
                let takes = set.map(|it| it == Encryption::Taken);
                let request = AccountRequest::Encryption { account, takes };
                show(&ask(&installation, request)?, &format)
            }
            Self::Sessions {
                account,
                idle_minutes,
                hours,
                installation,
                format,
            } => {
                let request = AccountRequest::Sessions {
                    account,
                    idle_minutes,
                    hours,
                };
                show(&ask(&installation, request)?, &format)
            }
            Self::Reveals {
                account,
                per_minute,
                per_day,
                installation,
                format,
            } => {
                let request = AccountRequest::Reveals {
                    account,
                    per_minute,
                    per_day,
                };
                show(&ask(&installation, request)?, &format)
            }
            Self::Retention(it) => it.run(),
            Self::Limits(it) => it.run(),
            Self::ApiKey(command) => command.run(),
        }
    }
}

pub(super) fn show(value: &Value, format: &Format) -> Result<()> {
    if format.json {
        print_json(value)
    } else {
        print(fields(value))
    }
}

pub(super) fn ask(installation: &Installation, request: AccountRequest) -> Result<Value> {
    let loaded = installation.read()?;
    block_on(call(&loaded, Request::Account(request), |_| Ok(())))
}

/// An account's members, one a line, then its credentials, a table of each kind.
fn with_credentials(mut account: Value) -> String {
    let mut of = |name: &str| {
        let members = account.as_object_mut();
        members.and_then(|it| it.remove(name)).unwrap_or_default()
    };
    let (passcodes, tokens) = (of("passcodes"), of("sdk_tokens"));
    let table = |list, columns| Table::of(list, columns).render(Paint::stdout());
    format!(
        "{}\n{}\n{}",
        fields(&account),
        table(&passcodes, PASSCODES),
        table(&tokens, TOKENS)
    )
}

/// An object's members, one a line. What a value holds drives no terminal.
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
                harmless(&cell(value))
            )
        })
        .collect()
}
