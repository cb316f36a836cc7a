//! What changes make of a profile.

use model::record::{Change, ChangeOp, ProfileChange, Source};
use model::{IdentityKind, PersonKey, RawJson, RecordId, Timestamp};
use proptest::prelude::*;

use super::{Profile, Step, fold, superseded};

const PERSON: PersonKey = PersonKey([1; 16]);

fn record(person: PersonKey, changes: Vec<Change>) -> ProfileChange {
    let ts = Timestamp::from_ms(0);
    ProfileChange {
        id: RecordId([0; 16]),
        person,
        ts,
        received_at: ts,
        source: Source::Rest,
        changes,
    }
}

fn change(op: ChangeOp, property: &str, value: &str) -> Change {
    Change {
        property: property.into(),
        op,
        value: RawJson::parse(value).unwrap(),
    }
}

/// Applies `op value` one after the other to one property and tells what it is in the end.
fn check(steps: &[(ChangeOp, &str)], expect: Option<&str>) {
    let changes = steps
        .iter()
        .map(|(op, value)| change(*op, "p", value))
        .collect();
    let profile = fold([&record(PERSON, changes)]);
    assert_eq!(
        profile.properties.get("p").map(RawJson::as_str),
        expect,
        "{steps:?}"
    );
}

#[test]
fn operators_do_what_the_protocol_says() {
    use ChangeOp::{Add, Decr, Delete, Incr, Put, Remove, Set};
    check(&[(Put, "1.50")], Some("1.50"));
    check(&[(Put, "1"), (Put, "[1, 2]")], Some("[1, 2]"));
    check(&[(Put, "1"), (Delete, "1")], None);
    check(&[(Delete, "1")], None);
    check(&[(Set, "[\"a\",\"b\",\"a\"]")], Some("[\"a\",\"b\"]"));
    check(&[(Set, "[\"a\"]"), (Set, "[\"b\"]")], Some("[\"b\"]"));
    check(&[(Put, "\"x\""), (Set, "[]")], None);
    check(&[(Add, "\"a\"")], Some("[\"a\"]"));
    check(
        &[(Add, "[\"a\"]"), (Add, "[\"b\",\"a\"]")],
        Some("[\"a\",\"b\"]"),
    );
    check(&[(Put, "5"), (Add, "\"a\"")], Some("[\"5\",\"a\"]"));
    check(&[(Put, "\"x\""), (Add, "\"a\"")], Some("[\"x\",\"a\"]"));
    check(&[(Put, "null"), (Add, "\"a\"")], Some("[\"a\"]"));
    check(&[(Add, "[\"a\",\"\\u0061\"]")], Some("[\"a\"]"));
    check(&[(Add, "[5,\"5\"]")], Some("[5]"));
    check(
        &[(Set, "[\"a\",\"b\"]"), (Remove, "[\"a\"]")],
        Some("[\"b\"]"),
    );
    check(&[(Set, "[\"a\"]"), (Remove, "\"a\"")], None);
    check(&[(Set, "[\"a\"]"), (Remove, "\"c\"")], Some("[\"a\"]"));
    check(&[(Put, "\"a\""), (Remove, "\"a\"")], None);
    check(&[(Put, "\"b\""), (Remove, "\"a\"")], Some("\"b\""));
    check(&[(Remove, "\"a\"")], None);
    check(&[(Incr, "5")], Some("5"));
    check(&[(Decr, "5")], Some("-5"));
    check(&[(Put, "1.50"), (Incr, "1")], Some("2.50"));
    check(&[(Put, "1"), (Decr, "0.25")], Some("0.75"));
    check(&[(Put, "0"), (Decr, "0.05")], Some("-0.05"));
    check(&[(Put, "0.1"), (Incr, "0.2")], Some("0.3"));
    check(
        &[(Put, "18446744073709551617"), (Incr, "1")],
        Some("18446744073709551618"),
    );
    check(&[(Put, "1e3"), (Incr, "1")], Some("1001.0"));
    check(&[(Put, "\"x\""), (Incr, "1")], Some("\"x\""));
    check(&[(Put, "1e400"), (Incr, "1")], Some("1e400"));
}

