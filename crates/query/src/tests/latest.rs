//! The newest events first, and one person's timeline.

use super::world::{HOUR, World, account, at, masked, person, policy, without};
use crate::{Before, EventsQuery, LatestPage, Operator, PropertyFilter, ReadPolicy};
use governance::Stretch;
use model::record::LinkKind;
use model::{ErrorKind, PersonKey, RawJson};

const DAY: i64 = 24 * HOUR;

fn names(page: &LatestPage) -> Vec<&str> {
    page.records.iter().map(|it| &*it.name).collect()
}

async fn latest(
    world: &World,
    policy: &ReadPolicy,
    query: &EventsQuery,
    person: Option<PersonKey>,
    before: Option<Before>,
    limit: usize,
) -> crate::Result<LatestPage> {
    world
        .engine
        .latest_events(policy, query, person, before, limit)
        .await
}

/// Three days, in a part and in the journal. Device 9 is person 1's until hour 30, then 2's.
async fn world() -> World {
    let world = World::new();
    world.write([
        world.link(person(9), person(1), 0, LinkKind::Device),
        world.event(person(1), "a", HOUR, r#"{"n":1}"#),
        world.event(person(9), "b", DAY + HOUR, r#"{"n":2}"#),
        world.event(person(2), "c", DAY + 2 * HOUR, r#"{"n":3}"#),
    ]);
    world.flush().await;
    world.write([
        world.link(person(9), person(2), 30 * HOUR, LinkKind::Device),
        world.event(person(9), "d", 31 * HOUR, r#"{"n":4}"#),
        world.event(person(1), "e", 2 * DAY + HOUR, r#"{"n":5,"Email":"x"}"#),
    ]);
    world
}

#[tokio::test]
async fn pages_go_back_in_time_and_miss_nothing() {
    let world = world().await;
    let query = EventsQuery::default();
    for limit in 1..7 {
        let mut before: Option<Before> = None;
        let mut found = String::new();
        loop {
            let page = latest(&world, &policy(), &query, None, before, limit)
                .await
                .unwrap();
            assert!(page.records.len() <= limit);
            found.push_str(&names(&page).concat());
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(found, "edcba", "pages of {limit}");
    }
}

#[tokio::test]
async fn nothing_of_the_deleted_stays_in_memory() {
    let world = world().await;
    let (query, all) = (EventsQuery::default(), policy());
    let look = || latest(&world, &all, &query, None, None, 9);
    assert_eq!(names(&look().await.unwrap()), ["e", "d", "c", "b", "a"]);
    let held = || world.engine.inner.whole.people();
    assert!(held().contains(&person(1)));
    let gone = without(&[(person(1), Stretch::WHOLE)]).suppressed;
    world.engine.forget(account(), gone);
    let others = [person(2), person(9)].into();
    assert_eq!(held(), others);
    // A page that was begun before sees them to its end.
    assert_eq!(look().await.unwrap().records.len(), 5);
    assert_eq!(held(), others);
}

#[tokio::test]
async fn a_timeline_is_one_persons_with_the_devices_of_the_time() {
    let world = world().await;
    let query = EventsQuery::default();
    for (who, expect) in [(1, vec!["e", "b", "a"]), (2, vec!["d", "c"]), (3, vec![])] {
        let who_is = Some(person(who));
        let page = latest(&world, &policy(), &query, who_is, None, 10)
            .await
            .unwrap();
        assert_eq!(names(&page), expect, "person {who}");
        assert!(
            page.records
                .iter()
                .all(|it| it.person.key == Some(person(who)))
        );
    }
}

#[tokio::test]
async fn filters_hold_and_masks_do() {
    let world = world().await;
    let filter = |name: &str| EventsQuery {
        to: at(3 * DAY),
        filters: vec![PropertyFilter {
            name: name.to_owned(),
            operator: Operator::GreaterThan,
            value: RawJson::parse("2").unwrap(),
        }],
        ..EventsQuery::default()
    };
    let found = latest(&world, &policy(), &filter("n"), None, None, 2)
        .await
        .unwrap();
    assert_eq!(names(&found), ["e", "d"]);
    assert!(found.next.is_some());
    let masked = masked(&["Email"]);
    let refused = latest(&world, &masked, &filter("Email"), None, None, 2).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Denied);
    let everything = EventsQuery::default();
    let shown = latest(&world, &masked, &everything, None, None, 1)
        .await
        .unwrap();
    assert_eq!(
        shown.records[0].properties.as_str(),
        r#"{"Email":"***","n":5}"#
    );
}
