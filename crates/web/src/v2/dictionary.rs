//! `/v2/dictionary`: the events that the account has, what it says of them, and what becomes of others.

use axum::extract::State as Of;
use control::{DictionaryChange, DictionaryView, PolicyChange};
use governance::{Unfit, UnfitProperty};
use model::submission::is_system_event;
use query::EventStats;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;

use super::answer::{Answer, Page, json};
use super::ask::{Named, Sent};
use super::program::Program;
use super::properties::{KnownProperty, known};
use super::values::Moment;
use crate::error::problem::no_content;
use crate::{Result, State};

/// An event that happened, or of which something is said.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DictionaryEvent {
    /// Its name.
    name: String,
    /// `known`, `discarded` (what comes of it is refused), `system` (the SDKs' own), or `seen`
    /// (nothing is said of it).
    status: &'static str,
    /// The properties that are known.
    properties: Vec<KnownProperty>,
    /// How often it happened.
    count: u64,
    /// The first time.
    first_seen: Option<Moment>,
    /// The last time.
    last_seen: Option<Moment>,
}

/// What is said of an event.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventDefinition {
    /// Whether it is wanted.
    status: EventStatus,
    /// The properties that are known, added to those before; none for an event that is discarded.
    #[serde(default)]
    #[schema(max_items = 256)]
    properties: Vec<String>,
}

/// Whether an event is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EventStatus {
    /// It is.
    Known,
    /// What comes of it is refused.
    Discarded,
}

/// What becomes of what nothing is said of, and of values of another kind than is said.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DictionaryPolicy {
    /// Of events of which nothing is said.
    undefined_events: WholePolicy,
    /// Of properties of which nothing is said, of events that are known.
    undefined_properties: PropertyPolicy,
    /// Of properties of events with a value of another kind.
    mismatched_properties: PropertyPolicy,
    /// Of properties of people of which nothing is said.
    undefined_profile: WholePolicy,
    /// Of properties of people with a value of another kind.
    mismatched_profile: WholePolicy,
}

/// What becomes of something that stands by itself.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WholePolicy {
    /// It is kept.
    Accept,
    /// It is not.
    Drop,
}

/// What becomes of a property of an event.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PropertyPolicy {
    /// It is kept.
    Accept,
    /// It is left out, the event is kept.
    DropProperty,
    /// The event is refused.
    DropEvent,
}

impl From<WholePolicy> for Unfit {
    fn from(policy: WholePolicy) -> Self {
        match policy {
            WholePolicy::Accept => Self::Accept,
            WholePolicy::Drop => Self::Drop,
        }
    }
}

impl From<PropertyPolicy> for UnfitProperty {
    fn from(policy: PropertyPolicy) -> Self {
        match policy {
            PropertyPolicy::Accept => Self::Accept,
            PropertyPolicy::DropProperty => Self::DropProperty,
            PropertyPolicy::DropEvent => Self::DropEvent,
        }
    }
}

/// Lists events
#[utoipa::path(
    get,
    path = "/v2/dictionary/events",
    operation_id = "listDictionaryEvents",
    tag = "Dictionary",
    responses((status = 200, description = "Every event, by name.", body = Page<DictionaryEvent>))
)]
pub(crate) async fn events(program: Program, Of(state): Of<State>) -> Answer {
    let said = read(&program, &state).await?;
    let seen = state.engine().event_names(&program.policy()).await?;
    let mut names: BTreeSet<&str> = seen.keys().map(|it| &**it).collect();
    names.extend(said.events.iter().map(|it| it.name.as_str()));
    let events = names.into_iter().map(|name| event(name, &said, &seen));
    json(&Page::whole(events.collect()))
}

/// Says whether an event is wanted, and which properties it has
///
/// Doing it again changes nothing.
#[utoipa::path(
    put,
    path = "/v2/dictionary/events/{name}",
    operation_id = "defineEvent",
    tag = "Dictionary",
    params(("name" = String, Path, description = "The event's name.")),
    request_body = EventDefinition,
    responses((status = 204, description = "It is said."))
)]
pub(crate) async fn define(
    program: Program,
    Of(state): Of<State>,
    Named(name): Named<String>,
    Sent(sent): Sent<EventDefinition>,
) -> Answer {
    let change = match sent.status {
        EventStatus::Known => DictionaryChange::Define(name, sent.properties),
        EventStatus::Discarded => DictionaryChange::Discard(name),
    };
    change_dictionary(&program, &state, change).await?;
    Ok(no_content())
}

