//! What an account says of its events: which it knows, with which properties, which it has discarded,
//! and what becomes of others.
//!
//! It is said here and holds in collection, which works from the account's rules. Names of events are
//! the account's own words, not personal data.

use governance::{Dictionary, UndefinedEvents, UndefinedProperties};
use model::submission::is_system_event;
use model::{AccountId, limit};
use serde::Serialize;
use sqlx::Row as _;
use std::collections::{BTreeMap, BTreeSet};

use crate::account::{Record, read};
use crate::audit::Action;
use crate::authz::Act;
use crate::control::{Control, Desk};
use crate::database::Session;
use crate::{Actor, Error, Result};

/// Events that one account may say something of.
const EVENTS_MAX: usize = 2_000;
const KNOWN: &str = "known";
const DISCARDED: &str = "discarded";

/// A change of what an account says of its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DictionaryChange {
    /// It knows an event, discarded before or not, and these properties of it beside those it knew.
    Define(String, Vec<String>),
    /// It does not want an event any more.
    Discard(String),
    /// It says nothing of an event any more.
    Forget(String),
    /// What becomes of events that it does not know.
    Events(UndefinedEvents),
    /// What becomes of properties that it does not know.
    Properties(UndefinedProperties),
}

/// What an account says of its events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DictionaryView {
    /// `accept` or `drop`.
    pub undefined_events: &'static str,
    /// `accept`, `drop_property` or `drop_event`.
    pub undefined_properties: &'static str,
    /// Every event that it says something of, by name.
    pub events: Vec<EventView>,
}

/// What an account says of one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EventView {
    /// The event's name.
    pub name: String,
    /// `known` or `discarded`.
    pub status: &'static str,
    /// The properties that it knows.
    pub properties: Vec<String>,
}

/// What is read of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Said {
    pub(crate) dictionary: Dictionary,
    pub(crate) discarded: BTreeSet<Box<str>>,
}

impl Said {
    /// Sets what becomes of what is not known, by the words of the database.
    pub(crate) fn set_policy(&mut self, events: &str, properties: &str) -> Result<()> {
        let unknown = || Error::damaged("an account", "its dictionary's policy is unknown");
        let events = EVENTS.iter().find(|(_, word)| *word == events);
        let properties = PROPERTIES.iter().find(|(_, word)| *word == properties);
        self.dictionary.undefined_events = events.ok_or_else(unknown)?.0;
        self.dictionary.undefined_properties = properties.ok_or_else(unknown)?.0;
        Ok(())
    }

    fn add(&mut self, event: &str, property: &str, status: &str) {
        match (property, status) {
            ("", DISCARDED) => {
                self.discarded.insert(Box::from(event));
            }
            ("", _) => {
                self.dictionary.events.entry(Box::from(event)).or_default();
            }
            (property, _) => {
                let properties = self.dictionary.events.entry(Box::from(event)).or_default();
                properties.insert(Box::from(property));
            }
        }
    }

