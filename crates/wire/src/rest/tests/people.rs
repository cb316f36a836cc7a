//! What uploads say of people and their devices.

use model::record::ChangeOp;
use model::submission::{Content, RejectReason};

use super::uploads::{check, reason};
use crate::rest::upload;

fn changes(profile_data: &str) -> Vec<String> {
    let body = format!(
        "{{\"d\":{{\"type\":\"profile\",\"identity\":\"u1\",\"profileData\":{profile_data}}}}}"
    );
    let batch = upload::decode(body.as_bytes()).unwrap();
    let Content::Profile { changes, .. } = &batch.records[0].content else {
        panic!("a profile")
    };
    changes
        .iter()
        .map(|it| format!("{} {} {}", it.op.as_str(), it.property, it.value.as_str()))
        .collect()
}

fn check_token(fields: &str, expect: impl Into<Option<RejectReason>>) {
    check(&format!("{{\"type\":\"token\"{fields}}}"), expect);
}

fn check_profile(profile_data: &str, expect: impl Into<Option<RejectReason>>) {
    let record =
        format!("{{\"type\":\"profile\",\"identity\":\"u1\",\"profileData\":{profile_data}}}");
    assert_eq!(reason(&record), expect.into(), "{profile_data}");
}

#[test]
fn properties_of_people_with_a_rule() {
    use RejectReason as Why;
    let good = [
        ("Email", "\"peter@foo.com\"", "\"peter@foo.com\""),
        ("Email", "null", "null"),
        ("Phone", "\"+35922333232\"", "\"+35922333232\""),
        ("Phone", "35922333232", "\"+35922333232\""),
        ("Phone", "\"35922333232\"", "\"+35922333232\""),
        // As Java writes what it takes for a fraction.
        ("Phone", "3.5922333232E10", "\"+35922333232\""),
        ("Phone", "35922333232.0", "\"+35922333232\""),
        ("Age", "28.0", "28.0"),
        ("Age", "2.8E1", "2.8E1"),
        ("Phone", "\"+1 (415) 555-1234\"", "\"+14155551234\""),
        ("Gender", "\"female\"", "\"F\""),
        ("Gender", "\"M\"", "\"M\""),
        ("Employed", "\"Y\"", "\"Y\""),
        ("Education", "\"Graduate\"", "\"Graduate\""),
        ("Married", "\"n\"", "\"n\""),
        ("Age", "\"18\"", "\"18\""),
        ("Age", "18", "18"),
        ("DOB", "\"$D_19800101\"", "\"$D_19800101\""),
        ("score", "1.50", "1.50"),
    ];
    for (property, sent, kept) in good {
        let data = format!("{{\"{property}\":{sent}}}");
        assert_eq!(changes(&data), [format!("put {property} {kept}")], "{data}");
    }
    let bad = [
        ("Gender", "\"GG\"", Why::GenderInvalid),
        ("Email", "\"example_gmail.com\"", Why::EmailInvalid),
        ("Email", "\"a@b\"", Why::EmailInvalid),
        ("Email", "\"a b@c.de\"", Why::EmailInvalid),
        ("Email", "7", Why::EmailInvalid),
        ("Phone", "\"223\"", Why::PhoneInvalid),
        ("Phone", "\"0888123456\"", Why::PhoneInvalid),
        ("Phone", "\"+1234567890123456\"", Why::PhoneInvalid),
        ("Phone", "1.5e5", Why::PhoneInvalid),
        ("Phone", "1.5e15", Why::PhoneInvalid),
        ("Phone", "35922333232.5", Why::PhoneInvalid),
        ("Phone", "\"3.5922333232E10\"", Why::PhoneInvalid),
        ("Phone", "-14155551234", Why::PhoneInvalid),
        ("Phone", "-1.4155551234E10", Why::PhoneInvalid),
        ("Employed", "\"yes\"", Why::EmployedInvalid),
        ("Education", "\"none\"", Why::EducationInvalid),
        ("Married", "true", Why::MarriedInvalid),
        ("Age", "\"aa\"", Why::AgeInvalid),
        ("Age", "0", Why::AgeInvalid),
        ("Age", "-3", Why::AgeInvalid),
        ("Age", "28.5", Why::AgeInvalid),
        ("Age", "\"28.0\"", Why::AgeInvalid),
        ("Age", "1.51E2", Why::AgeInvalid),
        ("Email", "{\"$add\":\"a@b.cd\"}", Why::EmailInvalid),
    ];
    for (property, sent, why) in bad {
        check_profile(&format!("{{\"{property}\":{sent}}}"), why);
    }
    check_profile(
        "{\"Age\":\"aa\",\"Phone\":\"1\",\"Email\":\"x\"}",
        Why::EmailInvalid,
    );
    check_profile("[]", None);
    check_profile("[{}]", Why::ProfileDataInvalid);
    check_profile("[[]]", Why::ProfileDataInvalid);
    check_profile("{\"a\":[[[[1]]]]}", Why::NestedTooDeep);
    check_profile("null", None);
}

