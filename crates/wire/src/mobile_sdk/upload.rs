//! The body of `POST /a1`.

use model::record::{Change, ChangeOp, Source};
use model::submission::{Batch, Content, Names, RejectReason, Submission};
use model::{RawJson, limit};

use super::item::{Item, text};
use crate::json::{self, DEPTH, Kind, Scanner, Value};
use crate::rest::upload::event;
use crate::sdk::{self, FETCH, Facts, Sealed, Undecodable};

/// Elements of one body: the SDKs send 50 at most.
pub const ITEMS_MAX: usize = limit::RECORDS_PER_UPLOAD_MAX;
/// The event of an app's start, which brings news of the device.
const APP_LAUNCHED: &str = "App Launched";
/// The longest push token.
const TOKEN_BYTES_MAX: usize = 4_096;
/// The longest name of a system.
const PLATFORM_BYTES_MAX: usize = 32;
/// The longest name of a device that is read: it stands beside every record of the body.
const DEVICE_BYTES_MAX: usize = limit::IDENTITY_BYTES_MAX;

/// A body as it came.
#[derive(Debug)]
pub enum Body<'a> {
    /// In plain text.
    Plain(Box<Upload<'a>>),
    /// Encrypted in transit.
    Sealed(Sealed),
}

/// A body in plain text.
#[derive(Debug, Default)]
pub struct Upload<'a> {
    meta: Option<Item<'a>>,
    items: Vec<Item<'a>>,
}

/// Reads a body.
///
/// # Errors
/// When it is neither an array (with an object in it, unless it is empty) nor the envelope of an encrypted
/// one; when it has more than [`ITEMS_MAX`] elements, two that speak for the device, or one that says twice
/// whose the body is.
pub fn decode(body: &[u8]) -> Result<Body<'_>, Undecodable> {
    let text = json::text(body).map_err(|_| Undecodable)?;
    let mut scanner = Scanner::new(text);
    let value = scanner.value(DEPTH).map_err(|_| Undecodable)?;
    scanner.end().map_err(|_| Undecodable)?;
    match value.kind {
        Kind::Array => Upload::of(&value).map(|it| Body::Plain(Box::new(it))),
        Kind::Object => envelope(&value).map(Body::Sealed),
        Kind::String | Kind::Number | Kind::Bool | Kind::Null => Err(Undecodable),
    }
}

fn envelope(value: &Value<'_>) -> Result<Sealed, Undecodable> {
    let (mut payload, mut key, mut nonce, mut is_twice) = (None, None, None, false);
    value.members(|name, value| {
        let field = match name.decode().as_deref() {
            Some("itp") => &mut payload,
            Some("itk") => &mut key,
            Some("itv") => &mut nonce,
            _ => return,
        };
        is_twice |= field.replace(value).is_some();
    });
    if is_twice {
        Err(Undecodable)
    } else {
        Sealed::decode(payload, key, nonce)
    }
}

impl<'a> Upload<'a> {
    fn of(array: &Value<'a>) -> Result<Self, Undecodable> {
        if array.facts.members > ITEMS_MAX {
            return Err(Undecodable);
        }
        let mut upload = Self::default();
        let mut position = 0_u32;
        let (mut is_anybodys, mut has_object) = (false, false);
        array.elements(|element| {
            position = position.saturating_add(1);
            has_object |= element.kind == Kind::Object;
            let item = Item::of(&element, position);
            if &*item.kind() != "meta" {
                // What is no object is of no type, and refused alone.
                upload.items.push(item);
                return;
            }
            let mut meta = item;
            if item.key_twice {
                // It says whose the body is. Which of the two it says of the device nobody can tell.
                (meta.app_fields, meta.referrer) = (None, None);
                upload.items.push(item);
            }
            is_anybodys |= item.is_anybodys || upload.meta.replace(meta).is_some();
        });
        if is_anybodys || (position > 0 && !has_object) {
            Err(Undecodable)
        } else {
            Ok(upload)
        }
    }

    /// The device that the body speaks for; empty when it names none, or one by more than 1,024 bytes.
    #[must_use]
    pub fn device(&self) -> Box<str> {
        let device = text(self.meta.and_then(|it| it.device));
        let device = device.filter(|it| it.len() <= DEVICE_BYTES_MAX);
        device.unwrap_or_default()
    }

    /// The account that the body names.
    #[must_use]
    pub fn account(&self) -> Option<Box<str>> {
        text(self.meta.and_then(|it| it.account))
    }

    /// The SDK token that the body shows.
    #[must_use]
    pub fn token(&self) -> Option<Box<str>> {
        text(self.meta.and_then(|it| it.token))
    }

