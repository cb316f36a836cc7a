//! The IP allowlist of an account, or of the installation: networks with labels, and two switches.
//!
//! The switches pause it without deleting anything. It holds for the console (at the sign-in and with
//! every request) and for the API, from the snapshot of the rules. Nobody locks themselves out: a
//! change after which the actor's own address is not in the list is refused while it is on.

use governance::{Allowlist, Network};
use model::{AccountId, Timestamp};
use serde::Serialize;
use sqlx::Row as _;

use crate::audit::Action;
use crate::authz::Act;
use crate::control::{Control, Desk};
use crate::database::Session;
use crate::sealer::Sealer;
use crate::sign_in::{self, Mail};
use crate::state::Effect;
use crate::users::{self, require_place};
use crate::{Actor, ActorKind, Error, Result};

/// Networks that are added at a time.
const ADDED_MAX: usize = 20;
/// Networks of one list.
const NETWORKS_MAX: usize = 500;

/// An account's allowlist.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AllowlistView {
    /// Whether the console asks it.
    pub console: bool,
    /// Whether the API asks it.
    pub api: bool,
    /// The networks, in order.
    pub entries: Vec<AllowlistEntry>,
}

impl AllowlistView {
    /// Who may come in by a list that names no network: while it is asked, nobody.
    #[must_use]
    pub const fn without_networks(console: bool, api: bool) -> &'static str {
        match (console, api) {
            (false, false) => {
                "No network is named, and nothing asks the list: every address may come in."
            }
            (true, true) => "No network is named, and the list is asked: nobody may come in.",
            (true, false) => {
                "No network is named, and the console asks the list: nobody may sign in. \
                 Programs may call from every address."
            }
            (false, true) => {
                "No network is named, and the API asks the list: no program may call. \
                 People may sign in from every address."
            }
        }
    }
}

/// One network of an allowlist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AllowlistEntry {
    /// The network: `192.0.2.0/24`.
    pub network: String,
    /// What people call it.
    pub label: String,
    /// Since when.
    pub created_at: Timestamp,
}

/// A change of an allowlist: takes out, puts in, switches, in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowlistChange {
    /// Networks to take out.
    pub remove: Vec<String>,
    /// Networks to put in, with their labels.
    pub add: Vec<(String, String)>,
    /// Whether the console asks it from now on.
    pub console: Option<bool>,
    /// Whether the API asks it from now on.
    pub api: Option<bool>,
}

impl Control {
    /// The allowlist of an account; `0` is the installation.
    ///
    /// # Errors
    /// [`model::ErrorKind::Denied`]; [`model::ErrorKind::Unavailable`].
    pub async fn allowlist(&self, actor: &Actor, account: AccountId) -> Result<AllowlistView> {
        self.authorize(actor, Act::ManageAccount, account).await?;
        let sealer = std::sync::Arc::clone(&self.sealer);
        self.database
            .read(move |session| Box::pin(async move { read(session, &sealer, account).await }))
            .await
    }

    /// Changes the allowlist of an account. Sessions elsewhere end with their next request.
    ///
    /// # Errors
    /// [`model::ErrorKind::Invalid`] for what is no network, or too many; [`model::ErrorKind::Conflict`]
    /// when the actor would be locked out; [`model::ErrorKind::Denied`].
    pub async fn change_allowlist(
        &self,
        actor: &Actor,
        account: AccountId,
        change: AllowlistChange,
    ) -> Result<AllowlistView> {
        let change = Checked::of(change)?;
        let mail_ids: Vec<[u8; 16]> = (0..MAILS_MAX).map(|_| self.random.bytes16()).collect();
        self.act(actor, Act::ManageAccount, account, move |session, desk| {
            Box::pin(async move {
                require_place(session, account).await?;
                let before = read(session, &desk.sealer, account).await?;
                write(session, &desk, &change).await?;
                let after = read(session, &desk.sealer, account).await?;
                let list = after.list()?;
                refuse_lock_out(&desk.actor, &list)?;
                let words = change.words(&after);
                if (before.console, before.api) != (after.console, after.api) {
                    tell(session, &desk, &mail_ids, &words).await?;
                }
                session.then(Effect::Allowlist(account, list));
                desk.note(
                    session,
                    Action::AllowlistChanged,
                    account.to_string(),
                    words,
                )
                .await?;
                Ok(after)
            })
        })
        .await
    }
}

/// Admins who are told of a switch.
const MAILS_MAX: usize = 50;

/// A change whose networks are networks.
#[derive(Debug)]
struct Checked {
    remove: Vec<Network>,
    add: Vec<(Network, String)>,
    console: Option<bool>,
    api: Option<bool>,
}

impl Checked {
    fn of(change: AllowlistChange) -> Result<Self> {
        if change.add.len() > ADDED_MAX {
            return Err(Error::Invalid(format!(
                "at most {ADDED_MAX} networks can be added at a time"
            )));
        }
        let network = |text: &str| -> Result<Network> {
            text.parse()
                .map_err(|error| Error::Invalid(format!("`{text}` is {error}")))
        };
        Ok(Self {
            remove: change
                .remove
                .iter()
                .map(|it| network(it))
                .collect::<Result<_>>()?,
            add: change
                .add
                .iter()
                .map(|(it, label)| Ok((network(it)?, users::legal_text("a label", label)?)))
                .collect::<Result<_>>()?,
            console: change.console,
            api: change.api,
        })
    }

    fn words(&self, after: &AllowlistView) -> String {
        let on = |is: bool| if is { "on" } else { "off" };
        format!(
            "{} added, {} removed, {} in the list; console {}, API {}",
            self.add.len(),
            self.remove.len(),
            after.entries.len(),
            on(after.console),
            on(after.api)
        )
    }
}

