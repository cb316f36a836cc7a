//! `ts`: epoch seconds, as a number or as digits, or an ISO 8601 time with its offset.

use model::Timestamp;
use model::submission::RejectReason;

use crate::json::{Kind, Value};

use super::present;

/// The largest time: ten digits of seconds, in the year 2286. Milliseconds have thirteen.
const SECONDS_MAX: i64 = 9_999_999_999;
/// Longer texts are no times.
const TEXT_BYTES_MAX: usize = 64;

/// The time of a record; none when it gives none.
pub(super) fn decode(field: Option<Value<'_>>) -> Result<Option<Timestamp>, RejectReason> {
    let Some(value) = present(field) else {
        return Ok(None);
    };
    let time = match value.kind {
        Kind::Number => seconds(value.text),
        Kind::String => value
            .string()
            .and_then(|text| seconds(&text).or_else(|| iso8601(&text))),
        Kind::Object | Kind::Array | Kind::Bool | Kind::Null => None,
    };
    time.map(Some).ok_or(RejectReason::TimeInvalid)
}

fn seconds(digits: &str) -> Option<Timestamp> {
    if digits.len() > 10 || !digits.bytes().all(|it| it.is_ascii_digit()) {
        return None;
    }
    // Ten digits are far from overflow.
    let seconds = digits.bytes().fold(0_i64, |sum, digit| {
        let digit = i64::from(digit.wrapping_sub(b'0'));
        sum.wrapping_mul(10).wrapping_add(digit)
    });
    (seconds > 0).then(|| Timestamp::from_seconds(seconds))
}

fn iso8601(text: &str) -> Option<Timestamp> {
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let time: jiff::Timestamp = text.parse().ok()?;
    (1..=SECONDS_MAX)
        .contains(&time.as_second())
        .then(|| Timestamp::from_ms(time.as_millisecond()))
}
