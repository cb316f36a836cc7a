//! Alerts: that something turned red, and that it is in order again. Each turn is told once: by mail to
//! the Operators, or to the Admins of the account that it is about, and to the receiver that the
//! operator has named.
//!
//! What is red is found elsewhere; here is what was told of it, so that a restart tells nothing twice,
//! and the messages, written with it in one transaction, so that none is lost.

use model::{AccountId, Random};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use std::sync::Arc;

use crate::authz::Act;
use crate::control::{Control, Desk};
use crate::database::Session;
use crate::retry::{Queue, TRIES_MAX};
use crate::sign_in::{Mail, write_mail};
use crate::{Action, Actor, Error, Result, users};

/// Calls in one answer.
const PAGE: i64 = 50;
/// Something that is red.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Alert {
    /// What kind of thing it is: a stable word.
    pub kind: String,
    /// Which one of its kind.
    pub subject: String,
    /// Whom it is about; the installation when it is about no account.
    pub account: AccountId,
    /// What is wrong, in words.
    pub text: String,
}

impl Alert {
    /// Whether the other one is about the same thing.
    #[must_use]
    pub fn is_about(&self, other: &Self) -> bool {
        (&self.kind, &self.subject, self.account) == (&other.kind, &other.subject, other.account)
    }
}

/// A call of the receiver that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertCall {
    /// Its id: the same each time that it is tried.
    pub id: String,
    /// What is sent.
    pub body: String,
}

/// Which way something turned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It is red.
    Red,
    /// It is in order again.
    Green,
}

impl Control {
    /// What is red and was told.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when the database does not answer.
    pub async fn told_alerts(&self) -> Result<Vec<Alert>> {
        self.database
            .read(|session| {
                Box::pin(async {
                    let rows = sqlx::query(
                        "SELECT kind, subject, account, text FROM alerts \
                         ORDER BY kind, subject, account",
                    )
                    .fetch_all(session.connection())
                    .await
                    .map_err(Error::database(READ))?;
                    rows.iter().map(alert).collect()
                })
            })
            .await
    }

    /// Writes down that something turned, with the messages that tell it: a mail for each who is to
    /// know, and, with `body`, a call of the receiver.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when it cannot be written: nothing was told.
    pub async fn turn_alert(
        &self,
        told: &Alert,
        turn: Turn,
        by_mail: bool,
        body: Option<String>,
    ) -> Result<()> {
        let actor = Actor::system("alerts");
        let (told, random) = (told.clone(), Arc::clone(&self.random));
        self.act(
            &actor,
            Act::ManageInstallation,
            told.account,
            move |session, desk| {
                Box::pin(async move {
                    note_turn(session, &desk, &told, turn).await?;
                    if by_mail {
                        tell(session, &desk, random.as_ref(), &told, turn).await?;
                    }
                    if let Some(body) = body {
                        insert_call(session, &desk, random.bytes16(), body).await?;
                    }
                    let action = match turn {
                        Turn::Red => Action::AlertRaised,
                        Turn::Green => Action::AlertCleared,
                    };
                    let object = match told.subject.is_empty() {
                        true => told.kind.clone(),
                        false => format!("{} {}", told.kind, told.subject),
                    };
                    desk.note(session, action, object, told.text).await
                })
            },
        )
        .await
    }

    /// Calls that are to be made now, the oldest first.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when the database does not answer.
    pub async fn due_alert_calls(&self) -> Result<Vec<AlertCall>> {
        let now = self.clock.now();
        self.database
            .read(move |session| {
                Box::pin(async move {
                    let rows = sqlx::query(
                        "SELECT id, body FROM alert_calls WHERE next_at <= $1 AND tries < $2 \
                         ORDER BY created_at, id LIMIT $3",
                    )
                    .bind(now.ms())
                    .bind(TRIES_MAX)
                    .bind(PAGE)
                    .fetch_all(session.connection())
                    .await
                    .map_err(Error::database(READ))?;
                    rows.iter()
                        .map(|row| {
                            let id: Vec<u8> = row.try_get(0).map_err(Error::database(READ))?;
                            Ok(AlertCall {
                                id: hex::encode(id),
                                body: row.try_get(1).map_err(Error::database(READ))?,
                            })
                        })
                        .collect()
                })
            })
            .await
    }

