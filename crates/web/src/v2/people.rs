//! `/v2/people` and `/v2/deletions`: finding a person, what is held of them, and their deletion.
//!
//! What is searched for is a person's own, so it is posted: it stands in no URL.

use axum::extract::State as Of;
use control::{Action, AuditOutcome, Deletion, DeletionId, DeletionState};
use http::{HeaderValue, header};
use model::{IdentityKind, PersonKey, RawJson};
use query::{EventRow, EventsQuery, Lookup, PersonView, ReadPolicy};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeSet;
use utoipa::ToSchema;

use super::answer::{Answer, Page, json, text};
use super::ask::{Asked, Named, Sent, at_most, cursor, limit};
use super::known::{Known, reader};
use super::program::Program;
use super::values::{Moment, Number};
use crate::console::events::{parse_place, place};
use crate::error::problem::{created, no_content};
use crate::operate::{self, portrait};
use crate::{Error, Result, State};

/// People that a search finds at most.
const FOUND_MAX: usize = 1_000;
/// Characters of a value that is searched for, of a property's name, and of a reason.
const VALUE_CHARS_MAX: usize = 1_024;
const NAME_CHARS_MAX: usize = 120;
const REASON_CHARS_MAX: usize = 200;

/// Whom to look for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// By what.
    by: By,
    /// The property's name; for `property` alone.
    #[schema(min_length = 1, max_length = 120)]
    property: Option<String>,
    /// The identity, the address, the device's object id, or the property's value now.
    #[schema(min_length = 1, max_length = 1024)]
    value: String,
}

/// By what somebody is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum By {
    /// The identity; capitals count.
    Identity,
    /// The email address.
    Email,
    /// The object id of a device; capitals count.
    ObjectId,
    /// What a property says now.
    Property,
}

/// Somebody who was found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Found {
    /// The person's key, 32 hexadecimal digits.
    #[schema(pattern = "^[0-9a-f]{32}$")]
    key: String,
    /// The identity, where it is shown.
    identity: Option<String>,
}

/// What is held of a person.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "the document's words for what `portrait` writes")]
pub(crate) struct Person {
    /// The person's key, 32 hexadecimal digits.
    person_key: Option<String>,
    /// The identity.
    identity: Option<String>,
    /// Every identity.
    identities: Vec<PersonIdentity>,
    /// Their devices.
    devices: Vec<PersonDevice>,
    /// Properties, as they were sent.
    #[schema(value_type = Object)]
    profile: (),
    /// For each event how often, and when first and last.
    #[schema(value_type = Object)]
    events: (),
}

/// An identity of a person.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "the document's words for what `portrait` writes")]
pub(crate) struct PersonIdentity {
    /// Its kind.
    kind: String,
    /// The identity.
    identity: String,
}

/// A device of a person.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "the document's words for what `portrait` writes")]
pub(crate) struct PersonDevice {
    /// Its object id.
    object_id: Option<String>,
    /// Its platform.
    platform: Option<String>,
}

/// An event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Event {
    /// The record's id, 32 hexadecimal digits.
    id: String,
    /// Its name.
    name: String,
    /// When it happened.
    at: Moment,
    /// When it was received.
    received_at: Moment,
    /// How it came.
    source: &'static str,
    /// Whose it is.
    person_key: String,
    /// Its properties, as they were sent; masked ones are replaced.
    #[schema(value_type = Object)]
    properties: Box<RawValue>,
}

/// Which part of a list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Paged {
    /// At most so many.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    limit: Option<Number<u32>>,
    /// Where the page before said that the next one begins.
    #[param(pattern = "^-?[0-9]{1,18}-[0-9a-f]{32}-[0-9]{1,18}$")]
    cursor: Option<String>,
}

/// What a deletion would take.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeletionPreview {
    /// Events.
    events: u64,
    /// Properties of the profile.
    properties: u64,
    /// Changes of the profile.
    profile_changes: u64,
    /// Devices.
    devices: u64,
    /// Identities and devices that are hidden.
    keys: u64,
    /// Records in quarantine.
    quarantined: u64,
}

/// The order for a deletion.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeletionOrder {
    /// Why: for the record, without personal information.
    #[serde(default)]
    #[schema(max_length = 200)]
    reason: String,
}

