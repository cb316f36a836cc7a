//! The rules of the accounts: one snapshot, replaced as a whole when anything in it changes.
//!
//! `control` builds the snapshot; collection and the API work from it and never ask the control
//! database. It must never hold a passcode or a token in plain text.

use jiff::tz::TimeZone;
use model::{AccountId, IdentityKind, PersonKey, PersonKeySecret, Timestamp, limit};
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::{
    Allowlist, ApiEncryption, Classes, Dictionary, PasscodeHash, PasscodeRule, Restricted,
    SdkTokenRule, Suppressions,
};

/// What a device's name begins with when an id for advertising follows (iOS).
const ADVERTISING_DEVICE: &str = "-g";

/// The rules of every account.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// By account.
    pub accounts: HashMap<AccountId, Arc<AccountRules>>,
    /// Where people and programs may come from, by account; anywhere where there is none. The
    /// installation's is under its own id.
    pub allowlists: HashMap<AccountId, Arc<Allowlist>>,
    /// Grows with every change.
    pub version: u64,
}

impl Rules {
    /// The rules of one account; none when it does not exist.
    #[must_use]
    pub fn account(&self, id: AccountId) -> Option<&Arc<AccountRules>> {
        self.accounts.get(&id)
    }

    /// Whether somebody at `peer` may use the console for an account.
    #[must_use]
    pub fn admits_to_console(&self, id: AccountId, peer: Option<IpAddr>) -> bool {
        let list = self.allowlists.get(&id);
        list.is_none_or(|it| it.admits_to_console(peer))
    }

    /// Whether a program at `peer` may call the API for an account.
    #[must_use]
    pub fn admits_to_api(&self, id: AccountId, peer: Option<IpAddr>) -> bool {
        let list = self.allowlists.get(&id);
        list.is_none_or(|it| it.admits_to_api(peer))
    }
}

/// The rules of one account.
#[derive(Debug, Clone)]
pub struct AccountRules {
    /// Which account.
    pub id: AccountId,
    /// Its name, for people.
    pub name: Box<str>,
    /// In which zone its days begin, and its exports tell the time.
    pub time_zone: TimeZone,
    /// The secret that turns identities into person keys; never rotated.
    pub person_key_secret: PersonKeySecret,
    /// Who may call the REST API.
    pub passcodes: Vec<PasscodeRule>,
    /// The tokens that apps carry: the newest, and those before it whose overlap has not ended.
    pub sdk_tokens: Vec<SdkTokenRule>,
    /// How much at a time.
    pub limits: Limits,
    /// How long an event is kept, counted from when it happened.
    pub retention: Duration,
    /// Events that the account no longer wants: refused with code 528.
    pub discarded_events: BTreeSet<Box<str>>,
    /// Which events and properties the account knows, and what becomes of others.
    pub dictionary: Dictionary,
    /// Which properties are personal information.
    pub classes: Arc<Classes>,
    /// The domains whose pages may send; pages of any domain when it is empty.
    pub web_domains: BTreeSet<Box<str>>,
    /// Whether messages that SDKs have encrypted in transit are taken.
    pub takes_encrypted: bool,
    /// Encryption of API calls.
    pub api_encryption: ApiEncryption,
    /// People whose processing is restricted: in force for reads, not for what arrives.
    pub restricted: Arc<BTreeSet<Restricted>>,
    /// Those of the deleted whose deletion has begun: their records are left out of parts. The others
    /// are hidden, and come back when their deletion is cancelled.
    pub doomed: Arc<Suppressions>,
    /// The people who were deleted.
    pub suppressed: Arc<Suppressions>,
}

