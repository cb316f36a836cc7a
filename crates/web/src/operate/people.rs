//! One person: all that is held of them as a file, what a deletion would take, and its order.
//!
//! What the reader may not see is masked by the policy. The audit log has its entry before a row is
//! read.

use control::{Action, Actor, AuditOutcome, DeletionId, LedgerKey};
use governance::Stretch;
use model::{AccountId, PersonKey};
use query::{EventRow, EventsQuery, Lookup, PersonView, ReadPolicy};
use std::fmt::Write as _;

use super::rows::{number, rows_under};
use super::{Error, Result, portrait};
use crate::State;

/// Events of one file. Whoever has more is exported by the command line.
const EVENTS_MAX: usize = 50_000;
/// Events that are read at a time.
const PAGE: usize = 2_000;
/// Keys whose rows are counted.
const KEYS_MAX: usize = 100;

/// Somebody who looks at people of one account.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    pub(crate) state: &'a State,
    pub(crate) actor: &'a Actor,
    pub(crate) account: AccountId,
    pub(crate) policy: &'a ReadPolicy,
}

/// What a deletion of one person would take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) events: u64,
    pub(crate) properties: u64,
    pub(crate) changes: u64,
    pub(crate) devices: u64,
    /// Identities and devices that are hidden.
    pub(crate) keys: u64,
    /// Records in quarantine.
    pub(crate) quarantined: u64,
}

/// The keys by which a person is named, each in its stretch of time: that by which they were asked for
/// first.
pub(crate) fn own_keys(person: PersonKey, view: &PersonView) -> Vec<(PersonKey, Stretch)> {
    let mut keys = view.keys.clone();
    if keys.is_empty() {
        keys.push((person, Stretch::WHOLE));
    }
    keys.sort_by_key(|(key, _)| *key != person);
    keys
}

impl Reader<'_> {
    /// A person of the account by one of their keys, and the key that they are called by.
    pub(crate) async fn find(self, key: PersonKey) -> Result<Option<(PersonKey, PersonView)>> {
        let lookup = Lookup::Key(key);
        let found = self.state.engine().profile(self.policy, &lookup).await?;
        Ok(found.map(|view| (view.key.unwrap_or(key), view)))
    }

    /// Writes down that something of a person is shown.
    pub(crate) async fn note(
        self,
        action: Action,
        object: &str,
        words: &str,
        outcome: AuditOutcome,
    ) -> Result<()> {
        let control = self.state.control();
        control
            .audit(self.actor, self.account, action, object, words, outcome)
            .await?;
        Ok(())
    }

    /// All that is held of a person, as JSON: profile, devices, events.
    ///
    /// # Errors
    /// Invalid for more than 50,000 events; denied; unavailable.
    pub(crate) async fn file(self, person: PersonKey, view: &PersonView) -> Result<String> {
        let object = person.to_string();
        let words = "one person as JSON";
        self.note(Action::Exported, &object, words, AuditOutcome::Begun)
            .await?;
        let events = self.events(person).await?;
        let number = events.len();
        let mut text = format!("{{\"person\":{},\"events\":[", portrait::of(view)?);
        for (place, event) in events.iter().enumerate() {
            text.push_str(if place == 0 { "\n" } else { ",\n" });
            push(&mut text, event);
        }
        text.push_str("\n]}\n");
        let words = format!("one person as JSON: {number} events");
        self.note(Action::Exported, &object, &words, AuditOutcome::Done)
            .await?;
        Ok(text)
    }

    /// Every event of the person, the newest first.
    async fn events(self, person: PersonKey) -> Result<Vec<EventRow>> {
        let everything = EventsQuery::default();
        let mut events: Vec<EventRow> = Vec::new();
        let mut before = None;
        loop {
            let engine = self.state.engine();
            let page = engine.latest_events(self.policy, &everything, Some(person), before, PAGE);
            let page = page.await?;
            events.extend(page.records);
            before = page.next;
            if before.is_none() {
                return Ok(events);
            }
            if events.len() >= EVENTS_MAX {
                let text = format!("a file of one person has at most {EVENTS_MAX} events");
                return Err(Error::Invalid(text));
            }
        }
    }

    /// What a deletion would take.
    ///
    /// # Errors
    /// Denied; unavailable: without its entry in the audit log nothing is counted.
    pub(crate) async fn extent(self, person: PersonKey, view: &PersonView) -> Result<Extent> {
        let (object, words) = (person.to_string(), "counts before a deletion");
        self.note(
            Action::DeletionPreviewed,
            &object,
            words,
            AuditOutcome::Done,
        )
        .await?;
        let wide = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let mut keys: Vec<PersonKey> = view.keys.iter().map(|(key, _)| *key).collect();
        if keys.is_empty() {
            keys.push(person);
        }
        keys.truncate(KEYS_MAX);
        let of_person: Vec<String> = keys
            .iter()
            .map(|key| format!("person_key = X'{key}'"))
            .collect();
        let of_person = of_person.join(" OR ");
        let rows = async |table: &str| -> Result<u64> {
            let sql = format!("SELECT count(*) AS n FROM {table} WHERE {of_person}");
            let rows = rows_under(self.state, self.policy, &sql).await?;
            Ok(rows.first().map_or(0, |row| number(row, "n")))
        };
        let (changes, quarantined) = tokio::try_join!(rows("profile_changes"), rows("quarantine"))?;
        Ok(Extent {
            events: view.events.values().map(|it| it.count).sum(),
            properties: wide(view.profile.properties.len()),
            changes,
            devices: wide(view.profile.devices.len()),
            keys: wide(view.keys.len()),
            quarantined,
        })
    }

    /// Orders the deletion of a person with every key that the links show to be theirs.
    ///
    /// # Errors
    /// As [`control::Control::request_deletion`].
    pub(crate) async fn delete(self, person: PersonKey, reason: &str) -> Result<DeletionId> {
        let engine = self.state.engine();
        let found = engine.person_keys(self.policy, &[person]).await?;
        let mut keys: Vec<LedgerKey> = found
            .keys
            .into_iter()
            .map(|(person, stretch)| LedgerKey {
                person,
                from: stretch.from,
                to: stretch.to,
            })
            .collect();
        if !keys.iter().any(|it| it.person == person) {
            keys.push(LedgerKey::whole(person));
        }
        let control = self.state.control();
        let ordered = control.request_deletion(self.actor, self.account, keys, reason);
        Ok(ordered.await?)
    }
}

/// One event as JSON; its properties as they were sent.
pub(crate) fn push(text: &mut String, event: &EventRow) {
    let name = serde_json::Value::String(event.name.to_string());
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "{{\"name\":{name},\"ts\":\"{}\",\"received_at\":\"{}\",\"source\":\"{}\",\"properties\":{}",
        event.ts,
        event.received_at,
        event.source.as_str(),
        event.properties.as_str()
    );
    if let Some(context) = &event.context {
        let _ = write!(text, ",\"context\":{}", context.as_str());
    }
    text.push('}');
}
