//! Who does something. Each act in this crate has one.

use governance::Scopes;
use governance::access::Standing;
use model::AccountId;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Who acts, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Who.
    pub kind: ActorKind,
    /// From which address; none for the machine itself.
    pub peer: Option<IpAddr>,
}

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActorKind {
    /// A user of the operating system who may read the keyring: the operator.
    OsUser(Box<str>),
    /// A program with a passcode of an account.
    Passcode {
        /// Whose passcode.
        account: AccountId,
        /// The passcode's name.
        name: Box<str>,
        /// What it is good for.
        scopes: Scopes,
    },
    /// A job of the product itself.
    System(&'static str),
    /// Somebody who has signed in.
    User {
        /// By which address.
        email: Box<str>,
        /// What the user's roles amount to, in each account.
        standings: BTreeMap<AccountId, Standing>,
    },
}

impl Actor {
    /// The operator at the machine, by the name that the operating system knows.
    #[must_use]
    pub fn os_user(name: &str) -> Self {
        Self {
            kind: ActorKind::OsUser(Box::from(name)),
            peer: None,
        }
    }

    /// A program with the passcode called `name` of `account`, good for what a passcode is good for
    /// when nothing is said.
    #[must_use]
    pub fn passcode(account: AccountId, name: &str) -> Self {
        Self::program(account, name, Scopes::all())
    }

    /// A program with the passcode called `name` of `account`, good for `scopes`.
    #[must_use]
    pub fn program(account: AccountId, name: &str, scopes: Scopes) -> Self {
        Self {
            kind: ActorKind::Passcode {
                account,
                name: Box::from(name),
                scopes,
            },
            peer: None,
        }
    }

    /// A job of the product.
    #[must_use]
    pub const fn system(job: &'static str) -> Self {
        Self {
            kind: ActorKind::System(job),
            peer: None,
        }
    }

    /// Somebody who has signed in as `email`, with what the roles amount to at this moment.
    #[must_use]
    pub fn user(email: &str, standings: impl IntoIterator<Item = (AccountId, Standing)>) -> Self {
        Self {
            kind: ActorKind::User {
                email: Box::from(email),
                standings: standings.into_iter().collect(),
            },
            peer: None,
        }
    }

    /// The same, seen at `peer`.
    #[must_use]
    pub fn with_peer(self, peer: IpAddr) -> Self {
        Self {
            peer: Some(peer),
            ..self
        }
    }

    /// The kind's name in the audit log.
    #[must_use]
    pub const fn kind_name(&self) -> &'static str {
        match self.kind {
            ActorKind::OsUser(_) => "os_user",
            ActorKind::Passcode { .. } => "passcode",
            ActorKind::System(_) => "system",
            ActorKind::User { .. } => "user",
        }
    }

    /// The actor's own name.
    #[must_use]
    pub fn name(&self) -> &str {
        match &self.kind {
            ActorKind::OsUser(name) | ActorKind::Passcode { name, .. } => name,
            ActorKind::System(job) => job,
            ActorKind::User { email, .. } => email,
        }
    }

    /// The role that the actor has in `account`; several are joined by `+`.
    #[must_use]
    pub fn role_in(&self, account: AccountId) -> &str {
        match &self.kind {
            ActorKind::OsUser(_) => "operator",
            ActorKind::Passcode { .. } => "program",
            ActorKind::System(_) => "system",
            ActorKind::User { standings, .. } => standings
                .get(&account)
                .map_or("", |standing| &standing.roles),
        }
    }
}
