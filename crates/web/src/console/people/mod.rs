//! `/a/{account}/people`: who was active last, and finding one person or those with a property.
//!
//! What is searched for is a person's own, so it is posted: it stands in no URL, no log and no
//! browser's history.

pub(crate) mod active;
pub(crate) mod delete;
pub(crate) mod deletions;
pub(crate) mod edit;
pub(crate) mod export;
pub(crate) mod history;
pub(crate) mod person;
pub(crate) mod restriction;
pub(crate) mod reveal;

use askama::Template;
use axum::extract::State as Of;
use axum::response::Response;
use control::{Act, Action, AuditOutcome};
use model::{IdentityKind, PersonKey, Timestamp};
use query::{Lookup, PersonView, ReadPolicy};
use std::collections::{BTreeMap, BTreeSet};

use active::Active;

use super::events::files;
use super::overview::times;
use super::period::Period;
use super::records::{short, shown};
use super::staff::Staff;
use super::view::{
    Answer, Asked, Csv, Fields, Head, Heads, Moment, Posted, Section, Sheet, Shell, Times, answer,
    html, plural, see_other, unusable,
};
use crate::operate::people::Reader;
use crate::{Error, Result, State};

/// People of a search on one page.
const PAGE: usize = 100;
/// By what those who were found are put in order.
const ORDERS: [(&str, &str); 3] = [
    ("key", "key"),
    ("name", "name, A to Z"),
    ("identity", "identity, A to Z"),
];

/// The columns of those who were found: what they were found by stands in no link, so none of them
/// is one.
const FOUND: [Head; 5] = [
    Head::new("person", "Person"),
    Head::new("identity", "Identity"),
    Head::new("devices", "Devices"),
    Head::new("last_event", "Last event"),
    Head::new("key", "Key"),
];

/// The page.
pub(crate) async fn get(staff: Staff, Of(state): Of<State>, Asked(asked): Asked) -> Response {
    let shown = async {
        let page = People::new(&staff, &state, &asked, Form::default()).await?;
        html(&page)
    };
    answer(&staff, shown.await)
}

/// Those who have a property, as a file.
pub(crate) async fn found(staff: Staff, Of(state): Of<State>, Posted(fields): Posted) -> Response {
    answer(&staff, export_found(&staff, &state, &fields).await)
}

/// A search.
pub(crate) async fn post(staff: Staff, Of(state): Of<State>, Posted(fields): Posted) -> Response {
    answer(&staff, find(&staff, &state, &fields).await)
}