#[test]
fn an_operator_that_does_not_fit_leaves_what_is_there() {
    use ChangeOp::{Add, Decr, Delete, Incr, Put, Remove, Set};
    let of_lists = [
        (Add, "\"a\""),
        (Add, "[\"a\",\"b\"]"),
        (Add, "[]"),
        (Remove, "\"a\""),
        (Remove, "[\"a\",1]"),
        // A text that says what an object or a list does is another value.
        (Add, r#""{\"x\":1}""#),
        (Remove, r#""{\"x\":1}""#),
        (Remove, r#""[1]""#),
    ];
    let of_numbers = [(Incr, "1"), (Decr, "1")];
    let nested = [
        "{}",
        "{\"x\":1}",
        "[{\"x\":1}]",
        "[{\"x\":1},{\"x\":1},\"a\"]",
        "[[1],\"a\"]",
        "[[]]",
    ];
    for there in nested {
        for step in of_lists.into_iter().chain(of_numbers) {
            check(&[(Put, there), step], Some(there));
        }
        check(&[(Put, there), (Set, "[\"a\"]")], Some("[\"a\"]"));
        check(&[(Put, there), (Delete, "1")], None);
    }
    for there in ["true", "false", "\"5\"", "[1]", "[]"] {
        for step in of_numbers {
            check(&[(Put, there), step], Some(there));
        }
    }
}

#[test]
fn null_is_nothing_and_a_boolean_is_one_value() {
    use ChangeOp::{Add, Decr, Delete, Incr, Put, Remove, Set};
    check(
        &[(Put, "null"), (Add, "[\"a\",true]")],
        Some("[\"a\",true]"),
    );
    check(&[(Put, "null"), (Remove, "\"a\"")], Some("null"));
    check(&[(Put, "null"), (Incr, "2")], Some("2"));
    check(&[(Put, "null"), (Decr, "2")], Some("-2"));
    check(&[(Put, "null"), (Set, "true")], Some("[true]"));
    check(&[(Put, "null"), (Delete, "1")], None);
    check(&[(Put, "true"), (Add, "\"a\"")], Some("[\"true\",\"a\"]"));
    check(&[(Put, "true"), (Add, "true")], Some("[\"true\"]"));
    check(&[(Put, "true"), (Remove, "true")], None);
    check(&[(Put, "true"), (Remove, "false")], Some("true"));
}

#[test]
fn the_oldest_of_more_than_a_hundred_values_go() {
    let values = |range: std::ops::Range<u32>| {
        let all: Vec<_> = range.map(|it| format!("\"{it}\"")).collect();
        format!("[{}]", all.join(","))
    };
    check(&[(ChangeOp::Set, &values(0..150))], Some(&values(50..150)));
    check(
        &[(ChangeOp::Set, &values(0..100)), (ChangeOp::Add, "\"100\"")],
        Some(&values(1..101)),
    );
}

#[test]
fn identities_devices_and_tokens_are_gathered() {
    let (other, phone) = (PersonKey([2; 16]), PersonKey([3; 16]));
    let identify = |kind: &str, text: &str| vec![change(ChangeOp::Identify, kind, text)];
    let facts = "{\"make\":\"x\"}";
    let records = [
        record(PERSON, identify("identity", "\"u1\"")),
        record(phone, identify("objectId", "\"__g1\"")),
        record(phone, vec![change(ChangeOp::Device, "Android", facts)]),
        record(
            phone,
            vec![change(ChangeOp::Token, "fcm", "{\"id\":\"t\"}")],
        ),
        record(PERSON, identify("identity", "\"u1\"")),
        record(other, identify("identity", "\"u\\u0000\"")),
    ];
    let profile = fold(&records);
    let identities: Vec<_> = profile
        .identities
        .iter()
        .map(|it| (it.key, it.kind, &*it.text))
        .collect();
    let kind = IdentityKind::Identity;
    assert_eq!(identities, [(PERSON, kind, "u1"), (other, kind, "u\0")]);
    assert_eq!(profile.identity(), Some("u\0"));
    assert_eq!(profile.object_ids().collect::<Vec<_>>(), ["__g1"]);
    let device = &profile.devices[&phone];
    assert_eq!(
        (
            device.platform.as_deref(),
            device.facts.as_ref().unwrap().as_str()
        ),
        (Some("Android"), facts)
    );
    assert_eq!(device.token.as_ref().unwrap().service.as_ref(), "fcm");
}

fn operation() -> impl Strategy<Value = Change> {
    let op = prop::sample::select(vec![
        ChangeOp::Put,
        ChangeOp::Set,
        ChangeOp::Add,
        ChangeOp::Remove,
        ChangeOp::Incr,
        ChangeOp::Decr,
        ChangeOp::Delete,
    ]);
    let value = prop::sample::select(vec![
        "1",
        "2.5",
        "-3",
        "\"a\"",
        "\"b\"",
        "[\"a\",\"b\"]",
        "[1,\"a\"]",
        "true",
        "false",
        "null",
        "{\"x\":1}",
        "[{\"x\":1},\"a\"]",
        "1e400",
        "\"\\ud800\"",
        "[]",
    ]);
    let property = prop::sample::select(vec!["p", "q"]);
    (op, property, value).prop_map(|(op, property, value)| change(op, property, value))
}

fn folded(changes: &[Change]) -> Profile {
    fold([&record(PERSON, changes.to_vec())])
}

proptest! {
    /// Folding at once, one by one, or in two pieces gives the same; every value is JSON.
    #[test]
    fn folding_is_a_function_of_the_changes_in_order(
        changes in prop::collection::vec(operation(), 0..20), cut in 0_usize..20,
    ) {
        let whole = folded(&changes);
        prop_assert_eq!(&whole, &folded(&changes));
        let (first, second) = changes.split_at(cut.min(changes.len()));
        let pieces = [record(PERSON, first.to_vec()), record(PERSON, second.to_vec())];
        prop_assert_eq!(&whole, &fold(&pieces));
        for value in whole.properties.values() {
            prop_assert!(RawJson::parse(value.as_str()).is_ok());
        }
    }

    /// `$add`, `$remove`, `$set`, `$delete` and plain values done twice are done once.
    #[test]
    fn repeating_a_change_changes_nothing(
        before in prop::collection::vec(operation(), 0..10), last in operation(),
    ) {
        prop_assume!(!matches!(last.op, ChangeOp::Incr | ChangeOp::Decr));
        let mut changes = before;
        changes.push(last.clone());
        let once = folded(&changes);
        changes.push(last);
        prop_assert_eq!(once, folded(&changes));
    }

    /// What is added is there, what is removed is not; where there is an object, it stays as it is.
    #[test]
    fn added_values_are_there_until_removed(before in prop::collection::vec(operation(), 0..10)) {
        let mut changes = before;
        let there = folded(&changes);
        changes.push(change(ChangeOp::Add, "p", "\"z\""));
        let added = folded(&changes);
        if there.properties.get("p").is_some_and(|it| it.as_str().contains('{')) {
            prop_assert_eq!(added, there);
            return Ok(());
        }
        prop_assert!(added.properties["p"].as_str().contains("\"z\""));
        changes.push(change(ChangeOp::Remove, "p", "\"z\""));
        let removed = folded(&changes);
        prop_assert!(!removed.properties.get("p").is_some_and(|it| it.as_str().contains("\"z\"")));
    }

    /// Counting up and down again ends where it began.
    #[test]
    fn counting_up_and_down_is_exact(start in -1_000_000_i64..1_000_000, cents in 0_u32..10_000) {
        let step = format!("{}.{:02}", cents / 100, cents % 100);
        let start = format!("{start}.00");
        let changes = [
            change(ChangeOp::Put, "p", &start),
            change(ChangeOp::Incr, "p", &step),
            change(ChangeOp::Decr, "p", &step),
        ];
        let profile = folded(&changes);
        prop_assert_eq!(profile.properties["p"].as_str(), start);
    }
}

/// Changes of one key, each with its time; the first says whose it is.
fn history() -> impl Strategy<Value = Vec<(u8, Change)>> {
    let timed = (any::<u8>(), operation());
    prop::collection::vec(timed, 0..30).prop_map(|mut steps| {
        let name = change(ChangeOp::Identify, "identity", "\"anna\"");
        steps.extend([(100, name.clone()), (200, name)]);
        steps
    })
}

/// What is left of changes once those that say nothing are left out; they are put in order first.
fn compacted(mut steps: Vec<(u8, Change)>) -> Vec<(u8, Change)> {
    steps.sort_by_key(|(time, _)| *time);
    let of: Vec<Step<'_>> = steps
        .iter()
        .map(|(_, it)| Step {
            op: it.op,
            property: &it.property,
        })
        .collect();
    let dead = superseded(&of);
    let kept = steps.iter().enumerate();
    kept.filter(|(place, _)| !dead.contains(place))
        .map(|(_, it)| it.clone())
        .collect()
}

fn in_order(mut steps: Vec<(u8, Change)>) -> Profile {
    // Stable: those of one time keep their order.
    steps.sort_by_key(|(time, _)| *time);
    let changes: Vec<Change> = steps.into_iter().map(|(_, it)| it).collect();
    folded(&changes)
}

proptest! {
    /// Whatever part of a history was compacted, in however many pieces, and whatever arrives later
    /// at whatever time: the profile is that of the whole history.
    #[test]
    fn compaction_changes_no_profile(
        history in history(), pieces in prop::collection::vec(0_u8..4, 32),
    ) {
        // Distinct times, so that the order is that of the history in every piece.
        let mut history = history;
        history.sort_by_key(|(time, _)| *time);
        let history: Vec<(u8, Change)> = (0..).zip(history).map(|(n, (_, it))| (n, it)).collect();
        let mut of: [Vec<(u8, Change)>; 4] = Default::default();
        for (piece, step) in pieces.iter().zip(&history) {
            of[usize::from(*piece)].push(step.clone());
        }
        let [first, second, third, late] = of;
        let mut merged = compacted(first);
        merged.extend(compacted(second));
        let mut merged = compacted(merged);
        merged.extend(compacted(third));
        let mut left = compacted(merged);
        left.extend(late);
        prop_assert_eq!(in_order(left), in_order(history));
    }
}

#[test]
fn only_what_a_known_identity_overwrote_is_superseded() {
    use ChangeOp::{Add, Delete, Identify, Incr, Put};
    let check = |steps: &[(ChangeOp, &'static str)], expect: &[usize]| {
        let steps: Vec<_> = steps
            .iter()
            .map(|&(op, property)| Step { op, property })
            .collect();
        let found: Vec<usize> = superseded(&steps).into_iter().collect();
        assert_eq!(found, expect, "{steps:?}");
    };
    let anna = (Identify, "identity");
    check(&[anna, (Put, "p"), (Put, "p")], &[1]);
    check(
        &[(Put, "p"), (Put, "q"), (Delete, "p"), anna, anna],
        &[0, 4],
    );
    check(&[anna, (Put, "p"), (Add, "p"), (Incr, "p")], &[]);
    check(&[anna, (Add, "p"), (Put, "p"), (Add, "p")], &[1]);
    // A device's, or nobody knows whose.
    check(&[(Put, "p"), (Put, "p")], &[]);
    check(&[(Identify, "objectId"), (Put, "p"), (Put, "p")], &[]);
}
