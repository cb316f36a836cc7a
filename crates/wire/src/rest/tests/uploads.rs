//! What uploads come to, record by record.

use expect_test::{Expect, expect};
use model::submission::{Content, RejectReason, Subject};
use model::{IdentityKind, RawJson, Timestamp};
use proptest::prelude::*;

use crate::rest::{Refusal, upload};

pub(super) fn reason(record: &str) -> Option<RejectReason> {
    let body = format!("{{\"d\":[{record}]}}");
    let batch = upload::decode(body.as_bytes()).unwrap();
    assert_eq!(batch.records.len() + batch.rejections.len(), 1, "{record}");
    batch.rejections.first().map(|it| it.reason)
}

pub(super) fn check(record: &str, expect: impl Into<Option<RejectReason>>) {
    assert_eq!(reason(record), expect.into(), "{record}");
}

fn event_with(fields: &str) -> String {
    format!("{{\"type\":\"event\",\"identity\":\"u1\",\"evtName\":\"Viewed\",{fields}}}")
}

fn check_ts(ts: &str, expect: Option<i64>) {
    let body = format!("{{\"d\":[{}]}}", event_with(&format!("\"ts\":{ts}")));
    let batch = upload::decode(body.as_bytes()).unwrap();
    match expect {
        Some(ms) => assert_eq!(batch.records[0].ts, Some(Timestamp::from_ms(ms)), "{ts}"),
        None => assert_eq!(
            batch.rejections[0].reason,
            RejectReason::TimeInvalid,
            "{ts}"
        ),
    }
}

#[test]
fn bodies_that_cannot_be_used_are_malformed() {
    let deep = format!("{{\"d\":{}", "[".repeat(100_000));
    let many = format!("{{\"d\":[{}]}}", vec!["1"; 1_001].join(","));
    let bodies: [&[u8]; 16] = [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"{\"d\":1}",
        b"{\"d\":null}",
        b"{\"d\":[}",
        b"{\"d\":[]} x",
        b"{\"d\":[],\"d\":[]}",
        b"\xef\xbb\xbf",
        b"\xef\xbb\xbf\xef\xbb\xbf{\"d\":[]}",
        b"{\"d\":[\"\xff\"]}",
        b"{\"d\":[\"\xc0\xaf\"]}",
        b"{\"d\":[{\"ts\":NaN}]}",
        deep.as_bytes(),
        many.as_bytes(),
    ];
    for body in bodies {
        assert_eq!(upload::decode(body), Err(Refusal::Malformed));
    }
}

#[test]
fn a_list_a_single_record_and_nothing_are_uploads() {
    let event = event_with("\"ts\":1700000000");
    let count = |body: String| upload::decode(body.as_bytes()).unwrap().records.len();
    assert_eq!(count(format!("{{\"d\":[{event},{event}]}}")), 2);
    assert_eq!(count(format!("{{\"d\":{event}}}")), 1);
    assert_eq!(count(format!("{{\"\\u0064\":[{event}],\"x\":[1]}}")), 1);
    assert_eq!(count("{\"d\":[]}".into()), 0);
    // As .NET writes it.
    assert_eq!(count(format!("\u{feff}{{\"d\":[{event}]}}")), 1);
    assert_eq!(
        count(format!(
            "{{\"d\":[{}]}}",
            vec![event.as_str(); 1_000].join(",")
        )),
        1_000
    );
}

#[test]
fn an_event_is_kept_as_sent() {
    let data = "{ \"n\":1e400, \"z\":-0 ,\"big\":18446744073709551617,\"s\":\"\\ud800\" }";
    let body = format!(
        "{{\"d\":[{{\"evtData\":{data},\"identity\":007.50,\"ts\":1700000000,\"type\":\"event\",\
         \"evtName\":\"Caf\\u00e9 %\",\"source\":\"Segment\"}}]}}"
    )
    .replace("007.50", "12345678901234567890");
    let batch = upload::decode(body.as_bytes()).unwrap();
    let [it] = batch.records.as_slice() else {
        panic!("one record")
    };
    assert_eq!(
        it.names.primary(),
        Some((IdentityKind::Identity, "12345678901234567890"))
    );
    assert_eq!(
        (it.position, it.ts),
        (1, Some(Timestamp::from_seconds(1_700_000_000)))
    );
    let Content::Event {
        name,
        properties,
        session,
        context,
    } = &it.content
    else {
        panic!("an event")
    };
    assert_eq!((name.as_ref(), properties.as_str()), ("Café %", data));
    assert_eq!((session, context), (&None, &None));
}

