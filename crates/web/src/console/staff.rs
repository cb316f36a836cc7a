//! Somebody who has signed in, looking at one account: what every page behind the sign-in is given.
//!
//! The guard makes it, after it has checked session, second factor, network, origin and right. A
//! page that takes a [`Staff`] can therefore not be reached by anybody else.

use axum::extract::FromRequestParts;
use axum::response::Response;
use control::{Act, Actor, authz};
use governance::AccountRules;
use http::request::Parts;
use jiff::tz::TimeZone;
use model::AccountId;
use query::ReadPolicy;
use std::sync::Arc;

use super::not_found;
use crate::reading;

/// Somebody who has signed in, looking at one account.
#[derive(Debug, Clone)]
pub(crate) struct Staff(Arc<StaffParts>);

/// What a [`Staff`] is made of.
#[derive(Debug)]
pub(crate) struct StaffParts {
    /// Who, with what the roles amount to at this moment, and from where.
    pub(crate) actor: Actor,
    /// The address by which the user signs in.
    pub(crate) email: Box<str>,
    /// The user's own name.
    pub(crate) name: Box<str>,
    /// The account that the page is about; the installation for pages about none.
    pub(crate) account: AccountId,
    /// The account's rules; none for the installation.
    pub(crate) rules: Option<Arc<AccountRules>>,
    /// Where else the user has a role, by name.
    pub(crate) places: Vec<Place>,
    /// Of this answer: what its own script and style elements must carry.
    pub(crate) nonce: Box<str>,
    /// What each form that changes something must carry.
    pub(crate) csrf: Box<str>,
}

/// An account, or the installation, where a user has a role.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// Which; `0` for the installation.
    pub(crate) account: AccountId,
    /// Its name.
    pub(crate) name: Box<str>,
}

impl Staff {
    pub(crate) fn new(parts: StaffParts) -> Self {
        Self(Arc::new(parts))
    }

    /// Who acts.
    pub(crate) fn actor(&self) -> &Actor {
        &self.0.actor
    }

    /// The address by which the user signs in.
    pub(crate) fn email(&self) -> &str {
        &self.0.email
    }

    /// The user's own name.
    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }

    /// The account that the page is about; the installation for pages about none.
    pub(crate) fn account(&self) -> AccountId {
        self.0.account
    }

    /// The account's rules; none for the installation.
    pub(crate) fn rules(&self) -> Option<&Arc<AccountRules>> {
        self.0.rules.as_ref()
    }

    /// Where the user has a role, by name.
    pub(crate) fn places(&self) -> &[Place] {
        &self.0.places
    }

    /// The account's name, or the installation's.
    pub(crate) fn place_name(&self) -> &str {
        self.rules().map_or("Installation", |rules| &rules.name)
    }

    /// The zone in which times are shown.
    pub(crate) fn time_zone(&self) -> TimeZone {
        self.rules()
            .map_or(TimeZone::UTC, |rules| rules.time_zone.clone())
    }

    /// Of this answer: what its own script and style elements must carry.
    pub(crate) fn nonce(&self) -> &str {
        &self.0.nonce
    }

    /// What each form that changes something must carry, in a hidden field called `csrf`.
    pub(crate) fn csrf(&self) -> &str {
        &self.0.csrf
    }

    /// Whether the roles allow an act in this account: for what a page offers. That the act itself
    /// is refused otherwise is `control`'s business.
    pub(crate) fn may(&self, act: Act) -> bool {
        authz::allows(self.actor(), act, self.account())
    }

    /// What the user may read of the account: nothing at all of the installation.
    pub(crate) fn policy(&self) -> Option<ReadPolicy> {
        Some(reading::policy(self.actor(), self.rules()?))
    }

    /// What the user may read of one person who is named.
    pub(crate) fn person_policy(&self) -> Option<ReadPolicy> {
        Some(reading::person_policy(self.actor(), self.rules()?))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Staff {
    type Rejection = Response;

    /// From the request's extensions, where the guard has put it; a page whose route has no guard
    /// does not exist for anybody.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        match parts.extensions.get::<Self>() {
            Some(staff) => Ok(staff.clone()),
            None => Err(not_found::absent()),
        }
    }
}
