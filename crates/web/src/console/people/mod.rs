//! `/a/{account}/people`: who was active last, and finding one person or those with a property.
//!
//! What is searched for is a person's own, so it is posted: it stands in no URL, no log and no
//! browser's history.

pub(crate) mod delete;
pub(crate) mod deletions;
pub(crate) mod edit;
pub(crate) mod export;
pub(crate) mod person;
pub(crate) mod restriction;
pub(crate) mod reveal;

use askama::Template;
use axum::extract::State as Of;
use axum::response::Response;
use control::{Act, Action, AuditOutcome};
use model::{IdentityKind, PersonKey};
use query::{EventsQuery, Lookup, PersonView, ReadPolicy};
use std::collections::{BTreeMap, BTreeSet};

use super::events::files;
use super::overview::times;
use super::period::Period;
use super::records::{short, shown};
use super::staff::Staff;
use super::view::{
    Answer, Fields, Moment, Posted, Section, Shell, Times, answer, html, plural, see_other,
    unusable,
};
use crate::{Error, Result, State};

/// People on the page.
const LISTED: usize = 20;
/// The newest events that are looked through for them.
const EVENTS: usize = 200;
/// People that a search shows.
const FOUND_MAX: usize = 100;

/// The page.
pub(crate) async fn get(staff: Staff, Of(state): Of<State>) -> Response {
    let shown = async {
        let page = People::new(&staff, &state, Form::default()).await?;
        html(&page)
    };
    answer(&staff, shown.await)
}

/// A search.
pub(crate) async fn post(staff: Staff, Of(state): Of<State>, Posted(fields): Posted) -> Response {
    answer(&staff, find(&staff, &state, &fields).await)
}

