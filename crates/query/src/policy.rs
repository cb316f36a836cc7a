//! What a reader may see. The caller decides who the reader is; this crate only obeys.

use governance::{Condition, Mask, Masks, PropertyOf, Restricted, Stretch, Suppressions};
use model::{AccountId, PersonKey, Timestamp};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::OnceCell;

use crate::conditions;
use crate::people::Scope;
use crate::{Error, PropertyFilter, Result};

/// What one reader may see: no query can be planned without one.
#[derive(Debug, Clone)]
pub struct ReadPolicy {
    /// The account whose tables these are; no other account's rows are ever read.
    pub account: AccountId,
    /// The deleted people of the account: hidden from every table.
    pub suppressed: Arc<Suppressions>,
    /// Properties, of events and of people, whose values are masked.
    pub masks: Arc<Masks>,
    /// When given, only events of these names are seen.
    pub events: Option<Arc<BTreeSet<String>>>,
    /// Only people for whom all of these hold are seen.
    pub(crate) conditions: Vec<Arc<Condition>>,
    /// Of them, only some are asked about.
    pub(crate) asked: Asked,
    /// People who are not seen.
    pub(crate) restricted: Arc<BTreeSet<Restricted>>,
    /// Which keys `conditions` and `restricted` amount to: worked out by the first read, and the same
    /// for every further one under this policy and its clones.
    pub(crate) scope: Arc<OnceCell<Scope>>,
}

/// Which people a question is about.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    /// All of these hold of them.
    pub(crate) filters: Vec<PropertyFilter>,
    /// By what was received until then.
    pub(crate) cut_off: Option<Timestamp>,
}

impl ReadPolicy {
    /// A reader who may see everything of `account` but its deleted people.
    #[must_use]
    pub fn new(account: AccountId, suppressed: Arc<Suppressions>) -> Self {
        Self {
            account,
            suppressed,
            masks: Arc::default(),
            events: None,
            conditions: Vec::new(),
            asked: Asked::default(),
            restricted: Arc::default(),
            scope: Arc::default(),
        }
    }

    /// The same, who sees only people for whom all of `conditions` hold.
    #[must_use]
    pub fn under(self, conditions: Vec<Arc<Condition>>) -> Self {
        Self {
            conditions,
            scope: Arc::default(),
            ..self
        }
    }

    /// The same, who asks about people only for whom all of `filters` hold, by what was received until
    /// `cut_off`, if there is one.
    ///
    /// # Errors
    /// `Denied` for a condition on a masked property of people.
    pub fn asking(self, filters: Vec<PropertyFilter>, cut_off: Option<Timestamp>) -> Result<Self> {
        conditions::check(&filters, |name| self.masks_person(name))?;
        Ok(Self {
            asked: Asked { filters, cut_off },
            scope: Arc::default(),
            ..self
        })
    }

    /// The same, who does not see the people named by `restricted`, whatever other keys they have.
    #[must_use]
    pub fn without(self, restricted: Arc<BTreeSet<Restricted>>) -> Self {
        Self {
            restricted,
            scope: Arc::default(),
            ..self
        }
    }

    /// The same with nothing masked and everybody who is not deleted: to work out the scope.
    pub(crate) fn open(&self) -> Self {
        Self::new(self.account, Arc::clone(&self.suppressed))
    }

    /// Whether the reader sees some people only.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        !self.conditions.is_empty() || !self.asked.filters.is_empty()
    }

    /// Whether everybody who is not deleted is seen.
    pub(crate) fn sees_everybody(&self) -> bool {
        !self.is_limited() && self.restricted.is_empty()
    }

    pub(crate) fn conditions(&self) -> &[Arc<Condition>] {
        &self.conditions
    }

    pub(crate) const fn asked(&self) -> &Asked {
        &self.asked
    }

    pub(crate) fn restricted(&self) -> &BTreeSet<Restricted> {
        &self.restricted
    }

    pub(crate) const fn cell(&self) -> &Arc<OnceCell<Scope>> {
        &self.scope
    }

    /// The people who are seen; none when everybody is. Nothing is read before it was worked out.
    pub(crate) fn scope(&self) -> Result<Option<&Scope>> {
        if self.sees_everybody() {
            return Ok(None);
        }
        let unsettled = Error::Internal("read before it was worked out who is seen");
        self.scope.get().map(Some).ok_or(unsettled)
    }

    /// Whom a digest of rows must leave out to be for this reader; none for a reader who sees some
    /// people only, for whom there is no digest.
    pub(crate) fn left_out(&self) -> Result<Option<Arc<Suppressions>>> {
        Ok(match self.scope()? {
            None => Some(Arc::clone(&self.suppressed)),
            Some(_) if self.is_limited() => None,
            Some(scope) => Some(Arc::clone(&scope.left_out)),
        })
    }

    /// Whether what is under `key` in `stretch` is seen.
    pub(crate) fn shows(&self, key: PersonKey, stretch: Stretch) -> Result<bool> {
        Ok(self.scope()?.is_none_or(|it| it.shows(key, stretch)))
    }

    /// How the values of a property are masked; none when they are shown.
    #[must_use]
    pub fn mask(&self, of: PropertyOf, property: &str) -> Option<Mask> {
        self.masks.of(of, property)
    }

    /// Whether the values of a property of events are masked.
    #[must_use]
    pub fn masks_event(&self, property: &str) -> bool {
        self.mask(PropertyOf::Event, property).is_some()
    }

    /// Whether the values of a property of people are masked.
    #[must_use]
    pub fn masks_person(&self, property: &str) -> bool {
        self.mask(PropertyOf::Person, property).is_some()
    }
}
