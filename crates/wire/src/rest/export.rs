//! What is asked of `/1/events.json`, `/1/profiles.json` and `/1/counts/…`: an event, a range of
//! days, conditions on its properties, its session and its person.
//!
//! Three forms: the JSON as the body of a POST, the JSON as `query` of a GET, and a cursor of an
//! earlier answer (as `cursor` of the query string, or in the body). Days are days of the account's
//! time zone, both included.

mod filter;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use model::{Timestamp, limit};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

use super::Refusal;
use super::number;
use super::url::{self, Plus};
use crate::json::{self, Kind, Scanner, Value};

pub use filter::{Filter, FilterValue, Operator, PropertyKind};

/// Records on a page when the caller does not say.
const BATCH_SIZE_DEFAULT: u16 = 50;
/// The largest page.
const BATCH_SIZE_MAX: u16 = 5_000;

/// A question about the events of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    /// The event's name.
    pub event_name: String,
    /// The first day.
    pub from: Date,
    /// The last day, included.
    pub to: Date,
    /// Conditions; an event, its session and its person must meet all of them.
    pub filters: Vec<Filter>,
    /// Records on a page: 1 to 5,000.
    pub batch_size: u16,
    /// What a record shows of its person.
    pub with: With,
}

/// What a record shows beyond its own properties and who it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct With {
    /// Device and app: `os_version`, `app_version`, `make`, `model`.
    pub app: bool,
    /// The person's events in numbers.
    pub events: bool,
    /// The person's own properties.
    pub profile: bool,
}

impl Export {
    /// The first moment of the range, and the first moment after it.
    ///
    /// # Errors
    /// [`Refusal::InvalidDates`] for days that the calendar of `time_zone` cannot place.
    pub fn bounds(&self, time_zone: &TimeZone) -> Result<(Timestamp, Timestamp), Refusal> {
        let start = |day: Date| {
            let start = day.to_zoned_datetime(time_zone.clone());
            start.map(|it| Timestamp::from_ms(it.timestamp().as_millisecond()))
        };
        let from = start(self.from).map_err(|_| Refusal::InvalidDates)?;
        // The calendar's last day is a usual way to say that there is no end.
        let after = self.to.tomorrow().ok().and_then(|it| start(it).ok());
        let last = Timestamp::from_ms(jiff::Timestamp::MAX.as_millisecond());
        let until = after.unwrap_or(last);
        Ok((from, until))
    }
}

/// The cursor that a call carries; none when the call asks a new question.
#[must_use]
pub fn cursor_of(query: &str, body: &[u8]) -> Option<String> {
    if let Some(cursor) = url::value(query, "cursor", Plus::Plus) {
        return Some(cursor.into_owned());
    }
    let value = parse(json::text(body).ok()?).ok()?;
    let mut cursor = None;
    value.members(|key, value| {
        if key.decode().is_some_and(|key| key == "cursor") {
            cursor = value.string();
        }
    });
    cursor.map(Cow::into_owned)
}

/// Decodes a new question, from the body or, when that says nothing, from `query`.
///
/// # Errors
/// [`Refusal::Malformed`] when it is not JSON, lacks the event, a date or a usable condition;
/// [`Refusal::InvalidDates`] when a date is not `YYYYMMDD` or the first is after the last.
pub fn decode(query: &str, body: &[u8]) -> Result<Export, Refusal> {
    let text = text_of(query, body)?;
    let value = parse(&text)?;
    let mut fields = Fields::default();
    value.members(|key, value| fields.take(&key.decode().unwrap_or_default(), value));
    if value.kind != Kind::Object || value.facts.key_twice || fields.unusable {
        return Err(Refusal::Malformed);
    }
    let event_name = fields
        .event_name
        .and_then(|it| it.string())
        .ok_or(Refusal::Malformed)?;
    if event_name.is_empty() || event_name.chars().count() > limit::EVENT_NAME_CHARS_MAX {
        return Err(Refusal::Malformed);
    }
    let from = date(fields.from.ok_or(Refusal::Malformed)?)?;
    let to = date(fields.to.ok_or(Refusal::Malformed)?)?;
    if from > to {
        return Err(Refusal::InvalidDates);
    }
    let filters = filter::decode(&fields.filters)?;
    let flag = |key| {
        // Python writes `False`.
        let value = url::value(query, key, Plus::Space);
        value.is_none_or(|it| !it.eq_ignore_ascii_case("false"))
    };
    Ok(Export {
        event_name: event_name.into_owned(),
        from,
        to,
        filters,
        batch_size: batch_size(query)?,
        with: With {
            app: flag("app"),
            events: flag("events"),
            profile: flag("profile"),
        },
    })
}

/// As [`decode`], of a question that is answered by records and not by numbers.
///
/// # Errors
/// As [`decode`]; [`Refusal::ExportNotAllowed`] for events about notifications.
pub fn decode_for_records(query: &str, body: &[u8]) -> Result<Export, Refusal> {
    let export = decode(query, body)?;
    if export.event_name.starts_with("Notification") {
        return Err(Refusal::ExportNotAllowed);
    }
    Ok(export)
}

