//! `/a/{account}/dictionary`: the events and properties that an account has, what it says of them,
//! and what becomes of others.

mod declared;
pub(crate) mod event;
pub(crate) mod property;

use askama::Template;
use axum::extract::State as Of;
use axum::response::Response;
use control::{Act, DictionaryChange, DictionaryView, PolicyChange};
use governance::{Class, Declared, DeclaredKind, PropertyOf, Unfit, UnfitProperty};
use model::Timestamp;
use model::submission::is_system_event;
use query::EventStats;
use std::collections::{BTreeMap, BTreeSet};

use super::overview::times;
use super::staff::Staff;
use super::view::{
    Answer, Asked, Badge, Column, Fields, Heads, Moment, Pager, Posted, Section, Sheet, Shell,
    Times, Tone, answer, count, file, html, link, see_other, unusable,
};
use crate::{Error, State};

/// The table of properties, in the URL.
const PROPERTIES: &str = "properties";
/// The columns of the events.
const EVENTS: &[Column<EventLine>] = &[
    Column::new("event", "Event", |it: &EventLine, _| it.name.clone())
        .by(|a, b| a.name.cmp(&b.name)),
    Column::new("status", "Status", |it: &EventLine, _| it.status.to_owned())
        .by(|a, b| a.status.cmp(b.status)),
    Column::new("events", "Events", |it: &EventLine, _| {
        it.number.to_string()
    })
    .most(|a, b| a.number.cmp(&b.number))
    .number(),
    Column::new("last_seen", "Last seen", |it: &EventLine, times| {
        times.cell(it.last_seen)
    })
    .most(|a, b| a.last_seen.cmp(&b.last_seen)),
    Column::new("properties", "Defined properties", |it: &EventLine, _| {
        it.properties.to_string()
    })
    .most(|a, b| a.properties.cmp(&b.properties))
    .number(),
];
/// The columns of the properties.
const PROPERTY_COLUMNS: &[Column<PropertyLine>] = &[
    Column::new("property", "Property", |it: &PropertyLine, _| {
        it.name.clone()
    })
    .by(|a, b| a.name.cmp(&b.name)),
    Column::new("of", "Of", |it: &PropertyLine, _| it.of.to_owned()).by(|a, b| a.of.cmp(b.of)),
    Column::new("types", "Types", |it: &PropertyLine, _| it.types.clone())
        .by(|a, b| a.types.cmp(&b.types)),
    Column::new("class", "Class", |it: &PropertyLine, _| {
        it.class.unwrap_or("none").to_owned()
    })
    .by(|a, b| a.class.cmp(&b.class)),
    Column::new("shown_to_you", "Shown to you", |it: &PropertyLine, _| {
        shown_to_you(it.is_masked).to_owned()
    })
    .by(|a, b| a.is_masked.cmp(&b.is_masked)),
];

const fn shown_to_you(is_masked: bool) -> &'static str {
    if is_masked { "masked" } else { "yes" }
}

/// The page, or one of its tables as a file.
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
    rules: Vec<Rule>,
    events: Vec<EventLine>,
    heads: Heads,
    declared: declared::Table,
    pager: Pager,
    is_new: bool,
    properties: Vec<PropertyLine>,
    property_heads: Heads,
    property_pager: Pager,
    property_csv: String,
    /// Properties of people that there are.
    of_people: Vec<String>,
    csv: String,
}

#[derive(Debug)]
struct Form {
    q: String,
    status: String,
    property: String,
    of: String,
}

#[derive(Debug, Clone)]
struct EventLine {
    name: String,
    href: String,
    status: &'static str,
    badge: Badge,
    number: u64,
    shown_number: String,
    last_seen: Option<Timestamp>,
    last: Option<Moment>,
    properties: usize,
}

#[derive(Debug)]
struct PropertyLine {
    name: String,
    href: String,
    of: &'static str,
    types: String,
    /// None when it is no personal information.
    class: Option<&'static str>,
    is_masked: bool,
}

/// One rule on what does not fit, and the ways to decide.
#[derive(Debug)]
struct Rule {
    name: &'static str,
    label: &'static str,
    ways: &'static [(&'static str, &'static str)],
    now: &'static str,
}

const EVENT_WAYS: &[(&str, &str)] = &[("accept", "are kept"), ("drop", "are refused")];
const PROPERTY_WAYS: &[(&str, &str)] = &[
    ("accept", "are kept"),
    ("drop_property", "are left out, the event is kept"),
    ("drop_event", "make the event be refused"),
];
const PROFILE_WAYS: &[(&str, &str)] = &[("accept", "are kept"), ("drop", "are left out")];

