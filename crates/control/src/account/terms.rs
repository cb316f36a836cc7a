//! How much at a time an account may do, and how long what it sent is kept.

use governance::Limits;
use model::{AccountId, limit};
use serde::{Deserialize, Serialize};

use super::{Account, read};
use crate::audit::Action;
use crate::authz::Act;
use crate::control::Control;
use crate::{Actor, Error, Result};

/// How long what an account sent is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Events, days.
    pub days: u32,
    /// The request log, days; as long as the installation's own when none.
    pub request_days: Option<u32>,
}

/// What is changed of how long what an account sent is kept; none is left as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionChange {
    /// Events, days.
    pub days: Option<u32>,
    /// The request log.
    pub requests: Option<RequestRetention>,
    /// How long the request log is kept where the account says nothing, days.
    pub as_configured: u32,
    /// Whether less may be kept than before.
    pub may_shorten: bool,
}

/// How long an account's request log is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestRetention {
    /// So many days.
    Days(u32),
    /// As long as the configuration says.
    AsConfigured,
}

/// What is changed of how much at a time an account may do; none is left as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LimitsChange {
    /// Uploads.
    pub uploads: Option<u32>,
    /// Calls of every other path.
    pub calls: Option<u32>,
}

impl RetentionChange {
    /// What holds after it.
    fn of(self, before: Retention) -> Retention {
        Retention {
            days: self.days.unwrap_or(before.days),
            request_days: match self.requests {
                Some(RequestRetention::Days(days)) => Some(days),
                Some(RequestRetention::AsConfigured) => None,
                None => before.request_days,
            },
        }
    }

    /// Whether less is kept by the one than by the other.
    fn is_less(self, after: Retention, before: Retention) -> bool {
        let requests = |it: Retention| it.request_days.unwrap_or(self.as_configured);
        after.days < before.days || requests(after) < requests(before)
    }
}

impl Account {
    /// How long what it sent is kept.
    #[must_use]
    pub const fn retention(&self) -> Retention {
        Retention {
            days: self.retention_days,
            request_days: self.request_retention_days,
        }
    }

    /// How much at a time it may do.
    #[must_use]
    pub const fn limits(&self) -> Limits {
        Limits {
            uploads: self.uploads_max,
            calls: self.calls_max,
        }
    }
}

impl Control {
    /// Changes how much at a time an account may do.
    ///
    /// # Errors
    /// [`model::ErrorKind::Invalid`] for a limit of 0 or more than 1,000; as [`Control::account`].
    pub async fn set_limits(
        &self,
        actor: &Actor,
        id: AccountId,
        change: LimitsChange,
    ) -> Result<()> {
        let legal = 1..=limit::CONCURRENT_MAX;
        let said = [change.uploads, change.calls];
        if !said.iter().flatten().all(|limit| legal.contains(limit)) {
            let text = format!("a limit must be 1 to {} at a time", legal.end());
            return Err(Error::Invalid(text));
        }
        self.change(actor, Act::ManageAccount, id, move |session, desk| {
            Box::pin(async move {
                let before = read(session, id).await?.account.limits();
                let after = Limits {
                    uploads: change.uploads.unwrap_or(before.uploads),
                    calls: change.calls.unwrap_or(before.calls),
                };
                sqlx::query("UPDATE accounts SET uploads_max = $1, calls_max = $2 WHERE id = $3")
                    .bind(i64::from(after.uploads))
                    .bind(i64::from(after.calls))
                    .bind(id.as_str().to_owned())
                    .execute(session.connection())
                    .await
                    .map_err(Error::database("set limits"))?;
                let words = |it: Limits| format!("{} uploads, {} calls", it.uploads, it.calls);
                let text = format!("from {} to {}", words(before), words(after));
                desk.note(session, Action::LimitsChanged, id.to_string(), text)
                    .await
            })
        })
        .await
    }

    /// Changes how long an account's events and its request log are kept. What is older goes with the
    /// next sweep.
    ///
    /// # Errors
    /// [`model::ErrorKind::Invalid`] for less than 90 days of events or 1 of requests, or more than ten
    /// years; [`Error::Shortens`] where less would be kept and that is not said to be meant; as
    /// [`Control::account`].
    pub async fn set_retention(
        &self,
        actor: &Actor,
        id: AccountId,
        change: RetentionChange,
    ) -> Result<()> {
        let own = match change.requests {
            Some(RequestRetention::Days(days)) => Some(days),
            Some(RequestRetention::AsConfigured) | None => None,
        };
        legal("events", limit::RETENTION_DAYS_MIN, change.days)?;
        legal("requests", 1, own)?;
        self.change(actor, Act::ManageAccount, id, move |session, desk| {
            Box::pin(async move {
                let before = read(session, id).await?.account.retention();
                let after = change.of(before);
                if change.is_less(after, before) && !change.may_shorten {
                    return Err(Error::Shortens);
                }
                sqlx::query(
                    "UPDATE accounts SET retention_days = $1, request_retention_days = $2 \
                     WHERE id = $3",
                )
                .bind(i64::from(after.days))
                .bind(after.request_days.map(i64::from))
                .bind(id.as_str().to_owned())
                .execute(session.connection())
                .await
                .map_err(Error::database("set retention"))?;
                let text = format!("from {} to {}", words(before), words(after));
                desk.note(session, Action::RetentionChanged, id.to_string(), text)
                    .await
            })
        })
        .await
    }
}

fn legal(of: &str, least: u32, days: Option<u32>) -> Result<()> {
    let most = limit::RETENTION_DAYS_MAX;
    if days.is_none_or(|days| (least..=most).contains(&days)) {
        return Ok(());
    }
    let text = format!("the retention of {of} must be {least} to {most} days");
    Err(Error::Invalid(text))
}

fn words(retention: Retention) -> String {
    let days = retention.days;
    match retention.request_days {
        Some(own) => format!("events {days} days, request log {own} days"),
        None => format!("events {days} days, request log as configured"),
    }
}
