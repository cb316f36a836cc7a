//! A value comes back as it was sent, whatever it is, through journal rows and through parts.

use model::record::{Entry, Record, Table};
use model::{PersonKey, RawJson};
use proptest::prelude::*;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

use super::world::{World, account, everyone, person, run, small};
use crate::schema::PropertyType;
use crate::shred::{self, Key, Value};
use crate::{PropertyReader, tail_batches};

#[test]
fn values_are_typed_only_when_that_is_exact() {
    use PropertyType::{Bool, Float, Int, Json, Text};
    let check = |text: &str, expect: PropertyType| {
        assert_eq!(shred::value_of(text).kind(), expect, "{text}");
    };
    for text in [
        "0",
        "-1",
        "9223372036854775807",
        "-9223372036854775808",
        "1000",
    ] {
        check(text, Int);
    }
    for text in [
        "0.5",
        "1.0",
        "-3.25",
        "49.99",
        "100.0",
        "0.001",
        "0.0",
        "123456789.125",
        "0.1",
    ] {
        check(text, Float);
    }
    for text in [
        "-0",
        "-0.0",
        "9223372036854775808",
        "18446744073709551617",
        "1e2",
        "1E2",
        "1.5e3",
        "1.50",
        "12.00",
        "0.1000000000000000055",
        "0.30000000000000000001",
        "0.00000001",
        "null",
        "[]",
        "{\"a\":1}",
        "[1, 2]",
        "\"\\ud800\"",
        "\"\\udc00\\ud800\"",
        "100000000000000000000000000000000000000000000.5",
    ] {
        check(text, Json);
    }
    for text in [
        "\"\"",
        "\"x\"",
        "\"\\u0041\"",
        "\"\\/\"",
        "\"\\ud83d\\ude00\"",
        "\"1\"",
        "\"é\"",
    ] {
        check(text, Text);
    }
    check("true", Bool);
    check("false", Bool);
}