impl AccountRules {
    /// Rules with the product's defaults: no passcode, nobody suppressed, one year's retention.
    #[must_use]
    pub fn new(
        id: AccountId,
        name: &str,
        time_zone: TimeZone,
        person_key_secret: PersonKeySecret,
        sdk_token_hash: PasscodeHash,
    ) -> Self {
        Self {
            id,
            name: Box::from(name),
            time_zone,
            person_key_secret,
            passcodes: Vec::new(),
            sdk_tokens: vec![SdkTokenRule {
                number: 1,
                hash: sdk_token_hash,
                ends_at: None,
            }],
            limits: Limits::default(),
            retention: Duration::from_secs(u64::from(limit::RETENTION_DAYS_DEFAULT) * 86_400),
            discarded_events: BTreeSet::new(),
            dictionary: Dictionary::default(),
            classes: Arc::default(),
            web_domains: BTreeSet::new(),
            takes_encrypted: true,
            api_encryption: ApiEncryption::default(),
            restricted: Arc::default(),
            doomed: Arc::default(),
            suppressed: Arc::default(),
        }
    }

    /// What tables hold instead of `identity`.
    #[must_use]
    pub fn person_key(&self, kind: IdentityKind, identity: &str) -> PersonKey {
        let key = |name: &str| PersonKey::of(&self.person_key_secret, self.id, kind, name);
        match kind {
            IdentityKind::ObjectId => key(&self.device_name(identity)),
            IdentityKind::Identity | IdentityKind::Fbid | IdentityKind::Gpid => key(identity),
        }
    }

    /// What a device is called here: as it calls itself, unless that has an id for advertising in it.
    /// What stands for one follows from it, and is no key to it.
    #[must_use]
    pub fn device_name<'n>(&self, name: &'n str) -> Cow<'n, str> {
        if !name.starts_with(ADVERTISING_DEVICE) {
            return Cow::Borrowed(name);
        }
        let kind = IdentityKind::ObjectId;
        let key = PersonKey::of(&self.person_key_secret, self.id, kind, name);
        Cow::Owned(format!("-{key}").to_uppercase())
    }

    /// The passcode that `text` is; none when it is wrong. Whether its terms are met is the caller's
    /// question. The time taken depends on how many
    /// passcodes there are, never on which one it was or how close.
    #[must_use]
    pub fn verify_passcode(&self, text: &str) -> Option<&PasscodeRule> {
        let hash = PasscodeHash::of(text);
        self.passcodes.iter().fold(
            None,
            |found, rule| if rule.hash == hash { Some(rule) } else { found },
        )
    }

    /// The number of the SDKs' token that `text` is; none when it is wrong, or has ended. The time
    /// taken depends on how many tokens there are, never on which one it was or how close.
    #[must_use]
    pub fn verify_sdk_token(&self, text: &str, now: Timestamp) -> Option<u32> {
        let hash = PasscodeHash::of(text);
        let found =
            self.sdk_tokens.iter().fold(
                None,
                |found, rule| if rule.hash == hash { Some(rule) } else { found },
            );
        found
            .filter(|it| it.ends_at.is_none_or(|end| now < end))
            .map(|it| it.number)
    }

    /// Whether a page may send that a host of that name has served; none when the page does not say.
    ///
    /// A domain stands for itself and for its `www.`, not for other names below it.
    #[must_use]
    pub fn takes_page_of(&self, host: Option<&str>) -> bool {
        if self.web_domains.is_empty() {
            return true;
        }
        host.is_some_and(|host| {
            let bare = host.strip_prefix("www.").unwrap_or(host);
            self.web_domains.contains(host) || self.web_domains.contains(bare)
        })
    }

    /// The earliest time that an event may have when it is received `now`.
    #[must_use]
    pub fn kept_since(&self, now: Timestamp) -> Timestamp {
        now.minus(self.retention)
    }
}

/// How many calls of one account may be under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Uploads.
    pub uploads: u32,
    /// Calls of every other path, each path by itself.
    pub calls: u32,
}

impl Default for Limits {
    /// The protocol's: 15 and 3.
    fn default() -> Self {
        Self {
            uploads: limit::CONCURRENT_UPLOADS_DEFAULT,
            calls: limit::CONCURRENT_CALLS_DEFAULT,
        }
    }
}
