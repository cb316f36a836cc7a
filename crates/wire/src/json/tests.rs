//! The scanner accepts what JSON is and nothing else, and sees what the protocol has rules about.

use proptest::prelude::*;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{DEPTH, Facts, Familiar, Kind, Scanner, canonical};

fn accepts(text: &str) -> bool {
    Scanner::whole(text).is_ok()
}

#[test]
fn texts_that_are_json_are_accepted_and_kept_as_sent() {
    let texts = [
        "0",
        "-0",
        "1e400",
        "1.0e-999",
        "18446744073709551617",
        "-1.5E+3",
        "\"\"",
        "\"a\\u0000\"",
        "\"\\ud800\"",
        "true",
        "false",
        "null",
        "{}",
        "[]",
        "{\"a\":[1,{\"b\":null}]}",
        "\"\u{2028}\u{202e}\"",
        "[ 1 , 2 ]",
    ];
    for text in texts {
        assert_eq!(Scanner::whole(text).map(|it| it.text), Ok(text), "{text}");
        let spaced = format!(" \n\t\r{text} ");
        assert_eq!(Scanner::whole(&spaced).map(|it| it.text), Ok(text));
    }
}

#[test]
fn texts_that_are_not_json_are_refused() {
    let texts = [
        "",
        " ",
        "NaN",
        "Infinity",
        "-",
        "01",
        "1.",
        ".5",
        "1e",
        "+1",
        "'a'",
        "\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\n\"",
        "tru",
        "nul",
        "truex",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{1:1}",
        "[",
        "{",
        "]",
        "1 2",
        "\u{feff}1",
        "// x\n1",
    ];
    for text in texts {
        assert!(!accepts(text), "{text:?}");
    }
}

#[test]
fn nesting_ends_at_the_limit_however_deep_it_goes_on() {
    let nested = |open: &str, levels: usize, close: &str| {
        format!("{}1{}", open.repeat(levels), close.repeat(levels))
    };
    assert!(accepts(&nested("[", 64, "]")));
    assert!(!accepts(&nested("[", 65, "]")));
    assert!(accepts(&nested("{\"a\":", 64, "}")));
    assert!(!accepts(&nested("{\"a\":", 65, "}")));
    assert!(!accepts(&"[".repeat(100_000)));
    assert!(!accepts(&"{\"a\":".repeat(100_000)));
}

#[test]
fn facts_tell_of_keys_and_nesting() {
    let check = |text: &str, expect: Facts| {
        assert_eq!(
            Scanner::whole(text).map(|it| it.facts),
            Ok(expect),
            "{text}"
        );
    };
    let plain = Facts::default();
    check("1", plain);
    check("[]", Facts { levels: 1, ..plain });
    check(
        "{\"a\":1,\"b\":[1,[2]]}",
        Facts {
            levels: 3,
            members: 2,
            ..plain
        },
    );
    check(
        "{\"a\":1,\"a\":2}",
        Facts {
            key_twice: true,
            levels: 1,
            members: 2,
            ..plain
        },
    );
    check(
        "{\"a\":1,\"\\u0061\":2}",
        Facts {
            key_twice: true,
            levels: 1,
            members: 2,
            ..plain
        },
    );
    check(
        "[{\"a\":1},{\"a\":1}]",
        Facts {
            levels: 1,
            members: 2,
            ..plain
        },
    );
    check(
        "[[{\"a\":[1]}],{}]",
        Facts {
            levels: 3,
            members: 2,
            ..plain
        },
    );
    check(
        "{\"a\":{\"b\":1},\"b\":1}",
        Facts {
            levels: 2,
            members: 2,
            ..plain
        },
    );
    check(
        "[{\"a\":1,\"b\":2,\"a\":3}]",
        Facts {
            key_twice: true,
            levels: 1,
            members: 1,
            ..plain
        },
    );
    check(
        "{\"\":1}",
        Facts {
            key_invalid: true,
            levels: 1,
            members: 1,
            ..plain
        },
    );
    check(
        "{\"\\ud800\":1}",
        Facts {
            key_invalid: true,
            levels: 1,
            members: 1,
            ..plain
        },
    );
    let long = format!("{{\"{}\":1}}", "k".repeat(121));
    check(
        &long,
        Facts {
            key_invalid: true,
            levels: 1,
            members: 1,
            ..plain
        },
    );
}

