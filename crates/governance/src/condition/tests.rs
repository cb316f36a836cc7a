//! What conditions say, and what is none.

use super::{Comparison, Condition, Node, Test, Value};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn check(condition: &str, person: &[(&str, &str)], expect: bool) {
    let parsed = Condition::parse(condition).unwrap();
    let person: BTreeMap<&str, &str> = person.iter().copied().collect();
    let found = parsed.holds(|name| person.get(name).copied());
    assert_eq!(found, expect, "{condition} {person:?}");
}

#[test]
fn tests_compare_values_of_their_kind() {
    let ann = [
        ("Country", "\"DE\""),
        ("Age", "40"),
        ("VIP", "true"),
        ("Tags", "[\"a\",\"b\"]"),
        ("Nothing", "null"),
        ("First Name", "\"Ann's\""),
    ];
    for (condition, expect) in [
        ("Country = 'DE'", true),
        ("Country = 'de'", false),
        ("Country != 'FR'", true),
        ("Country IN ('FR', 'DE')", true),
        ("Country in ('FR')", false),
        ("Country contains 'E'", true),
        ("Country > 'C' AND Country <= 'DE'", true),
        ("Age >= 40 and Age < 4.1e1", true),
        ("Age = '40'", false),
        ("Age != '40'", false),
        ("VIP = true", true),
        ("VIP = 1", false),
        ("Tags = 'b'", true),
        ("Tags = 'c'", false),
        ("Tags contains 'a' and not Tags = 'c'", true),
        ("\"First Name\" = 'Ann''s'", true),
        ("Nothing exists", false),
        ("not Nothing exists", true),
        ("Age exists", true),
        ("Country = 'FR' or Age = 40", true),
        ("Country = 'FR' or Age = 40 and VIP = false", false),
        ("(Country = 'FR' or Age = 40) and VIP = true", true),
    ] {
        check(condition, &ann, expect);
    }
}

#[test]
fn what_is_not_known_of_somebody_lets_nobody_see_them() {
    for condition in [
        "Country = 'DE'",
        "Country != 'DE'",
        "not Country = 'DE'",
        "not (Country = 'DE' or Country != 'DE')",
        "not Country in ('DE')",
        "Country = 'DE' and not Country exists",
    ] {
        check(condition, &[], false);
    }
    check("not Country exists", &[], true);
    check("Country = 'DE' or not Country exists", &[], true);
    check("Country = 'DE'", &[("Country", "not json")], false);
}

#[test]
fn what_is_no_condition_is_refused_with_words() {
    let long = format!("a = '{}'", "x".repeat(2_000));
    let deep = format!("{}a exists{}", "(".repeat(40), ")".repeat(40));
    let many = vec!["a = 1"; 51].join(" or ");
    for (text, words) in [
        ("", "name is expected at the end"),
        ("Country", "followed by"),
        ("Country = ", "a value is"),
        ("Country = DE", "a value is"),
        ("Country = 'DE", "not closed"),
        ("Country == 'DE'", "a value is"),
        ("Country = 'DE' Age = 3", "joins tests"),
        ("Country = 'DE'; DROP TABLE people", "`;` means nothing"),
        ("Country = 'DE' -- x", "`--` is not a number"),
        ("(Country exists", "`)` is expected"),
        ("Country in ()", "a value is"),
        ("Age = 1.", "not a number"),
        ("Age = 1e999", "not a number"),
        ("Age contains 3", "needs a text"),
        ("and = 1", "name is expected"),
        ("\"\" = 1", "no property"),
        ("Age ! 3", "followed by `=`"),
        (&long, "at most 2000 bytes"),
        (&deep, "at most 16 levels"),
        (&many, "at most 50 tests"),
    ] {
        let error = Condition::parse(text).unwrap_err().to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        "\\PC{0,6}".prop_map(|it| Value::Text(it.into())),
        (-1_000_i32..1_000).prop_map(|it| Value::Number(f64::from(it) / 8.0)),
        any::<bool>().prop_map(Value::Boolean),
    ]
}

fn test() -> impl Strategy<Value = Test> {
    let how = prop::sample::select(Comparison::ALL.map(|(it, _)| it).to_vec());
    prop_oneof![
        (how, value()).prop_map(|(how, value)| Test::Compare(how, value)),
        prop::collection::vec(value(), 1..4).prop_map(Test::In),
        "\\PC{1,4}".prop_map(|it| Test::Contains(it.into())),
        Just(Test::Exists),
    ]
}

fn condition() -> impl Strategy<Value = Condition> {
    let name = prop_oneof![
        "[ab]".prop_map(String::from),
        Just(String::from("And")),
        "\\PC{1,5}".prop_map(String::from)
    ];
    let leaf = (name, test()).prop_map(|(name, test)| Node::Test(name.into(), test));
    let node = leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Node::Any),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Node::All),
            inner.prop_map(|it| Node::Not(Box::new(it))),
        ]
    });
    node.prop_map(Condition)
}

fn person() -> impl Strategy<Value = BTreeMap<String, String>> {
    let json = prop_oneof![
        "[a-c]{0,3}".prop_map(|it| format!("\"{it}\"")),
        (-10_i32..10).prop_map(|it| it.to_string()),
        any::<bool>().prop_map(|it| it.to_string()),
        Just(String::from("[\"a\",1]")),
        Just(String::from("null")),
    ];
    prop::collection::btree_map("[ab]", json, 0..3)
}

proptest! {
    #[test]
    fn a_condition_is_read_as_it_is_shown(condition in condition()) {
        let text = condition.to_string();
        prop_assert_eq!(Condition::parse(&text), Ok(condition), "{}", text);
    }

    #[test]
    fn no_text_is_read_by_panicking(text in "\\PC{0,60}") {
        drop(Condition::parse(&text));
    }

    #[test]
    fn a_condition_and_its_opposite_never_both_hold(condition in condition(), person in person()) {
        let value_of = |name: &str| person.get(name).map(String::as_str);
        let opposite = Condition(Node::Not(Box::new(condition.0.clone())));
        prop_assert!(!(condition.holds(value_of) && opposite.holds(value_of)));
    }

    #[test]
    fn joined_by_and_it_sees_no_more_and_by_or_no_less(
        a in condition(), b in condition(), person in person(),
    ) {
        let value_of = |name: &str| person.get(name).map(String::as_str);
        let (first, second) = (a.holds(value_of), b.holds(value_of));
        let all = Condition(Node::All(vec![a.0.clone(), b.0.clone()]));
        let any = Condition(Node::Any(vec![a.0, b.0]));
        prop_assert_eq!(all.holds(value_of), first && second);
        prop_assert_eq!(any.holds(value_of), first || second);
    }
}