/// A deletion.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PersonDeletion {
    /// Its id, 32 hexadecimal digits.
    #[schema(pattern = "^[0-9a-f]{32}$")]
    id: String,
    /// `pending`: the person is hidden, the data is still to be removed. `running`. `done`: the data
    /// is gone.
    state: &'static str,
    /// How many keys it hides.
    keys: usize,
    /// When it was ordered.
    requested_at: Moment,
    /// When its job began.
    started_at: Option<Moment>,
    /// When it was done.
    completed_at: Option<Moment>,
    /// What the job found and did.
    #[schema(value_type = Option<Object>)]
    receipt: Option<Box<RawValue>>,
    /// The receipt as it is signed, which `strongroom person verify-receipt` checks.
    signed_receipt: Option<String>,
}

/// Looks for people
///
/// By an identity of theirs, or by what a property says now.
#[utoipa::path(
    post,
    path = "/v2/people/search",
    operation_id = "findPeople",
    tag = "People",
    request_body = Wanted,
    responses((status = 200, description = "Who was found; nobody is an empty list.", body = Page<Found>))
)]
pub(crate) async fn find(
    program: Program,
    Of(state): Of<State>,
    Sent(sent): Sent<Wanted>,
) -> Answer {
    let policy = program.person_policy();
    let rules = program.rules();
    let invalid = |words: &str| Error::from(operate::Error::Invalid(words.to_owned()));
    if sent.value.is_empty() || sent.property.as_ref().is_some_and(String::is_empty) {
        return Err(Error::Malformed("`value` and `property` are not empty".to_owned()).into());
    }
    at_most("value", &sent.value, VALUE_CHARS_MAX)?;
    at_most(
        "property",
        sent.property.as_deref().unwrap_or_default(),
        NAME_CHARS_MAX,
    )?;
    if (sent.by == By::Property) != sent.property.is_some() {
        return Err(invalid("`property` goes with `by`: `property`, and with nothing else").into());
    }
    let lookup = match sent.by {
        By::Email if policy.masks_person("Email") => return Err(masked("Email").into()),
        By::Property => {
            let property = sent.property.unwrap_or_default();
            let wanted = BTreeSet::from([sent.value.to_lowercase()]);
            return having(&program, &state, &program.policy(), &property, &wanted).await;
        }
        By::Email => Lookup::Email(sent.value),
        By::ObjectId => Lookup::Key(rules.person_key(IdentityKind::ObjectId, &sent.value)),
        By::Identity => Lookup::Key(rules.person_key(IdentityKind::Identity, &sent.value)),
    };
    let reader = reader(&program, &state, &policy);
    let words = "one person, by what they are known by";
    reader
        .note(Action::PeopleRead, "", words, AuditOutcome::Begun)
        .await?;
    let found = state.engine().profile(&policy, &lookup).await?;
    json(&Page::whole(found.iter().filter_map(person).collect()))
}

async fn having(
    program: &Program,
    state: &State,
    policy: &ReadPolicy,
    property: &str,
    wanted: &BTreeSet<String>,
) -> Answer {
    if policy.masks_person(property) {
        return Err(masked(property).into());
    }
    let words = format!("with a value of `{property}`");
    let reader = reader(program, state, policy);
    reader
        .note(Action::PeopleRead, "people", &words, AuditOutcome::Begun)
        .await?;
    let found = state.engine().people_having(policy, property, wanted);
    let found = found.await?;
    let mut people: Vec<Found> = found.iter().filter_map(|(_, view)| person(view)).collect();
    people.sort_by(|a, b| a.key.cmp(&b.key));
    people.dedup_by(|a, b| a.key == b.key);
    if people.len() > FOUND_MAX {
        let words = format!("more than {FOUND_MAX} people have this value: export them instead");
        return Err(operate::Error::Invalid(words).into());
    }
    json(&Page::whole(people))
}

fn masked(property: &str) -> Error {
    let words = format!("{property} is personal information that this passcode does not show");
    control::Error::Refused(words).into()
}

fn person(view: &PersonView) -> Option<Found> {
    Some(Found {
        key: view.key?.to_string(),
        identity: view.profile.identity().map(str::to_owned),
    })
}

