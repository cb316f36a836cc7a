//! What `templates/layout.html` needs: the frame around every page behind the sign-in.

use control::{Act, Actor, authz};
use model::AccountId;

use crate::console::staff::Staff;

/// The frame: where one is, where one can go, who one is.
#[derive(Debug, Clone)]
pub(crate) struct Shell {
    pub(crate) title: String,
    /// The pages above this one.
    pub(crate) crumbs: Vec<Crumb>,
    pub(crate) groups: Vec<Group>,
    pub(crate) places: Vec<PlaceLink>,
    /// The account's name, or the installation's.
    pub(crate) place: String,
    pub(crate) place_note: String,
    pub(crate) place_initial: String,
    /// Where the product's name leads.
    pub(crate) home: String,
    pub(crate) user: String,
    pub(crate) user_initial: String,
    pub(crate) email: String,
    pub(crate) zone: String,
    pub(crate) nonce: String,
    pub(crate) csrf: String,
    /// What was just done.
    pub(crate) done: Option<String>,
    /// Why it was not.
    pub(crate) error: Option<String>,
}

/// A page above this one.
#[derive(Debug, Clone)]
pub(crate) struct Crumb {
    pub(crate) label: String,
    pub(crate) href: String,
}

/// Pages that belong together.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) label: &'static str,
    pub(crate) items: Vec<Item>,
}

/// A page in the navigation.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) label: &'static str,
    pub(crate) href: String,
    /// The outline of its icon, in a square of 16.
    pub(crate) icon: &'static str,
    pub(crate) is_current: bool,
}

/// An account, or the installation, to go to.
#[derive(Debug, Clone)]
pub(crate) struct PlaceLink {
    pub(crate) name: String,
    pub(crate) note: String,
    pub(crate) href: String,
    pub(crate) is_current: bool,
}

/// The pages of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Overview,
    Events,
    People,
    Dictionary,
    Quarantine,
    Requests,
    Drops,
    Storage,
    Audit,
    Users,
    Roles,
    Credentials,
    Security,
    /// None of them: the user's own pages.
    Own,
}

/// The groups of the navigation, in order.
const GROUPS: [(&str, &[Section]); 3] = [
    ("", &[Section::Overview, Section::Events, Section::People]),
    (
        "Data quality",
        &[
            Section::Dictionary,
            Section::Quarantine,
            Section::Drops,
            Section::Requests,
        ],
    ),
    (
        "Settings",
        &[
            Section::Audit,
            Section::Users,
            Section::Roles,
            Section::Credentials,
            Section::Security,
            Section::Storage,
        ],
    ),
];

