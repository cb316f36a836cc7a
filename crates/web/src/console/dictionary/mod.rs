//! `/a/{account}/dictionary`: the events and properties that an account has, what it says of them,
//! and what becomes of others.

pub(crate) mod event;

use askama::Template;
use axum::extract::State as Of;
use axum::response::Response;
use control::{Act, DictionaryChange, DictionaryView};
use governance::access::CLASSIFIED_PROPERTIES;
use governance::{UndefinedEvents, UndefinedProperties};
use model::submission::is_system_event;
use query::EventStats;
use std::collections::{BTreeMap, BTreeSet};

use super::overview::times;
use super::staff::Staff;
use super::view::{
    Answer, Asked, Badge, Csv, Fields, Moment, Pager, Posted, Section, Shell, Times, Tone, answer,
    count, html, link, plural, see_other, unusable,
};
use crate::{Error, State};

/// Events on a page.
const PAGE: usize = 100;

/// The page, or its table as a file.
pub(crate) async fn get(staff: Staff, Of(state): Of<State>, Asked(asked): Asked) -> Response {
    answer(&staff, Box::pin(show(&staff, &state, &asked, None)).await)
}

/// A change.
pub(crate) async fn post(staff: Staff, Of(state): Of<State>, Posted(fields): Posted) -> Response {
    answer(&staff, Box::pin(change(&staff, &state, &fields)).await)
}

#[derive(Debug, Template)]
#[template(path = "dictionary.html")]
struct Dictionary {
    shell: Shell,
    path: String,
    asked: Form,
    may_change: bool,
    undefined_events: &'static str,
    undefined_properties: &'static str,
    events: Vec<EventLine>,
    pager: Pager,
    is_new: bool,
    properties: Vec<PropertyLine>,
    csv: String,
}

#[derive(Debug)]
struct Form {
    q: String,
    status: String,
    by_name: String,
    by_count: String,
    by_last: String,
}

#[derive(Debug, Clone)]
struct EventLine {
    name: String,
    href: String,
    status: &'static str,
    badge: Badge,
    number: u64,
    shown_number: String,
    last_ms: i64,
    last: Option<Moment>,
    properties: usize,
}

#[derive(Debug)]
struct PropertyLine {
    name: String,
    of: &'static str,
    types: String,
    is_personal: bool,
    is_masked: bool,
}

impl Dictionary {
    /// Ways to decide on events that are not known.
    const fn event_policies(&self) -> [(&'static str, &'static str); 2] {
        [("accept", "are kept"), ("drop", "are refused")]
    }

    /// Ways to decide on properties that are not known.
    const fn property_policies(&self) -> [(&'static str, &'static str); 3] {
        [
            ("accept", "are kept"),
            ("drop_property", "are left out, the event is kept"),
            ("drop_event", "make the event be refused"),
        ]
    }
}

async fn show(staff: &Staff, state: &State, asked: &Fields, error: Option<String>) -> Answer {
    let policy = staff.policy().ok_or(Error::Absent)?;
    let times = times(staff, state);
    let path = format!("/a/{}/dictionary", staff.account());
    let said = state.control().dictionary(staff.actor(), staff.account());
    let engine = state.engine();
    let said = said.await?;
    let (seen, of_events, of_people) = tokio::try_join!(
        engine.event_names(&policy),
        engine.event_properties(&policy),
        engine.profile_properties(&policy)
    )?;
    let mut events = merge(&said, &seen, &path, &times);
    let total = events.len();
    let (q, status) = (asked.text("q").to_lowercase(), asked.text("status"));
    events.retain(|it| {
        it.name.to_lowercase().contains(&q) && (status.is_empty() || it.status == status)
    });
    match asked.text("sort") {
        "count" => events.sort_by_key(|it| std::cmp::Reverse(it.number)),
        "last" => events.sort_by_key(|it| std::cmp::Reverse(it.last_ms)),
        _ => {}
    }
    if asked.text("format") == "csv" {
        return Ok(file(&events, &times));
    }
    let from = asked.text("page").parse::<usize>().unwrap_or(0);
    let found = events.len();
    let shown: Vec<EventLine> = events.into_iter().skip(from).take(PAGE).collect();
    let next = from.saturating_add(PAGE);
    let pager = Pager {
        note: plural(u64::try_from(found).unwrap_or(u64::MAX), "event"),
        first: (from > 0).then(|| asked.link(&path, &["page", "done"], &[])),
        next: (next < found)
            .then(|| asked.link(&path, &["page", "done"], &[("page", &next.to_string())])),
    };
    let mut properties: Vec<PropertyLine> = of_events
        .iter()
        .map(|(name, types)| property(name, "events", &types.join(", "), &policy))
        .collect();
    let named = of_people.iter();
    properties.extend(named.map(|name| property(name, "people", "", &policy)));
    let sorted = |by: &str| asked.link(&path, &["sort", "page", "done"], &[("sort", by)]);
    let page = Dictionary {
        shell: Shell::new(staff, Section::Dictionary, "Dictionary")
            .done(done(asked))
            .error(error.clone()),
        asked: Form {
            q: asked.text("q").to_owned(),
            status: status.to_owned(),
            by_name: sorted(""),
            by_count: sorted("count"),
            by_last: sorted("last"),
        },
        may_change: staff.may(Act::ManageDictionary),
        undefined_events: said.undefined_events,
        undefined_properties: said.undefined_properties,
        events: shown,
        pager,
        is_new: total == 0,
        properties,
        csv: asked.link(&path, &["format", "page", "done"], &[("format", "csv")]),
        path,
    };
    match error {
        Some(_) => unusable(&page),
        None => html(&page),
    }
}