#[test]
fn an_empty_list_is_no_properties() {
    let body = format!("{{\"d\":{}}}", event_with("\"evtData\":[]"));
    let batch = upload::decode(body.as_bytes()).unwrap();
    let Content::Event { properties, .. } = &batch.records[0].content else {
        panic!("an event")
    };
    assert_eq!(properties.as_str(), "{}");
}

#[test]
fn one_bad_record_takes_no_other_with_it() {
    let good = event_with("\"ts\":1700000000");
    let body = format!("{{\"d\":[{good},7,{good},{{\"type\":\"event\"}},{good}]}}");
    let batch = upload::decode(body.as_bytes()).unwrap();
    let positions: Vec<_> = batch.records.iter().map(|it| it.position).collect();
    assert_eq!(positions, [1, 3, 5]);
    let rejected: Vec<_> = batch
        .rejections
        .iter()
        .map(|it| (it.position, it.record.as_str()))
        .collect();
    assert_eq!(rejected, [(2, "7"), (4, "{\"type\":\"event\"}")]);
}

#[test]
fn types_and_names_of_people() {
    use RejectReason::{IdentityInvalid, IdentityMissing, ObjectIdInvalid, TypeUnknown};
    let check_names = |names: &str, expect: Option<RejectReason>| {
        check(
            &format!("{{\"type\":\"event\",\"evtName\":\"x\"{names}}}"),
            expect,
        );
    };
    check("[]", TypeUnknown);
    check("{\"identity\":\"u\"}", TypeUnknown);
    check(
        "{\"type\":\"Event\",\"identity\":\"u\",\"evtName\":\"x\"}",
        TypeUnknown,
    );
    check_names("", Some(IdentityMissing));
    check_names(",\"identity\":\"\"", Some(IdentityMissing));
    check_names(",\"identity\":null", Some(IdentityMissing));
    check_names(",\"identity\":true", Some(IdentityInvalid));
    check_names(",\"identity\":\"\\ud800\"", Some(IdentityInvalid));
    check_names(
        &format!(",\"identity\":\"{}\"", "i".repeat(1_025)),
        Some(IdentityInvalid),
    );
    check_names(",\"identity\":\"nul \\u0000 inside\"", None);
    check_names(",\"identity\":12", None);
    check_names(",\"FBID\":\"1\"", None);
    check_names(",\"GPID\":\"1\"", None);
    check_names(",\"objectId\":\"__g123\"", None);
    check_names(",\"objectId\":\"-2ce3cca260664f70b82b1c6bb505f462\"", None);
    check_names(
        ",\"objectId\":\"97c46c81-3140-456d-b2a9-690d70aaca35\"",
        None,
    );
    for system in ["^", "~", "#"] {
        let device = format!(",\"objectId\":\"{system}97c46c813140456db2a9690d70aaca35\"");
        check_names(&device, None);
        let token = "{\"type\":\"token\",\"tokenData\":{\"id\":\"x\",\"type\":\"wns\"}";
        check(&format!("{token}{device}}}"), None);
    }
    for custom in ["__hShop(1)!:@$_-=|<>;+.9", "_w_shop:user(1)!@$-x"] {
        check_names(&format!(",\"objectId\":\"{custom}\""), None);
    }
    for illegal in ["a b", "'", "\\\"", "\\\\", "/", "&", "`", "\u{e9}"] {
        let named = format!(",\"identity\":\"u\",\"objectId\":\"{illegal}\"");
        check_names(&named, Some(ObjectIdInvalid));
    }
}

