//! What an account says of its events and of people's properties: which it knows and of which kind,
//! which events it has discarded, and what becomes of others.
//!
//! It is said here and holds in collection, which works from the account's rules. Names of events and
//! properties are the account's own words, not personal data.

mod store;

use governance::{Declared, DeclaredKind, Dictionary, Policy, Properties, Unfit, UnfitProperty};
use model::submission::{is_predefined_property, is_system_event};
use model::{AccountId, limit};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

use crate::account::read;
use crate::audit::Action;
use crate::authz::Act;
use crate::classes::{self, ClassChange, ClassView};
use crate::control::{Control, Desk};
use crate::database::Session;
use crate::{Actor, Error, Result};

pub(crate) use store::read_into;

/// Events that one account may say something of.
const EVENTS_MAX: usize = 2_000;
/// Properties of people that one account may say something of.
const PROFILE_PROPERTIES_MAX: usize = 2_000;
const KNOWN: &str = "known";
const DISCARDED: &str = "discarded";

/// A change of what an account says of its events and of people's properties.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DictionaryChange {
    /// It knows an event, discarded before or not, and these properties of it beside those it knew.
    Define(String, Vec<String>),
    /// It knows a property of an event, or of people where there is no event, and says this of it.
    Declare(Option<String>, String, Declared),
    /// It does not want an event any more.
    Discard(String),
    /// It says nothing of an event any more.
    Forget(String),
    /// It says nothing of a property any more: of an event, or of people where there is none.
    ForgetProperty(Option<String>, String),
    /// What becomes of what it does not know, and of values of another kind.
    Policy(PolicyChange),
    /// What a property is: which class of personal information, and how it is masked.
    Class(ClassChange),
}

impl DictionaryChange {
    /// What it needs: whoever says which events there are does not say with that who sees what.
    const fn act(&self) -> Act {
        match self {
            Self::Class(_) => Act::ClassifyProperties,
            Self::Define(..)
            | Self::Declare(..)
            | Self::Discard(_)
            | Self::Forget(_)
            | Self::ForgetProperty(..)
            | Self::Policy(_) => Act::ManageDictionary,
        }
    }
}

/// What changes of an account's policy; what is not named stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PolicyChange {
    /// Events that it does not know.
    pub undefined_events: Option<Unfit>,
    /// Properties that it does not know, of events that it does.
    pub undefined_properties: Option<UnfitProperty>,
    /// Properties of events with a value of another kind.
    pub mismatched_properties: Option<UnfitProperty>,
    /// Properties of people that it does not know.
    pub undefined_profile: Option<Unfit>,
    /// Properties of people with a value of another kind.
    pub mismatched_profile: Option<Unfit>,
}

impl PolicyChange {
    /// The names of the rules, and the words of what is to become of each.
    fn words(self) -> [(&'static str, Option<&'static str>); 5] {
        [
            ("undefined_events", self.undefined_events.map(Unfit::as_str)),
            (
                "undefined_properties",
                self.undefined_properties.map(UnfitProperty::as_str),
            ),
            (
                "mismatched_properties",
                self.mismatched_properties.map(UnfitProperty::as_str),
            ),
            (
                "undefined_profile",
                self.undefined_profile.map(Unfit::as_str),
            ),
            (
                "mismatched_profile",
                self.mismatched_profile.map(Unfit::as_str),
            ),
        ]
    }
}

/// What an account says of its events and of people's properties.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DictionaryView {
    /// Of events that it does not know: `accept` or `drop`.
    pub undefined_events: &'static str,
    /// Of properties that it does not know: `accept`, `drop_property` or `drop_event`.
    pub undefined_properties: &'static str,
    /// Of properties with a value of another kind: as above.
    pub mismatched_properties: &'static str,
    /// Of properties of people that it does not know: `accept` or `drop`.
    pub undefined_profile: &'static str,
    /// Of properties of people with a value of another kind: as above.
    pub mismatched_profile: &'static str,
    /// Every event that it says something of, by name.
    pub events: Vec<EventView>,
    /// Every property of people that it knows, by name.
    pub profile: Vec<PropertyView>,
    /// Every property that is personal information, or of which it said whether it is.
    pub classes: Vec<ClassView>,
}

/// What an account says of one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EventView {
    /// The event's name.
    pub name: String,
    /// `known` or `discarded`.
    pub status: &'static str,
    /// The properties that it knows.
    pub properties: Vec<PropertyView>,
}

/// What an account says of one property.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PropertyView {
    /// The property's name.
    pub name: String,
    /// The declared kind: `text`, `number`, `boolean`, `date`, `list`, `object`; none for any.
    pub kind: Option<&'static str>,
    /// Whether an event without it is refused.
    pub is_mandatory: bool,
}

/// What is read of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Said {
    pub(crate) dictionary: Dictionary,
    pub(crate) discarded: BTreeSet<Box<str>>,
}

impl Said {
    /// Nothing but what becomes of what does not fit, by the words of the database: of undefined
    /// events and properties, of mismatched properties, of undefined and mismatched ones of people.
    pub(crate) fn of_policy(
        [events, undefined, mismatched, profile, other]: &[&str; 5],
    ) -> Result<Self> {
        let unknown = || Error::damaged("an account", "its dictionary's policy is unknown");
        let unfit = |word| Unfit::from_name(word).ok_or_else(unknown);
        let property = |word| UnfitProperty::from_name(word).ok_or_else(unknown);
        let policy = Policy {
            undefined_events: unfit(events)?,
            undefined_properties: property(undefined)?,
            mismatched_properties: property(mismatched)?,
            undefined_profile: unfit(profile)?,
            mismatched_profile: unfit(other)?,
        };
        Ok(Self {
            dictionary: Dictionary {
                policy,
                ..Dictionary::default()
            },
            discarded: BTreeSet::new(),
        })
    }

