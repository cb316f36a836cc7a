//! The message in `d`: who sends it, and the records that it is.

use model::record::{Change, ChangeOp};
use model::submission::{Batch, Content, Names, RejectReason, Submission};
use model::{RawJson, Timestamp, opt_out};

use super::query::{device, is_marked_out};
use super::{Call, Query};
use crate::json::{DEPTH, Kind, Scanner, Value};
use crate::rest::upload::event;
use crate::sdk::{self, FETCH, Facts, Sealed, Undecodable};

/// The platform of a browser, as the read-out API names it.
const PLATFORM: &str = "Web";
/// The longest push token.
const TOKEN_BYTES_MAX: usize = 4_096;
/// Bytes of a page's address that are kept.
const URL_BYTES_MAX: usize = 2_048;

/// One message, its values as they stand in the text.
#[derive(Debug, Default)]
pub struct Message<'a> {
    text: &'a str,
    fields: Fields<'a>,
    key_twice: bool,
}

#[derive(Debug, Default)]
struct Fields<'a> {
    id: Option<Value<'a>>,
    g: Option<Value<'a>>,
    s: Option<Value<'a>>,
    pg: Option<Value<'a>>,
    rc: Option<Value<'a>>,
    af: Option<Value<'a>>,
    kind: Option<Value<'a>>,
    evt_name: Option<Value<'a>>,
    evt_data: Option<Value<'a>>,
    profile: Option<Value<'a>>,
    is_oul: Option<Value<'a>>,
    action: Option<Value<'a>>,
    endpoint: Option<Value<'a>>,
    keys: Option<Value<'a>>,
    browser: Option<Value<'a>>,
    us: Option<Value<'a>>,
    um: Option<Value<'a>>,
    uc: Option<Value<'a>>,
    referrer: Option<Value<'a>>,
    cpg: Option<Value<'a>>,
    encrypted: Option<Value<'a>>,
    itp: Option<Value<'a>>,
    itk: Option<Value<'a>>,
    itv: Option<Value<'a>>,
}

impl<'a> Fields<'a> {
    fn of(&mut self, key: &str) -> Option<&mut Option<Value<'a>>> {
        Some(match key {
            "id" => &mut self.id,
            "g" => &mut self.g,
            "s" => &mut self.s,
            "pg" => &mut self.pg,
            "rc" => &mut self.rc,
            "af" => &mut self.af,
            "type" => &mut self.kind,
            "evtName" => &mut self.evt_name,
            "evtData" => &mut self.evt_data,
            "profile" => &mut self.profile,
            "isOUL" => &mut self.is_oul,
            "action" => &mut self.action,
            "endpoint" => &mut self.endpoint,
            "keys" => &mut self.keys,
            "browser" => &mut self.browser,
            "us" => &mut self.us,
            "um" => &mut self.um,
            "uc" => &mut self.uc,
            "referrer" => &mut self.referrer,
            "cpg" => &mut self.cpg,
            "encrypted" => &mut self.encrypted,
            "itp" => &mut self.itp,
            "itk" => &mut self.itk,
            "itv" => &mut self.itv,
            _ => return None,
        })
    }
}

impl<'a> Message<'a> {
    /// Reads the text of a message.
    ///
    /// # Errors
    /// When it is not one JSON object, or names two accounts.
    pub fn decode(text: &'a str) -> Result<Self, Undecodable> {
        let mut message = Self {
            text,
            ..Self::default()
        };
        let mut ids = 0_u32;
        let mut scanner = Scanner::new(text);
        let scanned = scanner.object(|scanner, key| {
            let value = scanner.value(DEPTH.saturating_sub(1))?;
            let key = key.decode().unwrap_or_default();
            ids = ids.saturating_add(u32::from(key == "id"));
            if let Some(field) = message.fields.of(&key) {
                message.key_twice |= field.replace(value).is_some();
            }
            Ok(())
        });
        scanned
            .and_then(|()| scanner.end())
            .map_err(|_| Undecodable)?;
        if ids > 1 {
            Err(Undecodable)
        } else {
            Ok(message)
        }
    }

    /// The account that it names.
    #[must_use]
    pub fn account(&self) -> Option<Box<str>> {
        self.fields
            .id
            .and_then(|it| it.string())
            .map(|it| Box::from(&*it))
    }

