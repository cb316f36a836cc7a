//! `GET /a/{account}/people/{key}`: one person: what is known of them, their devices, what they did,
//! and how what is known came about.

use askama::Template;
use axum::extract::{Path, State as Of};
use axum::response::Response;
use control::{Act, Action, AuditOutcome};
use governance::{Mask, PropertyOf};
use model::{PersonKey, Timestamp};
use query::{EventsQuery, PersonView, ReadPolicy};
use serde_json::Value;

use super::history::{self, History};
use super::{clock, frame, read, title};
use crate::console::events::{parse_place, place};
use crate::console::records::{Line, lines, shown};
use crate::console::staff::Staff;
use crate::console::view::{
    Answer, Asked, Fields, Moment, Pager, Rank, Ranks, Shell, Times, answer, html, plural,
    see_other,
};
use crate::operate::people::own_keys;
use crate::{Error, Result, State};

/// Events on a page of the timeline.
const PAGE: usize = 50;
/// Events that are ranked.
const TOP: usize = 10;

/// The page.
pub(crate) async fn get(
    staff: Staff,
    Of(state): Of<State>,
    Path((_, key)): Path<(String, String)>,
    Asked(asked): Asked,
) -> Response {
    answer(&staff, Box::pin(show(&staff, &state, &key, &asked)).await)
}

#[derive(Debug, Template)]
#[template(path = "person.html")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a button on the page, there or not"
)]
struct Person {
    shell: Shell,
    path: String,
    key: String,
    may_change: bool,
    may_export: bool,
    may_delete: bool,
    may_reveal: bool,
    may_restrict: bool,
    is_restricted: bool,
    /// Why nothing is masked here.
    revealed: Option<String>,
    properties: Vec<Property>,
    masked: usize,
    identities: Vec<(&'static str, String)>,
    devices: Vec<Device>,
    seen: Option<(Moment, Moment)>,
    changed: Option<Moment>,
    top: Ranks,
    timeline: Vec<Line>,
    pager: Pager,
    history: History,
}

#[derive(Debug)]
struct Property {
    name: String,
    value: String,
    is_masked: bool,
    /// Whether a little of it is shown.
    is_partial: bool,
}

impl Property {
    /// The name in a URL.
    fn encoded(&self) -> String {
        form_urlencoded::byte_serialize(self.name.as_bytes()).collect()
    }
}

#[derive(Debug)]
struct Device {
    platform: String,
    object_id: String,
    facts: String,
    has_token: bool,
}

/// What was done, by the word of the URL.
fn done(asked: &Fields) -> Option<&'static str> {
    match asked.text("done") {
        "changed" => Some("The property was changed. The history below has the value before."),
        "restricted" => Some(
            "The processing is restricted: nobody sees this person but those who handle requests.",
        ),
        "lifted" => Some("The restriction is lifted."),
        "removed" => Some("The property was removed. The history below has the value before."),
        _ => None,
    }
}

async fn show(staff: &Staff, state: &State, key: &str, asked: &Fields) -> Answer {
    let policy = staff.person_policy().ok_or(Error::Absent)?;
    let Some((person, view)) = read(state, &policy, key).await? else {
        return gone(staff, state, key).await;
    };
    let control = state.control();
    control
        .audit(
            staff.actor(),
            staff.account(),
            Action::PersonShown,
            &person.to_string(),
            "in the console",
            AuditOutcome::Done,
        )
        .await?;
    html(&page(staff, state, &policy, (person, &view), asked).await?)
}

/// The page with nothing masked: `reason` is in the audit log.
pub(super) async fn revealed(
    staff: &Staff,
    state: &State,
    open: &ReadPolicy,
    person: PersonKey,
    view: &PersonView,
    reason: &str,
) -> Answer {
    let page = page(staff, state, open, (person, view), &Fields::default()).await?;
    html(&Person {
        revealed: Some(reason.to_owned()),
        ..page
    })
}

