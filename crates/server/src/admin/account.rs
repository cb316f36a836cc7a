//! Accounts: made, shown, whose senders they take, how much they may, and how long theirs is kept.

use anyhow::{Context as _, Result, bail};
use control::{
    Actor, LimitsChange, RequestRetention, Retention, RetentionChange, RevealQuota, SessionLimits,
};
use model::{AccountId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::execute::account_id;
use crate::compose::Installation;
use crate::failure::{Failure, Kind};

/// What an operator can do with accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AccountRequest {
    /// Makes one.
    Create {
        /// Its name.
        name: String,
        /// Its time zone, as in the IANA database.
        time_zone: String,
    },
    /// Lists them.
    List,
    /// Shows one.
    Show {
        /// Its id.
        account: String,
    },
    /// Changes the domains whose pages may send to it; shows them when nothing is changed.
    Domains {
        /// Its id.
        account: String,
        /// Domains that may from now on.
        add: Vec<String>,
        /// Domains that may not any more.
        remove: Vec<String>,
    },
    /// Sets whether it takes messages that SDKs have encrypted in transit; shows it when nothing is
    /// set.
    Encryption {
        /// Its id.
        account: String,
        /// Whether it does from now on.
        takes: Option<bool>,
    },
    /// Sets how long its users stay signed in; shows it when nothing is set.
    Sessions {
        /// Its id; `0` for the installation.
        account: String,
        /// Without a request, minutes.
        idle_minutes: Option<u32>,
        /// At most, hours.
        hours: Option<u32>,
    },
    /// Sets how often one of its users may have masked values shown; shows it when nothing is set.
    Reveals {
        /// Its id.
        account: String,
        /// In a minute.
        per_minute: Option<u32>,
        /// In 24 hours.
        per_day: Option<u32>,
    },
    /// Sets how long its events and its request log are kept; shows it when nothing is set.
    Retention {
        /// Its id.
        account: String,
        /// Events, days.
        days: Option<u32>,
        /// The request log.
        requests: Option<RequestRetention>,
        /// Whether less may be kept than before.
        may_shorten: bool,
    },
    /// Sets how many of its calls may be under way; shows it when nothing is set.
    Limits {
        /// Its id.
        account: String,
        /// Uploads.
        uploads: Option<u32>,
        /// Calls of every other path.
        calls: Option<u32>,
    },
}

/// Carries out a request.
///
/// # Errors
/// What it failed with.
pub(super) async fn execute(
    installation: &Installation,
    actor: &Actor,
    request: AccountRequest,
) -> Result<Value> {
    match request {
        AccountRequest::Create { name, time_zone } => {
            create(installation, actor, &name, &time_zone).await
        }
        AccountRequest::List => list(installation, actor).await,
        AccountRequest::Show { account } => show(installation, actor, &account).await,
        AccountRequest::Domains {
            account,
            add,
            remove,
        } => domains(installation, actor, &account, &add, &remove).await,
        AccountRequest::Encryption { account, takes } => {
            encryption(installation, actor, &account, takes).await
        }
        AccountRequest::Sessions {
            account,
            idle_minutes,
            hours,
        } => sessions(installation, actor, &account, idle_minutes, hours).await,
        AccountRequest::Reveals {
            account,
            per_minute,
            per_day,
        } => reveals(installation, actor, &account, per_minute, per_day).await,
        AccountRequest::Retention {
            account,
            days,
            requests,
            may_shorten,
        } => {
            let change = RetentionChange {
                days,
                requests,
                as_configured: installation.settings().requests_retention_days,
                may_shorten,
            };
            retention(installation, actor, &account, change).await
        }
        AccountRequest::Limits {
            account,
            uploads,
            calls,
        } => {
            let change = LimitsChange { uploads, calls };
            limits(installation, actor, &account, change).await
        }
    }
}

/// Makes an account. Its secrets are shown this once.
async fn create(
    installation: &Installation,
    actor: &Actor,
    name: &str,
    time_zone: &str,
) -> Result<Value> {
    let made = installation
        .control()
        .create_account(actor, name, time_zone)
        .await
        .context("failed to make the account")?;
    let link = installation
        .control()
        .create_setup_link(actor, made.account_id)
        .await
        .context("the account is made, but not the link for its first Admin")?;
    Ok(json!({
        "setup_url": installation.control().link_url(&link),
        "account_id": made.account_id.as_str(),
        "passcode": made.passcode.expose(),
        "sdk_token": made.sdk_token.expose(),
    }))
}

/// Every account.
async fn list(installation: &Installation, actor: &Actor) -> Result<Value> {
    let accounts = installation
        .control()
        .accounts(actor)
        .await
        .context("failed to list the accounts")?;
    let shown = accounts.iter().map(|it| account_value(installation, it));
    Ok(Value::Array(shown.collect::<Result<_>>()?))
}

/// One account.
async fn show(installation: &Installation, actor: &Actor, account: &str) -> Result<Value> {
    let shown = read(installation, actor, account_id(account)?).await?;
    account_value(installation, &shown)
}

async fn read(
    installation: &Installation,
    actor: &Actor,
    id: AccountId,
) -> Result<control::Account> {
    let account = installation.control().account(actor, id).await;
    account.with_context(|| format!("failed to show account {id}"))
}

