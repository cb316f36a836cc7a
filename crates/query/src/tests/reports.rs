//! The most frequent values, trends, and the names in use.

use super::world::{World, at, masked, person, policy};
use crate::{EventsQuery, Measure, Subject, ValueCounts, ValueType};
use model::ErrorKind;
use model::record::{ChangeOp, LinkKind};
use std::collections::BTreeSet;

const HOUR: i64 = 3_600_000;

fn bought() -> EventsQuery {
    EventsQuery {
        event: Some(String::from("Bought")),
        ..EventsQuery::default()
    }
}

/// Some in parts, some in the journal; two devices of one person.
async fn world() -> World {
    let world = World::new();
    world.write([
        world.link(person(9), person(1), 0, LinkKind::Device),
        world.change(person(1), 0, &[("Plan", ChangeOp::Put, r#""gold""#)]),
        world.change(person(2), 0, &[("Plan", ChangeOp::Put, r#""tin""#)]),
        world.event(person(1), "Bought", HOUR, r#"{"what":"shoe","price":10}"#),
        world.event(
            person(9),
            "Bought",
            2 * HOUR,
            r#"{"what":"shoe","price":2.5}"#,
        ),
        world.event(person(2), "Bought", 2 * HOUR, r#"{"what":"5","price":"4"}"#),
    ]);
    world.flush().await;
    world.write([
        world.event(person(1), "Bought", 3 * HOUR, r#"{"what":5,"price":null}"#),
        world.event(
            person(2),
            "Bought",
            4 * HOUR,
            r#"{"what":["shoe"],"price":1}"#,
        ),
        world.event(person(2), "Looked", 4 * HOUR, r#"{"what":"shoe"}"#),
    ]);
    world
}

fn of(counts: &ValueCounts, kind: ValueType) -> Vec<(&str, u64)> {
    let mut found: Vec<_> = counts
        .get(&kind)
        .into_iter()
        .flatten()
        .map(|(value, count)| (&**value, *count))
        .collect();
    found.sort_unstable();
    found
}

#[tokio::test]
async fn values_are_counted_by_type_wherever_they_lie() {
    let world = world().await;
    let subjects = [
        Subject::Event(String::from("what")),
        Subject::Person(String::from("Plan")),
        Subject::Context(String::from("make")),
    ];
    let counts = world
        .engine
        .value_counts(&policy(), &bought(), &subjects)
        .await
        .unwrap();
    assert_eq!(of(&counts[0], ValueType::Text), [("5", 1), ("shoe", 2)]);
    assert_eq!(of(&counts[0], ValueType::Integer), [("5", 1)]);
    assert_eq!(of(&counts[1], ValueType::Text), [("gold", 3), ("tin", 2)]);
    assert!(counts[2].is_empty());
}

#[tokio::test]
async fn trends_count_events_people_and_sums() {
    let world = world().await;
    let starts = [vec![at(0), at(2 * HOUR), at(4 * HOUR)], vec![at(2 * HOUR)]];
    let price = Measure::Sum(String::from("price"));
    for (measure, expected) in [
        (Measure::Events, [vec![1.0, 3.0, 1.0], vec![4.0]]),
        (Measure::People, [vec![1.0, 2.0, 1.0], vec![2.0]]),
        (price, [vec![10.0, 6.5, 1.0], vec![7.5]]),
    ] {
        let found = world
            .engine
            .trends(&policy(), &bought(), &measure, &starts)
            .await
            .unwrap();
        assert_eq!(found, expected, "{measure:?}");
    }
}

#[tokio::test]
async fn a_breakdown_tells_the_most_frequent_values_apart() {
    let world = world().await;
    let subject = Subject::Event(String::from("what"));
    let starts = [at(0), at(2 * HOUR), at(4 * HOUR)];
    let (policy, bought) = (policy(), bought());
    let find = async |subject: &Subject, most| {
        let engine = &world.engine;
        let found = engine.breakdown(&policy, &bought, subject, &starts, most);
        found.await.unwrap()
    };
    let all = find(&subject, 10).await;
    let told: Vec<_> = all
        .values
        .iter()
        .map(|(value, it)| (&**value, it))
        .collect();
    let expect = [
        ("5", &vec![0, 2, 0]),
        ("shoe", &vec![1, 1, 0]),
        (r#"["shoe"]"#, &vec![0, 0, 1]),
    ];
    assert_eq!(told, expect);
    assert_eq!((all.others, all.without), (vec![0; 3], vec![0; 3]));
    let one = find(&subject, 1).await;
    assert_eq!(one.values.len(), 1);
    assert_eq!(one.others, [1, 1, 1]);
    let nothing = Subject::Event(String::from("nothing"));
    assert_eq!(find(&nothing, 3).await.without, [1, 3, 1]);
    let refused = [
        (
            policy.clone(),
            Subject::Person(String::from("Plan")),
            ErrorKind::Invalid,
        ),
        (masked(&["what"]), subject.clone(), ErrorKind::Denied),
    ];
    for (policy, subject, kind) in refused {
        let engine = &world.engine;
        let found = engine.breakdown(&policy, &bought, &subject, &starts, 3);
        assert_eq!(found.await.unwrap_err().kind(), kind);
    }
}

#[tokio::test]
async fn properties_of_events_are_listed_with_their_types() {
    let world = world().await;
    let found = world.engine.event_properties(&policy()).await.unwrap();
    assert_eq!(found["price"], ["integer", "decimal", "text", "other"]);
    assert_eq!(found["what"], ["integer", "text", "other"]);
}

#[tokio::test]
async fn what_is_masked_is_in_no_report() {
    let world = world().await;
    let hidden = masked(&["what", "Plan"]);
    for subject in [
        Subject::Event(String::from("what")),
        Subject::Person(String::from("Plan")),
    ] {
        let refused = world
            .engine
            .value_counts(&hidden, &bought(), &[subject])
            .await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Denied);
    }
    let measure = Measure::Sum(String::from("what"));
    let refused = world
        .engine
        .trends(&hidden, &bought(), &measure, &[vec![at(0)]])
        .await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Denied);
    let wanted = BTreeSet::from([String::from("gold")]);
    let refused = world.engine.people_having(&hidden, "Plan", &wanted).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Denied);
}

#[tokio::test]
async fn names_in_use_are_listed() {
    let world = world().await;
    let names = world.engine.event_names(&policy()).await.unwrap();
    let told: Vec<_> = names.iter().map(|(name, it)| (&**name, it.count)).collect();
    assert_eq!(told, [("Bought", 5), ("Looked", 1)]);
    assert_eq!(names["Bought"].first_seen, at(HOUR));
    assert_eq!(names["Bought"].last_seen, at(4 * HOUR));
    let properties = world.engine.profile_properties(&policy()).await.unwrap();
    assert_eq!(properties, BTreeSet::from([Box::from("Plan")]));
}

#[tokio::test]
async fn people_are_found_by_what_they_have_now() {
    let world = world().await;
    world.write([world.change(person(2), HOUR, &[("Plan", ChangeOp::Put, r#""GOLD""#)])]);
    let wanted = BTreeSet::from([String::from("gold"), String::from("tin")]);
    let found = world
        .engine
        .people_having(&policy(), "Plan", &wanted)
        .await
        .unwrap();
    let keys: BTreeSet<_> = found.iter().map(|(text, it)| (&**text, it.key)).collect();
    let both = [("gold", Some(person(1))), ("gold", Some(person(2)))];
    assert_eq!(keys, BTreeSet::from(both));
}

#[tokio::test]
async fn whom_to_change_is_told_with_when_that_was_changed_last() {
    let world = world().await;
    let put = |value| [("Flag", ChangeOp::Put, value)];
    world.write([
        world.change(person(1), 9 * HOUR, &put("true")),
        world.change(person(1), 3 * HOUR, &put("false")),
        world.change(person(2), 9 * HOUR, &put("true")),
    ]);
    let wanted = BTreeSet::from([String::from("gold")]);
    for (changed, expect) in [("Flag", Some(at(9 * HOUR))), ("Nothing", None)] {
        let (found, when) = world
            .engine
            .people_to_change(&policy(), "Plan", &wanted, changed)
            .await
            .unwrap();
        let keys: Vec<_> = found.iter().map(|(_, it)| it.key).collect();
        assert_eq!(keys, [Some(person(1))]);
        assert_eq!(when.get(&person(1)).copied(), expect, "{changed}");
        assert_eq!(when.len(), usize::from(expect.is_some()), "{changed}");
    }
    let refused = world
        .engine
        .people_to_change(&masked(&["Plan"]), "Plan", &wanted, "Flag")
        .await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Denied);
}
