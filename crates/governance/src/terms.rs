//! On which terms a passcode is accepted: until when, for what, from where.

use model::Timestamp;
use std::fmt;
use std::net::IpAddr;

use crate::Network;
use crate::access::Rights;

/// What a program may be allowed to do with the account's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// To send records.
    Upload,
    /// To read events, people and counts; personal information is masked.
    Read,
    /// To read personal information as it is, where it reads.
    PersonalInformation,
    /// To have people deleted.
    Delete,
}

impl Scope {
    /// Every one.
    pub const ALL: [Self; 4] = [
        Self::Upload,
        Self::Read,
        Self::PersonalInformation,
        Self::Delete,
    ];

    /// The stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Read => "read",
            Self::PersonalInformation => "personal_information",
            Self::Delete => "delete",
        }
    }
}

/// What one passcode is good for: the data, and what of the account it may manage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scopes {
    data: Vec<Scope>,
    rights: Rights,
}

impl Scopes {
    /// What a passcode has when nothing is said: the data whole, and nothing to manage.
    #[must_use]
    pub fn all() -> Self {
        Self {
            data: Scope::ALL.to_vec(),
            rights: Rights::NONE,
        }
    }

    /// These scopes and rights; none when they are nothing.
    #[must_use]
    pub fn of(data: impl IntoIterator<Item = Scope>, rights: Rights) -> Option<Self> {
        let mut data: Vec<Scope> = data.into_iter().collect();
        data.sort_unstable();
        data.dedup();
        let is_nothing = data.is_empty() && rights == Rights::NONE;
        (!is_nothing).then_some(Self { data, rights })
    }

    /// Whether `scope` is among them.
    #[must_use]
    pub fn hold(&self, scope: Scope) -> bool {
        self.data.contains(&scope)
    }

    /// The scopes of data, in order.
    #[must_use]
    pub fn data(&self) -> &[Scope] {
        &self.data
    }

    /// What it may see and change of the account, component by component.
    #[must_use]
    pub fn rights(&self) -> &Rights {
        &self.rights
    }

    /// Reads names with commas between: scopes, and `component=level` for rights; `api` is every
    /// scope and no right. None for an unknown name, a component that is named twice, or nothing.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut data = Vec::new();
        let mut rights = Vec::new();
        for name in text.split(',').map(str::trim) {
            if name.contains('=') {
                rights.push(name);
            } else if name == "api" {
                data.extend(Scope::ALL);
            } else {
                data.push(Scope::ALL.into_iter().find(|it| it.as_str() == name)?);
            }
        }
        Self::of(data, Rights::parse(&rights.join(","))?)
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.data.iter().map(|it| String::from(it.as_str()));
        let rights = Some(self.rights.to_string()).filter(|it| !it.is_empty());
        let all: Vec<String> = names.chain(rights).collect();
        f.write_str(&all.join(","))
    }
}

/// On which terms a passcode is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasscodeTerms {
    /// From when on it is refused.
    pub expires_at: Option<Timestamp>,
    /// What it may be used for.
    pub scopes: Scopes,
    /// From where it may be used; from everywhere when empty.
    pub networks: Vec<Network>,
}

impl Default for PasscodeTerms {
    /// For ever, for all data, from everywhere.
    fn default() -> Self {
        Self {
            expires_at: None,
            scopes: Scopes::all(),
            networks: Vec::new(),
        }
    }
}

impl PasscodeTerms {
    /// Whether it is accepted at `now` from `peer`. An address that is not known is in no network.
    #[must_use]
    pub fn accept(&self, now: Timestamp, peer: Option<IpAddr>) -> bool {
        let in_time = self.expires_at.is_none_or(|end| now < end);
        let within = |peer: IpAddr| self.networks.iter().any(|it| it.contains(peer));
        in_time && (self.networks.is_empty() || peer.is_some_and(within))
    }
}

#[cfg(test)]
mod tests {
    use super::{PasscodeTerms, Scope, Scopes};
    use crate::access::Rights;
    use model::Timestamp;

    #[test]
    fn scopes_are_read_as_they_are_shown() {
        let cases = [
            ("api", Some("upload,read,personal_information,delete")),
            ("read", Some("read")),
            ("delete, upload", Some("upload,delete")),
            ("read,read", Some("read")),
            ("", None),
            ("read,", None),
            ("everything", None),
            (
                "api,audit_log=read",
                Some("upload,read,personal_information,delete,audit_log=read"),
            ),
            ("users=write, read", Some("read,users=write")),
            ("users=none", None),
            ("users=all", None),
            ("users=read,users=write", None),
        ];
        for (text, expect) in cases {
            let found = Scopes::parse(text).map(|it| it.to_string());
            assert_eq!(found.as_deref(), expect, "{text}");
        }
        assert!(!Scopes::parse("read").unwrap().hold(Scope::Delete));
        assert_eq!(*Scopes::all().rights(), Rights::NONE);
    }

    #[test]
    fn terms_end_with_their_time_and_at_their_networks() {
        let terms = PasscodeTerms {
            expires_at: Some(Timestamp::from_ms(10)),
            networks: vec![
                "192.0.2.0/24".parse().unwrap(),
                "2001:db8::/32".parse().unwrap(),
            ],
            ..PasscodeTerms::default()
        };
        let cases = [
            (9, Some("192.0.2.1"), true),
            (10, Some("192.0.2.1"), false),
            (9, Some("192.0.3.1"), false),
            (9, Some("2001:db8::1"), true),
            (9, None, false),
        ];
        for (at, peer, expect) in cases {
            let address = peer.map(|it| it.parse().unwrap());
            let found = terms.accept(Timestamp::from_ms(at), address);
            assert_eq!(found, expect, "{at} {peer:?}");
        }
        assert!(PasscodeTerms::default().accept(Timestamp::from_ms(i64::MAX), None));
    }
}
