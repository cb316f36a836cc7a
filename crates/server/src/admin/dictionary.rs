//! What an account says of its events.

use anyhow::{Context as _, Result};
use control::{Actor, ClassChange, DictionaryChange as Change, PolicyChange};
use governance::Declared;
use serde_json::{Value, json};

use super::execute::account_id;
use super::request::{
    Class, DeclaredKind, DictionaryChange, Mask, PropertyOf, Unfit, UnfitProperty,
};
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
        None => {
            let said = control.dictionary(actor, id).await;
            said.with_context(|| format!("failed to show the dictionary of account {id}"))?
        }
        Some(change) => {
            let said = control.change_dictionary(actor, id, of(change)).await;
            said.with_context(|| format!("the dictionary of account {id} was not changed"))?
        }
    };
    let mut value = serde_json::to_value(said).context("failed to show a dictionary")?;
    if let Some(members) = value.as_object_mut() {
        members.insert("account_id".to_owned(), json!(id.as_str()));
    }
    Ok(value)
}

fn of(change: DictionaryChange) -> Change {
    match change {
        DictionaryChange::Define { event, properties } => Change::Define(event, properties),
        DictionaryChange::Declare {
            event,
            property,
            kind,
            is_mandatory,
        } => {
            let kind = kind.map(kind_of);
            Change::Declare(event, property, Declared { kind, is_mandatory })
        }
        DictionaryChange::Discard(event) => Change::Discard(event),
        DictionaryChange::Forget(event) => Change::Forget(event),
        DictionaryChange::ForgetProperty { event, property } => {
            Change::ForgetProperty(event, property)
        }
        DictionaryChange::Policy(policy) => Change::Policy(PolicyChange {
            undefined_events: policy.events.map(unfit),
            undefined_properties: policy.properties.map(unfit_property),
            mismatched_properties: policy.mismatches.map(unfit_property),
            undefined_profile: policy.profile.map(unfit),
            mismatched_profile: policy.profile_mismatches.map(unfit),
        }),
        DictionaryChange::Class {
            of,
            property,
            class,
            mask,
        } => Change::Class(ClassChange {
            of: match of {
                PropertyOf::Event => governance::PropertyOf::Event,
                PropertyOf::Person => governance::PropertyOf::Person,
            },
            property,
            class: class.map(class_of),
            mask: mask.map(|mask| match mask {
                Mask::Placeholder => governance::Mask::Placeholder,
                Mask::Partial => governance::Mask::Partial,
            }),
        }),
    }
}

const fn class_of(class: Class) -> governance::Class {
    match class {
        Class::None => governance::Class::None,
        Class::Identifier => governance::Class::Identifier,
        Class::Contact => governance::Class::Contact,
        Class::Location => governance::Class::Location,
        Class::Sensitive => governance::Class::Sensitive,
        Class::FreeText => governance::Class::FreeText,
    }
}

const fn unfit(it: Unfit) -> governance::Unfit {
    match it {
        Unfit::Accept => governance::Unfit::Accept,
        Unfit::Drop => governance::Unfit::Drop,
    }
}

const fn unfit_property(it: UnfitProperty) -> governance::UnfitProperty {
    match it {
        UnfitProperty::Accept => governance::UnfitProperty::Accept,
        UnfitProperty::DropProperty => governance::UnfitProperty::DropProperty,
        UnfitProperty::DropEvent => governance::UnfitProperty::DropEvent,
    }
}

const fn kind_of(it: DeclaredKind) -> governance::DeclaredKind {
    match it {
        DeclaredKind::Text => governance::DeclaredKind::Text,
        DeclaredKind::Number => governance::DeclaredKind::Number,
        DeclaredKind::Boolean => governance::DeclaredKind::Boolean,
        DeclaredKind::Date => governance::DeclaredKind::Date,
        DeclaredKind::List => governance::DeclaredKind::List,
        DeclaredKind::Object => governance::DeclaredKind::Object,
    }
}
