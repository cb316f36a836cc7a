//! `strongroom role list|set|delete`.

use anyhow::Result;

use super::user::Place;
use crate::admin::AccessAct;

/// What can be done with roles.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Lists the roles of an account and what they give
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Makes a role of the account's own, or changes what it gives
    Set {
        /// Its name
        name: String,
        /// What it gives, for example `people=read,analysis=write`; nothing for what is not named
        rights: String,
        /// Only people are seen for whom this holds, for example `Country = 'DE' and not VIP = true`;
        /// everybody when it is empty. Without this flag a role keeps the one it has
        #[arg(long, value_name = "CONDITION")]
        filter: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Deletes a role that nobody has
    Delete {
        /// Its name
        name: String,
        #[command(flatten)]
        place: Place,
    },
}

impl Command {
    pub(super) fn run(self) -> Result<()> {
        match self {
            Self::List { place } => {
                let list = place.ask(AccessAct::Roles)?;
                let columns = [
                    ("ROLE", "name"),
                    ("SYSTEM", "is_system"),
                    ("RIGHTS", "rights"),
                    ("FILTER", "filter"),
                ];
                place.list(&list, &columns, "No role.")
            }
            Self::Set {
                name,
                rights,
                filter,
                place,
            } => place.show(&place.ask(AccessAct::SetRole {
                name,
                rights,
                filter,
            })?),
            Self::Delete { name, place } => place.show(&place.ask(AccessAct::DeleteRole { name })?),
        }
    }
}