#[test]
fn a_key_that_stands_twice_refuses_its_record_and_nothing_else() {
    use RejectReason::KeyTwice;
    check(&event_with("\"identity\":\"u2\""), KeyTwice);
    check(&event_with("\"\\u0069dentity\":\"u1\""), KeyTwice);
    check(&event_with("\"evtName\":\"Viewed\""), KeyTwice);
    check(&event_with("\"evtData\":{\"a\":1,\"a\":1}"), KeyTwice);
    check(
        &event_with("\"evtData\":{\"a\":{\"b\":1,\"b\":2}}"),
        KeyTwice,
    );
    check(&event_with("\"ignored\":1,\"ignored\":2"), None);
    let body = format!("{{\"d\":[{}]}}", event_with("\"identity\":\"u2\""));
    let batch = upload::decode(body.as_bytes()).unwrap();
    assert_eq!(batch.rejections[0].subject, Subject::Ambiguous);
}

#[test]
fn times_are_epoch_seconds_or_iso() {
    let good = [
        ("1", 1_000),
        ("1700000000", 1_700_000_000_000),
        ("\"1700000000\"", 1_700_000_000_000),
        ("9999999999", 9_999_999_999_000),
        ("1700000000.5", 1_700_000_000_500),
        ("1700000000.0", 1_700_000_000_000),
        ("9999999999.9999", 9_999_999_999_999),
        ("\"1700000000.2534142\"", 1_700_000_000_253),
        // As Java writes what it takes for a fraction.
        ("1.7E9", 1_700_000_000_000),
        ("1.700000001E9", 1_700_000_001_000),
        ("1.7000000015E9", 1_700_000_001_500),
        ("9.999999999e+9", 9_999_999_999_000),
        ("17000000000e-1", 1_700_000_000_000),
        ("\"1.700000001E9\"", 1_700_000_001_000),
        ("\"2023-11-14T22:13:20Z\"", 1_700_000_000_000),
        ("\"2023-11-15T03:43:20.250+05:30\"", 1_700_000_000_250),
    ];
    for (ts, ms) in good {
        check_ts(ts, Some(ms));
    }
    for ts in [
        "0",
        "-1",
        "\"\"",
        "\"0\"",
        "1700000000000",
        "0.5",
        "1700000000000.5",
        "17000000000.5",
        "1.7e12",
        "1e10",
        "1e-1",
        "-1.7e9",
        "1e400",
        "\"1.7e\"",
        "-1700000000.5",
        "\"1700000000.\"",
        "\".5\"",
        "\"1700000000.5.5\"",
        "\"1700000000,5\"",
        "\"+1700000000.5\"",
        "18446744073709551617",
        "true",
        "{}",
        "[1]",
        "\"yesterday\"",
        "\"2023-11-14\"",
        "\"2023-11-14T22:13:20\"",
        "\"0001-01-01T00:00:00Z\"",
        "\"9999-12-31T23:59:59Z\"",
        "\"$D_1700000000\"",
    ] {
        check_ts(ts, None);
    }
    check(&event_with("\"ts\":null"), None);
}

