//! `strongroom access show|change|unlock`: from where people and programs may come.

use anyhow::Result;
use serde_json::Value;

use super::account::fields;
use super::listed::print_rows;
use super::output::{print, print_json};
use super::{Format, Installation, block_on};
use crate::admin::{AccessAct, AccessRequest, AllowlistRequest, Request, call};

/// What can be done with the IP allowlist of an account.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Shows the networks, and whether console and API ask them; or what a user may do, and why
    Show {
        /// Of this user instead: the rights, by which roles, and which people and values are seen
        #[arg(long, value_name = "EMAIL")]
        user: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Adds and removes networks, and switches
    Change {
        /// A network to add: an address, or the first one and a number of bits, as 192.0.2.0/24
        #[arg(long, value_name = "NETWORK")]
        add: Vec<String>,
        /// What the added networks are called
        #[arg(long, value_name = "TEXT", default_value = "")]
        label: String,
        /// A network to remove
        #[arg(long, value_name = "NETWORK")]
        remove: Vec<String>,
        /// Whether the console asks the list: on or off
        #[arg(long, value_name = "SWITCH")]
        console: Option<Switch>,
        /// Whether the API asks the list: on or off
        #[arg(long, value_name = "SWITCH")]
        api: Option<Switch>,
        #[command(flatten)]
        place: Place,
    },
    /// Switches the list off: the way back in for people who are locked out
    Unlock {
        #[command(flatten)]
        place: Place,
    },
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Switch {
    /// It is asked
    On,
    /// It is not asked
    Off,
}

/// Whose list, and how it is printed.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Place {
    /// Of which account; `0` for the installation
    #[arg(long, value_name = "ACCOUNT")]
    account: String,
    #[command(flatten)]
    installation: Installation,
    #[command(flatten)]
    format: Format,
}

impl Command {
    pub(super) fn run(self) -> Result<()> {
        let nothing = |account: &str| AllowlistRequest {
            account: account.to_owned(),
            add: Vec::new(),
            label: String::new(),
            remove: Vec::new(),
            console: None,
            api: None,
        };
        let is_on = |switch: Option<Switch>| switch.map(|it| it == Switch::On);
        let (place, request) = match self {
            Self::Show {
                user: Some(email),
                place,
            } => return explain(&place, email),
            Self::Show { user: None, place } => {
                let request = nothing(&place.account);
                (place, request)
            }
            Self::Change {
                add,
                label,
                remove,
                console,
                api,
                place,
            } => {
                let request = AllowlistRequest {
                    account: place.account.clone(),
                    add,
                    label,
                    remove,
                    console: is_on(console),
                    api: is_on(api),
                };
                (place, request)
            }
            Self::Unlock { place } => {
                let request = AllowlistRequest {
                    console: Some(false),
                    api: Some(false),
                    ..nothing(&place.account)
                };
                (place, request)
            }
        };
        let loaded = place.installation.read()?;
        let list = block_on(call(&loaded, Request::Allowlist(request), |_| Ok(())))?;
        show(&place, list)
    }
}

fn explain(place: &Place, email: String) -> Result<()> {
    let request = Request::Access(AccessRequest {
        account: place.account.clone(),
        act: AccessAct::Explain { email },
    });
    let loaded = place.installation.read()?;
    let mut user = block_on(call(&loaded, request, |_| Ok(())))?;
    if place.format.json {
        return print_json(&user);
    }
    let grants = user.as_object_mut().and_then(|it| it.remove("grants"));
    print(fields(&user))?;
    let columns = [
        ("ROLE", "role"),
        ("SINCE", "granted_at"),
        ("UNTIL", "expires_at"),
    ];
    print_rows(&grants.unwrap_or_default(), &columns, "No role here.")
}

fn show(place: &Place, mut list: Value) -> Result<()> {
    if place.format.json {
        return print_json(&list);
    }
    let networks = list.as_object_mut().and_then(|it| it.remove("networks"));
    print(fields(&list))?;
    let columns = [
        ("NETWORK", "network"),
        ("LABEL", "label"),
        ("SINCE", "created_at"),
    ];
    print_rows(
        &networks.unwrap_or_default(),
        &columns,
        without_networks(&list),
    )
}

/// Who may come in by a list that names no network: while it is asked, nobody.
pub(super) fn without_networks(list: &Value) -> &'static str {
    let is_on = |switch: &str| list.get(switch).and_then(Value::as_bool) == Some(true);
    control::AllowlistView::without_networks(is_on("console"), is_on("api"))
}