    /// For people and programs.
    fn view(&self) -> DictionaryView {
        let mut events: BTreeMap<&str, EventView> = BTreeMap::new();
        for (name, properties) in &self.dictionary.events {
            let view = EventView {
                name: name.to_string(),
                status: KNOWN,
                properties: properties.iter().map(ToString::to_string).collect(),
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
        DictionaryView {
            undefined_events: events_word(self.dictionary.undefined_events),
            undefined_properties: properties_word(self.dictionary.undefined_properties),
            events: events.into_values().collect(),
        }
    }
}

const EVENTS: [(UndefinedEvents, &str); 2] = [
    (UndefinedEvents::Accept, "accept"),
    (UndefinedEvents::Drop, "drop"),
];
const PROPERTIES: [(UndefinedProperties, &str); 3] = [
    (UndefinedProperties::Accept, "accept"),
    (UndefinedProperties::DropProperty, "drop_property"),
    (UndefinedProperties::DropEvent, "drop_event"),
];

fn events_word(policy: UndefinedEvents) -> &'static str {
    let found = EVENTS.iter().find(|(it, _)| *it == policy);
    found.map_or("accept", |(_, word)| word)
}

fn properties_word(policy: UndefinedProperties) -> &'static str {
    let found = PROPERTIES.iter().find(|(it, _)| *it == policy);
    found.map_or("accept", |(_, word)| word)
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
        Ok(record.said.view())
    }

    /// Changes what an account says of its events.
    ///
    /// # Errors
    /// [`model::ErrorKind::Invalid`] for a name that no event or property can have, for an event of
    /// the system's, and for more than there may be; [`model::ErrorKind::NotFound`] when something is
    /// to be forgotten that was not said; as [`Control::account`].
    pub async fn change_dictionary(
        &self,
        actor: &Actor,
        id: AccountId,
        change: DictionaryChange,
    ) -> Result<DictionaryView> {
        check(&change)?;
        self.change(actor, Act::ManageDictionary, id, move |session, desk| {
            Box::pin(async move {
                let text = apply(session, id, &change).await?;
                let record = read(session, id).await?;
                let said = &record.said;
                let count = said.dictionary.events.len().max(said.discarded.len());
                let most = said.dictionary.events.values().map(BTreeSet::len).max();
                if count > EVENTS_MAX || most.unwrap_or(0) > limit::EVENT_PROPERTIES_MAX {
                    let text = format!(
                        "an account knows at most {EVENTS_MAX} events of {} properties each",
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
        DictionaryChange::Define(event, properties) => (event, &properties[..]),
        DictionaryChange::Discard(event) | DictionaryChange::Forget(event) => (event, &[][..]),
        DictionaryChange::Events(_) | DictionaryChange::Properties(_) => return Ok(()),
    };
    let is_legal = !event.is_empty() && event.chars().count() <= limit::EVENT_NAME_CHARS_MAX;
    let fits = |it: &String| (1..=limit::PROPERTY_KEY_BYTES_MAX).contains(&it.len());
    if !is_legal || !properties.iter().all(fits) {
        let text = "no event or property can have that name";
        return Err(Error::Invalid(text.to_owned()));
    }
    if is_system_event(event) && !matches!(change, DictionaryChange::Discard(_)) {
        let text = format!("`{event}` is an event of the system: it is always known");
        return Err(Error::Invalid(text));
    }
    Ok(())
}

/// Carries a change out; what the audit log says of it.
async fn apply(session: &mut Session, id: AccountId, change: &DictionaryChange) -> Result<String> {
    match change {
        DictionaryChange::Define(event, properties) => {
            put(session, id, event, "", KNOWN).await?;
            for property in properties {
                put(session, id, event, property, KNOWN).await?;
            }
            let count = properties.len();
            Ok(format!("event `{event}` is known, {count} properties more"))
        }
        DictionaryChange::Discard(event) => {
            put(session, id, event, "", DISCARDED).await?;
            Ok(format!("event `{event}` is discarded"))
        }
        DictionaryChange::Forget(event) => {
            let done = sqlx::query("DELETE FROM dictionary WHERE account = $1 AND event = $2")
                .bind(id.as_str().to_owned())
                .bind(event.clone())
                .execute(session.connection())
                .await
                .map_err(Error::database("forget an event"))?;
            if done.rows_affected() == 0 {
                return Err(Error::NotFound(format!(
                    "event `{event}` in the dictionary"
                )));
            }
            Ok(format!("nothing is said of event `{event}` any more"))
        }
        DictionaryChange::Events(policy) => {
            let word = events_word(*policy);
            set_policy(session, id, SET_EVENTS, word).await?;
            Ok(format!("undefined events: {word}"))
        }
        DictionaryChange::Properties(policy) => {
            let word = properties_word(*policy);
            set_policy(session, id, SET_PROPERTIES, word).await?;
            Ok(format!("undefined properties: {word}"))
        }
    }
}

async fn put(
    session: &mut Session,
    id: AccountId,
    event: &str,
    property: &str,
    status: &'static str,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO dictionary (account, event, property, status) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (account, event, property) DO UPDATE SET status = excluded.status",
    )
    .bind(id.as_str().to_owned())
    .bind(event.to_owned())
    .bind(property.to_owned())
    .bind(status)
    .execute(session.connection())
    .await
    .map(|_| ())
    .map_err(Error::database("write an event of the dictionary"))
}

const SET_EVENTS: &str = "UPDATE accounts SET undefined_events = $1 WHERE id = $2";
const SET_PROPERTIES: &str = "UPDATE accounts SET undefined_properties = $1 WHERE id = $2";

async fn set_policy(
    session: &mut Session,
    id: AccountId,
    sql: &'static str,
    word: &'static str,
) -> Result<()> {
    sqlx::query(sql)
        .bind(word)
        .bind(id.as_str().to_owned())
        .execute(session.connection())
        .await
        .map(|_| ())
        .map_err(Error::database("set the dictionary's policy"))
}

/// Reads what every account says into its record.
pub(crate) async fn read_into(session: &mut Session, records: &mut [Record]) -> Result<()> {
    const ACT: &str = "read the dictionaries";
    let rows = sqlx::query(
        "SELECT account, event, property, status FROM dictionary ORDER BY account, event, property",
    )
    .fetch_all(session.connection())
    .await
    .map_err(Error::database(ACT))?;
    for row in &rows {
        let text = |index: usize| {
            row.try_get::<String, _>(index)
                .map_err(Error::database(ACT))
        };
        let (account, event, property, status) = (text(0)?, text(1)?, text(2)?, text(3)?);
        let found = records.binary_search_by(|record| record.id.as_str().cmp(&account));
        if let Some(record) = found.ok().and_then(|index| records.get_mut(index)) {
            record.said.add(&event, &property, &status);
        }
    }
    Ok(())
}
