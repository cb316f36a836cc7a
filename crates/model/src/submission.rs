//! What a sender submits: decoded, not yet admitted.
//!
//! `wire` makes these from bytes, whatever the dialect; `governance` turns them into the entries
//! that the journal takes. Passive data: it borrows from the request's body where it can. It must
//! never hold more than one request's records.

use std::borrow::Cow;

use crate::record::Change;
use crate::{IdentityKind, RawJson, Timestamp};

/// One upload, decoded: what can be considered, and what was refused already.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch<'a> {
    /// The records that are well formed, in the order sent.
    pub records: Vec<Submission<'a>>,
    /// The others, in the order sent.
    pub rejections: Vec<Rejection>,
}

/// One well-formed record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission<'a> {
    /// Its place in the upload, counted from 1.
    pub position: u32,
    /// The record's JSON as received: what is echoed and quarantined when it is refused later.
    pub text: &'a str,
    /// Whom it is about; at least one name is present.
    pub names: Names<'a>,
    /// When it happened; none means now.
    pub ts: Option<Timestamp>,
    /// What it says.
    pub content: Content<'a>,
}

/// The names that a record gives to its person.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names<'a> {
    /// `identity`.
    pub identity: Option<Cow<'a, str>>,
    /// `FBID`.
    pub fbid: Option<Cow<'a, str>>,
    /// `GPID`.
    pub gpid: Option<Cow<'a, str>>,
    /// `objectId`.
    pub object_id: Option<Cow<'a, str>>,
}

impl Names<'_> {
    /// Every name that is present: identities before the device.
    pub fn iter(&self) -> impl Iterator<Item = (IdentityKind, &str)> {
        [
            (IdentityKind::Identity, &self.identity),
            (IdentityKind::Fbid, &self.fbid),
            (IdentityKind::Gpid, &self.gpid),
            (IdentityKind::ObjectId, &self.object_id),
        ]
        .into_iter()
        .filter_map(|(kind, name)| name.as_deref().map(|name| (kind, name)))
    }

    /// The name under which the record is kept.
    #[must_use]
    pub fn primary(&self) -> Option<(IdentityKind, &str)> {
        self.iter().next()
    }
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content<'a> {
    /// Something that the person did.
    Event {
        /// The event's name, as sent.
        name: Cow<'a, str>,
        /// A JSON object, as sent.
        properties: RawJson,
        /// The SDK's session: seconds since the epoch.
        session: Option<u32>,
        /// What an SDK says of device and session: a JSON object.
        context: Option<RawJson>,
    },
    /// A change of what is known of the person.
    Profile {
        /// The steps, in the order in which they are applied.
        changes: Vec<Change>,
        /// `profileData.identity`: another identity of the same person.
        alias: Option<Cow<'a, str>>,
    },
}

/// Events of the system's own. `Charged` is one of them too, but open to all.
const SYSTEM_EVENTS: [&str; 28] = [
    "Notification Sent",
    "Notification Viewed",
    "Notification Clicked",
    "Notification Delivered",
    "Notification Replied",
    "Notification Bounced",
    "UTM Visited",
    "App Launched",
    "App Installed",
    "App Uninstalled",
    "App Version Changed",
    "Stayed",
    "Reply Sent",
    "Experiment Rendered",
    "Reachable By",
    "Identity Set",
    "Identity Reset",
    "Identity Error",
    "Session Concluded",
    "Channel Unsubscribed",
    "Web Page Viewed",
    "wzrk_d",
    "Geocluster Entered",
    "Geocluster Exited",
    "SCOutgoing",
    "SCIncoming",
    "SCEnd",
    "SCCampaignOptOut",
];

/// Whether only the system may raise an event of that name, which SDKs do and servers may not.
#[must_use]
pub fn is_reserved_event(name: &str) -> bool {
    // Nearly every other name is told by its first letter.
    let may_be = matches!(
        name.as_bytes().first(),
        Some(b'A' | b'C' | b'E' | b'G' | b'I' | b'N' | b'R' | b'S' | b'U' | b'W' | b'w')
    );
    may_be && SYSTEM_EVENTS.contains(&name)
}

/// Whether an event of that name is the system's: its properties are the protocol's.
#[must_use]
pub fn is_system_event(name: &str) -> bool {
    name == "Charged" || is_reserved_event(name)
}

/// People's properties that are the protocol's: they do not count as the account's own.
pub const PREDEFINED_PROPERTIES: [&str; 29] = [
    "Name",
    "Email",
    "Phone",
    "Gender",
    "DOB",
    "Age",
    "Employed",
    "Education",
    "Married",
    "Photo",
    "Identity",
    "identity",
    "FBID",
    "GPID",
    "tz",
    "cc",
    "Latitude",
    "Longitude",
    "Carrier",
    "Customer Type",
    "MSG-email",
    "MSG-push",
    "MSG-sms",
    "MSG-whatsapp",
    "MSG-dndPhone",
    "MSG-dndEmail",
    "category-unsubscribe",
    "category-resubscribe",
    crate::opt_out::PROPERTY,
];