/// Shows what is held of a person
#[utoipa::path(
    get,
    path = "/v2/people/{key}",
    operation_id = "showPerson",
    tag = "People",
    params(("key" = String, Path, description = "The person's key.", pattern = "^[0-9a-f]{32}$")),
    responses((status = 200, description = "Profile, identities, devices, what they did.", body = Person))
)]
pub(crate) async fn show(program: Program, Of(state): Of<State>, known: Known) -> Answer {
    let (object, outcome) = (known.person.to_string(), AuditOutcome::Done);
    let words = "by the management API";
    known
        .reader(&program, &state)
        .note(Action::PersonShown, &object, words, outcome)
        .await?;
    Ok(text(portrait::of(&known.view)?, "application/json"))
}

/// Lists what a person did
///
/// The newest first.
#[utoipa::path(
    get,
    path = "/v2/people/{key}/events",
    operation_id = "listPersonEvents",
    tag = "People",
    params(("key" = String, Path, description = "The person's key.", pattern = "^[0-9a-f]{32}$"), Paged),
    responses((status = 200, description = "A page of events.", body = Page<Event>))
)]
pub(crate) async fn events(
    program: Program,
    Of(state): Of<State>,
    Asked(asked): Asked<Paged>,
    known: Known,
) -> Answer {
    let limit = usize::try_from(limit(asked.limit)?).unwrap_or(usize::MAX);
    let before = cursor(asked.cursor.as_deref(), parse_place)?;
    let (object, outcome) = (known.person.to_string(), AuditOutcome::Done);
    known
        .reader(&program, &state)
        .note(Action::PersonShown, &object, "events", outcome)
        .await?;
    let (everything, person) = (EventsQuery::default(), Some(known.person));
    let engine = state.engine();
    let page = engine.latest_events(&known.policy, &everything, person, before, limit);
    let page = page.await?;
    let items = page.records.iter().map(event).collect::<Result<_>>()?;
    json(&Page::new(items, page.next.map(place)))
}

/// Downloads all that is held of a person
///
/// Profile, devices and every event, as JSON.
#[utoipa::path(
    get,
    path = "/v2/people/{key}/download",
    operation_id = "downloadPerson",
    tag = "People",
    params(("key" = String, Path, description = "The person's key.", pattern = "^[0-9a-f]{32}$")),
    responses((status = 200, description = "The file.", body = serde_json::Value))
)]
pub(crate) async fn download(program: Program, Of(state): Of<State>, known: Known) -> Answer {
    let reader = known.reader(&program, &state);
    let file = Box::pin(reader.file(known.person, &known.view)).await?;
    let mut response = text(file, "application/json");
    let name = format!("attachment; filename=\"person-{}.json\"", known.person);
    if let Ok(name) = HeaderValue::from_str(&name) {
        response
            .headers_mut()
            .insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

/// Shows what the deletion of a person would take
///
/// Nothing is deleted.
#[utoipa::path(
    get,
    path = "/v2/people/{key}/deletion-preview",
    operation_id = "previewDeletion",
    tag = "People",
    params(("key" = String, Path, description = "The person's key.", pattern = "^[0-9a-f]{32}$")),
    responses((status = 200, description = "Counts.", body = DeletionPreview))
)]
pub(crate) async fn preview(program: Program, Of(state): Of<State>, known: Known) -> Answer {
    let reader = known.reader(&program, &state);
    let extent = Box::pin(reader.extent(known.person, &known.view)).await?;
    json(&DeletionPreview {
        events: extent.events,
        properties: extent.properties,
        profile_changes: extent.changes,
        devices: extent.devices,
        keys: extent.keys,
        quarantined: extent.quarantined,
    })
}

/// Orders the deletion of a person
///
/// The person is hidden everywhere when this is answered, and the data is removed by a job. Ordering
/// it again answers with the same deletion.
#[utoipa::path(
    post,
    path = "/v2/people/{key}/deletions",
    operation_id = "deletePerson",
    tag = "People",
    params(("key" = String, Path, description = "The person's key.", pattern = "^[0-9a-f]{32}$")),
    request_body = DeletionOrder,
    responses(
        (status = 200, description = "It had been ordered before.", body = PersonDeletion),
        (status = 201, description = "It is ordered.", body = PersonDeletion),
    )
)]
pub(crate) async fn delete(
    program: Program,
    Of(state): Of<State>,
    Named(key): Named<String>,
    Sent(sent): Sent<DeletionOrder>,
) -> Answer {
    let policy = program.person_policy();
    let reader = reader(&program, &state, &policy);
    at_most("reason", &sent.reason, REASON_CHARS_MAX)?;
    let key: PersonKey = key.parse().map_err(|_| Error::Absent)?;
    let Some((person, _)) = reader.find(key).await? else {
        let control = state.control();
        let before = control.deletion_of(program.account(), key).await?;
        let before = before.ok_or(Error::Absent)?;
        return json(&deletion(find_deletion(&program, &state, before).await?)?);
    };
    let reason = match sent.reason.trim() {
        "" => "asked for by the management API",
        reason => reason,
    };
    let ordered = reader.delete(person, reason).await?;
    json(&deletion(find_deletion(&program, &state, ordered).await?)?).map(created)
}

