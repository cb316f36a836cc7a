//! The IP allowlist for the operator: seen, changed, and switched off where it locks people out.

use anyhow::{Context as _, Result};
use control::{Actor, AllowlistChange, AllowlistView};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::execute::rules;
use crate::compose::Installation;

/// What an operator can do with an allowlist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AllowlistRequest {
    /// Whose; `0` for the installation.
    pub(crate) account: String,
    /// Networks to put in.
    pub(crate) add: Vec<String>,
    /// What they are called.
    pub(crate) label: String,
    /// Networks to take out.
    pub(crate) remove: Vec<String>,
    /// Whether the console asks it from now on.
    pub(crate) console: Option<bool>,
    /// Whether the API asks it from now on.
    pub(crate) api: Option<bool>,
}

/// Carries a request out; one that changes nothing shows the list.
///
/// # Errors
/// What it failed with.
pub(super) async fn execute(
    installation: &Installation,
    actor: &Actor,
    request: AllowlistRequest,
) -> Result<Value> {
    let (id, _) = rules(installation, &request.account)?;
    let control = installation.control();
    let change = AllowlistChange {
        add: request
            .add
            .into_iter()
            .map(|network| (network, request.label.clone()))
            .collect(),
        remove: request.remove,
        console: request.console,
        api: request.api,
    };
    let list = if change == AllowlistChange::default() {
        control.allowlist(actor, id).await
    } else {
        control.change_allowlist(actor, id, change).await
    };
    let list = list.context("failed to set the allowlist")?;
    Ok(value(id.as_str(), &list))
}

fn value(account: &str, list: &AllowlistView) -> Value {
    let entries: Vec<Value> = list
        .entries
        .iter()
        .map(|it| {
            json!({
                "network": it.network, "label": it.label, "created_at": it.created_at.to_string(),
            })
        })
        .collect();
    json!({
        "account_id": account, "console": list.console, "api": list.api, "networks": entries,
    })
}
