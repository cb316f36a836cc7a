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
    expect![[""]].assert_eq(&show(ALL).0);
    expect![[""]].assert_eq(&show(NONE).0);
}

#[test]
fn a_person_shows_properties_events_and_devices() {
    expect![[""]].assert_eq(&show(ALL).1);
    expect![[""]].assert_eq(&show(NONE).1);
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
        answers::profile(None),
        answers::profile(Some("{}")),
    ];
    expect![[""]].assert_eq(&all.join("\n"));
}
