//! Pages of events: what they cost, and that they are the same whatever they cost.

use super::events::{NOTHING, all, filter, query};
use super::world::{DAY, HOUR, World, at, person, policy};
use crate::{Before, EventsQuery, Operator, Settings};
use model::RecordId;
use model::limit::PAGE_BYTES_MAX;
use model::record::Record;
use proptest::prelude::*;

/// A world whose queries share little memory.
fn world_of(memory_bytes_max: usize) -> World {
    World::with(Settings {
        memory_bytes_max,
        threads: 2,
        ..Settings::default()
    })
}

/// The newest events, page by page.
async fn newest(world: &World, query: &EventsQuery, limit: usize) -> Vec<String> {
    let mut seen = Vec::new();
    let mut before: Option<Before> = None;
    loop {
        let page = world
            .engine
            .latest_events(&policy(), query, None, before, limit)
            .await
            .unwrap();
        let properties = page.records.iter().map(|it| it.properties.as_str());
        seen.extend(properties.map(str::to_owned));
        before = page.next;
        if before.is_none() {
            return seen;
        }
    }
}

#[tokio::test]
async fn a_page_does_not_cost_by_the_properties_that_others_had() {
    let world = world_of(32 * 1024 * 1024);
    let mut expect = Vec::new();
    for n in 0..70_u8 {
        // No two events have a property in common.
        let members: Vec<String> = (0..200)
            .map(|m| format!("\"of {n:02}, {m:03}\":{m}"))
            .collect();
        let properties = format!("{{{}}}", members.join(","));
        world.write([world.event(person(n), "E", HOUR, &properties)]);
        expect.push(properties);
        if n < 60 {
            world.flush().await;
        }
    }
    let query = query("E", 0, DAY);
    for limit in [9, 1_000] {
        assert_eq!(all(&world, &query, limit).await, expect, "pages of {limit}");
    }
    expect.reverse();
    assert_eq!(newest(&world, &query, 1_000).await, expect);
}

#[tokio::test]
async fn a_page_under_a_condition_does_not_cost_by_the_events_that_it_passes_over() {
    let world = world_of(2 * 1024 * 1024);
    let large = "x".repeat(40_000);
    let mut events: Vec<((u8, i64, RecordId), String)> = Vec::new();
    for flush in 0..3_i64 {
        let records = (0..100).map(|n| {
            let n = 100 * flush + n;
            let who = u8::try_from(n * 7 % 251).unwrap();
            let properties = format!("{{\"large\":\"{large}\",\"n\":{n}}}");
            let record = world.event(person(who), "E", n, &properties);
            if let Record::Event(event) = &record {
                events.push(((who, n, event.id), properties));
            }
            record
        });
        let records: Vec<Record> = records.collect();
        world.write(records);
        if flush < 2 {
            world.flush().await;
        }
    }
    events.sort();
    let all_of = |from: i64| -> Vec<&str> {
        let some = events.iter().filter(|((_, n, _), _)| *n >= from);
        some.map(|(_, properties)| properties.as_str()).collect()
    };
    let large = filter("large", Operator::Contains, "\"xx\"");
    let late = filter("n", Operator::GreaterThan, "149");
    for (filters, from) in [
        (vec![], 0),
        (vec![late.clone()], 150),
        (vec![large.clone()], 0),
        (vec![large, late], 150),
    ] {
        let query = EventsQuery {
            filters,
            ..query("E", 0, DAY)
        };
        // A failure does not print megabytes.
        assert!(all(&world, &query, 70).await == all_of(from), "{query:?}");
    }
}

#[tokio::test]
async fn a_page_ends_before_it_is_too_large() {
    let world = World::new();
    let large = "x".repeat(1024 * 1024);
    let mut expect = Vec::new();
    for n in [0, 2, 4, 1, 3] {
        let some = (0..40_u8).filter(|it| it % 5 == n);
        let records = some.map(|n| {
            let properties = format!("{{\"large\":\"{large}\",\"n\":{n}}}");
            world.event(person(n), "E", i64::from(n), &properties)
        });
        world.write(records.collect::<Vec<_>>());
        if n != 3 {
            world.flush().await;
        }
    }
    for n in 0..40_u8 {
        expect.push(format!("{{\"large\":\"{large}\",\"n\":{n}}}"));
    }
    let query = query("E", 0, DAY);
    let page = world
        .engine
        .events_page(&policy(), &query, NOTHING, None, 1_000)
        .await
        .unwrap();
    let bytes = page.records.iter().map(|it| it.properties.as_str().len());
    let bytes: usize = bytes.sum();
    assert!(bytes <= PAGE_BYTES_MAX && bytes + 2 * large.len() > PAGE_BYTES_MAX);
    let last = page.records.last().unwrap();
    assert_eq!(page.next.map(|it| it.record), Some(last.record));
    assert!(all(&world, &query, 1_000).await == expect);
    expect.reverse();
    assert!(newest(&world, &query, 1_000).await == expect);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn pages_under_a_condition_are_the_events_for_which_it_holds(
        events in proptest::collection::vec((0_u8..6, 0_i64..3 * DAY, 0_u8..3), 1..60),
        flushes in proptest::collection::vec(any::<bool>(), 60),
        limit in 1_usize..9,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::new();
            let mut expect = Vec::new();
            for (n, ((who, ms, x), flush)) in events.iter().zip(flushes).enumerate() {
                // A number, a text that is the same, and neither.
                let x = ["1", "\"1\"", "null"][usize::from(*x)];
                let properties = format!("{{\"n\":{n},\"x\":{x}}}");
                if x != "null" {
                    expect.push((at(*ms).day(), person(*who), *ms, n, properties.clone()));
                }
                world.write([world.event(person(*who), "E", *ms, &properties)]);
                if flush {
                    world.flush().await;
                }
            }
            expect.sort();
            let expect: Vec<_> = expect.into_iter().map(|it| it.4).collect();
            let query = EventsQuery {
                filters: vec![filter("x", Operator::Equals, "1")],
                ..query("E", 0, 3 * DAY)
            };
            assert_eq!(all(&world, &query, limit).await, expect);
        });
    }
}
