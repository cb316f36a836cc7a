//! Which events and properties an account knows, and what becomes of others and of values that are
//! not of the kind that the account has declared.
//!
//! Events and people's properties of the system's own are always known. Values are never changed: a
//! property is kept as sent or left out whole.

mod members;
#[cfg(test)]
mod tests;

use model::RawJson;
use model::learned::{LeftOutReason, Name, ValueKind};
use model::record::{Change, ChangeOp};
use model::submission::{RejectReason, is_predefined_property, is_system_event};
use std::collections::BTreeMap;

/// What an account knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dictionary {
    /// The events that it knows; of each, the properties.
    pub events: BTreeMap<Box<str>, Properties>,
    /// The properties of people that it knows, beside the protocol's own.
    pub profile: Properties,
    /// What becomes of what it does not know, and of values of another kind.
    pub policy: Policy,
}

/// Properties that an account knows, by name.
pub type Properties = BTreeMap<Box<str>, Declared>;

/// What an account has declared of one property.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Declared {
    /// Of which kind its values are; of any when there is none.
    pub kind: Option<DeclaredKind>,
    /// An event without it is refused. Of people's properties it says nothing.
    pub is_mandatory: bool,
}

/// Of which kind an account declares values to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeclaredKind {
    /// Strings that are no dates.
    Text,
    /// Numbers with or without a fraction.
    Number,
    /// True or false.
    Boolean,
    /// Strings that begin with `$D_`.
    Date,
    /// Lists.
    List,
    /// Objects.
    Object,
}

/// What becomes of what an account does not know, and of values that are not of the declared kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Policy {
    /// Events that it does not know.
    pub undefined_events: Unfit,
    /// Properties that it does not know, of events that it does.
    pub undefined_properties: UnfitProperty,
    /// Properties of events with a value of another kind.
    pub mismatched_properties: UnfitProperty,
    /// Properties of people that it does not know.
    pub undefined_profile: Unfit,
    /// Properties of people with a value of another kind.
    pub mismatched_profile: Unfit,
}

/// What becomes of an event or of a person's property that does not fit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unfit {
    /// It is kept.
    #[default]
    Accept,
    /// It is not kept: an event is refused, a property left out.
    Drop,
}

/// What becomes of an event's property that does not fit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UnfitProperty {
    /// It is kept.
    #[default]
    Accept,
    /// It is left out, and the event is kept.
    DropProperty,
    /// The event is refused.
    DropEvent,
}

/// What an account makes of one event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As it is.
    Keep,
    /// With these properties alone; the names of those that are left out.
    KeepOnly(RawJson, Vec<LeftOutProperty>),
    /// Not at all.
    Refuse(RejectReason),
}

/// A property that is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOutProperty {
    /// Which: an event's or a person's.
    pub name: Name,
    /// Why.
    pub reason: LeftOutReason,
}

impl DeclaredKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Text,
        Self::Number,
        Self::Boolean,
        Self::Date,
        Self::List,
        Self::Object,
    ];

    /// The kind's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::List => "list",
            Self::Object => "object",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Whether a value is of this kind; null is of all.
    #[must_use]
    pub fn takes(self, value: ValueKind) -> bool {
        match value {
            ValueKind::Text => self == Self::Text,
            ValueKind::Integer | ValueKind::Float => self == Self::Number,
            ValueKind::Boolean => self == Self::Boolean,
            ValueKind::Date => self == Self::Date,
            ValueKind::List => self == Self::List,
            ValueKind::Object => self == Self::Object,
            ValueKind::Null => true,
        }
    }
}

impl Unfit {
    /// Every way.
    pub const ALL: [Self; 2] = [Self::Accept, Self::Drop];

    /// The way's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Drop => "drop",
        }
    }

    /// The way of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == name)
    }
}

impl UnfitProperty {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Accept, Self::DropProperty, Self::DropEvent];

    /// The way's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::DropProperty => "drop_property",
            Self::DropEvent => "drop_event",
        }
    }

    /// The way of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == name)
    }
}

impl Declared {
    /// Whether a value is of the declared kind.
    fn takes(self, value: ValueKind) -> bool {
        self.kind.is_none_or(|kind| kind.takes(value))
    }
}

