//! One element of the array: a record, or what is said of device and account.

use std::borrow::Cow;

use crate::json::{DEPTH, Kind, Scanner, Value};
use crate::sdk;

/// The members of an element that are read; everything else is ignored.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Item<'a> {
    /// The element as it stands.
    pub(super) text: &'a str,
    /// Its place in the array, from 1.
    pub(super) position: u32,
    pub(super) kind: Option<Value<'a>>,
    pub(super) session: Option<Value<'a>>,
    pub(super) seconds: Option<Value<'a>>,
    pub(super) event_name: Option<Value<'a>>,
    pub(super) event_data: Option<Value<'a>>,
    pub(super) profile: Option<Value<'a>>,
    pub(super) data: Option<Value<'a>>,
    pub(super) device: Option<Value<'a>>,
    pub(super) account: Option<Value<'a>>,
    pub(super) token: Option<Value<'a>>,
    pub(super) app_fields: Option<Value<'a>>,
    pub(super) referrer: Option<Value<'a>>,
    /// One of them stands twice.
    pub(super) key_twice: bool,
    /// One of those that say whose a body is stands twice.
    pub(super) is_anybodys: bool,
}

impl<'a> Item<'a> {
    pub(super) fn of(value: &Value<'a>, position: u32) -> Self {
        let mut item = Self {
            text: value.text,
            position,
            ..Self::default()
        };
        value.members(|key, value| item.take(&key.decode().unwrap_or_default(), value));
        item
    }

    fn take(&mut self, key: &str, value: Value<'a>) {
        let field = match key {
            "type" => &mut self.kind,
            "s" => &mut self.session,
            "ep" => &mut self.seconds,
            "evtName" => &mut self.event_name,
            "evtData" => &mut self.event_data,
            "profile" => &mut self.profile,
            "data" => &mut self.data,
            "g" => &mut self.device,
            "id" => &mut self.account,
            "tk" => &mut self.token,
            "af" => &mut self.app_fields,
            "ref" => &mut self.referrer,
            _ => return,
        };
        let is_twice = field.replace(value).is_some();
        self.key_twice |= is_twice;
        self.is_anybodys |= is_twice && matches!(key, "type" | "g" | "id" | "tk");
    }

    /// The element's `type`; empty when it has none.
    pub(super) fn kind(&self) -> Box<str> {
        text(self.kind).unwrap_or_default()
    }
}

/// An item that was refused, as it is kept for review: a body of its own, with the `meta` of
/// [`Upload::kept_meta`](super::Upload::kept_meta), so that it can be read again; without ids for
/// advertising.
#[must_use]
pub fn keep(item: &str, meta: &str) -> String {
    format!("[{meta},{}]", without_advertising(item))
}

/// The app's start carries the app fields once more.
fn without_advertising(item: &str) -> Cow<'_, str> {
    let Ok(value) = Scanner::new(item).value(DEPTH) else {
        return Cow::Borrowed(item);
    };
    let data = Item::of(&value, 1).event_data;
    let clean = data.and_then(|it| Some((it.text, sdk::without_advertising(it)?)));
    clean.map_or(Cow::Borrowed(item), |(sent, clean)| {
        Cow::Owned(item.replace(sent, clean.as_str()))
    })
}

/// The text of a string.
pub(super) fn text(value: Option<Value<'_>>) -> Option<Box<str>> {
    let value = value.filter(|it| it.kind == Kind::String)?;
    value.string().map(|it| Box::from(&*it))
}