/// Shows the domains whose pages may send, after changing them where that is asked.
async fn domains(
    installation: &Installation,
    actor: &Actor,
    account: &str,
    add: &[String],
    remove: &[String],
) -> Result<Value> {
    let id = account_id(account)?;
    let control = installation.control();
    let domains = if add.is_empty() && remove.is_empty() {
        control.account(actor, id).await.map(|it| it.domains)
    } else {
        control.change_domains(actor, id, add, remove).await
    };
    let domains = domains.context("failed to set the domains")?;
    Ok(json!({"account_id": id.as_str(), "domains": domains}))
}

/// Shows whether messages encrypted in transit are taken, after changing it where that is asked.
async fn encryption(
    installation: &Installation,
    actor: &Actor,
    account: &str,
    takes: Option<bool>,
) -> Result<Value> {
    let id = account_id(account)?;
    let control = installation.control();
    if let Some(takes) = takes {
        control
            .set_takes_encrypted(actor, id, takes)
            .await
            .context("failed to set encryption in transit")?;
    }
    let shown = read(installation, actor, id).await?;
    Ok(json!({"account_id": id.as_str(), "takes_encrypted": shown.takes_encrypted}))
}

/// Shows how long users stay signed in, after changing it where that is asked.
async fn sessions(
    installation: &Installation,
    actor: &Actor,
    account: &str,
    idle_minutes: Option<u32>,
    hours: Option<u32>,
) -> Result<Value> {
    let id = account_id(account)?;
    let control = installation.control();
    let before = control.session_limits(actor, id).await;
    let before = before.context("failed to read how long users stay signed in")?;
    let limits = SessionLimits {
        idle_minutes: idle_minutes.unwrap_or(before.idle_minutes),
        hours: hours.unwrap_or(before.hours),
    };
    if limits != before {
        let set = control.set_session_limits(actor, id, limits).await;
        set.context("failed to set how long users stay signed in")?;
    }
    Ok(json!({
        "account_id": id.as_str(), "idle_minutes": limits.idle_minutes, "hours": limits.hours,
    }))
}

/// Shows how often a user may have masked values shown, after setting it where that is asked.
async fn reveals(
    installation: &Installation,
    actor: &Actor,
    account: &str,
    per_minute: Option<u32>,
    per_day: Option<u32>,
) -> Result<Value> {
    let id = account_id(account)?;
    let control = installation.control();
    let mut quota = read(installation, actor, id).await?.reveals;
    if per_minute.is_some() || per_day.is_some() {
        quota = RevealQuota {
            per_minute: per_minute.unwrap_or(quota.per_minute),
            per_day: per_day.unwrap_or(quota.per_day),
        };
        let set = control.set_reveal_quota(actor, id, quota).await;
        set.context("failed to set the quota")?;
    }
    Ok(json!({
        "account_id": id.as_str(),
        "reveals_per_minute": quota.per_minute,
        "reveals_per_day": quota.per_day,
    }))
}

/// Shows how long events and the request log are kept, after setting it where that is asked.
async fn retention(
    installation: &Installation,
    actor: &Actor,
    account: &str,
    change: RetentionChange,
) -> Result<Value> {
    let id = account_id(account)?;
    let control = installation.control();
    if change.days.is_some() || change.requests.is_some() {
        let set = control.set_retention(actor, id, change).await;
        if let Err(error @ control::Error::Shortens) = &set {
            bail!(Failure::new(Kind::Unconfirmed, error.to_string()));
        }
        set.context("failed to set the retention")?;
    }
    let retention = read(installation, actor, id).await?.retention();
    let (request_days, is_own) = request_days(installation, retention);
    Ok(json!({
        "account_id": id.as_str(),
        "retention_days": retention.days,
        "request_retention_days": request_days,
        "request_retention_is_own": is_own,
    }))
}

/// Shows how many calls may be under way, after setting it where that is asked.
async fn limits(
    installation: &Installation,
    actor: &Actor,
    account: &str,
    change: LimitsChange,
) -> Result<Value> {
    let id = account_id(account)?;
    let control = installation.control();
    if change != LimitsChange::default() {
        let set = control.set_limits(actor, id, change).await;
        set.context("failed to set the limits")?;
    }
    let limits = read(installation, actor, id).await?.limits();
    Ok(json!({
        "account_id": id.as_str(), "uploads_max": limits.uploads, "calls_max": limits.calls,
    }))
}

/// How long an account's request log is kept, days, and whether the account itself says so.
fn request_days(installation: &Installation, retention: Retention) -> (u32, bool) {
    match retention.request_days {
        Some(days) => (days, true),
        None => (installation.settings().requests_retention_days, false),
    }
}

/// An account for people and programs: its id is called `account_id` everywhere.
fn account_value(installation: &Installation, account: &control::Account) -> Result<Value> {
    let mut value = serde_json::to_value(account).context("failed to show an account")?;
    if let Some(members) = value.as_object_mut() {
        let (days, is_own) = request_days(installation, account.retention());
        members.insert("request_retention_days".to_owned(), json!(days));
        members.insert("request_retention_is_own".to_owned(), json!(is_own));
        members.remove("id");
        members.insert("account_id".to_owned(), json!(account.id.as_str()));
        members.insert(
            "created_at".to_owned(),
            json!(account.created_at.to_string()),
        );
        for kind in ["passcodes", "sdk_tokens"] {
            let listed = members.get_mut(kind).and_then(Value::as_array_mut);
            listed.into_iter().flatten().for_each(write_times);
        }
    }
    Ok(value)
}

/// Times of a credential in words.
fn write_times(credential: &mut Value) {
    for (name, value) in credential.as_object_mut().into_iter().flatten() {
        if let Some(ms) = value.as_i64().filter(|_| name.ends_with("_at")) {
            *value = json!(Timestamp::from_ms(ms).to_string());
        }
    }
}
