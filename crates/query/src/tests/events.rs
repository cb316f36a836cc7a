//! Pages and counts of events.

use super::world::{DAY, HOUR, World, at, masked, person, policy, without};
use crate::{EventsQuery, Measure, Operator, Position, ProfileParts, PropertyFilter};
use expect_test::expect;
use governance::Stretch;
use model::record::{ChangeOp, Event, LinkKind, Record};
use model::{ErrorKind, RawJson};
use proptest::prelude::*;
use std::sync::Arc;

pub(super) const NOTHING: ProfileParts = ProfileParts {
    profile: false,
    events: false,
};

pub(super) fn query(event: &str, from: i64, to: i64) -> EventsQuery {
    EventsQuery {
        event: Some(event.to_owned()),
        from: at(from),
        to: at(to),
        ..EventsQuery::default()
    }
}

pub(super) fn filter(name: &str, operator: Operator, value: &str) -> PropertyFilter {
    PropertyFilter {
        name: name.to_owned(),
        operator,
        value: RawJson::parse(value).unwrap(),
    }
}

pub(super) async fn all(world: &World, query: &EventsQuery, limit: usize) -> Vec<String> {
    let mut seen = Vec::new();
    let mut after: Option<Position> = None;
    loop {
        let page = world
            .engine
            .events_page(&policy(), query, NOTHING, after, limit)
            .await
            .unwrap();
        assert!(page.records.len() <= limit);
        seen.extend(
            page.records
                .iter()
                .map(|it| it.properties.as_str().to_owned()),
        );
        after = page.next;
        if after.is_none() {
            return seen;
        }
    }
}

#[tokio::test]
async fn pages_together_are_all_events_in_order_whatever_is_merged_meanwhile() {
    let world = World::new();
    let mut expect = Vec::new();
    for day in 0..4_i64 {
        for who in 0..30_u8 {
            let properties = format!("{{\"d\":{day},\"w\":{who}}}");
            expect.push(properties.clone());
            world.write([world.event(person(who), "E", day * DAY + HOUR, &properties)]);
            world.write([world.event(person(who), "Other", day * DAY, "{}")]);
        }
        if day != 3 {
            world.flush().await;
        }
    }
    let query = query("E", 0, 4 * DAY);
    for limit in [1, 7, 30, 1_000] {
        assert_eq!(all(&world, &query, limit).await, expect, "pages of {limit}");
    }
    let first = world
        .engine
        .events_page(&policy(), &query, NOTHING, None, 50)
        .await
        .unwrap();
    world.flush().await;
    let everyone = Arc::new(Keeps);
    while world
        .lake
        .compact(
            super::world::account(),
            model::record::Table::Events,
            Arc::<Keeps>::clone(&everyone),
        )
        .await
        .unwrap()
        .merged
        > 0
    {}
    let rest = world
        .engine
        .events_page(&policy(), &query, NOTHING, first.next, 1_000)
        .await
        .unwrap();
    let rest: Vec<_> = rest
        .records
        .iter()
        .map(|it| it.properties.as_str())
        .collect();
    assert_eq!(rest, expect[50..]);
}

#[derive(Debug)]
struct Keeps;

impl lake::Keep for Keeps {
    fn keep(&self, _: model::AccountId, _: model::PersonKey, _: model::Timestamp) -> bool {
        true
    }

    fn ledger(&self) -> model::LedgerPosition {
        model::LedgerPosition(0)
    }
}