/// The rules of an account.
fn rules(said: &DictionaryView) -> Vec<Rule> {
    let rule = |name, label, ways, now| Rule {
        name,
        label,
        ways,
        now,
    };
    vec![
        rule(
            "events",
            "Events that are not known",
            EVENT_WAYS,
            said.undefined_events,
        ),
        rule(
            "properties",
            "Properties that a known event was not defined with",
            PROPERTY_WAYS,
            said.undefined_properties,
        ),
        rule(
            "mismatches",
            "Properties with a value of another type than declared",
            PROPERTY_WAYS,
            said.mismatched_properties,
        ),
        rule(
            "profile",
            "Properties of people that are not known",
            PROFILE_WAYS,
            said.undefined_profile,
        ),
        rule(
            "profile_mismatches",
            "Properties of people with a value of another type than declared",
            PROFILE_WAYS,
            said.mismatched_profile,
        ),
    ]
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
    let sheet = Sheet::new(asked, &path);
    let heads = sheet.sort(EVENTS, Some(("event", false)), &mut events);
    if sheet.is_file() {
        return Ok(file(EVENTS, &events, &times, "dictionary.csv"));
    }
    let of_declared = sheet.named(declared::NAME);
    if of_declared.is_file() {
        let all = said.profile;
        return Ok(declared::as_file(all, &of_declared, asked, &times));
    }
    let (csv, (events, pager)) = (sheet.csv(), sheet.cut(events, "event"));
    let mut properties: Vec<PropertyLine> = of_events
        .iter()
        .map(|(name, types)| line(staff, PropertyOf::Event, name, &types.join(", ")))
        .collect();
    let named = of_people.iter();
    properties.extend(named.map(|name| line(staff, PropertyOf::Person, name, "")));
    let (wanted, of) = (asked.text("property").to_lowercase(), asked.text("of"));
    properties
        .retain(|it| it.name.to_lowercase().contains(&wanted) && (of.is_empty() || it.of == of));
    let sheet = sheet.named(PROPERTIES);
    let property_heads = sheet.sort(PROPERTY_COLUMNS, None, &mut properties);
    if sheet.is_file() {
        return Ok(file(
            PROPERTY_COLUMNS,
            &properties,
            &times,
            "properties.csv",
        ));
    }
    let (properties, property_pager) = sheet.cut(properties, "property");
    let page = Dictionary {
        shell: Shell::new(staff, Section::Dictionary, "Dictionary")
            .done(done(asked))
            .error(error.clone()),
        asked: Form {
            q: asked.text("q").to_owned(),
            status: status.to_owned(),
            property: asked.text("property").to_owned(),
            of: of.to_owned(),
        },
        may_change: staff.may(Act::ManageDictionary),
        rules: rules(&said),
        declared: declared::Table::new(said.profile, &of_declared, asked),
        events,
        heads,
        pager,
        is_new: total == 0,
        properties,
        property_heads,
        property_pager,
        property_csv: sheet.csv(),
        of_people: of_people.iter().map(ToString::to_string).collect(),
        csv,
        path: path.clone(),
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
        "declared" => Some("The property is known now, as declared."),
        "undeclared" => Some("Nothing is said of the property any more."),
        "policy" => Some("The rules for what does not fit were changed."),
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
            last_seen: stats.map(|it| it.last_seen),
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

fn line(staff: &Staff, of: PropertyOf, name: &str, types: &str) -> PropertyLine {
    PropertyLine {
        name: name.to_owned(),
        href: href(staff, of, name),
        of: property::whose(of),
        types: types.to_owned(),
        class: class(staff, of, name),
        is_masked: staff.policy().is_some_and(|it| it.mask(of, name).is_some()),
    }
}

/// The page of one property.
pub(super) fn href(staff: &Staff, of: PropertyOf, name: &str) -> String {
    let path = format!("/a/{}/dictionary/property", staff.account());
    link(&path, &[("of", of.as_str()), ("name", name)])
}

/// The class of a property in words; none when it is no personal information.
pub(super) fn class(staff: &Staff, of: PropertyOf, name: &str) -> Option<&'static str> {
    let class = staff.rules()?.classes.of(of, name).class;
    (class != Class::None).then_some(property::class_words(class))
}

async fn change(staff: &Staff, state: &State, fields: &Fields) -> Answer {
    let Some((change, done)) = asked_change(fields) else {
        return Err(Error::Absent);
    };
    let event = fields.text("event");
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
    let path = format!("/a/{}/dictionary", staff.account());
    if event.is_empty() || done == "forgotten" {
        return see_other(&link(&path, &[("done", done)]));
    }
    let path = format!("{path}/event");
    see_other(&link(&path, &[("name", event), ("done", done)]))
}

/// The change that a form asks for, and the word for what was done.
fn asked_change(fields: &Fields) -> Option<(DictionaryChange, &'static str)> {
    let event = fields.text("event").to_owned();
    let holder = (!event.is_empty()).then(|| event.clone());
    let property = fields.text("property").trim().to_owned();
    let change = match fields.text("act") {
        "define" => {
            let properties = fields.text("properties").split([',', '\n']);
            let properties = properties.map(str::trim).filter(|it| !it.is_empty());
            let properties = properties.map(str::to_owned).collect();
            (DictionaryChange::Define(event, properties), "defined")
        }
        "declare" => {
            let kind = match fields.text("kind") {
                "any" => None,
                word => Some(DeclaredKind::from_name(word)?),
            };
            let declared = Declared {
                kind,
                is_mandatory: !fields.text("mandatory").is_empty(),
            };
            let change = DictionaryChange::Declare(holder, property, declared);
            (change, "declared")
        }
        "undeclare" => {
            let change = DictionaryChange::ForgetProperty(holder, property);
            (change, "undeclared")
        }
        "discard" => (DictionaryChange::Discard(event), "discarded"),
        "forget" => (DictionaryChange::Forget(event), "forgotten"),
        "policy" => {
            let unfit = |name| Unfit::from_name(fields.text(name));
            let property = |name| UnfitProperty::from_name(fields.text(name));
            let change = PolicyChange {
                undefined_events: unfit("events"),
                undefined_properties: property("properties"),
                mismatched_properties: property("mismatches"),
                undefined_profile: unfit("profile"),
                mismatched_profile: unfit("profile_mismatches"),
            };
            (DictionaryChange::Policy(change), "policy")
        }
        _ => return None,
    };
    Some(change)
}
