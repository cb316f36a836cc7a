//! Records and pages, exactly as clients get them.

use expect_test::expect;
use jiff::tz::TimeZone;
use model::{RawJson, Timestamp};
use std::collections::BTreeMap;

use crate::rest::answers;
use crate::rest::export::With;
use crate::rest::record::{self, Device, EventCount, EventRecord, Person};

const ALL: With = With {
    app: true,
    events: true,
    profile: true,
};
const NONE: With = With {
    app: false,
    events: false,
    profile: false,
};

fn json(text: &str) -> RawJson {
    RawJson::parse(text).unwrap()
}

fn properties() -> BTreeMap<Box<str>, RawJson> {
    [
        ("Name", "\"Peter\""),
        ("Email", "\"peter@foo.com\""),
        ("Phone", "\"+14155551234\""),
        ("score \"1\"", "1.50"),
    ]
    .into_iter()
    .map(|(name, value)| (Box::from(name), json(value)))
    .collect()
}

fn events() -> BTreeMap<Box<str>, EventCount> {
    let seen = Timestamp::from_seconds(1_668_817_176);
    let count = EventCount {
        count: 1,
        first_seen: seen,
        last_seen: seen,
    };
    BTreeMap::from([(Box::from("App Launched"), count)])
}

fn show(with: With) -> (String, String) {
    let (properties, events) = (properties(), events());
    let facts = json("{\"os_version\":\"10\",\"make\":\"xiaomi\",\"wdt\":2}");
    let devices = [Device {
        object_id: Some("__g9e75"),
        platform: Some("Android"),
        facts: Some(&facts),
        push_token: Some("x"),
    }];
    let person = Person {
        identity: Some("u1"),
        object_id: Some("__g9e75"),
        properties: &properties,
        events: &events,
        devices: &devices,
    };
    let context = json("{\"app_version\":\"1.1.7\",\"utm_source\":\"google-play\"}");
    let event = EventRecord {
        ts: Timestamp::from_ms(1_668_817_177_900),
        properties: &json("{ \"Install\":1e400 }"),
        context: Some(&context),
        person,
    };
    let zone = TimeZone::get("Asia/Kolkata").unwrap();
    let shown = (
        record::event(&event, with, &zone),
        record::person(&person, with),
    );
    for text in [&shown.0, &shown.1] {
        RawJson::parse(text).unwrap();
    }
    shown
}

#[test]
fn an_event_shows_its_person_its_local_time_and_its_properties_as_sent() {
    expect![[r#"{"profile":{"objectId":"__g9e75","platform":"Android","os_version":"10","app_version":"1.1.7","make":"xiaomi","identity":"u1","name":"Peter","email":"peter@foo.com","phone":"+14155551234","profileData":{"score \"1\"":1.50},"events":{"App Launched":{"count":1,"first_seen":1668817176,"last_seen":1668817176}},"push_token":"x"},"ts":20221119054937,"event_props":{ "Install":1e400 },"session_props":{"utm_source":"google-play"}}"#]].assert_eq(&show(ALL).0);
    expect![[r#"{"profile":{"objectId":"__g9e75","platform":"Android","identity":"u1","name":"Peter","email":"peter@foo.com","phone":"+14155551234","push_token":"x"},"ts":20221119054937,"event_props":{ "Install":1e400 },"session_props":{"utm_source":"google-play"}}"#]].assert_eq(&show(NONE).0);
}

#[test]
fn a_person_shows_properties_events_and_devices() {
    expect![[r#"{"identity":"u1","name":"Peter","email":"peter@foo.com","phone":"+14155551234","profileData":{"score \"1\"":1.50},"events":{"App Launched":{"count":1,"first_seen":1668817176,"last_seen":1668817176}},"platformInfo":[{"platform":"Android","os_version":"10","make":"xiaomi","push_token":"x","objectId":"__g9e75"}],"objectId":"__g9e75"}"#]].assert_eq(&show(ALL).1);
    expect![[r#"{"identity":"u1","name":"Peter","email":"peter@foo.com","phone":"+14155551234","platformInfo":[{"platform":"Android","push_token":"x","objectId":"__g9e75"}],"objectId":"__g9e75"}"#]].assert_eq(&show(NONE).1);
}

#[test]
fn a_device_that_no_sdk_has_described_is_called_as_its_id_begins() {
    let (properties, events) = (BTreeMap::new(), BTreeMap::new());
    for (id, expect) in [
        ("__g9e75", Some("Android")),
        ("-9e75", Some("iOS")),
        ("^9e75", Some("MacOS")),
        ("~9e75", Some("Windows")),
        ("#9e75", Some("Linux")),
        ("9e75-1", None),
    ] {
        let devices = [Device {
            object_id: Some(id),
            ..Device::default()
        }];
        let person = Person {
            identity: None,
            object_id: Some(id),
            properties: &properties,
            events: &events,
            devices: &devices,
        };
        let shown = record::person(&person, NONE);
        let name = expect.map_or(String::new(), |it| format!("\"platform\":\"{it}\","));
        let device = format!("\"platformInfo\":[{{{name}\"objectId\":\"{id}\"}}]");
        assert!(shown.contains(&device), "{shown}");
    }
}

#[test]
fn pages_and_other_answers() {
    let records = ["{\"a\":1}".to_owned(), "{}".to_owned()];
    let all = [
        answers::success(),
        answers::cursor("Ab-_"),
        answers::count(7_138),
        answers::page(&records, Some("Ab-_")),
        answers::page(&[], None),
        answers::with_request_id(answers::count(7_138), 1_790_000_000_000),
        answers::profile(None),
        answers::profile(Some("{}")),
    ];
    expect![[r#"
        {"status":"success"}
        {"cursor":"Ab-_","status":"success"}
        {"count":7138,"status":"success"}
        {"status":"success","next_cursor":"Ab-_","records":[{"a":1},{}]}
        {"status":"success","records":[]}
        {"count":7138,"status":"success","req_id":1790000000000}
        {"status":"success","record":null}
        {"status":"success","record":{}}"#]]
    .assert_eq(&all.join("\n"));
}
