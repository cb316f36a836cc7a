//! What an account says of its events.

use anyhow::{Context as _, Result};
use control::{Actor, DictionaryChange as Change};
use governance::{UndefinedEvents, UndefinedProperties};
use serde_json::{Value, json};

use super::execute::account_id;
use super::request::{DictionaryChange, Events, Properties};
use crate::compose::Installation;

/// Carries a change out, and shows what holds now.
pub(super) async fn say(
    installation: &Installation,
    actor: &Actor,
    account: &str,
    change: Option<DictionaryChange>,
) -> Result<Value> {
    let control = installation.control();
    let id = account_id(account)?;
    let said = match change {
        None => control.dictionary(actor, id).await,
        Some(change) => control.change_dictionary(actor, id, of(change)).await,
    };
    let said = said.with_context(|| format!("failed to say what account {id} knows"))?;
    let mut value = serde_json::to_value(said).context("failed to show a dictionary")?;
    if let Some(members) = value.as_object_mut() {
        members.insert("account_id".to_owned(), json!(id.as_str()));
    }
    Ok(value)
}

fn of(change: DictionaryChange) -> Change {
    match change {
        DictionaryChange::Define { event, properties } => Change::Define(event, properties),
        DictionaryChange::Discard(event) => Change::Discard(event),
        DictionaryChange::Forget(event) => Change::Forget(event),
        DictionaryChange::Events(policy) => Change::Events(match policy {
            Events::Accept => UndefinedEvents::Accept,
            Events::Drop => UndefinedEvents::Drop,
        }),
        DictionaryChange::Properties(policy) => Change::Properties(match policy {
            Properties::Accept => UndefinedProperties::Accept,
            Properties::DropProperty => UndefinedProperties::DropProperty,
            Properties::DropEvent => UndefinedProperties::DropEvent,
        }),
    }
}