impl Dictionary {
    /// Looks an event up.
    pub(crate) fn judge(&self, event: &str, properties: &RawJson) -> Verdict {
        let takes_all = self.events.is_empty() && self.policy.undefined_events == Unfit::Accept;
        if takes_all || is_system_event(event) {
            return Verdict::Keep;
        }
        let Some(known) = self.events.get(event) else {
            return match self.policy.undefined_events {
                Unfit::Accept => Verdict::Keep,
                Unfit::Drop => Verdict::Refuse(RejectReason::EventUndefined),
            };
        };
        if !self.looks_into(known) {
            return Verdict::Keep;
        }
        // It was read before: it is an object.
        let Some(members) = members::of(properties) else {
            return Verdict::Refuse(RejectReason::EventDataInvalid);
        };
        let (mut kept, mut left_out) = (Vec::with_capacity(members.len()), Vec::new());
        for (name, value) in members {
            let kind = ValueKind::of(value.get());
            match self.unfit(known.get(name.as_ref()).copied(), kind) {
                None | Some((_, UnfitProperty::Accept)) => kept.push((name, value)),
                Some((reason, UnfitProperty::DropProperty)) => left_out.push(LeftOutProperty {
                    name: Name::EventProperty(Box::from(event), Box::from(name)),
                    reason,
                }),
                Some((LeftOutReason::Undefined, UnfitProperty::DropEvent)) => {
                    return Verdict::Refuse(RejectReason::PropertyUndefined);
                }
                Some((LeftOutReason::Mismatch, UnfitProperty::DropEvent)) => {
                    return Verdict::Refuse(RejectReason::PropertyMismatched);
                }
            }
        }
        let is_there = |wanted: &str| {
            let found = kept.iter().find(|(name, _)| name == wanted);
            found.is_some_and(|(_, value)| ValueKind::of(value.get()) != ValueKind::Null)
        };
        let mut mandatory = known.iter().filter(|(_, declared)| declared.is_mandatory);
        if !mandatory.all(|(name, _)| is_there(name)) {
            return Verdict::Refuse(RejectReason::PropertyMissing);
        }
        if left_out.is_empty() {
            return Verdict::Keep;
        }
        Verdict::KeepOnly(members::text(&kept), left_out)
    }

    /// Whether anything in an event of these properties could be unfit.
    fn looks_into(&self, known: &Properties) -> bool {
        let (any_kind, any_mandatory) = known.values().fold((false, false), |found, it| {
            (found.0 || it.kind.is_some(), found.1 || it.is_mandatory)
        });
        self.policy.undefined_properties != UnfitProperty::Accept
            || any_mandatory
            || (any_kind && self.policy.mismatched_properties != UnfitProperty::Accept)
    }

    /// What does not fit in an event's property, and what becomes of it.
    fn unfit(
        &self,
        declared: Option<Declared>,
        value: ValueKind,
    ) -> Option<(LeftOutReason, UnfitProperty)> {
        let policy = self.policy;
        match declared {
            None => Some((LeftOutReason::Undefined, policy.undefined_properties)),
            Some(it) if it.takes(value) => None,
            Some(_) => Some((LeftOutReason::Mismatch, policy.mismatched_properties)),
        }
    }

    /// Takes the steps out of a change of a person that the account does not want. None when all are
    /// wanted; otherwise all that were sent, and what is left out.
    pub(crate) fn judge_profile(
        &self,
        changes: &mut Vec<Change>,
    ) -> Option<(Vec<Change>, Vec<LeftOutProperty>)> {
        let policy = self.policy;
        if policy.undefined_profile == Unfit::Accept && policy.mismatched_profile == Unfit::Accept {
            return None;
        }
        let unwanted = |change: &Change| {
            let reason = self.unfit_of_person(change)?;
            let decided = match reason {
                LeftOutReason::Undefined => policy.undefined_profile,
                LeftOutReason::Mismatch => policy.mismatched_profile,
            };
            (decided == Unfit::Drop).then_some(reason)
        };
        if changes.iter().all(|it| unwanted(it).is_none()) {
            return None;
        }
        let (sent, mut left_out) = (changes.clone(), Vec::new());
        changes.retain(|change| {
            let Some(reason) = unwanted(change) else {
                return true;
            };
            let name = Name::ProfileProperty(change.property.clone());
            left_out.push(LeftOutProperty { name, reason });
            false
        });
        Some((sent, left_out))
    }

    /// What does not fit in one step of a change.
    fn unfit_of_person(&self, change: &Change) -> Option<LeftOutReason> {
        let value = match change.op {
            ChangeOp::Put => ValueKind::of(change.value.as_str()),
            ChangeOp::Set | ChangeOp::Add | ChangeOp::Remove => ValueKind::List,
            ChangeOp::Incr | ChangeOp::Decr => ValueKind::Integer,
            ChangeOp::Delete => ValueKind::Null,
            // They are not the account's properties.
            ChangeOp::Identify | ChangeOp::Token | ChangeOp::Device => return None,
        };
        if is_predefined_property(&change.property) {
            return None;
        }
        match self.profile.get(&change.property) {
            // What is not wanted may always be removed.
            None if change.op == ChangeOp::Delete => None,
            None => Some(LeftOutReason::Undefined),
            Some(declared) => (!declared.takes(value)).then_some(LeftOutReason::Mismatch),
        }
    }
}
