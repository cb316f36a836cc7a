//! Users and roles for the operator: the way in, and the way back in, where nobody can sign in.

use anyhow::{Context as _, Result};
use control::{Actor, Enabled};
use governance::access::Rights;
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
        AccessAct::SetRole { name, rights } => {
            set_role(installation, actor, id, &name, &rights).await
        }
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
) -> Result<Value> {
    let parsed = Rights::parse(rights).ok_or_else(|| {
        let text = format!(
            "`{rights}` are not rights: name components and levels, as `people=read,analysis=write`"
        );
        Failure::new(Kind::Invalid, text)
    })?;
    let set = installation
        .control()
        .set_role(actor, account, name, parsed)
        .await;
    set.context("failed to set the role")?;
    Ok(json!({"account_id": account.as_str(), "role": name, "rights": parsed.to_string()}))
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
