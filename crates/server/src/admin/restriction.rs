//! Restriction of processing, for the operator.

use anyhow::{Context as _, Result};
use control::Actor;
use model::PersonKey;
use serde_json::{Value, json};

use super::execute::{find_person, key_of, nobody, person_policy, rules_of_people};
use super::{RestrictionAct, Whom};
use crate::compose::Installation;

/// Restricts, lifts, or shows what was.
pub(super) async fn execute(
    installation: &Installation,
    actor: &Actor,
    account: &str,
    whom: Whom,
    act: Option<RestrictionAct>,
) -> Result<Value> {
    let rules = rules_of_people(installation, account)?;
    let named = match key_of(&rules, &whom) {
        Some(key) => key,
        None => {
            let found = find_person(installation, &rules, whom).await?;
            found.and_then(|view| view.key).ok_or_else(nobody)?
        }
    };
    let policy = person_policy(rules.id, Some(&rules));
    let found = installation.engine().person_keys(&policy, &[named]).await?;
    let mut keys: Vec<PersonKey> = found
        .keys
        .into_iter()
        // A device that others used too names nobody.
        .filter(|(_, stretch)| stretch.is_whole())
        .map(|(key, _)| key)
        .filter(|it| *it != named)
        .collect();
    keys.insert(0, named);
    let control = installation.control();
    let done = match &act {
        None => Ok(()),
        Some(RestrictionAct::Restrict(reason)) => {
            control.restrict(actor, rules.id, &keys, reason).await
        }
        Some(RestrictionAct::Lift(reason)) => {
            control
                .lift_restriction(actor, rules.id, &keys, reason)
                .await
        }
    };
    done.context("failed to change the restriction")?;
    let history = control.restrictions(actor, rules.id, &keys).await;
    let history = history.context("failed to read the restrictions")?;
    let is_restricted = history.iter().any(|it| it.lifted_at.is_none());
    let line = |it: &control::Restriction| {
        json!({
            "set_at": it.set_at.to_string(),
            "set_by": it.set_by,
            "reason": it.reason,
            "lifted_at": it.lifted_at.map(|at| at.to_string()),
            "lifted_by": it.lifted_by,
            "lift_reason": it.lift_reason,
        })
    };
    let history: Vec<Value> = history.iter().map(line).collect();
    Ok(json!({
        "account_id": rules.id.as_str(),
        "person_key": named.to_string(),
        "restricted": is_restricted,
        "history": history,
    }))
}
