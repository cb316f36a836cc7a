//! The text that goes with each rejection: the vendor's where it was seen, in its pattern where not.
//! `docs/wire/rest.md` marks which is which.

use model::submission::RejectReason;

/// The error text of a rejection; the record number is its place in the upload, from 1.
#[must_use]
pub fn error(reason: RejectReason, position: u32) -> String {
    format!("{}Skipped record number : {position}", words(reason))
}

/// The text up to the record number; some of the vendor's have no space before it.
const fn words(reason: RejectReason) -> &'static str {
    match reason {
        RejectReason::EventNameMissing => {
            "Event Name is incorrect. ErrorCode: 509 - Event name is mandatory. "
        }
        RejectReason::EventNameInvalid => {
            "Event Name is incorrect. ErrorCode: 512 - Event name is too long or not valid text. "
        }
        RejectReason::KeyTwice => {
            "Record is incorrect. ErrorCode: 512 - A key appears twice in one object. "
        }
        RejectReason::KeyInvalid => {
            "Record is incorrect. ErrorCode: 512 - A key is empty, too long or not valid text. "
        }
        RejectReason::EventDataInvalid => {
            "Event structure is not valid. ErrorCode: 512 - evtData needs to be an object. "
        }
        RejectReason::NestedTooDeep => {
            "Record is incorrect. ErrorCode: 512 - Objects and arrays can be nested 3 levels deep. "
        }
        RejectReason::ProfileDataInvalid => {
            "Profile data is incorrect. profileData needs to be an object."
        }
        RejectReason::OperatorInvalid => {
            "Profile data is incorrect. Operator or its value is not valid."
        }
        RejectReason::EventNameReserved => {
            "Event Name is incorrect. ErrorCode: 513 - Trying to raise a restricted system event. "
        }
        RejectReason::GenderInvalid => "Profile data is incorrect. Gender needs to be M/F.",
        RejectReason::EmailInvalid => "Profile data is incorrect. Email is not valid.",
        RejectReason::PhoneInvalid => "Profile data is incorrect. Phone number is not valid.",
        RejectReason::EmployedInvalid => "Profile data is incorrect. Employed needs to be Y/N.",
        RejectReason::EducationInvalid => {
            "Profile data is incorrect. Education needs to be School/College/Graduate.."
        }
        RejectReason::MarriedInvalid => "Profile data is incorrect. Married needs to be Y/N.",
        RejectReason::AgeInvalid => "Profile data is incorrect. Age is invalid.",
        RejectReason::EventPropertiesTooMany => {
            "Event structure is not valid. ErrorCode: 522 - Event property limit exceeded. "
        }
        RejectReason::ProfilePropertiesTooMany => {
            "Profile data is incorrect. Profile property limit exceeded."
        }
        RejectReason::IdentityMissing => {
            "'identity' or 'fbId' or 'gpId' or 'objectId' is necessary under 120 chars to identify \
             the user. "
        }
        RejectReason::IdentityInvalid => {
            "'identity' or 'fbId' or 'gpId' is too long or not valid text. "
        }
        RejectReason::TypeUnknown => {
            "Record is incorrect. ErrorCode: 524 - type needs to be event/profile/token. "
        }
        RejectReason::TimeInvalid => "Timestamp should be present in the Unix Epoch format. ",
        RejectReason::TimeTooOld => "Timestamp is older than the data retention of the account. ",
        RejectReason::ObjectIdInvalid => {
            "Record is incorrect. ErrorCode: 526 - objectId is not valid. "
        }
        RejectReason::EventDiscarded => {
            "Event Name is incorrect. ErrorCode: 528 - Trying to raise a discarded event. "
        }
        RejectReason::EventUndefined => {
            "Event Name is incorrect. ErrorCode: 528 - Trying to raise an undefined event. "
        }
        RejectReason::PropertyUndefined => {
            "Event structure is not valid. ErrorCode: 528 - Undefined event property. "
        }
        RejectReason::PropertyMismatched => {
            "Event structure is not valid. ErrorCode: 528 - Data type mismatch of an event property. "
        }
        RejectReason::PropertyMissing => {
            "Event structure is not valid. ErrorCode: 528 - Mandatory event property missing. "
        }
        RejectReason::TokenObjectIdInvalid => {
            "Token data is incorrect. ErrorCode: 530 - objectId is not valid. "
        }
        RejectReason::TokenDataInvalid => {
            "Token data is incorrect. ErrorCode: 531 - tokenData needs to be an object. "
        }
        RejectReason::TokenIdMissing => {
            "Token data is incorrect. ErrorCode: 532 - Token id is mandatory. "
        }
        RejectReason::TokenTypeMissing => {
            "Token data is incorrect. ErrorCode: 533 - Token type is mandatory. "
        }
        RejectReason::TokenTypeInvalid => {
            "Token data is incorrect. ErrorCode: 534 - Token type is not valid for the objectId. "
        }
        RejectReason::TokenKeysInvalid => {
            "Token data is incorrect. ErrorCode: 535 - Token keys are not valid. "
        }
        RejectReason::SubscriptionInvalid => {
            "Record is incorrect. ErrorCode: 512 - type, value and status need to be known ones. "
        }
        RejectReason::Internal => "Server error. ErrorCode: 555 - Please retry later. ",
    }
}
