//! The versions of the database's schema; each is applied once, in a transaction of its own.

use model::Random;
use sqlx::Row as _;

use crate::database::Session;
use crate::{Error, Result};

/// The steps from nothing to today's schema. A published one is never changed; what each version wrote
/// is in `tests/upgrades/rows.rs`.
pub(crate) const STEPS: [&str; 25] = [
    include_str!("schema/v1.sql"),
    include_str!("schema/audit_trees.sql"),
    include_str!("schema/web_pages.sql"),
    include_str!("schema/drops.sql"),
    include_str!("schema/passcode_terms.sql"),
    include_str!("schema/users.sql"),
    include_str!("schema/dictionary.sql"),
    include_str!("schema/api_keys.sql"),
    include_str!("schema/learned.sql"),
    include_str!("schema/sign_in.sql"),
    include_str!("schema/dictionary_kinds.sql"),
    include_str!("schema/audit_sinks.sql"),
    include_str!("schema/alerts.sql"),
    include_str!("schema/user_pauses.sql"),
    include_str!("schema/classes.sql"),
    include_str!("schema/filters.sql"),
    include_str!("schema/reveals.sql"),
    include_str!("schema/restrictions.sql"),
    include_str!("schema/cancelling.sql"),
    include_str!("schema/credential_use.sql"),
    include_str!("schema/opt_outs.sql"),
    include_str!("schema/ledger_lines.sql"),
    include_str!("schema/deletion_work.sql"),
    include_str!("schema/request_retention.sql"),
    include_str!("schema/opted_in.sql"),
];

/// Brings the file to today's schema.
///
/// # Errors
/// [`model::ErrorKind::Corrupt`] when the file was written by a newer program.
pub(crate) async fn migrate(session: &mut Session, random: &dyn Random) -> Result<()> {
    apply(session, random, &STEPS).await
}

/// Brings the file to where these steps, which are the first ones, lead.
///
/// # Errors
/// As [`migrate`]; [`model::ErrorKind::Unavailable`] when a step fails: the steps before it are done.
pub(crate) async fn apply(
    session: &mut Session,
    random: &dyn Random,
    steps: &[&'static str],
) -> Result<()> {
    let done = version(session).await?;
    if done > steps.len() {
        let known = steps.len();
        let reason = format!(
            "a newer program has written it (version {done}, this one knows {known}): \
             start that one, or a newer one"
        );
        return Err(Error::damaged("the control database", reason));
    }
    session.resume().await?;
    for (step, &sql) in steps.iter().enumerate().skip(done) {
        let reached = step.saturating_add(1).to_string();
        session
            .transact(random, move |session| {
                Box::pin(async move {
                    const ACT: &str = "change the schema";
                    sqlx::raw_sql(sql)
                        .execute(session.connection())
                        .await
                        .map_err(Error::database(ACT))?;
                    set(session, "schema_version", &reached).await
                })
            })
            .await?;
    }
    Ok(())
}

async fn version(session: &mut Session) -> Result<usize> {
    const ACT: &str = "read the schema's version";
    let tables = sqlx::query("SELECT name FROM sqlite_master WHERE name = 'settings'")
        .fetch_optional(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    if tables.is_none() {
        return Ok(0);
    }
    let text = setting(session, "schema_version").await?;
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| Error::damaged("the control database", "it does not say its version"))
}

/// One setting of the installation.
///
/// # Errors
/// [`model::ErrorKind::Unavailable`] when the file does not answer.
pub(crate) async fn setting(session: &mut Session, name: &str) -> Result<Option<String>> {
    const ACT: &str = "read a setting";
    let row = sqlx::query("SELECT value FROM settings WHERE name = $1")
        .bind(name.to_owned())
        .fetch_optional(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    row.map(|row| row.try_get(0).map_err(Error::database(ACT)))
        .transpose()
}

/// Sets one setting of the installation.
///
/// # Errors
/// As [`setting`].
pub(crate) async fn set(session: &mut Session, name: &str, value: &str) -> Result<()> {
    sqlx::query(
        "INSERT INTO settings (name, value) VALUES ($1, $2) \
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )
    .bind(name.to_owned())
    .bind(value.to_owned())
    .execute(session.connection())
    .await
    .map(|_| ())
    .map_err(Error::database("write a setting"))
}
