//! On which terms a passcode is accepted: until when, for what, from where.

use model::Timestamp;
use std::fmt;
use std::net::IpAddr;

use crate::Network;

/// What a program may be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// To send records.
    Upload,
    /// To read events, people and counts.
    Read,
    /// To have people deleted.
    Delete,
}

impl Scope {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Upload, Self::Read, Self::Delete];

    /// The stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Read => "read",
            Self::Delete => "delete",
        }
    }
}

/// The scopes of one passcode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// What a passcode has when nothing is said: everything.
    #[must_use]
    pub fn all() -> Self {
        Self(Scope::ALL.to_vec())
    }

    /// Whether `scope` is among them.
    #[must_use]
    pub fn hold(&self, scope: Scope) -> bool {
        self.0.contains(&scope)
    }

    /// Reads names with commas between; `api` is all of them. None for an unknown name, or none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "api" {
            return Some(Self::all());
        }
        let named = |name: &str| Scope::ALL.into_iter().find(|it| it.as_str() == name.trim());
        let mut scopes: Vec<Scope> = text.split(',').map(named).collect::<Option<_>>()?;
        scopes.sort_unstable();
        scopes.dedup();
        Some(Self(scopes))
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.iter().map(|it| it.as_str()).collect();
        f.write_str(&names.join(","))
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
    /// For ever, for everything, from everywhere.
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
    use model::Timestamp;

    #[test]
    fn scopes_are_read_as_they_are_shown() {
        let cases = [
            ("api", Some("upload,read,delete")),
            ("read", Some("read")),
            ("delete, upload", Some("upload,delete")),
            ("read,read", Some("read")),
            ("", None),
            ("read,", None),
            ("everything", None),
        ];
        for (text, expect) in cases {
            let found = Scopes::parse(text).map(|it| it.to_string());
            assert_eq!(found.as_deref(), expect, "{text}");
        }
        assert!(!Scopes::parse("read").unwrap().hold(Scope::Delete));
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
