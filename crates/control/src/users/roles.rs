//! Roles of an account's own: for each component none, read or write.

use governance::access::{GrantedRole, Rights, SystemRole};
use model::AccountId;
use serde::Serialize;
use sqlx::Row as _;

use super::legal_text;
use crate::audit::Action;
use crate::authz::Act;
use crate::control::Control;
use crate::database::Session;
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
}

impl Control {
    /// Makes a role, or changes what one gives.
    ///
    /// # Errors
    /// [`model::ErrorKind::Invalid`] for an empty name, one of a system role, or too many roles;
    /// [`model::ErrorKind::Denied`] when the actor may not, or has less than the role would give or
    /// has given.
    pub async fn set_role(
        &self,
        actor: &Actor,
        account: AccountId,
        name: &str,
        rights: Rights,
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
                let roles = read_all(session, account).await?;
                let before = roles.iter().find(|(known, _)| *known == name);
                if let Some((_, before)) = before {
                    desk.covers_rights(before)?;
                } else if roles.len() >= ROLES_MAX {
                    let text = format!("an account has at most {ROLES_MAX} roles of its own");
                    return Err(Error::Invalid(text));
                }
                sqlx::query(
                    "INSERT INTO roles (account, name, rights, created_at) VALUES ($1, $2, $3, $4) \
                     ON CONFLICT (account, name) DO UPDATE SET rights = excluded.rights",
                )
                .bind(account.as_str().to_owned())
                .bind(name.clone())
                .bind(rights.to_string())
                .bind(desk.now.ms())
                .execute(session.connection())
                .await
                .map_err(Error::database("write a role"))?;
                let before = before.map_or_else(|| "nothing".to_owned(), |(_, it)| it.to_string());
                let words = format!("from {before} to {rights}");
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
        let own = self
            .database
            .read(move |session| Box::pin(async move { read_all(session, account).await }))
            .await?;
        let is_installation = account == AccountId::installation();
        let system = SystemRole::ALL
            .into_iter()
            .filter(|role| role.is_of_installation() == is_installation)
            .map(|role| Role {
                name: role.as_str().to_owned(),
                is_system: true,
                rights: role.rights().to_string(),
            });
        let own = own.into_iter().map(|(name, rights)| Role {
            name,
            is_system: false,
            rights: rights.to_string(),
        });
        Ok(system.chain(own).collect())
    }
}

async fn read_all(session: &mut Session, account: AccountId) -> Result<Vec<(String, Rights)>> {
    const ACT: &str = "read roles";
    let rows = sqlx::query("SELECT name, rights FROM roles WHERE account = $1 ORDER BY name")
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
            Ok((name, rights))
        })
        .collect()
}

/// The role of that name that users of `account` can have.
pub(crate) async fn find(
    session: &mut Session,
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
    let all = read_all(session, account).await?;
    let found = all.into_iter().find(|(known, _)| known == name);
    let (name, rights) = found.ok_or_else(|| Error::NotFound(format!("role `{name}`")))?;
    Ok(GrantedRole::Custom {
        name: name.into_boxed_str(),
        rights,
    })
}
