//! What operators decided about drops and about quarantined records.
//!
//! A review says until when the drops of one reason and path have been seen, by whom and when: later
//! ones are new again. A mark says that a quarantined record was replayed or deleted; the record
//! itself does not change. Each act has its entry in the same transaction.

use model::{AccountId, RecordId, Timestamp};
use serde::Serialize;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use std::collections::HashMap;

use crate::account;
use crate::audit::Action;
use crate::authz::Act;
use crate::control::Control;
use crate::sealer::Sealer;
use crate::{Actor, Error, Result};

/// Drops of one reason and path, until a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenDrops {
    /// Why they were dropped.
    pub reason: String,
    /// What they asked for.
    pub path: String,
    /// The last one that was seen.
    pub until: Timestamp,
}

/// A review of drops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropReview {
    /// Which drops, and until when.
    pub seen: SeenDrops,
    /// When they were reviewed.
    pub reviewed_at: Timestamp,
    /// By whom.
    pub reviewer: String,
}

/// What became of a quarantined record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum QuarantineMark {
    /// It was decoded again and stored.
    Replayed,
    /// It is not shown any more, and its bytes go with its retention.
    Deleted,
}

impl QuarantineMark {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Replayed => "replayed",
            Self::Deleted => "deleted",
        }
    }

    const fn action(self) -> Action {
        match self {
            Self::Replayed => Action::QuarantineReplayed,
            Self::Deleted => Action::QuarantineDeleted,
        }
    }
}

impl Control {
    /// Marks drops as reviewed by the actor, now.
    ///
    /// # Errors
    /// [`model::ErrorKind::Denied`]; [`model::ErrorKind::Unavailable`] when it cannot be made
    /// durable: nothing is marked then.
    pub async fn review_drops(&self, actor: &Actor, seen: Vec<SeenDrops>) -> Result<()> {
        let account = AccountId::installation();
        self.act(
            actor,
            Act::ManageInstallation,
            account,
            move |session, desk| {
                Box::pin(async move {
                    for it in &seen {
                        let kind = kind(&desk.sealer, &it.reason, &it.path);
                        let place = hex::encode(&kind);
                        let path = desk.sealer.seal(&path_place(&place), &it.path)?;
                        let reviewer = desk.actor.name();
                        let reviewer = desk.sealer.seal(&reviewer_place(&place), reviewer)?;
                        sqlx::query(
                            "INSERT INTO drop_reviews (kind, reason, path_sealed, seen_until, \
                             reviewed_at, reviewer_sealed) VALUES ($1, $2, $3, $4, $5, $6) \
                             ON CONFLICT (kind) DO UPDATE SET path_sealed = excluded.path_sealed, \
                             seen_until = excluded.seen_until, reviewed_at = excluded.reviewed_at, \
                             reviewer_sealed = excluded.reviewer_sealed",
                        )
                        .bind(kind)
                        .bind(it.reason.clone())
                        .bind(path)
                        .bind(it.until.ms())
                        .bind(desk.now.ms())
                        .bind(reviewer)
                        .execute(session.connection())
                        .await
                        .map_err(Error::database("write a review of drops"))?;
                    }
                    let (object, description) = match seen.as_slice() {
                        [one] => (one.reason.clone(), format!("path {}", one.path)),
                        many => ("drops".to_owned(), format!("{} groups", many.len())),
                    };
                    desk.note(session, Action::DropsReviewed, object, description)
                        .await
                })
            },
        )
        .await
    }

    /// Every review of drops.
    ///
    /// # Errors
    /// [`model::ErrorKind::Denied`]; [`model::ErrorKind::Unavailable`] when the database does not
    /// answer; [`model::ErrorKind::Corrupt`] when one is not what was written.
    pub async fn drop_reviews(&self, actor: &Actor) -> Result<Vec<DropReview>> {
        let account = AccountId::installation();
        self.authorize(actor, Act::ReadInstallation, account)
            .await?;
        let sealer = std::sync::Arc::clone(&self.sealer);
        self.database
            .read(move |session| {
                Box::pin(async move {
                    let rows = sqlx::query(
                        "SELECT kind, reason, path_sealed, seen_until, reviewed_at, \
                         reviewer_sealed FROM drop_reviews ORDER BY kind",
                    )
                    .fetch_all(session.connection())
                    .await
                    .map_err(Error::database(READ))?;
                    rows.iter().map(|row| decode(row, &sealer)).collect()
                })
            })
            .await
    }

