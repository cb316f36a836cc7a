//! What `/1/events.json` and `/1/profiles.json` share: the question, its cursor, its pages.
//!
//! Nothing is kept for a cursor: it carries the question and the position, authenticated. A page is
//! computed first, then its audit entry is made durable, then it goes out.

use collect::Call;
use control::Action;
use model::limit::PAGE_BYTES_MAX;
use model::{Day, PersonKey, RawJson, RecordId, Timestamp};
use query::{EventsQuery, Operator, PeoplePosition, ProfileParts, PropertyFilter, ReadPolicy};
use std::collections::BTreeSet;
use wire::rest::cursor::{Cursor, CursorKind, Position};
use wire::rest::export::{self, Export, Filter, FilterValue, Operator as Asked, PropertyKind};
use wire::rest::{Refusal, answers};

use super::{audit, people, policy};
use crate::{Result, State};

/// A cursor for a new question, or the page of the cursor that is brought.
pub(super) async fn answer(state: &State, call: &Call, kind: CursorKind) -> Result<String> {
    let (key, now) = (state.cursor_key().expose(), state.clock().now());
    let account = call.caller.account();
    if let Some(text) = export::cursor_of(&call.query, call.bytes()) {
        let cursor = Cursor::open(key, kind, account, now, &text)?;
        return match kind {
            CursorKind::Events => events(state, call, cursor).await,
            CursorKind::Profiles => profiles(state, call, cursor).await,
        };
    }
    let question = export::decode_for_records(&call.query, call.bytes())?;
    // What cannot be answered is said now, not with the first page.
    read_as(call, &question, None)?;
    Ok(answers::cursor(
        &Cursor::new(kind, account, question, now).seal(key),
    ))
}

async fn events(state: &State, call: &Call, cursor: Cursor) -> Result<String> {
    let (policy, query) = read_as(call, &cursor.export, Some(cursor.cut_off))?;
    let parts = ProfileParts {
        profile: true,
        events: cursor.export.with.events,
    };
    let after = Some(position(&cursor));
    let limit = usize::from(cursor.export.batch_size);
    let page = state
        .engine()
        .events_page(&policy, &query, parts, after, limit)
        .await?;

    let (with, time_zone) = (cursor.export.with, call.caller.rules.time_zone.clone());
    let more = page.next.is_some();
    let (rows, records) = tokio::task::spawn_blocking(move || {
        let records = fitting(&page.records, |row| people::event(row, with, &time_zone));
        (page.records, records)
    })
    .await?;
    let shown = rows.get(..records.len()).unwrap_or_default();
    let people: BTreeSet<_> = shown.iter().map(|row| row.person.key).collect();
    let about = about(
        &cursor.export,
        format_args!("{} records of {} people", shown.len(), people.len()),
    );
    audit(state, call, Action::EventsRead, "events", &about).await?;

    let last = shown.last().filter(|_| more || shown.len() < rows.len());
    let next = last.map(|last| Position {
        day: last.ts.day(),
        person: last.key,
        ts: last.ts,
        record: last.record,
    });
    let next = next.map(|next| seal(state, &cursor, next));
    Ok(answers::page(&records, next.as_deref()))
}

async fn profiles(state: &State, call: &Call, cursor: Cursor) -> Result<String> {
    let (policy, query) = read_as(call, &cursor.export, Some(cursor.cut_off))?;
    let parts = ProfileParts {
        profile: true,
        events: cursor.export.with.events,
    };
    // The first page begins before everybody, with the question's own cut-off, as that of events does.
    let after = Some(PeoplePosition {
        person: cursor.after.map_or(PersonKey([0; 16]), |it| it.person),
        cut_off: cursor.cut_off,
    });
    let limit = usize::from(cursor.export.batch_size);
    let page = state
        .engine()
        .people_page(&policy, &query, parts, after, limit)
        .await?;

    let with = cursor.export.with;
    let more = page.next.is_some();
    let (people, records) = tokio::task::spawn_blocking(move || {
        let records = fitting(&page.people, |view| people::person(view, with));
        (page.people, records)
    })
    .await?;
    let shown = people.get(..records.len()).unwrap_or_default();
    let about = about(&cursor.export, format_args!("{} people", shown.len()));
    audit(state, call, Action::PeopleRead, "people", &about).await?;

    let last = shown.last().filter(|_| more || shown.len() < people.len());
    let next = last.and_then(|last| last.key).map(|person| Position {
        day: Day(0),
        person,
        ts: Timestamp::from_ms(0),
        record: RecordId([0; 16]),
    });
    let next = next.map(|next| seal(state, &cursor, next));
    Ok(answers::page(&records, next.as_deref()))
}

