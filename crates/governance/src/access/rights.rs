//! Components, levels, and rights as one level for each component.

use std::fmt;

macro_rules! named {
    ($(#[$doc:meta])* $name:ident[$count:literal] { $($(#[$item:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$item])* $variant,)+
        }

        impl $name {
            /// Every one, in order.
            pub const ALL: [Self; $count] = [$(Self::$variant,)+];

            /// The stable name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }

            /// The one of that name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|it| it.as_str() == name)
            }
        }
    };
}
pub(crate) use named;

named! {
    /// A part of the product that a role can be allowed to use.
    Component[16] {
        /// Trends, counts and reports.
        Analysis = "analysis",
        /// One person: profile, devices, timeline.
        People = "people",
        /// Values that are classified as personal information: to read them of one person at a time
        /// and for a reason; with `write` everywhere, and to say what is personal information.
        PersonalInformation = "personal_information",
        /// Downloads of people and events.
        Exports = "exports",
        /// Events, properties, their classes and rules.
        Dictionary = "dictionary",
        /// Rejected records and the error stream.
        Quarantine = "quarantine",
        /// Deletions and other rights of people.
        PrivacyRequests = "privacy_requests",
        /// The audit log.
        AuditLog = "audit_log",
        /// The log of requests.
        RequestLog = "request_log",
        /// Who has access.
        Users = "users",
        /// Roles of the account's own.
        Roles = "roles",
        /// Allowlists, sessions, second factors, retention, settings of the account.
        Security = "security",
        /// Passcodes and tokens of programs.
        Credentials = "credentials",
        /// Volumes and nodes.
        Storage = "storage",
        /// The register of controls and the trust page.
        Controls = "controls",
        /// Support tickets.
        Support = "support",
    }
}

named! {
    /// How much of a component.
    Level[3] {
        /// Nothing: it is not there.
        None = "none",
        /// To see.
        Read = "read",
        /// To change, and to see.
        Write = "write",
    }
}

/// One level for each component.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Rights([Level; Component::ALL.len()]);

impl Rights {
    /// No rights at all.
    pub const NONE: Self = Self([Level::None; Component::ALL.len()]);

    /// Every right.
    pub const ALL: Self = Self([Level::Write; Component::ALL.len()]);

    /// These, and nothing else. What is named twice has the higher level.
    #[must_use]
    pub fn of(levels: &[(Component, Level)]) -> Self {
        levels
            .iter()
            .fold(Self::NONE, |rights, (component, level)| {
                let level = rights.level(*component).max(*level);
                rights.with(*component, level)
            })
    }

    /// The same, with another level for one component.
    #[must_use]
    pub fn with(self, component: Component, level: Level) -> Self {
        let mut levels = Component::ALL.into_iter().zip(self.0);
        Self(std::array::from_fn(|_| match levels.next() {
            Some((at, _)) if at == component => level,
            Some((_, before)) => before,
            None => Level::None,
        }))
    }

    /// The level for a component.
    #[must_use]
    pub fn level(&self, component: Component) -> Level {
        let mut levels = Component::ALL.into_iter().zip(self.0);
        levels
            .find(|(at, _)| *at == component)
            .map_or(Level::None, |(_, level)| level)
    }

    /// Whether they reach `level` for a component.
    #[must_use]
    pub fn allow(&self, component: Component, level: Level) -> bool {
        self.level(component) >= level
    }

    /// What either gives.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.combine(other, Level::max)
    }

    /// What both give.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.combine(other, Level::min)
    }

    /// Whether they give everything that `other` gives.
    #[must_use]
    pub fn cover(&self, other: &Self) -> bool {
        self.union(other) == *self
    }

    /// Reads what `Display` writes: `analysis=read,people=write`; an empty text is no rights.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::NONE);
        }
        let mut levels = Vec::new();
        for part in text.split(',') {
            let (component, level) = part.split_once('=')?;
            let component = Component::from_name(component.trim())?;
            if levels.iter().any(|(seen, _)| *seen == component) {
                return None;
            }
            levels.push((component, Level::from_name(level.trim())?));
        }
        Some(Self::of(&levels))
    }

    fn combine(&self, other: &Self, pick: fn(Level, Level) -> Level) -> Self {
        let mut pairs = self.0.into_iter().zip(other.0);
        Self(std::array::from_fn(|_| {
            pairs.next().map_or(Level::None, |(a, b)| pick(a, b))
        }))
    }
}

impl fmt::Display for Rights {
    /// Every component that has a level, by name: `analysis=read,people=write`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = Component::ALL.into_iter().zip(self.0);
        let mut separator = "";
        for (component, level) in held.filter(|(_, level)| *level != Level::None) {
            write!(f, "{separator}{}={}", component.as_str(), level.as_str())?;
            separator = ",";
        }
        Ok(())
    }
}

impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rights({self})")
    }
}