/// Whether a property of people is the protocol's.
#[must_use]
pub fn is_predefined_property(name: &str) -> bool {
    PREDEFINED_PROPERTIES.contains(&name)
}

/// A record that is refused. Nothing else in its upload suffers for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Its place in the upload, counted from 1.
    pub position: u32,
    /// Why.
    pub reason: RejectReason,
    /// The record as received.
    pub record: RawJson,
    /// Whom it is about.
    pub subject: Subject,
}

/// Whom a refused record is about, as far as it can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// It names nobody.
    Nobody,
    /// It names one person.
    Person(IdentityKind, Box<str>),
    /// It names several identities, or one field of them twice: nobody can say whose it is, and who
    /// deletes one of them would not find it, so its bytes are not kept.
    Ambiguous,
}

impl Subject {
    /// Whom a record is about by its names and the further identities in it. Its device counts where
    /// no identity stands beside it.
    #[must_use]
    pub fn of<'a>(names: &'a Names<'_>, aliases: impl IntoIterator<Item = &'a str>) -> Self {
        let aliases = aliases.into_iter().map(|it| (IdentityKind::Identity, it));
        let named = names
            .iter()
            .filter(|(kind, _)| *kind != IdentityKind::ObjectId);
        let mut identities = named.chain(aliases);
        let Some(first) = identities.next().or_else(|| names.primary()) else {
            return Self::Nobody;
        };
        if identities.any(|it| it != first) {
            return Self::Ambiguous;
        }
        Self::Person(first.0, Box::from(first.1))
    }
}

/// Why a record is refused. The names are stable; `docs/wire/rest.md` has an entry for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RejectReason {
    /// An event without a name.
    EventNameMissing,
    /// An event's name is too long or is not Unicode text.
    EventNameInvalid,
    /// A key stands twice in one object.
    KeyTwice,
    /// A property's key is empty, too long or not Unicode text.
    KeyInvalid,
    /// `evtData` is not an object.
    EventDataInvalid,
    /// A property's value is nested too deeply.
    NestedTooDeep,
    /// `profileData` is not an object.
    ProfileDataInvalid,
    /// An operator that does not exist, or whose operand is of the wrong kind.
    OperatorInvalid,
    /// A name that only the system may use.
    EventNameReserved,
    /// `Gender` is not one of the known values.
    GenderInvalid,
    /// `Email` is not an address.
    EmailInvalid,
    /// `Phone` is not a number with its country code.
    PhoneInvalid,
    /// `Employed` is not Y or N.
    EmployedInvalid,
    /// `Education` is not one of the known values.
    EducationInvalid,
    /// `Married` is not Y or N.
    MarriedInvalid,
    /// `Age` is not a plausible number of years.
    AgeInvalid,
    /// Too many properties in one event.
    EventPropertiesTooMany,
    /// Too many properties in one profile.
    ProfilePropertiesTooMany,
    /// No identity of any kind.
    IdentityMissing,
    /// An identity that is too long or not Unicode text.
    IdentityInvalid,
    /// Neither an event nor a profile nor a token.
    TypeUnknown,
    /// The time is not in epoch seconds, or beyond what a time can be.
    TimeInvalid,
    /// The time is older than what the account keeps.
    TimeTooOld,
    /// `objectId` is not well formed.
    ObjectIdInvalid,
    /// The account has discarded the event.
    EventDiscarded,
    /// The account does not know the event, and takes only those that it knows.
    EventUndefined,
    /// The account does not know a property of the event, and takes only those that it knows.
    PropertyUndefined,
    /// A property of the event is not of the kind that the account has declared.
    PropertyMismatched,
    /// A property is missing without which the account does not take the event.
    PropertyMissing,
    /// A token's `objectId` is missing or not well formed.
    TokenObjectIdInvalid,
    /// `tokenData` is not an object.
    TokenDataInvalid,
    /// `tokenData.id` is missing.
    TokenIdMissing,
    /// `tokenData.type` is missing.
    TokenTypeMissing,
    /// `tokenData.type` is not a known push service.
    TokenTypeInvalid,
    /// `tokenData.keys` is not what the push service needs.
    TokenKeysInvalid,
    /// What is to be subscribed or forgotten is not named by a known `type`, `value` and `status`.
    SubscriptionInvalid,
    /// A fault of the server's own.
    Internal,
}

impl RejectReason {
    /// Every reason.
    pub const ALL: [Self; 37] = [
        Self::EventNameMissing,
        Self::EventNameInvalid,
        Self::KeyTwice,
        Self::KeyInvalid,
        Self::EventDataInvalid,
        Self::NestedTooDeep,
        Self::ProfileDataInvalid,
        Self::OperatorInvalid,
        Self::EventNameReserved,
        Self::GenderInvalid,
        Self::EmailInvalid,
        Self::PhoneInvalid,
        Self::EmployedInvalid,
        Self::EducationInvalid,
        Self::MarriedInvalid,
        Self::AgeInvalid,
        Self::EventPropertiesTooMany,
        Self::ProfilePropertiesTooMany,
        Self::IdentityMissing,
        Self::IdentityInvalid,
        Self::TypeUnknown,
        Self::TimeInvalid,
        Self::TimeTooOld,
        Self::ObjectIdInvalid,
        Self::EventDiscarded,
        Self::EventUndefined,
        Self::PropertyUndefined,
        Self::PropertyMismatched,
        Self::PropertyMissing,
        Self::TokenObjectIdInvalid,
        Self::TokenDataInvalid,
        Self::TokenIdMissing,
        Self::TokenTypeMissing,
        Self::TokenTypeInvalid,
        Self::TokenKeysInvalid,
        Self::SubscriptionInvalid,
        Self::Internal,
    ];