impl Section {
    const fn label(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Events => "Events",
            Self::People => "People",
            Self::Dictionary => "Dictionary",
            Self::Quarantine => "Quarantine",
            Self::Requests => "Requests",
            Self::Drops => "Drops",
            Self::Storage => "Storage",
            Self::Audit => "Audit Logs",
            Self::Users => "Users",
            Self::Roles => "Roles",
            Self::Credentials => "Credentials",
            Self::Security => "Security",
            Self::Own => "My account",
        }
    }

    /// The rest of its URL, after the account's.
    const fn path(self) -> &'static str {
        match self {
            Self::Overview | Self::Own => "overview",
            Self::Events => "events",
            Self::People => "people",
            Self::Dictionary => "dictionary",
            Self::Quarantine => "quarantine",
            Self::Requests => "requests",
            Self::Drops => "drops",
            Self::Storage => "storage",
            Self::Audit => "settings/audit",
            Self::Users => "settings/users",
            Self::Roles => "settings/roles",
            Self::Credentials => "settings/credentials",
            Self::Security => "settings/security",
        }
    }

    const fn icon(self) -> &'static str {
        match self {
            Self::Overview | Self::Own => "M2.5 13.5v-5m3.7 5v-11m3.6 11v-7m3.7 7v-9",
            Self::Events => "M1.5 8.5h3l2-6 3 11 2-5h3",
            Self::People => {
                "M8 7.8a2.7 2.7 0 1 0 0-5.4 2.7 2.7 0 0 0 0 5.4ZM2.6 13.8c.6-2.6 2.7-3.9 5.4-3.9s4.8 1.3 5.4 3.9"
            }
            Self::Dictionary => {
                "M3 12.4V3.6C3 2.7 3.7 2 4.6 2H13v9.5H4.6c-.9 0-1.6.4-1.6.9ZM3 12.4c0 .9.7 1.6 1.6 1.6H13v-2.5M6 5.2h4"
            }
            Self::Quarantine => "M8 2.2 14.3 13.4H1.7L8 2.2ZM8 6.6v3.2M8 11.6v.1",
            Self::Requests => "M2 4h12M2 8h12M2 12h7",
            Self::Drops => "M8 2s4.4 4.7 4.4 7.7a4.4 4.4 0 0 1-8.8 0C3.6 6.7 8 2 8 2Z",
            Self::Storage => {
                "M2.5 4c0-1.1 2.5-1.9 5.5-1.9s5.5.8 5.5 1.9-2.5 1.9-5.5 1.9S2.5 5.1 2.5 4Zm0 0v8c0 1.1 2.5 1.9 5.5 1.9s5.5-.8 5.5-1.9V4m-11 4c0 1.1 2.5 1.9 5.5 1.9s5.5-.8 5.5-1.9"
            }
            Self::Audit => "M3.5 1.8h6l3 3v9.4h-9V1.8ZM5.8 7h4.4m-4.4 3h4.4",
            Self::Users => {
                "M6 7.5a2.4 2.4 0 1 0 0-4.8 2.4 2.4 0 0 0 0 4.8ZM1.5 13.3c.4-2.3 2.2-3.6 4.5-3.6s4.1 1.3 4.5 3.6M10.7 3a2.3 2.3 0 0 1 0 4.3m1 2.6c1.5.4 2.5 1.6 2.8 3.4"
            }
            Self::Roles => {
                "M8 1.7 13.3 3.5v4.2c0 3.3-2.2 5.5-5.3 6.6-3.1-1.1-5.3-3.3-5.3-6.6V3.5L8 1.7Z"
            }
            Self::Credentials => {
                "M5.4 13.4a2.8 2.8 0 1 0 0-5.6 2.8 2.8 0 0 0 0 5.6ZM7.4 8.6l6.1-6.1m-2.6 2.6 2 2"
            }
            Self::Security => "M3.3 7.2h9.4v6.5H3.3V7.2Zm2.1 0V4.9a2.6 2.6 0 0 1 5.2 0v2.3",
        }
    }

    /// Whether it is there for an account (or the installation), and for this actor.
    fn is_shown(self, actor: &Actor, account: AccountId) -> bool {
        let is_installation = account == AccountId::installation();
        let act = match (self, is_installation) {
            (Self::Own, _)
            | (Self::Drops | Self::Storage, false)
            | (
                Self::Events
                | Self::People
                | Self::Dictionary
                | Self::Quarantine
                | Self::Roles
                | Self::Credentials,
                true,
            ) => return false,
            (Self::Overview, _) => Act::ReadAccount,
            (Self::Events, _) => Act::Analyse,
            (Self::People, _) => Act::ReadPeople,
            (Self::Dictionary, _) => Act::ReadDictionary,
            (Self::Quarantine, _) => Act::ReadQuarantine,
            (Self::Requests, _) => Act::ReadRequests,
            (Self::Drops | Self::Storage, true) => Act::ReadInstallation,
            (Self::Audit, _) => Act::ReadAudit,
            (Self::Users, _) => Act::ReadUsers,
            (Self::Roles, _) => Act::ReadRoles,
            (Self::Credentials, _) => Act::ReadCredentials,
            (Self::Security, _) => Act::ManageAccount,
        };
        authz::allows(actor, act, account)
    }
}

impl Shell {
    /// The frame of a page of `section`.
    pub(crate) fn new(staff: &Staff, section: Section, title: impl Into<String>) -> Self {
        let account = staff.account();
        let base = format!("/a/{account}");
        let groups = GROUPS.iter().map(|(label, sections)| Group {
            label,
            items: sections
                .iter()
                .filter(|it| it.is_shown(staff.actor(), account))
                .map(|it| Item {
                    label: it.label(),
                    href: format!("{base}/{}", it.path()),
                    icon: it.icon(),
                    is_current: *it == section,
                })
                .collect(),
        });
        let places = staff.places().iter().map(|place| PlaceLink {
            name: place.name.to_string(),
            note: note(place.account),
            href: format!("/a/{}/overview", place.account),
            is_current: place.account == account,
        });
        let user = match staff.name() {
            "" => staff.email(),
            name => name,
        };
        Self {
            title: title.into(),
            crumbs: Vec::new(),
            groups: groups.filter(|it| !it.items.is_empty()).collect(),
            places: places.collect(),
            place: staff.place_name().to_owned(),
            place_note: note(account),
            place_initial: initial(staff.place_name()),
            home: format!("{base}/overview"),
            user: user.to_owned(),
            user_initial: initial(user),
            email: staff.email().to_owned(),
            zone: zone_name(staff),
            nonce: staff.nonce().to_owned(),
            csrf: staff.csrf().to_owned(),
            done: None,
            error: None,
        }
    }

    /// Under another page.
    pub(crate) fn under(mut self, label: impl Into<String>, href: impl Into<String>) -> Self {
        self.crumbs.push(Crumb {
            label: label.into(),
            href: href.into(),
        });
        self
    }

    /// Saying what was just done.
    pub(crate) fn done(self, done: Option<impl Into<String>>) -> Self {
        Self {
            done: done.map(Into::into),
            ..self
        }
    }

    /// Saying why it was not.
    pub(crate) fn error(self, error: Option<impl Into<String>>) -> Self {
        Self {
            error: error.map(Into::into),
            ..self
        }
    }
}

fn note(account: AccountId) -> String {
    match account == AccountId::installation() {
        true => String::from("All accounts"),
        false => account.to_string(),
    }
}

fn initial(text: &str) -> String {
    text.chars().take(1).collect()
}

fn zone_name(staff: &Staff) -> String {
    let zone = staff.time_zone();
    zone.iana_name().unwrap_or("UTC").to_owned()
}