async fn page(
    staff: &Staff,
    state: &State,
    policy: &ReadPolicy,
    (person, view): (PersonKey, &PersonView),
    asked: &Fields,
) -> Result<Person> {
    let times = clock(staff, state);
    let path = format!("/a/{}/people/{person}", staff.account());
    let before = asked.some("before").and_then(parse_place);
    let engine = state.engine();
    let everything = EventsQuery::default();
    let timeline = engine.latest_events(policy, &everything, Some(person), before, PAGE);
    let timeline = Box::pin(timeline);
    let (timeline, changes) = tokio::try_join!(
        async { timeline.await.map_err(Error::from) },
        Box::pin(history::read(state, policy, view))
    )?;
    let shown_events = u64::try_from(timeline.records.len()).unwrap_or(u64::MAX);
    let pager = Pager {
        note: plural(shown_events, "event"),
        first: before.map(|_| path.clone()),
        next: timeline
            .next
            .map(|it| asked.link(&path, &["before", "done"], &[("before", &place(it))])),
    };
    let properties = properties(view, policy);
    Ok(Person {
        shell: frame(staff, person, title(view, person), "").done(done(asked)),
        key: person.to_string(),
        may_change: staff.may(Act::ChangePeople),
        may_export: staff.may(Act::Export),
        may_delete: staff.may(Act::DeletePeople),
        may_reveal: staff.may(Act::RevealPerson) && !policy.masks.is_empty(),
        may_restrict: staff.may(Act::RestrictPeople),
        is_restricted: is_restricted(staff, person, view),
        revealed: None,
        masked: properties.iter().filter(|it| it.is_masked).count(),
        properties,
        identities: view
            .profile
            .identities
            .iter()
            .map(|it| (it.kind.as_str(), it.text.to_string()))
            .collect(),
        devices: devices(view),
        seen: seen(view).map(|(first, last)| (times.on(first), times.ago(last))),
        changed: view.changed_at.map(|at| times.ago(at)),
        top: top(view, &times),
        timeline: lines(staff, &times, &timeline.records),
        pager,
        history: History::new(staff, asked, &path, changes, &times),
        path,
    })
}

/// Somebody who was deleted is not there; whoever may order deletions sees how far theirs is.
async fn gone(staff: &Staff, state: &State, key: &str) -> Answer {
    let person: PersonKey = key.parse().map_err(|_| Error::Absent)?;
    if !staff.may(Act::DeletePeople) {
        return Err(Error::Absent);
    }
    let deletion = state.control().deletion_of(staff.account(), person).await?;
    let deletion = deletion.ok_or(Error::Absent)?;
    see_other(&format!(
        "/a/{}/people/deletions?id={deletion}",
        staff.account()
    ))
}

fn is_restricted(staff: &Staff, person: PersonKey, view: &PersonView) -> bool {
    let keys = own_keys(person, view);
    let rules = staff.rules();
    rules.is_some_and(|rules| {
        let mut restricted = rules.restricted.iter();
        restricted.any(|it| it.is_of(&keys, &rules.suppressed))
    })
}

fn properties(view: &PersonView, policy: &ReadPolicy) -> Vec<Property> {
    let all = view.profile.properties.iter();
    let property = all.map(|(name, value)| Property {
        name: name.to_string(),
        value: shown(value.as_str()),
        is_masked: policy.masks_person(name),
        is_partial: policy.mask(PropertyOf::Person, name) == Some(Mask::Partial),
    });
    property.collect()
}

fn devices(view: &PersonView) -> Vec<Device> {
    let device = |it: &governance::Device| {
        let facts = it.facts.as_ref().map(|it| facts(it.as_str()));
        Device {
            platform: it.platform.as_deref().unwrap_or("Device").to_owned(),
            object_id: it.object_id.as_deref().unwrap_or_default().to_owned(),
            facts: facts.unwrap_or_default(),
            has_token: it.token.is_some(),
        }
    };
    view.profile.devices.values().map(device).collect()
}

/// What the SDK says of a device, in a few words.
fn facts(facts: &str) -> String {
    let facts: Value = serde_json::from_str(facts).unwrap_or_default();
    let named = [
        ("make", ""),
        ("model", ""),
        ("os_version", "OS "),
        ("app_version", "app "),
        ("sdk_version", "SDK "),
    ];
    let words = named.iter().filter_map(|(name, before)| {
        let value = match facts.get(name)? {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Some(format!("{before}{value}"))
    });
    words.collect::<Vec<_>>().join(" · ")
}

fn seen(view: &PersonView) -> Option<(Timestamp, Timestamp)> {
    let first = view.events.values().map(|it| it.first_seen).min()?;
    let last = view.events.values().map(|it| it.last_seen).max()?;
    Some((first, last))
}

fn top(view: &PersonView, times: &Times) -> Ranks {
    let events = view.events.iter().map(|(name, stats)| (&**name, stats));
    let mut events: Vec<(&str, _)> = events.collect();
    events.sort_by(|a, b| (b.1.count, a.0).cmp(&(a.1.count, b.0)));
    let rank = |(name, stats): &(&str, &query::EventStats)| Rank {
        label: (*name).to_owned(),
        href: None,
        number: stats.count,
        note: times.text(stats.last_seen, "last %-d %b %Y"),
        colour: 0,
    };
    let ranks = events.iter().take(TOP).map(rank).collect();
    Ranks::new("What they did, and how often", ranks)
}
