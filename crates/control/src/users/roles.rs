//! Roles of an account's own: for each component none, read or write.

use governance::Condition;
use governance::access::{GrantedRole, Rights, SystemRole};
use model::AccountId;
use serde::Serialize;
use sqlx::Row as _;
use std::sync::Arc;

use super::{UserId, legal_text};
use crate::audit::Action;
use crate::authz::Act;
use crate::control::{Control, Desk};
use crate::database::Session;
use crate::sealer::Sealer;
use crate::{Actor, Error, Result, account};

/// Custom roles of one account.
const ROLES_MAX: usize = 100;

/// A role as an account sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// Whether it is one of the product's own.
    pub is_system: bool,
    /// What it gives: `analysis=read,people=write`.
    pub rights: String,
    /// Only people are seen for whom this holds; everybody when none.
    pub filter: Option<String>,
}

/// A role of an account's own.
#[derive(Debug, Clone)]
struct Own {
    name: String,
    rights: Rights,
    filter: Option<Condition>,
}

impl Own {
    /// For the audit log.
    fn words(&self) -> String {
        words(&self.rights, self.filter.as_ref())
    }
}

fn words(rights: &Rights, filter: Option<&Condition>) -> String {
    match filter {
        Some(filter) => format!("{rights} where {filter}"),
        None => rights.to_string(),
    }
}

impl Control {
    /// Makes a role, or changes what one gives, and of whom: with a `filter`, only people are seen for
    /// whom it holds.
    ///
    /// # Errors
    /// [`model::ErrorKind::Invalid`] for an empty name, one of a system role, or too many roles;
    /// [`model::ErrorKind::Conflict`] when somebody who has it has another role with a filter;
    /// [`model::ErrorKind::Denied`] when the actor may not, or has less than the role would give or
    /// has given.
    pub async fn set_role(
        &self,
        actor: &Actor,
        account: AccountId,
        name: &str,
        rights: Rights,
        filter: Option<Condition>,
    ) -> Result<()> {
        let name = legal_text("a role's name", name)?;
        if name.is_empty() || SystemRole::from_name(&name).is_some() {
            let text = "a role needs a name that no system role has".to_owned();
            return Err(Error::Invalid(text));
        }
        self.act(actor, Act::ManageRoles, account, move |session, desk| {
            Box::pin(async move {
                account::require(session, account).await?;
                desk.covers_rights(&rights)?;
                let roles = read_all(session, &desk.sealer, account).await?;
                let before = roles.iter().find(|it| it.name == name);
                if let Some(before) = before {
                    desk.covers_rights(&before.rights)?;
                } else if roles.len() >= ROLES_MAX {
                    let text = format!("an account has at most {ROLES_MAX} roles of its own");
                    return Err(Error::Invalid(text));
                }
                if filter.is_some() {
                    refuse_second_filter(session, account, &name, &roles).await?;
                }
                let text = filter.as_ref().map(ToString::to_string);
                let sealed = text.map(|text| desk.sealer.seal(&context(account, &name), &text));
                sqlx::query(
                    "INSERT INTO roles (account, name, rights, created_at, filter_sealed) \
                     VALUES ($1, $2, $3, $4, $5) ON CONFLICT (account, name) DO UPDATE \
                     SET rights = excluded.rights, filter_sealed = excluded.filter_sealed",
                )
                .bind(account.as_str().to_owned())
                .bind(name.clone())
                .bind(rights.to_string())
                .bind(desk.now.ms())
                .bind(sealed.transpose()?)
                .execute(session.connection())
                .await
                .map_err(Error::database("write a role"))?;
                let before = before.map_or_else(|| "nothing".to_owned(), Own::words);
                let words = format!("from {before} to {}", words(&rights, filter.as_ref()));
                desk.note(session, Action::RoleChanged, name, words).await
            })
        })
        .await
    }

    /// Deletes a role that nobody has.
    ///
    /// # Errors
    /// [`model::ErrorKind::Conflict`] when somebody has it; [`model::ErrorKind::NotFound`];
    /// [`model::ErrorKind::Denied`].
    pub async fn delete_role(&self, actor: &Actor, account: AccountId, name: &str) -> Result<()> {
        let name = name.to_owned();
        self.act(actor, Act::ManageRoles, account, move |session, desk| {
            Box::pin(async move {
                const ACT: &str = "delete a role";
                let held =
                    sqlx::query("SELECT COUNT(*) FROM grants WHERE account = $1 AND role = $2")
                        .bind(account.as_str().to_owned())
                        .bind(name.clone())
                        .fetch_one(session.connection())
                        .await
                        .map_err(Error::database(ACT))?;
                let held: i64 = held.try_get(0).map_err(Error::database(ACT))?;
                if held > 0 {
                    let text = format!("{held} users have role `{name}`: take it from them first");
                    return Err(Error::Conflict(text));
                }
                let done = sqlx::query("DELETE FROM roles WHERE account = $1 AND name = $2")
                    .bind(account.as_str().to_owned())
                    .bind(name.clone())
                    .execute(session.connection())
                    .await
                    .map_err(Error::database(ACT))?;
                if done.rows_affected() == 0 {
                    return Err(Error::NotFound(format!(
                        "role `{name}` of the account's own"
                    )));
                }
                let words = "deleted".to_owned();
                desk.note(session, Action::RoleDeleted, name, words).await
            })
        })
        .await
    }

