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
pub const SYSTEM_EVENTS: [&str; 28] = [
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

crate::named! {
    /// Why a record is refused. The names are stable; `docs/wire/rest.md` has an entry for each.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum RejectReason {
        const ALL, fn as_str;
        /// An event without a name.
        EventNameMissing = "event_name_missing",
        /// An event's name is too long or is not Unicode text.
        EventNameInvalid = "event_name_invalid",
        /// A key stands twice in one object.
        KeyTwice = "key_twice",
        /// A property's key is empty, too long or not Unicode text.
        KeyInvalid = "key_invalid",
        /// `evtData` is not an object.
        EventDataInvalid = "event_data_invalid",
        /// A property's value is nested too deeply.
        NestedTooDeep = "nested_too_deep",
        /// `profileData` is not an object.
        ProfileDataInvalid = "profile_data_invalid",
        /// An operator that does not exist, or whose operand is of the wrong kind.
        OperatorInvalid = "operator_invalid",
        /// A name that only the system may use.
        EventNameReserved = "event_name_reserved",
        /// `Gender` is not one of the known values.
        GenderInvalid = "gender_invalid",
        /// `Email` is not an address.
        EmailInvalid = "email_invalid",
        /// `Phone` is not a number with its country code.
        PhoneInvalid = "phone_invalid",
        /// `Employed` is not Y or N.
        EmployedInvalid = "employed_invalid",
        /// `Education` is not one of the known values.
        EducationInvalid = "education_invalid",
        /// `Married` is not Y or N.
        MarriedInvalid = "married_invalid",
        /// `Age` is not a plausible number of years.
        AgeInvalid = "age_invalid",
        /// Too many properties in one event.
        EventPropertiesTooMany = "event_properties_too_many",
        /// Too many properties in one profile.
        ProfilePropertiesTooMany = "profile_properties_too_many",
        /// No identity of any kind.
        IdentityMissing = "identity_missing",
        /// An identity that is too long or not Unicode text.
        IdentityInvalid = "identity_invalid",
        /// Neither an event nor a profile nor a token.
        TypeUnknown = "type_unknown",
        /// The time is not in epoch seconds, or beyond what a time can be.
        TimeInvalid = "time_invalid",
        /// The time is older than what the account keeps.
        TimeTooOld = "time_too_old",
        /// `objectId` is not well formed.
        ObjectIdInvalid = "object_id_invalid",
        /// The account has discarded the event.
        EventDiscarded = "event_discarded",
        /// The account does not know the event, and takes only those that it knows.
        EventUndefined = "event_undefined",
        /// The account does not know a property of the event, and takes only those that it knows.
        PropertyUndefined = "property_undefined",
        /// A property of the event is not of the kind that the account has declared.
        PropertyMismatched = "property_type_mismatch",
        /// A property is missing without which the account does not take the event.
        PropertyMissing = "property_missing",
        /// A token's `objectId` is missing or not well formed.
        TokenObjectIdInvalid = "token_object_id_invalid",
        /// `tokenData` is not an object.
        TokenDataInvalid = "token_data_invalid",
        /// `tokenData.id` is missing.
        TokenIdMissing = "token_id_missing",
        /// `tokenData.type` is missing.
        TokenTypeMissing = "token_type_missing",
        /// `tokenData.type` is not a known push service.
        TokenTypeInvalid = "token_type_invalid",
        /// `tokenData.keys` is not what the push service needs.
        TokenKeysInvalid = "token_keys_invalid",
        /// What is to be subscribed or forgotten is not named by a known `type`, `value` and `status`.
        SubscriptionInvalid = "subscription_invalid",
        /// A fault of the server's own.
        Internal = "internal",
    }
}

impl RejectReason {
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
