//! Records of answers: one event with its person, one person.
//!
//! Values go out as they came in. Names that the protocol has for a property of its own (`name`,
//! `email`, `phone`) leave `profileData`; everything else stays there under the name it was sent
//! with.

use jiff::tz::TimeZone;
use model::{RawJson, Timestamp};
use std::collections::BTreeMap;

use super::export::With;

/// A person, as answers show them.
#[derive(Debug, Clone, Copy)]
pub struct Person<'a> {
    /// The company's own id.
    pub identity: Option<&'a str>,
    /// The device of the record, or any of the person's.
    pub object_id: Option<&'a str>,
    /// Properties by name, as sent.
    pub properties: &'a BTreeMap<Box<str>, RawJson>,
    /// The person's events in numbers.
    pub events: &'a BTreeMap<Box<str>, EventCount>,
    /// The person's devices.
    pub devices: &'a [Device<'a>],
}

/// How often a person did something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventCount {
    /// How often.
    pub count: u64,
    /// The first time.
    pub first_seen: Timestamp,
    /// The last time.
    pub last_seen: Timestamp,
}

/// One device.
#[derive(Debug, Clone, Copy, Default)]
pub struct Device<'a> {
    /// Its id.
    pub object_id: Option<&'a str>,
    /// `Android`, `iOS`, `Web`.
    pub platform: Option<&'a str>,
    /// What its SDK says of it: a JSON object with `os_version`, `app_version`, `make`, `model`.
    pub facts: Option<&'a RawJson>,
    /// Its push token.
    pub push_token: Option<&'a str>,
}

/// How the ids begin that the SDKs make, by system.
const SYSTEMS: [(&str, &str); 5] = [
    ("__", "Android"),
    ("-", "iOS"),
    ("^", "MacOS"),
    ("~", "Windows"),
    ("#", "Linux"),
];

impl<'a> Device<'a> {
    /// What it is called: as its SDK said or, for a device that is known by a server's word only, as
    /// its id begins. Clients read the name without looking whether there is one.
    fn platform_name(&self) -> Option<&'a str> {
        self.platform.or_else(|| {
            let id = self.object_id?;
            let found = SYSTEMS.iter().find(|(mark, _)| id.starts_with(mark));
            found.map(|(_, name)| *name)
        })
    }
}

/// One event, with its person.
#[derive(Debug, Clone, Copy)]
pub struct EventRecord<'a> {
    /// When.
    pub ts: Timestamp,
    /// Its properties, as sent.
    pub properties: &'a RawJson,
    /// What the SDK said of device and session: a JSON object.
    pub context: Option<&'a RawJson>,
    /// Whose it is.
    pub person: Person<'a>,
}

/// Keys of a context that tell of the device; the others tell of the session.
const DEVICE_KEYS: [&str; 4] = ["os_version", "app_version", "make", "model"];

/// The record of one event. Its name is not part of it: the caller asked for it.
#[must_use]
pub fn event(record: &EventRecord<'_>, with: With, time_zone: &TimeZone) -> String {
    let person = &record.person;
    let context = members(record.context);
    let device = person.devices.first();
    let mut profile = Object::default();
    profile.text("objectId", person.object_id);
    profile.text("platform", device.and_then(Device::platform_name));
    if with.app {
        let facts = members(device.and_then(|it| it.facts));
        for key in DEVICE_KEYS {
            let value = context.get(key).or_else(|| facts.get(key));
            profile.raw(key, value.map(|it| it.get()));
        }
    }
    own_fields(&mut profile, person, with);
    profile.text("push_token", device.and_then(|it| it.push_token));
    let mut session = Object::default();
    for (key, value) in &context {
        if !DEVICE_KEYS.contains(&key.as_str()) {
            session.raw(key, Some(value.get()));
        }
    }
    let mut out = Object::default();
    out.raw("profile", Some(&profile.close()));
    out.raw("ts", Some(&local_time(record.ts, time_zone)));
    out.raw("event_props", Some(record.properties.as_str()));
    out.raw("session_props", Some(&session.close()));
    out.close()
}

/// The record of one person.
#[must_use]
pub fn person(person: &Person<'_>, with: With) -> String {
    let mut out = Object::default();
    own_fields(&mut out, person, with);
    let mut platforms = String::from("[");
    for (place, device) in person.devices.iter().enumerate() {
        if place > 0 {
            platforms.push(',');
        }
        platforms.push_str(&platform(device, with));
    }
    platforms.push(']');
    out.raw("platformInfo", Some(&platforms));
    out.text("objectId", person.object_id);
    out.close()
}

fn own_fields(out: &mut Object, person: &Person<'_>, with: With) {
    let property = |name: &str| person.properties.get(name).map(RawJson::as_str);
    out.text("identity", person.identity);
    out.raw("name", property("Name"));
    out.raw("email", property("Email"));
    out.raw("phone", property("Phone"));
    if with.profile {
        let mut data = Object::default();
        for (name, value) in person.properties {
            if !matches!(&**name, "Name" | "Email" | "Phone") {
                data.raw(name, Some(value.as_str()));
            }
        }
        out.raw("profileData", Some(&data.close()));
    }
    if with.events {
        let mut events = Object::default();
        for (name, count) in person.events {
            let EventCount {
                count,
                first_seen,
                last_seen,
            } = count;
            let (first, last) = (first_seen.seconds(), last_seen.seconds());
            let text = format!("{{\"count\":{count},\"first_seen\":{first},\"last_seen\":{last}}}");
            events.raw(name, Some(&text));
        }
        out.raw("events", Some(&events.close()));
    }
}

fn platform(device: &Device<'_>, with: With) -> String {
    let mut out = Object::default();
    out.text("platform", device.platform_name());
    if with.app {
        let facts = members(device.facts);
        for key in DEVICE_KEYS {
            out.raw(key, facts.get(key).map(|it| it.get()));
        }
    }
    out.text("push_token", device.push_token);
    out.text("objectId", device.object_id);
    out.close()
}

/// `yyyyMMddHHmmss` in the account's time zone, as a number.
fn local_time(ts: Timestamp, time_zone: &TimeZone) -> String {
    match jiff::Timestamp::from_millisecond(ts.ms()) {
        Ok(at) => at
            .to_zoned_datetime(time_zone.clone())
            .strftime("%Y%m%d%H%M%S")
            .to_string(),
        // Admission bounds times: this is no time that we ever accepted.
        Err(_) => String::from("0"),
    }
}

type Members<'a> = BTreeMap<String, &'a serde_json::value::RawValue>;

/// The members of a JSON object of our own making; none of anything else.
fn members(json: Option<&RawJson>) -> Members<'_> {
    json.and_then(|it| serde_json::from_str(it.as_str()).ok())
        .unwrap_or_default()
}

/// A JSON object that is being written.
#[derive(Debug, Default)]
struct Object(String);

impl Object {
    /// Adds a text, when there is one.
    fn text(&mut self, key: &str, value: Option<&str>) {
        if let Some(Ok(json)) = value.map(serde_json::to_string) {
            self.raw(key, Some(&json));
        }
    }

    /// Adds a JSON text, when there is one.
    fn raw(&mut self, key: &str, json: Option<&str>) {
        let (Some(json), Ok(key)) = (json, serde_json::to_string(key)) else {
            return;
        };
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        self.0.push_str(&key);
        self.0.push(':');
        self.0.push_str(json);
    }

    fn close(mut self) -> String {
        if self.0.is_empty() {
            self.0.push('{');
        }
        self.0.push('}');
        self.0
    }
}
