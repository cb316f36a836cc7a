//! Mail that is to go out: written down with the act that causes it, sent by a job, or read in the
//! outbox where no mail server is configured.

use model::{AccountId, Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use std::sync::Arc;

use crate::authz::Act;
use crate::control::{Control, Desk};
use crate::database::Session;
use crate::retry::{Queue, TRIES_MAX};
use crate::sealer::Sealer;
use crate::{Action, Actor, Error, Result};

/// Mails in one answer.
const PAGE: i64 = 200;

/// A mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// To which address.
    pub to: String,
    /// Its subject.
    pub subject: String,
    /// Its text, plain.
    pub text: String,
}

/// A mail in the outbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutboxEntry {
    /// Its id.
    pub id: String,
    /// The mail.
    #[serde(flatten)]
    pub mail: Mail,
    /// Since when it waits.
    pub created_at: Timestamp,
    /// When a mail server took it.
    pub sent_at: Option<Timestamp>,
}

impl Control {
    /// The mails of an account that were written, the newest first. Those about passwords are the
    /// installation's, so that no Admin reads them.
    ///
    /// # Errors
    /// [`model::ErrorKind::Denied`]; [`model::ErrorKind::Unavailable`].
    pub async fn outbox(&self, actor: &Actor, account: AccountId) -> Result<Vec<OutboxEntry>> {
        self.act(actor, Act::ManageUsers, account, move |session, desk| {
            Box::pin(async move {
                let rows = sqlx::query(
                    "SELECT id, mail_sealed, created_at, sent_at FROM mails WHERE account = $1 \
                     ORDER BY created_at DESC, id LIMIT $2",
                )
                .bind(account.as_str().to_owned())
                .bind(PAGE)
                .fetch_all(session.connection())
                .await
                .map_err(Error::database(READ))?;
                let entries: Result<Vec<OutboxEntry>> =
                    rows.iter().map(|row| parse(row, &desk.sealer)).collect();
                let words = format!("{} mails", rows.len());
                desk.note(session, Action::OutboxRead, account.to_string(), words)
                    .await?;
                entries
            })
        })
        .await
    }

    /// Mails that no server has taken and that are due, the oldest first: for the job that sends them.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when the database does not answer.
    pub async fn unsent_mails(&self) -> Result<Vec<OutboxEntry>> {
        let (sealer, now) = (Arc::clone(&self.sealer), self.clock.now());
        self.database
            .read(move |session| {
                Box::pin(async move {
                    let rows = sqlx::query(
                        "SELECT id, mail_sealed, created_at, sent_at FROM mails \
                         WHERE sent_at IS NULL AND tries < $1 AND next_at <= $3 \
                         ORDER BY created_at LIMIT $2",
                    )
                    .bind(TRIES_MAX)
                    .bind(PAGE)
                    .bind(now.ms())
                    .fetch_all(session.connection())
                    .await
                    .map_err(Error::database(READ))?;
                    rows.iter().map(|row| parse(row, &sealer)).collect()
                })
            })
            .await
    }

    /// Notes that a mail was tried, and whether a server took it. One that was not taken waits, longer
    /// each time.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when it cannot be written.
    pub async fn note_mail(&self, id: &str, is_sent: bool) -> Result<()> {
        let (id, now) = (hex::decode(id).unwrap_or_default(), self.clock.now());
        self.database
            .write(move |session| {
                Box::pin(async move {
                    match is_sent {
                        true => Queue::Mails.taken(session, id, now).await,
                        false => Queue::Mails.failed(session, id, now).await,
                    }
                })
            })
            .await
    }
}

const READ: &str = "read mails";

/// The mail of an invitation.
pub(crate) fn invitation(email: &str, role: &str, url: &str) -> Mail {
    Mail {
        to: email.to_owned(),
        subject: "Your access to Strongroom".to_owned(),
        text: format!(
            "You were given the role \u{201c}{role}\u{201d} in Strongroom.\n\n\
             Open this link within 72 hours to accept it; it works once:\n\n{url}\n"
        ),
    }
}

/// Writes a mail of the desk's account down.
///
/// # Errors
/// [`model::ErrorKind::Unavailable`] when it cannot be written.
pub(crate) async fn write(
    session: &mut Session,
    desk: &Desk,
    id: [u8; 16],
    mail: &Mail,
) -> Result<()> {
    let text = serde_json::to_string(mail)
        .map_err(|_| Error::Internal("failed to write a mail as JSON".to_owned()))?;
    let context = format!("mails/{}", hex::encode(id));
    sqlx::query("INSERT INTO mails (id, account, mail_sealed, created_at) VALUES ($1, $2, $3, $4)")
        .bind(id.to_vec())
        .bind(desk.account.as_str().to_owned())
        .bind(desk.sealer.seal(&context, &text)?)
        .bind(desk.now.ms())
        .execute(session.connection())
        .await
        .map(|_| ())
        .map_err(Error::database("write a mail"))
}

fn parse(row: &SqliteRow, sealer: &Sealer) -> Result<OutboxEntry> {
    let id: Vec<u8> = row.try_get(0).map_err(Error::database(READ))?;
    let sealed: Vec<u8> = row.try_get(1).map_err(Error::database(READ))?;
    let created: i64 = row.try_get(2).map_err(Error::database(READ))?;
    let sent: Option<i64> = row.try_get(3).map_err(Error::database(READ))?;
    let id = hex::encode(id);
    let text = sealer.open(&format!("mails/{id}"), &sealed)?;
    Ok(OutboxEntry {
        mail: serde_json::from_str(&text)
            .map_err(|_| Error::damaged("a mail", "it is malformed"))?,
        id,
        created_at: Timestamp::from_ms(created),
        sent_at: sent.map(Timestamp::from_ms),
    })
}
