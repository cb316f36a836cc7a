//! What reads gather counts as memory of all queries.

use super::world::{DAY, World, at, person, policy};
use crate::reports::Held;
use crate::snapshot::adapt;
use crate::{Error, EventsQuery, PeoplePage, ProfileParts, Settings, Subject, ValueType};
use arrow::array::{Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use model::PersonKey;
use model::record::{ChangeOp, Record};
use std::sync::Arc;

const ONLY_PROFILES: ProfileParts = ProfileParts {
    profile: true,
    events: false,
};

fn world_of(memory_bytes_max: usize) -> World {
    World::with(Settings {
        memory_bytes_max,
        threads: 2,
        ..Settings::default()
    })
}

fn until(ms: i64) -> EventsQuery {
    EventsQuery {
        event: Some(String::from("E")),
        from: at(0),
        to: at(ms),
        ..EventsQuery::default()
    }
}

async fn people(world: &World, query: &EventsQuery) -> crate::Result<PeoplePage> {
    let engine = &world.engine;
    engine
        .people_page(&policy(), query, ONLY_PROFILES, None, 100)
        .await
}

/// A key of many.
fn one_of(n: u32) -> PersonKey {
    let mut key = [0x11; 16];
    key[..4].copy_from_slice(&n.to_be_bytes());
    PersonKey(key)
}

/// A world in which 20,000 people did something.
async fn crowd() -> World {
    let world = world_of(1024 * 1024);
    let records = (0..20_000_u32).map(|n| {
        let value = format!("{{\"x\":\"{n:0>60}\"}}");
        world.event(one_of(n), "E", n.into(), &value)
    });
    world.write(records.collect::<Vec<Record>>());
    world.flush().await;
    world
}

#[tokio::test]
async fn values_and_people_of_a_report_are_counted() {
    let world = crowd().await;
    let engine = &world.engine;
    let (few, many) = (until(1_000), until(DAY));
    for subject in ["Event", "Person"] {
        let subjects = [match subject {
            "Event" => Subject::Event(String::from("x")),
            _ => Subject::Person(String::from("x")),
        }];
        let counts = engine.value_counts(&policy(), &many, &subjects).await;
        let is_refused = matches!(counts, Err(Error::Memory { .. }));
        assert!(is_refused, "{subject}: {counts:?}");
        // What was taken is there again.
        let counts = engine.value_counts(&policy(), &few, &subjects).await;
        let values = counts.unwrap().remove(0);
        let values = values.get(&ValueType::Text).map_or(0, |it| it.len());
        assert_eq!(values, if subject == "Event" { 1_000 } else { 0 });
    }
    let count = engine.count_people(&policy(), &many).await;
    assert!(matches!(count, Err(Error::Memory { .. })), "{count:?}");
    assert_eq!(engine.count_people(&policy(), &few).await.unwrap(), 1_000);
    // A page takes those who are on it.
    let page = people(&world, &many).await.unwrap();
    let keys = page.people.iter().map(|it| it.key.unwrap());
    assert!(keys.eq((0..100).map(one_of)));
    assert_eq!(page.next.unwrap().person, one_of(99));
}

#[test]
fn a_report_that_found_no_memory_is_not_one_over_too_many_values() {
    let world = world_of(1024 * 1024);
    let mut held = Held::new(&world.engine);
    assert!(held.has_room_for(1, 0));
    assert!(!held.has_room_for(1, 1024 * 1024));
    for _ in 0..3 {
        assert!(!held.has_room_for(1_000_000, 0));
    }
    let refused = held.check();
    assert!(matches!(refused, Err(Error::Memory { .. })), "{refused:?}");
    let mut held = Held::new(&world.engine);
    assert!(!held.has_room_for(2_000_001, 0));
    let refused = held.check();
    assert!(matches!(refused, Err(Error::Statement(_))), "{refused:?}");
}

#[tokio::test]
async fn changes_of_people_are_counted_and_folded_as_there_is_memory_for_them() {
    let world = world_of(4 * 1024 * 1024);
    let changes = |who: u8, count: i64| {
        let changes = (0..count).map(|n| {
            let value = format!("\"{n:0>1000}\"");
            world.change(person(who), n, &[("x", ChangeOp::Put, value.as_str())])
        });
        changes.collect::<Vec<Record>>()
    };
    // 50 people have twice as much together as there is memory for.
    for who in 0..50 {
        world.write([world.event(person(who), "E", 0, "{}")]);
        world.write(changes(who, 150));
    }
    world.flush().await;
    let page = people(&world, &until(1)).await.unwrap();
    assert_eq!(page.people.len(), 50);
    let last = 149;
    let value = format!("\"{last:0>1000}\"");
    for view in &page.people {
        assert_eq!(view.profile.properties["x"].as_str(), value);
        assert_eq!(view.changed_at, Some(at(last)));
    }
    // Those of one person are folded in one go.
    world.write([world.event(person(99), "E", 1, "{}")]);
    world.write(changes(99, 8_000));
    world.flush().await;
    let page = people(&world, &until(2)).await;
    assert!(matches!(page, Err(Error::Memory { .. })), "{page:?}");
    assert_eq!(people(&world, &until(1)).await.unwrap().people.len(), 50);
}

#[tokio::test]
async fn what_changes_took_is_there_for_the_profiles_that_are_made_of_them() {
    let world = world_of(4 * 1024 * 1024);
    // 9,000 properties: they take 2.7 MB as changes and 1.8 MB as profiles.
    for who in 0..60 {
        world.write([world.event(person(who), "E", 0, "{}")]);
        let changes = (0..150_i64).map(|n| {
            let (name, value) = (format!("p{n:03}"), format!("\"{n:0>100}\""));
            world.change(person(who), n, &[(&name, ChangeOp::Put, &value)])
        });
        world.write(changes.collect::<Vec<Record>>());
    }
    world.flush().await;
    let page = people(&world, &until(1)).await.unwrap();
    assert_eq!(page.people.len(), 60);
    for view in &page.people {
        assert_eq!(view.profile.properties.len(), 150);
    }
}

#[test]
fn one_read_gathers_half_of_the_memory_and_gives_back_what_it_does_not_hold_any_more() {
    let world = world_of(1024 * 1024);
    let whole = 64 * 1024;
    let mut rooms = ["one", "another", "a third"].map(|it| world.engine.room(it));
    let [one, another, third] = &mut rooms;
    for room in [&mut *one, &mut *another] {
        assert!((0..8).all(|_| room.take(whole)));
    }
    assert!(!third.take(1));
    assert!(matches!(third.check(), Err(Error::Memory { .. })));
    one.give_back(whole - 1);
    let mut fourth = world.engine.room("a fourth");
    assert!(!fourth.take(1), "less than a step is kept");
    one.give_back(1);
    let mut fifth = world.engine.room("a fifth");
    assert!(fifth.take(whole));
    // There is memory, but not for one that has half of it.
    drop(fifth);
    another.give_back(whole);
    assert!(another.take(whole));
    assert!(!another.take(1));
}

#[tokio::test]
async fn everybody_is_counted_where_sql_reads_people() {
    let world = crowd().await;
    for column in ["count(*)", "max(last_seen)"] {
        let statement = format!("SELECT {column} AS n FROM people");
        let refused = world.sql_as(&policy(), &statement).await;
        let is_refused = matches!(refused, Err(Error::Memory { .. }));
        assert!(is_refused, "{column}: {refused:?}");
    }
    // What was taken is there again.
    let key = one_of(9_000);
    let statement = format!("SELECT count(*) AS n FROM people WHERE person_key = '{key}'");
    assert_eq!(world.sql(&statement).await, r#"[{"n":1}]"#);
    let page = people(&world, &until(1_000)).await.unwrap();
    assert_eq!(page.people.len(), 100);
}

#[tokio::test]
async fn names_of_properties_are_counted_where_sql_reads_people() {
    let world = world_of(1024 * 1024);
    let changes = (0..10_000_i64).map(|n| {
        let name = format!("p{n:05}");
        world.change(person(1), n, &[(&name, ChangeOp::Put, "1")])
    });
    world.write(changes.collect::<Vec<Record>>());
    world.flush().await;
    let statement = "SELECT count(*) AS n FROM people";
    let refused = world.sql_as(&policy(), statement).await;
    assert!(matches!(refused, Err(Error::Memory { .. })), "{refused:?}");
}

#[tokio::test]
async fn who_is_exported_is_counted_until_the_export_ends() {
    let world = crowd().await;
    let policy = policy();
    let exported = world.engine.export_people(&policy, at(0), at(6_000));
    let rows = exported.await.unwrap();
    // Their keys have 96,000 bytes: of sixteen times as much as this, they take two.
    let whole = 64 * 1024;
    let mut rooms = ["one", "another", "a third"].map(|it| world.engine.room(it));
    let [one, another, third] = &mut rooms;
    assert!((0..8).all(|_| one.take(whole)));
    assert!((0..6).all(|_| another.take(whole)));
    assert!(!another.take(1));
    drop(rows);
    assert!(third.take(2 * whole));
}

#[test]
fn what_rows_of_the_journal_lack_is_one_array_of_each_type() {
    let field = |name: &str, kind: DataType| Field::new(name, kind, true);
    let own = Arc::new(Schema::new(vec![field("a", DataType::Int64)]));
    let values = Arc::new(Int64Array::from(vec![1, 2]));
    let batch = RecordBatch::try_new(own, vec![values]).unwrap();
    let all = Arc::new(Schema::new(vec![
        field("x", DataType::Int64),
        field("a", DataType::Int64),
        field("y", DataType::Int64),
        field("z", DataType::Utf8),
    ]));
    let wide = adapt(&batch, &all).unwrap();
    let nulls = [0, 1, 2, 3].map(|n| wide.column(n).null_count());
    assert_eq!(nulls, [2, 0, 2, 2]);
    assert!(Arc::ptr_eq(wide.column(0), wide.column(2)));
}