/// The first of `rows` as records: as many as fit on a page, and one at least. Events were read as far as
/// they fit, and what is shown of their people counts as well. Fewer records than were asked for are no
/// harm, clients follow the cursor.
fn fitting<T>(rows: &[T], show: impl Fn(&T) -> String) -> Vec<String> {
    let (mut records, mut bytes) = (Vec::new(), 0_usize);
    for record in rows.iter().map(show) {
        bytes = bytes.saturating_add(record.len());
        if bytes > PAGE_BYTES_MAX && !records.is_empty() {
            break;
        }
        records.push(record);
    }
    records
}

fn seal(state: &State, cursor: &Cursor, after: Position) -> String {
    cursor
        .next(after, state.clock().now())
        .seal(state.cursor_key().expose())
}

/// Where the page begins. The first one begins before every record, with the question's own
/// cut-off, so that asking twice gives the same page.
fn position(cursor: &Cursor) -> query::Position {
    let cut_off = cursor.cut_off;
    match cursor.after {
        Some(Position {
            day,
            person,
            ts,
            record,
        }) => query::Position {
            day,
            person,
            ts,
            record,
            cut_off,
        },
        None => query::Position {
            day: Day(i32::MIN),
            person: PersonKey([0; 16]),
            ts: Timestamp::from_ms(i64::MIN),
            record: RecordId([0; 16]),
            cut_off,
        },
    }
}

/// The question in the reading side's terms: about whom, by what was received until `cut_off`, and about
/// which events.
pub(super) fn read_as(
    call: &Call,
    question: &Export,
    cut_off: Option<Timestamp>,
) -> Result<(ReadPolicy, EventsQuery)> {
    let (from, to) = question.bounds(&call.caller.rules.time_zone)?;
    let filters = |kind: PropertyKind| {
        let filters = question.filters.iter().filter(|it| it.kind == kind);
        filters.map(filter).collect::<Result<Vec<_>>>()
    };
    let query = EventsQuery {
        event: Some(question.event_name.clone()),
        from,
        to,
        filters: filters(PropertyKind::Event)?,
        context: filters(PropertyKind::Context)?,
    };
    let policy = policy(call).asking(filters(PropertyKind::Person)?, cut_off)?;
    Ok((policy, query))
}

fn filter(asked: &Filter) -> Result<PropertyFilter> {
    let operator = match asked.operator {
        Asked::Equals => Operator::Equals,
        Asked::NotEquals => Operator::NotEquals,
        Asked::Contains => Operator::Contains,
        Asked::GreaterThan => Operator::GreaterThan,
        Asked::GreaterThanEquals => Operator::GreaterOrEqual,
        Asked::LessThan => Operator::LessThan,
        Asked::LessThanEquals => Operator::LessOrEqual,
        Asked::NotContains => Operator::NotContains,
        Asked::Exists => Operator::Exists,
        Asked::NotExists => Operator::NotExists,
    };
    let value = match &asked.value {
        Some(value) => json(value)?,
        None if matches!(asked.operator, Asked::Exists | Asked::NotExists) => {
            RawJson::parse("null").map_err(|_| Refusal::Malformed)?
        }
        None => return Err(Refusal::Malformed.into()),
    };
    Ok(PropertyFilter {
        name: asked.name.clone(),
        operator,
        value,
    })
}

/// What a property is compared with, as JSON.
fn json(value: &FilterValue) -> Result<RawJson> {
    let json = match value {
        FilterValue::Text(text) => RawJson::of(text),
        FilterValue::Number(number) => RawJson::parse(number),
        FilterValue::Bool(value) => RawJson::of(value),
        FilterValue::AnyOf(values) => {
            let values = values.iter().map(json).collect::<Result<Vec<_>>>()?;
            let texts: Vec<&str> = values.iter().map(RawJson::as_str).collect();
            RawJson::parse(&format!("[{}]", texts.join(",")))
        }
    };
    json.map_err(|_| Refusal::Malformed.into())
}

/// What was read, for the audit log: never a value that was asked for, it may be a person's.
pub(super) fn about(question: &Export, found: std::fmt::Arguments<'_>) -> String {
    let Export {
        event_name,
        from,
        to,
        filters,
        ..
    } = question;
    let filters = match filters.len() {
        0 => String::new(),
        1 => String::from(" under 1 condition"),
        more => format!(" under {more} conditions"),
    };
    format!("`{event_name}` from {from} to {to}{filters}: {found}")
}

#[cfg(test)]
mod tests {
    use super::fitting;
    use model::limit::PAGE_BYTES_MAX;

    #[test]
    fn a_page_has_as_many_records_as_fit_and_one_at_least() {
        let shown = |sizes: &[usize]| fitting(sizes, |size| "x".repeat(*size)).len();
        assert_eq!(shown(&[]), 0);
        assert_eq!(shown(&[PAGE_BYTES_MAX + 1, 1]), 1);
        assert_eq!(shown(&[PAGE_BYTES_MAX - 1, 1, 1]), 2);
        assert_eq!(shown(&[1, PAGE_BYTES_MAX, 1]), 1);
        assert_eq!(shown(&[5, 5, 5]), 3);
    }
}
