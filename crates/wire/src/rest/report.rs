//! `POST /1/counts/top.json` and `/1/counts/trends.json`: what is asked, and how it is answered.
//!
//! Both ask about events as [`super::export`] does, and for groups under names of the caller's own.

use jiff::civil::{Date, Weekday};
use std::borrow::Cow;
use std::collections::BTreeMap;

use super::Refusal;
use super::export::{self, Export, PropertyKind};
use super::number;
use crate::json::{Kind, Scanner, Value};

/// Groups of one question.
const GROUPS_MAX: usize = 5;
/// Values of one group.
const TOP_MAX: u16 = 100;
const TOP_DEFAULT: u16 = 10;
/// The longest range of days that is followed over time: the year of the vendor's own example, 2016-12-24
/// to 2017-12-25, with the day that it has more.
const TREND_DAYS_MAX: i32 = 367;

/// One group: the most frequent values of a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopGroup {
    /// The caller's name for it.
    pub key: String,
    /// What it looks at.
    pub kind: PropertyKind,
    /// The property.
    pub name: String,
    /// How many values of each type: 1 to 100.
    pub most: u16,
    /// Whether the rarest come first.
    pub ascending: bool,
}

/// How long a stretch of time is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// A day.
    Daily,
    /// From Monday to Sunday.
    Weekly,
    /// A month of the calendar.
    Monthly,
}

/// What is asked of `/1/counts/trends.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trends {
    /// Which events.
    pub events: Export,
    /// The groups: the caller's name, and the period.
    pub groups: Vec<(String, Period)>,
    /// Whether people are counted, and not events.
    pub unique: bool,
    /// The property that is summed, if one is.
    pub sum_of: Option<String>,
}

/// Decodes a question for the most frequent values.
///
/// # Errors
/// As [`export::decode`]; [`Refusal::InvalidGroup`] for a group that is not one.
pub fn decode_top(query: &str, body: &[u8]) -> Result<(Export, Vec<TopGroup>), Refusal> {
    let events = export::decode(query, body)?;
    let text = export::text_of(query, body)?;
    let value = Scanner::whole(&text).map_err(|_| Refusal::Malformed)?;
    let groups = groups(&value, |key, group| {
        let kind = PropertyKind::from_name(&text_of(group, "property_type")?)?;
        let most = match member(group, "top_n") {
            Some(value) => number::whole(value.text.trim_matches('"'))?.parse().ok()?,
            None => TOP_DEFAULT,
        };
        let ascending = match member(group, "order") {
            Some(order) => is_ascending(&order.string()?)?,
            None => false,
        };
        let name = text_of(group, "name").filter(|it| !it.is_empty())?;
        (1..=TOP_MAX).contains(&most).then_some(TopGroup {
            key,
            kind,
            name,
            most,
            ascending,
        })
    })?;
    Ok((events, groups))
}

/// Decodes a question for a development over time.
///
/// # Errors
/// As [`export::decode`]; [`Refusal::InvalidGroup`] for a group that is not one;
/// [`Refusal::InvalidDates`] for more than a year; [`Refusal::Malformed`] also for a `unique` that is
/// neither true nor false.
pub fn decode_trends(query: &str, body: &[u8]) -> Result<Trends, Refusal> {
    let events = export::decode(query, body)?;
    let text = export::text_of(query, body)?;
    let value = Scanner::whole(&text).map_err(|_| Refusal::Malformed)?;
    let days = events.from.until(events.to).map(|it| it.get_days());
    if days.is_ok_and(|days| days >= TREND_DAYS_MAX) {
        return Err(Refusal::InvalidDates);
    }
    let groups = groups(&value, |key, group| {
        let period = match text_of(group, "trend_type")?.to_lowercase().as_str() {
            "daily" => Period::Daily,
            "weekly" => Period::Weekly,
            "monthly" => Period::Monthly,
            _ => return None,
        };
        Some((key, period))
    })?;
    let unique = match member(&value, "unique") {
        Some(unique) => truth(&unique).ok_or(Refusal::Malformed)?,
        None => false,
    };
    let sum_of = text_of(&value, "sum_event_prop").filter(|it| !it.is_empty());
    if unique && sum_of.is_some() {
        return Err(Refusal::Malformed);
    }
    Ok(Trends {
        events,
        groups,
        unique,
        sum_of,
    })
}