    /// What is inside, when its sender has encrypted it.
    #[must_use]
    pub fn sealed(&self) -> Option<Result<Sealed, Undecodable>> {
        let fields = &self.fields;
        let is_sealed = fields.encrypted.is_some_and(|it| it.text == "true");
        is_sealed.then(|| match self.key_twice {
            true => Err(Undecodable),
            false => Sealed::decode(fields.itp, fields.itk, fields.itv),
        })
    }

    /// Whether somebody signs in who is not who the browser thought it was.
    #[must_use]
    pub fn is_login(&self) -> bool {
        self.fields.is_oul.is_some_and(|it| it.text == "true")
    }

    /// The browser's id; none when it has none yet, and when another person signs in who was not
    /// here before: a new one is due then. (A first sign-in that had to wait for the browser's id comes
    /// with it, and without the mark of a reset: it is the anonymous person who signs in.)
    #[must_use]
    pub fn device(&self, query: &Query<'_>) -> Option<Box<str>> {
        let own = self.fields.g.and_then(|it| it.string());
        if let Some(id) = own.as_deref().and_then(device) {
            return Some(Box::from(id));
        }
        let is_reset = self.fields.rc.is_some_and(|it| it.text == "true");
        if self.is_login() && is_reset {
            return None;
        }
        query.device.as_deref().map(Box::from)
    }

    /// Whether the browser has opted out, and does not opt in by this message: nothing of it may be
    /// kept then, unless it opts out once more.
    #[must_use]
    pub fn is_opted_out(&self, query: &Query<'_>) -> bool {
        let own = self.fields.g.and_then(|it| it.string());
        let is_marked = query.is_marked_out || own.is_some_and(|it| is_marked_out(&it));
        is_marked && query.opt_out != Some(false)
    }