    /// For people and programs.
    fn view(&self) -> DictionaryView {
        let mut events: BTreeMap<&str, EventView> = BTreeMap::new();
        for (name, properties) in &self.dictionary.events {
            let view = EventView {
                name: name.to_string(),
                status: KNOWN,
                properties: views(properties),
            };
            events.insert(name, view);
        }
        for name in &self.discarded {
            let view = events.entry(name).or_insert_with(|| EventView {
                name: name.to_string(),
                status: DISCARDED,
                properties: Vec::new(),
            });
            view.status = DISCARDED;
        }
        let policy = self.dictionary.policy;
        DictionaryView {
            undefined_events: policy.undefined_events.as_str(),
            undefined_properties: policy.undefined_properties.as_str(),
            mismatched_properties: policy.mismatched_properties.as_str(),
            undefined_profile: policy.undefined_profile.as_str(),
            mismatched_profile: policy.mismatched_profile.as_str(),
            events: events.into_values().collect(),
            profile: views(&self.dictionary.profile),
            classes: Vec::new(),
        }
    }

    /// Whether it says more than one account may.
    fn is_too_much(&self) -> bool {
        let events = &self.dictionary.events;
        let most = events.values().map(BTreeMap::len).max();
        events.len().max(self.discarded.len()) > EVENTS_MAX
            || most.unwrap_or(0) > limit::EVENT_PROPERTIES_MAX
            || self.dictionary.profile.len() > PROFILE_PROPERTIES_MAX
    }
}

fn views(properties: &Properties) -> Vec<PropertyView> {
    let views = properties.iter().map(|(name, declared)| PropertyView {
        name: name.to_string(),
        kind: declared.kind.map(DeclaredKind::as_str),
        is_mandatory: declared.is_mandatory,
    });
    views.collect()
}

impl Control {
    /// What an account says of its events.
    ///
    /// # Errors
    /// As [`Control::account`].
    pub async fn dictionary(&self, actor: &Actor, id: AccountId) -> Result<DictionaryView> {
        self.account(actor, id).await?;
        let record = self
            .database
            .read(move |session| Box::pin(async move { read(session, id).await }))
            .await?;
        Ok(DictionaryView {
            classes: classes::view(&record.classes),
            ..record.said.view()
        })
    }

    /// Changes what an account says of its events.
    ///
    /// # Errors
    /// [`model::ErrorKind::Invalid`] for a name that no event or property can have, for an event of
    /// the system's that is to be more than discarded or taken again, and for more than there may be;
    /// [`model::ErrorKind::NotFound`] when something is to be forgotten that was not said; as
    /// [`Control::account`].
    pub async fn change_dictionary(
        &self,
        actor: &Actor,
        id: AccountId,
        change: DictionaryChange,
    ) -> Result<DictionaryView> {
        check(&change)?;
        self.change(actor, change.act(), id, move |session, desk| {
            Box::pin(async move {
                let text = store::apply(session, id, &change).await?;
                let record = read(session, id).await?;
                if record.said.is_too_much() {
                    let text = format!(
                        "an account knows at most {EVENTS_MAX} events of {} properties each, and \
                         {PROFILE_PROPERTIES_MAX} properties of people",
                        limit::EVENT_PROPERTIES_MAX
                    );
                    return Err(Error::Invalid(text));
                }
                note(session, &desk, id, text).await
            })
        })
        .await?;
        self.dictionary(actor, id).await
    }
}

async fn note(session: &mut Session, desk: &Desk, id: AccountId, text: String) -> Result<()> {
    desk.note(session, Action::DictionaryChanged, id.to_string(), text)
        .await
}

fn check(change: &DictionaryChange) -> Result<()> {
    let (event, properties) = match change {
        DictionaryChange::Define(event, properties) => (Some(event), &properties[..]),
        DictionaryChange::Declare(event, property, _)
        | DictionaryChange::ForgetProperty(event, property) => {
            (event.as_ref(), std::slice::from_ref(property))
        }
        DictionaryChange::Discard(event) | DictionaryChange::Forget(event) => {
            (Some(event), &[][..])
        }
        DictionaryChange::Class(change) => return classes::check(change),
        DictionaryChange::Policy(_) => return Ok(()),
    };
    let is_legal =
        |it: &String| !it.is_empty() && it.chars().count() <= limit::EVENT_NAME_CHARS_MAX;
    let fits = |it: &String| (1..=limit::PROPERTY_KEY_CHARS_MAX).contains(&it.chars().count());
    if !event.is_none_or(is_legal) || !properties.iter().all(fits) {
        let text = "no event or property can have that name";
        return Err(Error::Invalid(text.to_owned()));
    }
    let of_system = match event {
        Some(event) if is_system_event(event) => Some(format!("`{event}` is an event")),
        Some(_) => None,
        None => {
            let found = properties.iter().find(|it| is_predefined_property(it));
            found.map(|it| format!("`{it}` is a property"))
        }
    };
    // An event of the system can be discarded, and so this can be taken back.
    if let Some(what) = of_system
        && !matches!(
            change,
            DictionaryChange::Discard(_) | DictionaryChange::Forget(_)
        )
    {
        return Err(Error::Invalid(format!(
            "{what} of the system: it is always known"
        )));
    }
    if let DictionaryChange::Declare(None, _, declared) = change
        && declared.is_mandatory
    {
        let text = "only an event's property can be mandatory";
        return Err(Error::Invalid(text.to_owned()));
    }
    Ok(())
}