impl AllowlistView {
    fn list(&self) -> Result<Allowlist> {
        let networks = self.entries.iter().map(|it| it.network.parse());
        Ok(Allowlist {
            console: self.console,
            api: self.api,
            networks: networks
                .collect::<std::result::Result<_, _>>()
                .map_err(|_| Error::damaged("an allowlist", "a network is malformed"))?,
        })
    }
}

/// Only somebody who has signed in can lock themselves out; the host's operator comes another way.
fn refuse_lock_out(actor: &Actor, list: &Allowlist) -> Result<()> {
    let admits = match &actor.kind {
        ActorKind::User { .. } => list.admits_to_console(actor.peer),
        ActorKind::Passcode { .. } => list.admits_to_api(actor.peer),
        ActorKind::OsUser(_) | ActorKind::System(_) => true,
    };
    if admits {
        return Ok(());
    }
    let own = actor.peer.map(|it| it.to_canonical().to_string());
    Err(Error::Conflict(format!(
        "your own address{} is not in the list: this would lock you out",
        own.map_or_else(String::new, |it| format!(" {it}"))
    )))
}

async fn write(session: &mut Session, desk: &Desk, change: &Checked) -> Result<()> {
    const ACT: &str = "change an allowlist";
    let account = desk.account.as_str().to_owned();
    for network in &change.remove {
        sqlx::query("DELETE FROM networks WHERE account = $1 AND network = $2")
            .bind(account.clone())
            .bind(network.to_string())
            .execute(session.connection())
            .await
            .map_err(Error::database(ACT))?;
    }
    for (network, label) in &change.add {
        let context = format!("networks/{account}/{network}");
        sqlx::query(
            "INSERT INTO networks (account, network, label_sealed, created_at) \
             VALUES ($1, $2, $3, $4) ON CONFLICT (account, network) \
             DO UPDATE SET label_sealed = excluded.label_sealed",
        )
        .bind(account.clone())
        .bind(network.to_string())
        .bind(desk.sealer.seal(&context, label)?)
        .bind(desk.now.ms())
        .execute(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    }
    sqlx::query(
        "INSERT INTO network_switches (account, console, api) \
         VALUES ($1, COALESCE($2, 0), COALESCE($3, 0)) ON CONFLICT (account) DO UPDATE SET \
         console = COALESCE($2, network_switches.console), api = COALESCE($3, network_switches.api)",
    )
    .bind(account)
    .bind(change.console.map(i64::from))
    .bind(change.api.map(i64::from))
    .execute(session.connection())
    .await
    .map(|_| ())
    .map_err(Error::database(ACT))
}

async fn read(session: &mut Session, sealer: &Sealer, account: AccountId) -> Result<AllowlistView> {
    const ACT: &str = "read an allowlist";
    let switches = sqlx::query("SELECT console, api FROM network_switches WHERE account = $1")
        .bind(account.as_str().to_owned())
        .fetch_optional(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    let (console, api) = match switches {
        Some(row) => {
            let console: i64 = row.try_get(0).map_err(Error::database(ACT))?;
            let api: i64 = row.try_get(1).map_err(Error::database(ACT))?;
            (console != 0, api != 0)
        }
        None => (false, false),
    };
    let rows = sqlx::query(
        "SELECT network, label_sealed, created_at FROM networks WHERE account = $1 \
         ORDER BY created_at, network",
    )
    .bind(account.as_str().to_owned())
    .fetch_all(session.connection())
    .await
    .map_err(Error::database(ACT))?;
    if rows.len() > NETWORKS_MAX {
        return Err(Error::Invalid(format!(
            "an allowlist has at most {NETWORKS_MAX} networks"
        )));
    }
    let entries = rows.iter().map(|row| {
        let network: String = row.try_get(0).map_err(Error::database(ACT))?;
        let label: Vec<u8> = row.try_get(1).map_err(Error::database(ACT))?;
        let created: i64 = row.try_get(2).map_err(Error::database(ACT))?;
        let context = format!("networks/{account}/{network}");
        Ok(AllowlistEntry {
            label: sealer.open(&context, &label)?,
            created_at: Timestamp::from_ms(created),
            network,
        })
    });
    Ok(AllowlistView {
        console,
        api,
        entries: entries.collect::<Result<_>>()?,
    })
}

/// Every allowlist, for the snapshot of the rules.
///
/// # Errors
/// [`model::ErrorKind::Unavailable`] when the database does not answer.
pub(crate) async fn load(session: &mut Session, sealer: &Sealer) -> Result<Vec<Effect>> {
    const ACT: &str = "read allowlists";
    let rows = sqlx::query("SELECT account FROM network_switches")
        .fetch_all(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    let mut effects = Vec::with_capacity(rows.len());
    for row in &rows {
        let account: String = row.try_get(0).map_err(Error::database(ACT))?;
        let account: AccountId = account
            .parse()
            .map_err(|_| Error::damaged("an allowlist", "its account is malformed"))?;
        let list = read(session, sealer, account).await?.list()?;
        effects.push(Effect::Allowlist(account, list));
    }
    Ok(effects)
}

/// Mails each Admin that a switch was moved.
async fn tell(
    session: &mut Session,
    desk: &Desk,
    mail_ids: &[[u8; 16]],
    words: &str,
) -> Result<()> {
    let admins = users::reading::admin_emails(session, desk).await?;
    for (email, id) in admins.into_iter().zip(mail_ids) {
        let mail = Mail {
            to: email,
            subject: "The IP allowlist was switched".to_owned(),
            text: format!(
                "{} changed the IP allowlist of {}: {words}.\n",
                desk.actor.name(),
                desk.account
            ),
        };
        sign_in::write_mail(session, desk, *id, &mail).await?;
    }
    Ok(())
}
