//! Credentials of programs, for the operator: break-glass where nobody can sign in.

use anyhow::{Context as _, Result};
use control::Actor;
use governance::{Network, PasscodeTerms, Scopes};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

use super::execute::account_id;
use crate::compose::Installation;
use crate::failure::{Failure, Kind};
use crate::jobs;

const DAY: Duration = Duration::from_secs(86_400);

/// What an operator can do with an account's passcodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CredentialRequest {
    /// Makes one; its text is shown once.
    Create {
        /// Whose.
        account: String,
        /// The name that people know it by.
        name: String,
        /// Its tenure; for ever when none.
        days: Option<u32>,
        /// What it may do, with commas.
        scopes: Option<String>,
        /// From where it may be used; from everywhere when empty.
        networks: Vec<String>,
    },
    /// Lists them, without their text.
    List {
        /// Whose.
        account: String,
    },
    /// Makes another token for apps; its text is shown once.
    RotateToken {
        /// Whose.
        account: String,
        /// How long those before it are accepted, days.
        days: u32,
    },
    /// Ends a token before the newest, at once.
    EndToken {
        /// Whose.
        account: String,
        /// Which.
        number: u32,
    },
    /// Ends one, at once.
    Revoke {
        /// Whose.
        account: String,
        /// Which.
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
    request: CredentialRequest,
) -> Result<Value> {
    let control = installation.control();
    match request {
        CredentialRequest::Create {
            account,
            name,
            days,
            scopes,
            networks,
        } => {
            let id = account_id(&account)?;
            let invalid = |text: String| Failure::new(Kind::Invalid, text);
            let scopes = match scopes {
                None => Scopes::all(),
                Some(text) => Scopes::parse(&text).ok_or_else(|| {
                    invalid(format!(
                        "`{text}` are not scopes: name upload, read, personal_information, delete, or rights \
                         as a role has them"
                    ))
                })?,
            };
            let network = |text: &String| {
                let parsed = text.parse::<Network>();
                parsed.map_err(|error| invalid(format!("`{text}` is {error}")))
            };
            let now = installation.clock().now();
            let terms = PasscodeTerms {
                expires_at: days.map(|days| now.plus(DAY * days)),
                scopes,
                networks: networks.iter().map(network).collect::<Result<_, _>>()?,
            };
            let passcode = control
                .create_passcode_on(actor, id, &name, terms)
                .await
                .context("failed to make the passcode")?;
            Ok(json!({"account_id": id.as_str(), "name": name, "passcode": passcode.expose()}))
        }
        CredentialRequest::RotateToken { account, days } => {
            let id = account_id(&account)?;
            let made = control.rotate_sdk_token(actor, id, days).await;
            let made = made.context("failed to rotate the token")?;
            Ok(json!({
                "account_id": id.as_str(),
                "sdk_token": made.text.expose(),
                "others_end_at": made.others_end_at.to_string(),
            }))
        }
        CredentialRequest::EndToken { account, number } => {
            let id = account_id(&account)?;
            let ended = control.end_sdk_token(actor, id, number).await;
            ended.context("failed to end the token")?;
            Ok(json!({"account_id": id.as_str(), "number": number, "state": "ended"}))
        }
        CredentialRequest::List { account } => {
            jobs::write_uses(installation).await?;
            let shown = control
                .account(actor, account_id(&account)?)
                .await
                .context("failed to list the passcodes")?;
            let shown = shown.passcodes.iter().map(|it| {
                json!({
                    "name": it.name,
                    "created_at": it.created_at.to_string(),
                    "expires_at": it.terms.expires_at.map(|at| at.to_string()),
                    "revoked_at": it.revoked_at.map(|at| at.to_string()),
                    "used_at": it.used_at.map(|at| at.to_string()),
                    "scopes": it.terms.scopes.to_string(),
                    "networks": it.terms.networks.iter().map(Network::to_string).collect::<Vec<_>>(),
                })
            });
            Ok(shown.collect())
        }
        CredentialRequest::Revoke { account, name } => {
            let id = account_id(&account)?;
            control
                .revoke_passcode(actor, id, &name)
                .await
                .context("failed to revoke the passcode")?;
            Ok(json!({"account_id": id.as_str(), "name": name, "state": "revoked"}))
        }
    }
}