    /// The protocol's record code.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::EventNameMissing => 509,
            Self::EventNameInvalid
            | Self::KeyTwice
            | Self::KeyInvalid
            | Self::EventDataInvalid
            | Self::NestedTooDeep
            | Self::ProfileDataInvalid
            | Self::OperatorInvalid
            | Self::SubscriptionInvalid => 512,
            Self::EventNameReserved => 513,
            Self::GenderInvalid => 514,
            Self::EmailInvalid => 515,
            Self::PhoneInvalid => 516,
            Self::EmployedInvalid => 517,
            Self::EducationInvalid => 518,
            Self::MarriedInvalid => 519,
            Self::AgeInvalid => 520,
            Self::EventPropertiesTooMany | Self::ProfilePropertiesTooMany => 522,
            Self::IdentityMissing | Self::IdentityInvalid => 523,
            Self::TypeUnknown => 524,
            Self::TimeInvalid | Self::TimeTooOld => 525,
            Self::ObjectIdInvalid => 526,
            Self::EventDiscarded
            | Self::EventUndefined
            | Self::PropertyUndefined
            | Self::PropertyMismatched
            | Self::PropertyMissing => 528,
            Self::TokenObjectIdInvalid => 530,
            Self::TokenDataInvalid => 531,
            Self::TokenIdMissing => 532,
            Self::TokenTypeMissing => 533,
            Self::TokenTypeInvalid => 534,
            Self::TokenKeysInvalid => 535,
            Self::Internal => 555,
        }
    }

    /// The reason's stable name, in the quarantine and in counters.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EventNameMissing => "event_name_missing",
            Self::EventNameInvalid => "event_name_invalid",
            Self::KeyTwice => "key_twice",
            Self::KeyInvalid => "key_invalid",
            Self::EventDataInvalid => "event_data_invalid",
            Self::NestedTooDeep => "nested_too_deep",
            Self::ProfileDataInvalid => "profile_data_invalid",
            Self::OperatorInvalid => "operator_invalid",
            Self::EventNameReserved => "event_name_reserved",
            Self::GenderInvalid => "gender_invalid",
            Self::EmailInvalid => "email_invalid",
            Self::PhoneInvalid => "phone_invalid",
            Self::EmployedInvalid => "employed_invalid",
            Self::EducationInvalid => "education_invalid",
            Self::MarriedInvalid => "married_invalid",
            Self::AgeInvalid => "age_invalid",
            Self::EventPropertiesTooMany => "event_properties_too_many",
            Self::ProfilePropertiesTooMany => "profile_properties_too_many",
            Self::IdentityMissing => "identity_missing",
            Self::IdentityInvalid => "identity_invalid",
            Self::TypeUnknown => "type_unknown",
            Self::TimeInvalid => "time_invalid",
            Self::TimeTooOld => "time_too_old",
            Self::ObjectIdInvalid => "object_id_invalid",
            Self::EventDiscarded => "event_discarded",
            Self::EventUndefined => "event_undefined",
            Self::PropertyUndefined => "property_undefined",
            Self::PropertyMismatched => "property_type_mismatch",
            Self::PropertyMissing => "property_missing",
            Self::TokenObjectIdInvalid => "token_object_id_invalid",
            Self::TokenDataInvalid => "token_data_invalid",
            Self::TokenIdMissing => "token_id_missing",
            Self::TokenTypeMissing => "token_type_missing",
            Self::TokenTypeInvalid => "token_type_invalid",
            Self::TokenKeysInvalid => "token_keys_invalid",
            Self::SubscriptionInvalid => "subscription_invalid",
            Self::Internal => "internal",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{SYSTEM_EVENTS, is_predefined_property, is_reserved_event, is_system_event};

    #[test]
    fn events_of_the_systems_own_are_known_by_their_whole_name() {
        for name in SYSTEM_EVENTS {
            assert!(is_reserved_event(name) && is_system_event(name), "{name}");
            assert!(!is_reserved_event(&format!("{name} ")), "{name}");
            assert!(!is_reserved_event(&name[1..]), "{name}");
        }
        assert!(is_system_event("Charged") && !is_reserved_event("Charged"));
        assert!(!is_reserved_event("") && !is_system_event("Product Viewed"));
    }

    #[test]
    fn leaving_a_category_of_messages_and_coming_back_are_the_protocols_own() {
        for name in [
            "category-unsubscribe",
            "category-resubscribe",
            "MSG-whatsapp",
        ] {
            assert!(is_predefined_property(name), "{name}");
        }
        assert!(!is_predefined_property("category"));
    }
}
