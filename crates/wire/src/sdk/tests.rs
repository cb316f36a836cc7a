//! What SDKs say of devices, and the envelope of encrypted messages.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::RawJson;
use model::record::{Change, ChangeOp};
use model::submission::{Content, RejectReason};
use proptest::prelude::*;
use std::collections::BTreeMap;

use super::{Facts, Sealed, profile, sealed_answer, seconds};
use crate::json::{Scanner, Value};
use crate::rest::upload;

fn value(text: &str) -> Value<'_> {
    Scanner::whole(text).unwrap()
}

#[test]
fn of_a_device_short_scalars_are_kept_and_no_advertising_id() {
    let check = |fields: &str, expect: Option<&str>| {
        let facts = Facts::of_app_fields(Some(value(fields))).json();
        assert_eq!(facts.as_ref().map(RawJson::as_str), expect, "{fields}");
    };
    check(
        r#"{"Build":"7","Version":"1.2","OS Version":"14","Make":"x","Model":"y","useIP":true,"wdt":2.81}"#,
        Some(
            r#"{"Build":"7","app_version":"1.2","os_version":"14","make":"x","model":"y","useIP":true,"wdt":2.81}"#,
        ),
    );
    check(
        r#"{"GoogleAdID":"abc","GoogleAdIDLimit":false,"IDFA":"z"}"#,
        None,
    );
    check(
        r#"{"a":{},"b":[1],"c":null,"d":1,"d":2}"#,
        Some(r#"{"d":1}"#),
    );
    check("[]", None);
    check("{}", None);
    check(
        &format!(r#"{{"long":"{}","short":"x"}}"#, "y".repeat(300)),
        Some(r#"{"short":"x"}"#),
    );
    let many: Vec<_> = (0..200)
        .map(|it| format!("\"k{it}\":\"{}\"", "z".repeat(200)))
        .collect();
    let facts = Facts::of_app_fields(Some(value(&format!("{{{}}}", many.join(","))))).json();
    let text = facts.unwrap();
    assert!(text.as_str().len() < 5_000, "{}", text.as_str().len());
    assert!(RawJson::parse(text.as_str()).is_ok());
}

/// What is kept of a device's profile, and why something of it is not; as an error, why nothing is.
fn kept(text: &str) -> Result<(Vec<Change>, Option<RejectReason>), RejectReason> {
    let kept = profile(Some(value(text)), "d")?;
    let Content::Profile { changes, .. } = kept.content else {
        panic!("a profile")
    };
    Ok((changes, kept.fault))
}

/// The properties that are kept of it, each with what is done.
fn properties(text: &str) -> Vec<String> {
    let (changes, _) = kept(text).unwrap();
    changes.iter().map(shown).collect()
}

fn shown(it: &Change) -> String {
    format!("{} {} {}", it.op.as_str(), it.property, it.value.as_str())
}

/// An object of so many keys.
fn members(count: usize) -> String {
    let members: Vec<_> = (0..count).map(|it| format!("\"k{it}\":{it}")).collect();
    members.join(",")
}

#[test]
fn of_a_profile_exactly_what_breaks_a_rule_is_left_out() {
    use RejectReason as Why;
    let (before, after) = (
        r#""Identity":"u1","Name":"Jo","Email":"a@b.cd","n":{"$incr":1}"#,
        r#""deep":{"a":{"b":{"c":1}}},"wide":[1,2],"ct_optout":true"#,
    );
    let sound = properties(&format!("{{{before},{after}}}"));
    assert_eq!(sound.len(), 6, "{sound:?}");
    let long = |letters: usize| format!("\"{}\":1", "k".repeat(letters));
    let many = Why::ProfilePropertiesTooMany;
    for (unsound, why) in [
        (r#""p":{"a":{"b":{"c":{"d":1}}}}"#, Why::NestedTooDeep),
        (r#""p":[[[[1]]]]"#, Why::NestedTooDeep),
        (long(121).as_str(), Why::KeyInvalid),
        (long(1_024).as_str(), Why::KeyInvalid),
        (r#""":1"#, Why::KeyInvalid),
        (r#""\ud800":1"#, Why::KeyInvalid),
        (r#""p":{"":1}"#, Why::KeyInvalid),
        (format!("\"p\":{{{}}}", members(257)).as_str(), many),
        // So many that nobody looks whether one stands twice.
        (format!("\"p\":{{{}}}", members(513)).as_str(), many),
        (format!("\"p\":[{{{}}}]", members(513)).as_str(), many),
        (r#""Phone":"n/a""#, Why::PhoneInvalid),
        (r#""p":{"$push":1}"#, Why::OperatorInvalid),
        (r#""p":{"$incr":"x"}"#, Why::OperatorInvalid),
    ] {
        let text = format!("{{{before},{unsound},{after}}}");
        assert_eq!(properties(&text), sound, "{unsound}");
        assert_eq!(kept(&text).unwrap().1, Some(why), "{unsound}");
        let names = profile(Some(value(&text)), "d").unwrap().names;
        assert_eq!(names.identity.as_deref(), Some("u1"), "{unsound}");
        assert_eq!(kept(&format!("{{{unsound}}}")), Err(why), "{unsound}");
    }
}

#[test]
fn of_too_many_properties_as_many_are_kept_as_a_person_may_have() {
    for count in [257, 300, 600, 5_000] {
        // One that breaks its rule takes nobody's place.
        let text = format!(
            r#"{{"Name":"Jo","x":{{"$push":1}},{},"Identity":"u1","ct_optout":true}}"#,
            members(count)
        );
        let (_, fault) = kept(&text).unwrap();
        let properties = properties(&text);
        assert_eq!(properties.len(), 258, "{count}");
        assert_eq!(properties[256], "put k255 255");
        assert_eq!(properties[257], "put ct_optout true");
        let first = if count > 280 {
            RejectReason::ProfilePropertiesTooMany
        } else {
            RejectReason::OperatorInvalid
        };
        assert_eq!(fault, Some(first), "{count}");
    }
}

#[test]
fn a_key_that_stands_twice_leaves_nothing_of_a_profile() {
    let (many, wide) = (members(600), format!("{{{}}}", members(513)));
    for members in [
        r#""a":1,"a":2"#.to_owned(),
        r#""p":{"a":1,"a":2}"#.to_owned(),
        r#""Identity":"u1","identity":"u2""#.to_owned(),
        format!(r#""p":{wide},"a":1,"a":2"#),
        format!(r#""p":{wide},"a":1,"\u0061":2"#),
        format!(r#""p":{wide},"q":{{"a":1,"a":2}}"#),
        format!(r#""p":{wide},"Identity":"u1","identity":"u2""#),
        format!(r#"{many},"k599":1"#),
        // Also of two that are left out.
        format!(r#"{many},"":1,"":2"#),
    ] {
        let text = format!(r#"{{"Name":"Jo",{members}}}"#);
        assert_eq!(kept(&text), Err(RejectReason::KeyTwice), "{members}");
    }
}

#[test]
fn seconds_are_a_number_or_digits_without_their_fraction() {
    for (text, expect) in [
        ("1790000000", Some(1_790_000_000)),
        ("\"1790000000\"", Some(1_790_000_000)),
        ("1790000000.75", Some(1_790_000_000)),
        ("\"1790000000.0\"", Some(1_790_000_000)),
        ("0", None),
        ("0.5", None),
        ("-1", None),
        ("1.79e9", Some(1_790_000_000)),
        ("1.790000001E9", Some(1_790_000_001)),
        ("1.79000000175E9", Some(1_790_000_001)),
        ("1.79e12", None),
        ("-1.79e9", None),
        ("1790000000000", None),
        ("\"1790000000.x\"", None),
        ("\"\"", None),
        ("null", None),
        ("[1]", None),
    ] {
        assert_eq!(seconds(Some(value(text))), expect, "{text}");
    }
    assert_eq!(seconds(None), None);
}

#[test]
fn an_envelope_is_read_with_and_without_padding() {
    let key = format!("\"{}\"", "A".repeat(43));
    let (padded, nonce) = (format!("\"{}=\"", "A".repeat(43)), "\"AAAAAAAAAAAAAAAA\"");
    for key in [&key, &padded] {
        let sealed = Sealed::decode(
            Some(value("\"/+8=\"")),
            Some(value(key)),
            Some(value(nonce)),
        );
        assert_eq!(sealed.unwrap().payload, [0xff, 0xef]);
    }
    for key in ["\"AAAA\"", "7", "\"%\""] {
        let sealed = Sealed::decode(Some(value("\"\"")), Some(value(key)), Some(value(nonce)));
        assert!(sealed.is_err(), "{key}");
    }
    let answer = sealed_answer(&[0xff, 0xef], &[0; 12]);
    assert_eq!(answer, r#"{"itp":"/+8=","itv":"AAAAAAAAAAAAAAAA"}"#);
}

/// Whether a server may upload it of somebody.
fn is_taken_of_a_server(profile: &str) -> bool {
    let record = format!(r#"{{"type":"profile","identity":"u","profileData":{profile}}}"#);
    let body = format!("{{\"d\":{record}}}");
    let batch = upload::decode(body.as_bytes()).unwrap();
    batch.rejections.is_empty()
}

/// One property, whether it breaks a rule or not, in which no key stands twice.
fn property() -> impl Strategy<Value = (String, &'static str)> {
    let own = ["a", "b", "c", "\u{e9}", "\\u00fc", "", "\\ud800"];
    let protocols = [
        "Name",
        "Email",
        "Phone",
        "Gender",
        "Age",
        "FBID",
        "ct_optout",
    ];
    let mut keys: Vec<String> = own
        .into_iter()
        .chain(protocols)
        .map(str::to_owned)
        .collect();
    keys.extend([120, 121].map(|letters| "k".repeat(letters)));
    let values = vec![
        "1",
        "-1",
        "14155551234",
        "1.5e300",
        "true",
        "null",
        r#""""#,
        r#""a@b.cd""#,
        r#""+14155551234""#,
        r#""M""#,
        r#""\ud800""#,
        "[]",
        r#"[1,"a"]"#,
        "[[[1]]]",
        "[[[[1]]]]",
        "{}",
        r#"{"x":[{"y":1}]}"#,
        r#"{"x":{"y":{"z":1}}}"#,
        r#"{"x":{"y":{"z":{}}}}"#,
        r#"{"":1}"#,
        r#"{"$add":"a"}"#,
        r#"{"$set":[1]}"#,
        r#"{"$remove":["a"]}"#,
        r#"{"$incr":1}"#,
        r#"{"$decr":-1}"#,
        r#"{"$delete":1}"#,
        r#"{"$push":1}"#,
        r#"{"$add":1,"b":1}"#,
    ];
    (prop::sample::select(keys), prop::sample::select(values))
}

proptest! {
    /// What is kept of a profile is each property that a server might upload alone, and no other; a server
    /// might upload all of these at once.
    #[test]
    fn of_any_profile_every_sound_property_is_kept_and_no_other(
        sent in prop::collection::vec(property(), 0..12),
    ) {
        // Of one key the last.
        let sent: BTreeMap<String, &str> = sent.into_iter().collect();
        let members: Vec<_> = sent.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
        let (changes, fault) = match kept(&format!("{{{}}}", members.join(","))) {
            Ok(kept) => kept,
            Err(reason) => (Vec::new(), Some(reason)),
        };
        let alone = members.iter().map(|it| format!("{{{it}}}"));
        let sound: Vec<_> = alone.filter(|it| is_taken_of_a_server(it)).collect();
        let expect: Vec<_> = sound.iter().flat_map(|it| properties(it)).collect();
        prop_assert_eq!(changes.iter().map(shown).collect::<Vec<_>>(), expect);
        prop_assert_eq!(fault.is_some(), sound.len() < members.len());
        let again: Vec<_> = changes.iter().map(|it| {
            let (key, value) = (RawJson::of(&*it.property).unwrap(), it.value.as_str());
            match it.op {
                ChangeOp::Put => format!("{}:{value}", key.as_str()),
                op => format!("{}:{{\"${}\":{value}}}", key.as_str(), op.as_str()),
            }
        }).collect();
        let again = format!("{{{}}}", again.join(","));
        prop_assert!(is_taken_of_a_server(&again), "{}", again);
    }

    #[test]
    fn what_is_in_an_envelope_comes_out_as_it_was(
        payload: Vec<u8>, key: [u8; 32], nonce: [u8; 12], is_padded: bool,
    ) {
        let text = |bytes: &[u8]| {
            let text = STANDARD.encode(bytes);
            let text = if is_padded { text } else { text.trim_end_matches('=').to_owned() };
            format!("\"{text}\"")
        };
        let (itp, itk, itv) = (text(&payload), text(&key), text(&nonce));
        let sealed = Sealed::decode(Some(value(&itp)), Some(value(&itk)), Some(value(&itv))).unwrap();
        prop_assert_eq!((sealed.payload, sealed.key.expose(), sealed.nonce), (payload, &key, nonce));
    }

    #[test]
    fn hostile_envelopes_never_panic(parts in prop::collection::vec("\"[A-Za-z0-9+/= \u{e9}]{0,60}\"", 3)) {
        drop(Sealed::decode(Some(value(&parts[0])), Some(value(&parts[1])), Some(value(&parts[2]))));
    }
}