    /// The operating system that the body names.
    #[must_use]
    pub fn os(&self) -> Option<Box<str>> {
        let mut os = None;
        if let Some(fields) = self.meta.and_then(|it| it.app_fields) {
            fields.members(|key, value| {
                if key.decode().is_some_and(|it| it == "OS") {
                    os = text(Some(value));
                }
            });
        }
        os
    }

    /// Whether one of its elements is of that `type`.
    #[must_use]
    pub fn holds(&self, kind: &str) -> bool {
        self.items.iter().any(|it| &*it.kind() == kind)
    }

    /// Whether the SDK asks for the account's variables.
    #[must_use]
    pub fn wants_variables(&self) -> bool {
        let mut items = self.items.iter();
        items.any(|it| sdk::wants_variables(it.event_name, it.event_data))
    }

    /// Whether the peer's address may be kept.
    #[must_use]
    pub fn uses_ip(&self) -> bool {
        let mut uses_ip = false;
        if let Some(fields) = self.meta.and_then(|it| it.app_fields) {
            fields.members(|key, value| {
                uses_ip |= value.text == "true" && key.decode().is_some_and(|it| it == "useIP");
            });
        }
        uses_ip
    }

    /// What the device is called: the SDKs' own two systems by their names, any other as it calls itself.
    fn platform(&self, source: Source) -> Box<str> {
        let is_name = |it: &str| {
            (1..=PLATFORM_BYTES_MAX).contains(&it.len())
                && it
                    .bytes()
                    .all(|it| it.is_ascii_alphanumeric() || it == b' ')
        };
        let other = self.os().filter(|it| super::source(it).is_none());
        other.filter(|it| is_name(it)).unwrap_or_else(|| {
            Box::from(if source == Source::Ios {
                "iOS"
            } else {
                "Android"
            })
        })
    }

    /// What the app says of the device.
    fn app_facts(&self) -> Facts {
        Facts::of_app_fields(self.meta.and_then(|it| it.app_fields))
    }

    /// Adds which campaign has led to the session, under these names.
    fn add_campaign(&self, facts: &mut Facts, [source, medium, campaign]: [&str; 3]) {
        if let Some(referrer) = self.meta.and_then(|it| it.referrer) {
            referrer.members(|key, value| match key.decode().as_deref() {
                Some("us") => facts.add(source, Some(value)),
                Some("um") => facts.add(medium, Some(value)),
                Some("uc") => facts.add(campaign, Some(value)),
                _ => {}
            });
        }
    }

    /// What is kept, beside an item that was refused, of what the body says of its device: all by which the
    /// item is read again. Its account, the token and ids for advertising are not.
    #[must_use]
    pub fn kept_meta(&self, device: &str) -> String {
        let mut campaign = Facts::default();
        self.add_campaign(&mut campaign, ["us", "um", "uc"]);
        let members = [
            ("g", RawJson::of(device).ok()),
            ("af", self.app_facts().json()),
            ("ref", campaign.json()),
        ];
        let mut meta = String::from("{\"type\":\"meta\"");
        for (name, value) in members {
            if let Some(value) = value {
                meta.push_str(",\"");
                meta.push_str(name);
                meta.push_str("\":");
                meta.push_str(value.as_str());
            }
        }
        meta.push('}');
        meta
    }

    /// The records of the body, all of one device.
    #[must_use]
    pub fn batch(&self, source: Source) -> Batch<'a> {
        let mut facts = self.app_facts();
        let is_told = facts.json().is_some();
        self.add_campaign(&mut facts, ["utm_source", "utm_medium", "utm_campaign"]);
        let facts = facts.json();
        // It takes the place of what was known: where the app says nothing, that stays.
        let news = facts.clone().filter(|_| is_told).map(|value| Change {
            property: self.platform(source),
            op: ChangeOp::Device,
            value,
        });
        let mut reader = Reader {
            device: self.device(),
            facts,
            news,
            location: sdk::location(self.meta.and_then(|it| it.app_fields)),
            batch: Batch::default(),
        };
        for item in &self.items {
            if let Err(reason) = reader.take(item) {
                let (device, profile) = (&*reader.device, item.profile);
                let rejection = sdk::rejection(item.position, reason, item.text, device, profile);
                reader.batch.rejections.push(rejection);
            }
        }
        reader.batch
    }
}

struct Reader<'a> {
    device: Box<str>,
    /// What is said of device and session.
    facts: Option<RawJson>,
    /// The same as a change of what is known of the device, where the app says something of it.
    news: Option<Change>,
    location: Vec<Change>,
    batch: Batch<'a>,
}