#[test]
fn a_key_may_have_as_many_characters_whatever_bytes_they_take() {
    for letter in ["k", "\u{e9}", "\u{1f600}"] {
        let is_invalid = |letters: usize| {
            let text = format!("{{\"{}\":1}}", letter.repeat(letters));
            Scanner::whole(&text).unwrap().facts.key_invalid
        };
        assert!(!is_invalid(120), "{letter}");
        assert!(is_invalid(121), "{letter}");
    }
}

#[test]
fn a_doubled_key_is_found_among_hundreds() {
    let object = |keys: usize, last: &str| {
        let keys: Vec<_> = (0..keys).map(|key| format!("\"k{key}\":0")).collect();
        format!("{{{},\"{last}\":0}}", keys.join(","))
    };
    let twice = |text: &str| Scanner::whole(text).unwrap().facts.key_twice;
    assert!(!twice(&object(500, "last")));
    assert!(twice(&object(500, "k499")));
    assert!(twice(&object(500, "k0")));
    assert!(twice(&object(600, "nobody looked")));
}

#[test]
fn members_and_elements_are_cut_as_they_stand() {
    let value = Scanner::whole("{ \"a\" : [ 1 , \"x\" ] , \"b\\n\":{}}").unwrap();
    let mut seen = Vec::new();
    value.members(|key, value| seen.push((key.decode().unwrap().into_owned(), value.text)));
    assert_eq!(
        seen,
        [("a".to_owned(), "[ 1 , \"x\" ]"), ("b\n".to_owned(), "{}")]
    );
    let array = Scanner::whole("[1,[2,3],\"]\"]").unwrap();
    let mut kinds = Vec::new();
    array.elements(|element| kinds.push((element.kind, element.text)));
    assert_eq!(
        kinds,
        [
            (Kind::Number, "1"),
            (Kind::Array, "[2,3]"),
            (Kind::String, "\"]\"")
        ]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Text made of JSON's own tokens: the scanner and `serde_json` agree whether it is JSON.
    #[test]
    fn it_accepts_exactly_what_serde_json_accepts(
        tokens in prop::collection::vec(
            prop::sample::select(vec![
                "{", "}", "[", "]", ",", ":", "\"a\"", "\"b\\\"\"", "\"", "\\", "1", "-", "0", ".5",
                "e9", "E+", "true", "null", "fals", " ", "\n", "\u{1f}", "\\u00", "\"\\ud800\"",
                "é", "\"long enough to cross a word\"", "\"12345678\"",
            ]),
            0..12,
        ),
    ) {
        let text: String = tokens.concat();
        let serde = serde_json::from_str::<&RawValue>(&text);
        prop_assert_eq!(Scanner::whole(&text).is_ok(), serde.is_ok(), "{:?}", text);
        prop_assert_eq!(canonical(&text).is_some(), serde.is_ok(), "{:?}", text);
        if let (Ok(ours), Ok(theirs)) = (Scanner::whole(&text), serde) {
            prop_assert_eq!(ours.text, theirs.get());
        }
    }

    /// Any string: the same.
    #[test]
    fn it_agrees_with_serde_json_on_any_string(text in "\\PC{0,40}") {
        let quoted = format!("\"{text}\"");
        for text in [&text, &quoted] {
            let serde = serde_json::from_str::<&RawValue>(text).is_ok();
            prop_assert_eq!(accepts(text), serde, "{:?}", text);
        }
    }

    /// Values that serde_json writes are read back whole, with their strings.
    #[test]
    fn strings_decode_to_what_was_written(text in any::<String>()) {
        let written = serde_json::to_string(&text).unwrap();
        let value = Scanner::whole(&written).unwrap();
        prop_assert_eq!(value.string().unwrap().into_owned(), text);
    }
}

/// Objects that have much in common, some of them with faults.
/// Any value, and the same with white space, the members of objects the other way round, and every
/// character escaped.
fn spelled_twice() -> impl Strategy<Value = (String, String)> {
    let scalar = prop_oneof![
        prop::sample::select(vec!["null", "true", "1.50", "-0", "1e400"])
            .prop_map(|it| (it.to_owned(), format!(" {it}\n"))),
        any::<String>().prop_map(|it| (Value::from(&*it).to_string(), escaped(&it))),
    ];
    scalar.prop_recursive(4, 64, 6, |inner| {
        let list = prop::collection::vec(inner.clone(), 0..6).prop_map(|all| {
            let (plain, other): (Vec<_>, Vec<_>) = all.into_iter().unzip();
            (
                format!("[{}]", plain.join(",")),
                format!("[ {} ]", other.join(" , ")),
            )
        });
        let members = prop::collection::btree_map(any::<String>(), inner, 0..6);
        let object = members.prop_map(|all| {
            let plain = all
                .iter()
                .map(|(key, (it, _))| format!("{}:{it}", Value::from(&**key)));
            let other = all
                .iter()
                .rev()
                .map(|(key, (_, it))| format!("{} : {it}", escaped(key)));
            let (plain, other): (Vec<_>, Vec<_>) = (plain.collect(), other.collect());
            (
                format!("{{{}}}", plain.join(",")),
                format!("{{ {} }}", other.join("\t,")),
            )
        });
        prop_oneof![list, object]
    })
}

fn escaped(text: &str) -> String {
    let units = text.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
    format!("\"{}\"", units.collect::<String>())
}

proptest! {
    #[test]
    fn a_value_has_one_text_however_it_is_written((plain, other) in spelled_twice()) {
        let text = canonical(&plain).unwrap();
        prop_assert_eq!(canonical(&other), Some(text.clone()));
        prop_assert_eq!(canonical(&text), Some(text.clone()));
        // And it is the same value still, with its numbers as they were.
        prop_assert_eq!(text.len(), plain.len());
        if let Ok(value) = serde_json::from_str::<Value>(&plain) {
            prop_assert_eq!(serde_json::from_str::<Value>(&text).ok(), Some(value));
        }
    }
}

#[test]
fn values_that_differ_have_other_texts() {
    let texts = [
        "1",
        "1.0",
        "\"1\"",
        "[1]",
        "[1,2]",
        "[2,1]",
        "[[1],2]",
        r#"{"a":1}"#,
        r#"{"a":[1]}"#,
        r#"{"a":1,"b":2}"#,
        r#"{"a":2,"b":1}"#,
        r#"{"a":1,"a":2}"#,
        r#"{"a":2,"a":1}"#,
        r#""\ud800""#,
        r#""\ud801""#,
        r#""\\ud800""#,
    ];
    let different: std::collections::BTreeSet<_> = texts.iter().map(|it| canonical(it)).collect();
    assert_eq!(different.len(), texts.len());
    assert!(!different.contains(&None));
}

fn alike() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec!["a", "b", "c", "\\u0061", "", "\\ud800", "x\" "]);
    let value = prop::sample::select(vec![
        "1",
        "\"s\"",
        "null",
        "{}",
        "[1,[2]]",
        "{\"a\":1,\"a\":2}",
        " 2 ",
        "",
        "}",
        ",",
    ]);
    let colon = prop::sample::select(vec![":", ":", ":", " : ", ""]);
    let member =
        (key, colon, value).prop_map(|(key, colon, value)| format!("\"{key}\"{colon}{value}"));
    (prop::collection::vec(member, 0..6), 0..3_usize).prop_map(|(more, common)| {
        let members = ["\"a\":1", "\"b\": 2"].map(String::from);
        let members: Vec<String> = members.into_iter().take(common).chain(more).collect();
        format!("{{{}}}", members.join(","))
    })
}

