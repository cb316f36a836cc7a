//! Restriction of processing, for the operator.

use anyhow::{Context as _, Result};
use control::Actor;
use governance::Stretch;
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
    let by_name = key_of(&rules, &whom);
    // Whoever is found by a device is named by an identity, if there is one: a device changes hands.
    let found = find_person(installation, &rules, whom).await?;
    let named = found.and_then(|view| view.key).or(by_name);
    let named = named.ok_or_else(nobody)?;
    let policy = person_policy(rules.id, Some(&rules));
    let mut keys = installation
        .engine()
        .person_keys(&policy, &[named])
        .await?
        .keys;
    if keys.is_empty() {
        keys.push((named, Stretch::WHOLE));
    }
    keys.sort_by_key(|(key, _)| *key != named);
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
