//! Users and roles for the operator: the way in, and the way back in, where nobody can sign in.

use anyhow::{Context as _, Result};
use control::{Actor, ActorKind, Enabled};
use governance::Condition;
use governance::access::{Rights, Standing};
use model::{AccountId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

use super::execute::rules;
use crate::compose::Installation;
use crate::failure::{Failure, Kind};

const DAY: Duration = Duration::from_secs(86_400);

/// What an operator can do with who has access to an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AccessRequest {
    /// Which; `0` for the installation.
    pub(crate) account: String,
    /// What.
    pub(crate) act: AccessAct,
}

/// One act on who has access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AccessAct {
    /// Lists the users.
    Users,
    /// Gives somebody a role, who may be new.
    Invite {
        /// Whom, by address.
        email: String,
        /// The person's name.
        name: String,
        /// The role.
        role: String,
        /// For how long; for ever when none.
        days: Option<u32>,
    },
    /// Gives a user another role.
    Grant {
        /// Whom.
        email: String,
        /// The role.
        role: String,
        /// For how long; for ever when none.
        days: Option<u32>,
    },
    /// Takes a role.
    Withdraw {
        /// From whom.
        email: String,
        /// The role.
        role: String,
    },
    /// Takes every role.
    Revoke {
        /// From whom.
        email: String,
    },
    /// Lets a user sign in again who is paused after failed attempts.
    Unlock {
        /// Whom.
        email: String,
    },
    /// Sends an invitation again.
    Resend {
        /// To whom.
        email: String,
    },
    /// Lets a user's roles count no more.
    Disable {
        /// Whose.
        email: String,
    },
    /// Lets a user's roles count again.
    Enable {
        /// Whose.
        email: String,
    },
    /// Takes a user's second factors away.
    ResetFactors {
        /// Whose.
        email: String,
    },
    /// Makes a link that lets an Admin, or an Operator, in.
    SetupLink,
    /// Reads the mails that were written.
    Outbox,
    /// Lists the roles.
    Roles,
    /// Makes or changes a role.
    SetRole {
        /// Its name.
        name: String,
        /// What it gives, as `people=read,analysis=write`.
        rights: String,
        /// Whom it lets see; everybody when empty, as before when none.
        filter: Option<String>,
    },
    /// What a user may do, and why.
    Explain {
        /// Whom.
        email: String,
    },
    /// Deletes a role.
    DeleteRole {
        /// Its name.
        name: String,
    },
}

/// Carries out a request.
///
/// # Errors
/// What it failed with.
pub(super) async fn execute(
    installation: &Installation,
    actor: &Actor,
    request: AccessRequest,
) -> Result<Value> {
    let (id, _) = rules(installation, &request.account)?;
    let control = installation.control();
    let done = |email: &str, state: &str| {
        Ok(json!({"account_id": id.as_str(), "email": email, "state": state}))
    };
    match request.act {
        AccessAct::Users => {
            let users = control.users(actor, id).await;
            let users = users.context("failed to list the users")?;
            users.iter().map(user_value).collect()
        }
        AccessAct::Invite {
            email,
            name,
            role,
            days,
        } => {
            let end = end(installation, days);
            let invited = control
                .invite_user(actor, id, &email, &name, &role, end)
                .await;
            let link = invited.context("failed to invite the user")?;
            let url = installation.control().link_url(&link);
            Ok(json!({
                "account_id": id.as_str(), "email": email, "state": "invited", "setup_url": url,
            }))
        }
        AccessAct::Grant { email, role, days } => {
            let end = end(installation, days);
            let granted = control.grant_role(actor, id, &email, &role, end).await;
            granted.context("failed to give the role")?;
            done(&email, "granted")
        }
        AccessAct::Withdraw { email, role } => {
            let withdrawn = control.withdraw_role(actor, id, &email, &role).await;
            withdrawn.context("failed to take the role")?;
            done(&email, "withdrawn")
        }
        AccessAct::Revoke { email } => {
            let revoked = control.revoke_user(actor, id, &email).await;
            revoked.context("failed to end the user's access")?;
            done(&email, "revoked")
        }
        AccessAct::Unlock { email } => {
            let unlocked = control.unlock_user(actor, id, &email).await;
            unlocked.context("failed to unlock the user")?;
            done(&email, "unlocked")
        }
        AccessAct::Resend { email } => {
            let link = control.resend_invitation(actor, id, &email).await;
            let link = link.context("failed to send the invitation again")?;
            let url = control.link_url(&link);
            Ok(json!({"account_id": id.as_str(), "email": email, "setup_url": url}))
        }
        AccessAct::Disable { email } => {
            set_enabled(installation, actor, id, &email, Enabled::No).await
        }
        AccessAct::Enable { email } => {
            set_enabled(installation, actor, id, &email, Enabled::Yes).await
        }
        AccessAct::ResetFactors { email } => {
            let reset = control.reset_factors(actor, id, &email).await;
            reset.context("failed to take the second factors away")?;
            done(&email, "second factors reset")
        }
        AccessAct::SetupLink => {
            let link = control.create_setup_link(actor, id).await;
            let link = link.context("failed to make a set-up link")?;
            Ok(
                json!({"account_id": id.as_str(), "setup_url": installation.control().link_url(&link)}),
            )
        }
        AccessAct::Outbox => {
            let mails = control.outbox(actor, id).await;
            let mails = mails.context("failed to read the outbox")?;
            mails.iter().map(mail_value).collect()
        }
        AccessAct::Roles => {
            let roles = control.roles(actor, id).await;
            let roles = roles.context("failed to list the roles")?;
            serde_json::to_value(roles).context("failed to show the roles")
        }
        AccessAct::SetRole {
            name,
            rights,
            filter,
        } => set_role(installation, actor, id, &name, &rights, filter.as_deref()).await,
        AccessAct::Explain { email } => explain(installation, actor, id, &email).await,
        AccessAct::DeleteRole { name } => {
            let deleted = control.delete_role(actor, id, &name).await;
            deleted.context("failed to delete the role")?;
            Ok(json!({"account_id": id.as_str(), "role": name, "state": "deleted"}))
        }
    }
}