    /// Marks quarantined records of an account.
    ///
    /// # Errors
    /// [`model::ErrorKind::NotFound`] without such an account; [`model::ErrorKind::Denied`];
    /// [`model::ErrorKind::Unavailable`] when it cannot be made durable: nothing is marked then.
    pub async fn mark_quarantined(
        &self,
        actor: &Actor,
        account: AccountId,
        records: Vec<RecordId>,
        mark: QuarantineMark,
    ) -> Result<()> {
        self.act(
            actor,
            Act::ManageQuarantine,
            account,
            move |session, desk| {
                Box::pin(async move {
                    account::require(session, account).await?;
                    for record in &records {
                        sqlx::query(
                            "INSERT INTO quarantine_marks (account, record, mark, marked_at) \
                         VALUES ($1, $2, $3, $4) ON CONFLICT (account, record) \
                         DO UPDATE SET mark = excluded.mark, marked_at = excluded.marked_at",
                        )
                        .bind(account.as_str().to_owned())
                        .bind(record.0.to_vec())
                        .bind(mark.as_str())
                        .bind(desk.now.ms())
                        .execute(session.connection())
                        .await
                        .map_err(Error::database("mark a quarantined record"))?;
                        let description = format!("quarantined record {}", mark.as_str());
                        desk.note(session, mark.action(), record.to_string(), description)
                            .await?;
                    }
                    Ok(())
                })
            },
        )
        .await
    }

    /// The marks of an account's quarantined records.
    ///
    /// # Errors
    /// [`model::ErrorKind::Denied`]; [`model::ErrorKind::Unavailable`] when the database does not
    /// answer.
    pub async fn quarantine_marks(
        &self,
        actor: &Actor,
        account: AccountId,
    ) -> Result<HashMap<RecordId, QuarantineMark>> {
        self.authorize(actor, Act::ReadQuarantine, account).await?;
        self.database
            .read(move |session| {
                Box::pin(async move {
                    let rows =
                        sqlx::query("SELECT record, mark FROM quarantine_marks WHERE account = $1")
                            .bind(account.as_str().to_owned())
                            .fetch_all(session.connection())
                            .await
                            .map_err(Error::database(READ))?;
                    rows.iter().map(decode_mark).collect()
                })
            })
            .await
    }

    /// Forgets marks from before `marks`, and reviews of drops of which the last was seen before
    /// `drops`: what they are about is past its retention. How many of each.
    ///
    /// # Errors
    /// [`model::ErrorKind::Denied`]; [`model::ErrorKind::Unavailable`] when it cannot be made
    /// durable.
    pub async fn forget_marks(
        &self,
        actor: &Actor,
        marks: Timestamp,
        drops: Timestamp,
    ) -> Result<(u64, u64)> {
        const ACT: &str = "forget old marks";
        let account = AccountId::installation();
        self.act(
            actor,
            Act::ManageInstallation,
            account,
            move |session, desk| {
                Box::pin(async move {
                    let marks = sqlx::query("DELETE FROM quarantine_marks WHERE marked_at < $1")
                        .bind(marks.ms())
                        .execute(session.connection())
                        .await
                        .map_err(Error::database(ACT))?
                        .rows_affected();
                    let drops = sqlx::query("DELETE FROM drop_reviews WHERE seen_until < $1")
                        .bind(drops.ms())
                        .execute(session.connection())
                        .await
                        .map_err(Error::database(ACT))?
                        .rows_affected();
                    if marks + drops > 0 {
                        let description = format!("{marks} marks, {drops} reviews of drops");
                        let object = "marks".to_owned();
                        desk.note(session, Action::Purged, object, description)
                            .await?;
                    }
                    Ok((marks, drops))
                })
            },
        )
        .await
    }
}

const READ: &str = "read marks and reviews";

/// What finds the drops of one reason and path again.
fn kind(sealer: &Sealer, reason: &str, path: &str) -> Vec<u8> {
    sealer.hash("drop kind", &format!("{reason}\0{path}"))
}

fn path_place(kind: &str) -> String {
    format!("drop_reviews/path/{kind}")
}

fn reviewer_place(kind: &str) -> String {
    format!("drop_reviews/reviewer/{kind}")
}

fn decode(row: &SqliteRow, sealer: &Sealer) -> Result<DropReview> {
    let bytes = |index: usize| {
        row.try_get::<Vec<u8>, _>(index)
            .map_err(Error::database(READ))
    };
    let time = |index: usize| {
        row.try_get(index)
            .map(Timestamp::from_ms)
            .map_err(Error::database(READ))
    };
    let place = hex::encode(bytes(0)?);
    Ok(DropReview {
        seen: SeenDrops {
            reason: row.try_get(1).map_err(Error::database(READ))?,
            path: sealer.open(&path_place(&place), &bytes(2)?)?,
            until: time(3)?,
        },
        reviewed_at: time(4)?,
        reviewer: sealer.open(&reviewer_place(&place), &bytes(5)?)?,
    })
}

fn decode_mark(row: &SqliteRow) -> Result<(RecordId, QuarantineMark)> {
    let record: Vec<u8> = row.try_get(0).map_err(Error::database(READ))?;
    let mark: String = row.try_get(1).map_err(Error::database(READ))?;
    let damaged = |reason: &str| Error::damaged("a mark of a quarantined record", reason);
    let record = <[u8; 16]>::try_from(record).map_err(|_| damaged("its record is not an id"))?;
    let mark = [QuarantineMark::Replayed, QuarantineMark::Deleted]
        .into_iter()
        .find(|it| it.as_str() == mark)
        .ok_or_else(|| damaged("it is unknown"))?;
    Ok((RecordId(record), mark))
}