#[test]
fn event_names_and_data() {
    use RejectReason as Why;
    let named =
        |name: &str| format!("{{\"type\":\"event\",\"identity\":\"u\",\"evtName\":{name}}}");
    check(
        "{\"type\":\"event\",\"identity\":\"u\"}",
        Why::EventNameMissing,
    );
    check(&named("\"\""), Why::EventNameMissing);
    check(&named("7"), Why::EventNameMissing);
    check(&named("\"\\udc00\""), Why::EventNameInvalid);
    check(&named(&format!("\"{}\"", "ä".repeat(1_024))), None);
    check(
        &named(&format!("\"{}\"", "n".repeat(1_025))),
        Why::EventNameInvalid,
    );
    for reserved in [
        "Web Page Viewed",
        "App Launched",
        "Notification Sent",
        "SCEnd",
        "wzrk_d",
    ] {
        check(&named(&format!("\"{reserved}\"")), Why::EventNameReserved);
    }
    for open in [
        "Web Page Viewed: Home",
        "Charged",
        "app launched",
        "a|b<c>.$%",
    ] {
        check(&named(&format!("\"{open}\"")), None);
    }
    let data = |data: &str| event_with(&format!("\"evtData\":{data}"));
    check(&data("{}"), None);
    check(&data("null"), None);
    check(&data("[]"), None);
    check(&data("[ \n ]"), None);
    for shape in ["[{}]", "[[]]", "[null]", "\"x\"", "1", "true"] {
        check(&data(shape), Why::EventDataInvalid);
    }
    check(&data("{\"\":1}"), Why::KeyInvalid);
    check(&data("{\"\\ud800\":1}"), Why::KeyInvalid);
    check(
        &data(&format!("{{\"{}\":1}}", "k".repeat(121))),
        Why::KeyInvalid,
    );
    check(&data("{\"a\":[{\"b\":[1]}]}"), None);
    check(&data("{\"a\":[{\"b\":[[1]]}]}"), None);
    check(&data("{\"a\":[{\"b\":[[[1]]]}]}"), Why::NestedTooDeep);
    let many = |keys: usize| {
        let members: Vec<_> = (0..keys).map(|key| format!("\"k{key}\":{key}")).collect();
        format!("{{{}}}", members.join(","))
    };
    check(&data(&many(256)), None);
    check(&data(&many(257)), Why::EventPropertiesTooMany);
    check(
        &data(&format!("{{\"a\":{}}}", many(257))),
        Why::EventPropertiesTooMany,
    );
    let charged = |items: usize| {
        let items = vec!["{\"a\":1}"; items].join(",");
        let event = event_with(&format!("\"evtData\":{{\"Items\":[{items}]}}"));
        event.replace("\"Viewed\"", "\"Charged\"")
    };
    check(&charged(256), None);
    check(&charged(257), Why::EventPropertiesTooMany);
}

fn answered(body: &str, expect: &Expect) {
    let batch = upload::decode(body.as_bytes()).unwrap();
    let processed = u32::try_from(batch.records.len()).unwrap();
    let answer = upload::answer(processed, &batch.rejections);
    RawJson::parse(&answer).unwrap();
    expect.assert_eq(&answer);
}

