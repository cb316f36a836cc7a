//! What a user was given in one account, and what it amounts to.

use model::Timestamp;
use std::sync::Arc;

use super::{Component, Level, Rights, SystemRole};
use crate::Condition;

/// A role in one account, perhaps for some time only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The role.
    pub role: GrantedRole,
    /// From when on it gives nothing any more.
    pub expires_at: Option<Timestamp>,
}

/// The role of a grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GrantedRole {
    /// One of the product's own.
    System(SystemRole),
    /// One of the account's own.
    Custom {
        /// Its name.
        name: Box<str>,
        /// What it gives.
        rights: Rights,
        /// Only people for whom this holds are seen; everybody when none.
        filter: Option<Arc<Condition>>,
    },
}

impl GrantedRole {
    /// The role's name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::System(role) => role.as_str(),
            Self::Custom { name, .. } => name,
        }
    }
}

impl Grant {
    /// Whether it (still) gives something.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}

/// What all grants of a user in one account amount to, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The rights.
    pub rights: Rights,
    /// The names of the roles that give something, joined by `+`; empty for nobody.
    pub roles: Box<str>,
    /// The data filters: only people are seen for whom all of them hold. A role's filter holds beside
    /// whatever other roles give, and after the grant has expired until it is taken away.
    pub filters: Vec<Arc<Condition>>,
}

impl Standing {
    /// Somebody without any role.
    #[must_use]
    pub fn nobody() -> Self {
        Self {
            rights: Rights::NONE,
            roles: Box::from(""),
            filters: Vec::new(),
        }
    }

    /// What `grants` amount to.
    ///
    /// System roles that are live: the highest level of each component. Custom roles: the lowest,
    /// over all of them, if one of them is live. Then the two are joined.
    #[must_use]
    pub fn of(grants: &[Grant], now: Timestamp) -> Self {
        let live = |grant: &&Grant| grant.is_live(now);
        let system = grants
            .iter()
            .filter(live)
            .filter_map(|grant| match grant.role {
                GrantedRole::System(role) => Some(role.rights()),
                GrantedRole::Custom { .. } => None,
            })
            .fold(Rights::NONE, |all, rights| all.union(&rights));
        let custom = |grant: &Grant| match &grant.role {
            GrantedRole::System(_) => None,
            GrantedRole::Custom { rights, .. } => Some(*rights),
        };
        let has_custom = grants
            .iter()
            .filter(live)
            .any(|grant| custom(grant).is_some());
        let narrowed = match has_custom {
            true => grants
                .iter()
                .filter_map(custom)
                .fold(Rights::ALL, |all, rights| all.intersection(&rights)),
            false => Rights::NONE,
        };
        let names: Vec<&str> = grants
            .iter()
            .filter(live)
            .map(|it| it.role.name())
            .collect();
        Self {
            rights: system.union(&narrowed),
            roles: names.join("+").into_boxed_str(),
            filters: filters(grants),
        }
    }

    /// Whether values that are classified as personal information are shown: without asking, on every
    /// page and in every file.
    #[must_use]
    pub fn sees_personal_information(&self) -> bool {
        self.rights
            .allow(Component::PersonalInformation, Level::Write)
    }

    /// Whether they are shown of one person at a time, for a reason that is written down.
    #[must_use]
    pub fn may_reveal(&self) -> bool {
        self.rights
            .allow(Component::PersonalInformation, Level::Read)
    }
}

/// The data filters of all grants, each once, in the order of their texts.
fn filters(grants: &[Grant]) -> Vec<Arc<Condition>> {
    let mut filters: Vec<&Arc<Condition>> = grants
        .iter()
        .filter_map(|grant| match &grant.role {
            GrantedRole::System(_) => None,
            GrantedRole::Custom { filter, .. } => filter.as_ref(),
        })
        .collect();
    filters.sort_by_cached_key(|it| it.to_string());
    filters.dedup();
    filters.into_iter().cloned().collect()
}