/// What was done, by the word of the URL.
pub(super) fn done(asked: &Fields) -> Option<&'static str> {
    match asked.text("done") {
        "defined" => Some("The event is known now."),
        "discarded" => Some("The event is discarded: what comes of it is refused from now on."),
        "forgotten" => Some("Nothing is said of the event any more."),
        "policy" => Some("The rules for what is not known were changed."),
        _ => None,
    }
}

/// Events that happened, and events of which something is said.
fn merge(
    said: &DictionaryView,
    seen: &BTreeMap<Box<str>, EventStats>,
    path: &str,
    times: &Times,
) -> Vec<EventLine> {
    let mut names: BTreeSet<&str> = seen.keys().map(|it| &**it).collect();
    names.extend(said.events.iter().map(|it| it.name.as_str()));
    let line = |name: &str| {
        let view = said.events.iter().find(|it| it.name == name);
        let stats = seen.get(name);
        let (status, badge) = status(name, view.map(|it| it.status));
        EventLine {
            href: link(&format!("{path}/event"), &[("name", name)]),
            name: name.to_owned(),
            status,
            badge,
            number: stats.map_or(0, |it| it.count),
            shown_number: count(stats.map_or(0, |it| it.count)),
            last_ms: stats.map_or(i64::MIN, |it| it.last_seen.ms()),
            last: stats.map(|it| times.ago(it.last_seen)),
            properties: view.map_or(0, |it| it.properties.len()),
        }
    };
    names.into_iter().map(line).collect()
}

/// What is said of an event, as a word and as it looks.
pub(super) fn status(name: &str, said: Option<&str>) -> (&'static str, Badge) {
    match said {
        Some("discarded") => ("discarded", Badge::new(Tone::Warn, "Discarded")),
        _ if is_system_event(name) => ("system", Badge::new(Tone::Plain, "System")),
        Some(_) => ("known", Badge::new(Tone::Ok, "Known")),
        None => ("seen", Badge::new(Tone::Info, "Seen")),
    }
}

fn property(name: &str, of: &'static str, types: &str, policy: &query::ReadPolicy) -> PropertyLine {
    PropertyLine {
        name: name.to_owned(),
        of,
        types: types.to_owned(),
        is_personal: CLASSIFIED_PROPERTIES.contains(&name),
        is_masked: policy.masks(name),
    }
}

fn file(events: &[EventLine], times: &Times) -> Response {
    let mut csv = Csv::new(&["event", "status", "events", "last_seen", "properties"]);
    for it in events {
        let last = match it.last {
            Some(_) => times.text(model::Timestamp::from_ms(it.last_ms), "%Y-%m-%d %H:%M:%S"),
            None => String::new(),
        };
        csv.line(&[
            &it.name,
            it.status,
            &it.number.to_string(),
            &last,
            &it.properties.to_string(),
        ]);
    }
    csv.file("dictionary.csv")
}

async fn change(staff: &Staff, state: &State, fields: &Fields) -> Answer {
    let event = fields.text("event").to_owned();
    let (changes, done) = match fields.text("act") {
        "define" => {
            let properties = fields.text("properties").split([',', '\n']);
            let properties = properties.map(str::trim).filter(|it| !it.is_empty());
            let properties = properties.map(str::to_owned).collect();
            let change = DictionaryChange::Define(event.clone(), properties);
            (vec![change], "defined")
        }
        "discard" => (vec![DictionaryChange::Discard(event.clone())], "discarded"),
        "forget" => (vec![DictionaryChange::Forget(event.clone())], "forgotten"),
        "policy" => {
            let events = match fields.text("events") {
                "drop" => UndefinedEvents::Drop,
                _ => UndefinedEvents::Accept,
            };
            let properties = match fields.text("properties") {
                "drop_property" => UndefinedProperties::DropProperty,
                "drop_event" => UndefinedProperties::DropEvent,
                _ => UndefinedProperties::Accept,
            };
            let changes = vec![
                DictionaryChange::Events(events),
                DictionaryChange::Properties(properties),
            ];
            (changes, "policy")
        }
        _ => return Err(Error::Absent),
    };
    for change in changes {
        let control = state.control();
        let changed = control.change_dictionary(staff.actor(), staff.account(), change);
        match changed.await.map_err(Error::from) {
            Ok(_) => {}
            Err(error) if error.kind() == model::ErrorKind::Invalid => {
                let words = Some(error.words());
                return Box::pin(show(staff, state, &Fields::default(), words)).await;
            }
            Err(error) => return Err(error),
        }
    }
    let path = format!("/a/{}/dictionary", staff.account());
    match done {
        "policy" | "forgotten" => see_other(&link(&path, &[("done", done)])),
        done => {
            let path = format!("{path}/event");
            see_other(&link(&path, &[("name", &event), ("done", done)]))
        }
    }
}
