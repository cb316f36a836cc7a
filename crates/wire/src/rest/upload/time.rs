//! `ts`: epoch seconds, as a number or as text, or an ISO 8601 time with its offset.
//!
//! Of a fraction of a second the milliseconds are kept, and an exponent is carried out. What may be
//! another time than was meant is refused: milliseconds since the epoch, and a time of a place that is
//! not said.

use model::Timestamp;
use model::submission::RejectReason;

use super::present;
use crate::json::{Kind, Value};
use crate::rest::number::plain;

/// The largest time: ten digits of seconds, in the year 2286. Milliseconds have thirteen.
const SECONDS_MAX: i64 = 9_999_999_999;
const SECONDS_DIGITS_MAX: usize = 10;
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

/// Digits, with a decimal fraction and an exponent or, as nearly all, without.
fn seconds(text: &str) -> Option<Timestamp> {
    let (seconds, ms) = match number(text) {
        Some(seconds) => (seconds, 0),
        None if text.len() > TEXT_BYTES_MAX => return None,
        None => {
            let plain = plain(text)?;
            let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, "0"));
            (number(whole)?, thousandths(fraction)?)
        }
    };
    (seconds > 0).then(|| Timestamp::from_ms(seconds.wrapping_mul(1_000).wrapping_add(ms)))
}

/// The first three digits of a fraction; none when it is not of digits alone.
fn thousandths(fraction: &str) -> Option<i64> {
    if fraction.is_empty() || !fraction.bytes().all(|it| it.is_ascii_digit()) {
        return None;
    }
    let zeros = std::iter::repeat_n('0', 3);
    let digits: String = fraction.chars().chain(zeros).take(3).collect();
    number(&digits)
}

/// What ten digits at most are, which is far from overflow; none when one is no digit.
fn number(digits: &str) -> Option<i64> {
    if digits.len() > SECONDS_DIGITS_MAX {
        return None;
    }
    digits.bytes().try_fold(0, |sum: i64, digit| {
        let digit = digit.is_ascii_digit().then(|| digit.wrapping_sub(b'0'))?;
        Some(sum.wrapping_mul(10).wrapping_add(i64::from(digit)))
    })
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
