//! Rows of the tables for commands that ask their own questions: what they are asked with, and the
//! answer in pieces that the socket takes.

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use futures::StreamExt as _;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use model::{AccountId, Timestamp};
use query::ReadPolicy;
use serde_json::{Map, Value};
use std::sync::Arc;
use tokio::sync::mpsc;

use super::Frame;
use crate::compose::Installation;
use crate::failure::{Failure, Kind};

/// Text that is gathered before it is handed on.
const PIECE_BYTES: usize = 64 * 1024;

/// The rows of a statement of ours, without the deleted people of the account.
pub(super) async fn rows(
    installation: &Installation,
    account: AccountId,
    sql: &str,
) -> Result<Vec<Map<String, Value>>> {
    let rules = installation.rules();
    let suppressed = rules
        .account(account)
        .map_or_else(Arc::default, |it| Arc::clone(&it.suppressed));
    let policy = ReadPolicy::new(account, suppressed);
    let mut rows = installation.engine().sql(&policy, sql).await?;
    let mut found = Vec::new();
    let mut text = String::new();
    while let Some(batch) = rows.batches.next().await {
        let batch = batch?;
        for row in 0..batch.num_rows() {
            text.clear();
            query::json::object(&rows.schema, &batch, row, &mut text)?;
            found.push(serde_json::from_str(&text).context("failed to understand a row")?);
        }
    }
    Ok(found)
}

/// Hands values on as one JSON array.
pub(super) async fn send_array(out: &mpsc::Sender<Frame>, values: &[Value]) -> Result<()> {
    let mut text = String::from("[");
    for (number, value) in values.iter().enumerate() {
        text.push_str(if number == 0 { "\n" } else { ",\n" });
        text.push_str(&value.to_string());
        if text.len() >= PIECE_BYTES {
            send(out, std::mem::take(&mut text)).await?;
        }
    }
    text.push_str(if values.is_empty() { "]" } else { "\n]" });
    send(out, text).await
}

async fn send(out: &mpsc::Sender<Frame>, text: String) -> Result<()> {
    if out.send(Frame::Data(Bytes::from(text))).await.is_err() {
        bail!("the reader of the result has gone");
    }
    Ok(())
}

/// Text as a literal.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A time as a literal.
pub(super) fn moment(time: Timestamp) -> String {
    format!("to_timestamp_millis({})", time.ms())
}

/// A member that must be text.
pub(super) fn text(row: &Map<String, Value>, name: &str) -> String {
    row.get(name)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// A member that must be a number.
pub(super) fn number(row: &Map<String, Value>, name: &str) -> u64 {
    row.get(name).and_then(Value::as_u64).unwrap_or(0)
}

/// A member that must be a time.
pub(super) fn time(row: &Map<String, Value>, name: &str) -> Result<Timestamp> {
    parse_time(&text(row, name))
}

/// A time as an operator writes it: RFC 3339, or a day, which begins at its midnight in UTC.
pub(super) fn parse_time(text: &str) -> Result<Timestamp> {
    let ms = match text.parse::<jiff::Timestamp>() {
        Ok(time) => time.as_millisecond(),
        Err(_) => text
            .parse::<Date>()
            .and_then(|day| day.to_zoned_datetime(TimeZone::UTC))
            .map(|start| start.timestamp().as_millisecond())
            .map_err(|_| {
                let message =
                    format!("`{text}` is no time: write YYYY-MM-DD or YYYY-MM-DDThh:mm:ssZ");
                Failure::new(Kind::Invalid, message)
            })?,
    };
    Ok(Timestamp::from_ms(ms))
}

/// An account by its id.
pub(super) fn account_id(text: &str) -> Result<AccountId> {
    text.parse()
        .map_err(|_| Failure::new(Kind::Invalid, format!("`{text}` is not an account's id")).into())
}