    /// The roles of an account: the product's own first.
    ///
    /// # Errors
    /// [`model::ErrorKind::Denied`]; [`model::ErrorKind::Unavailable`].
    pub async fn roles(&self, actor: &Actor, account: AccountId) -> Result<Vec<Role>> {
        self.authorize(actor, Act::ReadRoles, account).await?;
        let sealer = Arc::clone(&self.sealer);
        let own = self
            .database
            .read(move |session| Box::pin(async move { read_all(session, &sealer, account).await }))
            .await?;
        let is_installation = account == AccountId::installation();
        let system = SystemRole::ALL
            .into_iter()
            .filter(|role| role.is_of_installation() == is_installation)
            .map(|role| Role {
                name: role.as_str().to_owned(),
                is_system: true,
                rights: role.rights().to_string(),
                filter: None,
            });
        let own = own.into_iter().map(|it| Role {
            name: it.name,
            is_system: false,
            rights: it.rights.to_string(),
            filter: it.filter.map(|it| it.to_string()),
        });
        Ok(system.chain(own).collect())
    }
}

/// Binds a sealed filter to its role.
fn context(account: AccountId, name: &str) -> String {
    format!("roles/filter/{account}/{name}")
}

async fn read_all(session: &mut Session, sealer: &Sealer, account: AccountId) -> Result<Vec<Own>> {
    const ACT: &str = "read roles";
    let rows = sqlx::query(
        "SELECT name, rights, filter_sealed FROM roles WHERE account = $1 ORDER BY name",
    )
    .bind(account.as_str().to_owned())
    .fetch_all(session.connection())
    .await
    .map_err(Error::database(ACT))?;
    rows.iter()
        .map(|row| {
            let name: String = row.try_get(0).map_err(Error::database(ACT))?;
            let rights: String = row.try_get(1).map_err(Error::database(ACT))?;
            let rights = Rights::parse(&rights)
                .ok_or_else(|| Error::damaged("a role", "its rights are malformed"))?;
            let sealed: Option<Vec<u8>> = row.try_get(2).map_err(Error::database(ACT))?;
            let filter = sealed.map(|sealed| {
                let text = sealer.open(&context(account, &name), &sealed)?;
                Condition::parse(&text)
                    .map_err(|_| Error::damaged("a role", "its filter is malformed"))
            });
            let filter = filter.transpose()?;
            Ok(Own {
                name,
                rights,
                filter,
            })
        })
        .collect()
}

/// The role of that name that users of `account` can have.
pub(crate) async fn find(
    session: &mut Session,
    sealer: &Sealer,
    account: AccountId,
    name: &str,
) -> Result<GrantedRole> {
    if let Some(role) = SystemRole::from_name(name) {
        let is_installation = account == AccountId::installation();
        if role.is_of_installation() != is_installation {
            let text = format!(
                "`{name}` is not a role of `{account}`: `operator` is the installation's (0), the others are of accounts"
            );
            return Err(Error::Invalid(text));
        }
        return Ok(GrantedRole::System(role));
    }
    let all = read_all(session, sealer, account).await?;
    let found = all.into_iter().find(|it| it.name == name);
    let found = found.ok_or_else(|| Error::NotFound(format!("role `{name}`")))?;
    Ok(GrantedRole::Custom {
        name: found.name.into_boxed_str(),
        rights: found.rights,
        filter: found.filter.map(Arc::new),
    })
}

/// Fails when somebody who has, or was offered, role `name` has another one with a filter: a user has
/// one such role at most.
async fn refuse_second_filter(
    session: &mut Session,
    account: AccountId,
    name: &str,
    roles: &[Own],
) -> Result<()> {
    const ACT: &str = "read grants";
    let rows = sqlx::query(
        "SELECT DISTINCT o.role FROM grants g JOIN grants o \
         ON o.user_id = g.user_id AND o.account = g.account AND o.role <> g.role \
         WHERE g.account = $1 AND g.role = $2 ORDER BY o.role",
    )
    .bind(account.as_str().to_owned())
    .bind(name.to_owned())
    .fetch_all(session.connection())
    .await
    .map_err(Error::database(ACT))?;
    for row in &rows {
        let other: String = row.try_get(0).map_err(Error::database(ACT))?;
        let mut filtered = roles.iter().filter(|it| it.filter.is_some());
        if filtered.any(|it| it.name == other) {
            return Err(Error::Conflict(format!(
                "somebody who has role `{name}` has role `{other}`, which has a data filter too: a \
                 user has one role with a data filter at most"
            )));
        }
    }
    Ok(())
}

/// As [`refuse_second_filter`], of a user who is given role `name`.
pub(crate) async fn refuse_second_filter_of(
    session: &mut Session,
    desk: &Desk,
    id: UserId,
    name: &str,
) -> Result<()> {
    const ACT: &str = "read grants";
    let roles = read_all(session, &desk.sealer, desk.account).await?;
    let is_filtered = |name: &str| {
        let mut filtered = roles.iter().filter(|it| it.filter.is_some());
        filtered.any(|it| it.name == name)
    };
    if !is_filtered(name) {
        return Ok(());
    }
    let rows = sqlx::query("SELECT role FROM grants WHERE user_id = $1 AND account = $2")
        .bind(id.0.to_vec())
        .bind(desk.account.as_str().to_owned())
        .fetch_all(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    for row in &rows {
        let other: String = row.try_get(0).map_err(Error::database(ACT))?;
        if other != name && is_filtered(&other) {
            return Err(Error::Conflict(format!(
                "the user has, or was offered, role `{other}`, which has a data filter: take it \
                 first, a user has one role with a data filter at most"
            )));
        }
    }
    Ok(())
}