#[tokio::test]
async fn large_days_are_read_in_the_order_of_their_parts() {
    let world = World::new();
    for flush in 0..3_i64 {
        let records: Vec<_> = (0..40_000_i64)
            .map(|n| {
                let who = person(u8::try_from((n * 7 + flush) % 251).unwrap());
                world.event(who, "E", n, &format!("{{\"n\":{n},\"f\":{flush}}}"))
            })
            .collect();
        world.write(records);
        if flush < 2 {
            world.flush().await;
        }
    }
    expect![[r#"
        SortPreservingMergeExec: [person_key@0 ASC, ts@2 ASC, record_id@1 ASC], fetch=10
          DataSourceExec: file_groups={2 groups: [[lake/A-1/events/2026-11-02/<part>], [lake/A-1/events/2026-11-02/<part>]]}, projection=[person_key, record_id, ts], limit=10, output_ordering=[person_key@0 ASC, ts@2 ASC, record_id@1 ASC], file_type=parquet, predicate=received_at@4 <= 1794441600000 AND ts@3 >= 1793577600000 AND ts@3 < 1793664000000 AND name@2 = E, pruning_predicate=received_at_null_count@1 != row_count@2 AND received_at_min@0 <= 1794441600000 AND ts_null_count@4 != row_count@2 AND ts_max@3 >= 1793577600000 AND ts_null_count@4 != row_count@2 AND ts_min@5 < 1793664000000 AND name_null_count@8 != row_count@2 AND name_min@6 <= E AND E <= name_max@7, required_guarantees=[name in (E)]
    "#]].assert_eq(&page_plan(&world, &query("E", 0, DAY)).await);
    let seen = all(&world, &query("E", 0, DAY), 5_000).await;
    assert_eq!(seen.len(), 120_000);
    let distinct: std::collections::HashSet<_> = seen.iter().collect();
    assert_eq!(distinct.len(), 120_000);
    // Under a condition such a day is looked at in pieces; the rows are the same, in the same order.
    world.flush().await;
    let some = EventsQuery {
        filters: vec![filter("f", Operator::Equals, "1")],
        ..query("E", 0, DAY)
    };
    let expect = seen.iter().filter(|it| it.starts_with("{\"f\":1,"));
    let expect: Vec<String> = expect.cloned().collect();
    assert_eq!(expect.len(), 40_000);
    assert_eq!(all(&world, &some, 5_000).await, expect);
}

/// The physical plan by which the places of a page are found in parts, part ids replaced.
async fn page_plan(world: &World, query: &EventsQuery) -> String {
    use datafusion::physical_plan::displayable;
    let tables = [model::record::Table::Events];
    let engine = &world.engine;
    let snapshot = engine
        .inner
        .snapshots
        .take(super::world::account(), &tables)
        .await
        .unwrap();
    let rows = snapshot.table(model::record::Table::Events).unwrap();
    let rows = Arc::new(rows.parts_alone(rows.parts.clone()));
    let by = |name| crate::tables::column(name).sort(true, true);
    let read = crate::reads::Read {
        columns: ["person_key", "record_id", "ts"].map(String::from).to_vec(),
        filter: Some(crate::events::matching(query, Some(at(10 * DAY)))),
        sort: vec![by("person_key"), by("ts"), by("record_id")],
        limit: Some(10),
    };
    let plan = engine
        .plan_read(&rows, &policy(), crate::scan::Order::Parts, read)
        .unwrap();
    let plan = engine
        .reader(crate::scan::Order::Parts)
        .create_physical_plan(&plan)
        .await
        .unwrap();
    let text = displayable(plan.as_ref()).indent(false).to_string();
    super::world::without_part_ids(&text)
}

#[tokio::test]
async fn conditions_go_by_what_values_are() {
    let world = World::new();
    let values = [
        "\"1.10\"",
        "\"01234\"",
        "12345678901234567",
        "\"$D_631152000\"",
        "\"$D_1104537600\"",
        "[\"gold\",\"new\"]",
        "[\"caf\\u00e9\",7]",
        "[]",
    ];
    for (n, value) in (0..).zip(values) {
        world.write([world.event(person(n), "E", i64::from(n), &format!("{{\"x\":{value}}}"))]);
    }
    world.flush().await;
    for (operator, value, count) in [
        (Operator::Equals, "\"1.1\"", 0),
        (Operator::Equals, "1.1", 1),
        (Operator::Equals, "\"1234\"", 0),
        (Operator::Equals, "12345678901234568", 0),
        (Operator::Equals, "\"12345678901234567\"", 1),
        (Operator::GreaterThan, "12345678901234566", 1),
        (Operator::GreaterThan, "\"$D_700000000\"", 1),
        (Operator::LessThan, "\"$D_700000000\"", 1),
        (Operator::GreaterThan, "700000000", 1),
        (Operator::Equals, "\"gold\"", 1),
        (Operator::NotEquals, "\"gold\"", 7),
        (Operator::Contains, "\"old\"", 1),
        (Operator::Contains, "\"old\\\",\"", 0),
        (Operator::Contains, "\"caf\u{e9}\"", 1),
        (Operator::LessThan, "8", 2),
    ] {
        let filters = vec![PropertyFilter {
            name: "x".into(),
            operator,
            value: RawJson::parse(value).unwrap(),
        }];
        let query = EventsQuery {
            filters,
            ..query("E", 0, DAY)
        };
        let found = world.engine.count_events(&policy(), &query).await.unwrap();
        assert_eq!(found, count, "{operator:?} {value}");
    }
}

#[tokio::test]
async fn counts_and_filters_agree() {
    let world = World::new();
    let values = ["5", "\"5\"", "7.5", "\"Pizza Napoli\"", "true"];
    for (n, value) in (0..).zip(values) {
        world.write([world.event(person(n), "E", i64::from(n), &format!("{{\"x\":{value}}}"))]);
        if n == 2 {
            world.flush().await;
        }
    }
    world.write([world.event(person(9), "E", 9, "{}")]);
    for (operator, value, count) in [
        (Operator::Equals, "5", 2),
        (Operator::Equals, "\"5\"", 2),
        (Operator::NotEquals, "5", 4),
        (Operator::Contains, "\"piz\"", 1),
        (Operator::GreaterThan, "5", 1),
        (Operator::GreaterOrEqual, "5", 3),
        (Operator::LessThan, "6", 2),
        (Operator::LessOrEqual, "7.5", 3),
        (Operator::GreaterThan, "\"5\"", 1),
        (Operator::GreaterThan, "\"Pasta\"", 2),
        (Operator::LessThan, "\"Pasta\"", 0),
        (Operator::LessThan, "\"zest\"", 2),
        (Operator::Equals, "\"true\"", 1),
        (Operator::NotContains, "\"piz\"", 5),
        (Operator::Exists, "null", 5),
        (Operator::NotExists, "null", 1),
        (Operator::Equals, "\"True\"", 1),
        (Operator::NotEquals, "\"True\"", 5),
        (Operator::Equals, "[5,\"True\"]", 3),
        (Operator::Contains, "[\"piz\",\"7.\"]", 2),
        (Operator::GreaterThan, "[100,6]", 1),
        (Operator::NotEquals, "[5,\"True\"]", 3),
        (Operator::NotContains, "[\"piz\",\"7.\"]", 4),
    ] {
        let value = RawJson::parse(value).unwrap();
        let filter = PropertyFilter {
            name: "x".to_owned(),
            operator,
            value,
        };
        let query = EventsQuery {
            filters: vec![filter],
            ..query("E", 0, DAY)
        };
        let counted = world.engine.count_events(&policy(), &query).await.unwrap();
        assert_eq!(counted, count, "{query:?}");
        assert_eq!(
            all(&world, &query, 2).await.len() as u64,
            count,
            "{query:?}"
        );
        assert_eq!(
            world.engine.count_people(&policy(), &query).await.unwrap(),
            count
        );
        let denied = world
            .engine
            .count_events(&masked(&["x"]), &query)
            .await
            .unwrap_err();
        assert_eq!(denied.kind(), ErrorKind::Denied);
    }
}

#[tokio::test]
async fn bounds_are_from_inclusive_to_exclusive() {
    let world = World::new();
    world.write([0, HOUR, DAY].map(|ms| world.event(person(1), "E", ms, "{}")));
    for (from, to, count) in [
        (0, DAY, 2),
        (0, DAY + 1, 3),
        (1, DAY, 1),
        (HOUR, HOUR, 0),
        (HOUR, 0, 0),
    ] {
        let query = query("E", from, to);
        assert_eq!(
            world.engine.count_events(&policy(), &query).await.unwrap(),
            count
        );
        assert_eq!(
            all(&world, &query, 10).await.len() as u64,
            count,
            "{from} {to}"
        );
    }
}

#[tokio::test]
async fn deleted_people_and_masked_values_are_not_on_pages() {
    let world = World::new();
    for n in 1..=2 {
        world.write([world.event(person(n), "E", 0, r#"{"Email":"a","Age":1}"#)]);
    }
    let mut policy = masked(&["Email"]);
    policy.suppressed = without(&[(person(1), Stretch::WHOLE)]).suppressed;
    let page = world
        .engine
        .events_page(&policy, &query("E", 0, DAY), ProfileParts::ALL, None, 10)
        .await;
    let records = page.unwrap().records;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].key, person(2));
    assert_eq!(records[0].properties.as_str(), r#"{"Age":1,"Email":"***"}"#);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn pages_are_the_events_whatever_the_sizes(
        events in proptest::collection::vec((0_u8..6, 0_i64..3 * DAY), 1..60),
        flushes in proptest::collection::vec(any::<bool>(), 60),
        limit in 1_usize..9,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::new();
            let mut expect = Vec::new();
            for (n, ((who, ms), flush)) in events.iter().zip(flushes).enumerate() {
                let properties = format!("{{\"n\":{n}}}");
                expect.push((at(*ms).day(), person(*who), *ms, n, properties.clone()));
                world.write([world.event(person(*who), "E", *ms, &properties)]);
                if flush {
                    world.flush().await;
                }
            }
            expect.sort();
            let expect: Vec<_> = expect.into_iter().map(|it| it.4).collect();
            assert_eq!(all(&world, &query("E", 0, 3 * DAY), limit).await, expect);
        });
    }
}

#[tokio::test]
async fn questions_may_be_about_some_sessions_and_some_people() {
    let world = World::new();
    let said = |record: Record, context: &str| match record {
        Record::Event(event) => Record::Event(Event {
            context: Some(RawJson::parse(context).unwrap()),
            ..event
        }),
        other => other,
    };
    let event = |who: u8, ms: i64| world.event(person(who), "E", ms, r#"{"n":1}"#);
    let write = |ms: i64| {
        world.write([
            said(event(1, ms), r#"{"utm_source":"post","a\"b":1,"Build":7}"#),
            said(event(2, ms), r#"{"utm_source":"web"}"#),
            event(2, ms + 1),
            // Of the first one's device.
            event(9, ms),
            event(3, ms),
        ]);
    };
    world.write([
        world.link(person(9), person(1), 0, LinkKind::Device),
        world.change(person(1), 0, &[("Plan", ChangeOp::Put, r#""gold""#)]),
        world.change(person(2), 0, &[("Plan", ChangeOp::Put, r#""tin""#)]),
    ]);
    write(HOUR);
    world.flush().await;
    write(2 * HOUR);
    let plan = |operator, value: &str| vec![filter("Plan", operator, value)];
    let source = |operator, value: &str| vec![filter("utm_source", operator, value)];
    let (gold, post) = (r#""gold""#, r#""post""#);
    let cases = [
        (vec![], vec![], 10, 3),
        (vec![], source(Operator::Equals, post), 2, 1),
        (vec![], source(Operator::NotEquals, post), 8, 3),
        (
            vec![],
            vec![filter("Build", Operator::GreaterThan, "6")],
            2,
            1,
        ),
        (plan(Operator::Equals, gold), vec![], 4, 1),
        (plan(Operator::NotEquals, gold), vec![], 6, 2),
        (plan(Operator::Exists, "null"), vec![], 8, 2),
        (plan(Operator::NotExists, "null"), vec![], 2, 1),
        (plan(Operator::Equals, r#"["gold","tin"]"#), vec![], 8, 2),
        (
            plan(Operator::Equals, gold),
            source(Operator::Exists, "null"),
            2,
            1,
        ),
        (
            plan(Operator::Equals, r#""tin""#),
            source(Operator::Equals, post),
            0,
            0,
        ),
    ];
    let engine = &world.engine;
    for (people, context, events, persons) in cases {
        let query = EventsQuery {
            context,
            ..query("E", 0, DAY)
        };
        let told = format!("{people:?} {query:?}");
        let policy = policy().asking(people, None).unwrap();
        let counted = engine.count_events(&policy, &query).await.unwrap();
        assert_eq!(counted, events, "{told}");
        let counted = engine.count_people(&policy, &query).await.unwrap();
        assert_eq!(counted, persons, "{told}");
        let page = engine.events_page(&policy, &query, NOTHING, None, 100);
        assert_eq!(page.await.unwrap().records.len() as u64, events, "{told}");
        let latest = engine.latest_events(&policy, &query, None, None, 100);
        assert_eq!(latest.await.unwrap().records.len() as u64, events, "{told}");
        let starts = [vec![at(0)]];
        let amounts = engine.trends(&policy, &query, &Measure::Events, &starts);
        assert_eq!(amounts.await.unwrap(), [vec![events as f64]], "{told}");
    }
    // What is masked is not asked for: the answer would tell.
    let refused = masked(&["Plan"]).asking(plan(Operator::Equals, gold), None);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Denied);
    let asked = EventsQuery {
        context: source(Operator::Equals, post),
        ..query("E", 0, DAY)
    };
    let refused = engine.count_events(&masked(&["utm_source"]), &asked).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Denied);
}