proptest! {
    #[test]
    fn an_object_is_read_the_same_whatever_came_before_it(objects in prop::collection::vec(alike(), 1..8)) {
        let mut before = Familiar::default();
        // All in one text, as in an upload: what is remembered borrows from it.
        let text = objects.join("\n");
        let mut at = 0;
        for object in &objects {
            let mut scanner = Scanner::new(&text[at..at + object.len()]);
            let read = scanner.value_like(&mut before, DEPTH).and_then(|it| scanner.end().map(|()| it));
            prop_assert_eq!(read, Scanner::whole(object), "{}", object);
            at += object.len() + 1;
        }
    }
}

#[test]
fn objects_with_many_keys_are_read_the_same_when_they_are_familiar() {
    let mut before = Familiar::default();
    let object = |keys: usize, last: &str| {
        let members: Vec<String> = (0..keys).map(|it| format!("\"k{it}\":{it}")).collect();
        format!("{{{},\"{last}\":1}}", members.join(","))
    };
    let cases = [
        (63, "k"),
        (63, "k1"),
        (70, "k"),
        (70, "k69"),
        (70, "k1"),
        (10, "k3"),
        (511, "k"),
        (512, "k"),
    ];
    let texts: Vec<String> = cases
        .iter()
        .chain(&cases)
        .map(|(keys, last)| object(*keys, last))
        .collect();
    for text in &texts {
        let read = Scanner::new(text).value_like(&mut before, DEPTH);
        assert_eq!(read, Scanner::whole(text), "{text}");
    }
}