    /// Notes that a call was made: one that was taken is done with.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when it cannot be written.
    pub async fn note_alert_call(&self, id: &str, is_taken: bool) -> Result<()> {
        let (id, now) = (hex::decode(id).unwrap_or_default(), self.clock.now());
        self.database
            .write(move |session| {
                Box::pin(async move {
                    match is_taken {
                        true => Queue::AlertCalls.taken(session, id, now).await,
                        false => Queue::AlertCalls.failed(session, id, now).await,
                    }
                })
            })
            .await
    }
}

const READ: &str = "read alerts";
const WRITE: &str = "write an alert";

fn alert(row: &SqliteRow) -> Result<Alert> {
    let account: String = row.try_get(2).map_err(Error::database(READ))?;
    Ok(Alert {
        kind: row.try_get(0).map_err(Error::database(READ))?,
        subject: row.try_get(1).map_err(Error::database(READ))?,
        account: account
            .parse()
            .map_err(|_| Error::damaged("an alert", "its account is malformed"))?,
        text: row.try_get(3).map_err(Error::database(READ))?,
    })
}

async fn note_turn(session: &mut Session, desk: &Desk, told: &Alert, turn: Turn) -> Result<()> {
    let query = match turn {
        Turn::Red => sqlx::query(
            "INSERT INTO alerts (kind, subject, account, text, raised_at) \
             VALUES ($1, $2, $3, $4, $5)",
        ),
        Turn::Green => {
            sqlx::query("DELETE FROM alerts WHERE kind = $1 AND subject = $2 AND account = $3")
        }
    };
    let query = query
        .bind(told.kind.clone())
        .bind(told.subject.clone())
        .bind(told.account.as_str().to_owned());
    let query = match turn {
        Turn::Red => query.bind(told.text.clone()).bind(desk.now.ms()),
        Turn::Green => query,
    };
    query
        .execute(session.connection())
        .await
        .map(|_| ())
        .map_err(Error::database(WRITE))
}

/// A mail for each who is to know: the Operators, or the account's Admins.
async fn tell(
    session: &mut Session,
    desk: &Desk,
    random: &dyn Random,
    told: &Alert,
    turn: Turn,
) -> Result<()> {
    let place = match desk.account == AccountId::installation() {
        true => String::from("the installation"),
        false => format!("account {}", desk.account),
    };
    let (subject, words) = match turn {
        Turn::Red => ("needs attention", "Since"),
        Turn::Green => ("is in order again", "It was told before that"),
    };
    let text = match turn {
        Turn::Red => format!("{}.\n\n{words} {}, {place}.\n", told.text, desk.now),
        Turn::Green => format!(
            "{words}: {}.\n\nIn order at {}, {place}.\n",
            told.text, desk.now
        ),
    };
    for to in users::reading::admin_emails(session, desk).await? {
        let mail = Mail {
            to,
            subject: format!("Strongroom {subject}: {}", told.kind.replace('_', " ")),
            text: text.clone(),
        };
        write_mail(session, desk, random.bytes16(), &mail).await?;
    }
    Ok(())
}

async fn insert_call(session: &mut Session, desk: &Desk, id: [u8; 16], body: String) -> Result<()> {
    sqlx::query("INSERT INTO alert_calls (id, body, created_at, next_at) VALUES ($1, $2, $3, $3)")
        .bind(id.to_vec())
        .bind(body)
        .bind(desk.now.ms())
        .execute(session.connection())
        .await
        .map(|_| ())
        .map_err(Error::database(WRITE))
}