#[test]
fn operators_become_changes() {
    let data = "{\"t\":{\"$set\":[\"a\",\"b\"]},\"u\":{\"$add\":\"c\"},\"v\":{\"$add\":[\"c\",1]},\
                \"w\":{\"$remove\":[\"a\"]},\"x\":{\"$incr\":5},\"y\":{\"$decr\":2.5},\
                \"z\":{\"$delete\":1},\"Email\":{\"$delete\":true},\"plain\":{\"a\":{\"b\":1}}}";
    assert_eq!(
        changes(data),
        [
            "set t [\"a\",\"b\"]",
            "add u \"c\"",
            "add v [\"c\",1]",
            "remove w [\"a\"]",
            "incr x 5",
            "decr y 2.5",
            "delete z 1",
            "delete Email true",
            "put plain {\"a\":{\"b\":1}}",
        ]
    );
    for wrong in [
        "{\"$push\":1}",
        "{\"$add\":{\"a\":1}}",
        "{\"$add\":[null]}",
        "{\"$add\":[[1]]}",
        "{\"$incr\":\"5\"}",
        "{\"$incr\":-5}",
        "{\"$delete\":false}",
        "{\"$add\":1,\"$remove\":1}",
        "{\"$add\":1,\"b\":1}",
        "{\"b\":1,\"$add\":1}",
    ] {
        check_profile(&format!("{{\"a\":{wrong}}}"), RejectReason::OperatorInvalid);
    }
}

#[test]
fn another_identity_in_the_profile_is_an_alias() {
    let alias = |record: &str| {
        let body = format!("{{\"d\":[{record}]}}");
        let batch = upload::decode(body.as_bytes()).unwrap();
        let Content::Profile { alias, changes } = batch.records[0].content.clone() else {
            panic!("a profile")
        };
        assert!(changes.is_empty());
        alias.map(std::borrow::Cow::into_owned)
    };
    let of = |identity: &str, own: &str| {
        alias(&format!(
            "{{\"type\":\"profile\",\"identity\":{identity},\"profileData\":{{\"identity\":{own}}}}}"
        ))
    };
    assert_eq!(of("\"old1\"", "\"u1\""), Some("u1".into()));
    assert_eq!(of("\"u1\"", "\"u1\""), None);
    assert_eq!(of("10", "10"), None);
    assert_eq!(of("\"10\"", "10"), None);
    assert_eq!(of("\"u1\"", "\"\""), None);
}

#[test]
fn tokens() {
    use RejectReason as Why;
    let id = ",\"objectId\":\"__g1\"";
    let with = |data: &str| format!("{id},\"tokenData\":{data}");
    check_token(
        ",\"tokenData\":{\"id\":\"x\",\"type\":\"fcm\"}",
        Why::TokenObjectIdInvalid,
    );
    check_token(
        ",\"identity\":\"u\",\"tokenData\":{}",
        Why::TokenObjectIdInvalid,
    );
    check_token(id, Why::TokenDataInvalid);
    check_token(&with("[]"), Why::TokenDataInvalid);
    check_token(&with("{\"type\":\"fcm\"}"), Why::TokenIdMissing);
    check_token(&with("{\"id\":\"\",\"type\":\"fcm\"}"), Why::TokenIdMissing);
    check_token(&with("{\"id\":\"x\"}"), Why::TokenTypeMissing);
    check_token(
        &with("{\"id\":\"x\",\"type\":\"pigeon\"}"),
        Why::TokenTypeInvalid,
    );
    check_token(&with("{\"id\":7,\"type\":\"fcm\"}"), Why::TokenKeysInvalid);
    check_token(
        &with("{\"id\":\"x\",\"type\":\"chrome\"}"),
        Why::TokenKeysInvalid,
    );
    check_token(&with("{\"id\":\"x\",\"type\":\"fcm\"}"), None);
    // Java and .NET write fields that were not set. The keys of a browser alone are read.
    for (keys, why) in [
        ("{}", Why::TokenKeysInvalid),
        ("[]", Why::TokenKeysInvalid),
        ("null", Why::TokenKeysInvalid),
        ("\"\"", Why::TokenKeysInvalid),
        ("{\"p256dh\":\"a\",\"auth\":7}", Why::TokenKeysInvalid),
        ("{\"a\":{\"b\":{}}}", Why::TokenDataInvalid),
        ("{\"\":1}", Why::TokenDataInvalid),
    ] {
        let of = |service: &str| {
            with(&format!(
                "{{\"id\":\"x\",\"type\":\"{service}\",\"keys\":{keys}}}"
            ))
        };
        for service in ["fcm", "FCM", "gcm", "apns", "wns", "mpns"] {
            check_token(&of(service), None);
        }
        check_token(&of("chrome"), why);
    }
    check_token(
        &with("{\"id\":\"x\",\"type\":\"fcm\",\"keys\":{\"a\":1,\"a\":2}}"),
        Why::KeyTwice,
    );
    let keys = "{\"id\":\"x\",\"type\":\"chrome\",\"keys\":{\"p256dh\":\"a\",\"auth\":\"b\"}}";
    check_token(&with(keys), None);
    let body = format!("{{\"d\":[{{\"type\":\"token\"{}}}]}}", with(keys));
    let batch = upload::decode(body.as_bytes()).unwrap();
    let Content::Profile { changes, .. } = &batch.records[0].content else {
        panic!("a change")
    };
    assert_eq!(changes[0].op, ChangeOp::Token);
    assert_eq!(
        (&*changes[0].property, changes[0].value.as_str()),
        ("chrome", keys)
    );
}

#[test]
fn a_property_that_stands_twice_refuses_the_profile() {
    check_profile("{\"Name\":\"a\",\"Name\":\"b\"}", RejectReason::KeyTwice);
    check_profile(
        "{\"identity\":\"a\",\"Identity\":\"b\"}",
        RejectReason::KeyTwice,
    );
}
