//! `GET /a/{account}/dictionary/event?name=…`: one event: how often it happens, with which
//! properties, and what the account says of it.

use askama::Template;
use axum::extract::State as Of;
use axum::response::Response;
use control::{Act, PropertyView};
use governance::PropertyOf;
use model::submission::is_system_event;
use query::{EventsQuery, LatestPage, ReadPolicy};
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};

use super::{class, done, href, status};
use crate::console::counts::events_over_time;
use crate::console::overview::times;
use crate::console::period::Period;
use crate::console::staff::Staff;
use crate::console::view::{
    Answer, Asked, Badge, Chart, Column, Fields, Heads, Mark, Moment, Section, Series, Sheet,
    Shell, answer, count, file, html, link, plural, share,
};
use crate::{Error, Result, State};

/// Events whose properties are looked at.
const LOOKED_AT: usize = 200;

/// The columns of the properties.
const COLUMNS: &[Column<Property>] = &[
    Column::new("property", "Property", |it: &Property, _| it.name.clone())
        .by(|a, b| a.name.cmp(&b.name)),
    Column::new("types", "Types", |it: &Property, _| match it.is_masked {
        true => String::from("masked"),
        false => it.types.clone(),
    })
    .by(|a, b| a.types.cmp(&b.types)),
    Column::new("present", "Present", |it: &Property, _| it.share.clone())
        .most(|a, b| a.number.cmp(&b.number))
        .number(),
    Column::new("defined", "Defined", |it: &Property, _| {
        it.said.clone().unwrap_or_default()
    })
    .by(|a, b| a.said.cmp(&b.said)),
    Column::new("class", "Class", |it: &Property, _| {
        it.class.unwrap_or("none").to_owned()
    })
    .by(|a, b| a.class.cmp(&b.class)),
];

/// The page, or its table as a file.
pub(crate) async fn get(staff: Staff, Of(state): Of<State>, Asked(asked): Asked) -> Response {
    answer(&staff, show(&staff, &state, &asked).await)
}

#[derive(Debug, Template)]
#[template(path = "dictionary_event.html")]
struct Event {
    shell: Shell,
    path: String,
    name: String,
    badge: Badge,
    status: &'static str,
    is_system: bool,
    may_change: bool,
    number: String,
    seen: Option<(Moment, Moment)>,
    chart: Chart,
    /// The newest of them, among which properties were looked for.
    looked_at: String,
    properties: Vec<Property>,
    heads: Heads,
    csv: String,
    trends: String,
}

#[derive(Debug, Default)]
struct Property {
    name: String,
    number: u64,
    share: String,
    types: String,
    /// What is said of it: its type, and whether it must be there.
    said: Option<String>,
    href: String,
    class: Option<&'static str>,
    is_masked: bool,
}

async fn show(staff: &Staff, state: &State, asked: &Fields) -> Answer {
    let policy = staff.policy().ok_or(Error::Absent)?;
    let name = asked.some("name").ok_or(Error::Absent)?;
    let times = times(staff, state);
    let base = format!("/a/{}", staff.account());
    let said = state.control().dictionary(staff.actor(), staff.account());
    let said = said.await?;
    let view = said.events.iter().find(|it| it.name == name);
    let names = state.engine().event_names(&policy).await?;
    let stats = names.get(name);
    if view.is_none() && stats.is_none() {
        return Err(Error::Absent);
    }
    let period = Period::asked(&times, &Fields::default(), 30);
    let query = period.query(Some(name));
    let found = events_over_time(state, &policy, &query, &period);
    let drawn = [Series::new("Events", 0, found.await?)];
    let kinds = kinds(staff, state, name).await?;
    let latest = latest(state, &policy, name).await?;
    let known = view.map(|it| it.properties.as_slice()).unwrap_or_default();
    let at = format!("{base}/dictionary/event");
    let sheet = Sheet::new(asked, &at);
    let mut properties = properties(staff, &latest, known, &kinds, &policy);
    let heads = sheet.sort(COLUMNS, Some(("present", true)), &mut properties);
    if sheet.is_file() {
        return Ok(file(COLUMNS, &properties, &times, "event.csv"));
    }
    let (status, badge) = status(name, view.map(|it| it.status));
    html(&Event {
        shell: Shell::new(staff, Section::Dictionary, name)
            .under("Dictionary", format!("{base}/dictionary"))
            .done(done(asked)),
        path: format!("{base}/dictionary"),
        badge,
        status,
        is_system: is_system_event(name),
        may_change: staff.may(Act::ManageDictionary),
        number: plural(stats.map_or(0, |it| it.count), "event"),
        seen: stats.map(|it| (times.on(it.first_seen), times.ago(it.last_seen))),
        chart: Chart::new(
            "month",
            "The last 30 days",
            Mark::Block,
            &period.slots,
            &drawn,
        )
        .low(),
        looked_at: plural(
            u64::try_from(latest.records.len()).unwrap_or(u64::MAX),
            "event",
        ),
        properties,
        heads,
        csv: sheet.csv(),
        trends: link(&format!("{base}/events"), &[("event", name)]),
        name: name.to_owned(),
    })
}