/// The lists of conditions in `common_profile_properties`. They may stand beside it, too.
const COMMON_LISTS: [&str; 6] = [
    "profile_fields",
    "demographics",
    "app_fields",
    "technographics",
    "geo_fields",
    "reachability",
];

#[derive(Debug, Default)]
struct Fields<'a> {
    event_name: Option<Value<'a>>,
    from: Option<Value<'a>>,
    to: Option<Value<'a>>,
    /// Lists of conditions.
    filters: Vec<(PropertyKind, Value<'a>)>,
    /// A condition that we do not know: ignoring it would give out more than was asked for.
    unusable: bool,
}

impl<'a> Fields<'a> {
    fn take(&mut self, key: &str, value: Value<'a>) {
        match key {
            "event_name" => self.event_name = Some(value),
            "from" => self.from = Some(value),
            "to" => self.to = Some(value),
            // The older name of the two is what the vendor's own client still shows.
            "event_properties" | "props" if value.kind != Kind::Null => {
                let is_event = |(kind, _): &(PropertyKind, _)| *kind == PropertyKind::Event;
                self.unusable |= self.filters.iter().any(is_event);
                self.filters.push((PropertyKind::Event, value));
            }
            "session_properties" => self.take_list(key, value),
            _ if COMMON_LISTS.contains(&key) => self.take_list(key, value),
            "common_profile_properties" if value.kind == Kind::Object => {
                value.members(|key, list| match key.decode() {
                    Some(key) if COMMON_LISTS.contains(&&*key) => self.take_list(&key, list),
                    _ => self.unusable |= !is_void(&list),
                });
            }
            "common_profile_properties" | "advanced_query" => self.unusable |= !is_void(&value),
            _ => {}
        }
    }

    /// A list of conditions on properties of the kind that is called so.
    fn take_list(&mut self, name: &str, list: Value<'a>) {
        if is_void(&list) {
            return;
        }
        match PropertyKind::from_name(name) {
            Some(kind) => self.filters.push((kind, list)),
            None => self.unusable = true,
        }
    }
}

/// Whether a condition asks for nothing: null, an empty list, or an object of such.
fn is_void(value: &Value<'_>) -> bool {
    match value.kind {
        Kind::Null => true,
        Kind::Array => value.facts.members == 0,
        Kind::Object => {
            let mut all = true;
            value.members(|_, member| all &= is_void(&member));
            all
        }
        Kind::String | Kind::Number | Kind::Bool => false,
    }
}

fn parse(text: &str) -> Result<Value<'_>, Refusal> {
    Scanner::whole(text).map_err(|_| Refusal::Malformed)
}

/// The text of a question: the body or, when that says nothing, `query` of the query string.
pub(super) fn text_of<'a>(query: &'a str, body: &'a [u8]) -> Result<Cow<'a, str>, Refusal> {
    let body = json::text(body).map_err(|_| Refusal::Malformed)?;
    if says_nothing(body.trim_ascii()) {
        return Ok(url::value(query, "query", Plus::Space).unwrap_or_default());
    }
    Ok(Cow::Borrowed(body))
}

/// Whether a body is none. Clients that always send one send an object without members, or null.
fn says_nothing(body: &str) -> bool {
    let members = body.strip_prefix('{').and_then(|it| it.strip_suffix('}'));
    matches!(body, "" | "null") || members.is_some_and(|it| it.trim_ascii().is_empty())
}

/// A day as a number or digits: `YYYYMMDD`.
fn date(value: Value<'_>) -> Result<Date, Refusal> {
    let digits = match value.kind {
        Kind::Number => value.text.into(),
        Kind::String => value.string().ok_or(Refusal::InvalidDates)?,
        Kind::Object | Kind::Array | Kind::Bool | Kind::Null => return Err(Refusal::InvalidDates),
    };
    if digits.len() != 8 || !digits.bytes().all(|it| it.is_ascii_digit()) {
        return Err(Refusal::InvalidDates);
    }
    let part = |range: std::ops::Range<usize>| digits.get(range).unwrap_or_default();
    let year = part(0..4).parse().map_err(|_| Refusal::InvalidDates)?;
    let month = part(4..6).parse().map_err(|_| Refusal::InvalidDates)?;
    let day = part(6..8).parse().map_err(|_| Refusal::InvalidDates)?;
    Date::new(year, month, day).map_err(|_| Refusal::InvalidDates)
}

/// Clamped, since clients ask for more than there may be.
fn batch_size(query: &str) -> Result<u16, Refusal> {
    let text = url::value(query, "batch_size", Plus::Space);
    let Some(text) = text.filter(|it| !it.is_empty()) else {
        return Ok(BATCH_SIZE_DEFAULT);
    };
    let text = text.trim();
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let size = number::whole(digits).ok_or(Refusal::Malformed)?;
    if text.starts_with('-') {
        return Ok(1);
    }
    // What is no number of this size is a larger one.
    let size = size.parse().unwrap_or(BATCH_SIZE_MAX);
    Ok(size.clamp(1, BATCH_SIZE_MAX))
}