#[test]
fn a_key_that_comes_twice_has_its_last_value() {
    let check = |properties: &str, expect: &str| {
        assert_eq!(through_rows(&[properties]), [expect], "{properties}");
    };
    check(r#"{"a":1,"a":2}"#, r#"{"a":2}"#);
    check(
        r#"{"a":1,"a":"x","b":true,"\u0061":null}"#,
        r#"{"a":null,"b":true}"#,
    );
    check(r#"{"\ud800":1,"\ud800":2}"#, r#"{"\ud800":2}"#);
    check(r#" { "a" : [ 1 ] } "#, r#"{"a":[ 1 ]}"#);
}

#[test]
fn text_that_is_no_object_is_kept_under_the_empty_name() {
    assert_eq!(through_rows(&["[1]", "5"]), [r#"{"":[1]}"#, r#"{"":5}"#]);
}

#[test]
fn properties_beyond_the_columns_overflow_and_come_back() {
    let members: Vec<String> = (0..1_200)
        .map(|n| format!("\"k{n:04}\":\"v{n}\""))
        .collect();
    let text = format!("{{{}}}", members.join(","));
    let back = through_rows(&[&text]);
    same(&text, &back[0]);
    let world = World::new(small());
    let entry = Entry {
        account: account(1),
        record: world.event(person(1), 0, &text),
    };
    let batches = tail_batches(Table::Events, account(1), [&entry]).unwrap();
    let reader = PropertyReader::new(&batches[0]).unwrap();
    assert_eq!(batches[0].num_columns(), 10 + 1_000);
    assert_eq!(reader.value(0, "k1199").unwrap().as_str(), "\"v1199\"");
    assert_eq!(reader.value(0, "k1200"), None);
}

#[test]
fn journal_rows_are_those_of_the_account_and_table() {
    let world = World::new(small());
    let entry = |n: usize, record| Entry {
        account: account(n),
        record,
    };
    let mut entries = vec![
        entry(1, world.event(person(1), 0, "{\"a\":1}")),
        entry(2, world.event(person(1), 0, "{\"b\":1}")),
    ];
    entries.extend(world.others(person(1)).into_iter().map(|it| entry(1, it)));
    for (table, rows) in Table::ALL.into_iter().zip([1, 2, 1, 1, 2]) {
        let batches = tail_batches(table, account(1), &entries).unwrap();
        assert_eq!(batches.iter().map(|it| it.num_rows()).sum::<usize>(), rows);
    }
    let batches = tail_batches(Table::Events, account(1), &entries).unwrap();
    assert!(batches[0].column_by_name("p:i:a").is_some());
    assert!(
        batches[0].column_by_name("p:i:b").is_none(),
        "columns are an account's own"
    );
    assert!(
        tail_batches(Table::Events, account(3), &entries)
            .unwrap()
            .is_empty()
    );
}

/// The properties after they were journal rows.
fn through_rows(properties: &[&str]) -> Vec<String> {
    let world = World::new(small());
    let entries: Vec<Entry> = properties
        .iter()
        .map(|it| Entry {
            account: account(1),
            record: world.event(person(1), 0, it),
        })
        .collect();
    let batches = tail_batches(Table::Events, account(1), &entries).unwrap();
    let mut objects = Vec::new();
    for batch in &batches {
        let reader = PropertyReader::new(batch).unwrap();
        objects.extend((0..batch.num_rows()).map(|row| reader.object(row).as_str().to_owned()));
    }
    objects
}

/// The properties after they were in a part, with the order that they were given in.
fn through_a_part(properties: &[String]) -> Vec<String> {
    run(async {
        let world = World::new(small());
        let key = |n: usize| PersonKey((n as u128).to_be_bytes());
        let records: Vec<Record> = properties
            .iter()
            .enumerate()
            .map(|(n, it)| world.event(key(n), 0, it))
            .collect();
        world.flush(account(1), records, &everyone()).await.unwrap();
        let mut objects = Vec::new();
        for (_, batches) in world.read(account(1), Table::Events).await {
            for batch in &batches {
                let reader = PropertyReader::new(batch).unwrap();
                let rows = 0..batch.num_rows();
                objects.extend(rows.map(|row| reader.object(row).as_str().to_owned()));
            }
        }
        objects
    })
}

/// What a property is: numbers and nested values to the letter, strings as strings.
fn meaning(object: &str) -> BTreeMap<String, String> {
    let mut members = BTreeMap::new();
    shred::members(object, &mut |key, text| {
        let key = match key {
            Key::Name(name) => format!("name {name}"),
            Key::Raw(text) => format!("raw {text}"),
        };
        let value = match shred::value_of(text) {
            Value::Text(text) => format!("string {text}"),
            _ => text.to_owned(),
        };
        members.insert(key, value);
    });
    members
}

fn same(sent: &str, back: &str) {
    RawJson::parse(back).expect("what comes back is JSON");
    assert_eq!(meaning(sent), meaning(back), "{sent} came back as {back}");
}

/// The text of any JSON value.
fn any_value() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        any::<i64>().prop_map(|it| it.to_string()),
        any::<f64>()
            .prop_filter("JSON has none", |it| it.is_finite())
            .prop_map(|it| format!("{it:?}")),
        "-?(0|[1-9][0-9]{0,22})(\\.[0-9]{1,20})?([eE][-+]?[0-9]{1,3})?",
        (-100_000_i32..100_000).prop_map(|it| format!("{:.2}", f64::from(it) / 100.0)),
    ];
    let leaf = prop_oneof![
        4 => number,
        3 => any::<String>().prop_map(|it| serde_json::to_string(&it).unwrap()),
        1 => "\"(\\\\u[0-9a-fA-F]{4}|\\\\[\"\\\\/bfnrt]|[a-z]){0,6}\"",
        1 => prop_oneof![Just("null"), Just("true"), Just("false")].prop_map(String::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|it| format!("[{}]", it.join(" , "))),
            prop::collection::vec((any_key(), inner), 0..4).prop_map(|it| object_of(&it)),
        ]
    })
}

/// The text of any key, few enough that they meet.
fn any_key() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "\"[a-d]{0,2}\"",
        1 => any::<String>().prop_map(|it| serde_json::to_string(&it).unwrap()),
        1 => "\"(\\\\u[0-9a-fA-F]{4}|[a-b:]){0,2}\"",
    ]
}

fn object_of(members: &[(String, String)]) -> String {
    let members: Vec<String> = members
        .iter()
        .map(|(key, value)| format!("{key}: {value}"))
        .collect();
    format!("{{{}}}", members.join(","))
}

fn any_object() -> impl Strategy<Value = String> {
    prop::collection::vec((any_key(), any_value()), 0..8).prop_map(|it| object_of(&it))
}

proptest! {
    #[test]
    fn any_object_comes_back_from_rows(object in any_object()) {
        prop_assume!(serde_json::from_str::<&RawValue>(&object).is_ok());
        let back = through_rows(&[&object]);
        same(&object, &back[0]);
    }

    #[test]
    fn any_number_comes_back_to_the_letter(
        text in "-?(0|[1-9][0-9]{0,18})(\\.[0-9]{1,17})?",
    ) {
        match shred::value_of(&text) {
            Value::Int(it) => prop_assert_eq!(it.to_string(), text),
            Value::Float(it) => prop_assert_eq!(crate::render_float(it), text),
            other => prop_assert_eq!(other, Value::Json(&text)),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_objects_come_back_from_a_part(objects in prop::collection::vec(any_object(), 1..12)) {
        prop_assume!(objects.iter().all(|it| serde_json::from_str::<&RawValue>(it).is_ok()));
        let back = through_a_part(&objects);
        prop_assert_eq!(back.len(), objects.len());
        for (sent, back) in objects.iter().zip(&back) {
            same(sent, back);
        }
    }
}
