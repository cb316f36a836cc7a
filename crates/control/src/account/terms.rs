//! How much at a time an account may do, and how long what it sent is kept.

use governance::Limits;
use model::{AccountId, limit};

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
    /// Sets how much at a time an account may do.
    ///
    /// # Errors
    /// [`model::ErrorKind::Invalid`] for a limit of 0 or more than 1,000; as [`Control::account`].
    pub async fn set_limits(&self, actor: &Actor, id: AccountId, limits: Limits) -> Result<()> {
        let legal = 1..=limit::CONCURRENT_MAX;
        if !legal.contains(&limits.uploads) || !legal.contains(&limits.calls) {
            let text = format!("a limit must be 1 to {} at a time", legal.end());
            return Err(Error::Invalid(text));
        }
        self.change(actor, Act::ManageAccount, id, move |session, desk| {
            Box::pin(async move {
                let before = read(session, id).await?.account.limits();
                sqlx::query("UPDATE accounts SET uploads_max = $1, calls_max = $2 WHERE id = $3")
                    .bind(i64::from(limits.uploads))
                    .bind(i64::from(limits.calls))
                    .bind(id.as_str().to_owned())
                    .execute(session.connection())
                    .await
                    .map_err(Error::database("set limits"))?;
                let words = |it: Limits| format!("{} uploads, {} calls", it.uploads, it.calls);
                let text = format!("from {} to {}", words(before), words(limits));
                desk.note(session, Action::LimitsChanged, id.to_string(), text)
                    .await
            })
        })
        .await
    }

    /// Sets how long an account's events and its request log are kept. What is older goes with the
    /// next sweep.
    ///
    /// # Errors
    /// [`model::ErrorKind::Invalid`] for less than 1 day or more than ten years; as
    /// [`Control::account`].
    pub async fn set_retention(
        &self,
        actor: &Actor,
        id: AccountId,
        retention: Retention,
    ) -> Result<()> {
        let legal = 1..=limit::RETENTION_DAYS_MAX;
        let said = [Some(retention.days), retention.request_days];
        if !said.iter().flatten().all(|days| legal.contains(days)) {
            let text = format!("a retention must be 1 to {} days", legal.end());
            return Err(Error::Invalid(text));
        }
        self.change(actor, Act::ManageAccount, id, move |session, desk| {
            Box::pin(async move {
                let before = read(session, id).await?.account.retention();
                sqlx::query(
                    "UPDATE accounts SET retention_days = $1, request_retention_days = $2 \
                     WHERE id = $3",
                )
                .bind(i64::from(retention.days))
                .bind(retention.request_days.map(i64::from))
                .bind(id.as_str().to_owned())
                .execute(session.connection())
                .await
                .map_err(Error::database("set retention"))?;
                let text = format!("from {} to {}", words(before), words(retention));
                desk.note(session, Action::RetentionChanged, id.to_string(), text)
                    .await
            })
        })
        .await
    }
}

fn words(retention: Retention) -> String {
    let days = retention.days;
    match retention.request_days {
        Some(own) => format!("events {days} days, request log {own} days"),
        None => format!("events {days} days, request log as configured"),
    }
}