/// Forgets what is said of an event
#[utoipa::path(
    delete,
    path = "/v2/dictionary/events/{name}",
    operation_id = "forgetEvent",
    tag = "Dictionary",
    params(("name" = String, Path, description = "The event's name.")),
    responses((status = 204, description = "Nothing is said of it any more."))
)]
pub(crate) async fn forget(
    program: Program,
    Of(state): Of<State>,
    Named(name): Named<String>,
) -> Answer {
    change_dictionary(&program, &state, DictionaryChange::Forget(name)).await?;
    Ok(no_content())
}

/// Shows what becomes of what is not known
#[utoipa::path(
    get,
    path = "/v2/dictionary/policy",
    operation_id = "showDictionaryPolicy",
    tag = "Dictionary",
    responses((status = 200, description = "The policy.", body = DictionaryPolicy))
)]
pub(crate) async fn policy(program: Program, Of(state): Of<State>) -> Answer {
    json(&shown(&read(&program, &state).await?))
}

/// Changes what becomes of what is not known
///
/// Doing it again changes nothing.
#[utoipa::path(
    put,
    path = "/v2/dictionary/policy",
    operation_id = "setDictionaryPolicy",
    tag = "Dictionary",
    request_body = DictionaryPolicy,
    responses((status = 200, description = "The policy.", body = DictionaryPolicy))
)]
pub(crate) async fn set_policy(
    program: Program,
    Of(state): Of<State>,
    Sent(sent): Sent<DictionaryPolicy>,
) -> Answer {
    let change = PolicyChange {
        undefined_events: Some(sent.undefined_events.into()),
        undefined_properties: Some(sent.undefined_properties.into()),
        mismatched_properties: Some(sent.mismatched_properties.into()),
        undefined_profile: Some(sent.undefined_profile.into()),
        mismatched_profile: Some(sent.mismatched_profile.into()),
    };
    let change = DictionaryChange::Policy(change);
    json(&shown(&change_dictionary(&program, &state, change).await?))
}

pub(super) async fn read(program: &Program, state: &State) -> Result<DictionaryView> {
    let (actor, account) = (program.actor(), program.account());
    Ok(state.control().dictionary(actor, account).await?)
}

pub(super) async fn change_dictionary(
    program: &Program,
    state: &State,
    change: DictionaryChange,
) -> Result<DictionaryView> {
    let (actor, account) = (program.actor(), program.account());
    let control = state.control();
    Ok(control.change_dictionary(actor, account, change).await?)
}

fn event(
    name: &str,
    said: &DictionaryView,
    seen: &BTreeMap<Box<str>, EventStats>,
) -> DictionaryEvent {
    let view = said.events.iter().find(|it| it.name == name);
    let stats = seen.get(name);
    DictionaryEvent {
        name: name.to_owned(),
        status: match view.map(|it| it.status) {
            Some("discarded") => "discarded",
            _ if is_system_event(name) => "system",
            Some(_) => "known",
            None => "seen",
        },
        properties: view.map_or_else(Vec::new, |it| it.properties.iter().map(known).collect()),
        count: stats.map_or(0, |it| it.count),
        first_seen: stats.map(|it| Moment(it.first_seen)),
        last_seen: stats.map(|it| Moment(it.last_seen)),
    }
}

fn shown(said: &DictionaryView) -> DictionaryPolicy {
    let whole = |word: &str| match word {
        "drop" => WholePolicy::Drop,
        _ => WholePolicy::Accept,
    };
    let property = |word: &str| match word {
        "drop_property" => PropertyPolicy::DropProperty,
        "drop_event" => PropertyPolicy::DropEvent,
        _ => PropertyPolicy::Accept,
    };
    DictionaryPolicy {
        undefined_events: whole(said.undefined_events),
        undefined_properties: property(said.undefined_properties),
        mismatched_properties: property(said.mismatched_properties),
        undefined_profile: whole(said.undefined_profile),
        mismatched_profile: whole(said.mismatched_profile),
    }
}