#[derive(Debug, Template)]
#[template(path = "people.html")]
struct People {
    shell: Shell,
    form: Form,
    heading: String,
    people: Vec<Listed>,
    /// What is said when there is nobody.
    empty: &'static str,
    may_see_deletions: bool,
    deletions_href: String,
    /// Where the people of the last 30 days are downloaded, for those who may.
    files: Option<[(String, &'static str); 2]>,
}

#[derive(Debug, Default)]
struct Form {
    by: String,
    value: String,
    property: String,
    properties: Vec<String>,
    error: Option<String>,
}

impl Form {
    fn is_by(&self, by: &str) -> bool {
        self.by == by || (self.by.is_empty() && by == "identity")
    }
}

/// A person in a list.
#[derive(Debug)]
struct Listed {
    name: String,
    identity: String,
    key: String,
    href: String,
    devices: String,
    event: String,
    seen: Option<Moment>,
}

impl People {
    async fn new(staff: &Staff, state: &State, form: Form) -> Result<Self> {
        let policy = staff.policy().ok_or(Error::Absent)?;
        let times = times(staff, state);
        note(staff, state, "people", "active last").await?;
        let engine = state.engine();
        let all = EventsQuery::default();
        let latest = engine.latest_events(&policy, &all, None, None, EVENTS);
        let latest = latest.await?;
        let mut seen: BTreeSet<PersonKey> = BTreeSet::new();
        let mut people = Vec::new();
        for row in &latest.records {
            let Some(key) = row.person.key.filter(|it| seen.insert(*it)) else {
                continue;
            };
            if people.len() >= LISTED {
                break;
            }
            let mut listed = Listed::new(staff, &row.person, key);
            listed.event = row.name.to_string();
            listed.seen = Some(times.ago(row.ts));
            people.push(listed);
        }
        let properties = properties(state, &policy).await?;
        Ok(Self {
            shell: Shell::new(staff, Section::People, "People"),
            form: Form { properties, ..form },
            heading: String::from("Active last"),
            people,
            empty: "Nobody has done anything yet. People appear with their first event or profile.",
            may_see_deletions: staff.may(Act::DeletePeople),
            deletions_href: format!("/a/{}/people/deletions", staff.account()),
            files: downloads(staff, &times),
        })
    }
}

impl Listed {
    fn new(staff: &Staff, view: &PersonView, key: PersonKey) -> Self {
        let text = |name: &str| {
            let value = view.profile.properties.get(name);
            value.map(|it| shown(it.as_str())).unwrap_or_default()
        };
        let platforms: BTreeSet<&str> = view
            .profile
            .devices
            .values()
            .filter_map(|it| it.platform.as_deref())
            .collect();
        let platforms: Vec<&str> = platforms.into_iter().collect();
        let key = key.to_string();
        Self {
            name: text("Name"),
            identity: view.profile.identity().unwrap_or_default().to_owned(),
            href: format!("/a/{}/people/{key}", staff.account()),
            key: short(&key),
            devices: platforms.join(", "),
            event: String::new(),
            seen: None,
        }
    }

    /// What the person is called on a page.
    fn title(&self) -> &str {
        [&self.name, &self.identity]
            .into_iter()
            .find(|it| !it.is_empty() && *it != governance::PLACEHOLDER)
            .unwrap_or(&self.key)
    }
}

/// The people of the last 30 days, as files.
fn downloads(staff: &Staff, times: &Times) -> Option<[(String, &'static str); 2]> {
    let path = format!("/a/{}/people/export", staff.account());
    let period = Period::asked(times, &Fields::default(), 30);
    files(staff, &path, &period, None)
}

/// Every property that somebody has, but those that are masked.
async fn properties(state: &State, policy: &ReadPolicy) -> Result<Vec<String>> {
    let all = state.engine().profile_properties(policy).await?;
    let open = all.iter().filter(|it| !policy.masks_person(it));
    Ok(open.map(ToString::to_string).collect())
}

async fn find(staff: &Staff, state: &State, fields: &Fields) -> Answer {
    let policy = staff.policy().ok_or(Error::Absent)?;
    let rules = staff.rules().ok_or(Error::Absent)?;
    let (by, value) = (fields.text("by"), fields.text("value"));
    let mut form = Form {
        by: by.to_owned(),
        value: value.to_owned(),
        property: fields.text("property").to_owned(),
        ..Form::default()
    };
    if value.is_empty() {
        form.error = Some(String::from("Say whom to look for."));
        return unusable(&People::new(staff, state, form).await?);
    }
    let lookup = match by {
        "email" if policy.masks_person("Email") => {
            let text = "Email addresses are personal information that your roles do not show: \
                        look for an identity or an object ID.";
            form.error = Some(String::from(text));
            return unusable(&People::new(staff, state, form).await?);
        }
        "property" => return having(staff, state, &policy, form).await,
        "email" => Lookup::Email(value.to_owned()),
        "object_id" => Lookup::Key(rules.person_key(IdentityKind::ObjectId, value)),
        _ => Lookup::Key(rules.person_key(IdentityKind::Identity, value)),
    };
    // Of one person, by a name that only who knows them can give.
    let policy = staff.person_policy().ok_or(Error::Absent)?;
    let words = format!("one person, by {}", by.replace('_', " "));
    note(staff, state, "people", &words).await?;
    let found = state.engine().profile(&policy, &lookup).await?;
    match found.and_then(|it| it.key) {
        Some(key) => see_other(&format!("/a/{}/people/{key}", staff.account())),
        None => {
            form.error = Some(String::from(
                "Nothing is held of such a person. Capitals count in identities and object IDs.",
            ));
            unusable(&People::new(staff, state, form).await?)
        }
    }
}

/// Those whose property has the value now.
async fn having(staff: &Staff, state: &State, policy: &ReadPolicy, mut form: Form) -> Answer {
    let property = form.property.clone();
    if property.is_empty() || policy.masks_person(&property) {
        let text = match property.is_empty() {
            true => String::from("Choose a property."),
            false => format!(
                "{property} is personal information that your roles do not show: nobody can be \
                 found by it."
            ),
        };
        form.error = Some(text);
        return unusable(&People::new(staff, state, form).await?);
    }
    let words = format!("with a value of `{property}`");
    note(staff, state, "people", &words).await?;
    let wanted = BTreeSet::from([form.value.to_lowercase()]);
    let found = state.engine().people_having(policy, &property, &wanted);
    let found = found.await?;
    let number = found.len();
    let by_key: BTreeMap<PersonKey, PersonView> = found
        .into_iter()
        .filter_map(|(_, view)| Some((view.key?, view)))
        .collect();
    let people = by_key.iter().take(FOUND_MAX);
    let people = people.map(|(key, view)| Listed::new(staff, view, *key));
    let people: Vec<Listed> = people.collect();
    let all = plural(u64::try_from(number).unwrap_or(u64::MAX), "person");
    let heading = match number > people.len() {
        true => format!("{all} found, the first {}", people.len()),
        false => format!("{all} found").replace("persons", "people"),
    };
    form.properties = properties(state, policy).await?;
    html(&People {
        shell: Shell::new(staff, Section::People, "People"),
        form,
        heading,
        people,
        empty: "Nobody has this value now.",
        may_see_deletions: staff.may(Act::DeletePeople),
        deletions_href: format!("/a/{}/people/deletions", staff.account()),
        files: downloads(staff, &times(staff, state)),
    })
}

/// Writes down that people are about to be read.
async fn note(staff: &Staff, state: &State, object: &str, words: &str) -> Result<()> {
    let (actor, account) = (staff.actor(), staff.account());
    let (action, outcome) = (Action::PeopleRead, AuditOutcome::Begun);
    let control = state.control();
    control
        .audit(actor, account, action, object, words, outcome)
        .await?;
    Ok(())
}

/// A person of the reader's account, by the key in the URL.
async fn read(
    state: &State,
    policy: &ReadPolicy,
    key: &str,
) -> Result<Option<(PersonKey, PersonView)>> {
    let key: PersonKey = key.parse().map_err(|_| Error::Absent)?;
    let found = state.engine().profile(policy, &Lookup::Key(key)).await?;
    Ok(found.map(|view| (view.key.unwrap_or(key), view)))
}

/// What a person is called in a heading: what they are called themselves, where it is shown.
fn title(view: &PersonView, key: PersonKey) -> String {
    let name = view.profile.properties.get("Name");
    let name = name.map(|it| shown(it.as_str()));
    let identity = view.profile.identity().map(str::to_owned);
    [name, identity]
        .into_iter()
        .flatten()
        .find(|it| !it.is_empty() && it != governance::PLACEHOLDER)
        .unwrap_or_else(|| format!("Person {}", short(&key.to_string())))
}

/// The frame of a page about one person.
fn frame(staff: &Staff, key: PersonKey, title: String, name: &str) -> Shell {
    let base = format!("/a/{}/people", staff.account());
    let shell = Shell::new(staff, Section::People, title).under("People", base.clone());
    match name {
        "" => shell,
        name => shell.under(name, format!("{base}/{key}")),
    }
}

/// Times as the pages of people write them.
fn clock(staff: &Staff, state: &State) -> Times {
    times(staff, state)
}
