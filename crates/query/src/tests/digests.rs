//! What is counted without looking at events: the same as by looking at each of them.

use futures::TryStreamExt as _;
use governance::{Condition, Stretch, Suppressions};
use model::record::{ChangeOp, Table};
use model::{LedgerPosition, Timestamp};
use object_store::{ObjectStore as _, ObjectStoreExt as _};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use super::world::{DAY, HOUR, World, account, at, person, policy, restricted, without};
use crate::{EventsQuery, Measure, ReadPolicy};

const MINUTE: i64 = 60_000;

/// Events of some days, in parts of one day and of several and in the journal.
async fn world() -> World {
    let world = World::new();
    let write = |first: i64| {
        let events = (first..first + 60).map(|n| {
            let name = ["Bought", "Looked", "Searched"][usize::try_from(n * n % 3).unwrap()];
            let ms = (n * 7 * HOUR + n * n * MINUTE) % (4 * DAY) + n;
            let who = person(u8::try_from(n % 5).unwrap());
            world.event(who, name, ms, "{}")
        });
        world.write(events.collect::<Vec<_>>());
    };
    for first in [0, 100, 200] {
        write(first);
        world.flush().await;
    }
    write(300);
    world
}

/// Counts by SQL: each event is looked at.
async fn looked_at(world: &World, policy: &ReadPolicy, time: &str) -> String {
    let sql = format!(
        "SELECT name, count(*) AS n, CAST(min(ts) AS BIGINT) AS a, CAST(max(ts) AS BIGINT) AS z \
         FROM events WHERE {time} GROUP BY name ORDER BY name"
    );
    world.sql_as(policy, &sql).await.unwrap()
}

fn between(from: Timestamp, to: Timestamp) -> String {
    format!(
        "ts >= to_timestamp_millis({}) AND ts < to_timestamp_millis({})",
        from.ms(),
        to.ms()
    )
}

/// Everything that is counted without looking, beside what looking says.
async fn check(world: &World, policy: &ReadPolicy) {
    let mut names = String::new();
    for (name, stats) in world.engine.event_names(policy).await.unwrap() {
        let (n, a, z) = (stats.count, stats.first_seen.ms(), stats.last_seen.ms());
        write!(
            names,
            "{{\"name\":\"{name}\",\"n\":{n},\"a\":{a},\"z\":{z}}}"
        )
        .unwrap();
    }
    let seen = looked_at(world, policy, "true").await;
    let seen = seen.trim_matches(['[', ']']).replace("},{", "}{");
    assert_eq!(names, seen);

    for (n, (from, to)) in [
        (at(0), at(5 * DAY)),
        (at(DAY), at(2 * DAY)),
        (at(5 * HOUR), at(2 * DAY + 15 * MINUTE)),
        (at(DAY + 3 * MINUTE), at(3 * DAY - 1)),
        (at(DAY + 1), at(DAY + 2)),
        (at(3 * HOUR), at(9 * DAY)),
        (at(2 * DAY), at(DAY)),
    ]
    .into_iter()
    .enumerate()
    {
        let by_name = world.engine.events_by_name(policy, from, to).await.unwrap();
        let seen = looked_at(world, policy, &between(from, to)).await;
        let seen: Vec<serde_json::Value> = serde_json::from_str(&seen).unwrap();
        assert_eq!(by_name.len(), seen.len(), "{from:?} {to:?}");
        let mut sum = 0;
        for row in seen {
            let (name, n) = (row["name"].as_str().unwrap(), row["n"].as_u64().unwrap());
            assert_eq!(by_name.get(name), Some(&n), "{name} {from:?} {to:?}");
            sum += n;
        }
        for event in [None, Some("Looked")] {
            let query = EventsQuery {
                event: event.map(str::to_owned),
                from,
                to,
                ..EventsQuery::default()
            };
            let expect = event.map_or(sum, |it| by_name.get(it).copied().unwrap_or(0));
            let count = world.engine.count_events(policy, &query).await.unwrap();
            assert_eq!(count, expect, "{query:?}");
            trends(world, policy, &query).await;
            if n % 3 == 0 {
                newest(world, policy, &query, &[70]).await;
            }
        }
        if n % 3 == 2 {
            people(world, policy, from, to).await;
        }
    }
}

