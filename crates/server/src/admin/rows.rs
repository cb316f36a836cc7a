//! Rows on their way to the command line: what they are asked with, and the answer in pieces that the
//! socket takes.

use anyhow::{Result, bail};
use bytes::Bytes;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use model::{AccountId, Timestamp};
use serde_json::Value;
use tokio::sync::mpsc;

use super::Frame;
use crate::failure::{Failure, Kind};

/// Text that is gathered before it is handed on.
const PIECE_BYTES: usize = 64 * 1024;

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