async fn set_enabled(
    installation: &Installation,
    actor: &Actor,
    account: AccountId,
    email: &str,
    enabled: Enabled,
) -> Result<Value> {
    let control = installation.control();
    let set = control
        .set_user_enabled(actor, account, email, enabled)
        .await;
    set.context("failed to say whether the user's roles count")?;
    let state = match enabled {
        Enabled::Yes => "enabled",
        Enabled::No => "disabled",
    };
    Ok(json!({"account_id": account.as_str(), "email": email, "state": state}))
}

async fn set_role(
    installation: &Installation,
    actor: &Actor,
    account: AccountId,
    name: &str,
    rights: &str,
    filter: Option<&str>,
) -> Result<Value> {
    let parsed = Rights::parse(rights).ok_or_else(|| {
        let text = format!(
            "`{rights}` are not rights: name components and levels, as `people=read,analysis=write`"
        );
        Failure::new(Kind::Invalid, text)
    })?;
    let control = installation.control();
    let filter = match filter {
        Some(text) => text.to_owned(),
        None => {
            let roles = control.roles(actor, account).await;
            let roles = roles.context("failed to read the roles")?;
            let before = roles.into_iter().find(|it| it.name == name);
            before.and_then(|it| it.filter).unwrap_or_default()
        }
    };
    let filter = match filter.trim() {
        "" => None,
        text => Some(Condition::parse(text).map_err(|error| {
            Failure::new(Kind::Invalid, format!("that is no condition: {error}"))
        })?),
    };
    let shown = filter.as_ref().map(ToString::to_string);
    let set = control.set_role(actor, account, name, parsed, filter).await;
    set.context("failed to set the role")?;
    Ok(json!({
        "account_id": account.as_str(),
        "role": name,
        "rights": parsed.to_string(),
        "filter": shown,
    }))
}

/// What a user may do in the account, by which roles, and whom and what the user sees there.
async fn explain(
    installation: &Installation,
    actor: &Actor,
    account: AccountId,
    email: &str,
) -> Result<Value> {
    let control = installation.control();
    let users = control.users(actor, account).await;
    let users = users.context("failed to read the users")?;
    let email = email.trim().to_lowercase();
    let user = users.iter().find(|it| it.email == email);
    let user = user.ok_or_else(|| {
        Failure::new(
            Kind::NotFound,
            "nobody of that address has a role there".to_owned(),
        )
    })?;
    let found = control.user_actor(&email).await;
    let found = found.context("failed to work out what the user may do")?;
    let standing = match found.kind {
        ActorKind::User { mut standings, .. } => standings.remove(&account),
        ActorKind::OsUser(_) | ActorKind::Passcode { .. } | ActorKind::System(_) => None,
    };
    let standing = standing.unwrap_or_else(Standing::nobody);
    let mut value = user_value(user)?;
    let personal = match (standing.sees_personal_information(), standing.may_reveal()) {
        (true, _) => "shown",
        (false, true) => "masked, revealed for a reason",
        (false, false) => "masked",
    };
    let filters: Vec<String> = standing.filters.iter().map(ToString::to_string).collect();
    if let Some(members) = value.as_object_mut() {
        members.insert("rights".to_owned(), json!(standing.rights.to_string()));
        members.insert("personal_information".to_owned(), json!(personal));
        members.insert(
            "people_seen".to_owned(),
            match filters.is_empty() {
                true => json!("all"),
                false => json!(format!("where {}", filters.join(" and "))),
            },
        );
    }
    Ok(value)
}

fn end(installation: &Installation, days: Option<u32>) -> Option<Timestamp> {
    days.map(|days| installation.clock().now().plus(DAY * days))
}

fn user_value(user: &control::User) -> Result<Value> {
    let grants = user.grants.iter().map(|grant| {
        json!({
            "role": grant.role,
            "granted_at": grant.granted_at.to_string(),
            "expires_at": grant.expires_at.map(|at| at.to_string()),
        })
    });
    Ok(json!({
        "email": user.email,
        "name": user.name,
        "state": user.state,
        "grants": grants.collect::<Vec<_>>(),
    }))
}

fn mail_value(mail: &control::OutboxEntry) -> Result<Value> {
    let mut value = serde_json::to_value(mail).context("failed to show a mail")?;
    if let Some(members) = value.as_object_mut() {
        let created = mail.created_at.to_string();
        members.insert("created_at".to_owned(), json!(created));
        let sent = mail.sent_at.map(|at| at.to_string());
        members.insert("sent_at".to_owned(), json!(sent));
    }
    Ok(value)
}