/// Lists deletions
///
/// The newest first, at most 1,000.
#[utoipa::path(
    get,
    path = "/v2/deletions",
    operation_id = "listDeletions",
    tag = "People",
    responses((status = 200, description = "Every deletion of the account.", body = Page<PersonDeletion>))
)]
pub(crate) async fn deletions(program: Program, Of(state): Of<State>) -> Answer {
    let all = state
        .control()
        .deletions(program.actor(), program.account());
    let newest = all.await?.into_iter().rev().take(FOUND_MAX);
    json(&Page::whole(newest.map(deletion).collect::<Result<_>>()?))
}

/// Shows how far a deletion is
#[utoipa::path(
    get,
    path = "/v2/deletions/{id}",
    operation_id = "showDeletion",
    tag = "People",
    params(("id" = String, Path, description = "The deletion's id.", pattern = "^[0-9a-f]{32}$")),
    responses((status = 200, description = "The deletion.", body = PersonDeletion))
)]
pub(crate) async fn show_deletion(
    program: Program,
    Of(state): Of<State>,
    Named(id): Named<String>,
) -> Answer {
    let id: DeletionId = id.parse().map_err(|_| Error::Absent)?;
    json(&deletion(find_deletion(&program, &state, id).await?)?)
}

/// Takes a deletion back
///
/// Until its job begins: the person is seen again, with all that was held when it was ordered.
#[utoipa::path(
    delete,
    path = "/v2/deletions/{id}",
    operation_id = "cancelDeletion",
    tag = "People",
    params(("id" = String, Path, description = "The deletion's id.", pattern = "^[0-9a-f]{32}$")),
    responses((status = 204, description = "It is cancelled."))
)]
pub(crate) async fn cancel(
    program: Program,
    Of(state): Of<State>,
    Named(id): Named<String>,
) -> Answer {
    let id: DeletionId = id.parse().map_err(|_| Error::Absent)?;
    find_deletion(&program, &state, id).await?;
    let cancelled = state.control().cancel_deletion(program.actor(), id);
    cancelled.await?;
    Ok(no_content())
}

/// A deletion of this account; one of another does not exist.
async fn find_deletion(program: &Program, state: &State, id: DeletionId) -> Result<Deletion> {
    let all = state
        .control()
        .deletions(program.actor(), program.account());
    let found = all.await?.into_iter().find(|it| it.id == id);
    found.ok_or(Error::Absent)
}

/// An event as it is listed.
pub(super) fn event(row: &EventRow) -> Result<Event> {
    Ok(Event {
        id: row.record.to_string(),
        name: row.name.to_string(),
        at: Moment(row.ts),
        received_at: Moment(row.received_at),
        source: row.source.as_str(),
        person_key: row.person.key.unwrap_or(row.key).to_string(),
        properties: raw(&row.properties)?,
    })
}

/// JSON as it was sent.
fn raw(value: &RawJson) -> Result<Box<RawValue>> {
    Ok(RawValue::from_string(value.as_str().to_owned())?)
}

fn deletion(deletion: Deletion) -> Result<PersonDeletion> {
    Ok(PersonDeletion {
        id: deletion.id.to_string(),
        state: match deletion.state {
            DeletionState::Pending => "pending",
            DeletionState::Running => "running",
            DeletionState::Done => "done",
            DeletionState::Cancelled => "cancelled",
        },
        keys: deletion.keys.len(),
        requested_at: Moment(deletion.requested_at),
        started_at: deletion.started_at.map(Moment),
        completed_at: deletion.completed_at.map(Moment),
        receipt: deletion.receipt.as_ref().map(raw).transpose()?,
        signed_receipt: deletion.signed_receipt,
    })
}