/// The latest events: their properties' names and types are looked at, no value is shown.
async fn latest(state: &State, policy: &ReadPolicy, name: &str) -> Result<LatestPage> {
    let query = EventsQuery {
        event: Some(name.to_owned()),
        ..EventsQuery::default()
    };
    let engine = state.engine();
    Ok(engine
        .latest_events(policy, &query, None, None, LOOKED_AT)
        .await?)
}

/// How often each property of the event had which kind of value, as far as records are in parts.
async fn kinds(
    staff: &Staff,
    state: &State,
    event: &str,
) -> Result<BTreeMap<String, BTreeMap<&'static str, u64>>> {
    let names = state
        .control()
        .names_in_use(staff.actor(), staff.account(), &[]);
    let names = names.await?.into_iter();
    // They count everybody's records: whoever sees some people only sees what these have.
    let sees_all = staff.policy().is_some_and(|it| !it.is_limited());
    let names = names.filter(|_| sees_all);
    let own = names.filter(|it| it.event.as_deref() == Some(event));
    let kinds = own.filter_map(|it| Some((it.property?, it.kinds)));
    Ok(kinds.collect())
}

/// The properties of the latest events, of those before, and those that are said: names and types,
/// no value.
fn properties(
    staff: &Staff,
    latest: &LatestPage,
    known: &[PropertyView],
    kinds: &BTreeMap<String, BTreeMap<&'static str, u64>>,
    policy: &ReadPolicy,
) -> Vec<Property> {
    let mut found: BTreeMap<String, (u64, BTreeSet<&'static str>)> = BTreeMap::new();
    let named = known.iter().map(|it| &it.name);
    for name in named.chain(kinds.keys()) {
        found.entry(name.clone()).or_default();
    }
    for row in &latest.records {
        let members = serde_json::from_str::<BTreeMap<String, &RawValue>>(row.properties.as_str());
        for (name, value) in members.unwrap_or_default() {
            let types = found.entry(name).or_default();
            types.0 += 1;
            types.1.insert(kind(value.get()));
        }
    }
    let all = u64::try_from(latest.records.len()).unwrap_or(u64::MAX);
    let line = |(name, (number, types)): (String, (u64, BTreeSet<&str>))| Property {
        said: known.iter().find(|it| it.name == name).map(words),
        href: href(staff, PropertyOf::Event, &name),
        class: class(staff, PropertyOf::Event, &name),
        is_masked: policy.masks_event(&name),
        types: match policy.masks_event(&name) {
            true => String::new(),
            false => match kinds.get(&name) {
                Some(kinds) => counted(kinds),
                None => types.into_iter().collect::<Vec<_>>().join(", "),
            },
        },
        share: share(number, all),
        number,
        name,
    };
    let mut lines: Vec<Property> = found.into_iter().map(line).collect();
    lines.sort_by_key(|it| std::cmp::Reverse(it.number));
    lines
}

/// `number, mandatory`.
fn words(said: &PropertyView) -> String {
    let must = if said.is_mandatory { ", mandatory" } else { "" };
    format!("{}{must}", said.kind.unwrap_or("any"))
}

/// `text 1,204, integer 3`.
fn counted(kinds: &BTreeMap<&'static str, u64>) -> String {
    let kinds = kinds
        .iter()
        .map(|(kind, number)| format!("{kind} {}", count(*number)));
    kinds.collect::<Vec<_>>().join(", ")
}

fn kind(value: &str) -> &'static str {
    match value.as_bytes().first() {
        Some(b'"') => "text",
        Some(b't' | b'f') => "boolean",
        Some(b'-' | b'0'..=b'9') => "number",
        Some(b'[') => "list",
        Some(b'{') => "object",
        Some(_) | None => "nothing",
    }
}