/// The newest events, page by page: the same as all of them in order.
async fn newest(world: &World, policy: &ReadPolicy, query: &EventsQuery, limits: &[usize]) {
    let mut time = between(query.from, query.to);
    if let Some(name) = &query.event {
        write!(time, " AND name = '{name}'").unwrap();
    }
    let sql = format!(
        "SELECT record_id FROM events WHERE {time} ORDER BY ts DESC, record_id DESC LIMIT 400"
    );
    let seen: Vec<serde_json::Value> =
        serde_json::from_str(&world.sql_as(policy, &sql).await.unwrap()).unwrap();
    let seen: Vec<&str> = seen
        .iter()
        .map(|it| it["record_id"].as_str().unwrap())
        .collect();
    for limit in limits {
        let (mut found, mut before) = (Vec::new(), None);
        loop {
            let page = world
                .engine
                .latest_events(policy, query, None, before, *limit);
            let page = page.await.unwrap();
            found.extend(page.records.iter().map(|it| it.record.to_string()));
            before = page.next;
            if before.is_none() || found.len() >= 300 {
                break;
            }
        }
        let both = found.len().min(seen.len());
        let (shown, some) = (found.get(..both).unwrap(), seen.get(..both).unwrap());
        assert_eq!(shown, some, "{query:?} in pages of {limit}");
        if found.len() < 300 {
            assert_eq!(found.len(), seen.len(), "{query:?} in pages of {limit}");
        }
    }
}

/// How many people there were, in all and by day, and who was active last; nobody has two keys here.
async fn people(world: &World, policy: &ReadPolicy, from: Timestamp, to: Timestamp) {
    let time = between(from, to);
    let sql = format!("SELECT count(DISTINCT person_key) AS n FROM events WHERE {time}");
    let seen = world.sql_as(policy, &sql).await.unwrap();
    let days: Vec<Timestamp> = (0..9).map(|n| at(n * DAY)).collect();
    let query = EventsQuery {
        from,
        to,
        ..EventsQuery::default()
    };
    let of_people = &Measure::People;
    let all = [days.clone(), vec![from.min(at(0))]];
    let counted = world.engine.trends(policy, &query, of_people, &all).await;
    let counted = counted.unwrap();
    assert_eq!(
        seen,
        format!("[{{\"n\":{}}}]", counted[1][0]),
        "{from:?} {to:?}"
    );
    let sql = format!(
        "SELECT CAST(CAST(ts AS DATE) AS INT) AS day, count(DISTINCT person_key) AS n \
         FROM events WHERE {time} GROUP BY day"
    );
    let rows: Vec<serde_json::Value> =
        serde_json::from_str(&world.sql_as(policy, &sql).await.unwrap()).unwrap();
    let mut by_day = vec![0.0; days.len()];
    for row in rows {
        let day = row["day"].as_i64().unwrap() - at(0).ms() / DAY;
        by_day[usize::try_from(day).unwrap()] = row["n"].as_f64().unwrap();
    }
    assert_eq!(by_day, counted[0], "{from:?} {to:?}");
    let sql = format!(
        "SELECT count(DISTINCT person_key) AS n FROM events WHERE {}",
        between(from, at(100 * DAY))
    );
    let active = world.engine.active_people(policy, from).await.unwrap();
    let seen = world.sql_as(policy, &sql).await.unwrap();
    assert_eq!(seen, format!("[{{\"n\":{active}}}]"), "since {from:?}");

    let sql = "SELECT person_key, name, CAST(ts AS BIGINT) AS ts FROM events \
               ORDER BY ts DESC, record_id DESC LIMIT 20";
    let rows: Vec<serde_json::Value> =
        serde_json::from_str(&world.sql_as(policy, sql).await.unwrap()).unwrap();
    let mut last: Vec<(String, String, i64)> = Vec::new();
    for row in &rows {
        let key = row["person_key"].as_str().unwrap();
        if last.len() < 3 && last.iter().all(|(known, ..)| known != key) {
            let (name, ts) = (row["name"].as_str().unwrap(), row["ts"].as_i64().unwrap());
            last.push((key.to_owned(), name.to_owned(), ts));
        }
    }
    let every = EventsQuery::default();
    let active = world.engine.active_last(policy, &every, 20, 3);
    let active = active.await.unwrap();
    let active = active.into_iter().map(|it| {
        let key = it.person.key.unwrap().to_string();
        (key, it.event.to_string(), it.ts.ms())
    });
    assert_eq!(active.collect::<Vec<_>>(), last);
    // Of one event alone: nobody is there for another one.
    let Some((_, name, _)) = last.last() else {
        return;
    };
    let of_name = EventsQuery {
        event: Some(name.clone()),
        ..EventsQuery::default()
    };
    let active = world.engine.active_last(policy, &of_name, 20, 3);
    let active = active.await.unwrap();
    assert!(!active.is_empty() && active.iter().all(|it| *it.event == **name));
}

