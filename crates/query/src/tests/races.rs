//! Flushes under queries: no acknowledged record is missing, none doubled.

use super::world::{Flush, World, person, policy};
use crate::{EventsQuery, ProfileParts, Settings};

async fn check(world: &World, script: &[Flush], expect: u64) {
    world.race(script);
    let count = world
        .sql("SELECT count(*) AS n, count(DISTINCT record_id) AS d FROM events")
        .await;
    assert_eq!(
        count,
        format!("[{{\"n\":{expect},\"d\":{expect}}}]"),
        "{script:?}"
    );
}

#[tokio::test]
async fn a_flush_between_the_listings_loses_and_doubles_nothing() {
    for script in [
        vec![],
        vec![Flush::BeforeView],
        vec![Flush::AfterView],
        vec![Flush::AfterView, Flush::AfterView],
        vec![Flush::AfterView, Flush::BeforeView],
    ] {
        let world = World::new();
        let mut count = 0;
        for round in 0..3 {
            for _ in 0..3 {
                world.write([world.event(person(1), "E", round, r#"{"a":1}"#)]);
                count += 1;
            }
            check(&world, &script, count).await;
        }
    }
}

#[tokio::test]
async fn a_flush_during_a_page_loses_and_doubles_nothing() {
    for flush in [Flush::BeforeView, Flush::AfterView] {
        let world = World::new();
        let records: Vec<_> = (0..40_u8)
            .map(|n| world.event(person(n), "E", i64::from(n), &format!("{{\"n\":{n}}}")))
            .collect();
        world.write(records);
        let query = EventsQuery::default();
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            world.race(&[flush]);
            let reader = policy();
            let page = world
                .engine
                .events_page(&reader, &query, ProfileParts::ALL, after, 7);
            let page = page.await.unwrap();
            seen.extend(
                page.records
                    .iter()
                    .map(|it| it.properties.as_str().to_owned()),
            );
            // What comes later is above the cut-off.
            world.clock.advance(std::time::Duration::from_secs(1));
            world.write([world.event(person(3), "E", 20 * super::world::DAY, "{}")]);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let expect: Vec<_> = (0..40).map(|n| format!("{{\"n\":{n}}}")).collect();
        assert_eq!(seen, expect);
    }
}

#[tokio::test]
async fn a_journal_larger_than_memory_is_streamed() {
    let settings = Settings {
        tail_bytes_max: 1,
        threads: 2,
        ..Settings::default()
    };
    let world = World::with(settings);
    for n in 0..5 {
        world.write([world.event(person(n), "E", i64::from(n), &format!("{{\"n\":{n}}}"))]);
        world.write([world.event(person(n), "E", i64::from(n), &format!("{{\"s{n}\":\"x\"}}"))]);
        if n == 2 {
            world.flush().await;
        }
    }
    let rows = world.sql("SELECT sum(\"p:n\") AS s, count(*) AS c, max(\"p:s4\") AS m FROM events");
    assert_eq!(rows.await, r#"[{"s":10,"c":10,"m":"x"}]"#);
    let (reader, query) = (policy(), EventsQuery::default());
    let page = world
        .engine
        .events_page(&reader, &query, ProfileParts::ALL, None, 100);
    assert_eq!(page.await.unwrap().records.len(), 10);
}