#[derive(Debug, Template)]
#[template(path = "people.html")]
struct People {
    shell: Shell,
    path: String,
    form: Form,
    heading: String,
    people: Vec<Listed>,
    heads: Heads,
    /// How the list goes on, when somebody was looked for.
    found: Option<Found>,
    /// What the list is filtered by, when nobody was.
    active: Option<Active>,
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

/// The foot of a list of people who were looked for.
#[derive(Debug)]
struct Found {
    note: String,
    sort: String,
    orders: [(&'static str, &'static str); 3],
    is_first: bool,
    /// Where the next page begins.
    next: Option<usize>,
    /// Where the list is downloaded, for those who may.
    file: Option<String>,
}

/// A person in a list.
#[derive(Debug)]
struct Listed {
    name: String,
    identity: String,
    full_key: String,
    key: String,
    href: String,
    devices: String,
    event: String,
    seen: Option<Moment>,
    seen_at: Option<Timestamp>,
}

impl People {
    async fn new(staff: &Staff, state: &State, asked: &Fields, form: Form) -> Result<Self> {
        let policy = staff.policy().ok_or(Error::Absent)?;
        let times = times(staff, state);
        note(staff, state, "people", &active::words(asked)).await?;
        let (mut people, properties) = tokio::try_join!(
            active::read(staff, state, &policy, asked),
            Box::pin(properties(state, &policy))
        )?;
        let path = format!("/a/{}/people", staff.account());
        let sheet = Sheet::new(asked, &path);
        let active = Active::new(staff, asked, &path, &people);
        let heads = sheet.sort(active::COLUMNS, Some(("last_event", true)), &mut people);
        Ok(Self {
            shell: Shell::new(staff, Section::People, "People"),
            path: path.clone(),
            form: Form { properties, ..form },
            heading: String::from("Active last"),
            people,
            heads,
            found: None,
            empty: match active.event.is_empty() {
                true => {
                    "Nobody has done anything yet. People appear with their first event or profile."
                }
                false => "Nobody has done this.",
            },
            active: Some(active),
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
            full_key: key,
            devices: platforms.join(", "),
            event: String::new(),
            seen: None,
            seen_at: None,
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
        return unusable(&People::new(staff, state, &Fields::default(), form).await?);
    }
    let lookup = match by {
        "email" if policy.masks_person("Email") => {
            let text = "Email addresses are personal information that your roles do not show: \
                        look for an identity or an object ID.";
            form.error = Some(String::from(text));
            return unusable(&People::new(staff, state, &Fields::default(), form).await?);
        }
        "property" => return having(staff, state, &policy, fields, form).await,
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
            unusable(&People::new(staff, state, &Fields::default(), form).await?)
        }
    }
}

/// Those whose property has the value now.
async fn having(
    staff: &Staff,
    state: &State,
    policy: &ReadPolicy,
    fields: &Fields,
    mut form: Form,
) -> Answer {
    if let Some(text) = cannot_be_asked(policy, &form.property) {
        form.error = Some(text);
        return unusable(&People::new(staff, state, &Fields::default(), form).await?);
    }
    let words = format!("with a value of `{}`", form.property);
    note(staff, state, "people", &words).await?;
    let all = people_having(staff, state, policy, fields).await?;
    let number = all.len();
    let from = fields.text("page").parse::<usize>().unwrap_or(0);
    let from = if from < number { from } else { 0 };
    let until = from.saturating_add(PAGE).min(number);
    let people: Vec<Listed> = all.into_iter().skip(from).take(PAGE).collect();
    let counted = plural(u64::try_from(number).unwrap_or(u64::MAX), "person");
    let counted = counted.replace("persons", "people");
    let path = format!("/a/{}/people", staff.account());
    form.properties = properties(state, policy).await?;
    html(&People {
        shell: Shell::new(staff, Section::People, "People"),
        path: path.clone(),
        form,
        heading: format!("{counted} found"),
        heads: Sheet::new(&Fields::default(), &path).heads(&FOUND, None),
        found: (number > 0).then(|| Found {
            note: format!("{} to {until} of {counted}", from.saturating_add(1)),
            sort: fields.text("sort").to_owned(),
            orders: ORDERS,
            is_first: from == 0,
            next: (until < number).then_some(until),
            file: staff.may(Act::Export).then(|| format!("{path}/found")),
        }),
        people,
        active: None,
        empty: "Nobody has this value now.",
        may_see_deletions: staff.may(Act::DeletePeople),
        deletions_href: format!("{path}/deletions"),
        files: downloads(staff, &times(staff, state)),
    })
}

/// Why nobody can be looked for by a property; none when they can.
fn cannot_be_asked(policy: &ReadPolicy, property: &str) -> Option<String> {
    match property {
        "" => Some(String::from("Choose a property.")),
        masked if policy.masks_person(masked) => Some(format!(
            "{masked} is personal information that your roles do not show: nobody can be found by it."
        )),
        _ => None,
    }
}

/// Everybody whose property has the value now, in the order that is asked for.
async fn people_having(
    staff: &Staff,
    state: &State,
    policy: &ReadPolicy,
    fields: &Fields,
) -> Result<Vec<Listed>> {
    let wanted = BTreeSet::from([fields.text("value").to_lowercase()]);
    let engine = state.engine();
    let found = engine.people_having(policy, fields.text("property"), &wanted);
    let by_key: BTreeMap<PersonKey, PersonView> = found
        .await?
        .into_iter()
        .filter_map(|(_, view)| Some((view.key?, view)))
        .collect();
    let people = by_key.iter();
    let mut people: Vec<Listed> = people
        .map(|(key, view)| Listed::new(staff, view, *key))
        .collect();
    match fields.text("sort") {
        "name" => people.sort_by_key(|it| it.title().to_lowercase()),
        "identity" => people.sort_by(|a, b| a.identity.cmp(&b.identity)),
        _ => {}
    }
    Ok(people)
}

/// Those whose property has the value, as a file: what the page shows, without its cut into pages.
async fn export_found(staff: &Staff, state: &State, fields: &Fields) -> Answer {
    let policy = staff.policy().ok_or(Error::Absent)?;
    let property = fields.text("property");
    let refused = cannot_be_asked(&policy, property);
    if let Some(text) = refused.or_else(|| {
        let is_empty = fields.text("value").is_empty();
        is_empty.then(|| String::from("Say whom to look for."))
    }) {
        return Err(crate::operate::Error::Invalid(text).into());
    }
    let words = format!("people with a value of `{property}`");
    note_export(staff, state, &words, AuditOutcome::Begun).await?;
    let people = people_having(staff, state, &policy, fields).await?;
    let mut csv = Csv::new(&["name", "identity", "devices", "key"]);
    for it in &people {
        csv.line(&[&it.name, &it.identity, &it.devices, &it.full_key]);
    }
    let words = format!("{words}: {} rows", people.len());
    note_export(staff, state, &words, AuditOutcome::Done).await?;
    Ok(csv.file("people.csv"))
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

/// Writes down that people are exported, before and after.
async fn note_export(
    staff: &Staff,
    state: &State,
    words: &str,
    outcome: AuditOutcome,
) -> Result<()> {
    let (actor, account) = (staff.actor(), staff.account());
    let (action, object) = (Action::Exported, "people");
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

/// The person whom a page is about, by the key in the URL, and what the reader may see of them.
struct Known {
    policy: ReadPolicy,
    person: PersonKey,
    view: PersonView,
}

impl Known {
    /// Whoever is not there, or not for this reader, is a page that is not there.
    async fn find(staff: &Staff, state: &State, key: &str) -> Result<Self> {
        let policy = staff.person_policy().ok_or(Error::Absent)?;
        let found = read(state, &policy, key).await?;
        let (person, view) = found.ok_or(Error::Absent)?;
        Ok(Self {
            policy,
            person,
            view,
        })
    }

    /// The reader, at what is held of them.
    fn reader<'a>(&'a self, staff: &'a Staff, state: &'a State) -> Reader<'a> {
        Reader {
            state,
            actor: staff.actor(),
            account: staff.account(),
            policy: &self.policy,
        }
    }

    /// The frame of a page about them, under their own.
    fn frame(&self, staff: &Staff, heading: String) -> Shell {
        let title = title(&self.view, self.person);
        frame(staff, self.person, heading, &title)
    }

    /// Their page.
    fn path(&self, staff: &Staff) -> String {
        format!("/a/{}/people/{}", staff.account(), self.person)
    }
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
