//! What an SDK says of device, app and session, as a JSON object.
//!
//! Scalars only, each short, not too many: the object is copied into every event of a batch. Ids for
//! advertising are left out: nobody has consented to their being kept.

use model::RawJson;
use model::record::{Change, ChangeOp};

use crate::json::{Kind, Value};

/// Members that are kept.
const MEMBERS_MAX: usize = 64;
/// Bytes of a member's name.
const NAME_BYTES_MAX: usize = 120;
/// Bytes of one value that is kept.
const VALUE_BYTES_MAX: usize = 256;

/// Bytes of the whole object, but for one long value.
const FACTS_BYTES_MAX: usize = 4 * 1024;

/// Ids for advertising, in small letters: they are never kept.
const ADVERTISING: [&str; 6] = [
    "googleadid",
    "googleadidlimit",
    "idfa",
    "ifa",
    "gaid",
    "adid",
];
/// What stands before the name when several people have used the device.
const OF_MANY_USERS: &str = "mt_";
/// The app fields that tell where the device is.
const COORDINATES: [&str; 2] = ["Latitude", "Longitude"];
/// Bytes of one coordinate.
const COORDINATE_BYTES_MAX: usize = 32;

/// A JSON object that is being written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    text: String,
    names: Vec<Box<str>>,
}

impl Facts {
    /// The members of `af`, under the names that the read-out API has for them.
    pub(crate) fn of_app_fields(fields: Option<Value<'_>>) -> Self {
        let mut facts = Self::default();
        if let Some(fields) = fields {
            fields.members(|key, value| {
                if let Some(key) = key.decode() {
                    facts.add(read_out_name(&key), Some(value));
                }
            });
        }
        facts
    }

    /// Adds a scalar, unless there is none, it is long, or the name is taken.
    pub(crate) fn add(&mut self, name: &str, value: Option<Value<'_>>) {
        self.add_long(name, value, VALUE_BYTES_MAX);
    }

    /// As [`Facts::add`], with a limit of the caller's.
    pub(crate) fn add_long(&mut self, name: &str, value: Option<Value<'_>>, bytes_max: usize) {
        let Some(value) = value else { return };
        let is_scalar = matches!(value.kind, Kind::String | Kind::Number | Kind::Bool);
        let fits = value.text.len() <= bytes_max && name.len() <= NAME_BYTES_MAX;
        let is_full = self.names.len() >= MEMBERS_MAX || self.text.len() >= FACTS_BYTES_MAX;
        let is_refused = is_full || is_advertising(name);
        if !is_scalar || !fits || is_refused || self.names.iter().any(|it| **it == *name) {
            return;
        }
        let Ok(quoted) = serde_json::to_string(name) else {
            return;
        };
        self.names.push(Box::from(name));
        self.text.push(if self.text.is_empty() { '{' } else { ',' });
        self.text.push_str(&quoted);
        self.text.push(':');
        self.text.push_str(value.text);
    }

    /// The object; none when it is empty.
    pub(crate) fn json(&self) -> Option<RawJson> {
        if self.text.is_empty() {
            return None;
        }
        let mut text = self.text.clone();
        text.push('}');
        Some(RawJson::from_checked(&text))
    }
}

/// An object without ids for advertising among its members; none when there are none in it.
pub(crate) fn without_advertising(object: Value<'_>) -> Option<RawJson> {
    let (mut text, mut is_refused) = (String::from("{"), false);
    object.members(|key, value| {
        let name = key.decode().unwrap_or_default();
        if is_advertising(&name) {
            is_refused = true;
        } else if let Ok(quoted) = serde_json::to_string(&*name) {
            text.push_str(if text.len() > 1 { "," } else { "" });
            text.push_str(&quoted);
            text.push(':');
            text.push_str(value.text);
        }
    });
    text.push('}');
    is_refused.then(|| RawJson::from_checked(&text))
}

/// Whether a member of that name is an id for advertising.
fn is_advertising(name: &str) -> bool {
    let name = name.strip_prefix(OF_MANY_USERS).unwrap_or(name);
    ADVERTISING.iter().any(|it| it.eq_ignore_ascii_case(name))
}

/// Where the device is, when the app fields tell it, as changes of its person.
pub(crate) fn location(fields: Option<Value<'_>>) -> Vec<Change> {
    let mut changes = Vec::new();
    if let Some(fields) = fields.filter(|it| it.kind == Kind::Object) {
        fields.members(|key, value| {
            let key = key.decode().unwrap_or_default();
            let is_one = value.kind == Kind::Number
                && value.text.len() <= COORDINATE_BYTES_MAX
                && COORDINATES.contains(&&*key);
            if is_one && changes.iter().all(|it: &Change| *it.property != *key) {
                changes.push(Change {
                    property: Box::from(&*key),
                    op: ChangeOp::Put,
                    value: RawJson::from_checked(value.text),
                });
            }
        });
    }
    changes
}

/// The read-out API's name of an app field; most have none.
fn read_out_name(name: &str) -> &str {
    match name {
        "OS Version" => "os_version",
        // Older ones say it in two words, imports twice.
        "Version" | "App Version" | "Version Name" => "app_version",
        "Make" => "make",
        "Model" => "model",
        other => other,
    }
}
