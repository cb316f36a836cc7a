//! The system roles: they cannot be cloned, edited or deleted.

use super::rights::named;
use super::{Component, Level, Rights};

named! {
    /// A role of the product's own.
    SystemRole[6] {
        /// Everything in the account.
        Admin = "admin",
        /// Analysis, reports, the dictionary; no user, role, security or deletion powers.
        Creator = "creator",
        /// Reads analysis and reports; downloads no people.
        Member = "member",
        /// Audit log, request log, controls; no person's data.
        Auditor = "auditor",
        /// Personal information, requests of people, classes; no user or security settings.
        PrivacyOfficer = "privacy_officer",
        /// The whole installation: volumes, nodes, drops; no customer's data at all.
        Operator = "operator",
    }
}

impl SystemRole {
    /// What it gives.
    #[must_use]
    pub fn rights(self) -> Rights {
        use Component as C;
        use Level::{Read, Write};
        match self {
            Self::Admin => Rights::ALL,
            Self::Creator => Rights::of(&[
                (C::Analysis, Write),
                (C::People, Read),
                (C::Exports, Write),
                (C::Dictionary, Write),
                (C::Quarantine, Read),
                (C::Support, Write),
            ]),
            Self::Member => Rights::of(&[
                (C::Analysis, Read),
                (C::People, Read),
                (C::Dictionary, Read),
                (C::Support, Write),
            ]),
            Self::Auditor => Rights::of(&[
                (C::AuditLog, Read),
                (C::RequestLog, Read),
                (C::Controls, Read),
                (C::Support, Write),
            ]),
            Self::PrivacyOfficer => Rights::of(&[
                (C::People, Read),
                (C::PersonalInformation, Write),
                (C::Dictionary, Write),
                (C::PrivacyRequests, Write),
                (C::Support, Write),
            ]),
            Self::Operator => Rights::of(&[
                // Of the installation's own logs and users: an account's are the account's.
                (C::AuditLog, Read),
                (C::RequestLog, Read),
                (C::Users, Write),
                (C::Security, Write),
                (C::Storage, Write),
                (C::Controls, Write),
                (C::Support, Write),
            ]),
        }
    }

    /// Whether it is of the whole installation; the others are of one account.
    #[must_use]
    pub const fn is_of_installation(self) -> bool {
        match self {
            Self::Operator => true,
            Self::Admin | Self::Creator | Self::Member | Self::Auditor | Self::PrivacyOfficer => {
                false
            }
        }
    }
}
