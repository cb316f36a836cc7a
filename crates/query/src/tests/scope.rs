//! Whom a reader sees whose roles carry a data filter, and who is restricted: on every way to read.

use futures::StreamExt as _;
use governance::{Condition, Stretch};
use model::record::{ChangeOp, LinkKind};
use model::{ErrorKind, PersonKey};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::world::{HOUR, World, at, person, policy, restricted, without};
use crate::csv::Formulas;
use crate::export::{self, Format};
use crate::{EventsQuery, Lookup, Measure, ProfileParts, ReadPolicy, Rows, Settings, Subject};

/// The device of person `n`.
fn device(n: u8) -> PersonKey {
    person(100 + n)
}

/// A device that persons 1 and 2 share: the first until an hour has gone.
const SHARED: u8 = 200;

/// What stands wherever something is about person `n`, and nowhere else.
fn mark(n: u8) -> String {
    format!("mark-of-{n}-")
}

type Profile = BTreeMap<&'static str, String>;

/// Everybody has a device, events under identity and device, a profile and a refused record.
async fn world(people: &[Profile]) -> World {
    let world = World::new();
    for (n, profile) in (1_u8..).zip(people) {
        let (who, mark) = (person(n), mark(n));
        let event = format!(r#"{{"Mark":"{mark}"}}"#);
        let value = format!("\"{mark}\"");
        let mut changes = vec![("Mark", ChangeOp::Put, value.as_str())];
        changes.extend(
            profile
                .iter()
                .map(|(name, value)| (*name, ChangeOp::Put, value.as_str())),
        );
        world.write([
            world.link(device(n), who, 0, LinkKind::Device),
            world.event(who, "E", 0, &event),
            world.event(device(n), "E", 1, &event),
            world.change(who, 2, &changes),
            world.rejected(Some(who), 3),
        ]);
        if n % 2 == 0 {
            world.flush().await;
        }
    }
    let shared = person(SHARED);
    let of = |n: u8| format!(r#"{{"Mark":"{}"}}"#, mark(n));
    world.write([
        world.link(shared, person(1), 0, LinkKind::Device),
        world.link(shared, person(2), HOUR, LinkKind::Device),
        world.event(shared, "E", 4, &of(1)),
        world.event(shared, "E", HOUR + 4, &of(2)),
        world.rejected(None, 5),
    ]);
    world
}

async fn written(rows: Rows) -> String {
    let mut out = Vec::new();
    let format = Format::Csv(Formulas::Defused);
    export::write(rows, format, &mut out, |_| {}).await.unwrap();
    String::from_utf8(out).unwrap()
}

/// Everything that a reader can read of a table's rows, by the way of reading.
async fn readings(world: &World, policy: &ReadPolicy, people: u8) -> Vec<(String, String)> {
    let engine = &world.engine;
    let all = EventsQuery::default();
    let event = EventsQuery {
        event: Some(String::from("E")),
        ..EventsQuery::default()
    };
    let mut found = Vec::new();
    for text in [
        "SELECT * FROM events",
        "SELECT * FROM people",
        "SELECT * FROM profile_changes",
        "SELECT person_key, to_key FROM links",
        "SELECT person_key, code FROM quarantine",
        "SELECT \"p:Mark\", count(*) AS n FROM events GROUP BY \"p:Mark\"",
        "SELECT e.\"p:Mark\" FROM events e JOIN people p ON e.person_key = p.person_key",
        "WITH e AS (SELECT * FROM events) SELECT max(\"p:Mark\") AS m FROM e",
    ] {
        found.push((text.to_owned(), world.sql_as(policy, text).await.unwrap()));
    }
    let mut add = |name: &str, text: String| found.push((name.to_owned(), text));
    let page = engine.events_page(policy, &all, ProfileParts::ALL, None, 100);
    add("events_page", format!("{:?}", page.await.unwrap()));
    let page = engine.people_page(policy, &event, ProfileParts::ALL, None, 100);
    add("people_page", format!("{:?}", page.await.unwrap()));
    let page = engine.latest_events(policy, &all, None, None, 100);
    add("latest_events", format!("{:?}", page.await.unwrap()));
    let subjects = ["Mark"].map(|it| Subject::Event(it.to_owned()));
    let counts = engine.value_counts(policy, &event, &subjects).await;
    add("value_counts", format!("{:?}", counts.unwrap()));
    let subjects = ["Mark"].map(|it| Subject::Person(it.to_owned()));
    let counts = engine.value_counts(policy, &event, &subjects).await;
    add("value_counts of people", format!("{:?}", counts.unwrap()));
    let subject = Subject::Event(String::from("Mark"));
    let starts = [at(0)];
    let parts = engine.breakdown(policy, &event, &subject, &starts, 100);
    add("breakdown", format!("{:?}", parts.await.unwrap()));
    let rows = engine.export_events(policy, &all).await.unwrap();
    add("export_events", written(rows).await);
    let rows = engine
        .export_people(policy, all.from, all.to)
        .await
        .unwrap();
    add("export_people", written(rows).await);
    for n in 1..=people {
        let wanted = BTreeSet::from([mark(n)]);
        let having = engine.people_having(policy, "Mark", &wanted).await;
        add(
            &format!("people_having {n}"),
            format!("{:?}", having.unwrap()),
        );
        let page = engine.latest_events(policy, &all, Some(person(n)), None, 100);
        add(
            &format!("timeline {n}"),
            format!("{:?}", page.await.unwrap().records),
        );
        for key in [person(n), device(n)] {
            let view = engine.profile(policy, &Lookup::Key(key)).await.unwrap();
            add(&format!("profile {n}"), format!("{view:?}"));
            let keys = engine.person_keys(policy, &[key]).await.unwrap();
            add(&format!("person_keys {n}"), format!("{:?}", keys.keys));
        }
    }
    found
}

/// What each way of counting says.
async fn counts(world: &World, policy: &ReadPolicy) -> ([u64; 4], f64) {
    let engine = &world.engine;
    let event = EventsQuery {
        event: Some(String::from("E")),
        ..EventsQuery::default()
    };
    let starts = [vec![at(0)]];
    let trend = engine.trends(policy, &event, &Measure::People, &starts);
    let trend = trend.await.unwrap()[0][0];
    let rows = world.sql_as(policy, "SELECT count(*) AS n FROM people");
    let rows: serde_json::Value = serde_json::from_str(&rows.await.unwrap()).unwrap();
    let counts = [
        engine.count_people(policy, &event).await.unwrap(),
        engine.active_people(policy, at(0)).await.unwrap(),
        engine.count_events(policy, &event).await.unwrap(),
        rows[0]["n"].as_u64().unwrap(),
    ];
    (counts, trend)
}

/// Whether a reading is about somebody.
fn names(text: &str, n: u8) -> bool {
    let own = [person(n), device(n)];
    text.contains(&mark(n))
        || own
            .iter()
            .any(|it| text.contains(&it.to_string()) || text.contains(&format!("{it:?}")))
}

async fn check(people: &[Profile], policy: &ReadPolicy, seen: &BTreeSet<u8>) {
    let world = world(people).await;
    let number = u8::try_from(people.len()).unwrap();
    let readings = readings(&world, policy, number).await;
    for n in 1..=number {
        for (way, text) in &readings {
            assert!(
                seen.contains(&n) || !names(text, n),
                "{way} shows {n}: {text}"
            );
        }
        // So that the check can fail: whoever is seen is seen on every way.
        if seen.contains(&n) {
            for (way, text) in readings.iter().filter(|(way, _)| !way.contains("max(")) {
                let of_another = way
                    .rsplit_once(' ')
                    .is_some_and(|(_, of)| of.parse::<u8>().is_ok_and(|of| of != n));
                assert!(
                    of_another || names(text, n),
                    "{way} does not show {n}: {text}"
                );
            }
        }
    }
    let many = seen.len() as u64;
    // Two events each, and one more of each who shared the device.
    let events = many * 2 + seen.iter().filter(|it| **it <= 2).count() as u64;
    let (counts, trend) = counts(&world, policy).await;
    assert_eq!(counts, [many, many, events, many]);
    assert_eq!(trend.to_string(), many.to_string());
}

fn profile() -> impl Strategy<Value = Profile> {
    let country = prop::option::of(prop::sample::select(vec!["\"DE\"", "\"FR\"", "7", "null"]));
    let age = prop::option::of(18_i32..22);
    (country, age).prop_map(|(country, age)| {
        let country = country.map(|it| ("Country", it.to_owned()));
        let age = age.map(|it| ("Age", it.to_string()));
        country.into_iter().chain(age).collect()
    })
}

fn condition() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "Country = 'DE'",
        "Country != 'DE'",
        "Country in ('FR', 7)",
        "Country exists",
        "Age >= 20",
        "Age < 20",
        "Mark contains 'of-1-'",
        "Nobody has = 'this'",
        "Nothing exists",
    ])
    .prop_map(|it| it.replace("Nobody has", "\"Nobody has\""));
    leaf.prop_recursive(2, 6, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) and ({b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) or ({b})")),
            inner.prop_map(|it| format!("not ({it})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn nobody_outside_the_conditions_is_seen_on_any_way(
        people in prop::collection::vec(profile(), 3..6),
        conditions in prop::collection::vec(condition(), 1..3),
        hidden in prop::collection::btree_set(1_u8..6, 0..3),
    ) {
        let conditions: Vec<Arc<Condition>> = conditions
            .iter()
            .map(|it| Arc::new(Condition::parse(it).unwrap()))
            .collect();
        let seen: BTreeSet<u8> = (1_u8..)
            .zip(&people)
            .filter(|(n, profile)| {
                let mark = format!("\"{}\"", mark(*n));
                let value = |name: &str| match name {
                    "Mark" => Some(mark.as_str()),
                    name => profile.get(name).map(String::as_str),
                };
                !hidden.contains(n) && conditions.iter().all(|it| it.holds(value))
            })
            .map(|(n, _)| n)
            .collect();
        // By whichever of their keys.
        let keys = hidden.iter().map(|n| if n % 2 == 0 { person(*n) } else { device(*n) });
        let policy = policy().under(conditions).without(restricted(keys, HOUR));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(check(&people, &policy, &seen));
    }
}

#[tokio::test]
async fn a_device_is_restricted_with_whoever_had_it_then() {
    let people = vec![Profile::new(); 3];
    for (since, seen) in [(1, [2, 3]), (HOUR + 1, [1, 3])] {
        let policy = policy().without(restricted([person(SHARED)], since));
        check(&people, &policy, &BTreeSet::from(seen)).await;
    }
}

#[tokio::test]
async fn a_device_of_somebody_deleted_is_not_restricted_with_its_next_owner() {
    let people = vec![Profile::new(); 3];
    let world = world(&people).await;
    let handed_on = Stretch {
        from: None,
        to: Some(at(HOUR)),
    };
    let gone = [
        (person(1), Stretch::WHOLE),
        (device(1), Stretch::WHOLE),
        (person(SHARED), handed_on),
    ];
    for (since, expect) in [(1, [2, 2, 5, 2]), (HOUR + 1, [1, 1, 2, 1])] {
        let policy = without(&gone).without(restricted([person(SHARED)], since));
        let (counts, _) = counts(&world, &policy).await;
        assert_eq!(counts, expect, "since {since}");
    }
}

#[tokio::test]
async fn many_people_are_told_apart_too() {
    let world = World::new();
    for n in 0..300_u32 {
        let mut key = [0xee; 16];
        key[..4].copy_from_slice(&n.to_be_bytes());
        let who = PersonKey(key);
        let country = if n % 3 == 0 { "\"FR\"" } else { "\"DE\"" };
        world.write([
            world.event(who, "E", 0, "{}"),
            world.change(who, 0, &[("Country", ChangeOp::Put, country)]),
        ]);
    }
    for (condition, expect) in [("Country = 'DE'", 200), ("not Country = 'DE'", 100)] {
        let condition = Arc::new(Condition::parse(condition).unwrap());
        let policy = policy().under(vec![condition]);
        let count = world.sql_as(&policy, "SELECT count(*) AS n FROM events");
        assert_eq!(count.await.unwrap(), format!(r#"[{{"n":{expect}}}]"#));
    }
}

#[tokio::test]
async fn who_is_seen_is_worked_out_within_the_memory_that_queries_share() {
    let settings = Settings {
        memory_bytes_max: 4 * 1024 * 1024,
        threads: 2,
        ..Settings::default()
    };
    let world = World::with(settings);
    let country = format!("\"{}\"", "x".repeat(40_000));
    for n in 1..=200 {
        world.write([world.change(person(n), 0, &[("Country", ChangeOp::Put, &country)])]);
    }
    let condition = Arc::new(Condition::parse("Country = 'DE'").unwrap());
    let policy = policy().under(vec![condition]);
    let all = EventsQuery::default();
    let counted = world.engine.count_events(&policy, &all).await;
    assert_eq!(counted.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_value_that_changes_moves_somebody_in_and_out() {
    let world = World::new();
    let condition = Arc::new(Condition::parse("Plan = 'gold'").unwrap());
    let count = async || {
        let policy = policy().under(vec![Arc::clone(&condition)]);
        world
            .engine
            .count_events(&policy, &EventsQuery::default())
            .await
            .unwrap()
    };
    world.write([world.event(person(1), "E", 0, "{}")]);
    assert_eq!(count().await, 0);
    world.write([world.change(person(1), 1, &[("Plan", ChangeOp::Put, "\"gold\"")])]);
    assert_eq!(count().await, 1);
    world.flush().await;
    world.write([world.change(person(1), 2, &[("Plan", ChangeOp::Delete, "1")])]);
    assert_eq!(count().await, 0);
}

#[tokio::test]
async fn nothing_is_read_before_it_is_known_who_is_seen() {
    let world = World::new();
    world.write([world.event(person(1), "E", 0, "{}")]);
    let condition = Arc::new(Condition::parse("Plan = 'gold'").unwrap());
    let policy = policy().under(vec![condition]);
    let error = policy.scope().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert!(policy.shows(person(1), Stretch::WHOLE).is_err());
    let mut rows = world
        .engine
        .sql(&policy, "SELECT name FROM events")
        .await
        .unwrap();
    while let Some(batch) = rows.batches.next().await {
        assert_eq!(batch.unwrap().num_rows(), 0);
    }
    assert!(!policy.shows(person(1), Stretch::WHOLE).unwrap());
}