/// Trends by day and by quarter of an hour, which are counted, and by 7 minutes, which is looked at.
async fn trends(world: &World, policy: &ReadPolicy, query: &EventsQuery) {
    let every = |ms: i64| -> Vec<Timestamp> {
        let count = 9 * DAY / ms;
        (0..count).map(|n| at(n * ms)).collect()
    };
    let stretches = [every(DAY), every(15 * MINUTE)];
    let counted = world
        .engine
        .trends(policy, query, &Measure::Events, &stretches);
    let counted = counted.await.unwrap();
    // Cut where no bin begins, every event is looked at; two cuts are the same as none.
    let mut odd = stretches.clone();
    odd[0].push(at(9 * DAY + 1));
    let seen = world.engine.trends(policy, query, &Measure::Events, &odd);
    let mut seen = seen.await.unwrap();
    assert_eq!(seen[0].pop(), Some(0.0));
    assert_eq!(counted, seen, "{query:?}");
}

#[tokio::test]
async fn what_is_counted_is_what_looking_says() {
    let world = world().await;
    check(&world, &policy()).await;
    // Again, out of memory; then with parts that were merged.
    check(&world, &policy()).await;
    world.flush().await;
    check(&world, &policy()).await;
    world.compact(Table::Events).await;
    check(&world, &policy()).await;
}

/// More events of one name than are kept of a part, many of them at the same time.
#[tokio::test]
async fn the_newest_are_found_however_many_there_are() {
    let world = World::new();
    for part in 0..2 {
        let events = (0..400).map(|n| {
            let name = if n % 50 == 0 { "Searched" } else { "Looked" };
            let ms = (n * 37 % 400 / 60) * DAY / 2 + part * HOUR;
            world.event(person(u8::try_from(n % 7).unwrap()), name, ms, "{}")
        });
        world.write(events.collect::<Vec<_>>());
        world.flush().await;
    }
    world.write([world.event(person(3), "Looked", 2 * DAY, "{}")]);
    let readers = [
        policy(),
        without(&[(person(3), Stretch::WHOLE)]),
        policy().without(restricted([person(2)], 0)),
    ];
    for reader in &readers {
        for (event, to) in [
            (None, at(9 * DAY)),
            (Some("Looked"), at(9 * DAY)),
            (Some("Searched"), at(9 * DAY)),
            (Some("Looked"), at(DAY)),
            (None, at(DAY + HOUR)),
        ] {
            let query = EventsQuery {
                event: event.map(str::to_owned),
                to,
                from: at(0),
                ..EventsQuery::default()
            };
            newest(&world, reader, &query, &[7, 100, 500]).await;
        }
    }
}

#[tokio::test]
async fn deleted_people_are_not_counted_whenever_they_were_deleted() {
    let world = world().await;
    let stretch = Stretch {
        from: Some(at(DAY)),
        to: Some(at(3 * DAY)),
    };
    let steps = [
        (person(1), Stretch::WHOLE),
        (person(2), stretch),
        (person(77), Stretch::WHOLE),
        (person(2), Stretch::WHOLE),
        (person(3), Stretch::WHOLE),
    ];
    for hidden in 0..=steps.len() {
        check(&world, &without(&steps[..hidden])).await;
    }
    // A reader who was slow sees as few people as when it began, or fewer, and spoils nothing.
    check(&world, &without(&steps[..1])).await;
    check(&world, &without(&steps)).await;
    world.flush().await;
    check(&world, &without(&steps)).await;
    check(&world, &policy()).await;
}

#[tokio::test]
async fn a_reader_of_some_events_counts_no_others() {
    let world = world().await;
    check(&world, &policy()).await;
    let names = BTreeSet::from([String::from("Looked"), String::from("Nothing")]);
    let some = ReadPolicy {
        events: Some(Arc::new(names)),
        ..policy()
    };
    check(&world, &some).await;
    let names = world.engine.event_names(&some).await.unwrap();
    assert_eq!(names.keys().map(|it| &**it).collect::<Vec<_>>(), ["Looked"]);
}