impl Period {
    /// The first days of its stretches from `from` to `to`. The first one begins with `from`.
    #[must_use]
    pub fn starts(self, from: Date, to: Date) -> Vec<Date> {
        let mut starts = vec![from];
        let mut day = from;
        while let Ok(next) = day.tomorrow() {
            if next > to {
                break;
            }
            let begins = match self {
                Self::Daily => true,
                Self::Weekly => next.weekday() == Weekday::Monday,
                Self::Monthly => next.day() == 1,
            };
            if begins {
                starts.push(next);
            }
            day = next;
        }
        starts
    }
}

/// The most frequent values of a group: a type's name, and its values in order.
pub type TopValues = Vec<(&'static str, Vec<(Box<str>, u64)>)>;

/// The answer: under each group's name its values by type.
#[must_use]
pub fn top(groups: &[(String, TopValues)]) -> String {
    let mut body = String::from("{");
    for (key, types) in groups {
        push_key(&mut body, key);
        body.push('{');
        for (place, (name, values)) in types.iter().enumerate() {
            if place > 0 {
                body.push(',');
            }
            body.push_str(&format!("\"{name}\":{{"));
            for (place, (value, count)) in values.iter().enumerate() {
                if place > 0 {
                    body.push(',');
                }
                body.push_str(&json_string(value));
                body.push_str(&format!(":{count}"));
            }
            body.push('}');
        }
        body.push_str("},");
    }
    body.push_str("\"status\":\"success\"}");
    body
}

/// The answer: under each group's name how much there was, by the first day of each stretch. A sum
/// beyond what a double holds is the largest that it does: JSON has no infinity.
#[must_use]
pub fn trends(groups: &[(String, BTreeMap<Date, f64>)]) -> String {
    let mut body = String::from("{");
    for (key, days) in groups {
        push_key(&mut body, key);
        body.push('{');
        for (place, (day, amount)) in days.iter().enumerate() {
            if place > 0 {
                body.push(',');
            }
            let amount = amount.clamp(f64::MIN, f64::MAX);
            body.push_str(&format!("\"{}\":{amount}", day.strftime("%Y%m%d")));
        }
        body.push_str("},");
    }
    body.push_str("\"status\":\"success\"}");
    body
}

fn push_key(body: &mut String, key: &str) {
    body.push_str(&json_string(key));
    body.push(':');
}

fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn groups<'a, T>(
    question: &Value<'a>,
    decode: impl Fn(String, &Value<'a>) -> Option<T>,
) -> Result<Vec<T>, Refusal> {
    let list = member(question, "groups").ok_or(Refusal::Malformed)?;
    if list.kind != Kind::Object || list.facts.key_twice {
        return Err(Refusal::Malformed);
    }
    let mut groups = Vec::new();
    list.members(|key, group| {
        let key = key
            .decode()
            .filter(|key| !matches!(&**key, "status" | "req_id"));
        groups.push(key.and_then(|key| decode(key.into_owned(), &group)));
    });
    if groups.is_empty() || groups.len() > GROUPS_MAX {
        return Err(Refusal::InvalidGroup);
    }
    groups
        .into_iter()
        .map(|group| group.ok_or(Refusal::InvalidGroup))
        .collect()
}

/// `true` or `false`, in any case and also as a text.
fn truth(value: &Value<'_>) -> Option<bool> {
    let text = match value.kind {
        Kind::Bool => Cow::Borrowed(value.text),
        Kind::String => value.string()?,
        Kind::Object | Kind::Array | Kind::Number | Kind::Null => return None,
    };
    text.to_ascii_lowercase().parse().ok()
}

fn is_ascending(order: &str) -> Option<bool> {
    match order.to_ascii_lowercase().as_str() {
        "asc" | "ascending" => Some(true),
        "desc" | "descending" => Some(false),
        _ => None,
    }
}

fn member<'a>(object: &Value<'a>, name: &str) -> Option<Value<'a>> {
    let mut found = None;
    object.members(|key, value| {
        if value.kind != Kind::Null && key.decode().is_some_and(|key| key == name) {
            found = Some(value);
        }
    });
    found
}

fn text_of(object: &Value<'_>, name: &str) -> Option<String> {
    member(object, name)?.string().map(|it| it.into_owned())
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::trends;

    #[test]
    fn amounts_are_json_however_large() {
        let check = |amount: f64, expect: &str| {
            let days = [(date(2026, 9, 21), amount)].into();
            let body = trends(&[("k".to_owned(), days)]);
            assert_eq!(
                body,
                format!("{{\"k\":{{\"20260921\":{expect}}},\"status\":\"success\"}}")
            );
        };
        check(0.0, "0");
        check(16.5, "16.5");
        check(f64::INFINITY, &f64::MAX.to_string());
        check(f64::NEG_INFINITY, &f64::MIN.to_string());
    }
}
