//! `GET /getSchema?type=events|userProperties`: the names in use.

use axum::extract::{Request, State as Of};
use axum::response::Response;
use collect::Call;
use control::{NAMES_MAX, NameView};
use query::EventStats;
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::task::spawn_blocking;
use wire::rest::Refusal;

use super::{actor, enter, policy, respond};
use crate::{Result, State};

pub(crate) const PATH: &str = "/getSchema";

/// By either verb.
pub(crate) async fn any(Of(state): Of<State>, request: Request) -> Response {
    match enter(&state, PATH, request).await {
        Ok(call) => respond(answer(&state, &call).await, call.facts),
        Err(response) => response,
    }
}

async fn answer(state: &State, call: &Call) -> Result<String> {
    let (engine, policy) = (state.engine(), policy(call));
    let mut wanted = call
        .query
        .split('&')
        .filter_map(|it| it.strip_prefix("type="));
    match (wanted.next(), wanted.next()) {
        (Some("events"), None) => {
            let names = engine.event_names(&policy).await?;
            let learned = names_in_use(state, call).await?;
            let rules = Arc::clone(&call.caller.rules);
            Ok(spawn_blocking(move || events(&names, &rules.discarded_events, &learned)).await?)
        }
        (Some("userProperties"), None) => {
            let names = engine.profile_properties(&policy).await?;
            let learned = names_in_use(state, call).await?;
            Ok(spawn_blocking(move || user_properties(&names, &learned)).await?)
        }
        _ => Err(Refusal::Malformed.into()),
    }
}

/// Events that happened or are discarded, with what was learned of them.
fn events(
    names: &BTreeMap<Box<str>, EventStats>,
    discarded: &BTreeSet<Box<str>>,
    learned: &[NameView],
) -> String {
    let mut properties: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for it in learned {
        if let (Some(event), Some(property)) = (it.event.as_deref(), property(it)) {
            properties.entry(event).or_default().push(property);
        }
    }
    let seen = names.iter().map(|(name, stats)| (&**name, stats.count));
    let unseen = discarded.iter().filter(|it| !names.contains_key(*it));
    let listed = most_seen(seen.chain(unseen.map(|name| (&**name, 0))));
    let events = listed.into_iter().map(|(name, count)| {
        let is_discarded = discarded.contains(name);
        let status = if is_discarded { "Discarded" } else { "Active" };
        json!({
            "name": name,
            "eventCount": count,
            "status": status,
            "properties": properties.remove(name).unwrap_or_default(),
        })
    });
    let events: Vec<Value> = events.collect();
    json!({"status": "success", "events": events}).to_string()
}

/// Properties that profiles have had, with what was learned of them.
fn user_properties(names: &BTreeSet<Box<str>>, learned: &[NameView]) -> String {
    let of_people = learned.iter().filter(|it| it.event.is_none());
    let known: BTreeMap<&str, &NameView> = of_people
        .filter_map(|it| Some((it.property.as_deref()?, it)))
        .collect();
    let count = |name: &str| known.get(name).map_or(0, |it| it.count);
    let listed = most_seen(names.iter().map(|name| (&**name, count(name))));
    let properties = listed.into_iter().map(|(name, _)| {
        let known = known.get(name).and_then(|it| property(it));
        known.unwrap_or_else(|| json!({"name": name}))
    });
    let properties: Vec<Value> = properties.collect();
    json!({"status": "success", "userProperties": properties}).to_string()
}

/// The names that are listed, in order: anybody who may send can make names up, so that of too many
/// those that were seen most are.
fn most_seen<'n>(names: impl Iterator<Item = (&'n str, u64)>) -> Vec<(&'n str, u64)> {
    let mut names: Vec<_> = names.collect();
    names.sort_by_key(|(_, count)| Reverse(*count));
    names.truncate(NAMES_MAX);
    names.sort_unstable();
    names
}

/// The names that were counted until the last flush.
async fn names_in_use(state: &State, call: &Call) -> Result<Vec<NameView>> {
    let account = call.caller.account();
    let names = state
        .control()
        .names_in_use(&actor(call), account, &[])
        .await;
    Ok(names?)
}

/// A property, by its name; none for an event.
fn property(it: &NameView) -> Option<Value> {
    let name = it.property.as_deref()?;
    Some(json!({"name": name, "type": it.kind.unwrap_or("null"), "count": it.count}))
}

#[cfg(test)]
mod tests {
    use super::{NAMES_MAX, events, user_properties};
    use control::NameView;
    use model::Timestamp;
    use query::EventStats;
    use serde_json::{Value, json};
    use std::collections::{BTreeMap, BTreeSet};

    const AT: Timestamp = Timestamp::from_ms(0);

    fn made_up() -> impl Iterator<Item = Box<str>> {
        (0..NAMES_MAX).map(|n| format!("made up {n}").into_boxed_str())
    }

    fn used(event: Option<&str>, property: &str, count: u64) -> NameView {
        NameView {
            scope: "",
            event: event.map(str::to_owned),
            property: Some(property.to_owned()),
            count,
            kind: Some("text"),
            kinds: BTreeMap::new(),
            first_seen: AT,
            last_seen: AT,
        }
    }

    #[test]
    fn of_too_many_events_those_seen_most_are_listed_with_their_properties() {
        let seen = |count| EventStats {
            count,
            first_seen: AT,
            last_seen: AT,
        };
        let mut names: BTreeMap<Box<str>, EventStats> =
            made_up().map(|name| (name, seen(1))).collect();
        names.insert("Viewed".into(), seen(2));
        let discarded: BTreeSet<Box<str>> = ["Noise".into(), "Viewed".into()].into();
        let learned = [
            used(Some("Bought"), "price", 1),
            used(Some("Viewed"), "what", 2),
            used(Some("Viewed"), "where", 1),
            used(None, "Plan", 1),
        ];
        let answer: Value = serde_json::from_str(&events(&names, &discarded, &learned)).unwrap();
        let listed = answer["events"].as_array().unwrap();
        assert_eq!(listed.len(), NAMES_MAX);
        let viewed = json!({
            "name": "Viewed",
            "eventCount": 2,
            "status": "Discarded",
            "properties": [
                {"name": "what", "type": "text", "count": 2},
                {"name": "where", "type": "text", "count": 1},
            ],
        });
        assert_eq!(listed[0], viewed);
        assert!(listed.iter().all(|it| it["name"] != "Noise"));
    }

    #[test]
    fn of_too_many_properties_those_seen_most_are_listed() {
        let mut names: BTreeSet<Box<str>> = made_up().collect();
        names.insert("zone".into());
        let learned = [used(None, "zone", 1), used(Some("Viewed"), "made up 0", 5)];
        let answer: Value = serde_json::from_str(&user_properties(&names, &learned)).unwrap();
        let listed = answer["userProperties"].as_array().unwrap();
        assert_eq!(listed.len(), NAMES_MAX);
        assert_eq!(listed[0], json!({"name": "made up 0"}));
        let zone = json!({"name": "zone", "type": "text", "count": 1});
        assert_eq!(listed[NAMES_MAX - 1], zone);
    }
}