#[tokio::test]
async fn a_part_is_counted_once() {
    let world = world().await;
    let names = world.engine.event_names(&policy()).await.unwrap();
    let objects: Vec<_> = world.store.list(None).try_collect().await.unwrap();
    assert!(!objects.is_empty());
    for object in objects {
        world.store.delete(&object.location).await.unwrap();
    }
    let again = world.engine.event_names(&policy()).await.unwrap();
    assert_eq!(names, again);
    world
        .sql_as(&policy(), "SELECT name FROM events")
        .await
        .unwrap_err();
}

#[tokio::test]
async fn names_of_profile_properties_are_those_of_people_who_are_there() {
    let world = World::new();
    let change = |n: u8, property: &str| {
        let put = [
            (property, ChangeOp::Put, "1"),
            ("device", ChangeOp::Device, "{}"),
        ];
        world.change(person(n), HOUR, &put)
    };
    world.write([change(1, "Plan"), change(2, "Secret of the second")]);
    world.flush().await;
    world.write([change(3, "City"), change(4, "Secret of the fourth")]);
    let names = async |policy: &ReadPolicy| {
        let names = world.engine.profile_properties(policy).await.unwrap();
        names.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let all = [
        "City",
        "Plan",
        "Secret of the fourth",
        "Secret of the second",
    ];
    assert_eq!(names(&policy()).await, all);
    let hidden = [(person(2), Stretch::WHOLE), (person(4), Stretch::WHOLE)];
    assert_eq!(names(&without(&hidden)).await, ["City", "Plan"]);
    world.flush().await;
    assert_eq!(names(&without(&hidden)).await, ["City", "Plan"]);
    assert_eq!(names(&policy()).await, all);
}

#[tokio::test]
async fn a_reader_of_some_people_is_given_no_digest_of_all() {
    let world = world().await;
    let plan = |n: u8, plan: &str| world.change(person(n), HOUR, &[("Plan", ChangeOp::Put, plan)]);
    world.write([plan(1, "\"gold\""), plan(2, "\"gold\""), plan(3, "\"tin\"")]);
    world.write([world.change(person(4), HOUR, &[("Secret", ChangeOp::Put, "1")])]);
    let of = |text: &str| policy().under(vec![Arc::new(Condition::parse(text).unwrap())]);
    for _ in 0..2 {
        // Everybody's digests are there before, and are not spoiled by those who may not see them.
        check(&world, &policy()).await;
        for text in ["Plan = 'gold'", "Plan != 'gold'", "Plan = 'none'"] {
            check(&world, &of(text)).await;
        }
        let names = world.engine.profile_properties(&of("Plan = 'gold'")).await;
        let names = names.unwrap();
        assert_eq!(names.iter().map(|it| &**it).collect::<Vec<_>>(), ["Plan"]);
        world.flush().await;
    }
    let gold = world
        .engine
        .event_names(&of("Plan = 'gold'"))
        .await
        .unwrap();
    let all = world.engine.event_names(&policy()).await.unwrap();
    let count = |names: &std::collections::BTreeMap<Box<str>, crate::EventStats>| -> u64 {
        names.values().map(|it| it.count).sum()
    };
    assert!(0 < count(&gold) && count(&gold) < count(&all));
}

#[tokio::test]
async fn who_is_restricted_is_not_counted_until_that_is_lifted() {
    let world = world().await;
    world.write([world.change(person(3), HOUR, &[("Secret", ChangeOp::Put, "1")])]);
    world.flush().await;
    let deleted = [(person(1), Stretch::WHOLE)];
    let restricting = |people: &[u8]| {
        let people = people.iter().map(|n| person(*n));
        without(&deleted).without(restricted(people, 0))
    };
    for people in [&[][..], &[3], &[2, 3], &[2], &[]] {
        let reader = restricting(people);
        check(&world, &reader).await;
        let names = world.engine.profile_properties(&reader).await.unwrap();
        assert_eq!(names.is_empty(), people.contains(&3), "{people:?}");
    }
}

#[tokio::test]
async fn who_was_to_be_deleted_is_counted_again_when_that_is_taken_back() {
    let world = world().await;
    let both = [(person(1), Stretch::WHOLE), (person(2), Stretch::WHOLE)];
    check(&world, &without(&both)).await;
    // The first deletion is cancelled, and another one ordered after it.
    let mut suppressions = Suppressions::default();
    for (n, position) in [(2, 2), (3, 3)] {
        suppressions.insert(person(n), Stretch::WHOLE, LedgerPosition(position));
    }
    check(&world, &ReadPolicy::new(account(), Arc::new(suppressions))).await;
}