impl<'a> Reader<'a> {
    fn take(&mut self, item: &Item<'a>) -> Result<(), RejectReason> {
        if item.key_twice {
            return Err(RejectReason::KeyTwice);
        }
        match &*item.kind() {
            "page" => return Ok(()),
            // It says nothing but where the device is, where that is told.
            "ping" if self.location.is_empty() => return Ok(()),
            "ping" | "event" | "profile" | "data" => {}
            _ => return Err(RejectReason::TypeUnknown),
        }
        if self.device.is_empty() {
            return Err(RejectReason::IdentityMissing);
        }
        if !sdk::is_device_id(&self.device) {
            return Err(RejectReason::ObjectIdInvalid);
        }
        match &*item.kind() {
            "ping" => {
                let content = Content::Profile {
                    changes: self.location.clone(),
                    alias: None,
                };
                self.push(item, sdk::device_names(&self.device), content);
                Ok(())
            }
            "event" => self.event(item),
            "profile" => {
                let profile = sdk::profile(item.profile, &self.device)?;
                self.push(item, profile.names, profile.content);
                profile.fault.map_or(Ok(()), Err)
            }
            _ => {
                let token = token(item.data)?;
                // Where neither says anything, the device is known by its name from now on.
                let has_news = self.push_news(item);
                if token.is_some() || !has_news {
                    self.push(item, sdk::device_names(&self.device), changed(token));
                }
                Ok(())
            }
        }
    }

    fn event(&mut self, item: &Item<'a>) -> Result<(), RejectReason> {
        let (decoded, fault) = event::decode_sdk(item.event_name, item.event_data)?;
        let Content::Event {
            name,
            mut properties,
            ..
        } = decoded
        else {
            return Err(RejectReason::Internal);
        };
        if name == FETCH {
            return Ok(());
        }
        if name == APP_LAUNCHED {
            self.push_news(item);
            // Its properties are those of `af` once more.
            let sent = Scanner::whole(properties.as_str()).ok();
            let clean = sent.and_then(sdk::without_advertising);
            properties = clean.unwrap_or(properties);
        }
        let (session, context) = (sdk::seconds(item.session), self.facts.clone());
        let content = Content::Event {
            name,
            properties,
            session,
            context,
        };
        self.push(item, sdk::device_names(&self.device), content);
        fault.map_or(Ok(()), Err)
    }

    /// Writes down what the app says of the device; whether it says anything.
    fn push_news(&mut self, item: &Item<'a>) -> bool {
        let news = self.news.clone();
        let has_news = news.is_some();
        if has_news {
            self.push(item, sdk::device_names(&self.device), changed(news));
        }
        has_news
    }

    fn push(&mut self, item: &Item<'a>, names: Names<'a>, content: Content<'a>) {
        self.batch.records.push(Submission {
            position: item.position,
            text: item.text,
            names,
            ts: sdk::moment(sdk::seconds(item.seconds)),
            content,
        });
    }
}

fn changed<'a>(change: Option<Change>) -> Content<'a> {
    Content::Profile {
        changes: change.into_iter().collect(),
        alias: None,
    }
}

/// The device's push token, or the end of it; none where the sender makes a device known by an empty
/// one.
fn token(data: Option<Value<'_>>) -> Result<Option<Change>, RejectReason> {
    let data = data
        .filter(|it| it.kind == Kind::Object)
        .ok_or(RejectReason::TokenDataInvalid)?;
    if data.facts.key_twice {
        return Err(RejectReason::KeyTwice);
    }
    let (mut id, mut service, mut is_end) = (None, None, false);
    data.members(|key, value| match key.decode().as_deref() {
        Some("id") => id = Some(value),
        Some("type") => service = text(Some(value)),
        Some("action") => is_end = text(Some(value)).as_deref() == Some("unregister"),
        _ => {}
    });
    let service = service
        .ok_or(RejectReason::TokenTypeMissing)?
        .to_ascii_lowercase();
    if !(1..=16).contains(&service.len()) || !service.bytes().all(|it| it.is_ascii_alphanumeric()) {
        return Err(RejectReason::TokenTypeInvalid);
    }
    let value = if is_end {
        format!("{{\"type\":\"{service}\",\"action\":\"unregister\"}}")
    } else {
        let id = id.filter(|it| it.kind == Kind::String);
        let id = id.ok_or(RejectReason::TokenIdMissing)?;
        if id.text == "\"\"" {
            return Ok(None);
        }
        if id.text.len() > TOKEN_BYTES_MAX {
            return Err(RejectReason::TokenDataInvalid);
        }
        format!("{{\"id\":{},\"type\":\"{service}\"}}", id.text)
    };
    let value = RawJson::from_checked(&value);
    Ok(Some(Change {
        property: service.into_boxed_str(),
        op: ChangeOp::Token,
        value,
    }))
}