#[test]
fn answers_have_the_vendors_shape() {
    let event = event_with("\"ts\":1700000000");
    answered(
        &format!("{{\"d\":[{event},{event}]}}"),
        &expect![[r#"{"status":"success","processed":2,"unprocessed":[]}"#]],
    );
    answered(
        &format!(
            "{{\"d\":[{event},{{\"type\":\"profile\",\"identity\":1, \"profileData\":{{\"Email\":\"x\"}}}}]}}"
        ),
        &expect![[
            r#"{"status":"partial","processed":1,"unprocessed":[{"status":"fail","code":515,"error":"Profile data is incorrect. Email is not valid.Skipped record number : 2","record":{"type":"profile","identity":1, "profileData":{"Email":"x"}}}]}"#
        ]],
    );
    answered(
        "{\"d\":[\"\\u2028\"]}",
        &expect![[
            r#"{"status":"fail","processed":0,"unprocessed":[{"status":"fail","code":524,"error":"Record is incorrect. ErrorCode: 524 - type needs to be event/profile/token. Skipped record number : 1","record":"\u2028"}]}"#
        ]],
    );
}

#[test]
fn every_reason_has_its_code_and_text() {
    let all: Vec<_> = RejectReason::ALL
        .iter()
        .copied()
        .map(|it| format!("{} {}: {}\n", it.code(), it.as_str(), upload::error(it, 1)))
        .collect();
    expect![[r#"
        509 event_name_missing: Event Name is incorrect. ErrorCode: 509 - Event name is mandatory. Skipped record number : 1
        512 event_name_invalid: Event Name is incorrect. ErrorCode: 512 - Event name is too long or not valid text. Skipped record number : 1
        512 key_twice: Record is incorrect. ErrorCode: 512 - A key appears twice in one object. Skipped record number : 1
        512 key_invalid: Record is incorrect. ErrorCode: 512 - A key is empty, too long or not valid text. Skipped record number : 1
        512 event_data_invalid: Event structure is not valid. ErrorCode: 512 - evtData needs to be an object. Skipped record number : 1
        512 nested_too_deep: Record is incorrect. ErrorCode: 512 - Objects and arrays can be nested 3 levels deep. Skipped record number : 1
        512 profile_data_invalid: Profile data is incorrect. profileData needs to be an object.Skipped record number : 1
        512 operator_invalid: Profile data is incorrect. Operator or its value is not valid.Skipped record number : 1
        513 event_name_reserved: Event Name is incorrect. ErrorCode: 513 - Trying to raise a restricted system event. Skipped record number : 1
        514 gender_invalid: Profile data is incorrect. Gender needs to be M/F.Skipped record number : 1
        515 email_invalid: Profile data is incorrect. Email is not valid.Skipped record number : 1
        516 phone_invalid: Profile data is incorrect. Phone number is not valid.Skipped record number : 1
        517 employed_invalid: Profile data is incorrect. Employed needs to be Y/N.Skipped record number : 1
        518 education_invalid: Profile data is incorrect. Education needs to be School/College/Graduate..Skipped record number : 1
        519 married_invalid: Profile data is incorrect. Married needs to be Y/N.Skipped record number : 1
        520 age_invalid: Profile data is incorrect. Age is invalid.Skipped record number : 1
        522 event_properties_too_many: Event structure is not valid. ErrorCode: 522 - Event property limit exceeded. Skipped record number : 1
        522 profile_properties_too_many: Profile data is incorrect. Profile property limit exceeded.Skipped record number : 1
        523 identity_missing: 'identity' or 'fbId' or 'gpId' or 'objectId' is necessary under 120 chars to identify the user. Skipped record number : 1
        523 identity_invalid: 'identity' or 'fbId' or 'gpId' is too long or not valid text. Skipped record number : 1
        524 type_unknown: Record is incorrect. ErrorCode: 524 - type needs to be event/profile/token. Skipped record number : 1
        525 time_invalid: Timestamp should be present in the Unix Epoch format. Skipped record number : 1
        525 time_too_old: Timestamp is older than the data retention of the account. Skipped record number : 1
        526 object_id_invalid: Record is incorrect. ErrorCode: 526 - objectId is not valid. Skipped record number : 1
        528 event_discarded: Event Name is incorrect. ErrorCode: 528 - Trying to raise a discarded event. Skipped record number : 1
        528 event_undefined: Event Name is incorrect. ErrorCode: 528 - Trying to raise an undefined event. Skipped record number : 1
        528 property_undefined: Event structure is not valid. ErrorCode: 528 - Undefined event property. Skipped record number : 1
        528 property_type_mismatch: Event structure is not valid. ErrorCode: 528 - Data type mismatch of an event property. Skipped record number : 1
        528 property_missing: Event structure is not valid. ErrorCode: 528 - Mandatory event property missing. Skipped record number : 1
        530 token_object_id_invalid: Token data is incorrect. ErrorCode: 530 - objectId is not valid. Skipped record number : 1
        531 token_data_invalid: Token data is incorrect. ErrorCode: 531 - tokenData needs to be an object. Skipped record number : 1
        532 token_id_missing: Token data is incorrect. ErrorCode: 532 - Token id is mandatory. Skipped record number : 1
        533 token_type_missing: Token data is incorrect. ErrorCode: 533 - Token type is mandatory. Skipped record number : 1
        534 token_type_invalid: Token data is incorrect. ErrorCode: 534 - Token type is not valid for the objectId. Skipped record number : 1
        535 token_keys_invalid: Token data is incorrect. ErrorCode: 535 - Token keys are not valid. Skipped record number : 1
        512 subscription_invalid: Record is incorrect. ErrorCode: 512 - type, value and status need to be known ones. Skipped record number : 1
        555 internal: Server error. ErrorCode: 555 - Please retry later. Skipped record number : 1
    "#]].assert_eq(&all.concat());
}

proptest! {
    /// Any bytes: an answer, never a panic.
    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _decoded = upload::decode(&bytes);
        let mut body = b"{\"d\":[".to_vec();
        body.extend_from_slice(&bytes);
        body.extend_from_slice(b"]}");
        let _decoded = upload::decode(&body);
    }

    /// Records made of the protocol's own keys with any values: each comes back once.
    #[test]
    fn any_record_comes_back_once(
        members in prop::collection::vec(
            (
                prop::sample::select(vec![
                    "type", "identity", "objectId", "ts", "evtName", "evtData", "profileData",
                    "tokenData", "FBID", "x",
                ]),
                prop::sample::select(vec![
                    "\"event\"", "\"profile\"", "\"token\"", "1700000000", "{}", "[]", "null", "-1",
                    "{\"Email\":1}", "{\"a\":{\"$add\":\"b\"}}", "\"\\ud800\"", "\"u1\"", "1e400",
                    "{\"id\":\"x\",\"type\":\"fcm\"}", "\"2024-01-01T00:00:00Z\"",
                ]),
            ),
            0..8,
        ),
        count in 1_usize..4,
    ) {
        let members: Vec<_> = members.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
        let record = format!("{{{}}}", members.join(","));
        let body = format!("{{\"d\":[{}]}}", vec![record.as_str(); count].join(","));
        let batch = upload::decode(body.as_bytes()).unwrap();
        prop_assert_eq!(batch.records.len() + batch.rejections.len(), count);
        prop_assert!(batch.records.iter().all(|it| it.text == record));
        prop_assert!(batch.rejections.iter().all(|it| it.record.as_str() == record));
        let answer = upload::answer(0, &batch.rejections);
        prop_assert!(RawJson::parse(&answer).is_ok());
    }

    /// A body cut anywhere is malformed; a changed byte never panics.
    #[test]
    fn damaged_bodies_are_answered(at in 0_usize..200, byte in any::<u8>()) {
        let body = format!(
            "{{\"d\":[{},{{\"type\":\"profile\",\"identity\":\"u\",\"profileData\":{{\"t\":{{\"$add\":[1]}}}}}}]}}",
            event_with("\"evtData\":{\"a\":[1,{\"b\":\"\\u00e9\"}]}")
        );
        let at = at % body.len();
        prop_assert!(upload::decode(&body.as_bytes()[..at]).is_err());
        let mut changed = body.into_bytes();
        changed[at] = byte;
        let _decoded = upload::decode(&changed);
    }
}

#[test]
fn a_refused_record_is_about_the_one_identity_in_it() {
    let subject = |names: &str, data: &str| {
        let record =
            format!(r#"{{"type":"profile",{names},"profileData":{{"Email":"bad"{data}}}}}"#);
        let body = format!("{{\"d\":[{record}]}}");
        let mut batch = upload::decode(body.as_bytes()).unwrap();
        batch.rejections.remove(0).subject
    };
    let person = |kind, name: &str| Subject::Person(kind, Box::from(name));
    let identity = |name: &str| person(IdentityKind::Identity, name);
    let cases = [
        (r#""identity":"a""#, "", identity("a")),
        (r#""identity":"a""#, r#","identity":"a""#, identity("a")),
        (r#""identity":"a""#, r#","Identity":7"#, Subject::Ambiguous),
        (
            r#""identity":"a""#,
            r#","identity":"b""#,
            Subject::Ambiguous,
        ),
        (r#""identity":"a","FBID":"a""#, "", Subject::Ambiguous),
        (r#""identity":"a","objectId":"d""#, "", identity("a")),
        (
            r#""FBID":"f","objectId":"d""#,
            "",
            person(IdentityKind::Fbid, "f"),
        ),
        (r#""FBID":"f""#, r#","identity":"a""#, Subject::Ambiguous),
        (r#""objectId":"d""#, "", person(IdentityKind::ObjectId, "d")),
        (r#""objectId":"d""#, r#","identity":"a""#, identity("a")),
        (
            r#""objectId":"d""#,
            r#","identity":"a","Identity":"b""#,
            Subject::Ambiguous,
        ),
        (r#""identity":"""#, r#","identity":"a""#, identity("a")),
        (r#""identity":"""#, "", Subject::Nobody),
    ];
    for (names, data, expect) in cases {
        assert_eq!(subject(names, data), expect, "{names} {data}");
    }
}