    /// How many pages the browser had shown, as it stands in the text: each page numbers its requests
    /// anew.
    #[must_use]
    pub fn page(&self) -> &'a str {
        self.fields.pg.map_or("", |it| it.text)
    }

    /// Whether the SDK asks for the account's variables.
    #[must_use]
    pub fn wants_variables(&self) -> bool {
        sdk::wants_variables(self.fields.evt_name, self.fields.evt_data)
    }

    /// The session that the browser is in.
    #[must_use]
    pub fn session(&self, query: &Query<'_>) -> Option<u32> {
        sdk::seconds(self.fields.s).or(query.session)
    }

    /// The records that the message is: none for a ping, at most two.
    #[must_use]
    pub fn batch(&self, query: &Query<'_>, device: &str) -> Batch<'a> {
        let mut batch = Batch::default();
        if let Err(reason) = self.read(query, device, &mut batch) {
            let rejection = sdk::rejection(1, reason, self.text, device, self.fields.profile);
            batch.rejections.push(rejection);
        }
        batch
    }

    fn read(
        &self,
        query: &Query<'_>,
        device: &str,
        batch: &mut Batch<'a>,
    ) -> Result<(), RejectReason> {
        let at = query.at();
        if self.key_twice {
            // Whatever else it means: the request says that nothing may be kept from now on.
            if query.opt_out == Some(true) {
                let content = changed(opts_out(true));
                self.push(batch, at, sdk::device_names(device), content);
            }
            return Err(RejectReason::KeyTwice);
        }
        let kind = self.fields.kind.and_then(|it| it.string());
        match (kind.as_deref(), query.call) {
            (Some("event"), _) => {
                let (content, fault) = self.event(query)?;
                if let Some(content) = content {
                    self.push(batch, at, sdk::device_names(device), content);
                }
                return fault.map_or(Ok(()), Err);
            }
            (Some("profile"), _) => {
                let profile = sdk::profile(self.fields.profile, device);
                if let (Err(_), Some(is_out)) = (&profile, query.opt_out) {
                    let content = changed(opts_out(is_out));
                    self.push(batch, at, sdk::device_names(device), content);
                }
                let mut profile = profile?;
                if let Content::Profile { changes, .. } = &mut profile.content {
                    changes.extend(sdk::location(self.fields.af));
                    let is_said = changes.iter().any(|it| opt_out::said(it).is_some());
                    changes.extend(query.opt_out.filter(|_| !is_said).map(opts_out));
                }
                // At most two come of a message: a fault goes before what the next page says anyway.
                if self.is_login() && profile.fault.is_none() {
                    self.push(batch, at, sdk::device_names(device), self.facts());
                }
                self.push(batch, at, profile.names, profile.content);
                return profile.fault.map_or(Ok(()), Err);
            }
            (Some("data"), _) | (None, Call::Data) => {
                let content = changed(self.token()?);
                self.push(batch, at, sdk::device_names(device), content);
            }
            (None, Call::Page) => self.push(batch, at, sdk::device_names(device), self.facts()),
            (None, Call::Ping) => {}
            _ => return Err(RejectReason::TypeUnknown),
        }
        Ok(())
    }

    fn push(
        &self,
        batch: &mut Batch<'a>,
        ts: Option<Timestamp>,
        names: Names<'a>,
        content: Content<'a>,
    ) {
        let position = u32::try_from(batch.records.len())
            .unwrap_or(u32::MAX)
            .saturating_add(1);
        batch.records.push(Submission {
            position,
            text: self.text,
            names,
            ts,
            content,
        });
    }

    /// The event, none for the SDK's own question; and why something of it was left out.
    fn event(
        &self,
        query: &Query<'_>,
    ) -> Result<(Option<Content<'a>>, Option<RejectReason>), RejectReason> {
        let (decoded, fault) = event::decode_sdk(self.fields.evt_name, self.fields.evt_data)?;
        let Content::Event {
            name, properties, ..
        } = decoded
        else {
            return Err(RejectReason::Internal);
        };
        if name == FETCH {
            return Ok((None, None));
        }
        let context = Facts::of_app_fields(self.fields.af).json();
        let content = Content::Event {
            name,
            properties,
            session: self.session(query),
            context,
        };
        Ok((Some(content), fault))
    }

    /// What is known of the browser and the page that it shows.
    fn facts(&self) -> Content<'a> {
        let fields = &self.fields;
        let mut facts = Facts::of_app_fields(fields.af);
        facts.add("utm_source", fields.us);
        facts.add("utm_medium", fields.um);
        facts.add("utm_campaign", fields.uc);
        facts.add("referrer", fields.referrer);
        facts.add_long("page", fields.cpg, URL_BYTES_MAX);
        changed(Change {
            property: Box::from(PLATFORM),
            op: ChangeOp::Device,
            value: facts.json().unwrap_or_else(RawJson::empty_object),
        })
    }

    /// The browser's subscription to push messages, or the end of it.
    fn token(&self) -> Result<Change, RejectReason> {
        let fields = &self.fields;
        let service = service(fields.browser);
        let is_end = fields
            .action
            .and_then(|it| it.string())
            .is_some_and(|it| it == "unregister");
        let value = if is_end {
            format!("{{\"type\":\"{service}\",\"action\":\"unregister\"}}")
        } else {
            let id = fields
                .endpoint
                .filter(|it| it.kind == Kind::String && it.text.len() > 2);
            let id = id.ok_or(RejectReason::TokenIdMissing)?;
            if id.text.len() > TOKEN_BYTES_MAX {
                return Err(RejectReason::TokenDataInvalid);
            }
            let keys = match fields.keys {
                Some(it) if it.kind != Kind::Object || it.text.len() > TOKEN_BYTES_MAX => {
                    return Err(RejectReason::TokenKeysInvalid);
                }
                Some(it) => format!(",\"keys\":{}", it.text),
                None => String::new(),
            };
            format!("{{\"id\":{},\"type\":\"{service}\"{keys}}}", id.text)
        };
        let value = RawJson::from_checked(&value);
        Ok(Change {
            property: service.into_boxed_str(),
            op: ChangeOp::Token,
            value,
        })
    }
}

/// What the request says about opting out, where its profile does not.
fn opts_out(is_out: bool) -> Change {
    Change {
        property: Box::from(opt_out::PROPERTY),
        op: ChangeOp::Put,
        value: RawJson::from_checked(if is_out { "true" } else { "false" }),
    }
}

fn changed<'a>(change: Change) -> Content<'a> {
    Content::Profile {
        changes: vec![change],
        alias: None,
    }
}

/// The push service: that of the browser, in small letters.
fn service(browser: Option<Value<'_>>) -> String {
    let name = browser
        .and_then(|it| it.string())
        .unwrap_or_default()
        .to_ascii_lowercase();
    let is_name = (1..=16).contains(&name.len()) && name.bytes().all(|it| it.is_ascii_lowercase());
    if is_name {
        name
    } else {
        String::from("chrome")
    }
}
