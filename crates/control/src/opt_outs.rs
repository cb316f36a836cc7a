//! Devices that have opted out, or in again. A flush hands over what they said, in its publication, so that nothing of
//! it is lost, whatever crashes; whoever collects reads it when it starts.
//!
//! It is what people have said themselves and no act on the control plane, so it leaves no entry.

use model::opt_out::OptOut;
use model::{AccountId, PersonKey, Timestamp, limit};
use sqlx::Row as _;
use std::collections::BTreeMap;

use crate::control::Control;
use crate::database::Session;
use crate::{Error, Result};

const FIRST: &str = "INSERT INTO opt_outs (account, device, since, is_out) VALUES ($1, $2, $3, $4)";
/// Of one that has said something before.
const AGAIN: &str = "UPDATE opt_outs SET since = MAX(since, $3), \
    is_out = CASE WHEN since <= $3 THEN $4 ELSE is_out END WHERE account = $1 AND device = $2";

impl Control {
    /// What devices have said last, as far as it is in parts.
    ///
    /// # Errors
    /// [`model::ErrorKind::Unavailable`] when the file does not answer.
    pub async fn opted_out(&self) -> Result<Vec<OptOut>> {
        self.database
            .read(|session| Box::pin(async move { read(session).await }))
            .await
    }
}

async fn read(session: &mut Session) -> Result<Vec<OptOut>> {
    const ACT: &str = "read who has opted out";
    let rows = sqlx::query("SELECT account, device, since, is_out FROM opt_outs")
        .fetch_all(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    rows.iter()
        .map(|row| {
            let account: String = row.try_get(0).map_err(Error::database(ACT))?;
            let device: Vec<u8> = row.try_get(1).map_err(Error::database(ACT))?;
            let since: i64 = row.try_get(2).map_err(Error::database(ACT))?;
            let is_out: i64 = row.try_get(3).map_err(Error::database(ACT))?;
            let damaged = || Error::damaged("a device that has opted out", "it is malformed");
            Ok(OptOut {
                account: account.parse().map_err(|_| damaged())?,
                device: PersonKey(device.try_into().map_err(|_| damaged())?),
                is_out: is_out != 0,
                at: Timestamp::from_ms(since),
            })
        })
        .collect()
}

/// Writes down what a publication brings, in its transaction: by the same rules as
/// [`governance::OptedOut`] remembers it.
///
/// # Errors
/// [`model::ErrorKind::Unavailable`] when the file does not answer.
pub(crate) async fn write(session: &mut Session, said: Vec<OptOut>) -> Result<()> {
    let mut rooms: BTreeMap<(AccountId, bool), usize> = BTreeMap::new();
    for it in said {
        if execute(session, AGAIN, &it).await? {
            continue;
        }
        let of = (it.account, it.is_out);
        let room = match rooms.get(&of) {
            Some(room) => *room,
            None => room(session, of).await?,
        };
        if room > 0 {
            execute(session, FIRST, &it).await?;
        }
        rooms.insert(of, room.saturating_sub(1));
    }
    Ok(())
}

/// How many more devices of an account that are out, or back, there is room for.
async fn room(session: &mut Session, (account, is_out): (AccountId, bool)) -> Result<usize> {
    const ACT: &str = "count who has opted out";
    let row = sqlx::query("SELECT COUNT(*) FROM opt_outs WHERE account = $1 AND is_out = $2")
        .bind(account.as_str().to_owned())
        .bind(i64::from(is_out))
        .fetch_one(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    let held: i64 = row.try_get(0).map_err(Error::database(ACT))?;
    let held = usize::try_from(held).unwrap_or(usize::MAX);
    Ok(limit::OPTED_OUT_DEVICES_MAX.saturating_sub(held))
}

/// Whether there was anything to change.
async fn execute(session: &mut Session, statement: &'static str, said: &OptOut) -> Result<bool> {
    sqlx::query(statement)
        .bind(said.account.as_str().to_owned())
        .bind(said.device.0.to_vec())
        .bind(said.at.ms())
        .bind(i64::from(said.is_out))
        .execute(session.connection())
        .await
        .map(|done| done.rows_affected() > 0)
        .map_err(Error::database("write down who has opted out"))
}
