//! A flush learns each name once, with kinds, times and samples.

use model::learned::{Name, ValueKind};
use model::record::{Change, ChangeOp, Entry, Record, Source};
use model::{CommitId, RawJson, Timestamp, WriterId};
use std::collections::{BTreeMap, HashSet};

use super::world::{World, account, everyone, person, run, small, without};
use crate::Lessons;
use crate::learn::learn;

fn entries(records: Vec<Record>) -> Vec<Entry> {
    let entry = |record| Entry {
        account: account(1),
        record,
    };
    records.into_iter().map(entry).collect()
}

fn property(name: &str) -> Name {
    Name::EventProperty("Charged".into(), name.into())
}

#[test]
fn names_are_counted_by_dialect_and_kind_of_value() {
    let world = World::new(small());
    let mut records = vec![
        world.event(person(1), 2_000, r#"{"n":1,"when":"$D_17","list":[1]}"#),
        world.event(person(2), 1_000, r#"{"n":1e400,"x":null,"\ud800":1}"#),
        world.event(person(3), 3_000, r#"{"n":"one","flag":true,"o":{}}"#),
    ];
    let Record::Event(first) = &mut records[0] else {
        unreachable!()
    };
    let first_id = first.id;
    first.source = Source::Web;
    let long = format!(r#"{{"n":"{}"}}"#, "x".repeat(513));
    records.push(world.event(person(1), 4_000, &long));
    records.extend(world.others(person(4)));
    let lessons = learn(&entries(records));

    let found: BTreeMap<_, _> = lessons
        .learned
        .iter()
        .map(|it| ((it.source, it.name.clone()), it))
        .collect();
    let of = |source, name| found[&(source, name)];
    let web = of(Source::Web, property("n"));
    assert_eq!((web.count, web.sample), (1, first_id));
    assert_eq!(web.samples[ValueKind::Integer as usize], Some(first_id));
    let source = Source::Rest;
    let n = of(source, property("n"));
    assert_eq!(n.kinds, [2, 0, 1, 0, 0, 0, 0, 0]);
    assert_eq!((n.count, n.faults), (3, [1, 0, 0]));
    let event = of(source, Name::Event("Charged".into()));
    assert_eq!(event.count, 3);
    let span = event.last_seen.since(event.first_seen).as_millis();
    assert_eq!(span, 3_000);
    assert_eq!(
        of(Source::Web, property("when")).kinds[ValueKind::Date as usize],
        1
    );
    assert_eq!(of(source, property("x")).kinds[ValueKind::Null as usize], 1);
    assert!(
        found
            .keys()
            .any(|(_, name)| *name == Name::ProfileProperty("Email".into()))
    );
    let names = found.keys().map(|(_, name)| name);
    let identified = |it: &&Name| matches!(it, Name::ProfileProperty(it) if &**it == "identity");
    assert_eq!(
        names.filter(identified).count(),
        0,
        "an identity is no property"
    );
    let refused: Vec<_> = lessons
        .refused
        .iter()
        .map(|it| (&*it.reason, it.count))
        .collect();
    assert_eq!(refused, [("undecodable", 2)]);
}

#[test]
fn one_value_of_a_list_is_no_value_of_another_kind() {
    let world = World::new(small());
    let mut records = world.others(person(4));
    let Record::ProfileChange(change) = &mut records[0] else {
        unreachable!()
    };
    let step = |op, value: &str| Change {
        property: "tags".into(),
        op,
        value: RawJson::parse(value).unwrap(),
    };
    change.changes = vec![
        step(ChangeOp::Set, r#"["a"]"#),
        step(ChangeOp::Add, r#"["b","c"]"#),
        step(ChangeOp::Add, r#""d""#),
    ];
    let lessons = learn(&entries(records));
    let name = Name::ProfileProperty("tags".into());
    let tags = lessons.learned.iter().find(|it| it.name == name).unwrap();
    assert_eq!(tags.kinds[ValueKind::List as usize], 3);
    assert_eq!(tags.kinds.iter().sum::<u64>(), 3);
}

#[test]
fn faults_of_values_are_counted_by_name_wherever_they_are_in_them() {
    let world = World::new(small());
    let mut records = world.others(person(4));
    let Record::ProfileChange(change) = &mut records[0] else {
        unreachable!()
    };
    let step = |op, value: &str| Change {
        property: "tags".into(),
        op,
        value: RawJson::parse(value).unwrap(),
    };
    let long = "x".repeat(600);
    change.changes = vec![
        step(ChangeOp::Set, &format!(r#"["a","{long}","{long}"]"#)),
        step(ChangeOp::Add, r#""it's""#),
        step(ChangeOp::Put, &format!("[{}]", ["1"; 101].join(","))),
    ];
    let items = format!(r#"{{"Items":[{}],"it":1}}"#, ["{\"a\":1}"; 101].join(","));
    records.push(world.event(person(1), 1_000, &items));
    records.push(world.event(person(1), 2_000, &items.replace("Items", "Other")));
    let lessons = learn(&entries(records));
    let faults = |name: Name| {
        let mut all = lessons.learned.iter();
        all.find(|it| it.name == name).unwrap().faults
    };
    assert_eq!(faults(Name::ProfileProperty("tags".into())), [1, 1, 1]);
    assert_eq!(faults(property("Other")), [0, 0, 1]);
    assert_eq!(faults(property("Items")), [0, 0, 0], "it has its own limit");
    assert_eq!(faults(property("it")), [0, 0, 0]);
}

#[test]
fn what_was_learned_travels_with_the_publication_and_hidden_people_teach_nothing() {
    run(async {
        let world = World::new(small());
        world.catalog.set_ledger(model::LedgerPosition(3));
        let twice = world.event(person(2), 0, r#"{"a":1}"#);
        let records = vec![
            world.event(person(1), 0, r#"{"secret":1}"#),
            twice.clone(),
            twice,
        ];
        let keep = without(&[person(1)], 3);
        world.flush(account(1), records, &keep).await.unwrap();
        let learned = world.catalog.learned();
        let names: Vec<_> = learned
            .iter()
            .map(|it| (it.name.clone(), it.count))
            .collect();
        assert_eq!(names.len(), 2, "{names:?}");
        assert!(names.contains(&(property("a"), 1)));
        world.catalog.set_ledger(model::LedgerPosition(0));
        world
            .flush(account(1), Vec::new(), &everyone())
            .await
            .unwrap();
        assert_eq!(world.catalog.learned().len(), 2);
    });
}

#[test]
fn what_came_again_teaches_nothing_wherever_it_stands() {
    run(async {
        let world = World::new(small());
        let flushed = world.event(person(1), 0, r#"{"a":1}"#);
        world
            .flush(account(1), vec![flushed.clone()], &everyone())
            .await
            .unwrap();
        let twice = world.event(person(2), 0, r#"{"b":1}"#);
        // Its id is that of what it became when it was replayed.
        let Record::Quarantined(mut refused) = world.others(person(2)).swap_remove(2) else {
            unreachable!()
        };
        refused.id = twice.id();
        let records = vec![
            flushed,
            twice.clone(),
            twice,
            Record::Quarantined(refused.clone()),
            Record::Quarantined(refused),
        ];
        let entries = entries(records);
        let (mut seen, mut all) = (HashSet::new(), Lessons::default());
        for number in [2, 3] {
            let commit = CommitId {
                writer: WriterId { node: 1, start: 1 },
                number,
            };
            let learned = world.lake.learn(account(1), commit, &entries, &mut seen);
            all.add(learned.await.unwrap());
        }
        let names = all.learned.iter().map(|it| (it.name.clone(), it.count));
        let expected = [(Name::Event("Charged".into()), 1), (property("b"), 1)];
        assert_eq!(names.collect::<BTreeMap<_, _>>(), expected.into());
        let refused: Vec<_> = all.refused.iter().map(|it| it.count).collect();
        assert_eq!(refused, [1]);
    });
}

#[test]
fn lessons_of_many_commits_are_put_together() {
    let world = World::new(small());
    let mut all = Lessons::default();
    for n in 0..30_000 {
        let name = format!(r#"{{"p{}":1}}"#, n % 50);
        all.add(learn(&entries(vec![world.event(person(1), n, &name)])));
    }
    assert!(all.learned.len() <= 20_000, "{}", all.learned.len());
    let events = all
        .learned
        .iter()
        .filter(|it| matches!(it.name, Name::Event(_)));
    assert_eq!(events.map(|it| it.count).sum::<u64>(), 30_000);
    let last = all.learned.iter().map(|it| it.last_seen).max().unwrap();
    let first = all.learned.iter().map(|it| it.first_seen).min().unwrap();
    assert_eq!(last.since(first).as_millis(), 29_999);
    assert!(first > Timestamp::from_ms(0));
}

#[test]
fn names_that_somebody_makes_up_do_not_crowd_out_those_in_use() {
    let world = World::new(small());
    let made_up = |n: i64| {
        let names = (0..1_000).map(|k| format!(r#""made up {n} {k}":1"#));
        format!("{{{}}}", names.collect::<Vec<_>>().join(","))
    };
    let mut records: Vec<_> = (0..110)
        .map(|n| world.event(person(1), n, &made_up(n)))
        .collect();
    for n in 0..2 {
        records.push(world.event(person(2), n, r#"{"Price":1,"Colour":"red"}"#));
    }
    let learned = learn(&entries(records)).learned;
    assert_eq!(learned.len(), 50_000);
    let used: Vec<_> = learned.iter().filter(|it| it.count > 1).collect();
    let names: BTreeMap<_, _> = used.iter().map(|it| (&it.name, it.count)).collect();
    assert_eq!(names[&Name::Event("Charged".into())], 112);
    assert_eq!(names[&property("Price")], 2);
    assert_eq!(names[&property("Colour")], 2);
}
