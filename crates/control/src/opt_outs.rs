//! Devices that have opted out. A flush hands over what they said, in its publication, so that nothing of
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

const OPT_OUT: &str = "INSERT INTO opt_outs (account, device, since) VALUES ($1, $2, $3)";
/// Of one who is out already.
const OUT_AGAIN: &str = "UPDATE opt_outs SET since = MAX(since, $3) \
    WHERE account = $1 AND device = $2";
const OPT_IN: &str = "DELETE FROM opt_outs WHERE account = $1 AND device = $2 AND since <= $3";

impl Control {
    /// The devices that are out, as far as what they said is in parts.
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
    let rows = sqlx::query("SELECT account, device, since FROM opt_outs")
        .fetch_all(session.connection())
        .await
        .map_err(Error::database(ACT))?;
    rows.iter()
        .map(|row| {
            let account: String = row.try_get(0).map_err(Error::database(ACT))?;
            let device: Vec<u8> = row.try_get(1).map_err(Error::database(ACT))?;
            let since: i64 = row.try_get(2).map_err(Error::database(ACT))?;
            let damaged = || Error::damaged("a device that has opted out", "it is malformed");
            Ok(OptOut {
                account: account.parse().map_err(|_| damaged())?,
                device: PersonKey(device.try_into().map_err(|_| damaged())?),
                is_out: true,
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
    let mut rooms: BTreeMap<AccountId, usize> = BTreeMap::new();
    for it in said {
        if !it.is_out {
            let was_out = execute(session, OPT_IN, &it).await?;
            if let Some(room) = rooms.get_mut(&it.account) {
                *room += usize::from(was_out);
            }
            continue;
        }
        if execute(session, OUT_AGAIN, &it).await? {
            continue;
        }
        let room = match rooms.get(&it.account) {
            Some(room) => *room,
            None => room(session, it.account).await?,
        };
        if room > 0 {
            execute(session, OPT_OUT, &it).await?;
        }
        rooms.insert(it.account, room.saturating_sub(1));
    }
    Ok(())
}

/// How many more devices of an account there is room for.
async fn room(session: &mut Session, account: AccountId) -> Result<usize> {
    const ACT: &str = "count who has opted out";
    let row = sqlx::query("SELECT COUNT(*) FROM opt_outs WHERE account = $1")
        .bind(account.as_str().to_owned())
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
        .execute(session.connection())
        .await
        .map(|done| done.rows_affected() > 0)
        .map_err(Error::database("write down who has opted out"))
}
